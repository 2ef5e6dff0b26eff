package smoke

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/singleton"
)

//go:embed sql/lock_clean.sql
var sqlLockClean string

//go:embed sql/lock_impatient.sql
var sqlLockImpatient string

// The timers of the scratch lock. The holder trusts itself for much longer than
// the standby waits, which no deployment can do, since a holder says for how long:
// that is removed here. So it still believes in itself when it has been replaced,
// and only the fence can refuse it.
const (
	scratchBeat  = 150 * time.Millisecond
	standbyStale = 1500 * time.Millisecond
	holderStale  = 10 * time.Second
)

// lock plays a whole life of the lock on a scratch name with the product's own
// code: a holder renews its heartbeat, falls silent, is found stale and is
// replaced; the fence refuses it although it believes in itself; its successor
// works and releases the lock.
func lock(ctx context.Context, r *run) (f finding) {
	name := "smoke/" + rand.Text()
	defer func() {
		if err := r.cleanLock(name); err != nil && f.status == Pass {
			f = fail(lockRowsStay, "%s", innermost(err))
		}
	}()
	line, err := newMute(ctx, r.LockDatabase)
	if err != nil {
		return fail(lockNotGranted, "%s", err)
	}
	holder := newPlayer(name, "smoke-holder", line.url(), holderStale)
	standby := newPlayer(name, "smoke-standby", r.LockDatabase, standbyStale)
	defer line.close()
	defer holder.leave()
	defer line.thaw() // a holder that leaves would wait for a silent database
	defer standby.leave()
	p := &play{r, name, line, holder, standby}
	return p.perform(ctx)
}

func (r *run) cleanLock(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := r.pool.Exec(ctx, sqlLockClean, name)
	return err
}

// player is one instance on the scratch lock.
type player struct {
	cfg     singleton.Config
	elector *singleton.Elector
	terms   chan *singleton.Term
	stop    context.CancelFunc
	done    sync.WaitGroup
}

func newPlayer(name, instance, address string, stale time.Duration) *player {
	return &player{terms: make(chan *singleton.Term, 1), stop: func() {}, cfg: singleton.Config{
		Name: name, URL: address, Instance: instance, Heartbeat: scratchBeat, StaleHeartbeat: stale,
		Exit: func(int) {}, // the work below ends when it is told
	}}
}

// term campaigns and returns the term that begins within the limit, nil for none.
func (p *player) term(ctx context.Context, limit time.Duration) (*singleton.Term, error) {
	if p.elector == nil {
		if err := p.campaign(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case t := <-p.terms:
		return t, nil
	case <-ctx.Done():
		return nil, nil
	}
}

func (p *player) campaign() (err error) {
	if p.elector, err = singleton.New(p.cfg); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.done.Go(func() {
		_ = p.elector.Run(ctx, func(ctx context.Context, t *singleton.Term) error { // how it ended is asked of the database
			select {
			case p.terms <- t:
			default: // a second term, which nobody waits for
			}
			<-ctx.Done()
			return nil
		})
	})
	return nil
}

// leave stops p and waits until it has released the lock or given up.
func (p *player) leave() {
	p.stop()
	p.done.Wait()
}

func (p *player) trouble() string {
	if p.elector == nil {
		return ""
	}
	return p.elector.Status().Trouble
}

// play is one performance.
type play struct {
	*run
	name            string
	line            *mute // of the holder
	holder, standby *player
}

func (p *play) perform(ctx context.Context) finding {
	began := time.Now()
	first, err := p.holder.term(ctx, 2*time.Second)
	if err != nil || first == nil {
		return fail(lockNotGranted, "%s", p.holder.trouble())
	}
	if err := p.standby.campaign(); err != nil {
		return fail(lockNotGranted, "%s", err)
	}
	if !p.beats(ctx, 3, 2*time.Second) {
		return fail(lockNoHeartbeat, "%s", p.holder.trouble())
	}
	p.line.silence()
	silent := time.Now()
	pause(ctx, 50*time.Millisecond) // a heartbeat may be on its way, which would say it again
	if _, err := p.pool.Exec(ctx, sqlLockImpatient, p.name); err != nil {
		return fail(lockNoTakeover, "%s", innermost(err))
	}
	second, _ := p.standby.term(ctx, standbyStale+2*time.Second)
	if second == nil {
		return fail(lockNoTakeover, "%s", p.standby.trouble())
	}
	replaced := time.Since(silent).Round(10 * time.Millisecond)
	if f := p.fence(ctx, first, second); f.status != Pass {
		return f
	}
	p.standby.leave()
	h, err := singleton.ReadHolding(ctx, p.pool, p.name)
	if err != nil || h.Held {
		return fail(lockNotReleased, "")
	}
	return pass("%s mode: granted, renewed, a silent holder replaced after %s, the old one fenced, released; %s in all",
		h.Mode, replaced, time.Since(began).Round(10*time.Millisecond))
}

// beats waits until the present term has had n heartbeats.
func (p *play) beats(ctx context.Context, n int64, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for ctx.Err() == nil {
		if h, err := singleton.ReadHolding(ctx, p.pool, p.name); err == nil && h.Held && h.Beats >= n {
			return true
		}
		pause(ctx, 50*time.Millisecond)
	}
	return false
}

// fence lets both terms write: the old one, which still trusts itself, must be
// refused by the database, and the new one must not.
func (p *play) fence(ctx context.Context, old, present *singleton.Term) finding {
	write := func(t *singleton.Term) error {
		return t.InTx(ctx, p.pool, func(pgx.Tx) error { return nil })
	}
	switch err := write(old); {
	case err == nil:
		return fail(lockNotFenced, "")
	case !errors.Is(err, singleton.ErrFenced):
		return fail(lockFenceFails, "%s", innermost(err))
	}
	if err := write(present); err != nil {
		return fail(lockFenceFails, "%s", innermost(err))
	}
	return pass("")
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
