package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"testing"
)

// album is what the tests read of a sendMediaGroup.
type album struct {
	ChatID json.RawMessage `json:"chat_id"`
	Media  []struct {
		Type    string `json:"type"`
		Media   string `json:"media"`
		Caption string `json:"caption"`
	} `json:"media"`
}

// askAlbum asks tg-mock for the messages of an album one by one: its own
// sendMediaGroup hangs, and all calls after it, because it takes a lock twice to
// make a list. The first refusal is the album's.
func (r *recorder) askAlbum(ctx context.Context, address, contentType string, body []byte) (int, []byte, error) {
	var a album
	if err := json.Unmarshal(body, &a); err != nil {
		return 0, nil, fmt.Errorf("read an album: %w", err)
	}
	var messages []json.RawMessage
	for _, m := range a.Media {
		method := map[string]string{"photo": "sendPhoto", "video": "sendVideo", "audio": "sendAudio"}[m.Type]
		single, err := json.Marshal(map[string]any{"chat_id": a.ChatID, m.Type: m.Media, "caption": m.Caption})
		if err != nil {
			return 0, nil, err
		}
		status, answer, err := r.ask(ctx, path.Dir(address)+"/"+method, contentType, single)
		if err != nil || status != http.StatusOK {
			return status, answer, err
		}
		var sent struct {
			Result json.RawMessage `json:"result"`
		}
		if err := json.Unmarshal(answer, &sent); err != nil {
			return 0, nil, err
		}
		messages = append(messages, sent.Result)
	}
	answer, err := json.Marshal(map[string]any{"ok": true, "result": messages})
	return http.StatusOK, answer, err
}

func TestResult_TwoSongsAreOneAlbum(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	p := w.ada()
	p.order("Music", "Suno", "waves on a shore")
	p.waitText("Ready. Charged: 9.60 ₽")
	w.waitQuiet()
	p.checkAnswers()
	sent := w.calls.of("sendMediaGroup")
	if len(sent) != 1 {
		t.Fatalf("%d albums were sent", len(sent))
	}
	var a album
	if err := json.Unmarshal(sent[0].Body, &a); err != nil || len(a.Media) != 2 {
		t.Fatalf("want two songs in %s: %v", sent[0].Body, err)
	}
	if caption := plain(a.Media[0].Caption); caption != "Suno V6 · 9.60 ₽\nwaves on a shore" {
		t.Errorf("caption %q", caption)
	}
	var answer struct {
		Result []struct {
			Audio struct {
				FileID string `json:"file_id"`
			} `json:"audio"`
		} `json:"result"`
	}
	if err := json.Unmarshal(sent[0].Answer, &answer); err != nil {
		t.Fatal(err)
	}
	for i, m := range answer.Result {
		kept := one[string](w, fmt.Sprintf(`SELECT file_id FROM generation_results WHERE position = %d`, i))
		if kept != m.Audio.FileID {
			t.Errorf("of song %d the file id %q was kept, not %q", i, kept, m.Audio.FileID)
		}
	}
}
