package lane_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"kiosk/internal/lane"
)

// The tests run in bubbles: time is virtual, and synctest.Wait returns when
// nothing can happen any more. A goroutine left behind fails its bubble.

var errBroken = errors.New("broken")

func TestRun_OnePieceAtATimePerKeyAndKeysInParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, 3, never)
		b.hold("a", "b", "c")
		for _, k := range []string{"a", "b", "c"} {
			b.add(k, 2)
		}
		for range 2 { // the second piece of a key begins when its first has ended
			b.Wake()
			b.wantUnderWay("a", "b", "c")
			for _, k := range []string{"c", "a", "b"} {
				b.finish(k, nil)
			}
		}
		b.wantUnderWay()
		b.wantWorked("c", "a", "b", "c", "a", "b")
	})
}

func TestRun_SlowKeyHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, 2, never)
		b.hold("slow")
		b.add("slow", 1)
		b.add("quick", 3)
		b.Wake()
		b.wantUnderWay("slow")
		b.wantWorked("quick", "quick", "quick")
		b.finish("slow", nil)
	})
}

func TestRun_KeyThatHasMoreGoesOnWithoutAScan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1, never, nil)
		b.add("a", 3)
		b.run(context.WithoutCancel(t.Context()))
		b.wantWorked("a", "a", "a")
		if n := b.scanned(); n != 2 { // one that found it, one after its end
			t.Errorf("scanned %d times, want 2", n)
		}
	})
}

func TestRun_NeverMoreKeysThanWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, 2, never)
		keys := []string{"a", "b", "c", "d", "e"}
		b.hold(keys...)
		for _, k := range keys {
			b.add(k, 1)
		}
		b.Wake()
		for i, k := range keys {
			b.wantUnderWay(keys[i:min(i+2, len(keys))]...)
			b.Wake() // asks for more than there are workers
			b.wantUnderWay(keys[i:min(i+2, len(keys))]...)
			b.finish(k, nil)
		}
		b.wantWorked(keys...)
		if slices.Max(b.scans) > 2 || slices.Min(b.scans) < 1 {
			t.Errorf("due keys were asked for with the limits %v; want the free workers, 1 or 2", b.scans)
		}
	})
}

// A store that returns more than it was asked for must not break the bound.
func TestRun_NeverMoreKeysThanWorkersThoughDueReturnsMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2, never, func(c *lane.Config[string]) {
			due := c.Due
			c.Due = func(ctx context.Context, busy []string, _ int) ([]lane.Due[string], error) { return due(ctx, busy, 10) }
		})
		b.hold("a", "b", "c")
		for _, k := range []string{"a", "b", "c"} {
			b.add(k, 1)
		}
		b.run(context.WithoutCancel(t.Context()))
		b.wantUnderWay("a", "b")
		b.finish("b", nil)
		b.wantUnderWay("a", "c")
		b.finish("c", nil)
		b.finish("a", nil)
	})
}

func TestRun_FindsAtOnceWhatWaitedBeforeIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1, never, nil)
		b.add("a", 1)
		b.run(context.WithoutCancel(t.Context()))
		b.wantWorked("a")
	})
}

// While a scan runs, work arrives that it has missed already.
func TestWake_DuringAScanIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		b := newBench(t, 1, never, func(c *lane.Config[string]) {
			due := c.Due
			c.Due = func(ctx context.Context, busy []string, limit int) ([]lane.Due[string], error) {
				keys, err := due(ctx, busy, limit)
				<-answer
				return keys, err
			}
		})
		b.run(context.WithoutCancel(t.Context()))
		synctest.Wait()
		b.add("late", 1)
		b.Wake()
		close(answer)
		b.wantWorked("late")
	})
}

// While a key is busy no scan returns it, so what arrives for it then must be
// found when it ends.
func TestRun_WorkThatArrivesWhileItsKeyIsBusyIsFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2, never, func(c *lane.Config[string]) {
			work := c.Work
			c.Work = func(ctx context.Context, key string) (bool, error) {
				_, err := work(ctx, key)
				return false, err // it has not seen the new piece
			}
		})
		b.hold("a")
		b.add("a", 1)
		b.run(context.WithoutCancel(t.Context()))
		synctest.Wait()
		b.add("a", 1)
		b.Wake()
		b.wantUnderWay("a")
		b.finish("a", nil)
		b.wantUnderWay("a")
		b.finish("a", nil)
		b.wantWorked("a", "a")
	})
}

