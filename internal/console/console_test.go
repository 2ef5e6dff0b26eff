package console_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"kiosk/internal/catalog"
	"kiosk/internal/console"
	"kiosk/internal/pg"
	"kiosk/singleton"
)

func TestReadyz_ActiveAndPassiveAreReady(t *testing.T) {
	t.Parallel()
	first := activeInstance(t)
	second := newInstance(t, options{database: first.database, name: "second"})
	second.campaign(t)
	second.reaches(t, singleton.Passive)
	first.wants(t, "/readyz", 200, map[string]any{"status": "ready", "lock": "ACTIVE"})
	second.wants(t, "/readyz", 200, map[string]any{"status": "ready", "lock": "PASSIVE"})
	for _, i := range []*instance{first, second} {
		i.wants(t, "/livez", 200, map[string]any{"status": "ok"})
	}
}

func TestReadyz_OutsideTheQueueIsNotReady(t *testing.T) {
	t.Parallel()
	i := newInstance(t, options{})
	i.wants(t, "/readyz", 503, map[string]any{"status": "not ready", "lock": "PROBING"})
	stop := i.campaign(t)
	i.reaches(t, singleton.Active)
	i.wants(t, "/readyz", 200, nil)
	stop()
	i.wants(t, "/readyz", 503, map[string]any{"lock": "STOPPED"})
	i.wants(t, "/livez", 200, nil)
}

func TestReadyz_StoppingIsNotReady(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	i.wants(t, "/readyz", 200, nil)
	i.Stopping()
	i.wants(t, "/readyz", 503, map[string]any{"status": "not ready", "reason": "stopping", "lock": "ACTIVE"})
	i.wants(t, "/livez", 200, nil)
	i.wants(t, "/health", 200, map[string]any{"status": "ok"})
}

func TestDatabaseGone_IsSaidAtOnceAndUntilItIsBack(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	i.wants(t, "/health", 200, map[string]any{"database.ok": true})
	i.gate.close()
	i.saysGone(t)
	i.gate.open()
	i.wants(t, "/readyz", 200, nil)
	i.wants(t, "/health", 200, map[string]any{"status": "ok", "database.ok": true})
}

// A database that says nothing is as bad as none, and may not keep those who ask.
func TestDatabaseSilent_IsSaidWithinThePatience(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	release := i.gate.hold(t)
	i.saysGone(t)
	release()
	i.wants(t, "/readyz", 200, nil)
}

// saysGone checks every page while the database does not answer and the lock is fine.
func (i *instance) saysGone(t *testing.T) {
	t.Helper()
	i.wants(t, "/readyz", 503, map[string]any{"status": "not ready", "reason": "the database does not answer", "lock": "ACTIVE"})
	i.wants(t, "/livez", 200, nil)
	hasFields(t, i.wants(t, "/health", 503, map[string]any{"status": "down", "database.ok": false, "lock.state": "ACTIVE", "version": "v1.2.3"}))
}

// troubled reports to its channel that the elector noted trouble.
type troubled chan struct{}

func (c troubled) log(cfg singleton.Config) singleton.Config {
	cfg.Log = slog.New(slog.NewTextHandler(writer(func(line string) {
		if strings.Contains(line, "lock trouble") {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}), nil))
	return cfg
}

type writer func(string)

func (w writer) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}

func TestLockTrouble_IsSaidWithoutItsText(t *testing.T) {
	t.Parallel()
	noted := make(troubled, 1)
	i := newInstance(t, options{
		lockURL: "postgres://kiosk:" + hidden + "@127.0.0.1:" + closedPort(t) + "/locks", log: noted.log,
	})
	i.campaign(t)
	select {
	case <-noted:
	case <-soon(t).Done():
		t.Fatal("the elector noted no trouble")
	}
	i.wants(t, "/readyz", 503, map[string]any{"reason": "the lock is in trouble"})
	body := i.wants(t, "/health", 200, map[string]any{"status": "degraded", "database.ok": true})
	because(t, body, console.LockTrouble)
	if text, ok := at(body, "lock.trouble"); !ok || text == "" || strings.Contains(text.(string), "127.0.0.1") {
		t.Errorf("lock.trouble is %v", text)
	}
}

