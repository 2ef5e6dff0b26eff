package telegramsim_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"kiosk/internal/simulator/telegramsim"
)

func (s *sim) fault(f telegramsim.Fault) {
	s.t.Helper()
	if _, err := s.Fault(f); err != nil {
		s.t.Fatal(err)
	}
}

func TestFaults_OfCalls(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	message := obj{"chat_id": u.ID, "text": "x"}
	shown := func() int { return len(s.Messages(u.ID)) - 1 }

	status := s.control("POST", "/sim/faults", obj{"method": "sendmessage", "action": "fail", "code": 429, "retry_after": 3, "count": 2}, nil)
	if status != http.StatusOK {
		t.Fatalf("set: %d", status)
	}
	for range 2 {
		a := s.call("sendMessage", message)
		if a.status != 429 || a.Description != "Too Many Requests: retry after 3" || a.Parameters.RetryAfter != 3 {
			t.Errorf("fail: %+v", a)
		}
	}
	s.must("sendMessage", message, nil)
	s.must("getMe", obj{}, nil)
	if shown() != 1 || len(s.Faults()) != 0 {
		t.Errorf("%d shown, faults left: %+v", shown(), s.Faults())
	}

	s.fault(telegramsim.Fault{Method: "*", Action: telegramsim.FaultBlocked, Count: 1, ChatID: u.ID})
	s.must("getMe", obj{}, nil)
	s.refused("sendMessage", message, 403, "Forbidden: bot was blocked by the user")

	s.fault(telegramsim.Fault{Method: "sendMessage", Action: telegramsim.FaultHTML, Count: 1})
	if a, err := s.post("/bot"+token+"/sendMessage", "application/json", strings.NewReader(`{}`)); err == nil || a.status != 502 {
		t.Errorf("html: %+v %v", a, err)
	}

	s.fault(telegramsim.Fault{Method: "sendMessage", Action: telegramsim.FaultDropBefore, Count: 1})
	if err := s.cutOff(message); err == nil || shown() != 1 {
		t.Errorf("drop_before: %v, %d shown", err, shown())
	}
	s.fault(telegramsim.Fault{Method: "sendMessage", Action: telegramsim.FaultDropAfter, Count: 1})
	if err := s.cutOff(message); err == nil || shown() != 2 {
		t.Errorf("drop_after: %v, %d shown", err, shown())
	}

	s.fault(telegramsim.Fault{Method: "sendMessage", Action: telegramsim.FaultDelay, DelayMillis: 150, Count: 1})
	s.fault(telegramsim.Fault{Method: "sendMessage", Action: telegramsim.FaultFail, Code: 500, Count: 1})
	began := time.Now()
	s.refused("sendMessage", message, 500, "Internal Server Error")
	if took := time.Since(began); took < 140*time.Millisecond {
		t.Errorf("a delay must go together with a failure; took %v", took)
	}
	calls := s.Calls(0)
	if last := calls[len(calls)-1]; last.Fault != "delay+fail" || last.Code != 500 {
		t.Errorf("log: %+v", last)
	}

	s.fault(telegramsim.Fault{Method: "getMe", Action: telegramsim.FaultFail})
	s.refused("getMe", obj{}, 500, "Internal Server Error")
	s.refused("getMe", obj{}, 500, "Internal Server Error")
	s.control("DELETE", "/sim/faults", nil, nil)
	s.must("getMe", obj{}, nil)
}

// cutOff sends a message over a connection that is expected to break.
func (s *sim) cutOff(message obj) error {
	body := strings.NewReader(mustJSON(message))
	request, err := http.NewRequest("POST", s.url+"/bot"+token+"/sendMessage", body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.GetBody = nil // Without it the client cannot send the request again by itself.
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		response.Body.Close()
	}
	return err
}

