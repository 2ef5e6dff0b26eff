package outbox_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"kiosk/internal/outbox"
	"kiosk/singleton"
)

// wire carries connections to the database until it is frozen. Then neither
// side hears of the other, as when a process is stopped or a network is cut.
type wire struct {
	url     string
	network string
	address string
	frozen  chan struct{}
	over    <-chan struct{} // the test is
}

func (h *house) newWire() *wire {
	h.t.Helper()
	cfg, err := pgx.ParseConfig(h.url)
	h.must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	h.t.Cleanup(func() { _ = listener.Close() })
	u, err := url.Parse(h.url)
	h.must(err)
	query := u.Query()
	query.Del("host")
	query.Del("port")
	u.Host, u.RawQuery = listener.Addr().String(), query.Encode()

	w := &wire{url: u.String(), frozen: make(chan struct{}), over: h.t.Context().Done()}
	w.network, w.address = pgconn.NetworkAddress(cfg.Host, cfg.Port)
	go w.accept(listener)
	return w
}

func (w *wire) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(w.network, w.address)
		if err != nil {
			_ = client.Close()
			continue
		}
		go w.carry(server, client)
		go w.carry(client, server)
	}
}

func (w *wire) carry(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 8<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-w.frozen:
			<-w.over
			return
		default:
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// endHolder ends the holder's session, and has its successor forget for how long
// the holder trusts itself.
func (h *house) endHolder() {
	h.t.Helper()
	h.exec(`WITH holder AS (UPDATE singleton_lease SET stale_ms = 0 RETURNING pid) SELECT pg_terminate_backend(pid) FROM holder`)
}

// freeze makes the holder of the lock deaf and lets the server end its session.
// The holder goes on, and believes that nothing has changed.
func (h *house) freeze(w *wire, holder *singleton.Term) (successor *singleton.Term) {
	h.t.Helper()
	close(w.frozen)
	h.endHolder()
	successor = h.elect("two", h.url)
	if err := holder.Check(); err != nil {
		h.t.Fatalf("the former holder knows already: %v", err)
	}
	return successor
}

// awaitFence waits until the database has told the former holder.
func awaitFence(t *testing.T, former *singleton.Term) {
	t.Helper()
	receive(t, former.Context().Done(), "the fence")
	if cause := context.Cause(former.Context()); !errors.Is(cause, singleton.ErrFenced) {
		t.Errorf("the former term ended with %v, want ErrFenced", cause)
	}
}

func TestWorker_FormerTermCannotClaim(t *testing.T) {
	t.Parallel()
	h := open(t)
	w := h.newWire()
	former := h.elect("one", w.url)
	h.add(draft(notice, 1, "a"))
	present := h.freeze(w, former)

	late, s := newSender(), newSender()
	h.work(former, late)
	awaitFence(t, former)
	if r := h.row("a"); r != (row{State: "pending"}) {
		t.Errorf("the former term left %+v", r)
	}
	h.work(present, s)
	s.want(t, "send a", "settle a sent")
	if len(late.events) > 0 {
		t.Errorf("the former term did %s", <-late.events)
	}
}

// The former term wakes up while it sends, after its successor has judged the
// message.
func TestWorker_FormerTermCannotRecordWhatItSent(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]struct {
		events []string // of the successor
		state  string
	}{
		notice: {[]string{"settle a unknown"}, "unknown"},
		edit:   {[]string{"send a", "settle a sent"}, "sent"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			w := h.newWire()
			former := h.elect("one", w.url)
			frozen, wakeUp := context.WithCancel(t.Context())
			defer wakeUp()
			late, s := newSender(), newSender()
			late.send = func(context.Context, outbox.Message) error { <-frozen.Done(); return nil }
			h.add(draft(kind, 1, "a"))
			h.work(former, late)
			late.want(t, "send a")

			h.work(h.freeze(w, former), s)
			s.want(t, want.events...)
			before := h.awaitState("a", want.state)
			wakeUp()
			awaitFence(t, former)
			if after := h.row("a"); after != before {
				t.Errorf("the former term changed %+v into %+v", before, after)
			}
			if len(late.events)+len(s.events) > 0 {
				t.Errorf("%d more events of the former term, %d of the present one", len(late.events), len(s.events))
			}
		})
	}
}

// The term ends in the middle of a call, whose answer is lost with it.
func TestWorker_TermLostWhileSendingLeavesTheJudgementToTheNext(t *testing.T) {
	t.Parallel()
	h := open(t)
	former := h.elect("one", h.url)
	late, s := newSender(), newSender()
	late.send = func(ctx context.Context, _ outbox.Message) error { <-ctx.Done(); return ctx.Err() }
	h.add(draft(notice, 1, "a"), draft(notice, 1, "b"))
	_, stop := h.workOn(h.pool, former, late)
	late.want(t, "send a")
	h.endHolder()
	present := h.elect("two", h.url)
	receive(t, stop(), "the end of the former worker")
	if r := h.row("a"); r.State != "sending" || r.Epoch != former.Epoch() {
		t.Errorf("the former term left %+v", r)
	}
	h.work(present, s)
	s.want(t, "settle a unknown", "send b", "settle b sent")
	if len(late.events) > 0 {
		t.Errorf("the former term did %s", <-late.events)
	}
}

func TestWorker_WhatAnEarlierTermWasSendingIsRepeatedOnlyIfThatIsHarmless(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]struct {
		events []string
		row    row
	}{
		notice: {[]string{"settle a unknown", "send b", "settle b sent"},
			row{State: "unknown", Attempts: 1, Error: "the sender ended before it knew the outcome"}},
		edit: {[]string{"send a", "settle a sent", "send b", "settle b sent"},
			row{State: "sent", Attempts: 2, Epoch: 1}},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			h.add(draft(kind, 1, "a"), draft(kind, 1, "b"))
			h.exec(`UPDATE outbox_messages SET state = 'sending', attempts = 1, claim_epoch = 0 WHERE key = 'a'`)
			s := newSender()
			h.work(h.elect("one", h.url), s)
			s.want(t, want.events...)
			if r := h.row("a"); r != want.row {
				t.Errorf("the row is %+v, want %+v", r, want.row)
			}
		})
	}
}