// contract lists the names of /health that dashboards rely on.
const contract = `status version instance uptime_seconds
	lock.state lock.mode lock.epoch lock.holder lock.held_seconds lock.heartbeat_age_seconds
	lock.takeovers.total lock.takeovers.heartbeat lock.takeovers.idle lock.last_takeover
	migrations.applied migrations.pending migrations.verified
	database.ok database.latency_ms
	inbox.pending inbox.oldest_seconds inbox.failed
	generations.running generations.oldest_seconds generations.stuck
	models.enabled models.invalid
	startup_seconds.database startup_seconds.migrations startup_seconds.http startup_seconds.active startup_seconds.total`

// hasFields checks every name of the contract and the kind of its value.
func hasFields(t *testing.T, body map[string]any) {
	t.Helper()
	for path := range strings.FieldsSeq(contract) {
		value, ok := at(body, path)
		if !ok {
			t.Errorf("/health has no %s", path)
			continue
		}
		switch path {
		case "status", "version", "instance", "lock.state", "lock.mode", "lock.holder":
			_, ok = value.(string)
		case "migrations.verified", "database.ok":
			_, ok = value.(bool)
		case "lock.last_takeover":
			_, ok = value.(string)
			ok = ok || value == nil
		default:
			_, ok = value.(float64)
		}
		if !ok {
			t.Errorf("/health: %s is a %T", path, value)
		}
	}
}

func TestHealth_NamesAreAContract(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	i.Started(console.Startup{Database: 1.5, Migrations: 2.5, HTTP: 3.5, Active: 4.5, Total: 12})
	body := i.wants(t, "/health", 200, map[string]any{
		"status": "ok", "version": "v1.2.3", "instance": "first",
		"lock.state": "ACTIVE", "lock.mode": "session", "lock.epoch": 1.0, "lock.holder": "first",
		"lock.takeovers.total": 0.0, "lock.last_takeover": nil,
		"migrations.applied": migrations(t), "migrations.pending": 0.0, "migrations.verified": true,
		"database.ok": true, "inbox.pending": 0.0, "inbox.failed": 0.0, "generations.running": 0.0, "generations.stuck": 0.0,
		"models.enabled": float64(len(i.catalog.List(""))), "models.invalid": 0.0,
		"startup_seconds.database": 1.5, "startup_seconds.migrations": 2.5, "startup_seconds.http": 3.5,
		"startup_seconds.active": 4.5, "startup_seconds.total": 12.0,
	})
	hasFields(t, body)
	if latency, _ := at(body, "database.latency_ms"); latency.(float64) <= 0 {
		t.Errorf("database.latency_ms is %v", latency)
	}
}

// migrations returns how many files the schema has.
func migrations(t *testing.T) float64 {
	t.Helper()
	files, err := fs.ReadDir(pg.Migrations(), ".")
	if err != nil {
		t.Fatal(err)
	}
	return float64(len(files))
}

func TestHealth_PassiveNamesTheHolder(t *testing.T) {
	t.Parallel()
	first := activeInstance(t)
	second := newInstance(t, options{database: first.database, name: "second"})
	second.campaign(t)
	second.reaches(t, singleton.Passive)
	seen := time.NewTicker(20 * time.Millisecond) // the watcher announces nothing
	defer seen.Stop()
	for ctx := soon(t); second.elector.Status().Holder == ""; {
		select {
		case <-seen.C:
		case <-ctx.Done():
			t.Fatal("the watcher never saw the holder")
		}
	}
	second.wants(t, "/health", 200, map[string]any{
		"instance": "second", "lock.state": "PASSIVE", "lock.holder": "first", "lock.epoch": 1.0,
	})
}

