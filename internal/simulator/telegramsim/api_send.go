package telegramsim

import "context"

// outgoing is a message of the bot that is not in the chat yet.
type outgoing struct {
	chatID  int64
	message Message
	replyTo int64
	// mayLoseReply allows sending without the reply when the message replied to is gone.
	mayLoseReply bool
	offer        *invoiceOffer
}

// replyParameters is a Bot API ReplyParameters.
type replyParameters struct {
	MessageID                int64 `json:"message_id"`
	ChatID                   any   `json:"chat_id"`
	AllowSendingWithoutReply bool  `json:"allow_sending_without_reply"`
}

// newOutgoing reads what every send method takes, and refuses an unreachable chat before any work is done.
func (s *Server) newOutgoing(p *params) (outgoing, error) {
	out := outgoing{chatID: p.integer("chat_id", 0)}
	if !p.has("chat_id") {
		return out, badRequest("chat_id is empty")
	}
	var err error
	if out.message.ReplyMarkup, err = parseMarkup(p); err != nil {
		return out, err
	}
	var reply replyParameters
	if err := p.decode("reply_parameters", &reply); err != nil {
		return out, err
	}
	out.replyTo = orDefault(reply.MessageID, p.integer("reply_to_message_id", 0))
	out.mayLoseReply = reply.AllowSendingWithoutReply || p.flag("allow_sending_without_reply")
	out.message.ProtectedContent = p.flag("protect_content")
	out.message.EffectID = p.str("message_effect_id")
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.reachableLocked(out.chatID)
	return out, err
}

// reachableLocked returns a chat to which the bot may write. A bot cannot open a conversation: until the person
// wrote, the chat does not exist for it.
func (s *Server) reachableLocked(id int64) (*chat, error) {
	c, ok := s.chats[id]
	switch {
	case !ok, !c.started:
		return nil, errChatNotFound
	case c.blocked:
		return nil, errBlocked
	}
	return c, nil
}

// post puts a message into its chat and returns it.
func (s *Server) post(out outgoing) (any, error) {
	all, err := s.postAll([]outgoing{out})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// postAll puts the messages of an album into their chat together.
func (s *Server) postAll(album []outgoing) ([]*Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.reachableLocked(album[0].chatID)
	if err != nil {
		return nil, err
	}
	reply := c.find(album[0].replyTo)
	if reply == nil && album[0].replyTo != 0 && !album[0].mayLoseReply {
		return nil, badRequest("message to be replied not found")
	}
	sent := make([]*Message, 0, len(album))
	for _, out := range album {
		m := out.message
		m.From, m.Date = s.botUser(), s.unixLocked()
		m.ReplyToMessage = withoutReply(reply)
		c.add(&m)
		if out.offer != nil {
			c.offers[m.MessageID] = *out.offer
		}
		sent = append(sent, &m)
	}
	s.people.broadcast()
	s.changedLocked()
	return sent, nil
}

// withoutReply copies a message for use in reply_to_message, which never nests.
func withoutReply(m *Message) *Message {
	if m == nil {
		return nil
	}
	flat := *m
	flat.ReplyToMessage = nil
	return &flat
}

func (s *Server) sendMessage(_ context.Context, p *params) (any, error) {
	out, err := s.newOutgoing(p)
	if err != nil {
		return nil, err
	}
	if out.message.Text, out.message.Entities, err = s.messageText(p, "message is too long"); err != nil {
		return nil, err
	}
	if err := p.decode("link_preview_options", &out.message.LinkPreview); err != nil {
		return nil, err
	}
	return s.post(out)
}

func (s *Server) messageText(p *params, tooLong string) (string, []MessageEntity, error) {
	text, entities, err := s.text.formatted(p, "text", "entities")
	switch {
	case err != nil:
		return "", nil, err
	case text == "":
		return "", nil, badRequest("message text is empty")
	case utf16Len(text) > maxText:
		return "", nil, badRequest("%s", tooLong)
	}
	return text, entities, nil
}

func (s *Server) copyMessage(_ context.Context, p *params) (any, error) {
	out, err := s.newOutgoing(p)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	from := s.chats[p.integer("from_chat_id", 0)]
	var original *Message
	if from != nil {
		original = from.find(p.integer("message_id", 0))
	}
	s.mu.Unlock()
	if original == nil {
		return nil, badRequest("message to copy not found")
	}
	out.message = copyOf(original, out.message)
	if p.has("caption") {
		if out.message.Caption, out.message.CaptionEntities, err = s.caption(p); err != nil {
			return nil, err
		}
	}
	sent, err := s.postAll([]outgoing{out})
	if err != nil {
		return nil, err
	}
	return map[string]any{"message_id": sent[0].MessageID}, nil
}

// copyOf takes the content of a message and the options of another.
func copyOf(content *Message, options Message) Message {
	m := *content
	m.EditDate, m.MediaGroupID, m.ReplyToMessage = 0, "", nil
	m.ReplyMarkup, m.ProtectedContent, m.EffectID = options.ReplyMarkup, options.ProtectedContent, options.EffectID
	return m
}

func (s *Server) sendChatAction(_ context.Context, p *params) (any, error) {
	switch p.str("action") {
	case "typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document",
		"choose_sticker", "find_location", "record_video_note", "upload_video_note":
	default:
		return nil, badRequest("wrong parameter action in request")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.reachableLocked(p.integer("chat_id", 0))
	if err != nil {
		return nil, err
	}
	c.publish(event{Kind: "action", Action: p.str("action")})
	return true, nil
}

func (s *Server) getChat(_ context.Context, p *params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.chats[p.integer("chat_id", 0)]
	if !ok || !c.started {
		return nil, errChatNotFound
	}
	return struct {
		Chat
		AccentColorID    int `json:"accent_color_id"`
		MaxReactionCount int `json:"max_reaction_count"`
	}{c.describe(), int(c.user.ID % 7), 11}, nil
}

func (s *Server) getMe(context.Context, *params) (any, error) {
	return struct {
		*User
		CanJoinGroups      bool `json:"can_join_groups"`
		CanReadAllMessages bool `json:"can_read_all_group_messages"`
		SupportsInline     bool `json:"supports_inline_queries"`
		CanConnectBusiness bool `json:"can_connect_to_business"`
		HasMainWebApp      bool `json:"has_main_web_app"`
	}{User: s.botUser()}, nil
}

// acceptAndIgnore is for methods whose effect nobody can see here.
func acceptAndIgnore(context.Context, *params) (any, error) { return true, nil }
