package kiesim_test

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"kiosk/internal/simulator/kiesim"
)

func script(t *testing.T, a account, f kiesim.Fault) {
	t.Helper()
	if err := a.sim.Fault(f); err != nil {
		t.Fatal(err)
	}
}

func TestFault_FailAnswersTheCodeAsOftenAsCounted(t *testing.T) {
	t.Parallel()
	a := start(t)
	for _, code := range []int{400, 401, 402, 404, 408, 422, 429, 433, 451, 455, 500, 501, 505} {
		script(t, a, kiesim.Fault{Method: "createTask", Action: "fail", Code: code, Count: 1})
		if got := a.create(picture, prompt("x"), ""); got.Code != code || got.Msg == "" {
			t.Errorf("code %d %q, want %d", got.Code, got.Msg, code)
		}
	}
	script(t, a, kiesim.Fault{Method: "credit", Action: "fail", Code: 500, HTTPStatus: 503, Message: "tired", Count: 2})
	for range 2 {
		status, body := a.do(http.MethodGet, "/api/v1/chat/credit", nil)
		if got := decode[answer](t, body); status != 503 || got.Code != 500 || got.Msg != "tired" {
			t.Errorf("status %d, %s", status, body)
		}
	}
	if a.credits() != 10000 {
		t.Errorf("balance %v: refused creations must cost nothing", a.credits())
	}
}

func TestFault_StrikesUntilClearedAndOnlyItsModel(t *testing.T) {
	t.Parallel()
	a := start(t)
	script(t, a, kiesim.Fault{Method: "createTask", Action: "fail", Code: 455, Model: picture})
	for range 3 {
		if got := a.create(picture, prompt("x"), ""); got.Code != 455 {
			t.Errorf("code %d, want 455", got.Code)
		}
	}
	a.mustCreate("z-image", map[string]any{"prompt": "x", "aspect_ratio": "1:1"}, "")
	a.sim.ClearFaults()
	a.mustCreate(picture, prompt("x"), "")
}

func TestFault_HTMLIsAProxyPage(t *testing.T) {
	t.Parallel()
	a := start(t)
	script(t, a, kiesim.Fault{Method: "recordInfo", Action: "html", Count: 1})
	status, body := a.do(http.MethodGet, "/api/v1/jobs/recordInfo?taskId=x", nil)
	if status != 502 || !bytes.HasPrefix(body, []byte("<html>")) {
		t.Errorf("status %d, body %s", status, body)
	}
}

func TestFault_DropBeforeDoesNothingAndDropAfterDoesAll(t *testing.T) {
	t.Parallel()
	a := start(t)
	body := map[string]any{"model": picture, "input": prompt("x")}
	for action, tasks := range map[string]int{"drop_before": 0, "drop_after": 1} {
		before := len(a.sim.Tasks())
		script(t, a, kiesim.Fault{Method: "createTask", Action: action, Count: 1})
		if status, data, err := a.try(http.MethodPost, "/api/v1/jobs/createTask", body); err == nil {
			t.Errorf("%s: answered %d %s", action, status, data)
		}
		if got := len(a.sim.Tasks()) - before; got != tasks {
			t.Errorf("%s: %d tasks, want %d", action, got, tasks)
		}
		call := a.waitFor(func(c kiesim.Call) bool { return c.Fault == action })
		if call.Code != 0 || call.Model != picture {
			t.Errorf("%s: journal says %+v", action, call)
		}
	}
}

func TestFault_DropAfterStillSendsTheCallback(t *testing.T) {
	t.Parallel()
	a := start(t)
	url, deliveries := listen(t)
	script(t, a, kiesim.Fault{Method: "createTask", Action: "drop_after", Count: 1})
	body := map[string]any{"model": picture, "input": prompt("x"), "callBackUrl": url}
	if _, _, err := a.try(http.MethodPost, "/api/v1/jobs/createTask", body); err == nil {
		t.Error("the reply was not lost")
	}
	if d := receive(t, deliveries); d.record.TaskID != a.sim.Tasks()[0].ID || !signed(d) {
		t.Errorf("callback: %+v", d)
	}
}

