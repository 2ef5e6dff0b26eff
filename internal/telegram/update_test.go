package telegram_test

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"kiosk/internal/telegram"
)

func TestDecode_ReadsWhatABotNeeds(t *testing.T) {
	t.Parallel()
	u := decode(t, `{"update_id":5,"message":{"message_id":9,"from":{"id":7700002019,"first_name":"Ada","language_code":"ru"},
		"chat":{"id":7700002019,"type":"private"},"date":1,"caption":"кот","media_group_id":"g",
		"photo":[{"file_id":"s","width":90,"height":67},{"file_id":"l","width":640,"height":480,"file_size":100}]}}`)
	m := u.Message
	if u.ID != 5 || u.Kind != "message" || m == nil || u.Callback != nil || u.Member != nil {
		t.Fatalf("%+v", u)
	}
	if m.ID != 9 || m.From.LanguageCode != "ru" || m.Chat.Type != "private" || m.Caption != "кот" || m.MediaGroupID != "g" {
		t.Errorf("message: %+v", m)
	}
	if len(m.Photo) != 2 || m.Photo[1] != (telegram.File{ID: "l", Width: 640, Height: 480, Size: 100}) {
		t.Errorf("photo: %+v", m.Photo)
	}

	u = decode(t, `{"update_id":6,"callback_query":{"id":"q","from":{"id":7},"data":"a:1",
		"message":{"message_id":9,"chat":{"id":7,"type":"private"},"date":0}}}`)
	if c := u.Callback; c == nil || c.ID != "q" || c.Data != "a:1" || c.Message.ID != 9 || c.Message.Date != 0 {
		t.Errorf("callback: %+v", u.Callback)
	}

	u = decode(t, `{"update_id":7,"my_chat_member":{"chat":{"id":7},"from":{"id":7},"new_chat_member":{"status":"kicked","x":{}}}}`)
	if u.Member == nil || u.Member.New.Status != "kicked" {
		t.Errorf("member: %+v", u.Member)
	}
}

