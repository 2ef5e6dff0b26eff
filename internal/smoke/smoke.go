// Package smoke checks a live deployment from the outside in: settings, database,
// every SQL statement of the program, the lock, the books, the models, the inbox,
// Telegram, the provider and the running instances.
//
// Invariants:
//   - It is safe while production runs. What it writes are scratch rows under names
//     of its own, and it removes them, also those of a run that was killed.
//   - One fault has one cause in the report: a check that needs another one is
//     skipped when that one failed, and no two faults share a text.
//   - It ends within Limit; a check that hangs is a finding.
//   - No text contains a secret.
//
// Every text of a failure is a constant of trouble.go, where its remedy stands;
// docs/troubleshooting.md is made from the same table.
package smoke

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limit bounds a whole run, without a live generation.
const Limit = 9500 * time.Millisecond

// Problem is one mistake in the settings.
type Problem struct{ Name, Text string }

// Config says what to check. Values of settings that are named in Problems may be
// missing; the checks that need them are skipped.
type Config struct {
	Problems []Problem
	Secrets  []string // never printed

	Database, MigrateDatabase, LockDatabase string // URLs
	LockName                                string
	StaleHeartbeat                          time.Duration

	Token, TelegramURL string
	Webhook            string // where Telegram delivers; "" when the bot polls
	AllowedUpdates     []string

	KieURL, KieKey         string
	LowCredits             float64 // below which it is time to top up
	Rate, Markup, MaxShare string  // of prices
	Models                 fs.FS   // nil: those of this binary

	Public    string   // address of the instances from outside, "" for none
	Instances []string // addresses at which an instance may be asked directly
	Folders   []string // where files are kept
	MinFree   uint64   // bytes that each folder's disk must have; 0: 1 GiB

	// BeforeStart leaves out what only running instances can answer.
	BeforeStart bool

	// Only, if not empty, names the checks to run; what they need runs, too.
	Only []string

	// Live, if set, runs one real generation.
	Live *Live
}

// Status is the outcome of a check.
type Status string

// The outcomes. A warning does not fail the run.
const (
	Pass    Status = "pass"
	Warn    Status = "warn"
	Fail    Status = "fail"
	Skipped Status = "skipped"
)

// Result is one line of the report.
type Result struct {
	Check    string `json:"check"`
	Status   Status `json:"status"`
	Millis   int64  `json:"duration_ms"`
	Found    string `json:"found,omitempty"`  // what a passed check saw
	Cause    string `json:"cause,omitempty"`  // what is wrong
	Remedy   string `json:"remedy,omitempty"` // what to do about it
	duration time.Duration
}

// Report is a whole run.
type Report struct {
	OK     bool     `json:"ok"` // nothing failed
	Millis int64    `json:"duration_ms"`
	Checks []Result `json:"checks"`
}

// check is one thing that must hold.
type check struct {
	name     string
	settings []string // that it reads; a problem with one of them skips it
	needs    []string // checks that must not have failed
	unless   []string // checks that, where they are made, say all of it when they fail
	running  bool     // it asks running instances
	limit    time.Duration
	run      func(context.Context, *run) finding
}

// finding is what a check returns.
type finding struct {
	status  Status
	trouble trouble
	detail  string
}

func pass(format string, args ...any) finding {
	return finding{status: Pass, detail: fmt.Sprintf(format, args...)}
}

func fail(t trouble, format string, args ...any) finding {
	return finding{Fail, t, fmt.Sprintf(format, args...)}
}