func TestFault_DelayHoldsTheAnswerBack(t *testing.T) {
	t.Parallel()
	a := start(t)
	script(t, a, kiesim.Fault{Method: "credit", Action: "delay", DelayMS: 60, Count: 1})
	begin := time.Now()
	if a.credits() != 10000 || time.Since(begin) < 60*time.Millisecond {
		t.Errorf("answered after %v", time.Since(begin))
	}
}

func TestFault_OfFilesStrikes(t *testing.T) {
	t.Parallel()
	a := start(t)
	url := a.urls(picture, prompt("x"))[0]
	script(t, a, kiesim.Fault{Method: "file", Action: "html", HTTPStatus: 403, Model: picture, Count: 1})
	if resp, _ := get(t, url); resp.StatusCode != 403 {
		t.Errorf("status %d, want 403", resp.StatusCode)
	}
	if resp, _ := get(t, url); resp.StatusCode != 200 {
		t.Errorf("status %d, want 200", resp.StatusCode)
	}
}

func TestFault_OfGenerationDecidesTheOutcome(t *testing.T) {
	t.Parallel()
	a := start(t)
	script(t, a, kiesim.Fault{Method: "generate", Action: "fail", Code: 501, Message: "upstream broke", Count: 1})
	rec := a.ended(a.mustCreate(picture, prompt("x"), ""))
	if rec.State != kiesim.StateFail || *rec.FailCode != "501" || *rec.FailMsg != "upstream broke" {
		t.Errorf("fail: %+v", rec)
	}
	script(t, a, kiesim.Fault{Method: "generate", Action: "nsfw", Count: 1})
	rec = a.ended(a.mustCreate(picture, prompt("x"), ""))
	if rec.State != kiesim.StateFail || *rec.FailCode != "400" || !strings.Contains(*rec.FailMsg, "flagged") {
		t.Errorf("nsfw: %+v", rec)
	}
	script(t, a, kiesim.Fault{Method: "generate", Action: "slow", DelayMS: 150, Count: 1})
	rec = a.ended(a.mustCreate(picture, prompt("x"), ""))
	if took := *rec.CompleteTime - rec.CreateTime; rec.State != kiesim.StateSuccess || took < 150 {
		t.Errorf("slow: %s after %d ms", rec.State, took)
	}
	if a.credits() != 10000-4 {
		t.Errorf("balance %v: failures are free", a.credits())
	}
}

func TestFault_OfCallbacks(t *testing.T) {
	t.Parallel()
	a := start(t)
	url, deliveries := listen(t)
	run := func(action string) string {
		script(t, a, kiesim.Fault{Method: "callback", Action: action, DelayMS: 30, Count: 1})
		return a.mustCreate(picture, prompt(action), url)
	}

	silent := run("no_callback")
	a.ended(silent)
	id := run("duplicate_callback")
	for range 2 {
		if d := receive(t, deliveries); d.record.TaskID != id || !signed(d) {
			t.Errorf("duplicate: %s, want %s (never %s)", d.record.TaskID, id, silent)
		}
	}
	id = run("forged_callback")
	if d := receive(t, deliveries); d.record.TaskID == id || signed(d) || d.header.Get("X-Webhook-Signature") == "" {
		t.Errorf("forged: %+v", d)
	}
	if d := receive(t, deliveries); d.record.TaskID != id || !signed(d) {
		t.Errorf("the true one after the forged: %+v", d)
	}
	id = run("delay")
	d := receive(t, deliveries)
	if late := time.Since(time.UnixMilli(*d.record.CompleteTime)); d.record.TaskID != id || late < 30*time.Millisecond {
		t.Errorf("delayed: %s after %v", d.record.TaskID, late)
	}
}

func TestFault_EarlyCallbackPrecedesTheReply(t *testing.T) {
	t.Parallel()
	a := start(t)
	url, deliveries := listen(t)
	script(t, a, kiesim.Fault{Method: "callback", Action: "early_callback", Count: 1})
	id := a.mustCreate(picture, prompt("x"), url)
	select {
	case d := <-deliveries:
		if d.record.TaskID != id || d.record.State != kiesim.StateSuccess || !signed(d) {
			t.Errorf("early: %+v", d)
		}
	default:
		t.Error("the reply came before the callback")
	}
	if rec := a.record(id); rec.State != kiesim.StateSuccess {
		t.Errorf("state %s: an early callback tells the truth", rec.State)
	}
}

