package app_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kiosk/internal/app/apptest"
)

// manager receives what a service tells systemd.
type manager struct {
	t      *testing.T
	socket string
	conn   *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "kiosk-notify-") // t.TempDir() may be longer than a socket's name may be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t, socket, conn}
}

// next returns the next message.
func (m *manager) next() string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(apptest.Patience)); err != nil {
		m.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := m.conn.Read(buf)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(buf[:n])
}

func TestSystemd_IsToldReadyAliveAndStopping(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	w := apptest.New(t)
	stop := w.Run(map[string]string{
		"NOTIFY_SOCKET": m.socket, "WATCHDOG_USEC": "400000", "WATCHDOG_PID": strconv.Itoa(os.Getpid()),
	})
	if got := m.next(); got != "READY=1\nSTATUS=PASSIVE" && got != "READY=1\nSTATUS=ACTIVE" {
		t.Fatalf("first %q, want READY=1 and the state of the lock", got)
	}
	for got := ""; got != "WATCHDOG=1\nSTATUS=ACTIVE"; {
		if got = m.next(); !strings.HasPrefix(got, "WATCHDOG=1\nSTATUS=") {
			t.Fatalf("%q while it runs", got)
		}
	}
	stop()
	got := m.next()
	for strings.HasPrefix(got, "WATCHDOG=1") {
		got = m.next()
	}
	if got != "STOPPING=1" {
		t.Errorf("%q at the end", got)
	}
}

func TestSystemd_ReadyWithoutAWatchdogIsToldOnce(t *testing.T) {
	t.Parallel()
	for name, watchdog := range map[string]map[string]string{
		"none":              {},
		"another process's": {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
		"unreadable":        {"WATCHDOG_USEC": "soon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newManager(t)
			watchdog["NOTIFY_SOCKET"] = m.socket
			w := apptest.New(t)
			stop := w.Run(watchdog)
			if got := m.next(); !strings.HasPrefix(got, "READY=1\n") {
				t.Fatalf("first %q", got)
			}
			person := w.Person("Ada", "en")
			person.Say("/start") // the instance works for a while
			person.WaitText("Ada")
			stop()
			if got := m.next(); got != "STOPPING=1" {
				t.Errorf("then %q", got)
			}
		})
	}
}

// A PASSIVE instance is ready: its unit must not wait for a lock that another
// machine holds.
func TestSystemd_PassiveIsReady(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	w := apptest.New(t)
	w.Start(quick, nil)
	w.Run(map[string]string{"NOTIFY_SOCKET": m.socket})
	if got := m.next(); got != "READY=1\nSTATUS=PASSIVE" {
		t.Errorf("%q", got)
	}
}

func TestSystemd_ALostManagerStopsNothing(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, map[string]string{"NOTIFY_SOCKET": filepath.Join(t.TempDir(), "none"), "WATCHDOG_USEC": "1000"})
	person := w.Person("Ada", "en")
	person.Say("/start")
	person.WaitText("Ada")
}