func TestWake_NeverBlocksAndCountsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1, never, nil)
		for range 1000 {
			b.Wake()
		}
		b.run(context.WithoutCancel(t.Context()))
		if n := b.scanned(); n != 2 { // one at the start, one for all wake-ups
			t.Errorf("scanned %d times, want 2", n)
		}
	})
}

func TestRun_PollFindsWorkThatNobodySpokeOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, 1, time.Second)
		synctest.Wait()
		b.add("a", 1)
		time.Sleep(time.Second - time.Nanosecond)
		b.wantWorked()
		time.Sleep(time.Nanosecond)
		b.wantWorked("a")
	})
}

func TestRun_AfterAnErrorTheKeyRestsUntilThePollAndOthersGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, 2, time.Second)
		b.hold("bad")
		b.add("bad", 1)
		b.Wake()
		b.finish("bad", errBroken)
		b.add("good", 2)
		b.Wake() // must not bring the failed key back
		b.wantUnderWay()
		b.wantWorked("good", "good")

		time.Sleep(time.Second) // the poll
		b.wantUnderWay("bad")
		b.finish("bad", nil)
		b.wantWorked("good", "good", "bad")
	})
}

func TestRun_ScanThatFailedIsRepeatedByThePoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failures := 2
		b := newBench(t, 1, time.Second, func(c *lane.Config[string]) {
			due := c.Due
			c.Due = func(ctx context.Context, busy []string, limit int) ([]lane.Due[string], error) {
				if failures--; failures >= 0 {
					return []lane.Due[string]{{Key: "nonsense"}}, errBroken
				}
				return due(ctx, busy, limit)
			}
		})
		b.add("a", 1)
		b.run(context.WithoutCancel(t.Context()))
		b.wantWorked()
		time.Sleep(2 * time.Second)
		b.wantWorked("a")
	})
}

func TestRun_PostponedWorkBeginsWhenItIsDueAndNotWithThePoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, 3, never)
		for k, in := range map[string]time.Duration{"late": time.Hour, "soon": time.Minute} {
			b.add(k, 1)
			b.postpone(k, in)
		}
		b.Wake()
		time.Sleep(time.Minute - time.Nanosecond)
		b.wantWorked()
		time.Sleep(time.Nanosecond)
		b.wantWorked("soon")
		time.Sleep(time.Hour)
		b.wantWorked("soon", "late")
		if n := b.scanned(); n > 6 { // the start, the wake-up, and two for each piece
			t.Errorf("scanned %d times", n)
		}
	})
}

// A store whose clock is ahead a little must not be asked again and again.
func TestRun_WhatIsDueInNoTimeIsNotAskedForWithoutPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		b := newBench(t, 1, never, func(c *lane.Config[string]) {
			c.Due = func(context.Context, []string, int) ([]lane.Due[string], error) {
				asked++
				return []lane.Due[string]{{Key: "a", In: time.Nanosecond}}, nil
			}
		})
		b.run(context.WithoutCancel(t.Context()))
		time.Sleep(time.Second)
		b.stop()
		<-b.done
		if asked > 1001 {
			t.Errorf("asked %d times in a second", asked)
		}
	})
}

// flood is a bench with as many floods as workers, each of 1000 pieces of 10 ms.
func flood(t *testing.T, workers int) *bench {
	t.Helper()
	b := newBench(t, workers, time.Second, nil)
	b.takes = 10 * time.Millisecond
	for i := range workers {
		b.add(fmt.Sprint("flood ", i), 1000)
	}
	b.run(context.WithoutCancel(t.Context()))
	return b
}

func TestRun_FloodsMakeRoomForANewcomer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := flood(t, 8)
		time.Sleep(1500 * time.Millisecond)
		b.add("newcomer", 1)
		b.Wake()
		time.Sleep(80 * time.Millisecond) // at most a turn, and its own piece
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if !slices.Contains(b.worked, "newcomer") {
			t.Errorf("the newcomer still waits, after %d pieces of others", len(b.worked))
		}
	})
}

func TestRun_FloodsThatAreAloneGoOnWithoutAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := flood(t, 2)
		time.Sleep(10*time.Second + time.Nanosecond)
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.worked) != 2000 {
			t.Errorf("%d pieces in 10 s, want 2000", len(b.worked))
		}
	})
}

