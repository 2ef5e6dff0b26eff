package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/PaulSonOfLars/gotgbot/v2"

	"kiosk/internal/generation"
	"kiosk/internal/outbox"
	"kiosk/internal/telegram"
)

// result delivers the files of a generation: by the id that Telegram gave them
// before, else by the provider's URL, else uploaded, else as a document, else
// as a link. Each way is tried only after the one before was refused for a
// reason that the next can mend; a lost answer ends the attempt.
func (s *Sender) result(ctx context.Context, r rendering) (outbox.Receipt, error) {
	files, err := generation.Results(ctx, s.pool, r.g.ID)
	if err != nil {
		return nil, unread(err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: generation %s has no files", outbox.ErrUnsendable, r.g.ID)
	}
	var ids []string
	if len(files) == 1 {
		var id string
		id, err = s.file(ctx, r, files[0])
		ids = []string{id}
	} else {
		ids, err = s.album(ctx, r, files)
	}
	if err != nil {
		return nil, err
	}
	receipt, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", outbox.ErrUnsendable, err)
	}
	return outbox.Receipt(receipt), nil
}

// file sends a single result with its words and buttons.
func (s *Sender) file(ctx context.Context, r rendering, f generation.Result) (string, error) {
	c := card{chat: r.g.ChatID, kind: f.Kind, caption: r.caption(), keys: r.resultKeys()}
	if f.FileID != "" {
		return s.send(ctx, c, gotgbot.InputFileByID(f.FileID))
	}
	id, err := s.send(ctx, c, gotgbot.InputFileByURL(f.URL))
	if !telegram.IsFetchFailed(err) && !telegram.IsUnusableMedia(err) {
		return id, err
	}
	id, err = s.upload(ctx, c, f)
	if telegram.IsUnusableMedia(err) {
		c.kind = "file"
		id, err = s.upload(ctx, c, f)
	}
	if err == nil || !linkable(err) {
		return id, err
	}
	return "", s.links(ctx, r, []generation.Result{f})
}

// linkable reports that a file cannot be sent in any way, and that nothing is
// known to be under way: a link is what is left.
func linkable(err error) bool {
	if errors.Is(err, errDownload) {
		return true
	}
	return telegram.OutcomeOf(err) == telegram.Refused && !telegram.IsBlocked(err) && telegram.RetryAfter(err) == 0
}

func (s *Sender) links(ctx context.Context, r rendering, files []generation.Result) error {
	var texts []string
	for _, f := range files {
		texts = append(texts, r.t.Link(r.title, esc(f.URL)))
	}
	return s.message(ctx, r.g.ChatID, screen{Text: strings.Join(texts, "\n"), Keys: r.resultKeys()})
}

var errDownload = errors.New("the result could not be downloaded")

func (s *Sender) upload(ctx context.Context, c card, f generation.Result) (string, error) {
	file, err := s.generations.OpenResult(ctx, f)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errDownload, err)
	}
	defer file.Body.Close()
	return s.send(ctx, c, gotgbot.InputFileByReader(file.Name, file.Body))
}

// card is what surrounds a file in the chat.
type card struct {
	chat    int64
	kind    string
	caption string
	keys    [][]key
}

// send sends a file as its kind and returns Telegram's id of it.
func (s *Sender) send(ctx context.Context, c card, file gotgbot.InputFileOrString) (string, error) {
	markup := keyboard(c.keys)
	const html = gotgbot.ParseModeHTML
	var m *gotgbot.Message
	var err error
	switch c.kind {
	case "image":
		m, err = s.api.SendPhotoWithContext(ctx, c.chat, file, &gotgbot.SendPhotoOpts{Caption: c.caption, ParseMode: html, ReplyMarkup: markup})
	case "video":
		m, err = s.api.SendVideoWithContext(ctx, c.chat, file, &gotgbot.SendVideoOpts{Caption: c.caption, ParseMode: html, ReplyMarkup: markup, SupportsStreaming: true})
	case "audio":
		m, err = s.api.SendAudioWithContext(ctx, c.chat, file, &gotgbot.SendAudioOpts{Caption: c.caption, ParseMode: html, ReplyMarkup: markup})
	default:
		m, err = s.api.SendDocumentWithContext(ctx, c.chat, file, &gotgbot.SendDocumentOpts{Caption: c.caption, ParseMode: html, ReplyMarkup: markup})
	}
	if err != nil {
		return "", err
	}
	return fileID(m), nil
}
