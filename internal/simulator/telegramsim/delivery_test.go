package telegramsim_test

import (
	"fmt"
	"maps"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"kiosk/internal/simulator/telegramsim"
)

func (s *sim) say(userID int64, text string) {
	s.t.Helper()
	if _, err := s.SendText(userID, text); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sim) hook(b *bot, extra obj) {
	s.t.Helper()
	params := obj{"url": b.URL, "secret_token": "s3cret"}
	maps.Copy(params, extra)
	s.must("setWebhook", params, nil)
}

func TestWebhook_CarriesSecretAndUpdate(t *testing.T) {
	t.Parallel()
	s, b := newSim(t), newBot(t, nil)
	s.hook(b, nil)
	u := s.NewUser("Ада", "ru")
	s.say(u.ID, "/start ref_1")
	s.say(u.ID, "привет")

	got := b.wait(t, 2)
	first := got[0]
	if h := first.header.Get("X-Telegram-Bot-Api-Secret-Token"); h != "s3cret" {
		t.Errorf("secret: %q", h)
	}
	if ct := first.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("content type: %q", ct)
	}
	m := first.update.Message
	if m == nil || m.Text != "/start ref_1" || m.From.LanguageCode != "ru" || m.Chat.Type != "private" {
		t.Fatalf("message: %s", first.raw)
	}
	if summary(m.Entities) != "bot_command@0+6" {
		t.Errorf("entities: %s", summary(m.Entities))
	}
	if got[1].update.ID != first.update.ID+1 {
		t.Errorf("update ids %d, %d", first.update.ID, got[1].update.ID)
	}
	if err := s.WaitUpdates(short(t)); err != nil {
		t.Fatal(err)
	}
	for _, up := range s.Updates() {
		if up.State != telegramsim.UpdateAcknowledged || up.Attempts != 1 || up.AcknowledgedAt.IsZero() {
			t.Errorf("update: %+v", up)
		}
	}
}

