package bot

import "maps"

import "kiosk/internal/catalog"

// session is where a person is in the chat, as its row keeps it. It holds data
// only, so any instance can go on with it after a deploy.
type session struct {
	Model  string         `json:"model,omitempty"`  // being filled in
	Values catalog.Values `json:"values,omitempty"` // what was given so far
	Text   string         `json:"text,omitempty"`   // typed before a model was chosen
	Draft  int64          `json:"draft"`            // number of the newest draft; only grows
	Open   bool           `json:"open,omitempty"`   // the newest draft can still be confirmed
	Shown  int64          `json:"shown,omitempty"`  // its price as the person saw it, minor units

	Ordered int64 `json:"ordered,omitempty"` // number of the draft that was ordered last
}

// forget drops what was filled in. The drafts' numbers stay, so that buttons of
// older cards never fit a newer draft.
func (s session) forget() session { return session{Draft: s.Draft, Ordered: s.Ordered} }

// choose starts filling in a model.
func (s session) choose(model string) session {
	next := s.forget()
	next.Model, next.Values = model, catalog.Values{}
	return next
}

// with returns the session with one more value. Sessions are values: the map of
// the old one is not touched.
func (s session) with(field, value string) session {
	values := make(catalog.Values, len(s.Values)+1)
	maps.Copy(values, s.Values)
	values[field] = value
	s.Values = values
	return s
}

// eventKind is what a person did.
type eventKind int

const (
	typed   eventKind = iota // a text message
	command                  // a text message that begins with a slash
	pressed                  // an inline button
	media                    // a file, or anything else that was sent
)

// event is one thing that a person did.
type event struct {
	kind      eventKind
	text      string // typed text, the command's name, the button's data
	messageID int64  // of the pressed button's message; 0 when it cannot be edited
	pressID   string // Telegram's id of the press

	file  attachment // of media; zero when it is nothing that a model could take
	group string     // of an album: its messages come one by one
}

// attachment is a file that a person has sent; text is its caption.
type attachment struct {
	kind catalog.Type
	ref  string // FilePrefix and Telegram's file id
	size int64
}

// view is what a screen may look at.
type view struct {
	t        Texts
	name     string
	isNew    bool
	unit     string
	credit   int64 // given to newcomers
	balance  balance
	freeLeft int
}

type balance struct{ available, held int64 }

// screen is one message with its buttons.
type screen struct {
	Text string  `json:"text"`
	Keys [][]key `json:"keys,omitempty"`
}

// key is one inline button. Exactly one of Data and Copy is set.
type key struct {
	Text  string `json:"text"`
	Data  string `json:"data,omitempty"`
	Style string `json:"style,omitempty"` // primary, success, danger
	Copy  string `json:"copy,omitempty"`
}

// effect is what a screen wants to happen; the service carries it out in the
// same transaction.
type effect interface{ isEffect() }

// show puts a screen in front of the person: into the pressed message if there
// is one and fresh is false, else as a new message.
type show struct {
	screen screen
	fresh  bool
	album  string // shown once for all messages of this album
}

// answer ends the spinner on a pressed button, with a short text or none.
type answer struct {
	text  string
	alert bool
}

// order places the session's draft.
type order struct{}

// speak changes the language.
type speak struct{ language string }

// list shows the latest generations.
type list struct{}

// repeat fills in a model with the values of an earlier generation.
type repeat struct{ id string }

// deliver sends an earlier result again.
type deliver struct{ id string }

func (show) isEffect()    {}
func (answer) isEffect()  {}
func (order) isEffect()   {}
func (speak) isEffect()   {}
func (list) isEffect()    {}
func (repeat) isEffect()  {}
func (deliver) isEffect() {}
