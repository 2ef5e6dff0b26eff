package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/singleton"
)

// write makes fenced commits, one statement and whole transactions in turn,
// until it should stop.
func (w *worker) write(ctx context.Context, term *singleton.Term) {
	for i := 0; ctx.Err() == nil; i++ {
		if w.hung.Load() {
			<-ctx.Done()
			return
		}
		w.commit(term, i)
		pace := w.Pace
		if pace < 0 {
			<-ctx.Done()
			return
		}
		_ = pause(ctx, pace/2+rand.N(pace+1)) // the loop looks at ctx
	}
}

// commit makes one fenced commit and says what became of it.
func (w *worker) commit(term *singleton.Term, i int) {
	op := fmt.Sprintf("%s/%d", w.Instance, w.ops.Add(1))
	from := now()
	if term.Check() != nil {
		return
	}
	err := w.attempt(term, i, op)
	w.say(event{Kind: evWrite, From: from, Epoch: term.Epoch(), ID: op, Text: classify(err)})
	if err == nil {
		term.Progress()
	}
}

func (w *worker) attempt(term *singleton.Term, i int, op string) error {
	ctx, cancel := context.WithTimeout(term.Context(), 20*time.Second)
	defer cancel()
	select {
	case d := <-w.rest:
		return w.rested(term, op, d, true)
	case d := <-w.late:
		w.say(event{Kind: evResting, Epoch: term.Epoch()})
		_, err := term.Exec(context.WithoutCancel(ctx), w.pool, sqlWriteLate, term.Epoch(), w.Instance, op, d.Seconds())
		return err
	default:
	}
	switch {
	case i%8 == 7 && w.Rest > 0:
		return w.rested(term, op, rand.N(w.Rest), false)
	case i%2 == 1:
		return term.InTx(ctx, w.pool, func(tx pgx.Tx) error { return w.number(ctx, tx, term, op) })
	}
	_, err := term.Exec(ctx, w.pool, sqlWrite, term.Epoch(), w.Instance, op)
	return err
}

// rested idles between the fence and the change. It is work that does not listen:
// its context outlives the term, so that only the fence can stop it.
func (w *worker) rested(term *singleton.Term, op string, d time.Duration, tell bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return term.InTx(ctx, w.pool, func(tx pgx.Tx) error {
		if tell {
			w.say(event{Kind: evResting, Epoch: term.Epoch()})
		}
		time.Sleep(d)
		return w.number(ctx, tx, term, op)
	})
}

func (w *worker) number(ctx context.Context, tx pgx.Tx, term *singleton.Term, op string) error {
	_, err := tx.Exec(ctx, sqlWrite, term.Epoch(), w.Instance, op)
	return err
}

// act does jobs outside the database: it claims one under the fence, asks the
// term before every step, and notes the end under the fence.
func (w *worker) act(ctx context.Context, term *singleton.Term, actor int) {
	for i := 0; w.Step > 0 && ctx.Err() == nil && !w.hung.Load(); i++ {
		job, err := w.claim(ctx, term, actor, i)
		if err != nil {
			_ = pause(ctx, 50*time.Millisecond) // the loop looks at ctx
			continue
		}
		if !w.steps(ctx, term, job) {
			return
		}
		_, err = term.Exec(term.Context(), w.pool, sqlFinish, job)
		if err == nil {
			term.Progress()
		}
	}
}

// claim takes over what an earlier term began, once that may not act any more,
// or else begins a job.
func (w *worker) claim(ctx context.Context, term *singleton.Term, actor, i int) (job string, err error) {
	err = w.pool.QueryRow(ctx, sqlLeftOver, term.Epoch()).Scan(&job)
	if err == nil {
		if err := pause(ctx, term.Barrier()); err != nil {
			return "", err
		}
		_, err = term.Exec(term.Context(), w.pool, sqlInherit, job, term.Epoch())
		return job, err
	}
	job = fmt.Sprintf("%s/%d/%d/%d", w.Instance, term.Epoch(), actor, i)
	_, err = term.Exec(term.Context(), w.pool, sqlClaim, job, term.Epoch())
	return job, err
}

// steps does a job and reports whether it was finished. A step under way is not
// broken off: no request that was sent can be.
func (w *worker) steps(ctx context.Context, term *singleton.Term, job string) bool {
	for range w.Steps {
		from := now()
		if ctx.Err() != nil || w.hung.Load() || term.Check() != nil {
			return false
		}
		w.say(event{Kind: evBegin, From: from, Epoch: term.Epoch(), ID: job})
		time.Sleep(w.Step)
		w.say(event{Kind: evEnd, From: from, Epoch: term.Epoch(), ID: job})
	}
	return true
}