func TestDecode_UnknownIsIgnored(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{"update_id":5,"hologram":{"from":17}}`,
		`{"update_id":5,"hologram":null}`,
		`{"update_id":5,"message":{"chat":{"id":7,"type":"hyperspace"},"text":"x","hologram":[1]}}`,
		`{"update_id":5,"my_chat_member":{"from":{"id":7},"new_chat_member":{"status":"promoted to stardust"}}}`,
		`{"update_id":5,"message":null}`,
		`{"update_id":5}`,
	} {
		if u := decode(t, raw); u.ID != 5 {
			t.Errorf("%s: id %d", raw, u.ID)
		}
	}
	if u := decode(t, `{"update_id":5,"hologram":{}}`); u.Kind != "hologram" || u.Queue() != "hologram" {
		t.Errorf("kind %q, queue %q, want the unknown kind's name", u.Kind, u.Queue())
	}
}

func TestDecode_MalformedIsRefused(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		``, ` `, `null`, `{}`, `[1,2]`, `"x"`, `17`, `{"update_id":5`, `{"update_id":5} x`, `{"message":{}}`,
		`{"update_id":null}`, `{"update_id":"5"}`, `{"update_id":5.5}`, `{"update_id":99999999999999999999}`, `{"update_id":{}}`,
		`{"update_id":5,"message":"x"}`, `{"update_id":5,"message":{"text":17}}`, `{"update_id":5,"callback_query":[]}`,
		`{"update_id":5,"my_chat_member":{"from":7}}`, `{"update_id":5\u0000}`, `{"update_id":5,"message":{"text":"\u0000"}}\`, `{"update_id\u0000":5}`,
	} {
		u, err := telegram.Decode([]byte(raw))
		if !errors.Is(err, telegram.ErrUndecodable) {
			t.Errorf("%q: %+v, %v, want ErrUndecodable", raw, u, err)
		}
		if !reflect.ValueOf(u).IsZero() {
			t.Errorf("%q: half an update beside the error: %+v", raw, u)
		}
	}
}

func TestDecode_BrokenTextAndRepeatedNamesAreTolerated(t *testing.T) {
	t.Parallel()
	u := decode(t, "{\"update_id\":5,\"message\":{\"text\":\"a\xffb\",\"caption\":\"\\ud800\"}}")
	if u.Message.Text != "a\ufffdb" || u.Message.Caption != "\ufffd" {
		t.Errorf("message: %+v", u.Message)
	}
	u = decode(t, `{"update_id":5,"message":{"text":"a","text":"b","caption":"c"},"message":{"text":"d"},"update_id":6}`)
	if u.ID != 6 || u.Message.Text != "d" || u.Message.Caption != "" {
		t.Errorf("update %d, message: %+v", u.ID, u.Message)
	}
}

// PostgreSQL stores no NUL in a text; a person may send one.
func TestDecode_RemovesNUL(t *testing.T) {
	t.Parallel()
	u := decode(t, `{"update_id":5,"message":{"text":"a\u0000b","caption":"\u0000","from":{"first_name":"Ada\u0000"},
		"chat":{"id":7},"media_group_id":"g\u0000"}}`)
	if m := u.Message; m.Text != "ab" || m.Caption != "" || m.From.FirstName != "Ada" || m.MediaGroupID != "g" {
		t.Errorf("message: %+v", u.Message)
	}
	u = decode(t, `{"update_id":5,"callback_query":{"data":"\u0000a","from":{"first_name":"B\u0000"},"message":{"text":"\u0000"}}}`)
	if c := u.Callback; c.Data != "a" || c.From.FirstName != "B" || c.Message.Text != "" {
		t.Errorf("callback: %+v", u.Callback)
	}
	u = decode(t, `{"update_id":5,"holo\u0000gram":{}}`)
	if u.Queue() != "hologram" {
		t.Errorf("queue %q", u.Queue())
	}
}

func TestDecode_KeepsWhatOnlyLooksLikeNUL(t *testing.T) {
	t.Parallel()
	const text = `\u0000 and \ and \\u0000 and "` + "\u2400 \n"
	raw, err := json.Marshal(map[string]any{"update_id": 5, "message": map[string]any{"text": text + "\x00"}})
	if err != nil {
		t.Fatal(err)
	}
	if u := decode(t, string(raw)); u.Message.Text != text {
		t.Errorf("%q became %q", text, u.Message.Text)
	}
}

func TestUpdate_UserAndQueue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw   string
		user  int64
		queue string
	}{
		"message":             {`{"update_id":1,"message":{"from":{"id":7},"chat":{"id":7,"type":"private"}}}`, 7, "message"},
		"message in a group":  {`{"update_id":1,"message":{"from":{"id":7},"chat":{"id":-100,"type":"group"}}}`, 7, "message"},
		"refund by the bot":   {`{"update_id":1,"message":{"from":{"id":5,"is_bot":true},"chat":{"id":7,"type":"private"}}}`, 7, "message"},
		"channel's message":   {`{"update_id":1,"message":{"chat":{"id":-100,"type":"channel"}}}`, -100, "message"},
		"no message":          {`{"update_id":1,"message":null}`, 0, "message"},
		"edit":                {`{"update_id":1,"edited_message":{"from":{"id":7}}}`, 0, "message"},
		"channel post":        {`{"update_id":1,"channel_post":{}}`, 0, "message"},
		"edited channel post": {`{"update_id":1,"edited_channel_post":{}}`, 0, "message"},
		"press":               {`{"update_id":1,"callback_query":{"from":{"id":7}}}`, 7, "callback_query"},
		"press on a message":  {`{"update_id":1,"callback_query":{"from":{"id":7},"message":{"from":{"id":5}}}}`, 7, "callback_query"},
		"block":               {`{"update_id":1,"my_chat_member":{"from":{"id":7},"chat":{"id":7}}}`, 7, "my_chat_member"},
		"unknown":             {`{"update_id":1,"hologram":{"from":{"id":7}}}`, 0, "hologram"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := decode(t, c.raw)
			if u.UserID() != c.user || u.Queue() != c.queue {
				t.Errorf("user %d, queue %q, want %d, %q", u.UserID(), u.Queue(), c.user, c.queue)
			}
		})
	}
}

