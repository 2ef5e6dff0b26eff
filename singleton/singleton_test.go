package singleton_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/pg/pgtest"
	"kiosk/singleton"
)

// patience bounds every wait for an event. Reaching it fails the test.
const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// until waits for a condition that no event announces.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// database returns a database with the lock's tables and one with a counter that
// fenced work increments.
func database(t *testing.T) (url string, pool *pgxpool.Pool) {
	t.Helper()
	url = pgtest.Empty(t)
	ctx := within(t)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := singleton.Bootstrap(ctx, conn); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, `CREATE TABLE effects (epoch bigint)`); err != nil {
		t.Fatal(err)
	}
	pool, err = pgxpool.New(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return url, pool
}

// member is one instance in the competition.
type member struct {
	*singleton.Elector
	url   string
	terms chan *singleton.Term
	stop  context.CancelFunc
	done  chan error
}

func join(t *testing.T, url, name string, change func(*singleton.Config)) *member {
	t.Helper()
	cfg := singleton.Config{
		Name: "lock", URL: url, Instance: name, WorkApplicationName: "work-" + name,
		Heartbeat: 100 * time.Millisecond, StaleHeartbeat: 2 * time.Second,
		Exit: func(int) { t.Error("the process would have ended") },
	}
	if change != nil {
		change(&cfg)
	}
	e, err := singleton.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{e, url, make(chan *singleton.Term, 16), stop, make(chan error, 1)}
	go func() {
		m.done <- e.Run(ctx, func(ctx context.Context, term *singleton.Term) error {
			m.terms <- term
			<-ctx.Done()
			return nil
		})
		close(m.terms)
	}()
	t.Cleanup(func() {
		stop()
		<-m.done
	})
	return m
}

func (m *member) term(t *testing.T) *singleton.Term {
	t.Helper()
	select {
	case term := <-m.terms:
		return term
	case <-time.After(patience):
		t.Fatal("no term began")
		return nil
	}
}

func (m *member) leave(t *testing.T) {
	t.Helper()
	m.stop()
	select {
	case err := <-m.done:
		if err != nil {
			t.Fatal(err)
		}
		m.done <- nil // for the cleanup
	case <-time.After(patience):
		t.Fatal("the instance did not stop")
	}
}

func effect(ctx context.Context, term *singleton.Term, pool *pgxpool.Pool) error {
	return term.InTx(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO effects VALUES ($1)`, term.Epoch())
		return err
	})
}

func endSession(t *testing.T, pool *pgxpool.Pool, application string) {
	t.Helper()
	var n int
	err := pool.QueryRow(within(t), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()`, application).Scan(&n)
	if err != nil || n != 1 {
		t.Fatalf("ended %d sessions of %s, %v", n, application, err)
	}
}

func TestRun_OneOfManyIsActiveAndEachStopHandsOver(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	members := map[*member]bool{}
	started := make(chan *singleton.Term, 16)
	for _, name := range []string{"a", "b", "c"} {
		m := join(t, url, name, nil)
		members[m] = true
		go func() {
			for term := range m.terms {
				started <- term
			}
		}()
	}
	var last int64
	for range 3 {
		term := <-started
		if term.Epoch() <= last {
			t.Fatalf("epoch %d after %d", term.Epoch(), last)
		}
		if last > 0 && !term.Clean() {
			t.Fatal("the handover was clean, and the term says that it was not")
		}
		last = term.Epoch()
		var active []*member
		for m := range members {
			if m.Status().State == singleton.Active {
				active = append(active, m)
			}
		}
		if len(active) != 1 {
			t.Fatalf("%d instances were ACTIVE", len(active))
		}
		if err := effect(within(t), term, pool); err != nil {
			t.Fatal(err)
		}
		delete(members, active[0])
		active[0].leave(t)
	}
	events, err := singleton.History(within(t), pool, "lock", 10)
	if err != nil || len(events) != 6 || events[0].Kind != "released" || events[5].Kind != "acquired" {
		t.Fatalf("history %+v, %v", events, err)
	}
}

