package telegramsim

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
)

// medium is a stored file and what a message shows it as.
type medium struct {
	kind mediaKind
	file *file
}

// inputMedia is a Bot API InputMedia of any kind.
type inputMedia struct {
	Type            string          `json:"type"`
	Media           string          `json:"media"`
	Caption         string          `json:"caption"`
	ParseMode       string          `json:"parse_mode"`
	CaptionEntities []MessageEntity `json:"caption_entities"`
	CaptionAbove    bool            `json:"show_caption_above_media"`
	HasSpoiler      bool            `json:"has_spoiler"`
	Width           int             `json:"width"`
	Height          int             `json:"height"`
	Duration        int             `json:"duration"`
	Title           string          `json:"title"`
	Performer       string          `json:"performer"`
}

// sendKind makes the method that sends one file of a kind: sendPhoto, sendVideo and so on.
func (s *Server) sendKind(kind mediaKind) func(context.Context, *params) (any, error) {
	return func(ctx context.Context, p *params) (any, error) {
		out, err := s.newOutgoing(p)
		if err != nil {
			return nil, err
		}
		out.message.Caption, out.message.CaptionEntities, err = s.caption(p)
		if err != nil {
			return nil, err
		}
		out.message.MediaSpoiler = p.flag("has_spoiler")
		out.message.CaptionAboveMedia = p.flag("show_caption_above_media")
		in := inputMedia{
			Width: int(p.integer("width", 0)), Height: int(p.integer("height", 0)),
			Duration: int(p.integer("duration", 0)), Title: p.str("title"), Performer: p.str("performer"),
		}
		m, err := s.resolveMedia(ctx, p, string(kind), kind, in)
		if err != nil {
			return nil, err
		}
		m.attach(&out.message)
		return s.post(out)
	}
}

func (s *Server) caption(p *params) (string, []MessageEntity, error) {
	text, entities, err := s.text.formatted(p, "caption", "caption_entities")
	if err == nil && utf16Len(text) > maxCaption {
		err = badRequest("message caption is too long")
	}
	return text, entities, err
}

// resolveMedia finds the file that a parameter names: an upload under that name, attach://, a URL or a file_id.
func (s *Server) resolveMedia(
	ctx context.Context, p *params, field string, kind mediaKind, in inputMedia,
) (medium, error) {
	value := orDefault(in.Media, p.str(field))
	if name, ok := strings.CutPrefix(value, "attach://"); ok {
		field, value = name, ""
	}
	up := p.files[field]
	switch {
	case up == nil && value == "":
		return medium{}, badRequest("there is no %s in the request", kind)
	case up == nil && isURL(value):
		fetched, f, err := s.download(ctx, value, kind)
		if err != nil {
			return medium{}, err
		}
		return s.storeMedia(kind, fetched, f, in)
	case up == nil:
		return s.reuse(value, kind)
	case len(up.data) == 0:
		return medium{}, badRequest("file must be non-empty")
	}
	return s.storeMedia(kind, up, examine(up.data, up.name, ""), in)
}

// reuse sends a stored file again; Telegram refuses to show it as another kind.
func (s *Server) reuse(id string, kind mediaKind) (medium, error) {
	f := s.findFile(id)
	if f == nil {
		return medium{}, badRequest("wrong remote file identifier specified: can't unserialize it")
	}
	animated := kind == kindVideo && f.Kind == kindAnimation || kind == kindAnimation && f.Kind == kindVideo
	asFile := kind == kindDocument && f.Kind != kindPhoto
	if f.Kind != kind && !animated && !asFile {
		return medium{}, badRequest("can't use file of type %s as %s", f.Kind.title(), kind.title())
	}
	return medium{f.Kind, f}, nil
}

func (s *Server) storeMedia(kind mediaKind, up *upload, f facts, in inputMedia) (medium, error) {
	if kind == kindPhoto {
		if err := checkPhoto(up.data, f); err != nil {
			return medium{}, err
		}
		stored, err := s.storePhoto(up.data, f)
		return medium{kind, stored}, err
	}
	if f.mime == "image/gif" && (kind == kindVideo || kind == kindDocument) {
		kind = kindAnimation // Telegram turns every GIF into an animation.
	}
	stored, err := s.store(&file{
		Kind: kind, Name: up.name, MIME: f.mime,
		Width: orDefault(in.Width, f.width), Height: orDefault(in.Height, f.height),
		Seconds: orDefault(in.Duration, f.seconds), Title: in.Title, Artist: in.Performer,
	}, up.data)
	return medium{kind, stored}, err
}