func warn(t trouble, format string, args ...any) finding {
	return finding{Warn, t, fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) finding {
	return finding{status: Skipped, detail: fmt.Sprintf(format, args...)}
}

// checks lists all checks in the order of the report.
func checks() []check {
	return slices.Concat(databaseChecks(), moneyChecks(), serviceChecks(), instanceChecks())
}

// Names lists the checks.
func Names() []string {
	var list []string
	for _, c := range checks() {
		list = append(list, c.name)
	}
	return list
}

// Run makes all checks, those that do not wait for each other at the same time.
func Run(ctx context.Context, cfg Config) Report {
	start := time.Now()
	r := &run{Config: cfg, mask: masker(cfg), outcome: map[string]*outcome{}}
	list := chosen(cfg)
	for _, c := range list {
		r.outcome[c.name] = &outcome{done: make(chan struct{})}
	}
	bounded, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	var all sync.WaitGroup
	for _, c := range list {
		within := bounded
		if c.name == checkGeneration {
			within = ctx
		}
		all.Go(func() { r.perform(within, c) })
	}
	all.Wait()
	r.close()
	report := Report{OK: true, Millis: time.Since(start).Milliseconds()}
	for _, c := range list {
		result := r.outcome[c.name].result
		report.OK = report.OK && result.Status != Fail
		report.Checks = append(report.Checks, result)
	}
	return report
}

// chosen returns the checks of Only and what they need, all checks without it.
func chosen(cfg Config) []check {
	want := map[string]bool{}
	for _, name := range cfg.Only {
		want[name] = true
	}
	all := checks()
	for _, c := range slices.Backward(all) { // what a check needs stands before it
		for _, name := range c.needs {
			want[name] = want[name] || want[c.name]
		}
	}
	return slices.DeleteFunc(all, func(c check) bool {
		return len(cfg.Only) > 0 && !want[c.name] || c.name == checkGeneration && cfg.Live == nil
	})
}

// outcome is a check's result once done is closed.
type outcome struct {
	done   chan struct{}
	result Result
}

// perform waits for what the check needs, makes it, and keeps its result.
func (r *run) perform(ctx context.Context, c check) {
	o := r.outcome[c.name]
	defer close(o.done)
	f, skipped := r.missing(c)
	start := time.Now()
	if !skipped {
		f = r.make(ctx, c)
	}
	o.result = Result{Check: c.name, Status: f.status, duration: time.Since(start), Millis: time.Since(start).Milliseconds()}
	switch f.status {
	case Pass:
		o.result.Found = r.mask.Replace(f.detail)
	case Skipped:
		o.result.Cause = r.mask.Replace(f.detail)
	case Warn, Fail:
		o.result.Cause, o.result.Remedy = r.mask.Replace(f.trouble.with(f.detail)), f.trouble.remedy()
	}
}

// make runs a check within its limit. One that does not come back is left behind.
func (r *run) make(parent context.Context, c check) finding {
	ctx, cancel := context.WithTimeout(parent, c.limit)
	defer cancel()
	found := make(chan finding, 1)
	go func() { found <- c.run(ctx, r) }()
	select {
	case f := <-found:
		return f
	case <-time.After(c.limit + courtesy):
	case <-after(parent, courtesy):
	}
	return fail(notEnded, "%s", c.name)
}

// courtesy is how long a check may take to say what it waited for in vain.
const courtesy = 300 * time.Millisecond

// after is closed d after ctx has ended.
func after(ctx context.Context, d time.Duration) <-chan struct{} {
	over := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(d, func() { close(over) }) })
	return over
}

// missing reports that a check cannot be made, and why.
func (r *run) missing(c check) (finding, bool) {
	if c.running && r.BeforeStart {
		return skip("nothing runs yet"), true
	}
	for _, p := range r.Problems {
		if slices.Contains(c.settings, p.Name) {
			return skip("waits for the setting %s", p.Name), true
		}
	}
	for _, name := range c.needs {
		o := r.outcome[name]
		<-o.done
		switch o.result.Status {
		case Pass, Warn:
		case Fail:
			return skip("waits for the check %q", name), true
		case Skipped: // say what it all begins with
			return skip("%s", o.result.Cause), true
		}
	}
	return r.explained(c)
}

// explained reports that another check says what this one would repeat.
func (r *run) explained(c check) (finding, bool) {
	for _, name := range c.unless {
		o := r.outcome[name]
		if o == nil || r.BeforeStart {
			continue
		}
		<-o.done
		switch o.result.Status {
		case Fail:
			return skip("waits for the check %q", name), true
		case Skipped:
			return skip("%s", o.result.Cause), true
		case Pass, Warn:
		}
	}
	return finding{}, false
}

// masker replaces the secrets, and the passwords in URLs, in all that is printed.
func masker(cfg Config) *strings.Replacer {
	secrets := slices.Clone(cfg.Secrets)
	for _, s := range cfg.Secrets {
		if u, err := url.Parse(s); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok {
				secrets = append(secrets, password)
			}
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // one may begin another
	var pairs []string
	for _, s := range secrets {
		if len(s) > 3 { // a shorter one would tear words apart and protects nothing
			pairs = append(pairs, s, "***")
		}
	}
	return strings.NewReplacer(pairs...)
}