func TestRun_NewcomersHoldBackWhoHadATurnUntilThePollOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := flood(t, 1)
		for i := range 200 { // more than the worker can do
			b.add(fmt.Sprint("newcomer ", i), 1)
		}
		time.Sleep(time.Second + 70*time.Millisecond)
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		first, again := 0, 0
		for i, k := range b.worked {
			switch {
			case k != "flood 0":
			case i < 10:
				first++
			default:
				again++
			}
		}
		if first != 5 || again < 5 || again > 7 {
			t.Errorf("the flood had a turn of %d pieces, and after the poll one of %d", first, again)
		}
	})
}

func TestRun_ReturnsWhenThePiecesUnderWayHaveEndedAndBeginsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, 2, time.Second)
		b.hold("a", "b", "c")
		b.add("a", 2) // has another piece
		b.add("b", 1)
		b.add("c", 1) // waits for a worker
		b.Wake()
		synctest.Wait()
		b.stop()
		for _, k := range []string{"a", "b"} {
			b.Wake()
			time.Sleep(time.Minute) // neither a wake-up nor a poll begins anything now
			if b.ended() {
				t.Fatalf("Run returned while a piece of %s was under way", k)
			}
			b.finish(k, nil)
		}
		if !b.ended() {
			t.Error("Run has not returned")
		}
		b.wantUnderWay()
		b.wantWorked("a", "b")
	})
}

func TestRun_LooksForNothingAfterItsContextHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1, never, nil)
		b.add("a", 1)
		ended, end := context.WithCancel(t.Context())
		end()
		b.Run(ended, t.Context())
		b.wantWorked()
		if n := b.scanned(); n != 0 {
			t.Errorf("scanned %d times", n)
		}
	})
}

func TestRun_BeginsNothingWhenItsContextEndsDuringAScan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		scanning, answer := make(chan struct{}), make(chan struct{})
		b := newBench(t, 1, never, func(c *lane.Config[string]) {
			c.Due = func(context.Context, []string, int) ([]lane.Due[string], error) {
				close(scanning)
				<-answer
				return []lane.Due[string]{{Key: "a"}}, nil
			}
		})
		b.add("a", 1)
		b.run(context.WithoutCancel(t.Context()))
		<-scanning
		b.stop()
		close(answer)
		<-b.done
		b.wantWorked()
	})
}

func TestRun_PiecesOutliveItsContextAndEndWithTheHardOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		b := newBench(t, 1, never, func(c *lane.Config[string]) {
			c.Work = func(ctx context.Context, _ string) (bool, error) {
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return false, ctx.Err()
			}
		})
		hard, end := context.WithCancelCause(context.WithoutCancel(t.Context()))
		b.add("a", 1)
		b.run(hard)
		synctest.Wait()
		b.stop()
		synctest.Wait()
		if len(ended) != 0 {
			t.Fatal("the piece ended with the context of Run")
		}
		end(errBroken)
		synctest.Wait()
		if cause := <-ended; !errors.Is(cause, errBroken) || !b.ended() {
			t.Errorf("the piece ended with %v, Run has returned: %t", cause, b.ended())
		}
	})
}

func TestRun_WorksAgainAfterItHasReturned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, 1, never)
		b.add("a", 1)
		b.Wake()
		synctest.Wait()
		b.stop()
		<-b.done
		b.add("a", 1)
		b.done = make(chan struct{})
		b.run(context.WithoutCancel(t.Context()))
		b.wantWorked("a", "a")
	})
}

func TestNew_RefusesMissingParts(t *testing.T) {
	t.Parallel()
	whole := lane.Config[string]{
		Name: "test", Workers: 1, Poll: time.Second,
		Due:  func(context.Context, []string, int) ([]lane.Due[string], error) { return nil, nil },
		Work: func(context.Context, string) (bool, error) { return false, nil },
	}
	if _, err := lane.New(whole); err != nil {
		t.Fatalf("a configuration without a log was refused: %v", err)
	}
	for missing, remove := range map[string]func(*lane.Config[string]){
		"name":    func(c *lane.Config[string]) { c.Name = "" },
		"workers": func(c *lane.Config[string]) { c.Workers = 0 },
		"poll":    func(c *lane.Config[string]) { c.Poll = 0 },
		"due":     func(c *lane.Config[string]) { c.Due = nil },
		"work":    func(c *lane.Config[string]) { c.Work = nil },
	} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			cfg := whole
			remove(&cfg)
			if r, err := lane.New(cfg); err == nil || r != nil {
				t.Errorf("New without %s = %v, %v", missing, r, err)
			}
		})
	}
}
