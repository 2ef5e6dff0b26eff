package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/admin"
	"kiosk/internal/app"
	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
)

// hasty looks ten times a second and damps a hundred times less: a minute is 0.6 s.
var hasty = app.Watch{
	Alerts:  admin.Pace{Every: 100 * time.Millisecond, Factor: 0.01},
	Outside: 100 * time.Millisecond, Audit: 200 * time.Millisecond, Snapshot: 50 * time.Millisecond,
}

// duty is a world with an operator in it.
type duty struct {
	*apptest.World
	t    *testing.T
	pool *pgxpool.Pool
	boss *apptest.Person
}

// onDuty makes a world whose operator presses START as soon as an instance serves.
func onDuty(t *testing.T) *duty {
	t.Helper()
	w := apptest.New(t)
	w.Watch = hasty
	d := &duty{World: w, t: t, pool: pgtest.Pool(t, w.Database), boss: w.Person("Root", "en")}
	d.boss.Say("/start")
	return d
}

// settings name the operator, and one who has never written to the bot.
func (d *duty) settings(change ...string) map[string]string {
	values := map[string]string{"ADMIN_IDS": fmt.Sprintf("%d,999", d.boss.ID)}
	for i := 0; i < len(change); i += 2 {
		values[change[i]] = change[i+1]
	}
	return values
}

func (d *duty) exec(sql string) {
	d.t.Helper()
	if _, err := d.pool.Exec(context.Background(), sql); err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
}

// locked runs a statement and keeps its locks until free.
func (d *duty) locked(sql string) (free func()) {
	d.t.Helper()
	conn, err := pgx.Connect(context.Background(), d.Database)
	if err == nil {
		_, err = conn.Exec(context.Background(), "BEGIN;"+sql)
	}
	if err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
	free = sync.OnceFunc(func() { _ = conn.Close(context.Background()) })
	d.t.Cleanup(free)
	return free
}

const fires, over = "🔴", "🟢"

// hears waits until the operator's chat shows the beginning or the end of an alert.
func (d *duty) hears(mark, id string) {
	d.t.Helper()
	d.boss.WaitText(mark, id)
}

// heard counts the messages about an alert.
func (d *duty) heard(mark, id string) int {
	n := 0
	for line := range strings.Lines(d.boss.Chat()) { // one for each message
		if strings.Contains(line, mark) && strings.Contains(line, id) {
			n++
		}
	}
	return n
}

// trouble is what makes an alert fire, and what ends it.
type trouble struct {
	id         string
	cause, end func(*duty)
}

func sql(id, cause, end string) trouble {
	return trouble{id, func(d *duty) { d.exec(cause) }, func(d *duty) { d.exec(end) }}
}

