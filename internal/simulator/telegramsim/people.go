package telegramsim

import (
	"context"
	"errors"
	"fmt"
)

// Reasons why a person cannot do something. They come wrapped.
var (
	ErrNoUser    = errors.New("no such user")
	ErrNoMessage = errors.New("no such message in the chat now")
	ErrNoButton  = errors.New("no such button on that message now")
	ErrBlocking  = errors.New("the user has blocked the bot")
	ErrEmpty     = errors.New("nothing to send")
	ErrTooLong   = errors.New("the text is too long")
)

// EnsureUser creates the user unless one with that ID exists, and returns the user as stored. An ID of 0 takes the
// next free one. A bot cannot write to a user before the user wrote to it.
func (s *Server) EnsureUser(u User) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	if existing, ok := s.chats[u.ID]; ok {
		return existing.user
	}
	if u.ID <= 0 {
		u.ID = firstUserID
		for s.chats[u.ID] != nil {
			u.ID++
		}
	}
	u.IsBot = false
	u.FirstName = orDefault(u.FirstName, fmt.Sprintf("User %d", len(s.order)+1))
	s.chats[u.ID] = newChat(u)
	s.order = append(s.order, u.ID)
	s.people.broadcast()
	s.changedLocked()
	return u
}

// NewUser creates a user with the next free ID.
func (s *Server) NewUser(firstName, languageCode string) User {
	return s.EnsureUser(User{FirstName: firstName, LanguageCode: languageCode})
}

// Users returns everybody, in the order of creation.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]User, 0, len(s.order))
	for _, id := range s.order {
		out = append(out, s.chats[id].user)
	}
	return out
}

func (s *Server) chatLocked(userID int64) (*chat, error) {
	c, ok := s.chats[userID]
	if !ok {
		return nil, fmt.Errorf("user %d: %w", userID, ErrNoUser)
	}
	return c, nil
}

// SendText makes the user send a text and returns the message.
func (s *Server) SendText(userID int64, text string) (Message, error) {
	text, entities := trim(text, nil)
	switch {
	case text == "":
		return Message{}, ErrEmpty
	case utf16Len(text) > maxText:
		return Message{}, ErrTooLong
	}
	sent, err := s.say(userID, []Message{{Text: text, Entities: s.text.detect(text, entities)}})
	if err != nil {
		return Message{}, err
	}
	return sent[0], nil
}

// Attachment is a file that a user sends. Kind is photo, video, audio, voice, document or animation.
type Attachment struct {
	Kind string
	Name string
	Data []byte
}

// SendFile makes the user send files, several as one album, with the caption on the first.
func (s *Server) SendFile(userID int64, caption string, files ...Attachment) ([]Message, error) {
	caption, _ = trim(caption, nil)
	if len(files) == 0 {
		return nil, ErrEmpty
	}
	if utf16Len(caption) > maxCaption {
		return nil, ErrTooLong
	}
	if err := s.canSpeak(userID); err != nil {
		return nil, err
	}
	group := ""
	if len(files) > 1 {
		group = randomID()
	}
	messages := make([]Message, len(files))
	for i, f := range files {
		m, err := s.attachment(f)
		if err != nil {
			return nil, err
		}
		m.attach(&messages[i])
		messages[i].MediaGroupID = group
	}
	messages[0].Caption, messages[0].CaptionEntities = caption, s.text.detect(caption, nil)
	return s.say(userID, messages)
}

// canSpeak refuses early what say would refuse after the files were stored.
func (s *Server) canSpeak(userID int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.chatLocked(userID)
	if err == nil && c.blocked {
		err = ErrBlocking
	}
	return err
}

func (s *Server) attachment(f Attachment) (medium, error) {
	kind := mediaKind(f.Kind)
	switch kind {
	case kindPhoto, kindVideo, kindAudio, kindVoice, kindDocument, kindAnimation:
	default:
		return medium{}, badRequest("no such kind of file: %q", f.Kind)
	}
	if len(f.Data) == 0 {
		return medium{}, ErrEmpty
	}
	return s.storeMedia(kind, &upload{name: f.Name, data: f.Data}, examine(f.Data, f.Name, ""), inputMedia{})
}

