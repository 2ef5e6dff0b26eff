package sweep_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/pg/pgtest"
	"kiosk/internal/sweep"
	"kiosk/internal/sweep/sweeptest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

const patience = 20 * time.Second

// counted is one call of the hook.
type counted struct {
	name string
	n    int
}

// run runs the sweeps until each was counted so many times, and returns the log.
func run(t *testing.T, h *sweeptest.House, runs int, sweeps ...sweep.Sweep) (string, []counted) {
	t.Helper()
	var out bytes.Buffer
	counts := make(chan counted, 1000)
	r, err := sweep.New(sweep.Config{
		Term: h.Elect("one", h.URL), Pool: h.Pool, Sweeps: sweeps, Settle: time.Nanosecond,
		Count: func(name string, n int) { counts <- counted{name, n} }, Log: slog.New(slog.NewTextHandler(&out, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	var list []counted
	for range runs {
		select {
		case c := <-counts:
			list = append(list, c)
		case <-time.After(patience):
			t.Fatalf("only %v was counted; the log says %s", list, out.String())
		}
	}
	stop()
	<-done
	return out.String(), list
}

// finds is a batch that finds so many, then nothing.
func finds(n ...int) func(context.Context, pgx.Tx) (sweep.Found, error) {
	return func(context.Context, pgx.Tx) (sweep.Found, error) {
		if len(n) == 0 {
			return sweep.Found{}, nil
		}
		f := sweep.Found{Count: n[0], More: n[0] >= sweep.Limit, Subjects: strings.Fields(strings.Repeat("id ", min(n[0], 9)))}
		n = n[1:]
		return f, nil
	}
}

func TestRunner_OneLineForSomethingAndNoneForNothing(t *testing.T) {
	t.Parallel()
	log, counts := run(t, sweeptest.Open(t), 4, sweep.Sweep{Name: "room.thing", Every: time.Millisecond, Batch: finds(sweep.Limit, sweep.Limit, 7)})
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, "msg=swept sweep=room.thing count=1007") {
		t.Errorf("log %q", log)
	}
	if fmt.Sprint(counts) != "[{room.thing 1007} {room.thing 0} {room.thing 0} {room.thing 0}]" {
		t.Errorf("counted %v", counts)
	}
}

func TestRunner_ADefectIsAnErrorWithItsRemedyAndAFewSubjects(t *testing.T) {
	t.Parallel()
	log, _ := run(t, sweeptest.Open(t), 1, sweep.Sweep{Name: "room.defect", Every: time.Hour, Batch: finds(9), Defect: "mend it"})
	if !strings.Contains(log, "level=ERROR") || !strings.Contains(log, `remedy="mend it"`) || strings.Count(log, "id ") != 4 {
		t.Errorf("log %q", log)
	}
}

func TestRunner_AFailureIsSaidAndKeepsNoOtherSweepFromRunning(t *testing.T) {
	t.Parallel()
	fails := func(ctx context.Context, tx pgx.Tx) (sweep.Found, error) { return sweep.Found{}, errors.New("no room") }
	log, counts := run(t, sweeptest.Open(t), 2,
		sweep.Sweep{Name: "room.fails", Every: time.Hour, Batch: fails}, sweep.Sweep{Name: "room.works", Every: time.Hour, Batch: finds(1)})
	if !strings.Contains(log, `msg="sweep failed" sweep=room.fails error="no room"`) || !strings.Contains(log, "msg=swept sweep=room.works") {
		t.Errorf("log %q", log)
	}
	if fmt.Sprint(counts) != "[{room.fails 0} {room.works 1}]" {
		t.Errorf("counted %v", counts)
	}
}

func TestRunner_EachSweepHasItsInterval(t *testing.T) {
	t.Parallel()
	_, counts := run(t, sweeptest.Open(t), 20,
		sweep.Sweep{Name: "often", Every: time.Millisecond, Batch: finds()}, sweep.Sweep{Name: "seldom", Every: time.Hour, Batch: finds()})
	if n := strings.Count(fmt.Sprint(counts), "seldom"); n != 1 {
		t.Errorf("the hourly sweep ran %d times", n)
	}
}

func TestNew_RefusesWhatCannotRun(t *testing.T) {
	t.Parallel()
	if _, err := sweep.New(sweep.Config{}); err == nil {
		t.Error("a runner without a term was made")
	}
	h := sweeptest.Open(t)
	_, err := sweep.New(sweep.Config{
		Term: h.Elect("one", h.URL), Pool: h.Pool, Count: func(string, int) {}, Log: slog.New(slog.DiscardHandler),
		Sweeps: []sweep.Sweep{{Name: "never", Batch: finds()}},
	})
	if err == nil {
		t.Error("a sweep without an interval was taken")
	}
}
