package pgdev

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// procAttributes makes the kernel send the signal to the child when this
// process dies, however it dies.
func procAttributes(death syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death}
}

// hasArgument reports whether the process runs and was started with the argument.
func hasArgument(pid int, argument string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && slices.Contains(strings.Split(string(text), "\x00"), argument)
}

// fastFolder is in memory; a small one, as in a container, is not used.
const fastFolder = "/dev/shm"
