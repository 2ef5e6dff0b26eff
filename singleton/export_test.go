package singleton

// Key lets tests take the lock as another program would.
func Key(name string) int64 { return key(name) }

// ReleaseStatement is all that a holder sends to release.
func ReleaseStatement() string { return sqlRelease }
