package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// verdict is what the oracle found in one arena, or in many.
type verdict struct {
	Commits   int           `json:"fenced_commits"`
	Terms     int           `json:"terms"`
	Steps     int           `json:"outside_steps"`
	Stale     int           `json:"stale_commits"`     // committed by a term after a later one had committed
	Lost      int           `json:"lost_commits"`      // reported as done and not there, or the other way round
	Overlaps  int           `json:"outside_overlaps"`  // one job done by two terms at once
	Late      int           `json:"outside_late"`      // a step whose Check came after the successor's barrier
	Illegal   int           `json:"illegal_histories"` // not linearizable
	Undecided int           `json:"undecided_histories,omitempty"`
	Residual  int           `json:"residual_overlaps"` // frozen between Check and the step's end
	Longest   time.Duration `json:"-"`
	First     string        `json:"first_violation,omitempty"`
}

func (v verdict) violations() int { return v.Stale + v.Lost + v.Overlaps + v.Late + v.Illegal }

func (v *verdict) add(o verdict) {
	v.Commits += o.Commits
	v.Terms += o.Terms
	v.Steps += o.Steps
	v.Stale += o.Stale
	v.Lost += o.Lost
	v.Overlaps += o.Overlaps
	v.Late += o.Late
	v.Illegal += o.Illegal
	v.Undecided += o.Undecided
	v.Residual += o.Residual
	v.First = cmp.Or(v.First, o.First)
}

func (v *verdict) blamef(count *int, format string, args ...any) {
	*count++
	if v.First == "" {
		v.First = fmt.Sprintf(format, args...)
	}
}

// committed is a row that a fenced commit left.
type committed struct{ n, epoch int64 }

// judge looks at the database and the record of an arena whose members have stopped.
func (a *arena) judge(ctx context.Context) (verdict, error) {
	var v verdict
	rows, err := a.admin.Query(ctx, sqlCommits)
	if err != nil {
		return v, fmt.Errorf("read the commits: %w", err)
	}
	done := map[string]committed{}
	var op string
	var c, last committed
	_, err = pgx.ForEachRow(rows, []any{&op, &c.n, &c.epoch}, func() error {
		if c.epoch < last.epoch {
			v.blamef(&v.Stale, "commit %d is of term %d, commit %d of term %d", c.n, c.epoch, last.n, last.epoch)
		} else {
			last = c
		}
		done[op] = c
		return nil
	})
	if err != nil {
		return v, fmt.Errorf("read the commits: %w", err)
	}
	past, err := a.history(ctx, 0)
	if err != nil {
		return v, fmt.Errorf("read the lock's history: %w", err)
	}
	v.Commits, v.Terms = len(done), countKind(past, "acquired")
	a.judgeAnswers(&v, done)
	a.judgeJobs(&v)
	a.judgeLate(&v)
	a.judgeHistory(&v, done, past)
	return v, nil
}

func countKind(list []history, kind string) (n int) {
	for _, h := range list {
		if h.kind == kind {
			n++
		}
	}
	return n
}

// judgeAnswers compares what the workers were told with what is there.
func (a *arena) judgeAnswers(v *verdict, done map[string]committed) {
	for i := range a.events {
		e := &a.events[i]
		if e.Kind != evWrite {
			continue
		}
		_, there := done[e.ID]
		if there && e.Text == outcomeFenced || !there && e.Text == outcomeOK {
			v.blamef(&v.Lost, "%s was answered %s, and it is there: %t", e.ID, e.Text, there)
		}
	}
}

// step is one act outside the database.
type step struct {
	epoch           int64
	check, from, to int64
	frozen          bool
}

// jobs collects the steps of every job.
func (a *arena) jobs() map[string][]step {
	jobs, open := map[string][]step{}, map[string]int{}
	for i := range a.events {
		e := &a.events[i]
		key := fmt.Sprintf("%s %s %d", e.ID, e.member.name, e.From) // several may do one job in one term
		switch e.Kind {
		case evBegin:
			s := step{epoch: e.Epoch, check: e.From, from: e.At, to: e.member.died}
			s.frozen = e.member.frozen(e.From, max(e.seen, e.At))
			jobs[e.ID] = append(jobs[e.ID], s)
			open[key] = len(jobs[e.ID]) - 1
		case evEnd:
			s := &jobs[e.ID][open[key]]
			s.to = e.At
			s.frozen = s.frozen || e.member.frozen(s.check, max(e.seen, e.At))
		}
	}
	return jobs
}

// judgeJobs counts steps of one job by one term that lasted into those of a later
// term. A process that was frozen between Check and the end of the step could
// not know: that is the residual that no lock can remove.
func (a *arena) judgeJobs(v *verdict) {
	for id, steps := range a.jobs() {
		v.Steps += len(steps)
		first := map[int64]int64{}
		for _, s := range steps {
			if f, ok := first[s.epoch]; !ok || s.from < f {
				first[s.epoch] = s.from
			}
		}
		for _, s := range steps {
			a.judgeStep(v, id, s, first)
		}
	}
}

func (a *arena) judgeStep(v *verdict, id string, s step, first map[int64]int64) {
	for epoch, began := range first {
		if epoch <= s.epoch || s.to <= began {
			continue
		}
		if s.frozen {
			v.Residual++
			v.Longest = max(v.Longest, time.Duration(s.to-began))
			continue
		}
		v.blamef(&v.Overlaps, "job %s: a step of term %d lasted %s into term %d", id, s.epoch, time.Duration(s.to-began), epoch)
	}
}

// judgeLate counts steps whose Check passed although a later term had begun and
// its barrier was over: the earlier one trusted itself for too long.
func (a *arena) judgeLate(v *verdict) {
	type begun struct {
		epoch, over int64
	}
	var terms []begun
	for i := range a.events {
		if e := &a.events[i]; e.Kind == evTerm {
			barrier, err := time.ParseDuration(e.Text)
			if err == nil {
				terms = append(terms, begun{e.Epoch, e.At + int64(barrier)})
			}
		}
	}
	for i := range a.events {
		e := &a.events[i]
		if e.Kind != evBegin {
			continue
		}
		for _, t := range terms {
			if t.epoch > e.Epoch && e.From > t.over {
				v.blamef(&v.Late, "a step of term %d was begun %s after the barrier of term %d", e.Epoch, time.Duration(e.From-t.over), t.epoch)
				break
			}
		}
	}
}
