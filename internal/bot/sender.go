package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/admin"
	"kiosk/internal/catalog"
	"kiosk/internal/fault"
	"kiosk/internal/generation"
	"kiosk/internal/ledger"
	"kiosk/internal/outbox"
	"kiosk/internal/telegram"
)

// Sender renders outbox messages and sends them. It implements outbox.Sender
// and is safe for concurrent use.
type Sender struct {
	api         *gotgbot.Bot
	pool        *pgxpool.Pool
	catalog     *catalog.Catalog
	generations *generation.Service
	ledger      *ledger.Ledger
	log         *slog.Logger
}

var _ outbox.Sender = (*Sender)(nil)

// NewSender returns the sender over a Bot API client.
func NewSender(api *gotgbot.Bot, d Deps) (*Sender, error) {
	if api == nil || d.Generations == nil || d.Catalog == nil || d.Ledger == nil || d.Log == nil {
		return nil, errors.New("bot: a sender needs a client, generations, catalog, ledger and log")
	}
	return &Sender{api: api, pool: d.Generations.Pool, catalog: d.Catalog, generations: d.Generations, ledger: d.Ledger, log: d.Log}, nil
}

// Repeatable reports the kinds whose second sending does no harm.
func (s *Sender) Repeatable(kind string) bool {
	switch kind {
	case kindEdit, kindAnswer, generation.KindProgress, generation.KindAction:
		return true
	case admin.KindAlert: // seen, but better read twice than never
		return true
	}
	return false
}

// Send makes the call for one message.
func (s *Sender) Send(ctx context.Context, m outbox.Message) (outbox.Receipt, error) {
	switch m.Kind {
	case kindMessage, kindEdit:
		return nil, s.screen(ctx, m)
	case kindAnswer:
		return nil, s.answer(ctx, m)
	case generation.KindProgress, generation.KindFailed, generation.KindAction, generation.KindResult, kindUnsure, kindSorry:
		return s.ofGeneration(ctx, m)
	case admin.KindAlert:
		return nil, s.alert(ctx, m)
	}
	return nil, fmt.Errorf("%w: kind %q is not known", outbox.ErrUnsendable, m.Kind)
}

func decode(m outbox.Message, into any) error {
	if err := json.Unmarshal(m.Args, into); err != nil {
		return fmt.Errorf("%w: read the arguments: %w", outbox.ErrUnsendable, err)
	}
	return nil
}

func (s *Sender) screen(ctx context.Context, m outbox.Message) error {
	var a screenArgs
	if err := decode(m, &a); err != nil {
		return err
	}
	if a.MessageID == 0 {
		return s.message(ctx, m.ChatID, a.screen)
	}
	return s.edit(ctx, m.ChatID, a.MessageID, a.screen)
}

func (s *Sender) message(ctx context.Context, chat int64, sc screen) error {
	_, err := s.api.SendMessageWithContext(ctx, chat, sc.Text, &gotgbot.SendMessageOpts{
		ParseMode: gotgbot.ParseModeHTML, ReplyMarkup: keyboard(sc.Keys),
		LinkPreviewOptions: &gotgbot.LinkPreviewOptions{IsDisabled: true}, RequestOpts: withoutKeyboard(sc.Keys),
	})
	return err
}

// withoutKeyboard leaves the parameter out of a call whose screen has no
// buttons: an empty keyboard object is no valid one.
func withoutKeyboard(rows [][]key) *gotgbot.RequestOpts {
	if len(rows) > 0 {
		return nil
	}
	return &gotgbot.RequestOpts{OverrideParams: map[string]any{"reply_markup": nil}}
}

// edit replaces a screen. One that is gone is shown anew.
func (s *Sender) edit(ctx context.Context, chat, messageID int64, sc screen) error {
	_, _, err := s.api.EditMessageTextWithContext(ctx, &gotgbot.EditMessageTextOpts{
		ChatId: chat, MessageId: messageID, Text: sc.Text, ParseMode: gotgbot.ParseModeHTML, ReplyMarkup: keyboard(sc.Keys),
		LinkPreviewOptions: &gotgbot.LinkPreviewOptions{IsDisabled: true}, RequestOpts: withoutKeyboard(sc.Keys),
	})
	switch {
	case telegram.IsNotModified(err):
		return nil
	case telegram.IsEditGone(err), telegram.IsNoText(err):
		return s.message(ctx, chat, sc)
	}
	return err
}

func keyboard(rows [][]key) gotgbot.InlineKeyboardMarkup {
	markup := gotgbot.InlineKeyboardMarkup{InlineKeyboard: make([][]gotgbot.InlineKeyboardButton, 0, len(rows))}
	for _, row := range rows {
		var buttons []gotgbot.InlineKeyboardButton
		for _, k := range row {
			b := gotgbot.InlineKeyboardButton{Text: k.Text, Style: k.Style, CallbackData: k.Data}
			if k.Copy != "" {
				b.CopyText = &gotgbot.CopyTextButton{Text: k.Copy}
			}
			buttons = append(buttons, b)
		}
		markup.InlineKeyboard = append(markup.InlineKeyboard, buttons)
	}
	return markup
}

