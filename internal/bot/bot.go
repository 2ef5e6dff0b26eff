// Package bot is what people see in the chat: screens, the wizard that the
// catalog drives, texts in English and Russian, and the rendering of outbox
// messages.
//
// A screen is a pure function from session and event to session and effects
// (stations 3 and 4 of the route). The service around it loads the session,
// carries the effects out and saves the session, all in the transaction that
// marks the update done; it calls nobody. Sending is the Sender's job (station
// 8), on the other side of the outbox.
//
// Buttons carry a version and a few words of data, never a closure, so a button
// works after a deploy, and one that is outdated says so. Every press is answered.
package bot

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kiosk/internal/catalog"
	"kiosk/internal/fault"
	"kiosk/internal/generation"
	"kiosk/internal/inbox"
	"kiosk/internal/ledger"
	"kiosk/internal/outbox"
	"kiosk/internal/telegram"
)

//go:embed sql/user_seen.sql
var sqlUserSeen string

//go:embed sql/user_language.sql
var sqlUserLanguage string

//go:embed sql/user_blocked.sql
var sqlUserBlocked string

//go:embed sql/session_lock.sql
var sqlSessionLock string

//go:embed sql/session_save.sql
var sqlSessionSave string

// The kinds of outbox messages that the chat itself adds.
const (
	kindMessage = "bot.message" // a new message
	kindEdit    = "bot.edit"    // a screen in place of another
	kindAnswer  = "bot.answer"  // the end of a press
	kindUnsure  = "bot.unsure"  // a result may not have arrived: offer it
	kindSorry   = "bot.sorry"   // an apology may not have arrived: say it once more
)

// screenArgs is the argument of kindMessage and kindEdit.
type screenArgs struct {
	screen
	MessageID int64 `json:"message_id,omitempty"`
}

// answerArgs is the argument of kindAnswer.
type answerArgs struct {
	ID    string `json:"id"`
	Text  string `json:"text,omitempty"`
	Alert bool   `json:"alert,omitempty"`
}

// Deps are the parts of the bot; all are required.
type Deps struct {
	Catalog       *catalog.Catalog
	Generations   *generation.Service
	Ledger        *ledger.Ledger
	WelcomeCredit ledger.Amount // given once to everybody new; 0: nothing
	Log           *slog.Logger
}

// Bot understands Telegram's updates. It is safe for concurrent use.
type Bot struct {
	Deps
	screens screens
}

// New checks the parts.
func New(d Deps) (*Bot, error) {
	if d.Catalog == nil || d.Generations == nil || d.Ledger == nil || d.Log == nil {
		return nil, errors.New("bot: a part is missing")
	}
	return &Bot{Deps: d, screens: screens{catalog: d.Catalog, prices: d.Generations}}, nil
}

// Handle applies one stored update within tx. It is the inbox handler of the
// source "telegram".
func (b *Bot) Handle(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
	u, err := telegram.Decode(m.Body)
	if err != nil {
		return fmt.Errorf("read a stored update: %w", err)
	}
	switch {
	case u.Member != nil && u.Member.Chat.Type == "private":
		return b.memberChanged(ctx, tx, u.Member)
	case u.Callback != nil:
		return b.pressed(ctx, tx, u.Callback)
	case u.Message != nil && u.Message.Chat.Type == "private" && u.Message.From != nil && !u.Message.From.IsBot:
		return b.interact(ctx, tx, *u.Message.From, u.Message.Chat.ID, messageEvent(u.Message))
	}
	return nil // groups, channels, and kinds that the bot does not use
}

// SetAside tells the person that an update was given up after several attempts.
func (b *Bot) SetAside(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
	u, err := telegram.Decode(m.Body)
	if err != nil {
		return nil //nolint:nilerr // undecodable updates are never handed out; there is nobody to tell
	}
	if u.Callback != nil {
		t := textsOf(languageOf(u.Callback.From.LanguageCode))
		return outbox.Add(ctx, tx, answerDraft(u.Callback.From.ID, u.Callback.ID, answer{text: t.SomethingOff, alert: true}))
	}
	if u.Message != nil && u.Message.Chat.Type == "private" && u.Message.From != nil {
		t := textsOf(languageOf(u.Message.From.LanguageCode))
		return outbox.Add(ctx, tx, outbox.Draft{ChatID: u.Message.Chat.ID, Kind: kindMessage,
			Args: screenArgs{screen: screen{Text: t.SomethingOff}}})
	}
	return nil
}

