package telegramsim

import (
	"context"
	"encoding/json"
	"reflect"
	"time"
)

// deletableFor is how long a bot may delete a message.
const deletableFor = 48 * time.Hour

// reaction is a Bot API ReactionType of kind emoji.
type reaction struct {
	Type  string `json:"type"`
	Emoji string `json:"emoji,omitempty"`
}

// edit replaces a message of the bot by what change makes of a copy of it. change must not keep the copy.
func (s *Server) edit(p *params, change func(*Message) error) (any, error) {
	markup, err := parseMarkup(p)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, current, err := s.editableLocked(p)
	if err != nil {
		return nil, err
	}
	next := *current
	next.ReplyMarkup = markup
	if err := change(&next); err != nil {
		return nil, err
	}
	if reflect.DeepEqual(next, *current) {
		return nil, errNotModified
	}
	next.EditDate = s.unixLocked()
	c.replace(&next)
	s.changedLocked()
	return &next, nil
}

func (s *Server) editableLocked(p *params) (*chat, *Message, error) {
	if p.has("inline_message_id") {
		return nil, nil, badRequest("MESSAGE_ID_INVALID")
	}
	if !p.has("chat_id") {
		return nil, nil, badRequest("chat_id is empty")
	}
	c, err := s.reachableLocked(p.integer("chat_id", 0))
	if err != nil {
		return nil, nil, err
	}
	m := c.find(p.integer("message_id", 0))
	switch {
	case m == nil:
		return nil, nil, badRequest("message to edit not found")
	case m.From == nil || m.From.ID != s.botID():
		return nil, nil, badRequest("message can't be edited")
	}
	return c, m, nil
}

func (s *Server) editMessageText(_ context.Context, p *params) (any, error) {
	text, entities, err := s.messageText(p, "MESSAGE_TOO_LONG")
	if err != nil {
		return nil, err
	}
	var preview *LinkPreview
	if err := p.decode("link_preview_options", &preview); err != nil {
		return nil, err
	}
	return s.edit(p, func(m *Message) error {
		if m.Text == "" {
			return badRequest("there is no text in the message to edit")
		}
		m.Text, m.Entities, m.LinkPreview = text, entities, preview
		return nil
	})
}

func (s *Server) editMessageCaption(_ context.Context, p *params) (any, error) {
	caption, entities, err := s.caption(p)
	if err != nil {
		return nil, err
	}
	return s.edit(p, func(m *Message) error {
		if !m.hasMedia() {
			return badRequest("there is no caption in the message to edit")
		}
		m.Caption, m.CaptionEntities = caption, entities
		m.CaptionAboveMedia = p.flag("show_caption_above_media")
		return nil
	})
}

// editMessageMedia replaces media, or turns a text message into one with media.
func (s *Server) editMessageMedia(ctx context.Context, p *params) (any, error) {
	var item inputMedia
	if !p.has("media") || json.Unmarshal([]byte(p.str("media")), &item) != nil {
		return nil, badRequest("can't parse input media JSON object")
	}
	s.mu.Lock()
	_, _, err := s.editableLocked(p)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var resolved Message
	if err := s.applyInput(ctx, p, item, &resolved); err != nil {
		return nil, err
	}
	return s.edit(p, func(m *Message) error {
		if m.Text == "" && !m.hasMedia() {
			return badRequest("message can't be edited")
		}
		m.Text, m.Entities, m.LinkPreview = "", nil, nil
		m.Photo, m.Video, m.Audio = resolved.Photo, resolved.Video, resolved.Audio
		m.Document, m.Animation, m.Voice = resolved.Document, resolved.Animation, nil
		m.Caption, m.CaptionEntities = resolved.Caption, resolved.CaptionEntities
		m.MediaSpoiler, m.CaptionAboveMedia = resolved.MediaSpoiler, resolved.CaptionAboveMedia
		return nil
	})
}

func (s *Server) editMessageReplyMarkup(_ context.Context, p *params) (any, error) {
	return s.edit(p, func(*Message) error { return nil })
}

func (m *Message) hasMedia() bool {
	return m.Photo != nil || m.Video != nil || m.Audio != nil || m.Voice != nil || m.Document != nil || m.Animation != nil
}

func (s *Server) deleteMessage(_ context.Context, p *params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.reachableLocked(p.integer("chat_id", 0))
	if err != nil {
		return nil, err
	}
	m := c.find(p.integer("message_id", 0))
	if m == nil {
		return nil, badRequest("message to delete not found")
	}
	if s.now().Sub(time.Unix(m.Date, 0)) > deletableFor {
		return nil, badRequest("message can't be deleted for everyone")
	}
	c.remove(m.MessageID)
	s.people.broadcast()
	s.changedLocked()
	return true, nil
}

// deleteMessages skips what is not there, as documented.
func (s *Server) deleteMessages(_ context.Context, p *params) (any, error) {
	var ids []int64
	if err := p.decode("message_ids", &ids); err != nil {
		return nil, err
	}
	if len(ids) == 0 || len(ids) > 100 {
		return nil, badRequest("message identifiers are not specified")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.reachableLocked(p.integer("chat_id", 0))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if m := c.find(id); m != nil && s.now().Sub(time.Unix(m.Date, 0)) <= deletableFor {
			c.remove(id)
		}
	}
	s.people.broadcast()
	s.changedLocked()
	return true, nil
}

func (s *Server) setMessageReaction(_ context.Context, p *params) (any, error) {
	var set []reaction
	if err := p.decode("reaction", &set); err != nil {
		return nil, err
	}
	if len(set) > 1 {
		return nil, badRequest("REACTIONS_TOO_MANY")
	}
	for _, r := range set {
		if r.Type != "emoji" || r.Emoji == "" {
			return nil, badRequest("REACTION_INVALID")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.reachableLocked(p.integer("chat_id", 0))
	if err != nil {
		return nil, err
	}
	id := p.integer("message_id", 0)
	if c.find(id) == nil {
		return nil, badRequest("message to react not found")
	}
	c.reactions[id] = set
	if len(set) == 0 {
		delete(c.reactions, id)
	}
	c.publish(event{Kind: "reaction", MessageID: id, Reactions: set})
	s.changedLocked()
	return true, nil
}
