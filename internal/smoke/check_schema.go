package smoke

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk"
	"kiosk/internal/pg"
)

func migrations(ctx context.Context, r *run) finding {
	if r.MigrateDatabase != r.Database {
		conn, s, err := connect(ctx, r.MigrateDatabase)
		if err != nil {
			t, detail := reason(err)
			return fail(migrateURL, "%s", t.with(detail))
		}
		hangUp(conn)
		if s.domain != r.domain {
			return fail(migrateElse, "%s", s.name)
		}
	}
	m, err := pg.NewMigrator(r.MigrateDatabase, "", pg.Migrations())
	if err != nil {
		return fail(schemaFailed, "%s", err)
	}
	lines, err := m.Status(ctx)
	if err != nil {
		return fail(schemaFailed, "%s", innermost(err))
	}
	return judge(lines)
}

// judge names the worst that is wrong with the history.
func judge(lines []pg.Status) finding {
	files := map[pg.State][]string{}
	for _, l := range lines {
		files[l.State] = append(files[l.State], l.File)
	}
	list := func(s pg.State) string { return strings.Join(files[s], ", ") }
	switch {
	case len(files[pg.StateChanged]) > 0:
		return fail(schemaChanged, "%s", list(pg.StateChanged))
	case len(files[pg.StateUnknown]) > 0:
		return fail(schemaNewer, "it has %s", list(pg.StateUnknown))
	case len(files[pg.StateApplied]) == 0:
		return fail(schemaEmpty, "")
	case len(files[pg.StatePending]) > 0:
		return fail(schemaPending, "%s", list(pg.StatePending))
	}
	return pass("%d applied, unchanged, none pending", len(lines))
}

// statements prepares every statement of the program against this database, as
// the role that will run it, and lets the planner check its privileges. Nothing
// is executed.
func statements(ctx context.Context, r *run) finding {
	list, err := kiosk.Statements()
	if err != nil {
		return fail(sqlMisfit, "%s", err)
	}
	slices.SortStableFunc(list, productFirst)
	pools := r.pools(ctx)
	defer closePools(pools, r.pool)
	refusals := make([]error, len(list))
	var all sync.WaitGroup
	next := make(chan int)
	for range 4 { // the round trips, not the work, take the time
		all.Go(func() {
			for i := range next {
				refusals[i] = try(ctx, pools[userOf(list[i].File)], list[i].SQL)
			}
		})
	}
	for i := range list {
		next <- i
	}
	close(next)
	all.Wait()
	return firstRefusal(list, refusals)
}

// productFirst lets a refusal name what the instances run, not what smoke does.
func productFirst(a, b kiosk.Statement) int {
	own := func(s kiosk.Statement) int {
		if strings.HasPrefix(s.File, "internal/smoke/") {
			return 1
		}
		return 0
	}
	return own(a) - own(b)
}

func firstRefusal(list []kiosk.Statement, refusals []error) finding {
	first, others := -1, 0
	for i, err := range refusals {
		switch {
		case err == nil:
		case first < 0:
			first = i
		default:
			others++
		}
	}
	if first < 0 {
		return pass("%d prepared, each with the privileges it needs", len(list))
	}
	more := ""
	if others > 0 {
		more = fmt.Sprintf("; %d more", others)
	}
	e, ok := errors.AsType[*pgconn.PgError](refusals[first])
	if !ok {
		return fail(sqlMisfit, "%s: %s%s", list[first].File, innermost(refusals[first]), more)
	}
	detail := fmt.Sprintf("%s: SQLSTATE %s, %s", list[first].File, e.Code, e.Message)
	if e.Hint != "" {
		detail += " (" + e.Hint + ")"
	}
	if e.Code == "42501" {
		return fail(sqlDenied, "%s%s", detail, more)
	}
	return fail(sqlMisfit, "%s%s", detail, more)
}

// user is who runs a statement.
type user string

const (
	worker   user = "work"
	migrator user = "migrate"
	locker   user = "lock"
)

// userOf tells by the file who runs its statement.
func userOf(file string) user {
	switch {
	case strings.HasPrefix(file, "internal/pg/"), strings.HasPrefix(file, "singleton/sql/schema_"):
		return migrator
	case strings.HasPrefix(file, "singleton/"):
		return locker
	}
	return worker
}

// pools opens one pool for each of the users that has an address of its own. That
// an address is of no use is said by the check of that address.
func (r *run) pools(ctx context.Context) map[user]*pgxpool.Pool {
	pools := map[user]*pgxpool.Pool{worker: r.pool, migrator: r.pool, locker: r.pool}
	for who, address := range map[user]string{migrator: r.MigrateDatabase, locker: r.LockDatabase} {
		if address == r.Database {
			continue
		}
		if pool, err := openPool(ctx, address); err == nil {
			pools[who] = pool
		}
	}
	return pools
}

func closePools(pools map[user]*pgxpool.Pool, but *pgxpool.Pool) {
	for _, p := range pools {
		if p != but {
			p.Close()
		}
	}
}

// try prepares a statement and explains it without a plan for given values. The
// planner checks the privileges of tables, columns and functions, and executes
// nothing. All of it is one message, so one transaction, so one server process
// also behind a pooler.
func try(ctx context.Context, pool *pgxpool.Pool, sql string) error {
	c, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	conn := c.Conn().PgConn()
	if !explainable(sql) {
		_, err := conn.Prepare(ctx, "", sql, nil)
		return err
	}
	name := "kiosk_smoke_" + strings.ToLower(rand.Text())
	text := "SET LOCAL plan_cache_mode = force_generic_plan; PREPARE " + name + " AS " + sql +
		"\n; EXPLAIN EXECUTE " + name + nulls(parameters(sql)) + "; DEALLOCATE " + name
	if _, err = conn.Exec(ctx, text).ReadAll(); err != nil {
		_, _ = conn.Exec(ctx, "DEALLOCATE "+name).ReadAll() // it is there if only a privilege was missing
	}
	return err
}

// explainable reports that a statement has a plan: it reads or writes rows.
func explainable(sql string) bool {
	return regexp.MustCompile(`(?i)^(?:--[^\n]*\n|\s)*(SELECT|INSERT|UPDATE|DELETE|WITH|VALUES|MERGE)\b`).MatchString(sql)
}

// parameters returns the highest number of a parameter.
func parameters(sql string) int {
	highest := 0
	for _, m := range regexp.MustCompile(`\$(\d+)`).FindAllStringSubmatch(sql, -1) {
		if n, err := strconv.Atoi(m[1]); err == nil {
			highest = max(highest, n)
		}
	}
	return highest
}

func nulls(n int) string {
	if n == 0 {
		return ""
	}
	return "(" + strings.TrimSuffix(strings.Repeat("NULL, ", n), ", ") + ")"
}