// FilePrefix begins the references by which orders name files that people sent.
const FilePrefix = "tg:"

func messageEvent(m *telegram.Message) event {
	if m.Text == "" {
		return event{kind: media, text: m.Caption, group: m.MediaGroupID, file: attached(m)}
	}
	if name, ok := strings.CutPrefix(m.Text, "/"); ok {
		name, _, _ = strings.Cut(name, " ")
		name, _, _ = strings.Cut(name, "@")
		return event{kind: command, text: strings.ToLower(name)}
	}
	return event{kind: typed, text: m.Text}
}

// attached finds the file of a message. A picture sent as a document counts.
func attached(m *telegram.Message) attachment {
	pick := func(kind catalog.Type, f *telegram.File) attachment {
		return attachment{kind: kind, ref: FilePrefix + f.ID, size: f.Size}
	}
	switch {
	case len(m.Photo) > 0:
		return pick(catalog.TypeImage, &m.Photo[len(m.Photo)-1]) // sizes come in growing order
	case m.Video != nil:
		return pick(catalog.TypeVideo, m.Video)
	case m.Audio != nil:
		return pick(catalog.TypeAudio, m.Audio)
	case m.Voice != nil:
		return pick(catalog.TypeAudio, m.Voice)
	case m.Document == nil:
		return attachment{}
	}
	switch family, _, _ := strings.Cut(m.Document.MimeType, "/"); family {
	case "image":
		return pick(catalog.TypeImage, m.Document)
	case "video":
		return pick(catalog.TypeVideo, m.Document)
	case "audio":
		return pick(catalog.TypeAudio, m.Document)
	}
	return attachment{}
}

func (b *Bot) pressed(ctx context.Context, tx pgx.Tx, c *telegram.Callback) error {
	e := event{kind: pressed, text: c.Data, pressID: c.ID}
	if c.Message == nil {
		return b.interact(ctx, tx, c.From, c.From.ID, e)
	}
	if c.Message.Chat.Type != "" && c.Message.Chat.Type != "private" {
		return outbox.Add(ctx, tx, answerDraft(c.From.ID, c.ID, answer{}))
	}
	if c.Message.Date != 0 { // 0: not accessible any more, so not editable
		e.messageID = c.Message.ID
	}
	return b.interact(ctx, tx, c.From, c.Message.Chat.ID, e)
}

func (b *Bot) memberChanged(ctx context.Context, tx pgx.Tx, m *telegram.Member) error {
	blocked := m.New.Status == "kicked" || m.New.Status == "left"
	if _, err := tx.Exec(ctx, sqlUserBlocked, m.From.ID, blocked); err != nil {
		return fmt.Errorf("note that a user blocked or came back: %w", err)
	}
	return nil
}

// turn is one update under way: who, where, and what the screens may see.
type turn struct {
	tx   pgx.Tx
	user ledger.UserID
	chat int64
	e    event
	v    view
	s    session
}

// interact runs the screens on what a person did.
func (b *Bot) interact(ctx context.Context, tx pgx.Tx, from telegram.User, chat int64, e event) error {
	t := &turn{tx: tx, user: ledger.UserID(from.ID), chat: chat, e: e}
	if err := b.look(ctx, t, from); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, sqlSessionLock, t.user).Scan(&t.s); err != nil {
		return fmt.Errorf("load the session: %w", err)
	}
	next, effects := b.screens.handle(t.v, t.s, e)
	t.s = next
	if err := b.carryOut(ctx, t, effects); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, sqlSessionSave, t.user, t.s); err != nil {
		return fmt.Errorf("save the session: %w", err)
	}
	return nil
}

