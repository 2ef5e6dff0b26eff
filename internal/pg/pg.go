// Package pg is the floor on which every room stands: the connection pool, the
// meaning of PostgreSQL's error codes, and the migrator that owns the schema's
// history.
//
// PostgreSQL is not hidden. Rooms write their own SQL and pass pgx.Tx values to
// one another, because money, state and messages change in one transaction.
// The package knows nothing of what the rooms store.
package pg

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DB is what both a pool and a transaction can do. A function that takes a DB
// works inside the caller's transaction or outside any.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Options shape a pool.
type Options struct {
	ApplicationName string          // shown in pg_stat_activity; a successor of the lock may terminate by it
	MaxConns        int32           // 0 means 12
	Tracer          pgx.QueryTracer // nil: none

	// Pooled says that the URL leads through a pooler that lends server processes
	// per transaction (see Pooled): nothing may rest on a session then.
	Pooled bool
}

//go:embed sql/backend_pid.sql
var sqlBackendPID string

// Pooled reports whether url leads through a pooler that lends server processes
// to clients: the server process that answers is not the one that the
// connection announced.
func Pooled(ctx context.Context, url string) (bool, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return false, fmt.Errorf("read the database URL: %w", err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	cfg.ConnectTimeout = 5 * time.Second
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, fmt.Errorf("reach database %q on %s: %w; check DATABASE_URL and that the server runs", cfg.Database, cfg.Host, err)
	}
	defer func() { _ = c.Close(ctx) }() // it has told all it can
	var pid uint32
	if err := c.QueryRow(ctx, sqlBackendPID).Scan(&pid); err != nil {
		return false, fmt.Errorf("ask for the server process: %w", err)
	}
	return pid != c.PgConn().PID(), nil
}

//go:embed sql/identity.sql
var sqlIdentity string

// Identity tells databases apart, also copies of one, whatever addresses and roles
// lead to them. It changes when the server is started anew.
func Identity(ctx context.Context, db DB) (string, error) {
	var id string
	if err := db.QueryRow(ctx, sqlIdentity).Scan(&id); err != nil {
		return "", fmt.Errorf("ask which database this is: %w", err)
	}
	return id, nil
}

//go:embed sql/session_limits.sql
var sqlSessionLimits string

// Open returns a pool to url after one successful round trip. The error names
// host and database, never the password.
func Open(ctx context.Context, url string, o Options) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	cfg.MaxConns = o.MaxConns
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 12
	}
	cfg.ConnConfig.Tracer = o.Tracer
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	if o.Pooled {
		// Prepared statements and settings would stay with a session that is lent on.
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	} else {
		cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, sqlSessionLimits, o.ApplicationName)
			return err
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the pool: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach database %q on %s: %w; check DATABASE_URL and that the server runs",
			cfg.ConnConfig.Database, cfg.ConnConfig.Host, err)
	}
	return pool, nil
}

// Code returns the SQLSTATE of err, or "" when the server did not send it.
func Code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// Constraint returns the name of the constraint that err says was violated.
func Constraint(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.ConstraintName
	}
	return ""
}

// IsNoRows reports that a query which may find nothing found nothing.
func IsNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// IsData reports that the server refused the values themselves (SQLSTATE
// classes 22 and 23): the same statement with the same values fails again.
func IsData(err error) bool {
	c := Code(err)
	return len(c) == 5 && (c[:2] == "22" || c[:2] == "23")
}

// IsPassing reports that a statement failed for a reason that may be gone on
// the next try: the connection, a shutdown of the server, a lack of resources,
// a lock or a serialization conflict. A network error is passing, too.
func IsPassing(err error) bool {
	if err == nil {
		return false
	}
	c := Code(err)
	if c == "" {
		var connect *pgconn.ConnectError
		var netErr net.Error
		return errors.As(err, &connect) || errors.As(err, &netErr) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
			pgconn.Timeout(err) || pgconn.SafeToRetry(err)
	}
	switch c[:2] {
	case "08", "40", "53", "55", "57", "58":
		return true
	}
	return false
}

// IsTimeLimit reports that a statement ran longer than statement_timeout lets it,
// or was cancelled. That is passing on a busy server, but some statements are slow
// every time: whoever repeats one must count.
func IsTimeLimit(err error) bool { return Code(err) == "57014" }

// Storable returns an error's text as PostgreSQL takes it, "" for none: NUL and
// invalid UTF-8 are replaced. A failure that could not be recorded would be
// repeated for ever.
func Storable(err error) string {
	if err == nil {
		return ""
	}
	return strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", "?"), "?")
}
