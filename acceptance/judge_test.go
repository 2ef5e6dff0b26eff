package acceptance_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/mymmrac/telego"
)

// Telego's parameters are made for sending. Where they hold an interface or a
// file, the field is replaced by what stands in the JSON when no file is uploaded.
type (
	sendMessage struct {
		telego.SendMessageParams

		ReplyMarkup *telego.InlineKeyboardMarkup `json:"reply_markup"`
	}
	sendPhoto struct {
		telego.SendPhotoParams

		Photo       string                       `json:"photo"`
		ReplyMarkup *telego.InlineKeyboardMarkup `json:"reply_markup"`
	}
	sendVideo struct {
		telego.SendVideoParams

		Video       string                       `json:"video"`
		ReplyMarkup *telego.InlineKeyboardMarkup `json:"reply_markup"`
	}
	sendAudio struct {
		telego.SendAudioParams

		Audio       string                       `json:"audio"`
		ReplyMarkup *telego.InlineKeyboardMarkup `json:"reply_markup"`
	}
	sendMediaGroup struct {
		telego.SendMediaGroupParams

		Media []track `json:"media"`
	}
	track struct {
		telego.InputMediaAudio

		Media string `json:"media"`
	}
)

// paramsOf returns an empty value of a method's parameters, nil for a method
// that the tests do not expect.
func paramsOf(method string) any {
	switch method {
	case "sendMessage":
		return new(sendMessage)
	case "sendPhoto":
		return new(sendPhoto)
	case "sendVideo":
		return new(sendVideo)
	case "sendAudio":
		return new(sendAudio)
	case "sendMediaGroup":
		return new(sendMediaGroup)
	case "editMessageText":
		return new(telego.EditMessageTextParams)
	case "answerCallbackQuery":
		return new(telego.AnswerCallbackQueryParams)
	case "sendChatAction":
		return new(telego.SendChatActionParams)
	case "getUpdates":
		return new(telego.GetUpdatesParams)
	case "deleteWebhook":
		return new(telego.DeleteWebhookParams)
	case "setMyCommands":
		return new(telego.SetMyCommandsParams)
	case "setMyDescription":
		return new(telego.SetMyDescriptionParams)
	case "setMyShortDescription":
		return new(telego.SetMyShortDescriptionParams)
	}
	return nil
}

// judge decodes a call's body into the parameters of its method and allows
// nothing that they do not know.
func judge(c call) error {
	params := paramsOf(c.Method)
	if params == nil {
		return errors.New("no parameters to judge it by: add the method to paramsOf")
	}
	if c.Type != "application/json" {
		return fmt.Errorf("the body is %q", c.Type)
	}
	d := json.NewDecoder(bytes.NewReader(c.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(params); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the parameters")
	}
	return nil
}

// Both judges must see what is wrong, or all other tests would prove nothing.
func TestJudges_RefuseWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"unknown field":           `{"chat_id": 1, "text": "x", "txt": "x"}`,
		"unknown field, deep":     `{"chat_id": 1, "text": "x", "reply_markup": {"inline_keyboard": [[{"text": "x", "callback": "x"}]]}}`,
		"wrong type":              `{"chat_id": 1, "text": 1}`,
		"keyboard without rows":   `{"chat_id": 1, "text": "x", "reply_markup": {"inline_keyboard": [{"text": "x"}]}}`,
		"something after the end": `{"chat_id": 1, "text": "x"} {}`,
	} {
		if judge(call{Method: "sendMessage", Type: "application/json", Body: []byte(body)}) == nil {
			t.Errorf("telego's parameters take %s: %s", name, body)
		}
	}
	p := startPeer(t)
	for path, body := range map[string]any{
		"sendMessage":     map[string]any{"text": "no chat"},
		"sendPhoto":       map[string]any{"chat_id": 1},
		"sendNothing":     map[string]any{},
		"setMyCommands":   map[string]any{"language_code": "en"},
		"editMessageText": map[string]any{"chat_id": 1, "message_id": 1},
	} {
		if p.try("POST", "/bot1:x/"+path, body, nil) == nil {
			t.Errorf("tg-mock takes %s %v", path, body)
		}
	}
}