// look meets the person, gives the welcome credit once, and fills the view.
func (b *Bot) look(ctx context.Context, t *turn, from telegram.User) error {
	var language string
	var isNew bool
	err := t.tx.QueryRow(ctx, sqlUserSeen, from.ID, from.FirstName, from.Username, languageOf(from.LanguageCode)).Scan(&language, &isNew)
	if err != nil {
		return fmt.Errorf("remember the user: %w", err)
	}
	if isNew && b.WelcomeCredit > 0 {
		key := "welcome:" + t.user.String()
		if _, err := b.Ledger.GiveBonus(ctx, t.tx, key, t.user, b.WelcomeCredit, ledger.Promo, "welcome credit"); err != nil {
			return err
		}
	}
	t.v = view{t: textsOf(language), name: from.FirstName, isNew: isNew, unit: b.Ledger.Unit(), credit: int64(b.WelcomeCredit)}
	return b.refresh(ctx, t)
}

// refresh reads what the user has.
func (b *Bot) refresh(ctx context.Context, t *turn) error {
	have, err := b.Ledger.Balance(ctx, t.tx, t.user)
	if err != nil {
		return err
	}
	t.v.balance = balance{available: int64(have.Available()), held: int64(have.Held)}
	t.v.freeLeft, err = b.Generations.FreeLeft(ctx, t.tx, t.user)
	return err
}

// carryOut makes the effects happen, and answers a press that no effect answered.
func (b *Bot) carryOut(ctx context.Context, t *turn, effects []effect) error {
	answered := false
	for len(effects) > 0 {
		e := effects[0]
		effects = effects[1:]
		if _, ok := e.(answer); ok {
			answered = true
		}
		more, err := b.one(ctx, t, e)
		if err != nil {
			return err
		}
		effects = append(more, effects...)
	}
	if t.e.kind == pressed && !answered {
		return outbox.Add(ctx, t.tx, answerDraft(t.chat, t.e.pressID, answer{}))
	}
	return nil
}

// one carries out one effect and returns those that follow from it.
func (b *Bot) one(ctx context.Context, t *turn, e effect) ([]effect, error) {
	switch e := e.(type) {
	case show:
		return nil, outbox.Add(ctx, t.tx, t.screenDraft(e))
	case answer:
		if t.e.kind != pressed {
			return nil, nil
		}
		return nil, outbox.Add(ctx, t.tx, answerDraft(t.chat, t.e.pressID, e))
	case order:
		return b.order(ctx, t)
	case speak:
		return b.speak(ctx, t, e.language)
	case list:
		return b.history(ctx, t)
	case repeat:
		return b.repeat(ctx, t, e.id)
	case deliver:
		return nil, b.deliver(ctx, t, e.id)
	}
	return nil, fmt.Errorf("effect %T is not known", e)
}

func (t *turn) screenDraft(e show) outbox.Draft {
	if t.e.messageID != 0 && !e.fresh {
		return outbox.Draft{ChatID: t.chat, Kind: kindEdit, Args: screenArgs{screen: e.screen, MessageID: t.e.messageID}}
	}
	d := outbox.Draft{ChatID: t.chat, Kind: kindMessage, Args: screenArgs{screen: e.screen}}
	if e.album != "" {
		d.Key, d.Gather = fmt.Sprintf("album:%d:%s", t.chat, e.album), time.Second
	}
	return d
}

func answerDraft(chat int64, pressID string, a answer) outbox.Draft {
	return outbox.Draft{
		Key: "answer:" + pressID, ChatID: chat, Kind: kindAnswer, Urgent: true,
		Args: answerArgs{ID: pressID, Text: a.text, Alert: a.alert},
	}
}

// order places the draft. What people can cause is answered on the spot; every
// other error rolls the whole update back.
func (b *Bot) order(ctx context.Context, t *turn) ([]effect, error) {
	m := b.Catalog.Find(t.s.Model)
	if m == nil {
		return []effect{answer{text: t.v.t.Outdated}}, nil
	}
	_, err := b.Generations.Request(ctx, t.tx, generation.Order{
		Key:    fmt.Sprintf("user:%d:draft:%d", t.user, t.s.Draft),
		UserID: t.user, ChatID: t.chat, MessageID: t.e.messageID, Language: t.v.t.Code,
		Model: t.s.Model, Values: t.s.Values, MaxPrice: ledger.Amount(t.s.Shown),
	})
	if err != nil {
		return b.refused(ctx, t, m, err)
	}
	next, effects := b.screens.placed(t.v, t.s, m)
	t.s = next
	return effects, nil
}

