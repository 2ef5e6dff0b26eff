package pg

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var embedded embed.FS

//go:embed sql/history_create.sql
var sqlHistoryCreate string

//go:embed sql/history_list.sql
var sqlHistoryList string

//go:embed sql/history_add.sql
var sqlHistoryAdd string

//go:embed sql/try_lock.sql
var sqlTryLock string

// Migrations returns the schema files compiled into this binary.
func Migrations() fs.FS {
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil { // the folder is embedded above, so this is a broken build
		panic(err)
	}
	return sub
}

// migrateKey is the advisory lock under which schema changes run. It differs
// from every other key of the program, so that a waiting migration never meets
// the lock of the ACTIVE instance.
const migrateKey int64 = 0x6b696f736b6d6967 // "kioskmig"

// Migration is one schema file.
type Migration struct {
	Number int
	File   string // 0007_ledger_holds.sql
	SHA256 string // of the file's bytes, hex
	sql    string
}

// Applied is one row of migration_history.
type Applied struct {
	Number   int
	File     string
	SHA256   string
	At       time.Time
	Duration time.Duration
	Version  string // of the program that applied it
}

// State is what one migration is in one database.
type State string

// The states that Status reports.
const (
	StateApplied State = "applied" // in the database exactly as in this binary
	StatePending State = "pending" // in this binary only
	StateChanged State = "changed" // applied from a file with other content or name
	StateUnknown State = "unknown" // in the database only: the database is newer than this binary
)

// Status is one line of `kiosk migrate status`.
type Status struct {
	Number  int
	File    string
	SHA256  string
	State   State
	Applied *Applied // nil when pending
}

// contractSuffix ends the names of files that take something away. Every other
// file only adds, so a program that does not know it yet runs on: that is how a
// deploy is rolled back without touching the database.
const contractSuffix = "_contract.sql"

// HistoryError says why a database and this binary do not fit together. Up
// returns it before it has changed anything.
type HistoryError struct {
	File   string
	State  State
	Remedy string
}

// Error names the file, what is wrong and what to do.
func (e *HistoryError) Error() string {
	return fmt.Sprintf("migration %s is %s: %s", e.File, e.State, e.Remedy)
}

// Migrator brings one database to the schema of this binary and proves that it
// is there. It is safe for any number of instances to run Up at the same time.
type Migrator struct {
	url     string
	version string
	files   []Migration
}

// NewMigrator reads the files of fsys. It refuses a badly named file, a number
// used twice and a gap in the numbers, so that these cannot reach a database.
func NewMigrator(url, version string, fsys fs.FS) (*Migrator, error) {
	files, err := load(fsys)
	if err != nil {
		return nil, err
	}
	return &Migrator{url: url, version: version, files: files}, nil
}

var errFileName = errors.New("want a name such as 0007_ledger_holds.sql")

