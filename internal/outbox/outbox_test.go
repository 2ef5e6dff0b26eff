package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/outbox"
)

func TestAdd_GoesOutAfterTheCommitOnly(t *testing.T) {
	t.Parallel()
	s := newSender()
	h, w := start(t, s)
	tx, err := h.pool.Begin(t.Context())
	h.must(err)
	h.must(outbox.Add(t.Context(), tx, draft(notice, 1, "waits")))
	h.add(draft(notice, 2, "committed"))
	w.Wake()
	s.want(t, "send committed", "settle committed sent")
	h.must(tx.Commit(t.Context()))
	w.Wake()
	s.want(t, "send waits", "settle waits sent")
}

func TestAdd_IsNeverSentWhenItsTransactionRollsBack(t *testing.T) {
	t.Parallel()
	s := newSender()
	h, w := start(t, s)
	errUndo := errors.New("undo")
	err := pgx.BeginFunc(t.Context(), h.pool, func(tx pgx.Tx) error {
		return errors.Join(outbox.Add(t.Context(), tx, draft(notice, 1, "undone")), errUndo)
	})
	if !errors.Is(err, errUndo) {
		t.Fatal(err)
	}
	h.add(draft(notice, 1, "next"))
	w.Wake()
	s.want(t, "send next", "settle next sent")
	if n := h.count(`SELECT count(*) FROM outbox_messages`); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestAdd_SameKeyIsOneMessage(t *testing.T) {
	t.Parallel()
	s := newSender()
	h, w := start(t, s)
	again := draft(edit, 9, "a")
	again.Args = "changed"
	h.add(draft(notice, 1, "a"), again)
	w.Wake()
	if m := s.next(t, 2)[0].message; m.ChatID != 1 || m.Kind != notice || text(t, m) != "a" {
		t.Errorf("sent %+v, want the first", m)
	}
	h.add(draft(notice, 1, "a"), draft(notice, 1, "b")) // also after it was sent
	w.Wake()
	s.want(t, "send b", "settle b sent")
	if n := h.count(`SELECT count(*) FROM outbox_messages WHERE chat_id = 1`); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestAdd_WithoutAKeyEveryMessageIsAnother(t *testing.T) {
	t.Parallel()
	s := newSender()
	h, w := start(t, s)
	h.add(draft(notice, 1, ""), draft(notice, 1, ""))
	w.Wake()
	s.want(t, "send ", "settle  sent", "send ", "settle  sent")
}

// gather is a draft that the next one with its key replaces.
func gather(key, args string) outbox.Draft {
	d := draft(notice, 1, key)
	d.Args, d.Gather = args, time.Hour
	return d
}

func TestAdd_GatheredDraftsWaitAndTheNewestGoesOut(t *testing.T) {
	t.Parallel()
	s := newSender()
	h, w := start(t, s)
	for _, args := range []string{"one picture", "two pictures", "three pictures"} {
		h.add(gather("album", args))
	}
	h.add(draft(notice, 1, "behind"))
	for i := range 3 { // other chats, and scans in which nothing of this chat goes out
		key := fmt.Sprint("other ", i)
		h.add(draft(notice, 2, key))
		w.Wake()
		s.want(t, "send "+key, "settle "+key+" sent")
	}
	if n := h.count(`SELECT count(*) FROM outbox_messages WHERE key = 'album' AND due_at > clock_timestamp() + interval '59 minutes'`); n != 1 {
		t.Error("the gathered message is not held back")
	}
	h.exec(`UPDATE outbox_messages SET due_at = due_at - interval '1 hour'`)
	w.Wake()
	events := s.next(t, 4)
	if got := fmt.Sprint(events); got != "[send album settle album sent send behind settle behind sent]" {
		t.Errorf("events are %s", got)
	}
	if args := text(t, events[0].message); args != "three pictures" {
		t.Errorf("sent %q, want the newest", args)
	}
	if n := h.count(`SELECT count(*) FROM outbox_messages WHERE chat_id = 1`); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestAdd_GatheredDraftThatComesTooLateIsNews(t *testing.T) {
	t.Parallel()
	s := newSender()
	sending, goOn := make(chan struct{}), make(chan struct{})
	s.send = func(_ context.Context, m outbox.Message) error {
		if m.Key == "album" {
			close(sending)
			select {
			case <-goOn:
			case <-t.Context().Done():
			}
		}
		return nil
	}
	h, w := start(t, s)
	h.add(gather("album", "one picture"))
	h.exec(`UPDATE outbox_messages SET due_at = clock_timestamp()`)
	w.Wake()
	receive(t, sending, "the album")
	h.add(gather("album", "two pictures")) // while it is being sent
	close(goOn)
	w.Wake()
	events := s.next(t, 4)
	h.awaitState("album", "sent")
	h.add(gather("album", "three pictures")) // after it was sent
	w.Wake()
	events = append(events, s.next(t, 2)...)
	var args []string
	for _, e := range events {
		if e.call == "send" {
			args = append(args, text(t, e.message))
		}
	}
	if want := []string{"one picture", "two pictures", "three pictures"}; !slices.Equal(args, want) {
		t.Errorf("sent %q, want %q", args, want)
	}
}

func TestAdd_GatheredDraftDoesNotShortenThePauseThatTelegramAskedFor(t *testing.T) {
	t.Parallel()
	s := newSender()
	s.answers["album"] = times(1, errTooMany)
	h, _ := start(t, s)
	d := gather("album", "one picture")
	d.Gather = time.Millisecond
	h.add(d)
	s.want(t, "send album")
	h.awaitState("album", "pending")
	d.Args = "two pictures"
	h.add(d)
	n := h.count(`SELECT count(*) FROM outbox_messages WHERE args = '"two pictures"' AND due_at > clock_timestamp() + interval '59 minutes'`)
	if n != 1 {
		t.Error("the newest draft does not wait for as long as Telegram asked")
	}
}

func TestAdd_RefusesArgumentsThatAreNoJSON(t *testing.T) {
	t.Parallel()
	h := open(t)
	err := pgx.BeginFunc(t.Context(), h.pool, func(tx pgx.Tx) error {
		d := draft(notice, 1, "a")
		d.Args = func() {}
		if err := outbox.Add(t.Context(), tx, d); err == nil {
			t.Error("a function was taken for arguments")
		}
		return outbox.Add(t.Context(), tx, draft(notice, 1, "b")) // the transaction goes on
	})
	h.must(err)
}

func TestReadStats_CountsByState(t *testing.T) {
	t.Parallel()
	h := open(t)
	want := func(want outbox.Stats) {
		t.Helper()
		got, err := outbox.ReadStats(t.Context(), h.pool)
		h.must(err)
		if older := got.OldestSeconds - want.OldestSeconds; older > 0 && older < 3600 {
			got.OldestSeconds = want.OldestSeconds // time has passed
		}
		if (got.LateSeconds > 0) == (want.Pending > 0) {
			got.LateSeconds = 0 // what waits is late by some milliseconds
		}
		if got != want {
			t.Errorf("counts %+v, want %+v", got, want)
		}
	}
	want(outbox.Stats{})
	h.exec(`INSERT INTO outbox_messages (chat_id, kind, args, state, claim_epoch, created_at)
		SELECT 1, 'notice', '{}', state, 1, clock_timestamp() - age
		FROM (VALUES ('pending', 2, interval '1 minute'), ('sending', 1, '2 minutes'), ('unknown', 4, '1 day'),
		             ('sent', 5, '1 day'), ('refused', 6, '1 day')) AS a (state, times, age), generate_series(1, times)`)
	want(outbox.Stats{Pending: 3, OldestSeconds: 120, Unknown: 4})
	h.exec(`UPDATE outbox_messages SET finished_at = clock_timestamp() - interval '2 hours' WHERE state = 'unknown'`)
	want(outbox.Stats{Pending: 3, OldestSeconds: 120, Unknown: 4})
	h.exec(`UPDATE outbox_messages SET finished_at = clock_timestamp() - interval '10 minutes' WHERE state = 'unknown'`)
	want(outbox.Stats{Pending: 3, OldestSeconds: 120, Unknown: 4, UnknownRecent: 4})
}