func (b *Bot) refused(ctx context.Context, t *turn, m *catalog.Model, err error) ([]effect, error) {
	var short *ledger.InsufficientError
	var busy *generation.BusyError
	var input *catalog.InputError
	switch {
	case errors.As(err, &short):
		return []effect{answer{text: t.v.t.Insufficient(t.v.money(int64(short.Missing))), alert: true}}, nil
	case errors.As(err, &busy):
		return []effect{answer{text: t.v.t.Busy(busy.Limit), alert: true}}, nil
	case errors.Is(err, generation.ErrPriceChanged):
		next, effects := b.screens.card(t.v, t.s, m, false)
		t.s = next
		return append([]effect{answer{text: t.v.t.PriceChanged, alert: true}}, effects...), nil
	case errors.As(err, &input):
		return []effect{answer{}, show{screen: b.screens.problem(t.v, m, err), fresh: true}}, nil
	case errors.Is(err, catalog.ErrNoTier), errors.Is(err, catalog.ErrUnprofitable):
		b.Log.ErrorContext(ctx, "model not for sale", "model", m.ID, "error", err.Error())
		return []effect{answer{text: t.v.t.NotForSaleNow, alert: true}}, nil
	}
	return nil, err
}

func (b *Bot) speak(ctx context.Context, t *turn, language string) ([]effect, error) {
	if _, err := t.tx.Exec(ctx, sqlUserLanguage, t.user, language); err != nil {
		return nil, fmt.Errorf("change the language: %w", err)
	}
	t.v.t, t.v.isNew = textsOf(language), false
	return []effect{answer{text: t.v.t.LanguageChosen}, show{screen: b.screens.home(t.v)}}, nil
}

const historyLength = 10

func (b *Bot) history(ctx context.Context, t *turn) ([]effect, error) {
	lines, err := generation.List(ctx, t.tx, t.user, historyLength)
	if err != nil {
		return nil, err
	}
	text := t.v.t.HistoryEmpty
	for i, l := range lines {
		if i == 0 {
			text = t.v.t.History + "\n"
		}
		title := l.Model
		if m := b.Catalog.Find(l.Model); m != nil {
			title = m.Title
		}
		when := l.Created.UTC().Format(time.DateTime)[5:16]
		text += "\n" + t.v.t.HistoryLine(when, esc(title), t.v.t.StateName(string(l.State)), t.v.priceText(int64(l.Price)))
	}
	s := screen{Text: text, Keys: [][]key{{{Text: t.v.t.ButtonHome, Data: data("home")}, {Text: t.v.t.ButtonBalance, Data: data("bal")}}}}
	return []effect{show{screen: s}}, nil
}

// own returns a generation of this user. Button data may name anybody's.
func (b *Bot) own(ctx context.Context, t *turn, id string) (generation.Generation, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return generation.Generation{}, fault.Wrap(err, fault.NotFound, "There is no such generation.")
	}
	g, err := generation.Get(ctx, t.tx, parsed)
	if err == nil && g.UserID != t.user {
		return g, fault.New(fault.NotFound, "There is no such generation.")
	}
	return g, err
}

func (b *Bot) repeat(ctx context.Context, t *turn, id string) ([]effect, error) {
	g, err := b.own(ctx, t, id)
	if fault.KindOf(err) == fault.NotFound {
		return []effect{answer{text: t.v.t.Outdated}}, nil
	}
	if err != nil {
		return nil, err
	}
	next, effects := b.screens.again(t.v, t.s, g)
	t.s = next
	return effects, nil
}

func (b *Bot) deliver(ctx context.Context, t *turn, id string) error {
	g, err := b.own(ctx, t, id)
	if fault.KindOf(err) == fault.NotFound || err == nil && g.State != generation.Succeeded {
		return nil
	}
	if err != nil {
		return err
	}
	return outbox.Add(ctx, t.tx, outbox.Draft{
		Key: "gen:" + id + ":again:" + t.e.pressID, ChatID: t.chat,
		Kind: generation.KindResult, Args: generation.Notice{Generation: g.ID},
	})
}
