UPDATE due SET waits = $1