func TestControl_RefusesUnknownFaultsAndNamesTheKnown(t *testing.T) {
	t.Parallel()
	a := start(t)
	for _, c := range []struct {
		fault any
		names string
	}{
		{map[string]any{"method": "create", "action": "fail"}, "createTask"},
		{map[string]any{"method": "createTask", "action": "explode"}, "drop_before"},
		{map[string]any{"method": "generate", "action": "html"}, "slow"},
		{map[string]any{"method": "credit", "action": "fail", "cod": 402}, "cod"},
		{map[string]any{"method": "credit", "action": "delay", "delay_ms": -1}, "negative"},
		{[]any{map[string]any{"method": "credit", "action": "fail"}, map[string]any{"method": "?"}}, "recordInfo"},
		{"text", "expected"},
	} {
		status, body := a.do(http.MethodPost, "/sim/faults", c.fault)
		if status != 400 || !strings.Contains(string(body), c.names) {
			t.Errorf("%v: status %d, %s", c.fault, status, body)
		}
	}
	if _, body := a.do(http.MethodGet, "/sim/faults", nil); string(body) != "[]" {
		t.Errorf("a refused list left %s", body)
	}
}

func TestControl_ListsFaultsCallsAndTasks(t *testing.T) {
	t.Parallel()
	a := start(t)
	list := []kiesim.Fault{{Method: "credit", Action: "fail", Code: 455}, {Method: "generate", Action: "slow", DelayMS: 5}}
	if status, body := a.do(http.MethodPost, "/sim/faults", list); status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	_, body := a.do(http.MethodGet, "/sim/faults", nil)
	if got := decode[[]kiesim.Fault](t, body); !slices.Equal(got, list) {
		t.Errorf("faults %+v", got)
	}
	if _, body := a.do(http.MethodDelete, "/sim/faults", nil); string(body) != "[]" {
		t.Errorf("after DELETE: %s", body)
	}

	id := a.mustCreate(picture, prompt("journal"), "")
	a.ended(id)
	_, body = a.do(http.MethodGet, "/sim/calls", nil)
	calls := decode[[]kiesim.Call](t, body)
	first := calls[0]
	if first.Method != "createTask" || first.Model != picture || first.Code != 200 || !bytes.Contains(first.Body, []byte("journal")) {
		t.Errorf("first call: %+v", first)
	}
	_, body = a.do(http.MethodGet, "/sim/calls?after=1", nil)
	if rest := decode[[]kiesim.Call](t, body); len(rest) != len(calls)-1 || rest[0].Method != "recordInfo" {
		t.Errorf("after=1: %+v", rest)
	}
	_, body = a.do(http.MethodGet, "/sim/tasks", nil)
	if tasks := decode[[]kiesim.Task](t, body); len(tasks) != 1 || tasks[0].ID != id || tasks[0].State != kiesim.StateSuccess {
		t.Errorf("tasks: %+v", tasks)
	}
	if status, _ := a.do(http.MethodGet, "/sim/calls?after=x", nil); status != 400 {
		t.Errorf("status %d, want 400", status)
	}
}

func TestWaitFor_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	a := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.sim.WaitFor(ctx, func([]kiesim.Call) bool { return false }); err == nil {
		t.Error("WaitFor returned without an event")
	}
}

func TestWaitFor_SeesARequestThatIsHeldBack(t *testing.T) {
	t.Parallel()
	a := start(t)
	script(t, a, kiesim.Fault{Method: "credit", Action: "delay", DelayMS: 60000, Count: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/api/v1/chat/credit", nil)
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			t.Error("the delayed answer came")
		}
	}()
	a.waitFor(func(c kiesim.Call) bool { return c.Method == "credit" && c.Code == 0 })
	cancel()
	<-done
}