func (s *Sender) answer(ctx context.Context, m outbox.Message) error {
	var a answerArgs
	if err := decode(m, &a); err != nil {
		return err
	}
	_, err := s.api.AnswerCallbackQueryWithContext(ctx, a.ID, &gotgbot.AnswerCallbackQueryOpts{Text: a.Text, ShowAlert: a.Alert})
	if telegram.IsTooOld(err) {
		return nil // nobody waits for it any more
	}
	return err
}

// ofGeneration renders what a generation has to say, from its row.
func (s *Sender) ofGeneration(ctx context.Context, m outbox.Message) (outbox.Receipt, error) {
	var n generation.Notice
	if err := decode(m, &n); err != nil {
		return nil, err
	}
	g, err := generation.Get(ctx, s.pool, n.Generation)
	if fault.KindOf(err) == fault.NotFound {
		return nil, fmt.Errorf("%w: %w", outbox.ErrUnsendable, err)
	}
	if err != nil {
		return nil, unread(err)
	}
	r := s.rendering(g)
	switch m.Kind {
	case generation.KindProgress:
		return nil, s.progress(ctx, r, n.Stage)
	case generation.KindAction:
		return nil, s.action(ctx, r)
	case generation.KindFailed:
		return nil, s.delivered(ctx, g, "failure told", s.message(ctx, g.ChatID, r.apology()))
	case kindSorry:
		return nil, s.delivered(ctx, g, "failure told again", s.message(ctx, g.ChatID, r.repeated()))
	case kindUnsure:
		return nil, s.message(ctx, g.ChatID, r.unsure())
	}
	receipt, err := s.result(ctx, r)
	return receipt, s.delivered(ctx, g, "result delivered", err)
}

// delivered logs the last milestone of an order.
func (s *Sender) delivered(ctx context.Context, g generation.Generation, message string, err error) error {
	if err == nil {
		s.log.InfoContext(ctx, message, "generation_id", g.ID, "user_id", int64(g.UserID), "model", g.Model, "state", g.State,
			"duration", time.Since(g.Created).Round(time.Millisecond).String())
	}
	return err
}

// unread reports that nothing was sent because our own row could not be read.
func unread(err error) error {
	return &telegram.Error{Method: "none", Outcome: telegram.NotSent, Description: err.Error()}
}

func (s *Sender) progress(ctx context.Context, r rendering, stage generation.Stage) error {
	sc, ok := r.progress(stage)
	if stage == generation.StageDone {
		have, err := s.ledger.Balance(ctx, s.pool, r.g.UserID)
		if err != nil {
			return unread(err)
		}
		files, err := generation.Results(ctx, s.pool, r.g.ID)
		if err != nil {
			return unread(err)
		}
		sc, ok = r.done(have.Available(), len(files)), true
	}
	if !ok {
		return fmt.Errorf("%w: stage %q is not known", outbox.ErrUnsendable, stage)
	}
	return s.edit(ctx, r.g.ChatID, r.g.MessageID, sc)
}

func (s *Sender) action(ctx context.Context, r rendering) error {
	if r.g.State.Final() {
		return nil
	}
	action := map[string]string{"image": "upload_photo", "video": "record_video", "audio": "record_voice"}[r.kind]
	if action == "" {
		action = "upload_document"
	}
	_, err := s.api.SendChatActionWithContext(ctx, r.g.ChatID, action, nil)
	return err
}

// Settle keeps Telegram's ids of delivered files, offers a result whose delivery
// is in doubt, repeats an apology that is, and notes who has blocked the bot.
func (s *Sender) Settle(ctx context.Context, tx pgx.Tx, m outbox.Message, end outbox.State, receipt outbox.Receipt, cause error) error {
	switch {
	case end == outbox.Refused && telegram.IsBlocked(cause):
		if _, err := tx.Exec(ctx, sqlUserBlocked, m.ChatID, true); err != nil {
			return fmt.Errorf("note who blocked the bot: %w", err)
		}
	case m.Kind == generation.KindResult && end == outbox.Unknown:
		return outbox.Add(ctx, tx, outbox.Draft{Key: m.Key + ":unsure", ChatID: m.ChatID, Kind: kindUnsure, Args: m.Args})
	case m.Kind == generation.KindFailed && end == outbox.Unknown:
		return outbox.Add(ctx, tx, outbox.Draft{Key: m.Key + ":again", ChatID: m.ChatID, Kind: kindSorry, Args: m.Args})
	case m.Kind == generation.KindResult && end == outbox.Sent:
		return keepFiles(ctx, tx, m, receipt)
	}
	return nil
}

func keepFiles(ctx context.Context, tx pgx.Tx, m outbox.Message, receipt outbox.Receipt) error {
	var n generation.Notice
	if err := decode(m, &n); err != nil {
		return err
	}
	var files []string
	if len(receipt) == 0 {
		return nil // the words went out as a link
	}
	if err := json.Unmarshal(receipt, &files); err != nil {
		return fmt.Errorf("read a receipt of our own: %w", err)
	}
	for i, id := range files {
		if id == "" {
			continue
		}
		if err := generation.KeepFile(ctx, tx, n.Generation, i, id); err != nil {
			return err
		}
	}
	return nil
}
