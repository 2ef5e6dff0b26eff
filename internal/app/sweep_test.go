package app_test

import (
	"strings"
	"testing"
	"time"

	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
)

// One leftover of every kind, eight days old, in front of an instance that keeps
// things for seven.
func TestSweeps_TheActiveInstanceClearsEveryKindOfLeftover(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	pool := pgtest.Pool(t, w.Database)
	for _, sql := range []string{
		`INSERT INTO inbox_messages (source, key, lane, body, state, received_at) VALUES
			('telegram', 'old', 'a', '', 'done', now() - interval '8 days'), ('kie', 'orphan', 'no generation', '', 'failed', now() - interval '1 day')`,
		`INSERT INTO outbox_messages (key, chat_id, kind, args, state, created_at, finished_at) VALUES
			('old', 1, 'k', '{}', 'sent', now() - interval '8 days', now() - interval '8 days'),
			('doubt', 1, 'k', '{}', 'unknown', now() - interval '6 days', now() - interval '15 days')`,
		`INSERT INTO generations (id, request_key, user_id, chat_id, language, model, params, price, cost_micros, state, due_at, created_at, finished_at) VALUES
			(gen_random_uuid(), 'old', 1, 1, 'en', 'z-image', '{"prompt": "old"}', 0, 0, 'failed', now(), now() - interval '8 days', now() - interval '8 days'),
			('019a0000-0000-7000-8000-000000000001', 'stuck', 1, 1, 'en', 'z-image', '{"prompt": "stuck"}', 0, 0, 'held', now() + interval '1 year', now() - interval '1 day', NULL)`,
		`SELECT ledger_hold('gen:019a0000-0000-7000-8000-000000000001', 1, 'RUB', 0, now()), ledger_hold('gen:lost', 1, 'RUB', 0, now())`,
		`INSERT INTO bot_users (id, first_name, language) VALUES (1, 'x', 'en')`,
		`INSERT INTO bot_sessions (user_id, state, updated_at) VALUES (1, '{"text": "old", "draft": 3}', now() - interval '8 days')`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	w.Settle = time.Millisecond
	w.Start(quick, map[string]string{"RETENTION_DAYS": "7"})
	for what, sql := range map[string]string{
		"old updates":            `SELECT count(*) FROM inbox_messages WHERE key = 'old'`,
		"orphan callbacks":       `SELECT count(*) FROM inbox_messages WHERE key = 'orphan' AND state <> 'done'`,
		"old messages":           `SELECT count(*) FROM outbox_messages WHERE key = 'old'`,
		"doubtful deliveries":    `SELECT count(*) FROM outbox_messages WHERE key = 'doubt' AND state <> 'expired'`,
		"old prompts":            `SELECT count(*) FROM generations WHERE request_key = 'old' AND params <> '{}'`,
		"stuck orders":           `SELECT count(*) FROM generations WHERE request_key = 'stuck' AND state <> 'failed'`,
		"holds of stuck orders":  `SELECT count(*) FROM ledger_holds WHERE key LIKE '%000000000001' AND state <> 'released'`,
		"forgotten drafts":       `SELECT count(*) FROM bot_sessions WHERE state <> '{"draft": 3}'`,
		"holds released in vain": `SELECT count(*) FROM ledger_holds WHERE key = 'gen:lost' AND state <> 'open'`,
	} {
		waitZero(t, pool, what, sql)
	}
	w.WaitLog(func(log string) bool {
		return strings.Contains(log, `msg="defect found" sweep=ledger.orphan_holds count=1 subjects=[gen:lost]`)
	})
}