func TestRun_AnEndedSessionIsNoticedAndTheSuccessorFencesTheOldTerm(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", nil)
	old := a.term(t)
	b := join(t, url, "b", nil)
	if err := b.WaitState(within(t), singleton.Passive); err != nil {
		t.Fatal(err)
	}
	endSession(t, pool, "singleton/lock/a")
	next := b.term(t) // b waits in the lock's queue, and a has to connect first
	select {
	case <-old.Context().Done():
	case <-time.After(patience):
		t.Fatal("the holder did not notice that its session ended")
	}
	if cause := context.Cause(old.Context()); !errors.Is(cause, singleton.ErrLost) {
		t.Fatalf("cause = %v, want ErrLost", cause)
	}
	if err := effect(within(t), old, pool); !errors.Is(err, singleton.ErrLost) {
		t.Fatalf("the old term could still write: %v", err)
	}
	if err := effect(within(t), next, pool); err != nil {
		t.Fatal(err)
	}
	if next.Clean() {
		t.Fatal("the former holder did not release, and the term says that it did")
	}
}

// A process that believes in its term (its deadline has not passed, nobody told
// it) must be stopped by the fence alone.
func TestInTx_TheFenceStopsATermThatBelievesInItself(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", func(c *singleton.Config) { c.StaleHeartbeat = time.Hour })
	old := a.term(t)
	if _, err := pool.Exec(within(t), `UPDATE singleton_fence SET epoch = epoch + 1, term = gen_random_uuid()`); err != nil {
		t.Fatal(err)
	}
	if err := effect(within(t), old, pool); !errors.Is(err, singleton.ErrFenced) {
		t.Fatalf("err = %v, want ErrFenced", err)
	}
	select {
	case <-old.Context().Done(): // being fenced ends the term
	case <-time.After(patience):
		t.Fatal("the term goes on after it was fenced")
	}
	var n int
	if err := pool.QueryRow(within(t), `SELECT count(*) FROM effects`).Scan(&n); err != nil || n != 0 {
		t.Fatalf("%d effects, %v", n, err)
	}
}

// An open transaction of the old term keeps the fence. The successor ends the
// sessions that do the old holder's work, and the transaction never commits.
func TestRun_AnOpenTransactionOfTheOldTermNeverCommits(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*singleton.Config){
		"sessions known by name": nil,
		"transactions tagged":    func(c *singleton.Config) { c.WorkApplicationName = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			openTransactionNeverCommits(t, set)
		})
	}
}

func openTransactionNeverCommits(t *testing.T, set func(*singleton.Config)) {
	t.Helper()
	url, pool := database(t)
	a := join(t, url, "a", set)
	old := a.term(t)
	work, err := pgx.Connect(within(t), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = work.Close(context.Background()) })
	if _, err := work.Exec(within(t), `SET application_name = 'work-a'`); err != nil {
		t.Fatal(err)
	}
	b := join(t, url, "b", nil)
	if err := b.WaitState(within(t), singleton.Passive); err != nil {
		t.Fatal(err)
	}
	inside, goOn := make(chan struct{}), make(chan struct{})
	committed := make(chan error, 1)
	go func() {
		committed <- old.InTx(within(t), work, func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), `INSERT INTO effects VALUES (1)`)
			close(inside)
			<-goOn // frozen with the transaction open
			return err
		})
	}()
	<-inside
	endSession(t, pool, "singleton/lock/a")
	select { // whichever is faster: a campaigns again
	case <-b.terms:
	case <-a.terms:
	case <-time.After(patience):
		t.Fatal("nobody followed")
	}
	close(goOn)
	if err := <-committed; err == nil {
		t.Fatal("the old term committed after its successor had begun")
	}
	var n int
	if err := pool.QueryRow(within(t), `SELECT count(*) FROM effects`).Scan(&n); err != nil || n != 0 {
		t.Fatalf("%d stale effects, %v", n, err)
	}
}

