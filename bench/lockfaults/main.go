// Command lockfaults injects faults into the lock of package singleton and judges
// what comes of them. It starts a private PostgreSQL with durability on and real
// processes that compete for one lock, work inside the database under the fence
// and outside of it, and are killed, frozen, cut off and starved at the worst
// moment: inside an open transaction, between a check and its act, in the queue.
//
// Two things are judged. Every fenced commit takes the next number of a counter
// and says of which term it is: terms must never go back. Every act outside the
// database is told to this process, the recorder, when it begins and ends: one
// job must never be done by two terms at once. What the workers saw must also fit
// a single order of grants and commits (porcupine).
//
// A run in which nothing happens proves nothing, so the program also breaks the
// package on purpose: --mutants builds copies with one safeguard removed each and
// runs the scenario that must notice.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"kiosk/bench/internal/rig"
)

// verbose prints the workers' logs with a failure.
var verbose bool

// options are the flags.
type options struct {
	short    bool
	only     string
	times    int
	json     string
	mutants  bool
	parallel int
	lenient  bool // times are not judged
	stripes  bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		if err := runWorker(); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.BoolVar(&o.short, "short", false, "the short form: under a minute, few rounds of the quick scenarios")
	flag.StringVar(&o.only, "only", "", "run the scenarios of these names, separated by commas; * at the end of one is any rest")
	flag.IntVar(&o.times, "times", 0, "rounds of every scenario, in place of its own number")
	flag.StringVar(&o.json, "json", "", "write the result to this file as well")
	flag.BoolVar(&o.mutants, "mutants", false, "break the package on purpose and see whether the scenarios notice; with --only, those of these scenarios")
	flag.BoolVar(&o.lenient, "no-limits", false, "do not judge times: for a machine that does other things, too")
	flag.BoolVar(&o.stripes, "stripes", false, "compare 1 and 64 fence rows instead")
	flag.IntVar(&o.parallel, "parallel", 6, "scenarios at once, where milliseconds are not what is measured")
	flag.BoolVar(&verbose, "v", false, "print the workers' logs with a failure")
	flag.Parse()

	os.Exit(exitCode(o))
}

// exitCode is 0 when all passed, 1 when something could not be run and 3 when
// something did not pass.
func exitCode(o options) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	green, err := do(ctx, o, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "lockfaults:", err)
		return 1
	case !green:
		return 3
	}
	return 0
}

func do(ctx context.Context, o options, out io.Writer) (green bool, err error) {
	if !o.stripes {
		return run(ctx, o, out)
	}
	results, err := measureStripes(ctx, 3, 3*time.Second, out)
	if err != nil {
		return false, err
	}
	return true, rig.WriteJSON(o.json, results)
}

// run prints the table and reports whether all of it passed.
func run(ctx context.Context, o options, out io.Writer) (green bool, err error) {
	chosen := choose(o)
	if len(chosen) == 0 {
		return false, fmt.Errorf("no scenario is named %q", o.only)
	}
	s := &servers{}
	defer func() {
		if closeErr := s.close(); err == nil {
			err = closeErr
		}
	}()
	machine, err := describe(ctx, s)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "%s, load %.1f\n", machine, load())
	began := time.Now()
	results := runAll(ctx, o, s, chosen, out)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	report := report{Machine: machine, Results: results}
	if o.mutants {
		if report.Mutants, err = runMutants(ctx, o, chosen, out); err != nil {
			return false, err
		}
	}
	report.count()
	report.Seconds = time.Since(began).Seconds()
	if err := rig.WriteJSON(o.json, report); err != nil {
		return false, err
	}
	return report.green(), report.show(out)
}

// choose returns the scenarios of a run with their numbers of rounds.
func choose(o options) []scenario {
	var chosen []scenario
	for _, s := range scenarios() {
		if o.short {
			s.times = s.short
		}
		if o.only != "" && !named(s.name, o.only) || o.only == "" && s.times == 0 {
			continue
		}
		if o.times > 0 {
			s.times = o.times
		}
		s.times = max(s.times, 1)
		chosen = append(chosen, s)
	}
	return chosen
}

func named(name, only string) bool {
	for wanted := range strings.SplitSeq(only, ",") {
		prefix, open := strings.CutSuffix(wanted, "*")
		if name == wanted || open && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// runAll runs what needs the machine alone, one after the other, and then the rest.
func runAll(ctx context.Context, o options, s *servers, chosen []scenario, out io.Writer) []result {
	results := make([]result, len(chosen))
	var printing sync.Mutex
	one := func(i int) {
		results[i] = runOne(ctx, o, s, chosen[i])
		printing.Lock()
		defer printing.Unlock()
		fmt.Fprintln(out, results[i].line())
	}
	for i := range chosen {
		if chosen[i].alone {
			one(i)
		}
	}
	var rest sync.WaitGroup
	places := make(chan struct{}, max(o.parallel, 1))
	for i := range chosen {
		if !chosen[i].alone {
			places <- struct{}{}
			rest.Go(func() { defer func() { <-places }(); one(i) })
		}
	}
	rest.Wait()
	return results
}

func runOne(ctx context.Context, o options, s *servers, sc scenario) result {
	t := &trial{scenario: sc, n: sc.times, short: o.short, servers: s}
	if o.lenient {
		t.limit = limit{}
	}
	began := time.Now()
	if ctx.Err() == nil {
		if err := sc.run(ctx, t); err != nil {
			t.failf("%s", err)
		}
	}
	return t.result(began)
}