// exec changes the database as other rooms and other times would have.
func (i *instance) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := i.pool.Exec(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestHealth_CountsWhatIsInTheDatabase(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	i.exec(t,
		`INSERT INTO inbox_messages (source, key, lane, body, state, received_at) VALUES
			('telegram', '1', '7', '', 'pending', clock_timestamp() - interval '1 hour'), ('telegram', '2', '7', '', 'pending', clock_timestamp()),
			('telegram', '3', '7', '', 'failed', clock_timestamp()), ('telegram', '4', '7', '', 'done', clock_timestamp())`,
		`INSERT INTO singleton_event (name, epoch, kind, instance, detail) VALUES
			('`+lockName+`', 1, 'takeover', 'x', 'heartbeat unchanged'), ('`+lockName+`', 2, 'takeover', 'x', 'heartbeat unchanged'),
			('`+lockName+`', 3, 'takeover', 'x', 'idle in transaction'), ('another lock', 3, 'takeover', 'x', 'idle in transaction')`,
		running("interval '0'"),
	)
	body := i.wants(t, "/health", 200, map[string]any{
		"status": "ok", "inbox.pending": 2.0, "inbox.failed": 1.0, "generations.running": 1.0, "generations.stuck": 0.0,
		"lock.takeovers.total": 3.0, "lock.takeovers.heartbeat": 2.0, "lock.takeovers.idle": 1.0,
	})
	oldest, _ := at(body, "inbox.oldest_seconds")
	if oldest.(float64) < 3600 {
		t.Errorf("inbox.oldest_seconds is %v, want an hour", oldest)
	}
	last, _ := at(body, "lock.last_takeover")
	if text, ok := last.(string); !ok || text == "" {
		t.Errorf("lock.last_takeover is %v", last)
	}
}

// running is a generation that runs since an hour and is due since the interval.
func running(overdue string) string {
	return `INSERT INTO generations (id, request_key, user_id, chat_id, language, model, params, price, cost_micros, state, task_id, created_at, due_at)
		VALUES (gen_random_uuid(), gen_random_uuid()::text, 7, 7, 'en', 'z-image', '{}', 1, 1, 'running', gen_random_uuid()::text,
			clock_timestamp() - interval '1 hour', clock_timestamp() - ` + overdue + `)`
}

func TestHealth_StuckGenerationDegrades(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	i.exec(t, running("interval '10 minutes'"))
	body := i.wants(t, "/health", 200, map[string]any{"status": "degraded", "generations.running": 1.0, "generations.stuck": 1.0})
	because(t, body, console.OrdersStuck)
	i.wants(t, "/readyz", 200, nil)
}

func TestHealth_UnverifiedSchemaDegrades(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	i.exec(t, `DELETE FROM migration_history WHERE number = (SELECT max(number) FROM migration_history)`)
	body := i.wants(t, "/health", 200, map[string]any{
		"status": "degraded", "migrations.applied": migrations(t) - 1, "migrations.pending": 1.0, "migrations.verified": false,
	})
	because(t, body, console.OtherSchema)
	changed := activeInstance(t)
	changed.exec(t, `UPDATE migration_history SET sha256 = 'other' WHERE number = 1`)
	changed.wants(t, "/health", 200, map[string]any{"status": "degraded", "migrations.pending": 0.0, "migrations.verified": false})
}

func TestHealth_UnreadablePartDegrades(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	i.exec(t, `ALTER TABLE inbox_messages RENAME TO elsewhere`)
	because(t, i.wants(t, "/health", 200, map[string]any{"status": "degraded", "database.ok": true}), console.NotReadable)
}

// because wants these reasons and no others.
func because(t *testing.T, body map[string]any, want ...console.Reason) {
	t.Helper()
	if got := fmt.Sprint(body["reasons"]); got != fmt.Sprint(want) {
		t.Errorf("the reasons are %s, want %s", got, want)
	}
}

func TestNew_RefusesMissingParts(t *testing.T) {
	t.Parallel()
	i := newInstance(t, options{})
	whole := i.Deps
	for name, remove := range map[string]func(*console.Deps){
		"pool":     func(d *console.Deps) { d.Pool = nil },
		"elector":  func(d *console.Deps) { d.Elector = nil },
		"migrator": func(d *console.Deps) { d.Migrator = nil },
		"catalog":  func(d *console.Deps) { d.Catalog = (*catalog.Catalog)(nil) },
		"lock":     func(d *console.Deps) { d.LockName = "" },
	} {
		d := whole
		remove(&d)
		if _, err := console.New(d); err == nil {
			t.Errorf("a console without its %s was built", name)
		}
	}
}
