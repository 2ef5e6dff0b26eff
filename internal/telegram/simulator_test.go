package telegram_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"

	"kiosk/internal/simulator/telegramsim"
	"kiosk/internal/telegram"
)

// simulate starts a Bot API server with one person who has written to the bot.
func simulate(t *testing.T) (*telegramsim.Server, *gotgbot.Bot, int64) {
	t.Helper()
	sim, err := telegramsim.New(telegramsim.Config{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	sim.SetBaseURL(server.URL)
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	user := sim.NewUser("Ada", "en")
	if _, err := sim.SendText(user.ID, "/start"); err != nil {
		t.Fatal(err)
	}
	return sim, dial(t, server.URL), user.ID
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func picture(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewRGBA(image.Rect(0, 0, 640, 480))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestSimulator_MessagePressAnswerEdit(t *testing.T) {
	t.Parallel()
	sim, b, user := simulate(t)
	ctx := soon(t)
	again := gotgbot.InlineKeyboardMarkup{InlineKeyboard: [][]gotgbot.InlineKeyboardButton{{{Text: "Again", CallbackData: "a:1"}}}}
	sent, err := b.SendMessageWithContext(ctx, user, "Choose", &gotgbot.SendMessageOpts{ReplyMarkup: again})
	if err != nil {
		t.Fatal(err)
	}
	id, err := sim.Press(user, sent.MessageId, "a:1")
	if err != nil {
		t.Fatal(err)
	}
	if u := lastUpdate(ctx, t, b); u.Callback == nil || u.Callback.ID != id || u.Callback.Data != "a:1" || u.UserID() != user {
		t.Errorf("update: %+v", u)
	}
	if _, err := b.AnswerCallbackQueryWithContext(ctx, id, &gotgbot.AnswerCallbackQueryOpts{Text: "Fine"}); err != nil {
		t.Fatal(err)
	}
	if a, err := sim.WaitAnswer(ctx, user, id); err != nil || a.Text != "Fine" {
		t.Errorf("answer: %+v %v", a, err)
	}
	if _, err := b.AnswerCallbackQueryWithContext(ctx, id, nil); !telegram.IsTooOld(err) {
		t.Errorf("a second answer: %v", err)
	}
	edit := &gotgbot.EditMessageTextOpts{Text: "Chosen", ChatId: user, MessageId: sent.MessageId}
	if _, _, err := b.EditMessageTextWithContext(ctx, edit); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.EditMessageTextWithContext(ctx, edit); !telegram.IsNotModified(err) {
		t.Errorf("the same edit again: %v", err)
	}
	if shown := sim.Messages(user); shown[len(shown)-1].Text != "Chosen" {
		t.Errorf("the chat shows %+v", shown)
	}
}

func TestSimulator_PhotoByUploadThenByID(t *testing.T) {
	t.Parallel()
	sim, b, user := simulate(t)
	ctx, data := soon(t), picture(t)
	sent, err := b.SendPhotoWithContext(ctx, user, gotgbot.InputFileByReader("a.png", bytes.NewReader(data)),
		&gotgbot.SendPhotoOpts{Caption: "<b>cat</b>", ParseMode: "HTML"})
	if err != nil {
		t.Fatal(err)
	}
	largest := sent.Photo[len(sent.Photo)-1]
	if got, err := sim.FileBytes(largest.FileId); err != nil || !bytes.Equal(got, data) || sent.Caption != "cat" {
		t.Errorf("%d of %d bytes, caption %q, %v", len(got), len(data), sent.Caption, err)
	}
	if _, err := b.SendPhotoWithContext(ctx, user, gotgbot.InputFileByID(largest.FileId), nil); err != nil {
		t.Errorf("by id: %v", err)
	}
	if _, err := b.SendPhotoWithContext(ctx, user, gotgbot.InputFileByURL("http://127.0.0.1:1/a.png"), nil); !telegram.IsFetchFailed(err) {
		t.Errorf("by a URL that leads nowhere: %v", err)
	}
}

func TestSimulator_AlbumByUpload(t *testing.T) {
	t.Parallel()
	sim, b, user := simulate(t)
	album, err := b.SendMediaGroupWithContext(soon(t), user, gotgbot.InputMedias{
		gotgbot.InputMediaPhoto{Media: gotgbot.InputFileByReader("a.png", bytes.NewReader(picture(t))), Caption: "one"},
		gotgbot.InputMediaPhoto{Media: gotgbot.InputFileByReader("b.png", bytes.NewReader(picture(t)))},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	shown := sim.Messages(user)
	if len(album) != 2 || len(shown) != 3 || shown[1].Caption != "one" || len(shown[2].Photo) == 0 || shown[1].MediaGroupID == "" {
		t.Errorf("the chat shows %+v", shown)
	}
}

func TestSimulator_Refusals(t *testing.T) {
	t.Parallel()
	sim, b, user := simulate(t)
	ctx := soon(t)
	if _, err := b.SendMessageWithContext(ctx, 1, "x", nil); !telegram.IsChatGone(err) || telegram.OutcomeOf(err) != telegram.Refused {
		t.Errorf("a stranger: %v", err)
	}
	if err := sim.Block(user); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SendMessageWithContext(ctx, user, "x", nil); !telegram.IsBlocked(err) {
		t.Errorf("who blocked the bot: %v", err)
	}
	other, err := telegram.New("7:other", b.GetAPIURL(nil))
	if err != nil {
		t.Fatal(err)
	}
	var e *telegram.Error
	if _, err := other.GetMeWithContext(ctx, nil); !errors.As(err, &e) || e.Code != 401 || e.Outcome != telegram.Refused {
		t.Errorf("another token: %v", err)
	}
}

// lastUpdate polls once and decodes the newest update.
func lastUpdate(ctx context.Context, t *testing.T, b *gotgbot.Bot) telegram.Update {
	t.Helper()
	raw, err := b.RequestWithContext(ctx, "getUpdates", map[string]any{"offset": int64(-1), "timeout": int64(5)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
		t.Fatalf("updates %s: %v", raw, err)
	}
	return decode(t, string(list[len(list)-1]))
}