func load(fsys fs.FS) ([]Migration, error) {
	pattern := regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.sql$`)
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var files []Migration
	for _, e := range entries { // ReadDir sorts by name, so by number
		m := pattern.FindStringSubmatch(e.Name())
		if m == nil {
			return nil, fmt.Errorf("migration %q: %w", e.Name(), errFileName)
		}
		body, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", e.Name(), err)
		}
		number, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, fmt.Errorf("migration %q: %w", e.Name(), errFileName)
		}
		if number != len(files)+1 {
			return nil, fmt.Errorf("migration %s: want number %04d; numbers are unique and without gaps", e.Name(), len(files)+1)
		}
		sum := sha256.Sum256(body)
		files = append(files, Migration{Number: number, File: e.Name(), SHA256: hex.EncodeToString(sum[:]), sql: string(body)})
	}
	return files, nil
}

// Hash returns one digest over all files: equal digests mean equal schemas.
func (m *Migrator) Hash() string {
	h := sha256.New()
	for _, f := range m.files {
		h.Write([]byte(f.SHA256))
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Up applies what is pending, each file in its own transaction together with
// its history row, and returns what it applied. Instances that start together
// wait for one another; each file is applied exactly once. A database that does
// not fit this binary is refused with a *HistoryError before any change.
func (m *Migrator) Up(ctx context.Context) ([]Applied, error) {
	var done []Applied
	err := m.locked(ctx, func(c *pgx.Conn) error {
		if _, err := c.Exec(ctx, sqlHistoryCreate); err != nil {
			return fmt.Errorf("create migration_history: %w", err)
		}
		lines, err := m.status(ctx, c)
		if err != nil {
			return err
		}
		if err := refuse(lines); err != nil {
			return err
		}
		for _, f := range m.files {
			if lines[f.Number-1].State == StateApplied {
				continue
			}
			a, err := m.apply(ctx, c, f)
			if err != nil {
				return err
			}
			done = append(done, a)
		}
		return nil
	})
	return done, err
}

func (m *Migrator) apply(ctx context.Context, c *pgx.Conn, f Migration) (Applied, error) {
	a := Applied{Number: f.Number, File: f.File, SHA256: f.SHA256, Version: m.version}
	start := time.Now()
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		// A file holds many statements, which only the simple protocol takes in
		// one message. It carries no parameters and moves no money.
		if _, err := tx.Conn().PgConn().Exec(ctx, f.sql).ReadAll(); err != nil {
			return err
		}
		a.Duration = time.Since(start)
		return tx.QueryRow(ctx, sqlHistoryAdd, f.Number, f.File, f.SHA256, a.Duration.Milliseconds(), m.version).Scan(&a.At)
	})
	if err != nil {
		return a, fmt.Errorf("apply migration %s: %w; nothing of this file was kept", f.File, err)
	}
	return a, nil
}

// Status lists every migration known to this binary or to the database, by
// number. It changes nothing and takes no lock.
func (m *Migrator) Status(ctx context.Context) ([]Status, error) {
	c, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	return m.status(ctx, c)
}

// Counts is Status in numbers, read on an open connection: what health reports.
func (m *Migrator) Counts(ctx context.Context, db DB) (applied, pending int, verified bool, err error) {
	lines, err := m.status(ctx, db)
	if err != nil {
		return 0, 0, false, err
	}
	for _, l := range lines {
		switch l.State {
		case StateApplied:
			applied++
		case StatePending:
			pending++
		case StateChanged, StateUnknown:
		}
	}
	return applied, pending, refuse(lines) == nil && pending == 0, nil
}

// Verify fails unless everything is applied exactly as this binary has it.
func (m *Migrator) Verify(ctx context.Context) error {
	lines, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if err := refuse(lines); err != nil {
		return err
	}
	for _, l := range lines {
		if l.State == StatePending {
			return &HistoryError{File: l.File, State: StatePending, Remedy: "run `kiosk migrate up`"}
		}
	}
	return nil
}

func (m *Migrator) status(ctx context.Context, db DB) ([]Status, error) {
	applied, err := history(ctx, db)
	if err != nil {
		return nil, err
	}
	var lines []Status
	for _, f := range m.files {
		l := Status{Number: f.Number, File: f.File, SHA256: f.SHA256, State: StatePending}
		if a, ok := applied[f.Number]; ok {
			l.State, l.Applied = StateApplied, &a
			if a.SHA256 != f.SHA256 || a.File != f.File {
				l.State = StateChanged
			}
		}
		lines = append(lines, l)
		delete(applied, f.Number)
	}
	for _, n := range slices.Sorted(maps.Keys(applied)) {
		a := applied[n]
		lines = append(lines, Status{Number: n, File: a.File, SHA256: a.SHA256, State: StateUnknown, Applied: &a})
	}
	return lines, nil
}

// refuse returns the first reason for which Up must not touch this database.
func refuse(lines []Status) error {
	var pending *Status
	for i, l := range lines {
		switch l.State {
		case StateChanged:
			return &HistoryError{File: l.File, State: l.State,
				Remedy: "its file differs from what was applied; restore the file and put the change into a new migration"}
		case StateUnknown:
			if strings.HasSuffix(l.File, contractSuffix) {
				return &HistoryError{File: l.File, State: l.State,
					Remedy: "it took away what this older program needs; deploy the version that applied it (see migration_history.version)"}
			}
			if pending != nil {
				return gap(*pending, l)
			}
		case StatePending:
			if pending == nil {
				pending = &lines[i]
			}
		case StateApplied:
			if pending != nil {
				return gap(*pending, l)
			}
		}
	}
	return nil
}

func gap(missing, later Status) error {
	return &HistoryError{File: missing.File, State: StatePending,
		Remedy: fmt.Sprintf("a later one, %s, is applied already: the history has a gap; restore migration_history from a backup", later.File)}
}

func history(ctx context.Context, db DB) (map[int]Applied, error) {
	rows, err := db.Query(ctx, sqlHistoryList)
	if err == nil {
		var list []Applied
		list, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (Applied, error) {
			var a Applied
			var ms int64
			err := r.Scan(&a.Number, &a.File, &a.SHA256, &a.At, &ms, &a.Version)
			a.Duration = time.Duration(ms) * time.Millisecond
			return a, err
		})
		if err == nil {
			return byNumber(list), nil
		}
	}
	if Code(err) == "42P01" { // undefined_table: nothing was ever applied here
		return map[int]Applied{}, nil
	}
	return nil, fmt.Errorf("read migration_history: %w", err)
}

func byNumber(list []Applied) map[int]Applied {
	m := make(map[int]Applied, len(list))
	for _, a := range list {
		m[a.Number] = a
	}
	return m
}

func (m *Migrator) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(m.url)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing stays prepared in a session that a pooler lends on
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect for migrations: %w", err)
	}
	return c, nil
}

// locked runs fn on a connection of its own that holds the migration lock. It
// tries in short steps instead of blocking: a blocked statement would hold a
// snapshot, and a CREATE INDEX CONCURRENTLY of the holder would wait for it.
func (m *Migrator) locked(ctx context.Context, fn func(*pgx.Conn) error) error {
	c, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx)) // ends the session, and with it the lock
	for {
		var got bool
		if err := c.QueryRow(ctx, sqlTryLock, migrateKey).Scan(&got); err != nil {
			return fmt.Errorf("take the migration lock: %w", err)
		}
		if got {
			return fn(c)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another instance's migration: %w", context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}
