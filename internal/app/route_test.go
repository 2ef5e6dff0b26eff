package app_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/app/apptest"
	"kiosk/internal/generation"
	"kiosk/internal/ledger"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// The stations of the route in order, for a picture and a video, finished by the
// callback alone and by polling alone.
func TestRoute_StationsInOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, category, model, price string
		kopecks                      ledger.Amount
		callback                     bool
		file                         func(telegramsim.Message) bool
	}{
		{"picture by callback", "Pictures", "Z-Image", "0.64", 64, true, hasPhoto},
		{"picture by poll", "Pictures", "Z-Image", "0.64", 64, false, hasPhoto},
		{"video by callback", "Video", "Seedance", "8", 800, true, hasVideo},
		{"video by poll", "Video", "Seedance", "8", 800, false, hasVideo},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := apptest.New(t)
			limits := generation.Limits{FirstPoll: 50 * time.Millisecond}
			if c.callback {
				limits.FirstPoll = time.Hour // only the callback can finish it
			} else if err := w.Kie.Fault(kiesim.Fault{Method: "callback", Action: "no_callback"}); err != nil {
				t.Fatal(err)
			}
			w.Start(limits, nil)
			pool := pgtest.Pool(t, w.Database)
			p := w.Person("Ada", "en")

			// Stations 1 and 2: stored, acknowledged, handled in order.
			p.Say("/start")
			p.WaitText("Ada", "100 ₽")
			// Stations 3 and 4: screens, the price before anything is sent.
			p.Press(c.category)
			p.Press(c.model)
			p.WaitText("Price", c.price)
			p.Say("a lighthouse at dawn")
			card := p.WaitText("a lighthouse at dawn", "Price: "+c.price)
			if _, ok := apptest.Button(card, "Generate · "+c.price); !ok {
				t.Fatalf("the card's button does not show the price: %+v", card.ReplyMarkup)
			}
			// Stations 5 to 8.
			p.Press("Generate")
			file := p.Wait("the result", c.file)
			if !strings.Contains(file.Caption, "a lighthouse at dawn") {
				t.Errorf("caption %q lacks the prompt", file.Caption)
			}
			done := p.WaitText("Ready", "Charged: "+c.price)
			if done.MessageID != card.MessageID {
				t.Errorf("the card %d was not the progress message %d", card.MessageID, done.MessageID)
			}
			checkStations(t, pool, p, c.kopecks, c.callback)
			checkCreate(t, w)
		})
	}
}

func hasPhoto(m telegramsim.Message) bool { return len(m.Photo) > 0 }
func hasVideo(m telegramsim.Message) bool { return m.Video != nil }

// checkStations reads the trail that the order left in every room's tables.
func checkStations(t *testing.T, pool *pgxpool.Pool, p *apptest.Person, price ledger.Amount, callback bool) {
	t.Helper()
	ctx := context.Background()
	list, err := generation.List(ctx, pool, ledger.UserID(p.ID), 10)
	if err != nil || len(list) != 1 || list[0].State != generation.Succeeded || list[0].Price != price {
		t.Fatalf("generations %+v, %v", list, err)
	}
	history, err := generation.History(ctx, pool, list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	var events []generation.Event
	for _, h := range history {
		events = append(events, h.Event)
	}
	if want := []generation.Event{generation.Submit, generation.Accepted, generation.Finished}; !slices.Equal(events, want) {
		t.Errorf("events %v, want %v", events, want)
	}
	for what, sql := range map[string]string{
		"updates not done":        `SELECT count(*) FROM inbox_messages WHERE state <> 'done'`,
		"holds not captured once": `SELECT count(*) FROM ledger_holds WHERE state <> 'captured'`,
		"results without a file":  `SELECT count(*) FROM generation_results WHERE file_id = ''`,
		"presses not answered":    `SELECT 3 - count(*) FROM outbox_messages WHERE kind = 'bot.answer' AND state = 'sent'`,
		"results not sent once":   `SELECT count(*) - 1 FROM outbox_messages WHERE kind = 'generation.result' AND state = 'sent'`,
	} {
		waitZero(t, pool, what, sql)
	}
	callbacks := one[int](t, pool, `SELECT count(*) FROM inbox_messages WHERE source = 'kie'`)
	if (callbacks == 1) != callback {
		t.Errorf("%d callbacks were stored", callbacks)
	}
	if got := one[int64](t, pool, `SELECT sum(balance)::bigint FROM ledger_accounts WHERE user_id IS NOT NULL`); got != 10000-int64(price) {
		t.Errorf("balance %d, want %d", got, 10000-int64(price))
	}
	if defects, err := ledger.Audit(ctx, pool); err != nil || len(defects) > 0 {
		t.Errorf("audit: %v %v", defects, err)
	}
}

// checkCreate asserts that exactly one task was created, with our callback.
func checkCreate(t *testing.T, w *apptest.World) {
	t.Helper()
	n := 0
	for _, c := range w.Kie.Calls() {
		if c.Method != "createTask" {
			continue
		}
		n++
		if !strings.Contains(string(c.Body), "/callback/kie/") || strings.Contains(string(c.Body), apptest.KieKey) {
			t.Errorf("create %s", c.Body)
		}
	}
	if n != 1 {
		t.Errorf("%d tasks were created, want 1", n)
	}
}

func one[T any](t *testing.T, pool *pgxpool.Pool, sql string) T {
	t.Helper()
	rows, err := pool.Query(context.Background(), sql)
	if err != nil {
		t.Fatal(err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// waitZero waits until the count is zero: what the chat shows may be a moment
// ahead of the row that records it.
func waitZero(t *testing.T, pool *pgxpool.Pool, what, sql string) {
	t.Helper()
	deadline := time.Now().Add(apptest.Patience)
	for {
		n := one[int](t, pool, sql)
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d", what, n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
