package app_test

import (
	"strings"
	"testing"

	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
)

// One search for the generation's id finds the whole way of an order, however it
// is troubled: the update, each try, the callback, the end and the delivery.
func TestTrace_OneIdFromTheUpdateToTheDelivery(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"webhook", "polling"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := apptest.New(t)
			kieFault(t, w, kiesim.Fault{Method: "createTask", Action: "fail", Code: 429, Count: 1})
			kieFault(t, w, kiesim.Fault{Method: "recordInfo", Action: "html", Count: 1})
			telegramFault(t, w, telegramsim.Fault{Method: "sendPhoto", Action: "fail", Code: 429, RetryAfter: 1, Count: 1})
			w.Start(quick, map[string]string{"BOT_MODE": mode})
			p := w.Person("Ada", "en")
			p.Order("Pictures", "Z-Image", "a fox")
			p.Wait("the picture", hasPhoto)
			pool := pgtest.Pool(t, w.Database)
			waitZero(t, pool, "messages wait", `SELECT count(*) FROM outbox_messages WHERE state IN ('pending', 'sending')`)
			waitZero(t, pool, "the callback waits", `SELECT 1 - count(*) FROM inbox_messages WHERE source = 'kie' AND state = 'done'`)
			id := one[string](t, pool, `SELECT id::text FROM generations`)
			trace := "trace_id=" + strings.ReplaceAll(id, "-", "")
			log := w.WaitLog(func(log string) bool { return strings.Contains(log, `msg="result delivered"`) })
			for _, station := range []string{
				`msg="message handled" source=telegram`, `msg="generation submitting"`, `msg="submission not accepted"`, `msg="generation accepted"`,
				`msg="task not read"`, `msg="callback received"`, `msg="message handled" source=kie`, `msg="generation succeeded"`,
				`msg="message not sent"`, `msg="message sent"`, `msg="result delivered"`,
			} {
				if !hasLine(log, station, trace) {
					t.Errorf("no line has %s and %s", station, trace)
				}
			}
			for line := range strings.Lines(log) {
				if strings.Contains(line, id) && !strings.Contains(line, trace) {
					t.Errorf("a line about the order lacks its trace: %s", line)
				}
				if strings.Contains(line, "msg=\"message handled\"") && !strings.Contains(line, "trace_id=") {
					t.Errorf("an update has no trace: %s", line)
				}
			}
			for what, sql := range map[string]string{
				"rows without a trace":        `SELECT count(*) FROM inbox_messages WHERE trace_id IS NULL`,
				"updates that share a trace":  `SELECT count(*) - count(DISTINCT trace_id) FROM inbox_messages WHERE source = 'telegram'`,
				"orders without their update": `SELECT count(*) FROM generations g WHERE NOT EXISTS (SELECT 1 FROM inbox_messages WHERE source = 'telegram' AND trace_id = g.id)`,
				"callbacks of another trace":  `SELECT count(*) FROM inbox_messages WHERE source = 'kie' AND trace_id::text <> lane`,
				"results of another trace":    `SELECT count(*) FROM outbox_messages WHERE kind LIKE 'generation.%' AND trace_id::text IS DISTINCT FROM args ->> 'generation'`,
				"screens without a trace":     `SELECT count(*) FROM outbox_messages WHERE trace_id IS NULL`,
			} {
				if n := one[int](t, pool, sql); n != 0 {
					t.Errorf("%s: %d", what, n)
				}
			}
		})
	}
}

func hasLine(log string, parts ...string) bool {
	for line := range strings.Lines(log) {
		n := 0
		for _, part := range parts {
			if strings.Contains(line, part) {
				n++
			}
		}
		if n == len(parts) {
			return true
		}
	}
	return false
}

// At level info an order is a handful of lines, each of which says whose it is,
// what it is about and how long it took.
func TestTrace_AnOrderIsAFewLines(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	p := w.Person("Ada", "en")
	p.Order("Pictures", "Z-Image", "a fox")
	log := w.WaitLog(func(log string) bool {
		return strings.Contains(log, `msg="result delivered"`) && strings.Contains(log, `msg="callback received"`)
	})
	var lines []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "trace_id=") && !strings.Contains(line, "level=DEBUG") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 5 {
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, ""))
	}
	for _, line := range lines {
		for _, key := range []string{"generation_id=", "user_id=", "model=z-image", "state=", "duration="} {
			if !strings.Contains(line, key) && !strings.Contains(line, "callback received") {
				t.Errorf("no %s in %s", key, line)
			}
		}
	}
}

// An update that cannot be handled is found by its trace, with its person.
func TestTrace_AFailingUpdateNamesItsTraceAndItsPerson(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	pool := pgtest.Pool(t, w.Database)
	if _, err := pool.Exec(t.Context(), `ALTER TABLE bot_users ADD CONSTRAINT nobody CHECK (id = 0)`); err != nil {
		t.Fatal(err)
	}
	p := w.Person("Ada", "en")
	p.Say("/start")
	w.WaitLog(func(log string) bool {
		return hasLine(log, `msg="message failed"`, "lane="+itoa(p.ID), "trace_id=", "attempt=1", "nobody")
	})
}
