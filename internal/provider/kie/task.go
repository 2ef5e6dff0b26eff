package kie

import (
	"encoding/json"
	"regexp"
	"strings"

	"kiosk/internal/provider"
)

// record is the data of recordInfo and of a callback.
type record struct {
	TaskID     string          `json:"taskId"`
	State      string          `json:"state"`
	ResultJSON json.RawMessage `json:"resultJson"` // a string with JSON, "" or null; newer answers also an object
	FailCode   text            `json:"failCode"`
	FailMsg    string          `json:"failMsg"`
	Progress   number          `json:"progress"`
}

func readTask(taskID string, data json.RawMessage) (provider.Task, error) {
	if string(data) == "null" {
		return provider.Task{}, &provider.Error{Outcome: provider.Refused, Cause: provider.NotFound, Code: 200, Message: "there is no record"}
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return provider.Task{}, &provider.Error{Outcome: provider.Unknown, Cause: provider.NoAnswer, Code: 200, Message: "the record is not readable: " + err.Error()}
	}
	t := provider.Task{ID: taskID, Progress: int(r.Progress)}
	switch r.State {
	case "waiting", "queuing":
		t.State = provider.Queued
	case "generating":
		t.State = provider.Running
	case "success":
		return r.success(t)
	case "fail":
		t.State, t.Cause, t.Message = provider.Failed, failureCause(string(r.FailCode), r.FailMsg), r.FailMsg
	default: // a state that is not documented: go on looking
		t.State = provider.Running
	}
	return t, nil
}

// result is what resultJson holds.
type result struct {
	URLs   []string `json:"resultUrls"`
	Object any      `json:"resultObject"`
	Data   []struct {
		AudioURL string `json:"audio_url"`
	} `json:"data"` // music
}

func (r record) success(t provider.Task) (provider.Task, error) {
	t.State = provider.Succeeded
	raw := r.ResultJSON
	var inner string
	if json.Unmarshal(raw, &inner) == nil {
		raw = json.RawMessage(inner)
	}
	var res result
	if err := json.Unmarshal(raw, &res); err != nil {
		return provider.Task{}, &provider.Error{Outcome: provider.Unknown, Cause: provider.NoAnswer, Code: 200, Message: "the result is not readable: " + err.Error()}
	}
	t.Results = res.URLs
	for _, d := range res.Data {
		if d.AudioURL != "" {
			t.Results = append(t.Results, d.AudioURL)
		}
	}
	if res.Object != nil {
		raw, err := json.Marshal(res.Object)
		if err == nil {
			t.Text = string(raw)
		}
	}
	if len(t.Results) == 0 && t.Text == "" {
		t.State, t.Cause, t.Message = provider.Failed, provider.Broken, "success without a result"
	}
	return t, nil
}

// moderation matches the free texts by which KIE and the models behind it say
// that content is not allowed; there is no code for it.
const moderation = `(?i)flagged|violat|polic(y|ies)|moderat|inappropriate|sensitive|nsfw|unsafe|prohibited|minors?\b|prominent (people|person)|copyright|safety`

func isModeration(msg string) bool {
	return regexp.MustCompile(moderation).MatchString(msg)
}

// failureCause classifies a failed task. "Try again later" comes with code 400,
// too, and is then the model's trouble, not the input's.
func failureCause(code, msg string) provider.Cause {
	switch {
	case strings.Contains(strings.ToLower(msg), "try again later"):
		return provider.Broken
	case isModeration(msg):
		return provider.Moderation
	case code == "400" || code == "422":
		return provider.BadInput
	}
	return provider.Broken
}

// text reads a JSON string that may come as a number or null.
type text string

// UnmarshalJSON accepts "400", 400 and null.
func (t *text) UnmarshalJSON(raw []byte) error {
	s := strings.Trim(string(raw), `"`)
	if s != "null" {
		*t = text(s)
	}
	return nil
}
