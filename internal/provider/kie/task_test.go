package kie_test

import (
	"encoding/json"
	"slices"
	"testing"

	"kiosk/internal/provider"
)

// inString returns text as a JSON string, the form in which KIE sends results.
func inString(t testing.TB, text string) string {
	t.Helper()
	raw, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func fetched(t *testing.T, record string) (provider.Task, error) {
	t.Helper()
	return serve(t, 200, `{"code":200,"msg":"success","data":`+record+`}`).Fetch(soon(t), "t1")
}

func TestFetch_ShapesOfResults(t *testing.T) {
	t.Parallel()
	const one = `{"resultUrls":["https://a/1.png"]}`
	for name, c := range map[string]struct {
		result string
		urls   []string
		text   string
	}{
		"string":        {inString(t, one), []string{"https://a/1.png"}, ""},
		"object":        {one, []string{"https://a/1.png"}, ""},
		"several":       {inString(t, `{"resultUrls":["https://a/1.png","https://a/2.png","https://a/3.png"]}`), []string{"https://a/1.png", "https://a/2.png", "https://a/3.png"}, ""},
		"last frame":    {inString(t, `{"resultUrls":["https://a/1.mp4"],"lastFrameUrl":["https://a/l.png"]}`), []string{"https://a/1.mp4"}, ""},
		"music":         {inString(t, `{"data":[{"audio_url":"https://a/1.mp3","image_url":"x"},{"audio_url":""},{"audio_url":"https://a/2.mp3"}]}`), []string{"https://a/1.mp3", "https://a/2.mp3"}, ""},
		"object result": {inString(t, `{"resultObject":{"text":"a transcript"}}`), nil, `{"text":"a transcript"}`},
		"both":          {inString(t, `{"resultUrls":["https://a/1.png"],"resultObject":{"n":1}}`), []string{"https://a/1.png"}, `{"n":1}`},
		"nulls":         {inString(t, `{"resultUrls":["https://a/1.png"],"resultObject":null,"data":null}`), []string{"https://a/1.png"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := fetched(t, `{"taskId":"t1","state":"success","resultJson":`+c.result+`}`)
			if err != nil {
				t.Fatal(err)
			}
			if task.State != provider.Succeeded || task.ID != "t1" || !slices.Equal(task.Results, c.urls) || task.Text != c.text {
				t.Errorf("%+v, want %q and %q", task, c.urls, c.text)
			}
		})
	}
}

// A result that is not there yet, or not readable, is looked at again: the run
// has succeeded, and is paid.
func TestFetch_UnreadableResultIsNoEnd(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]string{
		"empty": `""`, "null": `null`, "no JSON": `"<html>"`, "wrong shape": `{"resultUrls":"https://a/1.png"}`, "number": `17`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := fetched(t, `{"state":"success","resultJson":`+result+`}`)
			check(t, err, failure{provider.Unknown, provider.NoAnswer, 200, 0})
			if task.State != "" {
				t.Errorf("%+v beside the error", task)
			}
		})
	}
	_, err := fetched(t, `{"state":"success"}`)
	check(t, err, failure{provider.Unknown, provider.NoAnswer, 200, 0})
}

func TestFetch_SuccessWithNothingIsBroken(t *testing.T) {
	t.Parallel()
	for _, result := range []string{`{}`, `"{}"`, `{"resultUrls":[]}`, `{"data":[{"audio_url":""}]}`} {
		task, err := fetched(t, `{"state":"success","resultJson":`+result+`}`)
		if err != nil || task.State != provider.Failed || task.Cause != provider.Broken {
			t.Errorf("%s: %+v %v", result, task, err)
		}
	}
}

func TestFetch_States(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]provider.State{
		"waiting": provider.Queued, "queuing": provider.Queued, "generating": provider.Running,
		"fail": provider.Failed, "polishing": provider.Running, "": provider.Running,
	} {
		task, err := fetched(t, `{"state":"`+state+`","resultJson":""}`)
		if err != nil || task.State != want {
			t.Errorf("%q: %+v %v, want %s", state, task, err, want)
		}
	}
}

func TestFetch_NumbersMayBeStrings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer   string
		progress int
		cause    provider.Cause
	}{
		"numbers":  {`{"code":200,"data":{"state":"fail","progress":45,"failCode":400,"failMsg":"size"}}`, 45, provider.BadInput},
		"strings":  {`{"code":"200","data":{"state":"fail","progress":"45","failCode":"400","failMsg":"size"}}`, 45, provider.BadInput},
		"nulls":    {`{"code":200,"data":{"state":"fail","progress":null,"failCode":null,"failMsg":null}}`, 0, provider.Broken},
		"nonsense": {`{"code":200,"data":{"state":"fail","progress":"half","failCode":"x"}}`, 0, provider.Broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := serve(t, 200, c.answer).Fetch(soon(t), "t1")
			if err != nil || task.Progress != c.progress || task.Cause != c.cause {
				t.Errorf("%+v %v, want %d %%, %s", task, err, c.progress, c.cause)
			}
		})
	}
	_, err := serve(t, 200, `{"code":"402","msg":"no credits"}`).Submit(soon(t), image())
	check(t, err, failure{provider.Refused, provider.NoCredits, 402, 0})
}

func TestFetch_AnswersThatAreNoRecord(t *testing.T) {
	t.Parallel()
	unknown := failure{provider.Unknown, provider.NoAnswer, 200, 0}
	for name, c := range map[string]struct {
		status int
		answer string
		want   failure
	}{
		"null record":   {200, `{"code":200,"data":null}`, failure{provider.Refused, provider.NotFound, 200, 0}},
		"404":           {200, `{"code":404,"msg":"not found"}`, failure{provider.Refused, provider.NotFound, 404, 0}},
		"null, 422":     {200, `{"code":422,"msg":"recordInfo is null"}`, failure{provider.Refused, provider.NotFound, 422, 0}},
		"no record":     {200, `{"code":200}`, unknown},
		"a list":        {200, `{"code":200,"data":[]}`, unknown},
		"no envelope":   {200, `{"state":"success"}`, failure{provider.Unknown, provider.NoAnswer, 200, soonAgain}},
		"nonsense code": {200, `{"code":"ok","data":{}}`, failure{provider.Unknown, provider.NoAnswer, 200, soonAgain}},
		"garbage":       {200, `{"code":20`, failure{provider.Unknown, provider.NoAnswer, 200, soonAgain}},
		"nothing":       {503, ``, failure{provider.Unknown, provider.NoAnswer, 503, soonAgain}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, c.status, c.answer).Fetch(soon(t), "t1")
			check(t, err, c.want)
		})
	}
}
