package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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
	ids := make([]string, len(files))
	for i, f := range files {
		last := i == len(files)-1
		ids[i], err = s.file(ctx, r, f, last)
		if err != nil && i > 0 {
			// Earlier files have arrived; repeating all of them would send those twice.
			return nil, &telegram.Error{Method: "result", Outcome: telegram.Unknown, Description: err.Error()}
		}
		if err != nil {
			return nil, err
		}
	}
	receipt, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", outbox.ErrUnsendable, err)
	}
	return outbox.Receipt(receipt), nil
}

// file sends one file. Only the last one of a generation carries words and buttons.
func (s *Sender) file(ctx context.Context, r rendering, f generation.Result, last bool) (string, error) {
	c := card{chat: r.g.ChatID, kind: f.Kind}
	if last {
		c.caption, c.keys = r.caption(), r.resultKeys()
	}
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
	if err == nil || telegram.OutcomeOf(err) == telegram.Unknown && !errors.Is(err, errDownload) {
		return id, err
	}
	if telegram.IsBlocked(err) || telegram.RetryAfter(err) > 0 {
		return "", err
	}
	return "", s.message(ctx, c.chat, screen{Text: r.t.Link(r.title, esc(f.URL)), Keys: r.resultKeys()})
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
	switch c.kind {
	case "image":
		m, err := s.api.SendPhotoWithContext(ctx, c.chat, file, &gotgbot.SendPhotoOpts{Caption: c.caption, ParseMode: html, ReplyMarkup: markup})
		if err != nil || len(m.Photo) == 0 {
			return "", err
		}
		return m.Photo[len(m.Photo)-1].FileId, nil
	case "video":
		m, err := s.api.SendVideoWithContext(ctx, c.chat, file, &gotgbot.SendVideoOpts{Caption: c.caption, ParseMode: html, ReplyMarkup: markup, SupportsStreaming: true})
		if err != nil || m.Video == nil {
			return "", err
		}
		return m.Video.FileId, nil
	case "audio":
		m, err := s.api.SendAudioWithContext(ctx, c.chat, file, &gotgbot.SendAudioOpts{Caption: c.caption, ParseMode: html, ReplyMarkup: markup})
		if err != nil || m.Audio == nil {
			return "", err
		}
		return m.Audio.FileId, nil
	}
	m, err := s.api.SendDocumentWithContext(ctx, c.chat, file, &gotgbot.SendDocumentOpts{Caption: c.caption, ParseMode: html, ReplyMarkup: markup})
	if err != nil || m.Document == nil {
		return "", err
	}
	return m.Document.FileId, nil
}
