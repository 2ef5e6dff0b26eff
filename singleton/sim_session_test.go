package singleton

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// simSession is a connection to the server.
type simSession struct {
	server *simServer
	host   *host
	link   link
	m      Mode
	ended  chan struct{} // closed by the server
	said   chan struct{} // a notification
	shares bool          // the fence, until its transaction ends; the server's to change
	lost   atomic.Bool   // the client knows that the session is over
}

func (s *simSession) broken() bool { return s.lost.Load() || s.host.isDead() }

// abandon closes the client's end. The server notices after a while, or when a
// cut link has healed, or when it reaps.
func (s *simSession) abandon(notice time.Duration) {
	s.lost.Store(true)
	after(notice, func() {
		if s.host.pass(s.link, s.ended, s.host.dead) {
			s.server.end(s)
		}
	})
}

type answer[T any] struct {
	value T
	err   error
}

// call sends a statement and waits for its answer. The statement may be executed
// long after the caller has given up, and the answer may never come.
func call[T any](ctx context.Context, s *simSession, do func() (T, error)) (T, error) {
	var none T
	h := s.host
	h.gate()
	switch {
	case s.broken():
		return none, errEnded
	case ctx.Err() != nil: // pgx sends nothing then
		return none, ctx.Err()
	}
	answers := make(chan answer[T], 1)
	go func() {
		a := answer[T]{none, errEnded}
		if h.pass(s.link, s.ended, h.dead) {
			a.value, a.err = do()
		}
		answers <- a
	}()
	select {
	case a := <-answers:
		return a.value, s.receive(ctx, a.err)
	case <-ctx.Done():
		h.gate()
		s.abandon(rand.N(time.Second))
		return none, ctx.Err()
	case <-h.dead:
		return none, errDead
	}
}

// receive brings an answer back, if it can: it may be lost with its connection,
// and a process that was frozen finds both the answer and its own deadline.
func (s *simSession) receive(ctx context.Context, err error) error {
	h := s.host
	arrived := h.hear(s.link, ctx.Done(), h.dead) && !h.resets(s.link)
	h.gate()
	switch {
	case h.isDead():
		return errDead
	case errors.Is(err, errEnded):
		s.lost.Store(true)
	case !arrived, ctx.Err() != nil && rand.N(2) == 0:
		s.abandon(rand.N(time.Second))
		return errors.Join(ctx.Err(), errEnded)
	}
	return err
}

// simClient is what an elector uses.
type simClient struct{ *simSession }

// open makes a host the store of its elector.
func (h *host) open(ctx context.Context, r role) (session, error) {
	l := linkLock
	if r == roleWatch {
		l = linkWatch
	}
	s, err := h.dial(ctx, l)
	if err != nil {
		return nil, err
	}
	return &simClient{s}, nil
}

func (h *host) dial(ctx context.Context, l link) (*simSession, error) {
	h.gate()
	if !h.pass(l, ctx.Done(), h.dead) {
		return nil, errors.Join(ctx.Err(), errDead)
	}
	s, err := h.world.server.connect(h, l)
	h.gate()
	if h.isDead() {
		return nil, errDead
	}
	return s, err
}

func (c *simClient) mode() (Mode, string) { return c.m, "simulated" }

func (c *simClient) close() {
	c.host.gate()
	c.abandon(0)
}

func (c *simClient) acquire(ctx context.Context, stale mark, patience time.Duration) (grant, error) {
	return call(ctx, c.simSession, func() (grant, error) { return c.server.grant(c.simSession, stale, patience) })
}

func (c *simClient) endWork(ctx context.Context, application string) (int, error) {
	return call(ctx, c.simSession, func() (int, error) { return c.server.endWork(application), nil })
}

