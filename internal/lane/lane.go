// Package lane runs keyed work: one thing at a time per key, many keys in
// parallel, in one process.
//
// The inbox, the outbox and the generations all keep their work in rows with a
// due time, and all need the same loop around them: find the keys that have
// work due, run each key on its own, look again at once when more may be there,
// and otherwise wait for a wake-up or the next poll. The truth is always in the
// rows; a lost wake-up costs one poll, never a piece of work.
//
// The package stores nothing and imports nothing of ours.
package lane

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Config describes one kind of work. All fields but Log and
// Metrics are required.
type Config[K comparable] struct {
	Name    string
	Workers int           // keys that run at the same time
	Poll    time.Duration // how long a lost wake-up may go unnoticed

	// Due returns at most limit keys that have work due now, most urgent first,
	// leaving out those in busy.
	Due func(ctx context.Context, busy []K, limit int) ([]K, error)

	// Work does one piece of a key's work and reports whether the key may have
	// more. It is never called twice at the same time for one key. After an
	// error the key rests until the next poll.
	Work func(ctx context.Context, key K) (more bool, err error)

	Log     *slog.Logger
	Metrics *Metrics
}

// Runner runs one kind of work. Create it with New; Run it once at a time.
type Runner[K comparable] struct {
	cfg  Config[K]
	wake chan struct{}

	mu      sync.Mutex
	busy    map[K]bool
	resting map[K]bool // failed; not before the next poll
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
		busy: map[K]bool{}, resting: map[K]bool{},
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
	for {
		r.scan(ctx, hard, slots, &workers)
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-poll.C:
			r.rested()
		}
	}
}

// scan starts a worker for every due key while there is a free slot.
func (r *Runner[K]) scan(ctx, hard context.Context, slots chan struct{}, workers *sync.WaitGroup) {
	free := cap(slots) - len(slots)
	if ctx.Err() != nil {
		return
	}
	if free == 0 { // a finishing worker wakes the next scan
		r.cfg.Metrics.scans.WithLabelValues(r.cfg.Name, "full").Inc()
		return
	}
	keys, err := r.cfg.Due(ctx, r.taken(), free)
	if err != nil {
		if ctx.Err() == nil {
			r.cfg.Metrics.scans.WithLabelValues(r.cfg.Name, "failed").Inc()
			r.cfg.Log.Warn("due work not read", "lane", r.cfg.Name, "error", err.Error())
		}
		return
	}
	r.cfg.Metrics.scans.WithLabelValues(r.cfg.Name, "done").Inc()
	for _, k := range keys {
		r.mu.Lock()
		r.busy[k] = true
		r.mu.Unlock()
		slots <- struct{}{}
		workers.Go(func() {
			r.drain(ctx, hard, k)
			<-slots
			r.Wake()
		})
	}
}

// drain works on one key until it has nothing more.
func (r *Runner[K]) drain(ctx, hard context.Context, k K) {
	busy := r.cfg.Metrics.busy.WithLabelValues(r.cfg.Name)
	busy.Inc()
	defer busy.Dec()
	more, err := true, error(nil)
	for more && err == nil && ctx.Err() == nil {
		start := time.Now()
		more, err = r.cfg.Work(hard, k)
		r.cfg.Metrics.worked(r.cfg.Name, start, err)
	}
	if err != nil && hard.Err() == nil {
		r.cfg.Log.Warn("work failed", "lane", r.cfg.Name, "key", k, "error", err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, k)
	if err != nil {
		r.resting[k] = true
	}
}

// taken lists the keys that a scan must leave alone.
func (r *Runner[K]) taken() []K {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]K, 0, len(r.busy)+len(r.resting))
	for k := range r.busy {
		keys = append(keys, k)
	}
	for k := range r.resting {
		keys = append(keys, k)
	}
	return keys
}

func (r *Runner[K]) rested() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.resting)
}