// corpus returns the lines of recorded updates, as they are; people and chats
// have pseudonyms.
func corpus(t testing.TB) []string {
	t.Helper()
	raw, err := os.ReadFile("testdata/updates.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
}

// Of the 57 lines three are no updates: an empty body, a list, and an object
// without an update_id. All others decode, with whatever kinds, variants and
// fields they have that nobody here knows.
func TestDecode_RecordedUpdates(t *testing.T) {
	t.Parallel()
	lines := corpus(t)
	if len(lines) != 57 {
		t.Fatalf("%d lines, want 57", len(lines))
	}
	var refused []string
	kinds := map[string]int{}
	for i, line := range lines {
		u, err := telegram.Decode([]byte(line))
		if errors.Is(err, telegram.ErrUndecodable) {
			refused = append(refused, line)
			continue
		}
		if err != nil {
			t.Errorf("line %d: %v", i+1, err)
		}
		kinds[u.Queue()]++
		noNUL(t, u)
	}
	if want := []string{"", "[1,2]", "{}"}; !reflect.DeepEqual(refused, want) {
		t.Errorf("refused %q, want %q", refused, want)
	}
	if kinds["message"] < 30 || kinds["callback_query"] != 3 || kinds["my_chat_member"] != 3 || len(kinds) < 12 {
		t.Errorf("kinds: %v", kinds)
	}
}

func TestDecode_RecordedPeople(t *testing.T) {
	t.Parallel()
	lines := corpus(t)
	for line, want := range map[int]int64{
		2:  0,                // fields are missing
		3:  7700002019,       // in a supergroup; an id above 2^32
		7:  0,                // a reaction, which is not read
		12: 700011100,        // blocked the bot
		24: -1001160242915,   // an anonymous administrator stands for the group
		36: 700000042,        // a refund, which the bot writes into the person's chat
		38: 700000042,        // pressed a button of a message that is too old
		48: 0,                // no message
		49: 9007199254740993, // an id that no float64 holds
	} {
		if u := decode(t, lines[line-1]); u.UserID() != want {
			t.Errorf("line %d: user %d, want %d", line, u.UserID(), want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, line := range corpus(f) {
		f.Add([]byte(line))
	}
	for _, line := range []string{`{"update_id":null}`, `{"update_id":1,"message":{"text":"\u0000\\u0000"}}`, `{"update_id":1,"\u0000":1}`,
		`{"update_id":1\u0000}`, `{"update_id\u0000":1}`, `{"update_id":1,"message":{"text":"\u0000"}}\`, `{"update_id":1,"update_id":null}`,
		`{"update_id":1,"message":{"text":"a"},"message":{"caption":"\ud800"}}`, "{\"update_id\":1,\"message\":{\"text\":\"\xff\"}}"} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		u, err := telegram.Decode(raw)
		if err != nil {
			if !errors.Is(err, telegram.ErrUndecodable) || !reflect.ValueOf(u).IsZero() {
				t.Errorf("%+v beside %v", u, err)
			}
			return
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatal(err)
		}
		var id json.Number
		if err := json.Unmarshal(fields["update_id"], &id); err != nil || id == "" {
			t.Fatalf("an update without an id was decoded: %q", fields["update_id"])
		}
		if n, err := id.Int64(); err != nil || n != u.ID {
			t.Errorf("id %d of %q", u.ID, id)
		}
		_, _ = u.UserID(), u.Queue()
		noNUL(t, u)
	})
}

func decode(t *testing.T, raw string) telegram.Update {
	t.Helper()
	u, err := telegram.Decode([]byte(raw))
	if err != nil {
		t.Fatalf("%.80s: %v", raw, err)
	}
	return u
}

// noNUL looks at every text of an update.
func noNUL(t *testing.T, u telegram.Update) {
	t.Helper()
	raw, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	if plain := strings.ReplaceAll(string(raw), `\\`, ""); strings.Contains(plain, `\u0000`) || strings.Contains(u.Queue(), "\x00") {
		t.Errorf("NUL in %s", raw)
	}
}
