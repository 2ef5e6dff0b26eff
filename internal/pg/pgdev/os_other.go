//go:build !linux

package pgdev

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// procAttributes cannot tie the child's life to ours here: what a killed
// process leaves is ended by the next Sweep or Start.
func procAttributes(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// hasArgument reports whether the process runs and was started with the
// argument, which may contain spaces.
func hasArgument(pid int, argument string) bool {
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(" "+strings.TrimSpace(string(out))+" ", " "+argument+" ")
}

const fastFolder = ""