func (c *simClient) beat(ctx context.Context, t *Term, p pulse) (request, error) {
	if err := c.reconnect(ctx); err != nil {
		return request{}, err
	}
	r, err := call(ctx, c.simSession, func() (request, error) { return c.server.beat(c.simSession, t, p) })
	if err == nil {
		c.server.oracle.knows(t)
	}
	return r, err
}

// reconnect replaces a connection of lease mode.
func (c *simClient) reconnect(ctx context.Context) error {
	if c.m != Lease || !c.broken() {
		return nil
	}
	s, err := c.host.dial(ctx, c.link)
	if err == nil {
		c.simSession = s
	}
	return err
}

func (c *simClient) idle(ctx context.Context) error {
	s := c.simSession
	defer s.host.gate()
	if s.m == Lease {
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
	case <-s.said:
		s.host.hear(s.link, ctx.Done(), s.host.dead)
	case <-s.ended:
		if s.host.hear(s.link, ctx.Done(), s.host.dead) {
			s.lost.Store(true)
			return errEnded
		}
	case <-s.host.dead:
		return errDead
	}
	return nil
}

func (c *simClient) release(ctx context.Context, t *Term, _, heir string) error {
	if err := c.reconnect(ctx); err != nil {
		return err
	}
	unsettled := t.Barrier() > 0
	_, err := call(ctx, c.simSession, func() (struct{}, error) {
		c.server.release(c.simSession, t, heir, unsettled)
		return struct{}{}, nil
	})
	return err
}

func (c *simClient) read(ctx context.Context) (snapshot, error) {
	return call(ctx, c.simSession, func() (snapshot, error) { return c.server.read(), nil })
}

func (c *simClient) takeover(ctx context.Context, m mark) (bool, error) {
	return call(ctx, c.simSession, func() (bool, error) { return c.server.takeover(m), nil })
}

func (c *simClient) stranger(ctx context.Context) (int32, error) {
	return call(ctx, c.simSession, func() (int32, error) { return c.server.stranger(), nil })
}

func (c *simClient) ask(ctx context.Context, epoch int64, heir string) error {
	_, err := call(ctx, c.simSession, func() (struct{}, error) {
		c.server.ask(epoch, c.host.name, heir)
		return struct{}{}, nil
	})
	return err
}

func (c *simClient) record(ctx context.Context, _ int64, _, _ string) error {
	_, err := call(ctx, c.simSession, func() (struct{}, error) { return struct{}{}, nil })
	return err
}

// BeginTx makes a host the pool of its work: every transaction has a session.
func (h *host) BeginTx(ctx context.Context, _ pgx.TxOptions) (pgx.Tx, error) {
	s, err := h.dial(ctx, linkWork)
	if err != nil {
		return nil, err
	}
	return &simTx{s: s}, nil
}

// simTx is a transaction. What it writes is of no interest, only whether it commits.
type simTx struct {
	pgx.Tx

	s    *simSession
	id   string
	done bool
}

// Exec knows one statement: the fence.
func (tx *simTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	_, err := call(ctx, tx.s, func() (struct{}, error) {
		if sql != sqlFence {
			return struct{}{}, errors.New("unknown statement")
		}
		tx.id = args[2].(string)
		return struct{}{}, tx.s.server.check(tx.s, args[1].(int64), tx.id, args[3].(int64))
	})
	return pgconn.CommandTag{}, err
}

func (tx *simTx) Commit(ctx context.Context) error {
	return tx.finish(ctx, func() { tx.s.server.commit(tx.s, tx.id) })
}

func (tx *simTx) Rollback(ctx context.Context) error {
	return tx.finish(ctx, func() { tx.s.server.rollback(tx.s) })
}

func (tx *simTx) finish(ctx context.Context, do func()) error {
	if tx.done {
		return pgx.ErrTxClosed
	}
	tx.done = true
	_, err := call(ctx, tx.s, func() (struct{}, error) {
		do()
		return struct{}{}, nil
	})
	tx.s.host.gate()
	tx.s.abandon(0)
	return err
}
