// Package telegram speaks the Bot API: outgoing calls through gotgbot over our
// own transport, and a tolerant reading of incoming updates.
//
// The transport sends JSON when a call carries no file and a streamed multipart
// body otherwise. It never retries: Telegram has no idempotency keys, so a lost
// answer is an outcome of its own (Unknown) that only the caller can judge. The
// bot token appears in no error and no log.
//
// Updates are read into small structs with the fields that a bot needs. Unknown
// fields and kinds are ignored by construction, so a new Bot API version never
// makes an update undecodable.
//
// The package knows nothing of us: no models, no money, no database.
package telegram

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"
)

// DefaultURL is Telegram's own Bot API server.
const DefaultURL = "https://api.telegram.org"

// Option changes a client.
type Option func(*transport)

// Measure records the client's calls.
func Measure(m *Metrics) Option { return func(t *transport) { t.metrics = m } }

// New returns a bot that calls the Bot API at baseURL. It makes no call itself.
func New(token, baseURL string, options ...Option) (*gotgbot.Bot, error) {
	if token == "" {
		return nil, errors.New("telegram: the bot token is empty")
	}
	t := &transport{
		base:    strings.TrimSuffix(baseURL, "/"),
		client:  &http.Client{Transport: connections, CheckRedirect: notFollowed},
		metrics: NewMetrics(nil),
	}
	for _, o := range options {
		o(t)
	}
	b, err := gotgbot.NewBot(token, &gotgbot.BotOpts{BotClient: t, DisableTokenCheck: true})
	if err != nil { // its text quotes the token
		return nil, errors.New("telegram: the bot token has not the form 123456:ABC-DEF; check TELEGRAM_BOT_TOKEN")
	}
	return b, nil
}

// notFollowed keeps a redirect from repeating a call. It also keeps the token at
// home: the next server would read it in the Referer header.
func notFollowed(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Outcome says what became of a call.
type Outcome int

// The outcomes. Only Unknown leaves the question open.
const (
	Done    Outcome = iota
	Refused         // Telegram said no; the call had no effect
	NotSent         // the request was never written; the call had no effect
	Unknown         // the answer was lost or unreadable; the call may have had its effect
)

// Error is a failed call. It never contains the token.
type Error struct {
	Method      string
	Outcome     Outcome
	Code        int           // Telegram's error_code, else the HTTP status, else 0
	Description string        // Telegram's words, else what failed
	RetryAfter  time.Duration // how long Telegram asks to wait (429)
	MigrateTo   int64         // the chat's new id, if it moved
}

// Error names the method, the code and Telegram's words.
func (e *Error) Error() string {
	return fmt.Sprintf("telegram %s: %d %s", e.Method, e.Code, e.Description)
}

// OutcomeOf returns what became of the call that returned err.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Done
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Outcome
	}
	return Unknown
}

// RetryAfter returns how long Telegram asks to wait, and 0 if it does not.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// CodeOf returns Telegram's error code, or the HTTP status, or 0 if there was none.
func CodeOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return 0
}

// refusedWith reports that Telegram refused with one of the texts. Telegram has
// no finer error codes, so its words are what there is to go by.
func refusedWith(err error, code int, texts ...string) bool {
	var e *Error
	if !errors.As(err, &e) || e.Outcome != Refused || e.Code != code {
		return false
	}
	for _, t := range texts {
		if strings.Contains(strings.ToLower(e.Description), t) {
			return true
		}
	}
	return len(texts) == 0
}

// IsBlocked reports that the person cannot be written to any more.
func IsBlocked(err error) bool { return refusedWith(err, http.StatusForbidden) }

// IsNotModified reports an edit that would change nothing: it is done already.
func IsNotModified(err error) bool {
	return refusedWith(err, http.StatusBadRequest, "message is not modified")
}

// IsTooOld reports an answer to a button press that Telegram waits for no longer.
func IsTooOld(err error) bool {
	return refusedWith(err, http.StatusBadRequest, "query is too old", "query id is invalid")
}

// IsEditGone reports an edit of a message that is gone or not editable.
func IsEditGone(err error) bool {
	return refusedWith(err, http.StatusBadRequest, "message to edit not found", "message can't be edited", "message_id_invalid")
}

// IsFetchFailed reports that Telegram could not use a URL that we gave it; the
// file must be uploaded instead.
func IsFetchFailed(err error) bool {
	return refusedWith(err, http.StatusBadRequest, "failed to get http url content", "wrong type of the web page content",
		"wrong file identifier/http url", "wrong remote file identifier", "webpage_curl_failed", "webpage_media_empty", "file is too big")
}

// IsUnusableMedia reports that Telegram does not take the file as this kind of media.
func IsUnusableMedia(err error) bool {
	return refusedWith(err, http.StatusBadRequest, "photo_invalid_dimensions", "image_process_failed", "photo_ext_invalid", "photo_save_file_invalid")
}

// IsChatGone reports that there is no such chat.
func IsChatGone(err error) bool { return refusedWith(err, http.StatusBadRequest, "chat not found") }

// IsNoText reports an edit of a text in a message that has none, such as a photo.
func IsNoText(err error) bool {
	return refusedWith(err, http.StatusBadRequest, "there is no text in the message to edit")
}
