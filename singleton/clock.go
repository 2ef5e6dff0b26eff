package singleton

import "time"

// instant is a reading of a clock that counts time asleep, too. It is compared
// on one machine only.
type instant time.Duration

func (i instant) add(d time.Duration) instant   { return i + instant(d) }
func (i instant) since(j instant) time.Duration { return time.Duration(i - j) }

func (c *Config) age(of instant) time.Duration { return c.now().since(of) }

var processStart = time.Now()

// monotonic is Go's own clock. On Linux and macOS it stands still while the
// machine is suspended.
func monotonic() instant { return instant(time.Since(processStart)) }
