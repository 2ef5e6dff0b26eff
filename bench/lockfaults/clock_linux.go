package main

import "golang.org/x/sys/unix"

// now reads the clock that all processes of this machine share and that counts
// time asleep, as the lock's own clock does.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("CLOCK_BOOTTIME: " + err.Error()) // the kernel has had it since 2.6.39
	}
	return ts.Nano()
}
