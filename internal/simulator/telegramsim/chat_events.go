package telegramsim

// event is one change of a chat as its open pages see it.
type event struct {
	Seq       int64      `json:"-"`
	Kind      string     `json:"kind"` // message, edit, delete, action, answer, read, reaction, profile
	Message   *Message   `json:"message,omitempty"`
	MessageID int64      `json:"message_id,omitempty"`
	Action    string     `json:"action,omitempty"`
	Answer    *Answer    `json:"answer,omitempty"`
	Reactions []reaction `json:"reactions,omitempty"`
}

// eventsKept is how far back a page that reconnects can resume; one that is further behind loads the chat anew.
const eventsKept = 512

// eventLog is the recent past of a chat.
type eventLog struct {
	last   int64
	recent []event
}

// publish records what changed and wakes everybody who watches the chat.
func (c *chat) publish(e event) {
	c.events.last++
	e.Seq = c.events.last
	c.events.recent = append(c.events.recent, e)
	if len(c.events.recent) >= 2*eventsKept {
		c.events.recent = append([]event(nil), c.events.recent[len(c.events.recent)-eventsKept:]...)
	}
	c.changed.broadcast()
}

// since returns the events after seq; ok is false when some of them are forgotten.
func (l *eventLog) since(seq int64) (events []event, ok bool) {
	missing := l.last - seq
	if missing < 0 || missing > int64(len(l.recent)) {
		return nil, false
	}
	return l.recent[len(l.recent)-int(missing):], true
}
