package kie_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"kiosk/internal/provider"
	"kiosk/internal/provider/kie"
	"kiosk/internal/simulator/kiesim"
)

const (
	soonAgain = 5 * time.Second
	later     = 10 * time.Second
)

// refusals are the codes that KIE writes, and what they mean for a creation.
func refusals() map[string]struct {
	fault kiesim.Fault
	want  failure
} {
	type row = struct {
		fault kiesim.Fault
		want  failure
	}
	fail := func(code int, text string) kiesim.Fault {
		return kiesim.Fault{Action: "fail", Code: code, Message: text}
	}
	return map[string]row{
		"400":                 {fail(400, "prompt is missing"), failure{provider.Refused, provider.BadInput, 400, 0}},
		"400, moderation":     {fail(400, "Your content was flagged"), failure{provider.Refused, provider.Moderation, 400, 0}},
		"422":                 {fail(422, ""), failure{provider.Refused, provider.BadInput, 422, 0}},
		"422, moderation":     {fail(422, "Prominent people are not allowed"), failure{provider.Refused, provider.Moderation, 422, 0}},
		"401":                 {fail(401, ""), failure{provider.Refused, provider.BadKey, 401, 0}},
		"402":                 {fail(402, ""), failure{provider.Refused, provider.NoCredits, 402, 0}},
		"433":                 {fail(433, "sub-key cap"), failure{provider.Refused, provider.NoCredits, 433, 0}},
		"429":                 {fail(429, ""), failure{provider.Refused, provider.RateLimited, 429, later}},
		"429, by HTTP":        {kiesim.Fault{Action: "html", HTTPStatus: 429}, failure{provider.Refused, provider.RateLimited, 429, later}},
		"430":                 {fail(430, "slow down"), failure{provider.Refused, provider.RateLimited, 430, later}},
		"455":                 {fail(455, ""), failure{provider.Refused, provider.Maintenance, 455, time.Minute}},
		"501":                 {fail(501, ""), failure{provider.Refused, provider.Broken, 501, later}},
		"505":                 {fail(505, ""), failure{provider.Refused, provider.Disabled, 505, 0}},
		"451":                 {fail(451, ""), failure{provider.Refused, provider.BadInput, 451, 0}},
		"500":                 {fail(500, "Server exception"), failure{provider.Unknown, provider.Broken, 500, later}},
		"500, by HTTP":        {kiesim.Fault{Action: "fail", Code: 500, HTTPStatus: 500}, failure{provider.Unknown, provider.Broken, 500, later}},
		"500 for no credits":  {fail(500, "Credits insufficient : top up"), failure{provider.Refused, provider.NoCredits, 500, 0}},
		"500 for an option":   {fail(500, "x is not within the range of allowed options"), failure{provider.Refused, provider.BadInput, 500, 0}},
		"500 for a field":     {fail(500, "This field is required"), failure{provider.Refused, provider.BadInput, 500, 0}},
		"502, not documented": {fail(502, "upstream"), failure{provider.Unknown, provider.Broken, 502, later}},
		"a proxy's page":      {kiesim.Fault{Action: "html"}, failure{provider.Unknown, provider.NoAnswer, 502, soonAgain}},
		"a page instead":      {kiesim.Fault{Action: "html", HTTPStatus: 200}, failure{provider.Unknown, provider.NoAnswer, 200, soonAgain}},
		"403 of a proxy":      {kiesim.Fault{Action: "html", HTTPStatus: 403}, failure{provider.Refused, provider.BadInput, 403, 0}},
		"cut before":          {kiesim.Fault{Action: "drop_before"}, failure{provider.Unknown, provider.NoAnswer, 0, soonAgain}},
	}
}

func TestSubmit_OutcomeOfEveryRefusal(t *testing.T) {
	t.Parallel()
	a := simulate(t)
	for name, c := range refusals() {
		t.Run(name, func(t *testing.T) {
			before := len(a.sim.Calls())
			c.fault.Method = "createTask"
			a.fault(t, c.fault)
			defer a.sim.ClearFaults()
			id, err := dial(t, a.url).Submit(soon(t), image())
			check(t, err, c.want)
			if calls := len(a.sim.Calls()) - before; id != "" || len(a.sim.Tasks()) != 0 || calls != 1 {
				t.Errorf("id %q, %d tasks after %d calls, want nothing after one call", id, len(a.sim.Tasks()), calls)
			}
		})
	}
}

// A read has no effect, so a lost answer only delays it.
func TestFetch_OutcomeOfEveryRefusal(t *testing.T) {
	t.Parallel()
	a := simulate(t)
	for name, c := range refusals() {
		t.Run(name, func(t *testing.T) {
			c.fault.Method = "recordInfo"
			a.fault(t, c.fault)
			defer a.sim.ClearFaults()
			_, err := dial(t, a.url).Fetch(soon(t), "some-task")
			if c.want.code == 422 {
				c.want.cause = provider.NotFound
			}
			check(t, err, c.want)
		})
	}
}

func TestSubmit_LostReplyIsUnknown(t *testing.T) {
	t.Parallel()
	a := simulate(t)
	a.fault(t, kiesim.Fault{Method: "createTask", Action: "drop_after"})
	_, err := a.Submit(soon(t), image())
	check(t, err, failure{provider.Unknown, provider.NoAnswer, 0, soonAgain})
	if n := len(a.sim.Tasks()); n != 1 {
		t.Errorf("the server made %d tasks, want the one that nobody heard of", n)
	}
}

