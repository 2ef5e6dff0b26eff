package acceptance_test

import "syscall"

// diesWithUs makes the kernel end a child when this process dies, however it dies.
func diesWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
