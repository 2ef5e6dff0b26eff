package rig

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"kiosk/internal/pg"
)

//go:embed sql/machine.sql
var sqlMachine string

// Machine is where the figures come from.
type Machine struct {
	Cores             int    `json:"cores"`
	CPU               string `json:"cpu,omitempty"`
	System            string `json:"system"`
	Go                string `json:"go"`
	Postgres          string `json:"postgres"`
	Fsync             string `json:"fsync"`
	SynchronousCommit string `json:"synchronous_commit"`
	SyncMethod        string `json:"wal_sync_method"`

	// Sync is the median time of writing and syncing one page in the server's
	// folder: what a commit pays at least. It is unknown on a server of others.
	Sync time.Duration `json:"sync_ns,omitempty"`
}

// Inspect describes machine and server. It refuses a server that may lose commits: its figures say nothing.
func Inspect(ctx context.Context, db pg.DB, folder string) (Machine, error) {
	m := Machine{
		Cores: runtime.NumCPU(), CPU: cpuName(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
	}
	if err := db.QueryRow(ctx, sqlMachine).Scan(&m.Postgres, &m.Fsync, &m.SynchronousCommit, &m.SyncMethod); err != nil {
		return m, fmt.Errorf("ask the server for its settings: %w", err)
	}
	if m.Fsync != "on" || m.SynchronousCommit != "on" {
		return m, fmt.Errorf("the server is not durable (fsync %s, synchronous_commit %s); use one that is", m.Fsync, m.SynchronousCommit)
	}
	if folder == "" {
		return m, nil
	}
	var err error
	m.Sync, err = syncTime(folder)
	return m, err
}

// String is the line above the tables.
func (m Machine) String() string {
	s := fmt.Sprintf("%d cores %s (%s), %s, PostgreSQL %s, fsync %s, synchronous_commit %s, wal_sync_method %s",
		m.Cores, m.CPU, m.System, m.Go, m.Postgres, m.Fsync, m.SynchronousCommit, m.SyncMethod)
	if m.Sync > 0 {
		s += fmt.Sprintf(", one synced page %s", m.Sync.Round(time.Microsecond))
	}
	return s
}

func cpuName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "" // not Linux
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func syncTime(folder string) (time.Duration, error) {
	f, err := os.Create(filepath.Join(folder, "sync"))
	if err != nil {
		return 0, fmt.Errorf("time the disk: %w", err)
	}
	defer f.Close()
	page := make([]byte, 8192)
	var times []time.Duration
	for range 100 {
		start := time.Now()
		if _, err := f.WriteAt(page, 0); err != nil {
			return 0, fmt.Errorf("time the disk: %w", err)
		}
		if err := f.Sync(); err != nil {
			return 0, fmt.Errorf("time the disk: %w", err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
