package bot

import (
	"context"
	"fmt"
	"io"

	"github.com/PaulSonOfLars/gotgbot/v2"

	"kiosk/internal/generation"
	"kiosk/internal/telegram"
)

// album sends several results as one message group: by reference, else uploaded,
// else as links. It is one call, so it arrives whole or not at all. Groups carry
// no buttons; the progress message gets them.
func (s *Sender) album(ctx context.Context, r rendering, files []generation.Result) ([]string, error) {
	ids, err := s.group(ctx, r, files, byReference)
	if !telegram.IsFetchFailed(err) && !telegram.IsUnusableMedia(err) {
		return ids, err
	}
	ids, err = s.uploadGroup(ctx, r, files)
	if err == nil || !linkable(err) {
		return ids, err
	}
	return nil, s.links(ctx, r, files)
}

func byReference(_ int, f generation.Result) gotgbot.InputFileOrString {
	if f.FileID != "" {
		return gotgbot.InputFileByID(f.FileID)
	}
	return gotgbot.InputFileByURL(f.URL)
}

func (s *Sender) uploadGroup(ctx context.Context, r rendering, files []generation.Result) ([]string, error) {
	var uploads []gotgbot.InputFileOrString
	var bodies []io.Closer
	defer func() {
		for _, b := range bodies {
			_ = b.Close() // it was only read
		}
	}()
	for _, f := range files {
		file, err := s.generations.OpenResult(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDownload, err)
		}
		bodies = append(bodies, file.Body)
		uploads = append(uploads, gotgbot.InputFileByReader(file.Name, file.Body))
	}
	return s.group(ctx, r, files, func(i int, _ generation.Result) gotgbot.InputFileOrString { return uploads[i] })
}

// group sends at most ten files; more than that no model makes.
func (s *Sender) group(ctx context.Context, r rendering, files []generation.Result, source func(int, generation.Result) gotgbot.InputFileOrString) ([]string, error) {
	const html = gotgbot.ParseModeHTML
	var medias gotgbot.InputMedias
	for i, f := range files {
		caption := ""
		if i == 0 {
			caption = r.caption()
		}
		switch f.Kind {
		case "image":
			medias = append(medias, gotgbot.InputMediaPhoto{Media: source(i, f), Caption: caption, ParseMode: html})
		case "video":
			medias = append(medias, gotgbot.InputMediaVideo{Media: source(i, f), Caption: caption, ParseMode: html, SupportsStreaming: true})
		case "audio":
			medias = append(medias, gotgbot.InputMediaAudio{Media: source(i, f), Caption: caption, ParseMode: html})
		default:
			medias = append(medias, gotgbot.InputMediaDocument{Media: source(i, f), Caption: caption, ParseMode: html})
		}
	}
	messages, err := s.api.SendMediaGroupWithContext(ctx, r.g.ChatID, medias, nil)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(messages))
	for i := range messages {
		ids[i] = fileID(&messages[i])
	}
	return ids, nil
}

// fileID returns Telegram's id of the file in a sent message, "" if there is none.
func fileID(m *gotgbot.Message) string {
	switch {
	case len(m.Photo) > 0:
		return m.Photo[len(m.Photo)-1].FileId
	case m.Video != nil:
		return m.Video.FileId
	case m.Audio != nil:
		return m.Audio.FileId
	case m.Document != nil:
		return m.Document.FileId
	}
	return ""
}