func TestSubmit_RealRefusals(t *testing.T) {
	t.Parallel()
	poor := simulate(t, func(c *kiesim.Config) { c.Credits = -1 })
	_, err := poor.Submit(soon(t), image())
	check(t, err, failure{provider.Refused, provider.NoCredits, 402, 0})

	locked := simulate(t, func(c *kiesim.Config) { c.APIKey = "another" })
	_, err = locked.Submit(soon(t), image())
	check(t, err, failure{provider.Refused, provider.BadKey, 401, 0})

	a := simulate(t)
	_, err = a.Submit(soon(t), provider.Request{Model: "no/such-model", Input: map[string]any{}})
	check(t, err, failure{provider.Refused, provider.BadInput, 422, 0})
	_, err = a.Submit(soon(t), provider.Request{Model: "z-image", Input: map[string]any{"prompt": make(chan int)}})
	check(t, err, failure{provider.Refused, provider.BadInput, 0, 0})
}

func TestSubmit_NobodyListensIsRefused(t *testing.T) {
	t.Parallel()
	c := dial(t, "http://"+closedPort(t))
	_, err := c.Submit(soon(t), image())
	check(t, err, failure{provider.Refused, provider.Unreachable, 0, soonAgain})
	_, err = c.Fetch(soon(t), "x")
	check(t, err, failure{provider.Refused, provider.Unreachable, 0, soonAgain})
}

func TestSubmit_AcceptedWithoutAnIDIsUnknown(t *testing.T) {
	t.Parallel()
	for _, data := range []string{`null`, `{}`, `{"taskId":""}`, `[]`, `{"taskId":7}`} {
		_, err := serve(t, 200, `{"code":200,"msg":"success","data":`+data+`}`).Submit(soon(t), image())
		check(t, err, failure{provider.Unknown, provider.NoAnswer, 200, 0})
	}
}

func TestSubmit_SendsWhatKieReads(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 2)
	body := make(chan map[string]any, 2)
	c := handle(t, func(w http.ResponseWriter, r *http.Request) {
		var b map[string]any
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
			t.Error(err)
		}
		got <- r
		body <- b
		_, _ = w.Write([]byte(`{"code":"200","data":{"taskId":"t1"}}`))
	})
	r := image()
	r.Callback = "https://bot.example.com/callback/1"
	if id, err := c.Submit(soon(t), r); err != nil || id != "t1" {
		t.Fatalf("%q %v", id, err)
	}
	h, b := <-got, <-body
	if h.URL.Path != "/api/v1/jobs/createTask" || h.Header.Get("Authorization") != "Bearer "+apiKey || h.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %v", h.URL, h.Header)
	}
	if b["model"] != "z-image" || b["callBackUrl"] != r.Callback || b["input"].(map[string]any)["aspect_ratio"] != "1:1" {
		t.Errorf("body: %v", b)
	}
	if _, err := c.Submit(soon(t), image()); err != nil {
		t.Fatal(err)
	}
	if b := <-body; len(b) != 2 {
		t.Errorf("without a callback: %v", b)
	}
}

func TestCall_RedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
		c := handle(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Error("the call was repeated at another address")
			}
			http.Redirect(w, r, "/elsewhere", status)
		})
		_, err := c.Submit(soon(t), image())
		check(t, err, failure{provider.Unknown, provider.NoAnswer, status, soonAgain})
	}
}

func TestCall_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*kie.Client, context.Context) error{
		"submit": func(c *kie.Client, ctx context.Context) error { _, err := c.Submit(ctx, image()); return err },
		"fetch":  func(c *kie.Client, ctx context.Context) error { _, err := c.Fetch(ctx, "x"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			c := handle(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // the server sees the end of a caller only behind its body
				cancel()
				<-r.Context().Done() // no answer before the caller hangs up
			})
			err := call(c, ctx)
			check(t, err, failure{provider.Unknown, provider.NoAnswer, 0, soonAgain})
			if !strings.Contains(err.Error(), context.Canceled.Error()) {
				t.Errorf("%v, want that the caller's context ended it", err)
			}
		})
	}
}

func TestCall_EchoedKeyIsMasked(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"refusal": `{"code":401,"msg":"no access for ` + apiKey + `"}`,
		"page":    `<p>` + apiKey + `</p>`,
	} {
		_, err := serve(t, 200, text).Submit(soon(t), image())
		if err == nil || strings.Contains(err.Error(), apiKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	task, err := serve(t, 200, `{"code":200,"data":{"state":"fail","failMsg":"bad key `+apiKey+`"}}`).Fetch(soon(t), "x")
	if err != nil || strings.Contains(task.Message, apiKey) || task.Message == "" {
		t.Errorf("%+v %v", task, err)
	}
	c := handle(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("Bearer:" + apiKey + "\r\n\r\n"))
	})
	_, err = c.Submit(soon(t), image())
	check(t, err, failure{provider.Unknown, provider.NoAnswer, 0, soonAgain})
}

func TestNew_RefusesMissingParts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, key string }{{kie.DefaultURL, ""}, {"", apiKey}, {"api.kie.ai", apiKey}, {"http://%zz", apiKey}} {
		_, err := kie.New(c.url, c.key)
		if err == nil || strings.Contains(err.Error(), apiKey) {
			t.Errorf("New(%q, %q): %v", c.url, c.key, err)
		}
	}
}