// inTheDatabase are the troubles that can be seen there.
func inTheDatabase() []trouble {
	return []trouble{
		sql("KioskTakeovers",
			`INSERT INTO singleton_event (name, epoch, kind, instance, detail) SELECT 'kiosk', 1, 'takeover', 'x', 'heartbeat' FROM generate_series(1, 2)`,
			`UPDATE singleton_event SET at = at - interval '2 hours' WHERE kind = 'takeover'`),
		sql("KioskTwoActive",
			`INSERT INTO admin_presence (instance, epoch, seen_at) VALUES ('frozen', 1, clock_timestamp() + interval '1 hour')`,
			`DELETE FROM admin_presence WHERE instance = 'frozen'`),
		sql("KioskUpdatesWaiting",
			`INSERT INTO inbox_messages (source, key, lane, body, received_at) VALUES ('nobody', 'w', '7', '', clock_timestamp() - interval '2 minutes')`,
			`DELETE FROM inbox_messages WHERE key = 'w'`),
		sql("KioskUpdatesFailed",
			`INSERT INTO inbox_messages (source, key, lane, body, state) VALUES ('telegram', 'f', '7', '', 'failed')`,
			`UPDATE inbox_messages SET due_at = due_at - interval '2 hours' WHERE key = 'f'`),
		sql("KioskGenerationsStuck", // every attempt to move it fails
			`CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
			CREATE TRIGGER broken BEFORE UPDATE ON generations FOR EACH ROW EXECUTE FUNCTION broken();
			INSERT INTO generations (id, request_key, user_id, chat_id, language, model, params, price, cost_micros, state, task_id, due_at)
			VALUES (gen_random_uuid(), 'stuck', 7, 7, 'en', 'z-image', '{}', 0, 1, 'running', 'stuck', clock_timestamp() - interval '10 minutes')`,
			`DROP TRIGGER broken ON generations; DELETE FROM generations WHERE request_key = 'stuck'`),
		sql("KioskDeliveriesWaiting",
			`INSERT INTO outbox_messages (chat_id, kind, args, created_at, due_at)
			VALUES (7, 'bot.message', '{}', clock_timestamp() - interval '5 minutes', clock_timestamp() + interval '1 hour')`,
			`DELETE FROM outbox_messages WHERE chat_id = 7`),
		sql("KioskDeliveriesUnknown",
			`INSERT INTO outbox_messages (chat_id, kind, args, state, finished_at)
			SELECT 8, 'bot.message', '{}', 'unknown', clock_timestamp() FROM generate_series(1, 6)`,
			`UPDATE outbox_messages SET finished_at = finished_at - interval '2 hours' WHERE chat_id = 8`),
		sql("KioskHoldsOverdue",
			`SELECT ledger_hold('late', 7, 'RUB', 0, clock_timestamp() - interval '1 hour')`, `SELECT ledger_close('late', 'release', 0, '')`),
		sql("KioskLedgerDefect",
			`ALTER TABLE ledger_accounts DISABLE TRIGGER ALL; UPDATE ledger_accounts SET balance = balance + 1 WHERE kind = 'bonus'`,
			`UPDATE ledger_accounts SET balance = balance - 1 WHERE kind = 'bonus'; ALTER TABLE ledger_accounts ENABLE TRIGGER ALL`),
		sql("KioskMigrationsPending",
			`CREATE TABLE kept AS SELECT * FROM migration_history ORDER BY number DESC LIMIT 1;
			DELETE FROM migration_history WHERE number = (SELECT number FROM kept)`,
			`INSERT INTO migration_history SELECT * FROM kept`),
	}
}

func kieFails(id string, f kiesim.Fault) trouble {
	return trouble{id, func(d *duty) { kieFault(d.t, d.World, f) }, func(d *duty) { d.Kie.ClearFaults() }}
}

func telegramFails(id string, f telegramsim.Fault) trouble {
	return trouble{id, func(d *duty) { telegramFault(d.t, d.World, f) }, func(d *duty) { d.Telegram.ClearFaults() }}
}

// outside are the troubles of others, each in a world of its own.
func outside() []trouble {
	noCredits := kieFails("KioskProviderOutOfCredits", kiesim.Fault{Method: "createTask", Action: "fail", Code: 402})
	noCredits.cause = func(d *duty) {
		kieFault(d.t, d.World, kiesim.Fault{Method: "createTask", Action: "fail", Code: 402})
		d.Person("Ada", "en").Order("Pictures", "Z-Image", "a fox")
	}
	unreachable := telegramFails("KioskWebhookErrors", telegramsim.Fault{Method: "webhook", Action: "drop_before"})
	unreachable.cause = func(d *duty) {
		telegramFault(d.t, d.World, telegramsim.Fault{Method: "webhook", Action: "drop_before"})
		d.boss.Say("/balance")
	}
	return []trouble{
		noCredits, unreachable, full(), late(),
		kieFails("KioskProviderKeyRefused", kiesim.Fault{Method: "credit", Action: "fail", Code: 401, Count: 3}),
		kieFails("KioskProviderErrors", kiesim.Fault{Method: "credit", Action: "fail", Code: 455}),
		telegramFails("KioskBotAPIErrors", telegramsim.Fault{Method: "getWebhookInfo", Action: "html"}),
	}
}

// full is a database that takes no updates.
func full() trouble {
	var free func()
	return trouble{"KioskUpdatesRefused", func(d *duty) {
		free = d.locked(`LOCK TABLE inbox_messages IN EXCLUSIVE MODE`)
		for i := range 15 {
			d.Person(fmt.Sprint("P", i), "en").Say("hello")
		}
	}, func(*duty) { free() }}
}

// late is a heartbeat that waits for somebody's lock.
func late() trouble {
	var free func()
	return trouble{"KioskHeartbeatLate", func(d *duty) {
		free = d.locked(`SELECT 1 FROM singleton_lease FOR UPDATE`)
		waitZero(d.t, d.pool, "the late heartbeat was not noticed", `SELECT 1 - count(*) FROM admin_alerts WHERE id = 'KioskHeartbeatLate' AND firing`)
	}, func(*duty) { free() }}
}

