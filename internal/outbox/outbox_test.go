package outbox_test

import (
	"errors"
	"testing"

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
	h.add(draft(notice, 1, "a"), draft(edit, 9, "a"))
	w.Wake()
	s.want(t, "send a", "settle a sent")
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
		if want.OldestSeconds > 0 && got.OldestSeconds >= want.OldestSeconds {
			got.OldestSeconds = want.OldestSeconds // it is at least as old
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
}
