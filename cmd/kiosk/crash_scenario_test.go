package main

import (
	"bytes"
	"image"
	"image/png"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/app/apptest"
	"kiosk/internal/app/apptest/wire"
	"kiosk/internal/ledger"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/telegramsim"
)

// scenario is one run of a route with one crash, two, or none.
type scenario struct {
	route        route
	trap, second wire.Trap
}

func (s scenario) name() string {
	name := s.route.name
	for _, trap := range []wire.Trap{s.trap, s.second} {
		if trap.Side != "" {
			name += ": " + trap.String()
		}
	}
	return name
}

// end is what a scenario came to.
type end string

// The ends.
const (
	delivered end = "delivered"
	doubted   end = "delivered, and offered once more because Telegram's answer was lost"
	byButton  end = "delivered by the button that offers it"
	released  end = "failed honestly, nothing charged"
	curt      end = "failed honestly, told by the card alone because Telegram's answer was lost"
	missed    end = "point not reached"
	torn      end = "TORN STATE"
	skipped   end = "not run"
)

// stage is the world of one scenario, and the process that plays in it.
type stage struct {
	*apptest.World
	t       *testing.T
	pool    *pgxpool.Pool // past the proxy
	journal *wire.Journal
	door    *wire.Door
	env     map[string]string
	now     *process
	starts  int
	person  *apptest.Person
	route   route
	second  wire.Trap
	pressed bool // the button that offers a result
}

// run plays a scenario and returns how it ended and the points that it passed.
func (s scenario) run(t *testing.T) (end, []wire.Point) {
	st := newStage(t, s.route)
	st.second = s.second
	st.start()
	st.journal.Open(s.trap, st.killer())
	st.play()
	got := st.judge()
	if crashes := st.starts - 1; s.trap.Side != "" && crashes == 0 || s.second.Side != "" && crashes < 2 {
		got = missed
	}
	return got, st.journal.Points()
}

// killer ends the present process, and the door to it.
func (st *stage) killer() func() {
	victim := st.now
	return func() {
		victim.kill()
		st.door.Shut()
	}
}

// newStage puts proxies around everything that a process speaks with on the
// route. The lock and the migrations have connections of their own, past them.
func newStage(t *testing.T, r route) *stage {
	st := &stage{World: apptest.New(t), t: t, journal: wire.NewJournal(), door: wire.NewDoor(), route: r}
	st.pool = pgtest.Pool(t, st.Database)
	if !r.film {
		st.Kie.SetBaseURL(smallPictures(t))
	}
	calls := wire.HTTP(t, st.journal, wire.Fixed(t, st.SimURL), callLabel)
	st.env = st.Settings(wire.HTTP(t, st.journal, st.door.Target, hookLabel))
	st.env["DATABASE_URL"] = wire.Postgres(t, st.journal, st.Database, writers(t, st.pool))
	st.env["DATABASE_MIGRATE_URL"], st.env["LOCK_DATABASE_URL"] = st.Database, st.Database
	st.env["TELEGRAM_API_URL"], st.env["KIE_API_URL"] = calls, calls+"/kie"
	st.env["LOG_LEVEL"] = "error"
	// What the killed process had begun is judged once its trust in itself is over.
	st.env["LOCK_HEARTBEAT_SECONDS"], st.env["LOCK_STALE_HEARTBEAT_SECONDS"] = "1", "4"
	maps.Copy(st.env, r.settings)
	st.person = st.Person("Ada", "en")
	return st
}