// atStart are shown by TestAlerts_AboutStarts.
func atStart() []string {
	return []string{"KioskNobodyActive", "KioskStartupSlow", "KioskProviderCreditsLow"}
}

func TestAlerts_EveryConditionIsCausedBySomeTest(t *testing.T) {
	t.Parallel()
	caused := atStart()
	for _, x := range append(inTheDatabase(), outside()...) {
		caused = append(caused, x.id)
	}
	for _, c := range admin.Conditions() {
		if !slices.Contains(caused, c.ID) {
			t.Errorf("no test causes %s", c.ID)
		}
	}
}

// One look at the database shows all of these at once: each is said once, and
// once more when it is over.
func TestAlerts_WhatIsInTheDatabaseIsSaidAndEnds(t *testing.T) {
	t.Parallel()
	d := onDuty(t)
	d.Start(quick, d.settings())
	d.boss.WaitText("100 ₽")
	for _, x := range inTheDatabase() {
		x.cause(d)
	}
	for _, x := range inTheDatabase() {
		d.hears(fires, x.id)
	}
	for _, x := range inTheDatabase() {
		x.end(d)
	}
	for _, x := range inTheDatabase() {
		d.hears(over, x.id)
		if n, m := d.heard(fires, x.id), d.heard(over, x.id); n != 1 || m != 1 {
			t.Errorf("%s: said %d times that it fires, %d times that it is over", x.id, n, m)
		}
	}
	waitZero(t, d.pool, "the operator who never wrote was written to in vain more than once for each",
		`SELECT count(*) FROM outbox_messages WHERE chat_id = 999 AND (state <> 'refused' OR attempts <> 1)`)
}

func TestAlerts_WhatOthersDoIsSaidAndEnds(t *testing.T) {
	t.Parallel()
	for _, x := range outside() {
		t.Run(x.id, func(t *testing.T) {
			t.Parallel()
			d := onDuty(t)
			d.Start(quick, d.settings())
			d.boss.WaitText("100 ₽")
			x.cause(d)
			d.hears(fires, x.id)
			x.end(d)
			d.hears(over, x.id)
		})
	}
}

// What a start shows is said by the instance that started, and its end by the
// next one.
func TestAlerts_AboutStarts(t *testing.T) {
	t.Parallel()
	d := onDuty(t)
	_, stop := d.Launch(quick, d.settings())
	d.boss.WaitText("100 ₽")
	stop()
	d.exec(`UPDATE admin_presence SET seen_at = seen_at - interval '5 minutes'`)
	free := d.locked(`SELECT pg_advisory_lock(` + migrateKey + `)`)
	time.AfterFunc(10500*time.Millisecond, free) // longer than a start may take
	_, stop = d.Launch(quick, d.settings("LOW_CREDITS", "20000"))
	for _, id := range atStart() {
		d.hears(fires, id)
	}
	d.hears(over, "KioskNobodyActive")
	stop()
	d.Start(quick, d.settings("LOW_CREDITS", "1000"))
	for _, id := range atStart() {
		d.hears(over, id)
		if n := d.heard(fires, id); n != 1 {
			t.Errorf("%s was said %d times", id, n)
		}
	}
}

// migrateKey is the lock under which the schema is changed.
const migrateKey = "7739839976127162727"

// A new ACTIVE instance neither repeats what its predecessor said nor forgets to
// say that it is over; each operator reads their own language.
func TestAlerts_NothingIsSaidTwiceAfterATakeover(t *testing.T) {
	t.Parallel()
	d := onDuty(t)
	olga := d.Person("Ольга", "ru")
	olga.Say("/start")
	settings := d.settings()
	settings["ADMIN_IDS"] += fmt.Sprintf(",%d", olga.ID)
	_, stop := d.Launch(quick, settings)
	d.boss.WaitText("100 ₽")
	olga.WaitText("100 ₽")
	waiting, failed := inTheDatabase()[2], inTheDatabase()[3]
	waiting.cause(d)
	d.hears(fires, waiting.id)
	olga.WaitText("🔴 Обновления ждут обработки", "тревога выше 60 с")
	stop()
	d.Start(quick, settings)
	failed.cause(d) // once this is said, the new instance has looked at everything
	d.hears(fires, failed.id)
	if n := d.heard(fires, waiting.id); n != 1 {
		t.Errorf("%s was said %d times", waiting.id, n)
	}
	waiting.end(d)
	d.hears(over, waiting.id)
	olga.WaitText("🟢 Прошло: Обновления ждут обработки")
}
