package telegramsim

import (
	"slices"
	"time"
)

// chat is one person and the private chat with the bot. It is guarded by Server.mu.
type chat struct {
	user      User
	started   bool // the person wrote at least once; before that a bot cannot write
	blocked   bool
	messages  []*Message // by id
	lastID    int64
	offers    map[int64]invoiceOffer // what an invoice message sells
	reactions map[int64][]reaction   // that the bot set
	presses   []*press
	readUpTo  int64 // the last message of the person whose update the bot acknowledged
	menu      *menuButton

	events  eventLog
	changed signal // after every event
}

func newChat(user User) *chat {
	return &chat{
		user: user, offers: map[int64]invoiceOffer{}, reactions: map[int64][]reaction{},
		// Numbers from a clock are never below those that a page saw before a restart.
		events: eventLog{last: time.Now().UnixMicro()},
	}
}

func (c *chat) describe() Chat {
	return Chat{
		ID: c.user.ID, Type: "private",
		FirstName: c.user.FirstName, LastName: c.user.LastName, Username: c.user.Username,
	}
}

// find returns the message that the chat shows under id now, or nil.
func (c *chat) find(id int64) *Message {
	i, ok := c.index(id)
	if !ok {
		return nil
	}
	return c.messages[i]
}

func (c *chat) index(id int64) (int, bool) {
	return slices.BinarySearchFunc(c.messages, id, func(m *Message, id int64) int { return int(m.MessageID - id) })
}

// add appends m as the chat's next message. m must not be published yet.
func (c *chat) add(m *Message) *Message {
	c.lastID++
	m.MessageID = c.lastID
	m.Chat = c.describe()
	c.messages = append(c.messages, m)
	c.publish(event{Kind: "message", Message: m})
	return m
}

// replace publishes an edited copy under the same id.
func (c *chat) replace(m *Message) {
	if i, ok := c.index(m.MessageID); ok {
		c.messages[i] = m
		c.publish(event{Kind: "edit", Message: m})
	}
}

func (c *chat) remove(id int64) {
	i, ok := c.index(id)
	if !ok {
		return
	}
	c.messages = slices.Delete(c.messages, i, i+1)
	delete(c.offers, id)
	delete(c.reactions, id)
	c.publish(event{Kind: "delete", MessageID: id})
}