// attach puts the file into a message, in place of whatever media it had.
func (m medium) attach(to *Message) {
	to.Photo, to.Video, to.Audio, to.Voice, to.Document, to.Animation = nil, nil, nil, nil, nil, nil
	f := m.file
	info := &Media{FileID: f.ID, FileUniqueID: f.UniqueID, MIMEType: f.MIME, FileSize: f.Size, FileName: f.Name}
	switch m.kind {
	case kindPhoto:
		to.Photo = f.Sizes
		return
	case kindDocument:
		to.Document = info
		return
	}
	seconds := f.Seconds
	info.Duration = &seconds
	switch m.kind {
	case kindAudio:
		info.Title, info.Performer = f.Title, f.Artist
		to.Audio = info
	case kindVoice:
		info.FileName = ""
		to.Voice = info
	case kindVideo:
		info.Width, info.Height = f.Width, f.Height
		to.Video = info
	case kindAnimation:
		info.Width, info.Height = f.Width, f.Height
		to.Animation = info
		// The documentation: when an animation is set, document is set as well, for old bots.
		to.Document = &Media{FileID: f.ID, FileUniqueID: f.UniqueID, MIMEType: f.MIME, FileSize: f.Size, FileName: f.Name}
	}
}

func (s *Server) sendMediaGroup(ctx context.Context, p *params) (any, error) {
	out, err := s.newOutgoing(p)
	if err != nil {
		return nil, err
	}
	items, err := parseGroup(p)
	if err != nil {
		return nil, err
	}
	album := make([]outgoing, 0, len(items))
	group := randomID()
	for i, item := range items {
		one := out
		one.message.MediaGroupID = group
		if err := s.applyInput(ctx, p, item, &one.message); err != nil {
			return nil, groupError(i, err)
		}
		album = append(album, one)
	}
	return s.postAll(album)
}

func parseGroup(p *params) ([]inputMedia, error) {
	var items []inputMedia
	if !p.has("media") {
		return nil, badRequest(`parameter "media" is required`)
	}
	if json.Unmarshal([]byte(p.str("media")), &items) != nil {
		return nil, badRequest("can't parse media JSON object")
	}
	if len(items) > 10 {
		return nil, badRequest("too many messages to send as an album")
	}
	if len(items) < 2 {
		return nil, badRequest("media group must include 2-10 items")
	}
	for _, item := range items {
		switch mediaKind(item.Type) {
		case kindPhoto, kindVideo:
			if first := items[0].Type; first == string(kindAudio) || first == string(kindDocument) {
				return nil, badRequest("%s can't be mixed with other media types", first)
			}
		case kindAudio, kindDocument:
			if item.Type != items[0].Type {
				return nil, badRequest("%s can't be mixed with other media types", item.Type)
			}
		default:
			return nil, badRequest("can't parse InputMedia: type %q can't be used in sendMediaGroup", item.Type)
		}
	}
	return items, nil
}

// groupError says which item failed, as Telegram does for what its servers fetch or process.
func groupError(index int, err error) error {
	if !errors.Is(err, errFetchFailed) && !errors.Is(err, errWrongType) {
		return err
	}
	code := "WEBPAGE_CURL_FAILED"
	if errors.Is(err, errWrongType) {
		code = "WEBPAGE_MEDIA_EMPTY"
	}
	return badRequest("failed to send message #%d with the error message %q", index+1, code)
}

// applyInput resolves an InputMedia into a message.
func (s *Server) applyInput(ctx context.Context, p *params, item inputMedia, to *Message) error {
	kind := mediaKind(item.Type)
	switch kind {
	case kindPhoto, kindVideo, kindAudio, kindDocument, kindAnimation:
	default:
		return badRequest("can't parse InputMedia: type %q is invalid", item.Type)
	}
	if item.Media == "" {
		return badRequest("can't parse InputMedia: media not found")
	}
	caption, entities, err := s.text.format(item.Caption, item.ParseMode, func(target *[]MessageEntity) error {
		*target = item.CaptionEntities
		return nil
	})
	if err != nil {
		return err
	}
	if utf16Len(caption) > maxCaption {
		return badRequest("message caption is too long")
	}
	m, err := s.resolveMedia(ctx, p, "", kind, item)
	if err != nil {
		return err
	}
	to.Caption, to.CaptionEntities = caption, entities
	to.MediaSpoiler, to.CaptionAboveMedia = item.HasSpoiler, item.CaptionAbove
	m.attach(to)
	return nil
}

func (s *Server) getFile(_ context.Context, p *params) (any, error) {
	f := s.findFile(p.str("file_id"))
	if f == nil {
		return nil, badRequest("wrong file_id or the file is temporarily unavailable")
	}
	if f.Size > maxFileByURL {
		return nil, badRequest("file is too big")
	}
	return map[string]any{
		"file_id": f.ID, "file_unique_id": f.UniqueID, "file_size": f.Size, "file_path": f.Path,
	}, nil
}
