package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/app/apptest"
	"kiosk/internal/console"
	"kiosk/internal/pg/pgtest"
)

// delay makes a person's updates wait, for handling them needs the session's row,
// until the returned function is called.
func delay(t *testing.T, w *apptest.World, p *apptest.Person) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.Database) // a session that may idle in its transaction
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) }) // rolls back
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tag, err := tx.Exec(t.Context(), `SELECT FROM bot_sessions WHERE user_id = $1 FOR UPDATE`, p.ID)
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("lock the session: %s %v", tag, err)
	}
	return func() {
		t.Helper()
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// updatesOf is a part of a statement: the inbox rows of one person.
func updatesOf(p *apptest.Person) string {
	return fmt.Sprintf(`inbox_messages WHERE source = 'telegram' AND lane = '%d'`, p.ID)
}

// handled returns when a person's newest update was done.
func handled(t *testing.T, pool *pgxpool.Pool, p *apptest.Person) time.Time {
	t.Helper()
	waitZero(t, pool, "the updates are pending", `SELECT count(*) FROM `+updatesOf(p)+` AND state = 'pending'`)
	return one[time.Time](t, pool, `SELECT max(done_at) FROM `+updatesOf(p))
}

// Three hundred people write at once while the handling of one of them hangs. All
// others get their answer, and that one gets it when the trouble is over.
func TestCrowd_OneSlowPersonHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const others = 299
	w := apptest.New(t)
	w.Start(quick, nil)
	pool := pgtest.Pool(t, w.Database)
	slow := w.Person("Slow", "en")
	slow.Say("/start")
	slow.WaitText("Hi, Slow!")
	waitZero(t, pool, "the greeting is pending", `SELECT count(*) FROM `+updatesOf(slow)+` AND state = 'pending'`)
	release := delay(t, w, slow)
	slow.Say("/balance")

	began := time.Now()
	crowd := make([]*apptest.Person, others)
	for i := range crowd {
		crowd[i] = w.Person(fmt.Sprintf("P%d", i), "en")
		crowd[i].Say("/start")
	}
	waitZero(t, pool, "updates of others are pending", fmt.Sprintf(
		`SELECT %d - count(*) FROM inbox_messages WHERE state = 'done' AND lane <> '%d'`, others, slow.ID))
	took := time.Since(began)
	for i, p := range crowd {
		p.WaitText(fmt.Sprintf("Hi, P%d!", i))
	}
	t.Logf("%d people handled within %s, greeted within %s", others, took, time.Since(began))
	if n := one[int](t, pool, `SELECT count(*) FROM `+updatesOf(slow)+` AND state = 'pending' AND attempts = 0`); n != 1 {
		t.Errorf("%d updates of the slow one wait without blame, want 1", n)
	}
	release()
	slow.WaitText("Balance: 100 ₽")
}

// One person's five hundred updates are handled one after another, and somebody
// who comes after them is not behind them.
func TestCrowd_AFloodIsNoQueueForOthers(t *testing.T) {
	t.Parallel()
	const flood = 500
	w := apptest.New(t)
	w.Start(quick, nil)
	pool := pgtest.Pool(t, w.Database)
	noisy, polite := w.Person("Noisy", "en"), w.Person("Polite", "en")
	noisy.Say("/start")
	noisy.WaitText("Hi, Noisy!")
	waitZero(t, pool, "the greeting is pending", `SELECT count(*) FROM `+updatesOf(noisy)+` AND state = 'pending'`)
	release := delay(t, w, noisy)
	for i := range flood {
		noisy.Say(fmt.Sprintf("wish %d", i))
	}
	waitZero(t, pool, "the flood is not stored", fmt.Sprintf(`SELECT %d - count(*) FROM `, flood)+updatesOf(noisy)+` AND state = 'pending'`)
	release()
	waitZero(t, pool, "the flood does not flow", `SELECT 2 - least(2, count(*)) FROM `+updatesOf(noisy)+` AND state = 'done'`) // one is /start
	polite.Say("/start")
	polite.WaitText("Hi, Polite!")
	came, through := handled(t, pool, polite), handled(t, pool, noisy)
	before := one[int](t, pool, `SELECT count(*) FROM `+updatesOf(noisy)+` AND done_at < '`+came.Format(time.RFC3339Nano)+`'`)
	if before > flood/2 || !came.Before(through) {
		t.Errorf("the polite one came behind %d of %d updates", before, flood)
	}
	t.Logf("handled after %d of %d updates of the flood", before, flood)
}

// poison makes the handling of every text with a word fail, as a mistake of ours
// would that only some content meets.
func poison(t *testing.T, pool *pgxpool.Pool, word string) {
	t.Helper()
	for _, sql := range []string{
		`CREATE FUNCTION choke() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'choked on it'; END $$`,
		`CREATE TRIGGER choke BEFORE INSERT ON outbox_messages FOR EACH ROW
			WHEN (NEW.args::text LIKE '%` + word + `%') EXECUTE FUNCTION choke()`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// An update that cannot be handled is tried five times, set aside with its error,
// and the person is told. What that person did after it is handled in order, and
// nobody else notices anything.
func TestCrowd_APoisonedUpdateIsSetAside(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	a := w.Start(quick, nil)
	pool := pgtest.Pool(t, w.Database)
	poison(t, pool, "arsenic")
	p, bystander := w.Person("Ada", "en"), w.Person("Bob", "en")
	texts := []string{"arsenic", "bread", "cheese", "dates"}
	for _, text := range texts {
		p.Say(text)
	}
	waitZero(t, pool, "no attempt has failed", `SELECT 1 - least(1, coalesce(max(attempts), 0)) FROM `+updatesOf(p))
	bystander.Say("/start")
	bystander.WaitText("Hi, Bob!")

	p.WaitText("Something went wrong on our side")
	p.WaitText("dates")
	if through := handled(t, pool, p); !handled(t, pool, bystander).Before(through) {
		t.Error("the bystander had to wait")
	}
	var order []string
	for line := range strings.Lines(p.Chat()) {
		for _, part := range append(texts, "Something went wrong") {
			if strings.HasPrefix(line, "bot: ") && strings.Contains(line, part) {
				order = append(order, part)
			}
		}
	}
	if got, want := strings.Join(order, ", "), "Something went wrong, bread, cheese, dates"; got != want {
		t.Errorf("answers in the order %s; want %s", got, want)
	}
	kept := one[string](t, pool, `SELECT attempts || ' attempts: ' || error FROM `+updatesOf(p)+` AND state = 'failed'`)
	if !strings.HasPrefix(kept, "5 attempts: ") || !strings.Contains(kept, "choked on it") {
		t.Errorf("kept is %q", kept)
	}
	if h := health(t, a.URL()); h.Inbox.Failed != 1 || h.Inbox.Pending != 0 {
		t.Errorf("health says %+v", h.Inbox)
	}
}

func health(t *testing.T, base string) (h console.Health) {
	t.Helper()
	resp, err := http.Get(base + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&h); err != nil {
		t.Fatal(err)
	}
	return h
}