func TestFaults_ALateCallTakesEffectThoughTheBotHungUp(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	s.fault(telegramsim.Fault{Method: "sendMessage", Action: telegramsim.FaultDelay, DelayMillis: 200, Count: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	body := strings.NewReader(mustJSON(obj{"chat_id": u.ID, "text": "late"}))
	request, err := http.NewRequestWithContext(ctx, "POST", s.url+"/bot"+token+"/sendMessage", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if response, err := http.DefaultClient.Do(request); err == nil {
		response.Body.Close()
		t.Fatal("the client did not give up")
	}
	if _, err := s.WaitMessage(short(t), u.ID, func(m telegramsim.Message) bool { return m.Text == "late" }); err != nil {
		t.Error(err)
	}
}

func TestFaults_UnknownOnesAreRefusedWithTheKnown(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for _, c := range []struct {
		fault obj
		names string
	}{
		{obj{"method": "sendPhotos", "action": "fail"}, "sendPhoto,"},
		{obj{"method": "sendPhoto", "action": "explode"}, "drop_before"},
		{obj{"method": "webhook", "action": "html"}, "duplicate"},
		{obj{"method": "*", "action": "duplicate"}, "drop_after"},
		{obj{"method": "*", "action": "fail", "code": 200}, "400"},
		{obj{"method": "*", "action": "delay", "count": -1}, "negative"},
	} {
		var out struct{ Error string }
		if status := s.control("POST", "/sim/faults", c.fault, &out); status != 400 || !strings.Contains(out.Error, c.names) {
			t.Errorf("%v: %d %s", c.fault, status, out.Error)
		}
	}
}

func TestFaults_OfDeliveries(t *testing.T) {
	t.Parallel()
	texts := func(got []delivered) string {
		var out []string
		for _, d := range got {
			out = append(out, d.update.Message.Text)
		}
		return strings.Join(out, " ")
	}
	t.Run("duplicate", func(t *testing.T) {
		t.Parallel()
		s, b := newSim(t), newBot(t, nil)
		s.hook(b, nil)
		s.fault(telegramsim.Fault{Method: "webhook", Action: telegramsim.FaultDuplicate, Count: 1})
		u := s.NewUser("A", "en")
		s.say(u.ID, "one")
		s.say(u.ID, "two")
		if got := texts(b.wait(t, 3)); got != "one one two" {
			t.Error(got)
		}
	})
	t.Run("reorder", func(t *testing.T) {
		t.Parallel()
		s, b := newSim(t), newBot(t, nil)
		s.hook(b, nil)
		s.fault(telegramsim.Fault{Method: "webhook", Action: telegramsim.FaultReorder, Count: 1})
		s.say(s.NewUser("A", "en").ID, "first")
		s.say(s.NewUser("B", "en").ID, "second")
		if got := texts(b.wait(t, 2)); got != "second first" {
			t.Error(got)
		}
	})
	t.Run("reorder alone gives up", func(t *testing.T) {
		t.Parallel()
		s, b := newSim(t), newBot(t, nil)
		s.hook(b, nil)
		s.fault(telegramsim.Fault{Method: "webhook", Action: telegramsim.FaultReorder, Count: 1, DelayMillis: 30})
		s.say(s.NewUser("A", "en").ID, "only")
		b.wait(t, 1)
	})
	t.Run("drop_after comes again", func(t *testing.T) {
		t.Parallel()
		s, b := newSim(t), newBot(t, nil)
		s.hook(b, nil)
		s.fault(telegramsim.Fault{Method: "webhook", Action: telegramsim.FaultDropAfter, Count: 1})
		s.say(s.NewUser("A", "en").ID, "one")
		if got := texts(b.wait(t, 2)); got != "one one" {
			t.Error(got)
		}
		if err := s.WaitUpdates(short(t)); err != nil {
			t.Fatal(err)
		}
		if up := s.Updates()[0]; up.LastError != "Read timeout expired" || up.Attempts != 2 {
			t.Errorf("%+v", up)
		}
	})
	t.Run("drop_before is not seen", func(t *testing.T) {
		t.Parallel()
		s, b := newSim(t), newBot(t, nil)
		s.hook(b, nil)
		s.fault(telegramsim.Fault{Method: "webhook", Action: telegramsim.FaultDropBefore, Count: 2})
		s.say(s.NewUser("A", "en").ID, "one")
		b.wait(t, 1)
		if err := s.WaitUpdates(short(t)); err != nil {
			t.Fatal(err)
		}
		if n := len(b.all()); n != 1 || s.Updates()[0].Attempts != 3 {
			t.Errorf("%d deliveries, %+v", n, s.Updates()[0])
		}
	})
}
