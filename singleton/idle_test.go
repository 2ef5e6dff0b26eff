package singleton_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kiosk/singleton"
)

// always and never are what a holder's Waiting says.
func always(context.Context) (bool, error) { return true, nil }

// counted says yes, and counts how often it was asked.
func counted(n *atomic.Int64, err error) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) {
		n.Add(1)
		return err == nil, err
	}
}

// A holder whose heart beats while its work hangs gives up by itself, before a
// watcher would have to end it, and that counts as a takeover for idleness.
func TestIdle_AHolderWhoseWorkHangsIsReplaced(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", func(c *singleton.Config) { c.Waiting, c.StaleIdle = always, 2*time.Second })
	old := a.term(t)
	b := join(t, url, "b", nil)
	b.term(t)
	<-old.Context().Done()
	if cause := context.Cause(old.Context()); !errors.Is(cause, singleton.ErrIdle) {
		t.Fatalf("cause = %v, want ErrIdle", cause)
	}
	takeovers, err := singleton.ReadTakeovers(within(t), pool, "lock")
	if err != nil || takeovers.Idle != 1 || takeovers.Heartbeat != 0 || takeovers.Last == nil {
		t.Fatalf("takeovers %+v, %v", takeovers, err)
	}
}

// One whose watchdog is dead, too, is ended by a watcher of the same patience.
func TestIdle_AWatcherEndsAHolderThatDoesNotGiveUp(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", func(c *singleton.Config) { c.Waiting, c.StaleIdle = always, time.Hour })
	old := a.term(t)
	b := join(t, url, "b", func(c *singleton.Config) { c.StaleIdle = 2 * time.Second })
	b.term(t)
	<-old.Context().Done()
	takeovers, err := singleton.ReadTakeovers(within(t), pool, "lock")
	if err != nil || takeovers.Idle != 1 || takeovers.Heartbeat != 0 {
		t.Fatalf("takeovers %+v, %v", takeovers, err)
	}
}

// A quiet night is no idleness, nor is work that goes on, nor not knowing.
func TestIdle_IsNeitherQuietNorProgressNorIgnorance(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	var asked atomic.Int64
	ask := map[string]func(context.Context) (bool, error){
		"quiet":     func(context.Context) (bool, error) { asked.Add(1); return false, nil },
		"ignorance": counted(&asked, errors.New("the pool is exhausted")),
		"progress":  counted(&asked, nil),
	}
	for name, waiting := range ask {
		asked.Store(0)
		a := join(t, url, name, func(c *singleton.Config) { c.Waiting, c.StaleIdle = waiting, 2*time.Second })
		term := a.term(t)
		b := join(t, url, "watcher of "+name, func(c *singleton.Config) { c.StaleIdle = 2 * time.Second })
		for asked.Load() < 40 { // two idle times
			if name == "progress" {
				term.Progress()
			}
			time.Sleep(10 * time.Millisecond)
		}
		if err := term.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b.leave(t)
		a.leave(t)
	}
	takeovers, err := singleton.ReadTakeovers(within(t), pool, "lock")
	if err != nil || takeovers.Idle+takeovers.Heartbeat != 0 {
		t.Fatalf("takeovers %+v, %v", takeovers, err)
	}
}

// A start-up that takes many stale times is neither silence nor idleness.
func TestWarm_ALongOneIsNoReasonToTakeOver(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	var beats atomic.Int64
	warm := make(chan struct{})
	a := join(t, url, "a", func(c *singleton.Config) {
		c.Waiting, c.StaleIdle = func(context.Context) (bool, error) { return false, nil }, 2*time.Second
		c.Warm = func(ctx context.Context, term *singleton.Term) error {
			<-warm
			return term.Check()
		}
		c.Observe = func(o singleton.Observation) {
			if o.Beat > 0 {
				beats.Add(1)
			}
		}
	})
	if err := a.WaitState(within(t), singleton.Warming); err != nil {
		t.Fatal(err)
	}
	b := join(t, url, "b", func(c *singleton.Config) { c.StaleIdle = 2 * time.Second })
	if err := b.WaitState(within(t), singleton.Passive); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); beats.Load() < 50; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no heartbeats while warming up")
		}
	}
	if s := a.Status().State; s != singleton.Warming {
		t.Fatalf("state %s before the warm-up ended", s)
	}
	close(warm)
	a.term(t)
	if s := a.Status().State; s != singleton.Active {
		t.Fatalf("state %s while work runs", s)
	}
	takeovers, err := singleton.ReadTakeovers(within(t), pool, "lock")
	if err != nil || takeovers.Idle+takeovers.Heartbeat != 0 {
		t.Fatalf("takeovers %+v, %v", takeovers, err)
	}
}

func TestWarm_ItsErrorEndsRunAndReleases(t *testing.T) {
	t.Parallel()
	url, _ := database(t)
	e, err := singleton.New(singleton.Config{
		Name: "lock", URL: url, Heartbeat: 100 * time.Millisecond, StaleHeartbeat: time.Second,
		Warm: func(context.Context, *singleton.Term) error { return errors.New("no models") },
	})
	if err != nil {
		t.Fatal(err)
	}
	err = e.Run(within(t), func(context.Context, *singleton.Term) error {
		t.Error("work began without being warm")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "no models") {
		t.Fatalf("err = %v", err)
	}
	next := join(t, url, "b", nil).term(t)
	if !next.Clean() {
		t.Fatal("the lock was not released")
	}
}

// Work that does not finish when asked loses its term in bounded time.
func TestDrain_WorkThatDoesNotFinishLosesItsTerm(t *testing.T) {
	t.Parallel()
	url, _ := database(t)
	exits := make(chan int, 1)
	stuck := make(chan struct{})
	e, err := singleton.New(singleton.Config{
		Name: "lock", URL: url, Instance: "a", Heartbeat: 100 * time.Millisecond, StaleHeartbeat: time.Second,
		Drain: 200 * time.Millisecond, Exit: func(code int) { exits <- code },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	terms := make(chan *singleton.Term, 1)
	go func() {
		done <- e.Run(ctx, func(_ context.Context, term *singleton.Term) error {
			terms <- term
			<-stuck
			return nil
		})
	}()
	term := <-terms
	stop()
	select {
	case <-exits:
	case <-time.After(patience):
		t.Fatal("the process did not end")
	}
	if err := term.Check(); !errors.Is(err, singleton.ErrLost) {
		t.Fatalf("the term still holds: %v", err)
	}
	close(stuck)
	<-done
}

// A stop that comes while the instance warms up is a stop, and no failure.
func TestWarm_AStopMeanwhileIsNoError(t *testing.T) {
	t.Parallel()
	url, _ := database(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	e, err := singleton.New(singleton.Config{
		Name: "lock", URL: url, Heartbeat: 100 * time.Millisecond, StaleHeartbeat: 2 * time.Second,
		Warm: func(ctx context.Context, _ *singleton.Term) error {
			stop()
			<-ctx.Done()
			return ctx.Err()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = e.Run(ctx, func(context.Context, *singleton.Term) error {
		t.Error("work began after the stop")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
