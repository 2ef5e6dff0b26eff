package acceptance_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/app/apptest"
	"kiosk/internal/generation"
	"kiosk/internal/pg/pgtest"
)

// world is a database, a simulated KIE, a tg-mock with the recorder before it,
// and, once started, the bot in polling mode.
type world struct {
	t      *testing.T
	inner  *apptest.World
	peer   *peer
	calls  *recorder
	pool   *pgxpool.Pool
	url    string // of the recorder
	faults []fault
}

// newWorld makes a world without the bot, to be scripted before it starts. At
// the end of the test, when the bot has stopped, all its calls are judged.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, inner: apptest.New(t), peer: startPeer(t)}
	w.calls = newRecorder(w.peer.url)
	server := httptest.NewServer(w.calls)
	t.Cleanup(server.Close)
	w.url, w.pool = server.URL, pgtest.Pool(t, w.inner.Database)
	t.Cleanup(w.judge)
	return w
}

// start starts the bot and returns when it polls.
func (w *world) start() {
	w.t.Helper()
	w.inner.Start(generation.Limits{FirstPoll: 50 * time.Millisecond}, map[string]string{
		"BOT_MODE": "polling", "TELEGRAM_API_URL": w.url,
		"WEBHOOK_BASE_URL": "", // as for an operator without a public address: KIE has nobody to call back
	})
}

// script makes tg-mock refuse calls.
func (w *world) script(f fault) {
	w.t.Helper()
	w.faults = append(w.faults, f)
	w.peer.script(f)
}

// judge asserts that both judges take every call, those excepted that a test
// has scripted to be refused.
func (w *world) judge() {
	calls, _ := w.calls.all()
	for _, c := range calls {
		if !c.taken() && !w.scripted(c) {
			w.t.Errorf("tg-mock refused:\n%s", transcript([]call{c}))
		}
		if err := judge(c); err != nil {
			w.t.Errorf("telego's parameters refused: %v\n%s", err, transcript([]call{c}))
		}
	}
}

func (w *world) scripted(c call) bool {
	return slices.ContainsFunc(w.faults, func(f fault) bool {
		got := c.refusal()
		return f.Method == c.Method && f.Response.Code == got.Code && f.Response.Description == got.Description
	})
}

// waitQuiet waits until nothing is left to do: all updates are acknowledged and
// handled, and all messages have ended. What has not been sent by then never will.
func (w *world) waitQuiet() {
	w.t.Helper()
	w.calls.wait(w.t, "the last acknowledgement", func([]call) bool { return w.peer.pending() == 0 })
	w.waitZero("updates not handled", `SELECT count(*) FROM inbox_messages WHERE state <> 'done'`)
	w.waitZero("generations not finished", `SELECT count(*) FROM generations WHERE finished_at IS NULL`)
	w.waitZero("messages not sent", `SELECT count(*) FROM outbox_messages WHERE state IN ('pending', 'sending')`)
}

// waitZero waits until a count is zero.
func (w *world) waitZero(what, sql string) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		n := one[int](w, sql)
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: %d", what, n)
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
}

// one reads one value.
func one[T any](w *world, sql string) T {
	w.t.Helper()
	rows, err := w.pool.Query(context.Background(), sql)
	if err != nil {
		w.t.Fatal(err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return v
}