// smallPictures serves every result of the provider: painting full ones, and
// making thumbnails of them, takes longer than all the rest of a scenario.
func smallPictures(t *testing.T) string {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 32, 32))); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(picture.Bytes()) // whoever asked may have left
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// writers are the functions that change something: the database knows them.
func writers(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT proname FROM pg_proc
		WHERE pronamespace = 'public'::regnamespace AND provolatile = 'v' AND prorettype <> 'trigger'::regtype AND proname <> 'singleton_check'`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(names) == 0 {
		t.Fatalf("writing functions: %v, %v", names, err)
	}
	return names
}

// callLabel names the calls that a process makes. What it tells Telegram about
// itself at every start is not part of a route, and a question for updates that
// brings none has no effect: the commit that stores them is a point.
func callLabel(r *http.Request) string {
	method := path.Base(r.URL.Path)
	switch {
	case method == "setWebhook", method == "deleteWebhook", method == "getUpdates", method == "getWebhookInfo", method == "credit",
		strings.HasPrefix(method, "setMy"):
		return ""
	case strings.HasPrefix(r.URL.Path, "/kie/"):
		return "kie " + method
	}
	return "telegram " + method
}

// hookLabel names the calls that reach a process, less their ids.
func hookLabel(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, "/callback/kie/") {
		return "callback kie"
	}
	return "webhook telegram"
}

// start starts a process and opens the door to it.
func (st *stage) start() {
	st.t.Helper()
	st.starts++
	st.now = launch(st.t, st.env)
	if err := st.door.Open(st.now.url); err != nil {
		st.t.Fatal(err)
	}
	until(st.t, "updates can arrive", st.registered)
}

func (st *stage) registered() bool {
	for _, c := range st.Telegram.Calls(0) {
		if c.Method == "setWebhook" || c.Method == "getUpdates" {
			return true
		}
	}
	return false
}

// settle waits until nobody has anything left to do. A process that was killed
// meanwhile is followed by the next.
func (st *stage) settle() {
	st.t.Helper()
	until(st.t, "all has settled", func() bool {
		select {
		case <-st.now.done:
			st.revive()
		default:
		}
		return st.settled()
	})
}

func (st *stage) revive() {
	st.t.Helper()
	select {
	case <-st.journal.Sprung():
	case <-st.Context().Done():
		st.t.Fatal("the process died by itself")
	}
	if st.starts == 1 { // the journal goes on with the next process
		st.journal.Again(wire.Trap{}, func() {})
	}
	st.start()
	if st.starts == 2 {
		st.journal.Again(st.second, st.killer())
	}
}

func (st *stage) settled() bool {
	for _, u := range st.Telegram.Updates() {
		if u.State == telegramsim.UpdatePending {
			return false
		}
	}
	for _, task := range st.Kie.Tasks() {
		if !task.Notified {
			return false
		}
	}
	var unfinished int
	err := st.pool.QueryRow(st.t.Context(), `SELECT
		(SELECT count(*) FROM inbox_messages WHERE state = 'pending') +
		(SELECT count(*) FROM outbox_messages WHERE state IN ('pending', 'sending')) +
		(SELECT count(*) FROM generations WHERE finished_at IS NULL)`).Scan(&unfinished)
	if err != nil {
		st.t.Fatal(err)
	}
	if unfinished > 0 {
		st.passGrace()
	}
	return unfinished == 0
}

// passGrace makes the grace of a lost submission pass, by ageing its row, once it
// is certain that no callback can come: the provider has no task at all.
func (st *stage) passGrace() {
	if len(st.Kie.Tasks()) == 0 {
		ageUnknown(st.t, st.pool)
	}
}

// ageUnknown makes the submissions whose answer was lost an hour older.
func ageUnknown(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `UPDATE generations SET created_at = created_at - age, submitted_at = submitted_at - age, due_at = due_at - age
		FROM (SELECT interval '1 hour' AS age) AS a WHERE state = 'unknown' AND submitted_at > clock_timestamp() - age`)
	if err != nil {
		t.Fatal(err)
	}
}

// judge finds out how a scenario ended and reports what is torn.
func (st *stage) judge() end {
	st.t.Helper()
	got := st.ending()
	settled := "captured"
	if got == released || got == curt {
		settled = "released"
	}
	acknowledged := len(st.Telegram.Updates())
	screens := acknowledged
	if st.pressed {
		screens-- // the button is answered with the file
	}
	st.wantNone("generations beside the one", `SELECT count(*) - 1 FROM generations`)
	st.wantNone("generations not ended", `SELECT count(*) FROM generations WHERE finished_at IS NULL`)
	st.wantNone("holds beside the one", `SELECT count(*) - 1 FROM ledger_holds`)
	st.wantNone("holds not "+settled, `SELECT count(*) FROM ledger_holds WHERE state <> $1`, settled)
	st.wantNone("updates acknowledged and not stored", `SELECT count(*) - $1::bigint FROM inbox_messages WHERE source = 'telegram'`, acknowledged)
	st.wantNone("updates not done", `SELECT count(*) FROM inbox_messages WHERE state <> 'done'`)
	st.wantNone("screens beside one for each update", `SELECT count(*) - $1::bigint FROM outbox_messages WHERE kind IN ('bot.message', 'bot.edit')`, screens)
	st.wantNone("messages neither sent nor in doubt", `SELECT count(*) FROM outbox_messages WHERE state NOT IN ('sent', 'unknown')`)
	st.wantNone("messages in doubt beside one for each crash", `SELECT greatest(count(*) - $1::bigint, 0) FROM outbox_messages WHERE state = 'unknown'`, st.starts-1)
	if defects, err := ledger.Audit(st.t.Context(), st.pool); err != nil || len(defects) > 0 {
		st.t.Errorf("audit: %v, %v", defects, err)
	}
	if tasks := len(st.Kie.Tasks()); tasks > 1 || tasks == 0 && settled == "captured" {
		st.t.Errorf("%d tasks were paid for and the order ended as %q", tasks, got)
	}
	if st.t.Failed() {
		st.t.Logf("the chat shows:\n%s", st.person.Chat())
		return torn
	}
	return got
}

// wantNone reports a count that is not zero.
func (st *stage) wantNone(what, count string, args ...any) {
	st.t.Helper()
	var n int
	if err := st.pool.QueryRow(st.t.Context(), count, args...).Scan(&n); err != nil || n != 0 {
		st.t.Errorf("%s: %d, %v", what, n, err)
	}
}

// ending reads the end from what the person sees.
func (st *stage) ending() end {
	files, offered, apology := st.person.Files(), st.shows("did not confirm"), st.shows("Nothing was charged")
	ready, failed := st.shows("Ready. Charged"), st.shows("❌")
	switch {
	case ready == failed || failed && (files > 0 || offered) || ready && (files != 1 || apology):
		st.t.Errorf("%d files, ready %t, failed %t, offered %t, apology %t", files, ready, failed, offered, apology)
		return torn
	case failed && !apology:
		return curt
	case failed:
		return released
	case st.pressed:
		return byButton
	case offered:
		return doubted
	}
	return delivered
}
