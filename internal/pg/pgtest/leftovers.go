package pgtest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	keptLife     = 24 * time.Hour
	templateLife = 7 * 24 * time.Hour

	noSuchDatabase = "3D000" // SQLSTATE
)

var (
	// kiosk_test_<database we lock in>_<pid>_<token>_<number>
	testName = regexp.MustCompile(`^kiosk_test_(\d+)_\d+_(\d+)_\d+$`)
	// kiosk_template_<hash>_<database we lock in>
	tplName = regexp.MustCompile(`^kiosk_template_[0-9a-f]+_(\d+)$`)
)

// database is one of ours on somebody else's server.
type database struct {
	name string
	date time.Time // zero: not dated
}

// cleanUp drops test databases whose process is gone, except those kept for a
// person, and templates that nobody used for long.
func (l *lease) cleanUp(ctx context.Context) error {
	databases, err := l.list(ctx)
	if err != nil {
		return err
	}
	oid := strconv.FormatUint(uint64(l.oid), 10)
	for _, d := range databases {
		if m := testName.FindStringSubmatch(d.name); m != nil && m[1] == oid && time.Since(d.date) > keptLife {
			token, err := strconv.ParseInt(m[2], 10, 32)
			if err != nil {
				continue // not a name that we would have made
			}
			if err := l.dropUnlocked(ctx, d.name, leaseLock, int32(token)); err != nil {
				return err
			}
		}
		if m := tplName.FindStringSubmatch(d.name); m != nil && m[1] == oid && time.Since(d.date) > templateLife {
			if err := l.dropOldTemplate(ctx, d.name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lease) list(ctx context.Context) ([]database, error) {
	rows, err := l.conn.Query(ctx, `SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '')
		FROM pg_database
		WHERE (datname LIKE 'kiosk\_test\_%' OR datname LIKE 'kiosk\_template\_%') AND pg_has_role(datdba, 'USAGE')`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (database, error) {
		var name, comment string
		err := row.Scan(&name, &comment)
		return database{name, dateOf(comment)}, err
	})
}

func (l *lease) dropOldTemplate(ctx context.Context, name string) error {
	var key int32
	if err := l.conn.QueryRow(ctx, `SELECT hashtext($1)`, name).Scan(&key); err != nil {
		return err
	}
	return l.dropUnlocked(ctx, name, templateLock, key)
}

// dropUnlocked drops the database if nobody holds the advisory lock that its
// user would hold.
func (l *lease) dropUnlocked(ctx context.Context, name string, class, key int32) error {
	var free bool
	if err := l.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::int, $2::int)`, class, key).Scan(&free); err != nil {
		return err
	}
	if !free {
		return nil
	}
	err := l.dropAny(ctx, name)
	_, unlockErr := l.conn.Exec(ctx, `SELECT pg_advisory_unlock($1::int, $2::int)`, class, key)
	return errors.Join(err, unlockErr)
}

func (l *lease) dropAny(ctx context.Context, name string) error {
	_, err := l.conn.Exec(ctx, "ALTER DATABASE "+quote(name)+" WITH is_template false")
	if failed := new(pgconn.PgError); errors.As(err, &failed) && failed.Code == noSuchDatabase {
		return nil // another clean-up was faster
	}
	if err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	if _, err := l.conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	return nil
}

// dateCommand writes the present time into the comment of a database, where
// dateOf reads it.
func dateCommand(name string) string {
	return fmt.Sprintf("COMMENT ON DATABASE %s IS '%s'", quote(name), time.Now().UTC().Format(time.RFC3339))
}

func dateOf(comment string) time.Time {
	date, err := time.Parse(time.RFC3339, comment)
	if err != nil {
		return time.Time{}
	}
	return date
}
