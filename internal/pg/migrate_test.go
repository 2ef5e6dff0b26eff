package pg_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/pg"
	"kiosk/internal/pg/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

func files(bodies ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i, b := range bodies {
		fsys[fmt.Sprintf("%04d_step.sql", i+1)] = &fstest.MapFile{Data: []byte(b)}
	}
	return fsys
}

func migrator(t *testing.T, url string, fsys fstest.MapFS) *pg.Migrator {
	t.Helper()
	m, err := pg.NewMigrator(url, "test", fsys)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func up(t *testing.T, m *pg.Migrator) []pg.Applied {
	t.Helper()
	applied, err := m.Up(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

const (
	first  = `CREATE TABLE IF NOT EXISTS a (n integer); INSERT INTO a VALUES (1);`
	second = `ALTER TABLE a ADD COLUMN IF NOT EXISTS m integer;`
)

func TestUp_AppliesOnceAndRecordsWhatItDid(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	m := migrator(t, url, files(first, second))
	applied := up(t, m)
	if len(applied) != 2 || applied[0].File != "0001_step.sql" || applied[0].Version != "test" || applied[0].At.IsZero() {
		t.Fatalf("applied %+v", applied)
	}
	if again := up(t, m); len(again) != 0 {
		t.Fatalf("second run applied %+v", again)
	}
	if err := m.Verify(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, pgtest.Pool(t, url), "SELECT count(*) FROM a"); n != 1 {
		t.Fatalf("the first file ran %d times", n)
	}
}

func TestUp_TenInstancesApplyEachFileExactlyOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range 10 {
		wg.Go(func() {
			m, err := pg.NewMigrator(url, "test", files(first, second))
			if err != nil {
				t.Error(err)
				return
			}
			applied, err := m.Up(context.Background())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += len(applied)
		})
	}
	wg.Wait()
	if n := count(t, pgtest.Pool(t, url), "SELECT count(*) FROM a"); total != 2 || n != 1 {
		t.Fatalf("%d applications, first file ran %d times; want 2 and 1", total, n)
	}
}

func TestUp_AFailingFileLeavesNothingOfItself(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	m := migrator(t, url, files(first, `INSERT INTO a VALUES (2); SELECT 1/0;`))
	_, err := m.Up(context.Background())
	if err == nil || !strings.Contains(err.Error(), "0002_step.sql") || pg.Code(err) != "22012" {
		t.Fatalf("err = %v, want the file and the division by zero", err)
	}
	if n := count(t, pgtest.Pool(t, url), "SELECT count(*) FROM a"); n != 1 {
		t.Fatalf("%d rows, want the first file's only", n)
	}
	if applied := up(t, migrator(t, url, files(first, second))); len(applied) != 1 {
		t.Fatalf("after the repair %+v was applied, want the second file", applied)
	}
}

func TestUp_RefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	renamed := files(first)
	renamed["0002_other.sql"] = &fstest.MapFile{Data: []byte(second)}
	cases := map[string]struct {
		now  fstest.MapFS
		then string // SQL in between
		want pg.State
	}{
		"changed file":   {now: files(first+"-- edited", second), want: pg.StateChanged},
		"renamed file":   {now: renamed, want: pg.StateChanged},
		"newer contract": {now: files(first), then: `UPDATE migration_history SET file = '0002_step_contract.sql' WHERE number = 2`, want: pg.StateUnknown},
		"newer and gap":  {now: files(first), then: `DELETE FROM migration_history WHERE number = 1`, want: pg.StatePending},
		"gap":            {now: files(first, second), then: `DELETE FROM migration_history WHERE number = 1`, want: pg.StatePending},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Empty(t)
			up(t, migrator(t, url, files(first, second)))
			pool := pgtest.Pool(t, url)
			if c.then != "" {
				if _, err := pool.Exec(context.Background(), c.then); err != nil {
					t.Fatal(err)
				}
			}
			m := migrator(t, url, c.now)
			_, err := m.Up(context.Background())
			var refused *pg.HistoryError
			if !errors.As(err, &refused) || refused.State != c.want || refused.Remedy == "" {
				t.Fatalf("err = %v, want a refusal because of %s", err, c.want)
			}
			if err := m.Verify(context.Background()); !errors.As(err, &refused) {
				t.Fatalf("verify = %v, want the same refusal", err)
			}
			if n := count(t, pool, "SELECT count(*) FROM a"); n != 1 {
				t.Fatalf("a refused run changed the database")
			}
		})
	}
}

// A rolled-back program meets what its successor added.
func TestUp_RunsOnANewerDatabaseThatOnlyGained(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	up(t, migrator(t, url, files(first, second)))
	older := migrator(t, url, files(first))
	if applied := up(t, older); len(applied) != 0 {
		t.Errorf("%+v was applied", applied)
	}
	if err := older.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	lines, err := older.Status(context.Background())
	if err != nil || len(lines) != 2 || lines[1].State != pg.StateUnknown {
		t.Errorf("%+v %v, want the newer file to be shown", lines, err)
	}
}

