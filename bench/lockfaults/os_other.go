//go:build !linux

package main

import (
	"syscall"
	"time"
)

func attributes(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// now is wall time where the shared clock is not known: do not set it meanwhile.
func now() int64 { return time.Now().UnixNano() }
