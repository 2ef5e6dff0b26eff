package telegram

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrUndecodable says that a body is no update at all.
var ErrUndecodable = errors.New("not a Telegram update")

// Update is what a bot reads of one update. At most one of the pointers is set;
// none is set for a kind that is not read here.
type Update struct {
	ID   int64
	Kind string // "message", "callback_query", …; unknown kinds keep their name

	Message  *Message
	Callback *Callback
	Member   *Member
}

// User is a person or a bot.
type User struct {
	ID           int64  `json:"id"`
	IsBot        bool   `json:"is_bot"`
	FirstName    string `json:"first_name"`
	Username     string `json:"username"`
	LanguageCode string `json:"language_code"`
}

// Chat is where a message stands.
type Chat struct {
	ID   int64  `json:"id"`
	Type string `json:"type"` // private, group, supergroup, channel
}

// File is the reference to something that a person sent.
type File struct {
	ID       string `json:"file_id"`
	Size     int64  `json:"file_size"`
	MimeType string `json:"mime_type"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
}

// Message is what a person wrote or sent.
type Message struct {
	ID           int64  `json:"message_id"`
	From         *User  `json:"from"`
	Chat         Chat   `json:"chat"`
	Date         int64  `json:"date"` // 0: the message is not accessible any more
	Text         string `json:"text"`
	Caption      string `json:"caption"`
	MediaGroupID string `json:"media_group_id"`
	Photo        []File `json:"photo"`
	Video        *File  `json:"video"`
	Audio        *File  `json:"audio"`
	Voice        *File  `json:"voice"`
	Document     *File  `json:"document"`
}

// Callback is a press on an inline button.
type Callback struct {
	ID      string   `json:"id"`
	From    User     `json:"from"`
	Message *Message `json:"message"` // nil or with Date 0 when it is too old
	Data    string   `json:"data"`
}

// Member is a change of the bot's own membership: kicked means blocked.
type Member struct {
	Chat Chat `json:"chat"`
	From User `json:"from"`
	New  struct {
		Status string `json:"status"`
	} `json:"new_chat_member"`
}

// tolerance is that of encoding/json towards broken text and repeated names.
var tolerance = json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// Decode reads an update. It accepts every kind and returns ErrUndecodable for
// what has no update_id or whose known parts have the wrong shape.
func Decode(raw []byte) (Update, error) {
	r := reader{nul: bytes.Contains(raw, nul)}
	if err := json.Unmarshal(raw, &r, tolerance); err != nil {
		return Update{}, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	if r.id == nil {
		return Update{}, fmt.Errorf("%w: no update_id", ErrUndecodable)
	}
	r.ID = *r.id
	return r.Update, nil
}

// reader reads an update in one pass.
type reader struct {
	Update
	id  *int64
	nul bool // a text may hold NUL
}

var _ json.UnmarshalerFrom = (*reader)(nil)

// UnmarshalJSONFrom goes through the members as they come.
func (r *reader) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '{' {
		return errors.New("no object")
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := r.read(name.String(), d); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// read reads one member. A repeated one replaces the first.
func (r *reader) read(name string, d *jsontext.Decoder) error {
	if name == "update_id" {
		r.id = nil
		return json.UnmarshalDecode(d, &r.id)
	}
	r.Kind = max(r.Kind, strings.ReplaceAll(name, "\x00", ""))
	switch name {
	case "message":
		r.Message = nil
		return r.part(d, &r.Message)
	case "callback_query":
		r.Callback = nil
		return r.part(d, &r.Callback)
	case "my_chat_member":
		r.Member = nil
		return r.part(d, &r.Member)
	}
	return d.SkipValue()
}

func (r *reader) part(d *jsontext.Decoder, to any) error {
	if !r.nul {
		return json.UnmarshalDecode(d, to)
	}
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	return json.Unmarshal(withoutNUL(raw), to, tolerance)
}

// nul is how JSON writes NUL.
var nul = []byte(`\u0000`)

// withoutNUL removes NUL, which JSON allows in a string and PostgreSQL does not.
// In valid JSON a NUL is always escaped, and a backslash always begins an escape.
func withoutNUL(raw []byte) []byte {
	clean := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		width := 1
		switch {
		case bytes.HasPrefix(raw, nul):
			raw = raw[len(nul):]
			continue
		case raw[0] == '\\':
			width = 2
		}
		clean, raw = append(clean, raw[:width]...), raw[width:]
	}
	return clean
}

// UserID returns the person whom the update is about, and 0 if there is none. A
// message that no person wrote (a refund, a channel's) is about its chat, which in
// private has the person's id.
func (u Update) UserID() int64 {
	switch {
	case u.Callback != nil:
		return u.Callback.From.ID
	case u.Member != nil:
		return u.Member.From.ID
	case u.Message == nil:
		return 0
	case u.Message.From != nil && !u.Message.From.IsBot:
		return u.Message.From.ID
	default:
		return u.Message.Chat.ID
	}
}

// Queue names the queue in which Telegram delivers the update: within one, one
// at a time and in order; across them, in parallel. (Telegram's Bot API server,
// Client.cpp, webhook queue identifiers: messages go by chat, presses by user.)
func (u Update) Queue() string {
	switch u.Kind {
	case "message", "edited_message", "channel_post", "edited_channel_post":
		return "message"
	}
	return u.Kind
}
