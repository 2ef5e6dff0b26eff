package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit in which Linux tells the processor time of a process.
const tick = 10 * time.Millisecond

// CPU returns the processor time that this process and the private server
// have used. It is 0 where that cannot be told: on a server of others, and on
// systems without /proc.
func (d *Database) CPU() time.Duration {
	var own syscall.Rusage
	if d.server == nil || syscall.Getrusage(syscall.RUSAGE_SELF, &own) != nil {
		return 0
	}
	server := serverTime(filepath.Join(d.server.Dir(), "pgdata"))
	if server == 0 {
		return 0
	}
	return time.Duration(own.Utime.Nano()+own.Stime.Nano()) + server
}

// serverTime sums up the server process, the children that it has waited for,
// and those that run.
func serverTime(data string) time.Duration {
	file, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0
	}
	pid, _, _ := strings.Cut(string(file), "\n")
	server, ok := readProcess(pid)
	if !ok {
		return 0
	}
	total := server.own + server.children
	others, _ := filepath.Glob("/proc/[0-9]*") // only a bad pattern is an error
	for _, dir := range others {
		if p, ok := readProcess(filepath.Base(dir)); ok && p.parent == pid {
			total += p.own
		}
	}
	return total
}

type processTimes struct {
	parent        string
	own, children time.Duration
}

// readProcess reads /proc/PID/stat. Its second field, the name, may hold blanks.
func readProcess(pid string) (processTimes, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%s/stat", pid))
	if err != nil {
		return processTimes{}, false
	}
	_, rest, found := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 15 {
		return processTimes{}, false
	}
	ticks := func(user, system int) time.Duration {
		u, _ := strconv.ParseInt(fields[user], 10, 64)   // the kernel writes numbers
		s, _ := strconv.ParseInt(fields[system], 10, 64) // the same
		return time.Duration(u+s) * tick
	}
	return processTimes{parent: fields[1], own: ticks(11, 12), children: ticks(13, 14)}, true
}
