package telegramsim_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"kiosk/internal/simulator/telegramsim"
)

func TestSendPressEdit_RoundTrip(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()

	m := s.send(obj{"chat_id": u.ID, "text": "Choose", "reply_markup": keyboard(
		[]obj{{"text": "Video", "callback_data": "m:v", "style": "primary"}, {"text": "Soon", "callback_data": "m:s", "disabled": obj{}}},
	)})
	if m.MessageID != 2 || m.From == nil || !m.From.IsBot || m.Chat.ID != u.ID || m.Date == 0 {
		t.Fatalf("message: %+v", m)
	}

	var pressed struct {
		ID string `json:"callback_query_id"`
	}
	status := s.control("POST", path(u.ID, "press"), obj{"message_id": m.MessageID, "data": "m:v"}, &pressed)
	if status != http.StatusOK || pressed.ID == "" {
		t.Fatalf("press: %d %+v", status, pressed)
	}
	for _, data := range []string{"m:other", "m:s", ""} {
		if status := s.control("POST", path(u.ID, "press"), obj{"message_id": m.MessageID, "data": data}, nil); status != 400 {
			t.Errorf("press %q: %d", data, status)
		}
	}

	s.must("answerCallbackQuery", obj{"callback_query_id": pressed.ID, "text": "Fine", "show_alert": true}, nil)
	a, err := s.WaitAnswer(short(t), u.ID, pressed.ID)
	if err != nil || a.Text != "Fine" || !a.ShowAlert || a.Data != "m:v" {
		t.Fatalf("answer: %+v %v", a, err)
	}
	s.refused("answerCallbackQuery", obj{"callback_query_id": pressed.ID}, 400, "Bad Request: query is too old")

	var edited telegramsim.Message
	s.must("editMessageText", obj{"chat_id": u.ID, "message_id": m.MessageID, "text": "Chosen"}, &edited)
	if edited.Text != "Chosen" || edited.ReplyMarkup != nil || edited.EditDate == 0 {
		t.Fatalf("edited: %+v", edited)
	}
	if status := s.control("POST", path(u.ID, "press"), obj{"message_id": m.MessageID, "data": "m:v"}, nil); status != 400 {
		t.Errorf("press on the edited message: %d", status)
	}
	var shown []telegramsim.Message
	s.control("GET", path(u.ID, "messages?after=1"), nil, &shown)
	if len(shown) != 1 || shown[0].Text != "Chosen" {
		t.Fatalf("chat shows %+v", shown)
	}
}

func TestEncodings_AllAreUnderstood(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	id := text(u.ID)
	form := url.Values{"chat_id": {id}, "text": {"form"}}.Encode()
	if a, err := s.post("/bot"+token+"/SENDMESSAGE", "application/x-www-form-urlencoded", strings.NewReader(form)); err != nil || !a.OK {
		t.Errorf("urlencoded: %+v %v", a, err)
	}
	if a, err := s.post("/bot"+token+"/sendmessage?"+url.Values{"chat_id": {id}, "text": {"query"}}.Encode(), "", nil); err != nil || !a.OK {
		t.Errorf("query: %+v %v", a, err)
	}
	if a := s.upload("/bot"+token+"/sendMessage", map[string]string{"chat_id": id, "text": "multipart"}); !a.OK {
		t.Errorf("multipart: %+v", a)
	}
	s.send(obj{"chat_id": id, "text": "json"})
	var texts []string
	for _, m := range s.Messages(u.ID)[1:] {
		texts = append(texts, m.Text)
	}
	if got := strings.Join(texts, " "); got != "form query multipart json" {
		t.Errorf("chat shows %q", got)
	}
}

