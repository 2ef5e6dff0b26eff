package main

import _ "embed"

//go:embed sql/tables.sql
var sqlTables string

//go:embed sql/write.sql
var sqlWrite string

//go:embed sql/write_late.sql
var sqlWriteLate string

//go:embed sql/waits.sql
var sqlWaits string

//go:embed sql/set_waits.sql
var sqlSetWaits string

//go:embed sql/left_over.sql
var sqlLeftOver string

//go:embed sql/claim.sql
var sqlClaim string

//go:embed sql/inherit.sql
var sqlInherit string

//go:embed sql/finish.sql
var sqlFinish string

//go:embed sql/commits.sql
var sqlCommits string

//go:embed sql/events.sql
var sqlEvents string

//go:embed sql/age.sql
var sqlAge string

//go:embed sql/end_lock.sql
var sqlEndLock string

//go:embed sql/statements.sql
var sqlStatements string

//go:embed sql/dead.sql
var sqlDead string

//go:embed sql/queued.sql
var sqlQueued string

//go:embed sql/first_queued.sql
var sqlFirstQueued string

//go:embed sql/clock.sql
var sqlClock string

//go:embed sql/fence_tables.sql
var sqlFenceTables string

//go:embed sql/fence_check.sql
var sqlFenceCheck string

//go:embed sql/fence_work.sql
var sqlFenceWork string

//go:embed sql/fence_bump.sql
var sqlFenceBump string