func TestWebhook_FailureIsRetriedInOrderOfItsQueue(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	b := newBot(t, func(d delivered, w http.ResponseWriter) {
		if d.number <= 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s.hook(b, nil)
	u := s.NewUser("Ada", "en")
	s.say(u.ID, "one")
	s.say(u.ID, "two")
	got := b.wait(t, 5)
	for i, want := range []string{"one", "one", "one", "one", "two"} {
		if got[i].update.Message.Text != want {
			t.Errorf("delivery %d: %s, want %s", i, got[i].update.Message.Text, want)
		}
	}
	if err := s.WaitUpdates(short(t)); err != nil {
		t.Fatal(err)
	}
	var info struct {
		Pending int    `json:"pending_update_count"`
		Message string `json:"last_error_message"`
		Date    int64  `json:"last_error_date"`
		Max     int    `json:"max_connections"`
	}
	s.must("getWebhookInfo", obj{}, &info)
	if info.Pending != 0 || info.Message != "Wrong response from the webhook: 500 Internal Server Error" || info.Date == 0 || info.Max != 40 {
		t.Errorf("info: %+v", info)
	}
	if up := s.Updates()[0]; up.Attempts != 4 {
		t.Errorf("attempts: %d", up.Attempts)
	}
}

func TestWebhook_RetryAfterTakesThePlaceOfThePause(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	var at [3]time.Time
	b := newBot(t, func(d delivered, w http.ResponseWriter) {
		at[d.number-1] = time.Now()
		if d.number == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s.hook(b, nil)
	s.say(s.NewUser("Ada", "en").ID, "one")
	b.wait(t, 2)
	if err := s.WaitUpdates(short(t)); err != nil {
		t.Fatal(err)
	}
	if pause := at[1].Sub(at[0]); pause < 950*time.Millisecond {
		t.Errorf("came again after %v; without Retry-After the first retry is at once", pause)
	}
}

func TestWebhook_OneQueuePerChatAndKindInParallel(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	release := make(chan struct{})
	b := newBot(t, func(d delivered, w http.ResponseWriter) {
		if d.update.Message != nil && d.update.Message.Text == "slow" {
			<-release
		}
	})
	slow, fast := s.user(), s.user()
	m := s.send(obj{"chat_id": slow.ID, "text": "x", "reply_markup": keyboard([]obj{{"text": "b", "callback_data": "d"}})})
	s.hook(b, obj{"drop_pending_updates": true})

	s.say(slow.ID, "slow")
	b.wait(t, 1)
	s.say(slow.ID, "blocked behind it")
	s.say(fast.ID, "other chat")
	if _, err := s.Press(slow.ID, m.MessageID, "d"); err != nil {
		t.Fatal(err)
	}
	got := b.wait(t, 3)
	kinds := map[string]bool{}
	for _, d := range got[1:] {
		if d.update.Callback != nil {
			kinds["press"] = true
		} else {
			kinds[d.update.Message.Text] = true
		}
	}
	if !kinds["press"] || !kinds["other chat"] || len(b.all()) != 3 {
		t.Errorf("while one message was being handled came %v", kinds)
	}
	close(release)
	if last := b.wait(t, 4)[3]; last.update.Message.Text != "blocked behind it" {
		t.Errorf("last: %s", last.raw)
	}
}

func TestWebhook_MaxConnectionsIsALimit(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	release := make(chan struct{})
	b := newBot(t, func(delivered, http.ResponseWriter) { <-release })
	s.hook(b, obj{"max_connections": 2})
	for range 5 {
		s.say(s.NewUser("", "en").ID, "hi")
	}
	b.wait(t, 2)
	if n := len(b.all()); n != 2 {
		t.Errorf("%d at once", n)
	}
	close(release)
	b.wait(t, 5)
}

func TestWebhook_AnswerMayBeACall(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	b := newBot(t, func(d delivered, w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		method := "sendMessage"
		if d.number == 2 {
			method = "getMe"
		}
		fmt.Fprintf(w, `{"method":%q,"chat_id":%d,"text":"from the answer"}`, method, d.update.Message.Chat.ID)
	})
	s.hook(b, nil)
	u := s.NewUser("Ada", "en")
	s.say(u.ID, "one")
	s.say(u.ID, "two")
	m, err := s.WaitMessage(short(t), u.ID, func(m telegramsim.Message) bool { return m.Text == "from the answer" })
	if err != nil || !m.From.IsBot {
		t.Fatalf("%+v %v", m, err)
	}
	if err := s.WaitUpdates(short(t)); err != nil {
		t.Fatal(err)
	}
	calls := s.Calls(1)
	if len(calls) != 1 || !calls[0].ViaHook {
		t.Errorf("get methods must not run from an answer: %+v", calls)
	}
}

func TestWebhook_SettingItAgain(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	dead := newBot(t, func(_ delivered, w http.ResponseWriter) { w.WriteHeader(500) })
	alive := newBot(t, nil)
	s.hook(dead, obj{"allowed_updates": []string{"message"}})
	if a := s.call("setWebhook", obj{"url": dead.URL, "secret_token": "s3cret"}); a.Description != "Webhook is already set" {
		t.Errorf("again: %+v", a)
	}
	u := s.NewUser("Ada", "en")
	s.say(u.ID, "one")
	dead.wait(t, 2)
	s.hook(alive, nil)
	if d := alive.wait(t, 1)[0]; d.update.Message.Text != "one" {
		t.Errorf("what waited must go to the new address: %s", d.raw)
	}
	if err := s.Block(u.ID); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Updates()); n != 1 {
		t.Errorf("allowed_updates must stay when left out: %d updates", n)
	}
	if a := s.call("deleteWebhook", obj{}); a.Description != "Webhook was deleted" {
		t.Errorf("delete: %+v", a)
	}
}

func TestBlocking_TellsTheBotAndRefusesIt(t *testing.T) {
	t.Parallel()
	s, b := newSim(t), newBot(t, nil)
	u := s.user()
	s.hook(b, obj{"drop_pending_updates": true})
	if status := s.control("POST", path(u.ID, "block"), nil, nil); status != 200 {
		t.Fatalf("block: %d", status)
	}
	d := b.wait(t, 1)[0]
	if c := d.update.Member; c == nil || c.Old.Status != "member" || c.New.Status != "kicked" || c.From.ID != u.ID {
		t.Errorf("update: %s", d.raw)
	}
	s.refused("sendMessage", obj{"chat_id": u.ID, "text": "x"}, 403, "Forbidden: bot was blocked by the user")
	if status := s.control("POST", path(u.ID, "messages"), obj{"text": "x"}, nil); status != 409 {
		t.Errorf("a message of who blocks: %d", status)
	}
	s.control("POST", path(u.ID, "unblock"), nil, nil)
	if d := b.wait(t, 2)[1]; d.update.Member == nil || d.update.Member.New.Status != "member" {
		t.Errorf("update: %s", d.raw)
	}
	s.send(obj{"chat_id": u.ID, "text": "x"})
}

func TestPolling_OffsetAcknowledges(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.NewUser("Ada", "en")
	for i := range 3 {
		s.say(u.ID, fmt.Sprint(i))
	}
	poll := func(params obj) []telegramsim.Update {
		var got []telegramsim.Update
		s.must("getUpdates", params, &got)
		return got
	}
	first := poll(obj{"limit": 2})
	if len(first) != 2 {
		t.Fatalf("%d updates", len(first))
	}
	if again := poll(obj{}); len(again) != 3 || again[0].ID != first[0].ID {
		t.Errorf("without an offset nothing is taken: %+v", again)
	}
	rest := poll(obj{"offset": first[1].ID + 1})
	if len(rest) != 1 || rest[0].ID != first[1].ID+1 {
		t.Errorf("rest: %+v", rest)
	}
	s.say(u.ID, "newest")
	if got := poll(obj{"offset": -1}); len(got) != 1 || got[0].ID != rest[0].ID+1 {
		t.Errorf("offset -1: %+v", got)
	}
	if got := poll(obj{"offset": rest[0].ID + 2}); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
}

// TestPolling_WaitsAndConflicts runs in a bubble, where it is known when a poll has begun to wait.
func TestPolling_WaitsAndConflicts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, err := telegramsim.New(telegramsim.Config{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		u := server.NewUser("Ada", "en")
		answers := make(chan answer, 1)
		start := func(offset int64) {
			go func() { answers <- serve(t, server, "getUpdates", obj{"timeout": 50, "offset": offset}) }()
			synctest.Wait()
		}
		conflict := func(description string) {
			t.Helper()
			if a := <-answers; a.ErrorCode != 409 || a.Description != description {
				t.Errorf("got %+v, want %s", a, description)
			}
		}
		start(0)
		start(0)
		conflict("Conflict: terminated by other getUpdates request; make sure that only one bot instance is running")
		if _, err := server.SendText(u.ID, "hi"); err != nil {
			t.Fatal(err)
		}
		if a := <-answers; !a.OK || len(a.Result) < 10 {
			t.Errorf("second poll: %+v", a)
		}
		next := server.Updates()[0].ID + 1
		start(next)
		if a := serve(t, server, "setWebhook", obj{"url": "https://bot.example/hook"}); !a.OK {
			t.Fatal(a.Description)
		}
		conflict("Conflict: terminated by setWebhook request")
		if a := serve(t, server, "getUpdates", obj{}); a.ErrorCode != 409 {
			t.Errorf("with a webhook: %+v", a)
		}
		serve(t, server, "deleteWebhook", obj{})
		began := time.Now()
		start(next)
		if a := <-answers; !a.OK || string(a.Result) != "[]" || time.Since(began) != 50*time.Second {
			t.Errorf("an idle poll: %+v after %v", a, time.Since(began))
		}
	})
}

// TestUpdates_Expire runs on a clock of its own: presses live 150 s, messages a day.
func TestUpdates_Expire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, err := telegramsim.New(telegramsim.Config{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		u := server.NewUser("Ada", "en")
		if _, err := server.SendText(u.ID, "hi"); err != nil {
			t.Fatal(err)
		}
		a := serve(t, server, "sendMessage", obj{"chat_id": u.ID, "text": "x", "reply_markup": keyboard([]obj{{"text": "b", "callback_data": "d"}})})
		if !a.OK {
			t.Fatal(a.Description)
		}
		query, err := server.Press(u.ID, 2, "d")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(151 * time.Second)
		if a := serve(t, server, "answerCallbackQuery", obj{"callback_query_id": query}); a.ErrorCode != 400 {
			t.Errorf("late answer: %+v", a)
		}
		serve(t, server, "getUpdates", obj{})
		if ups := server.Updates(); ups[0].State != telegramsim.UpdatePending || ups[1].State != telegramsim.UpdateExpired {
			t.Errorf("after 151 s: %s, %s", ups[0].State, ups[1].State)
		}
		time.Sleep(24 * time.Hour)
		serve(t, server, "getUpdates", obj{})
		if up := server.Updates()[0]; up.State != telegramsim.UpdateExpired {
			t.Errorf("after a day: %s", up.State)
		}
	})
}
