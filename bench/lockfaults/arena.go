package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/singleton"
)

// patience bounds every wait for an event. Reaching it is a failure.
const patience = 30 * time.Second

// arena is one database with the workers that compete for its lock, and the
// record of all that they said.
type arena struct {
	srv    *server
	name   string
	pooler string // host:port of a pooler in front of the server, "" for none
	admin  *pgxpool.Pool
	wall   int64 // wall time minus the shared clock, on this machine
	log    *syncedLog

	mu      sync.Mutex
	events  []event
	changed chan struct{} // closed and replaced at every event
	members []*member
	holder  *member // of the newest term
	epoch   int64   // the newest term that was heard of
	losses  int     // terms that were lost
	born    int     // names given

	restarted bool // the server was, and its fence refuses terms of before
}

func newArena(ctx context.Context, s *server, pooler string) (*arena, error) {
	a := &arena{
		srv: s, name: "arena_" + strings.ToLower(rand.Text()[:10]), pooler: pooler,
		wall: time.Now().UnixNano() - now(), changed: make(chan struct{}), log: &syncedLog{},
	}
	if err := a.create(ctx); err != nil {
		return nil, err
	}
	var err error
	a.admin, err = pgxpool.New(ctx, s.url(a.name))
	return a, err
}

func (a *arena) create(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, a.srv.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect to make an arena: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+a.name); err != nil {
		return fmt.Errorf("make an arena: %w", err)
	}
	own, err := pgx.Connect(ctx, a.srv.url(a.name))
	if err != nil {
		return err
	}
	defer own.Close(ctx)
	if err := singleton.Bootstrap(ctx, own); err != nil {
		return err
	}
	if _, err := own.PgConn().Exec(ctx, sqlTables).ReadAll(); err != nil {
		return fmt.Errorf("make the tables of the work: %w", err)
	}
	return nil
}

// heard keeps what a worker said.
func (a *arena) heard(e event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, e)
	if e.Kind == evTerm && e.Epoch > a.epoch {
		a.holder, a.epoch = e.member, e.Epoch
	}
	if e.Kind == evLost {
		a.losses++
	}
	close(a.changed)
	a.changed = make(chan struct{})
}

// calm is how many terms there were and how many were lost, up to now.
type calm struct {
	epoch  int64
	losses int
}

func (a *arena) calm() calm {
	a.mu.Lock()
	defer a.mu.Unlock()
	return calm{a.epoch, a.losses}
}

// unchanged is an error if a term was lost or a new one has begun.
func (a *arena) unchanged(was calm) error {
	switch is := a.calm(); {
	case is.losses != was.losses:
		e, _ := a.await(context.Background(), "a loss", 0, func(e *event) bool { // there is one
			if e.Kind == evLost {
				was.losses--
			}
			return was.losses < 0
		})
		return fmt.Errorf("%s lost its term: %s", e.member.name, e.Text)
	case is.epoch != was.epoch:
		return fmt.Errorf("term %d was followed by %d", was.epoch, is.epoch)
	}
	return nil
}

// mark is a place in the record.
func (a *arena) mark() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.events)
}

// await returns the first event from a mark on that fits.
func (a *arena) await(ctx context.Context, what string, from int, fits func(*event) bool) (event, error) {
	return a.awaitFor(ctx, patience, what, from, fits)
}

func (a *arena) awaitFor(ctx context.Context, limit time.Duration, what string, from int, fits func(*event) bool) (event, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		a.mu.Lock()
		news, changed := a.events[from:], a.changed
		a.mu.Unlock()
		for i := range news {
			if fits(&news[i]) {
				return news[i], nil
			}
		}
		from += len(news)
		select {
		case <-changed:
		case <-ctx.Done():
			return event{}, fmt.Errorf("waited for %s: %w", what, ctx.Err())
		}
	}
}

// current returns the holder of the newest term.
func (a *arena) current() (*member, int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.holder, a.epoch
}

// firstCommit waits for the first fenced commit of a term after epoch.
func (a *arena) firstCommit(ctx context.Context, from int, epoch int64) (event, error) {
	return a.await(ctx, fmt.Sprintf("the first commit after term %d", epoch), from, func(e *event) bool {
		return e.Kind == evWrite && e.Epoch > epoch && e.Text == outcomeOK
	})
}

// queued waits until so many sessions stand in the lock's queue.
func (a *arena) queued(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var waiting int
		err := a.admin.QueryRow(ctx, sqlQueued).Scan(&waiting)
		if err == nil && waiting >= n {
			return nil
		}
		if waitErr := pause(ctx, 2*time.Millisecond); waitErr != nil {
			return fmt.Errorf("waited for %d standbys in the queue, there are %d: %w", n, waiting, errors.Join(waitErr, err))
		}
	}
}

// history is one row of the lock's own history, on the shared clock.
type history struct {
	id       int64
	at       int64
	epoch    int64
	kind     string
	instance string
	detail   string
}

func (a *arena) history(ctx context.Context, after int64) ([]history, error) {
	rows, err := a.admin.Query(ctx, sqlEvents, after)
	if err != nil {
		return nil, err
	}
	var list []history
	var h history
	_, err = pgx.ForEachRow(rows, []any{&h.id, &h.at, &h.epoch, &h.kind, &h.instance, &h.detail}, func() error {
		h.at = h.at*1000 - a.wall
		list = append(list, h)
		return nil
	})
	return list, err
}

// lastHistory is the id of the newest row.
func (a *arena) lastHistory(ctx context.Context) (int64, error) {
	list, err := a.history(ctx, 0)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[len(list)-1].id, nil
}

// find returns the first row of a kind after id.
func (a *arena) find(ctx context.Context, after int64, kind string) (history, bool, error) {
	list, err := a.history(ctx, after)
	for _, h := range list {
		if h.kind == kind {
			return h, true, err
		}
	}
	return history{}, false, err
}

// age makes room in the budget of takeovers.
func (a *arena) age(ctx context.Context) error {
	_, err := a.admin.Exec(ctx, sqlAge)
	return err
}

// ready has n members, one of them working and the others queued, and a full budget.
func (a *arena) ready(ctx context.Context, n int, change func(*settings)) error {
	for len(a.alive()) < n {
		if _, err := a.join(ctx, change); err != nil {
			return err
		}
	}
	if _, err := a.await(ctx, "a first commit", 0, func(e *event) bool {
		return e.Kind == evWrite && e.Text == outcomeOK && e.member.p.running()
	}); err != nil {
		return err
	}
	if a.pooler == "" {
		if err := a.queued(ctx, n-1); err != nil {
			return err
		}
	}
	return a.age(ctx)
}

func (a *arena) alive() []*member {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []*member
	for _, m := range a.members {
		if m.p.running() {
			list = append(list, m)
		}
	}
	return list
}

// standby returns a member that runs and does not hold the lock.
func (a *arena) standby() *member {
	holder, _ := a.current()
	for _, m := range a.alive() {
		if m != holder {
			return m
		}
	}
	return nil
}

// stop ends all members, in order where possible.
func (a *arena) stop() {
	for _, m := range a.alive() {
		m.heal()
		m.wake()
		m.terminate()
	}
	for _, m := range a.alive() {
		select {
		case <-m.p.exited:
		case <-time.After(5 * time.Second):
			m.kill()
		}
	}
	for _, m := range a.members {
		m.close()
	}
}

func (a *arena) close() {
	a.stop()
	a.admin.Close()
}

func contains(text, part string) bool { return strings.Contains(text, part) }
