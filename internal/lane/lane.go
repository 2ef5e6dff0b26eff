// Package lane runs keyed work: one thing at a time per key, many keys in
// parallel, in one process.
//
// The inbox, the outbox and the generations all keep their work in rows with a
// due time, and all need the same loop around them: find the keys that have
// work due, run each key on its own, look again at once when more may be there,
// and otherwise wait for a wake-up, for the next due time that is known, or for
// the next poll. The truth is always in the rows; a lost wake-up costs one poll,
// never a piece of work.
//
// A key with much work makes room: once it has worked for a while and no worker is
// free, it stands back until those who wait have begun.
//
// The package stores nothing. Errors that are marked with a trace are logged with it.
package lane

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"kiosk/internal/trace"
)

// Config describes one kind of work. All fields but Log and
// Metrics are required.
type Config[K comparable] struct {
	Name    string
	Workers int           // keys that run at the same time
	Poll    time.Duration // how long a lost wake-up may go unnoticed

	// Due returns at most limit keys, leaving out those in busy: those that have
	// work due now, most urgent first, and then those that will have within Poll,
	// soonest first. Without the latter postponed work waits for the poll.
	Due func(ctx context.Context, busy []K, limit int) ([]Due[K], error)

	// Work does one piece of a key's work and reports whether the key may have
	// more. It is never called twice at the same time for one key. After an
	// error the key rests until the next poll.
	Work func(ctx context.Context, key K) (more bool, err error)

	Log     *slog.Logger
	Metrics *Metrics
}

// Due is a key that has work.
type Due[K comparable] struct {
	Key K
	In  time.Duration // until it is due; 0 or less: now
}

// turn is how long a key may work when no worker is free.
const turn = 50 * time.Millisecond

// Runner runs one kind of work. Create it with New; Run it once at a time.
type Runner[K comparable] struct {
	cfg  Config[K]
	wake chan struct{}

	mu      sync.Mutex
	busy    map[K]bool
	resting map[K]bool // failed; not before the next poll
	back    map[K]bool // had their turn; not before the others, or the next poll
}

// New checks the configuration.
func New[K comparable](cfg Config[K]) (*Runner[K], error) {
	if cfg.Name == "" || cfg.Workers < 1 || cfg.Poll <= 0 || cfg.Due == nil || cfg.Work == nil {
		return nil, errors.New("lane: name, workers, poll, due and work are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	return &Runner[K]{
		cfg: cfg, wake: make(chan struct{}, 1),
		busy: map[K]bool{}, resting: map[K]bool{}, back: map[K]bool{},
	}, nil
}

// Wake says that work may be due. It never blocks; wake-ups that come together
// count as one.
func (r *Runner[K]) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, lets the pieces under way finish, and returns. The
// pieces get hard, which should outlive ctx and end when they must stop, too.
func (r *Runner[K]) Run(ctx, hard context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	slots := make(chan struct{}, r.cfg.Workers)
	r.cfg.Metrics.workers.WithLabelValues(r.cfg.Name).Set(float64(r.cfg.Workers))
	poll := time.NewTicker(r.cfg.Poll)
	defer poll.Stop()
	soon := time.NewTimer(r.cfg.Poll)
	defer soon.Stop()
	for {
		soon.Stop()
		if in := r.scan(ctx, hard, slots, &workers); in > 0 {
			soon.Reset(in)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-soon.C:
		case <-poll.C:
			r.rested()
		}
	}
}

// scan starts a worker for every due key while there is a free slot, last for
// those that had their turn. It returns when the next key will be due, 0 for not
// known: then a finishing worker or the poll leads to the next scan.
func (r *Runner[K]) scan(ctx, hard context.Context, slots chan struct{}, workers *sync.WaitGroup) (soonest time.Duration) {
	for range 2 {
		free := cap(slots) - len(slots)
		if ctx.Err() != nil {
			return 0
		}
		if free == 0 {
			r.scanned("full")
			return 0
		}
		keys, err := r.cfg.Due(ctx, r.taken(), free)
		if err != nil {
			if ctx.Err() == nil {
				r.scanned("failed")
				r.cfg.Log.WarnContext(ctx, "due work not read", "lane", r.cfg.Name, "error", err.Error())
			}
			return 0
		}
		r.scanned("done")
		for _, d := range keys {
			if d.In <= 0 {
				r.begin(ctx, hard, d.Key, slots, workers)
			}
		}
		soonest = nearest(keys)
		if len(slots) == cap(slots) || !r.nextTurn() {
			break
		}
	}
	return soonest
}

func (r *Runner[K]) scanned(outcome string) {
	r.cfg.Metrics.scans.WithLabelValues(r.cfg.Name, outcome).Inc()
}

// nearest is at least a millisecond: two clocks take part.
func nearest[K comparable](keys []Due[K]) (in time.Duration) {
	for _, d := range keys {
		if d.In > 0 && (in == 0 || d.In < in) {
			in = max(d.In, time.Millisecond)
		}
	}
	return in
}

func (r *Runner[K]) begin(ctx, hard context.Context, k K, slots chan struct{}, workers *sync.WaitGroup) {
	r.mu.Lock()
	r.busy[k] = true
	r.mu.Unlock()
	slots <- struct{}{}
	workers.Go(func() {
		r.drain(ctx, hard, k, slots)
		<-slots
		r.Wake()
	})
}

// drain works on one key until it has nothing more, or has to stand back.
func (r *Runner[K]) drain(ctx, hard context.Context, k K, slots <-chan struct{}) {
	busy := r.cfg.Metrics.busy.WithLabelValues(r.cfg.Name)
	busy.Inc()
	defer busy.Dec()
	began := time.Now()
	more, err := true, error(nil)
	for more && err == nil && ctx.Err() == nil {
		start := time.Now()
		more, err = r.cfg.Work(hard, k)
		r.cfg.Metrics.worked(r.cfg.Name, start, err)
		if len(slots) == cap(slots) && time.Since(began) >= turn {
			break
		}
	}
	if err != nil && hard.Err() == nil {
		r.cfg.Log.WarnContext(trace.Blame(hard, err), "work failed", "lane", r.cfg.Name, "key", k, "error", err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, k)
	switch {
	case err != nil:
		r.resting[k] = true
	case more:
		r.back[k] = true
	}
}

// taken lists the keys that a scan must leave alone.
func (r *Runner[K]) taken() []K {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]K, 0, len(r.busy)+len(r.resting)+len(r.back))
	for _, set := range []map[K]bool{r.busy, r.resting, r.back} {
		keys = slices.AppendSeq(keys, maps.Keys(set))
	}
	return keys
}

// nextTurn lets those go on that had their turn, and reports that there are any.
func (r *Runner[K]) nextTurn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	some := len(r.back) > 0
	clear(r.back)
	return some
}

// rested lets everybody go on, for nobody may stand back for ever.
func (r *Runner[K]) rested() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.resting)
	clear(r.back)
}