// A ghost holds the lock and is registered, but does not beat.
func ghost(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(within(t), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	e := join(t, url, "probe", nil) // registers the lock's rows
	e.term(t)
	e.leave(t)
	var outcome string
	err = conn.QueryRow(within(t), `SELECT outcome FROM singleton_grant('lock', $1, 'session', 'ghost', '', '', 0, 1000, '', 0, 0)`, singleton.Key("lock")).Scan(&outcome)
	if err != nil || outcome != "acquired" {
		t.Fatalf("the ghost did not get the lock: %s %v", outcome, err)
	}
	return conn
}

func TestWatch_ASilentHolderIsTakenOver(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	conn := ghost(t, url)
	b := join(t, url, "b", nil)
	b.term(t)
	if err := conn.Ping(within(t)); err == nil {
		t.Fatal("the silent holder's session was not ended")
	}
	takeovers, err := singleton.ReadTakeovers(within(t), pool, "lock")
	if err != nil || takeovers.Heartbeat != 1 || takeovers.Last == nil {
		t.Fatalf("takeovers %+v, %v", takeovers, err)
	}
}

func TestWatch_ABeatingHolderIsNeverTakenOver(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", nil)
	term := a.term(t)
	for _, name := range []string{"b", "c", "d"} {
		join(t, url, name, nil)
	}
	// Many stale periods by count of beats, not by time: the holder must see them all.
	for {
		var beat int64
		if err := pool.QueryRow(within(t), `SELECT beat FROM singleton_lease`).Scan(&beat); err != nil {
			t.Fatal(err)
		}
		if beat > 50 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := term.Check(); err != nil {
		t.Fatal(err)
	}
}

// What holds the lock without being registered may be anybody: it is no victim.
func TestWatch_AnUnregisteredHolderIsLeftAlone(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	conn := ghost(t, url)
	if _, err := pool.Exec(within(t), `UPDATE singleton_lease SET pid = 1`); err != nil {
		t.Fatal(err)
	}
	b := join(t, url, "b", nil)
	if err := b.WaitState(within(t), singleton.Passive); err != nil {
		t.Fatal(err)
	}
	// Wait until the watcher has judged the holder stale at least once.
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) && b.Status().HeartbeatAge < 1900*time.Millisecond {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond)
	if err := conn.Ping(within(t)); err != nil {
		t.Fatalf("a session that is not registered was ended: %v", err)
	}
	if s := b.Status().State; s != singleton.Passive {
		t.Fatalf("state %s", s)
	}
}

func TestRun_StopWaitsForWorkBeforeTheRelease(t *testing.T) {
	t.Parallel()
	url, _ := database(t)
	var working atomic.Bool
	release := make(chan struct{})
	e, err := singleton.New(singleton.Config{Name: "lock", URL: url, Instance: "a", Heartbeat: 100 * time.Millisecond, StaleHeartbeat: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		_ = e.Run(ctx, func(ctx context.Context, term *singleton.Term) error {
			working.Store(true)
			<-ctx.Done()
			<-release // finishing takes its time, and the term holds meanwhile
			if err := term.Check(); err != nil {
				t.Errorf("the term ended before its work: %v", err)
			}
			working.Store(false)
			return nil
		})
	})
	if err := e.WaitState(within(t), singleton.Active); err != nil {
		t.Fatal(err)
	}
	b := join(t, url, "b", nil)
	stop()
	if err := e.WaitState(within(t), singleton.Draining); err != nil {
		t.Fatal(err)
	}
	close(release)
	b.term(t)
	if working.Load() {
		t.Fatal("the successor began while the former holder's work ran")
	}
	run.Wait()
}

func TestRun_WorkThatIgnoresTheLossEndsTheProcess(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	exits := make(chan int, 1)
	stuck := make(chan struct{})
	e, err := singleton.New(singleton.Config{
		Name: "lock", URL: url, Instance: "a", Heartbeat: 100 * time.Millisecond, StaleHeartbeat: time.Second,
		Exit: func(code int) { exits <- code },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- e.Run(ctx, func(context.Context, *singleton.Term) error {
			<-stuck
			return nil
		})
	}()
	if err := e.WaitState(within(t), singleton.Active); err != nil {
		t.Fatal(err)
	}
	endSession(t, pool, "singleton/lock/a")
	select {
	case <-exits:
	case <-time.After(patience):
		t.Fatal("the process did not end")
	}
	stop()
	close(stuck)
	<-done
}

func TestNew_RefusesTimersThatDoNotFit(t *testing.T) {
	t.Parallel()
	_, err := singleton.New(singleton.Config{Name: "x", URL: "postgres://", Heartbeat: 15 * time.Second, StaleHeartbeat: 45 * time.Second})
	if !errors.Is(err, singleton.ErrTimers) {
		t.Fatalf("err = %v, want ErrTimers", err)
	}
	for _, good := range [][2]time.Duration{{2 * time.Second, 10 * time.Second}, {15 * time.Second, 60 * time.Second}} {
		if err := singleton.CheckTimers(good[0], good[1], 2*time.Minute); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
}

func TestBootstrap_TenAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			conn, err := pgx.Connect(within(t), url)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close(context.Background())
			if err := singleton.Bootstrap(within(t), conn); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
