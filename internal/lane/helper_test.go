package lane_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kiosk/internal/lane"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// never is a poll that no test reaches: what happens before it was found
// without polling.
const never = 24 * time.Hour

// bench is a runner over work that is kept in memory, as rows are in a table.
type bench struct {
	*lane.Runner[string]
	t    *testing.T
	stop context.CancelFunc
	done chan struct{} // closed when Run has returned

	mu       sync.Mutex
	keys     []string             // in order of arrival
	due      map[string]int       // pieces that wait
	later    map[string]time.Time // their keys are not due before
	takes    time.Duration        // how long a piece takes that is not held
	underWay map[string]int
	worked   []string              // keys of the finished pieces, in order
	scans    []int                 // the limits that Due was called with
	held     map[string]chan error // pieces of these keys wait for their outcome
}

// newBench returns a bench whose runner is not running yet. Change alters the
// configuration.
func newBench(t *testing.T, workers int, poll time.Duration, change func(*lane.Config[string])) *bench {
	t.Helper()
	b := &bench{t: t, due: map[string]int{}, later: map[string]time.Time{}, underWay: map[string]int{}, held: map[string]chan error{}, done: make(chan struct{})}
	cfg := lane.Config[string]{Name: "test", Workers: workers, Poll: poll, Due: b.find, Work: b.work}
	if change != nil {
		change(&cfg)
	}
	runner, err := lane.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Runner = runner
	return b
}

// run starts the runner. It ends with the test, or when stop is called.
func (b *bench) run(hard context.Context) {
	ctx, stop := context.WithCancel(b.t.Context())
	b.stop = stop
	go func() {
		defer close(b.done)
		b.Run(ctx, hard)
	}()
	b.t.Cleanup(b.end)
}

// end lets every piece go, for a failed test leaves some under way.
func (b *bench) end() {
	b.mu.Lock()
	for key, leave := range b.held {
		close(leave)
		delete(b.held, key)
	}
	b.mu.Unlock()
	<-b.done
}

// start is newBench and run with the defaults.
func start(t *testing.T, workers int, poll time.Duration) *bench {
	t.Helper()
	b := newBench(t, workers, poll, nil)
	b.run(context.WithoutCancel(t.Context()))
	return b
}

// hold makes the pieces of these keys wait for finish.
func (b *bench) hold(keys ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range keys {
		b.held[k] = make(chan error)
	}
}

// finish ends the key's piece under way, and waits for what follows from it.
func (b *bench) finish(key string, err error) {
	b.mu.Lock()
	leave := b.held[key]
	b.mu.Unlock()
	leave <- err
	synctest.Wait()
}

// add adds work without saying so.
func (b *bench) add(key string, pieces int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.keys, key) {
		b.keys = append(b.keys, key)
	}
	b.due[key] += pieces
}

// postpone makes the key's work due after d.
func (b *bench) postpone(key string, d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.later[key] = time.Now().Add(d)
}

func (b *bench) find(_ context.Context, busy []string, limit int) ([]lane.Due[string], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.scans = append(b.scans, limit)
	var found, soon []lane.Due[string]
	for _, k := range b.keys {
		d := lane.Due[string]{Key: k, In: time.Until(b.later[k])}
		switch {
		case b.due[k] == 0 || slices.Contains(busy, k):
		case d.In > 0:
			soon = append(soon, d)
		default:
			found = append(found, d)
		}
	}
	slices.SortFunc(soon, func(a, b lane.Due[string]) int { return cmp.Compare(a.In, b.In) })
	found = append(found, soon...)
	return found[:min(len(found), limit)], nil
}

func (b *bench) work(_ context.Context, key string) (more bool, err error) {
	b.mu.Lock()
	b.underWay[key]++
	leave, takes := b.held[key], b.takes
	b.mu.Unlock()
	if leave != nil {
		err = <-leave
	}
	time.Sleep(takes)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.underWay[key]--; b.underWay[key] == 0 {
		delete(b.underWay, key)
	}
	if err != nil {
		return true, err
	}
	b.due[key]--
	b.worked = append(b.worked, key)
	return b.due[key] > 0, nil
}

// wantUnderWay checks that exactly these pieces are under way once nothing
// happens any more.
func (b *bench) wantUnderWay(keys ...string) {
	b.t.Helper()
	synctest.Wait()
	want := map[string]int{}
	for _, k := range keys {
		want[k]++
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !maps.Equal(b.underWay, want) {
		b.t.Fatalf("under way are %v, want %v", b.underWay, want)
	}
}

// wantWorked checks which pieces were finished, in order, once nothing happens
// any more.
func (b *bench) wantWorked(keys ...string) {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.worked, keys) {
		b.t.Fatalf("finished %v, want %v", b.worked, keys)
	}
}

// ended reports whether Run has returned once nothing happens any more.
func (b *bench) ended() bool {
	synctest.Wait()
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// scanned counts the scans once nothing happens any more.
func (b *bench) scanned() int {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.scans)
}