func TestVerify_APendingFileIsNotDone(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	up(t, migrator(t, url, files(first)))
	m := migrator(t, url, files(first, second))
	var refused *pg.HistoryError
	if err := m.Verify(context.Background()); !errors.As(err, &refused) || refused.State != pg.StatePending {
		t.Fatalf("verify = %v, want pending", err)
	}
	applied, pending, verified, err := m.Counts(context.Background(), pgtest.Pool(t, url))
	if err != nil || applied != 1 || pending != 1 || verified {
		t.Fatalf("counts %d %d %v %v", applied, pending, verified, err)
	}
}

func TestNewMigrator_RefusesBadNumbers(t *testing.T) {
	t.Parallel()
	gap := files(first)
	gap["0003_late.sql"] = &fstest.MapFile{}
	twice := files(first)
	twice["0001_twin.sql"] = &fstest.MapFile{}
	name := fstest.MapFS{"1-first.sql": &fstest.MapFile{}}
	for what, fsys := range map[string]fstest.MapFS{"gap": gap, "twice": twice, "name": name} {
		if _, err := pg.NewMigrator("", "test", fsys); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

// The shipped files are written to be re-appliable: on a populated database whose
// history was lost, `up` finds nothing to change.
func TestMigrations_AreReappliableOnAPopulatedDatabase(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pool := pgtest.Pool(t, url)
	populate(t, pool)
	before := dump(t, pool)
	ctx := context.Background()
	if _, err := pool.Exec(ctx, "TRUNCATE migration_history"); err != nil {
		t.Fatal(err)
	}
	m, err := pg.NewMigrator(url, "again", pg.Migrations())
	if err != nil {
		t.Fatal(err)
	}
	if applied := up(t, m); len(applied) < 5 {
		t.Fatalf("%d files were applied again, want all", len(applied))
	}
	after := dump(t, pool)
	for part, text := range before {
		if after[part] != text {
			t.Errorf("%s changed:\nbefore %s\nafter  %s", part, text, after[part])
		}
	}
	if !maps.Equal(before, after) {
		t.Error("schema or data differ")
	}
}

func populate(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, sql := range []string{
		`SELECT ledger_top_up('bonus:x', 7, 'RUB', 'bonus', 'sys:promo', 500, 'test')`,
		`SELECT ledger_hold('gen:x', 7, 'RUB', 300, now() + interval '1 hour')`,
		`SELECT ledger_close('gen:x', 'capture', 200, 'test')`,
		`INSERT INTO inbox_messages (source, key, lane, body) VALUES ('telegram', '1', '7', '{}')`,
		`INSERT INTO outbox_messages (chat_id, kind, args) VALUES (7, 'x', '{}')`,
		`INSERT INTO bot_users (id, first_name, language) VALUES (7, 'A', 'en')`,
		`INSERT INTO bot_sessions (user_id) VALUES (7)`,
		`INSERT INTO generations (id, request_key, user_id, chat_id, language, model, params, price, cost_micros, state)
		 VALUES ('00000000-0000-0000-0000-000000000001', 'k', 7, 7, 'en', 'z-image', '{}', 1, 1, 'held')`,
	} {
		if _, err := pool.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// dump renders schema and data by catalog queries and whole rows.
func dump(t *testing.T, pool *pgxpool.Pool) map[string]string {
	t.Helper()
	parts := map[string]string{}
	for name, sql := range map[string]string{
		"columns":     `SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'migration_history' ORDER BY 1, ordinal_position`,
		"constraints": `SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2`,
		"indexes":     `SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`,
		"triggers":    `SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2`,
		"functions":   `SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1`,
	} {
		parts[name] = render(t, pool, sql)
	}
	rows, err := pool.Query(context.Background(), `SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migration_history'`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		parts["rows of "+table] = render(t, pool, "SELECT x::text FROM "+pgx.Identifier{table}.Sanitize()+" x ORDER BY 1")
	}
	return parts
}

func render(t *testing.T, pool *pgxpool.Pool, sql string) string {
	t.Helper()
	rows, err := pool.Query(context.Background(), sql)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (string, error) {
		v, err := r.Values()
		return fmt.Sprint(v...), err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func count(t *testing.T, pool *pgxpool.Pool, sql string) int {
	t.Helper()
	var n int
	if err := pool.QueryRow(context.Background(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpen_ErrorNamesThePlaceAndNeverThePassword(t *testing.T) {
	t.Parallel()
	_, err := pg.Open(context.Background(), "postgres://kiosk:hunter2@127.0.0.1:1/shop", pg.Options{})
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Fatalf("err = %v", err)
	}
	if _, err = pg.Open(context.Background(), "postgres://kiosk:hunter2@%zz/shop", pg.Options{}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("err = %v", err)
	}
}
