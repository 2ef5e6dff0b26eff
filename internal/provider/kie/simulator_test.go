package kie_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"kiosk/internal/provider"
	"kiosk/internal/simulator/kiesim"
)

func TestSimulator_RunsToItsFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request provider.Request
		begins  string // of the file
	}{
		"image": {image(), "\x89PNG"},
		"video": {provider.Request{Model: "bytedance/v1-lite-text-to-video", Input: map[string]any{
			"prompt": "waves", "resolution": "480p", "duration": "5", "aspect_ratio": "16:9",
		}}, "\x00\x00\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := simulate(t)
			id, err := a.Submit(soon(t), c.request)
			if err != nil {
				t.Fatal(err)
			}
			task := a.ended(t, id)
			if task.State != provider.Succeeded || task.ID != id || len(task.Results) != 1 || task.Cause != "" {
				t.Fatalf("%+v", task)
			}
			if file := download(t, task.Results[0]); !bytes.HasPrefix(file, []byte(c.begins)) {
				t.Errorf("the file begins with %q", file[:min(len(file), 8)])
			}
		})
	}
}

func download(t *testing.T, url string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return raw
}

func TestFetch_EveryUnfinishedStateIsNoEnd(t *testing.T) {
	t.Parallel()
	a := simulate(t)
	a.fault(t, kiesim.Fault{Method: "generate", Action: "slow", DelayMS: 600_000})
	id, err := a.Submit(soon(t), image())
	if err != nil {
		t.Fatal(err)
	}
	task, err := a.Fetch(soon(t), id)
	if err != nil || task.State != provider.Queued || len(task.Results) != 0 {
		t.Errorf("%+v %v, want a queued task", task, err)
	}
}

func TestFetch_FailedTaskHasItsCause(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault kiesim.Fault
		want  provider.Cause
	}{
		"moderation":      {kiesim.Fault{Action: "nsfw"}, provider.Moderation},
		"moderation, 500": {kiesim.Fault{Action: "fail", Code: 500, Message: "The prompt violates our usage policies"}, provider.Moderation},
		"input":           {kiesim.Fault{Action: "fail", Code: 422, Message: "image_url is not reachable"}, provider.BadInput},
		"input, 400":      {kiesim.Fault{Action: "fail", Code: 400, Message: "width must be a multiple of 8"}, provider.BadInput},
		"model's trouble": {kiesim.Fault{Action: "fail", Code: 400, Message: "Service is busy, please Try Again Later"}, provider.Broken},
		"server":          {kiesim.Fault{Action: "fail", Code: 500, Message: "Internal Error"}, provider.Broken},
		"unknown code":    {kiesim.Fault{Action: "fail", Code: 777, Message: "???"}, provider.Broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := simulate(t)
			c.fault.Method = "generate"
			a.fault(t, c.fault)
			id, err := a.Submit(soon(t), image())
			if err != nil {
				t.Fatal(err)
			}
			task := a.ended(t, id)
			if task.State != provider.Failed || task.Cause != c.want || task.Message == "" || len(task.Results) != 0 {
				t.Errorf("%+v, want the cause %s", task, c.want)
			}
		})
	}
}

func TestFetch_UnknownTaskIsNotFound(t *testing.T) {
	t.Parallel()
	_, err := simulate(t).Fetch(soon(t), "no such task&x=1")
	check(t, err, failure{provider.Refused, provider.NotFound, 422, 0})
}
