package main

import "syscall"

// attributes let no child outlive this process, and keep Ctrl-C of a terminal from it.
func attributes(death syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death}
}