func TestRefusals_AreTelegrams(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u, silent, leaver := s.user(), s.NewUser("Silent", "ru"), s.user()
	m := s.send(obj{"chat_id": u.ID, "text": "same"})
	if err := s.Block(leaver.ID); err != nil {
		t.Fatal(err)
	}
	button := func(b obj) obj { return obj{"chat_id": u.ID, "text": "x", "reply_markup": keyboard([]obj{b})} }
	for _, c := range []struct {
		name, method string
		params       obj
		code         int
		description  string
	}{
		{"empty text", "sendMessage", obj{"chat_id": u.ID, "text": " \n"}, 400, "Bad Request: message text is empty"},
		{"long text", "sendMessage", obj{"chat_id": u.ID, "text": strings.Repeat("я", 4097)}, 400, "Bad Request: message is too long"},
		{"emoji count twice", "sendMessage", obj{"chat_id": u.ID, "text": strings.Repeat("🙂", 2049)}, 400, "Bad Request: message is too long"},
		{"long caption", "sendPhoto", obj{"chat_id": u.ID, "photo": "x", "caption": strings.Repeat("a", 1025)}, 400, "Bad Request: message caption is too long"},
		{"no chat", "sendMessage", obj{"text": "x"}, 400, "Bad Request: chat_id is empty"},
		{"unknown chat", "sendMessage", obj{"chat_id": 1, "text": "x"}, 400, "Bad Request: chat not found"},
		{"never wrote", "sendMessage", obj{"chat_id": silent.ID, "text": "x"}, 400, "Bad Request: chat not found"},
		{"blocked", "sendMessage", obj{"chat_id": leaver.ID, "text": "x"}, 403, "Forbidden: bot was blocked by the user"},
		{"long data", "sendMessage", button(obj{"text": "b", "callback_data": strings.Repeat("я", 33)}), 400, "Bad Request: BUTTON_DATA_INVALID"},
		{"no action", "sendMessage", button(obj{"text": "b"}), 400, "Bad Request: can't parse inline keyboard button: Text buttons are unallowed"},
		{"bad url", "sendMessage", button(obj{"text": "b", "url": "nonsense"}), 400, "Bad Request: inline keyboard button URL 'nonsense' is invalid"},
		{"bad style", "sendMessage", button(obj{"text": "b", "callback_data": "x", "style": "pink"}), 400, "Bad Request: can't parse inline keyboard button"},
		{"bad markup", "sendMessage", obj{"chat_id": u.ID, "text": "x", "reply_markup": "{"}, 400, "Bad Request: can't parse reply keyboard markup"},
		{"same text", "editMessageText", obj{"chat_id": u.ID, "message_id": m.MessageID, "text": "same"}, 400, "Bad Request: message is not modified"},
		{"edit nothing", "editMessageText", obj{"chat_id": u.ID, "message_id": 999, "text": "y"}, 400, "Bad Request: message to edit not found"},
		{"edit of theirs", "editMessageText", obj{"chat_id": u.ID, "message_id": 1, "text": "y"}, 400, "Bad Request: message can't be edited"},
		{"long edit", "editMessageText", obj{"chat_id": u.ID, "message_id": m.MessageID, "text": strings.Repeat("a", 4097)}, 400, "Bad Request: MESSAGE_TOO_LONG"},
		{"caption of text", "editMessageCaption", obj{"chat_id": u.ID, "message_id": m.MessageID, "caption": "y"}, 400, "Bad Request: there is no caption in the message to edit"},
		{"delete nothing", "deleteMessage", obj{"chat_id": u.ID, "message_id": 999}, 400, "Bad Request: message to delete not found"},
		{"reply to nothing", "sendMessage", obj{"chat_id": u.ID, "text": "x", "reply_parameters": obj{"message_id": 999}}, 400, "Bad Request: message to be replied not found"},
		{"unknown query", "answerCallbackQuery", obj{"callback_query_id": "1"}, 400, "Bad Request: query is too old and response timeout expired or query ID is invalid"},
		{"bad action", "sendChatAction", obj{"chat_id": u.ID, "action": "dance"}, 400, "Bad Request: wrong parameter action in request"},
		{"bad parse mode", "sendMessage", obj{"chat_id": u.ID, "text": "x", "parse_mode": "BBCode"}, 400, "Bad Request: unsupported parse_mode"},
		{"bad html", "sendMessage", obj{"chat_id": u.ID, "text": "<br>", "parse_mode": "HTML"}, 400, `Bad Request: can't parse entities: Unsupported start tag "br" at byte offset 0`},
		{"group of one", "sendMediaGroup", obj{"chat_id": u.ID, "media": []obj{{"type": "photo", "media": "x"}}}, 400, "Bad Request: media group must include 2-10 items"},
		{"mixed group", "sendMediaGroup", obj{"chat_id": u.ID, "media": []obj{{"type": "audio", "media": "x"}, {"type": "photo", "media": "x"}}}, 400, "Bad Request: audio can't be mixed"},
		{"unknown file", "sendPhoto", obj{"chat_id": u.ID, "photo": "AgACnonsense"}, 400, "Bad Request: wrong remote file identifier specified"},
		{"no file", "sendPhoto", obj{"chat_id": u.ID}, 400, "Bad Request: there is no photo in the request"},
		{"bad command", "setMyCommands", obj{"commands": []obj{{"command": "Start", "description": "x"}}}, 400, "Bad Request: BOT_COMMAND_INVALID"},
		{"unknown method", "sendTelepathy", obj{}, 404, "Not Found: method not found"},
		{"webhook by http", "setWebhook", obj{"url": "http://example.org/hook"}, 400, "Bad Request: bad webhook: An HTTPS URL must be provided"},
		{"webhook secret", "setWebhook", obj{"url": "https://example.org/hook", "secret_token": "a b"}, 400, "Bad Request: secret token contains unallowed characters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			(&sim{s.Server, t, s.url}).refused(c.method, c.params, c.code, c.description)
		})
	}
}

