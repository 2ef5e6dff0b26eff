package telegramsim

import (
	"context"
	"fmt"
	"slices"
)

// press is a button that was pressed, and what came back.
type press struct{ Answer }

// pressLife is how long a press can be answered: as long as its update lives.
const pressLife = lifeOfQueries

// pressesKept is how many presses of a chat are remembered.
const pressesKept = 1000

// Press makes the user press the inline button with that data on that message, and returns the callback query's ID.
func (s *Server) Press(userID, messageID int64, data string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.chatLocked(userID)
	if err != nil {
		return "", err
	}
	m := c.find(messageID)
	switch {
	case c.blocked:
		return "", ErrBlocking
	case m == nil:
		return "", fmt.Errorf("message %d: %w", messageID, ErrNoMessage)
	}
	b := m.buttonWith(data)
	if b == nil || b.Disabled != nil {
		return "", fmt.Errorf("message %d, data %q: %w", messageID, data, ErrNoButton)
	}
	id := randomID()
	s.rememberPressLocked(c, Answer{CallbackQueryID: id, MessageID: messageID, Data: data, PressedAt: s.now()})
	s.createUpdateLocked("callback_query", c, 0, CallbackQuery{
		ID: id, From: c.user, Message: m, ChatInstance: chatInstance(c.user.ID), Data: data,
	})
	s.changedLocked()
	return id, nil
}

func (s *Server) rememberPressLocked(c *chat, a Answer) {
	c.presses = append(c.presses, &press{a})
	s.presses[a.CallbackQueryID] = c
	if len(c.presses) > pressesKept {
		delete(s.presses, c.presses[0].CallbackQueryID)
		c.presses = slices.Delete(c.presses, 0, 1)
	}
}

// chatInstance is the same for every press in a chat.
func chatInstance(chatID int64) string { return fmt.Sprint(chatID*7919 + 1_000_000_007) }

// Answers returns every press of the user, oldest first, with what the bot answered.
func (s *Server) Answers(userID int64) []Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Answer{}
	if c := s.chats[userID]; c != nil {
		for _, p := range c.presses {
			out = append(out, p.Answer)
		}
	}
	return out
}

// WaitAnswer returns what the bot answered to a press, as soon as it did.
func (s *Server) WaitAnswer(ctx context.Context, userID int64, callbackQueryID string) (Answer, error) {
	for {
		_, changed, err := s.watch(userID)
		if err != nil {
			return Answer{}, err
		}
		for _, a := range s.Answers(userID) {
			if a.CallbackQueryID == callbackQueryID && !a.AnsweredAt.IsZero() {
				return a, nil
			}
		}
		if err := s.waitFor(ctx, changed); err != nil {
			return Answer{}, fmt.Errorf("wait for the answer to %s: %w", callbackQueryID, err)
		}
	}
}

// answerCallbackQuery ends the spinner on a button. A query can be answered once, and only for a while.
func (s *Server) answerCallbackQuery(_ context.Context, p *params) (any, error) {
	if n := len([]rune(p.str("text"))); n > 200 {
		return nil, badRequest("MESSAGE_TOO_LONG")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, pressed := s.findPressLocked(p.str("callback_query_id"))
	if pressed == nil || !pressed.AnsweredAt.IsZero() || s.now().Sub(pressed.PressedAt) > pressLife {
		return nil, errQueryTooOld
	}
	pressed.Text, pressed.ShowAlert, pressed.URL = p.str("text"), p.flag("show_alert"), p.str("url")
	pressed.AnsweredAt = s.now()
	answer := pressed.Answer
	c.publish(event{Kind: "answer", Answer: &answer})
	s.changedLocked()
	return true, nil
}

func (s *Server) findPressLocked(id string) (*chat, *press) {
	c := s.presses[id]
	if c == nil {
		return nil, nil
	}
	for _, p := range slices.Backward(c.presses) {
		if p.CallbackQueryID == id {
			return c, p
		}
	}
	return nil, nil
}
