// Package singleton keeps exactly one holder per name among any number of
// processes that share a PostgreSQL database.
//
// Two things make that true, and they are kept apart:
//
//   - The lock gives speed. It is a session-level advisory lock on a connection
//     of its own; when its holder dies, PostgreSQL hands it to the next waiter
//     in milliseconds. Behind a transaction pooler a lease row takes its place.
//   - The fence gives safety. Work runs inside Term.InTx or Term.Exec, which lock
//     a row that a new term must change first. A process that was frozen,
//     partitioned or taken over cannot commit once a successor has begun,
//     whatever it believes.
//
// A holder renews a heartbeat on the connection that holds the lock and trusts
// itself only for a bounded time after the last acknowledged one, measured on its
// own clock. Watchers take over only after a longer time without any change,
// measured on theirs. No decision compares clocks of two machines.
//
// An effect outside the database cannot be fenced. Ask Term.Check directly
// before it, and record the intention with Term.InTx first, so that a successor
// knows that it may have happened; it waits for Term.Barrier before it judges.
//
// There is no global "am I the leader": work receives a Term and passes it on.
//
// The package depends on the standard library and pgx only and makes its own
// tables (Bootstrap).
package singleton