func TestToken_OthersAreUnauthorized(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for _, p := range []string{"/bot7000000001:wrong/getMe", "/bot/getMe", "/file/botwrong/photos/file_0.jpg"} {
		a, err := s.post(p, "application/json", strings.NewReader("{}"))
		if err != nil || a.status != 401 || a.Description != "Unauthorized" {
			t.Errorf("%s: %+v %v", p, a, err)
		}
	}
	var me telegramsim.User
	s.must("getMe", obj{}, &me)
	if me.ID != 7000000001 || !me.IsBot || me.Username != "kiosk_dev_bot" {
		t.Errorf("getMe: %+v", me)
	}
}

func TestEdits_DeleteAndReaction(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	m := s.send(obj{"chat_id": u.ID, "text": "one", "reply_parameters": obj{"message_id": 1}})
	if m.ReplyToMessage == nil || m.ReplyToMessage.Text != "/start" {
		t.Errorf("reply: %+v", m.ReplyToMessage)
	}
	s.must("editMessageReplyMarkup", obj{"chat_id": u.ID, "message_id": m.MessageID,
		"reply_markup": keyboard([]obj{{"text": "b", "callback_data": "x"}})}, nil)
	if got := s.Messages(u.ID)[1]; got.Text != "one" || got.ReplyMarkup == nil {
		t.Errorf("after the markup edit: %+v", got)
	}
	s.must("setMessageReaction", obj{"chat_id": u.ID, "message_id": 1, "reaction": []obj{{"type": "emoji", "emoji": "👀"}}}, nil)
	var view struct {
		Reactions map[string][]struct{ Emoji string }
	}
	s.control("GET", path(u.ID, ""), nil, &view)
	if len(view.Reactions["1"]) != 1 || view.Reactions["1"][0].Emoji != "👀" {
		t.Errorf("reactions: %+v", view)
	}
	s.must("deleteMessages", obj{"chat_id": u.ID, "message_ids": []int{1, int(m.MessageID), 77}}, nil)
	if left := s.Messages(u.ID); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	if next := s.send(obj{"chat_id": u.ID, "text": "two"}); next.MessageID != 3 {
		t.Errorf("ids must not be used again: %d", next.MessageID)
	}
}

func TestCalls_AreLoggedWithParameters(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	s.call("getMe", obj{})
	s.upload("/bot"+token+"/sendPhoto", map[string]string{"chat_id": text(u.ID)}, formFile{"photo", "a.png", picture(8, 8)})
	s.call("sendmessage", obj{"chat_id": u.ID, "text": ""})
	var calls []telegramsim.Call
	s.control("GET", "/sim/calls?after=1", nil, &calls)
	if len(calls) != 2 || calls[0].Method != "sendPhoto" || calls[1].Method != "sendMessage" || calls[1].Code != 400 {
		t.Fatalf("calls: %+v", calls)
	}
	file, ok := calls[0].Params["photo"].(map[string]any)
	if !ok || file["name"] != "a.png" || len(file["sha256"].(string)) != 64 {
		t.Errorf("file in the log: %v", calls[0].Params)
	}
	if got, _ := json.Marshal(calls[1].Params["chat_id"]); string(got) != text(u.ID) {
		t.Errorf("chat_id in the log: %s", got)
	}
}

func TestProfile_CommandsFollowScopeAndLanguage(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.NewUser("Аня", "ru")
	set := func(extra obj, command string) {
		params := obj{"commands": []obj{{"command": command, "description": "d"}}}
		maps.Copy(params, extra)
		s.must("setMyCommands", params, nil)
	}
	shown := func() string {
		var view struct{ Commands []telegramsim.Command }
		s.control("GET", path(u.ID, ""), nil, &view)
		return view.Commands[0].Command
	}
	set(obj{}, "all")
	set(obj{"language_code": "ru"}, "russian")
	if got := shown(); got != "russian" {
		t.Errorf("default scope: %s", got)
	}
	set(obj{"scope": obj{"type": "all_private_chats"}}, "private")
	if got := shown(); got != "private" {
		t.Errorf("private scope: %s", got)
	}
	s.refused("setMyCommands", obj{"commands": []obj{}, "scope": obj{"type": "chat", "chat_id": u.ID}}, 400, "Bad Request: chat not found")
	if _, err := s.SendText(u.ID, "hi"); err != nil {
		t.Fatal(err)
	}
	set(obj{"scope": obj{"type": "chat", "chat_id": u.ID}}, "mine")
	if got := shown(); got != "mine" {
		t.Errorf("chat scope: %s", got)
	}
	s.must("setMyDescription", obj{"description": "What it does", "language_code": ""}, nil)
	var d struct{ Description string }
	s.must("getMyDescription", obj{"language_code": "ru"}, &d)
	if d.Description != "What it does" {
		t.Errorf("description: %q", d.Description)
	}
}