// say puts messages of the user into the chat, each with an update for the bot.
func (s *Server) say(userID int64, messages []Message) ([]Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.chatLocked(userID)
	if err != nil {
		return nil, err
	}
	if c.blocked {
		return nil, ErrBlocking
	}
	c.started = true
	for i := range messages {
		messages[i] = *s.receiveLocked(c, messages[i])
	}
	return messages, nil
}

// receiveLocked adds a message from the user's side and tells the bot.
func (s *Server) receiveLocked(c *chat, m Message) *Message {
	from := c.user
	m.From, m.Date = &from, s.unixLocked()
	added := c.add(&m)
	s.createUpdateLocked("message", c, added.MessageID, added)
	s.people.broadcast()
	s.changedLocked()
	return added
}

// Messages returns what the user's chat shows now, oldest first, edits applied.
func (s *Server) Messages(userID int64) []Message {
	all, _ := s.messagesAfter(userID, 0)
	return all
}

func (s *Server) messagesAfter(userID, after int64) ([]Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.chatLocked(userID)
	if err != nil {
		return nil, err
	}
	out := []Message{}
	for _, m := range c.messages {
		if m.MessageID > after {
			out = append(out, *m)
		}
	}
	return out, nil
}

// WaitMessage returns the first message in the user's chat that fits, as soon as there is one. Messages that are
// there already and edited ones count. fits is called without any lock held.
func (s *Server) WaitMessage(ctx context.Context, userID int64, fits func(Message) bool) (Message, error) {
	for {
		messages, changed, err := s.watch(userID)
		if err != nil {
			return Message{}, err
		}
		for _, m := range messages {
			if fits(m) {
				return m, nil
			}
		}
		if err := s.waitFor(ctx, changed); err != nil {
			return Message{}, fmt.Errorf("wait for a message to user %d: %w", userID, err)
		}
	}
}

func (s *Server) watch(userID int64) ([]Message, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.chatLocked(userID)
	if err != nil {
		return nil, nil, err
	}
	out := make([]Message, 0, len(c.messages))
	for _, m := range c.messages {
		out = append(out, *m)
	}
	return out, c.changed.wait(), nil
}

func (s *Server) waitFor(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return ErrClosed
	}
}

// Block makes the user block the bot: the bot gets my_chat_member, and 403 for what it sends. It is idempotent.
func (s *Server) Block(userID int64) error { return s.setBlocked(userID, true) }

// Unblock undoes Block.
func (s *Server) Unblock(userID int64) error { return s.setBlocked(userID, false) }

func (s *Server) setBlocked(userID int64, blocked bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.chatLocked(userID)
	if err != nil {
		return err
	}
	if c.blocked == blocked {
		return nil
	}
	c.blocked = blocked
	member := ChatMember{Status: "member", User: *s.botUser()}
	kicked := ChatMember{Status: "kicked", User: *s.botUser(), UntilDate: new(int64)}
	change := ChatMemberUpdated{Chat: c.describe(), From: c.user, Date: s.unixLocked(), Old: member, New: kicked}
	if !blocked {
		change.Old, change.New = kicked, member
	}
	s.createUpdateLocked("my_chat_member", c, 0, change)
	c.publish(event{Kind: "profile"})
	s.people.broadcast()
	s.changedLocked()
	return nil
}

// WaitUpdates returns as soon as nothing is pending any more: the bot has taken every update, or they are expired.
func (s *Server) WaitUpdates(ctx context.Context) error {
	for {
		s.mu.Lock()
		pending, changed := len(s.pendingLocked()), s.arrivals.wait()
		s.mu.Unlock()
		if pending == 0 {
			return nil
		}
		if err := s.waitFor(ctx, changed); err != nil {
			return fmt.Errorf("wait for %d updates: %w", pending, err)
		}
	}
}
