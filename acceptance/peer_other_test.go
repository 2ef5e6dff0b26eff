//go:build !linux

package acceptance_test

import "syscall"

// diesWithUs cannot tie a child's life to ours here: killing the tests with
// SIGKILL leaves it. The process group of the tests is kept, so that Ctrl-C and
// the end of the terminal reach it.
func diesWithUs() *syscall.SysProcAttr { return nil }
