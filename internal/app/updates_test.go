package app_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/telegram"
)

const webhookSecret = "a-secret-of-the-test"

// post sends a body as Telegram does and returns the status.
func post(t *testing.T, base, method, secret string, body []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+"/webhook/telegram", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func corpus(t *testing.T) [][]byte {
	t.Helper()
	raw, err := os.ReadFile("../telegram/testdata/updates.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
}

// tally is everything that updates may have had an effect on.
type tally struct{ messages, undecodable, failed, users, credits, orders int }

func count(t *testing.T, pool *pgxpool.Pool) tally {
	t.Helper()
	var n tally
	err := pool.QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM inbox_messages),
		(SELECT count(*) FROM inbox_messages WHERE state = 'undecodable'),
		(SELECT count(*) FROM inbox_messages WHERE state = 'failed'),
		(SELECT count(*) FROM bot_users),
		(SELECT count(*) FROM ledger_operations),
		(SELECT count(*) FROM generations)`).Scan(&n.messages, &n.undecodable, &n.failed, &n.users, &n.credits, &n.orders)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Real updates, line by line, then twice, then shuffled over 64 connections:
// every line is acknowledged, each effect happens once, unknown kinds do no harm.
func TestUpdates_RealOnesTwiceAndShuffled(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	a := w.Start(quick, map[string]string{"TELEGRAM_WEBHOOK_SECRET": webhookSecret})
	pool := pgtest.Pool(t, w.Database)
	lines := corpus(t)
	keys := map[string]bool{}
	undecodable := 0
	for _, line := range lines {
		u, err := telegram.Decode(line)
		if err != nil {
			undecodable++
			keys[string(line)] = true
			continue
		}
		keys[fmt.Sprint(u.ID)] = true
	}
	settled := func() tally {
		waitZero(t, pool, "updates are pending", `SELECT count(*) FROM inbox_messages WHERE state = 'pending'`)
		return count(t, pool)
	}
	for i, line := range lines {
		if code := post(t, a.URL(), http.MethodPost, webhookSecret, line); code != http.StatusOK {
			t.Errorf("line %d: %d %.80s", i+1, code, line)
		}
	}
	first := settled()
	if first.messages != len(keys) || first.undecodable != undecodable || first.failed != 0 || first.users == 0 || first.credits != first.users {
		t.Errorf("after one pass %+v, want %d messages, %d undecodable, one credit per user", first, len(keys), undecodable)
	}

	var shuffled [][]byte
	for range 3 {
		shuffled = append(shuffled, lines...)
	}
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var next, refused atomic.Int64
	var connections sync.WaitGroup
	for range 64 {
		connections.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(shuffled); i = int(next.Add(1)) - 1 {
				if post(t, a.URL(), http.MethodPost, webhookSecret, shuffled[i]) != http.StatusOK {
					refused.Add(1)
				}
			}
		})
	}
	connections.Wait()
	if again := settled(); again != first || refused.Load() != 0 {
		t.Errorf("after %d repetitions %+v, before %+v; %d refused", len(shuffled), again, first, refused.Load())
	}
	t.Logf("%d lines, %d distinct updates, %d undecodable and kept, %d users, %d posts", len(lines), len(keys), undecodable, first.users, len(lines)+len(shuffled))
}

// What strangers and broken clients send: a fitting status, nothing stored that
// should not be, and nobody else's update harmed.
func TestUpdates_GarbageIsAnsweredFittingly(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	a := w.Start(quick, map[string]string{"TELEGRAM_WEBHOOK_SECRET": webhookSecret})
	pool := pgtest.Pool(t, w.Database)
	message := func(id int, text string) []byte {
		return fmt.Appendf(nil, `{"update_id":%d,"message":{"message_id":1,"date":1,"from":{"id":%d,"is_bot":false,"first_name":"A"},"chat":{"id":%d,"type":"private"},"text":"%s"}}`, id, id, id, text)
	}
	deep := []byte(`{"update_id":7,"message":` + strings.Repeat(`{"reply_to_message":`, 9000) + `{}` + strings.Repeat(`}`, 9001))
	tooDeep := []byte(`{"update_id":8,"message":` + strings.Repeat(`[`, 20000) + strings.Repeat(`]`, 20000) + `}`)
	cases := []struct {
		name, method, secret string
		body                 []byte
		status, stored       int
	}{
		{"wrong secret", http.MethodPost, "wrong", message(1, "x"), http.StatusUnauthorized, 0},
		{"no secret", http.MethodPost, "", message(1, "x"), http.StatusUnauthorized, 0},
		{"wrong method", http.MethodGet, webhookSecret, nil, http.StatusMethodNotAllowed, 0},
		{"over the limit", http.MethodPost, webhookSecret, bytes.Repeat([]byte("x"), 3<<20), http.StatusRequestEntityTooLarge, 0},
		{"NUL in a text", http.MethodPost, webhookSecret, message(2, `a\u0000b`), http.StatusOK, 1},
		{"NUL bytes", http.MethodPost, webhookSecret, []byte("\x00\x00"), http.StatusOK, 1},
		{"lone surrogate", http.MethodPost, webhookSecret, message(3, `\ud83d`), http.StatusOK, 1},
		{"invalid UTF-8", http.MethodPost, webhookSecret, message(4, "\xff\xfe"), http.StatusOK, 1},
		{"a megabyte", http.MethodPost, webhookSecret, message(5, strings.Repeat("я", 500_000)), http.StatusOK, 1},
		{"deep nesting", http.MethodPost, webhookSecret, deep, http.StatusOK, 1},
		{"nesting beyond reason", http.MethodPost, webhookSecret, tooDeep, http.StatusOK, 1},
		{"empty", http.MethodPost, webhookSecret, nil, http.StatusOK, 1},
		{"a list", http.MethodPost, webhookSecret, []byte(`[1,2]`), http.StatusOK, 1},
		{"negative user", http.MethodPost, webhookSecret, message(-9, "x"), http.StatusOK, 1},
	}
	want := 0
	var posts sync.WaitGroup
	for i, c := range cases { // all at once, so that they share batches with a good one
		want += c.stored
		posts.Go(func() {
			if got := post(t, a.URL(), c.method, c.secret, c.body); got != c.status {
				t.Errorf("%s: %d, want %d", c.name, got, c.status)
			}
		})
		posts.Go(func() {
			if got := post(t, a.URL(), http.MethodPost, webhookSecret, message(1000+i, "/balance")); got != http.StatusOK {
				t.Errorf("a good update beside %s: %d", c.name, got)
			}
		})
	}
	posts.Wait()
	waitZero(t, pool, "updates are pending", `SELECT count(*) FROM inbox_messages WHERE state = 'pending'`)
	if n := count(t, pool); n.messages != want+len(cases) || n.failed != 0 {
		t.Errorf("%+v, want %d messages and none failed", n, want+len(cases))
	}
	if n := one[int](t, pool, `SELECT count(*) FROM bot_users WHERE id >= 1000`); n != len(cases) {
		t.Errorf("%d of %d good updates had their effect", n, len(cases))
	}
}
