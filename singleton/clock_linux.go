package singleton

import (
	"syscall"
	"unsafe"
)

// clockBoottime is CLOCK_BOOTTIME of clock_gettime(2): a holder that slept must
// not trust itself for the time that it slept.
const clockBoottime = 7

func bootTime() instant {
	var ts syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&ts)), 0) //nolint:gosec // the kernel fills it
	if errno != 0 {
		return monotonic()
	}
	return instant(ts.Nano())
}
