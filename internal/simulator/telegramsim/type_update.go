package telegramsim

import (
	"encoding/json"
	"time"
)

// CallbackQuery is a Bot API CallbackQuery.
type CallbackQuery struct {
	ID           string   `json:"id"`
	From         User     `json:"from"`
	Message      *Message `json:"message,omitempty"`
	ChatInstance string   `json:"chat_instance"`
	Data         string   `json:"data"`
}

// PreCheckoutQuery is a Bot API PreCheckoutQuery.
type PreCheckoutQuery struct {
	ID             string `json:"id"`
	From           User   `json:"from"`
	Currency       string `json:"currency"`
	TotalAmount    int64  `json:"total_amount"`
	InvoicePayload string `json:"invoice_payload"`
}

// ChatMember is a Bot API ChatMember of the two kinds that a private chat knows: "member" and "kicked".
type ChatMember struct {
	Status    string `json:"status"`
	User      User   `json:"user"`
	UntilDate *int64 `json:"until_date,omitempty"`
}

// ChatMemberUpdated is a Bot API ChatMemberUpdated.
type ChatMemberUpdated struct {
	Chat Chat       `json:"chat"`
	From User       `json:"from"`
	Date int64      `json:"date"`
	Old  ChatMember `json:"old_chat_member"`
	New  ChatMember `json:"new_chat_member"`
}

// Command is a Bot API BotCommand.
type Command struct {
	Command     string `json:"command"`
	Description string `json:"description"`
}

// Answer is what a person saw after pressing a button.
type Answer struct {
	CallbackQueryID string    `json:"callback_query_id"`
	MessageID       int64     `json:"message_id"`
	Data            string    `json:"data"`
	Text            string    `json:"text,omitempty"`
	ShowAlert       bool      `json:"show_alert,omitempty"`
	URL             string    `json:"url,omitempty"`
	PressedAt       time.Time `json:"pressed_at"`
	AnsweredAt      time.Time `json:"answered_at,omitzero"` // zero while the button still spins
}

// Call is one Bot API call as the log keeps it.
type Call struct {
	ID          int64          `json:"id"`
	Method      string         `json:"method"`
	Params      map[string]any `json:"params"`            // a file stands there as {"name","size","sha256"}
	Time        time.Time      `json:"time"`              // of arrival
	Millis      int64          `json:"duration_ms"`       // until the answer was ready
	Code        int            `json:"code"`              // of the answer; 0 while there is none or after a cut
	Description string         `json:"description"`       // of a refusal
	Fault       string         `json:"fault,omitempty"`   // the faults that took part
	ViaHook     bool           `json:"via_webhook_reply"` // true for a call made by the body of a webhook's answer
}

// Update is one update as the log keeps it.
type Update struct {
	ID             int64           `json:"update_id"`
	Kind           string          `json:"kind"`  // the field of the Bot API Update that is set
	Queue          string          `json:"queue"` // updates of one queue are delivered strictly one after another
	ChatID         int64           `json:"chat_id"`
	Body           json.RawMessage `json:"body"` // the whole Bot API Update
	CreatedAt      time.Time       `json:"created_at"`
	ExpiresAt      time.Time       `json:"expires_at"`
	Attempts       int             `json:"attempts"`
	State          UpdateState     `json:"state"`
	AcknowledgedAt time.Time       `json:"acknowledged_at,omitzero"`
	LastError      string          `json:"last_error,omitempty"`
}

// UpdateState says what became of an update.
type UpdateState string

// The states of an update. All but the first are final.
const (
	UpdatePending      UpdateState = "pending"
	UpdateAcknowledged UpdateState = "acknowledged"
	UpdateExpired      UpdateState = "expired" // its time ran out before the bot took it
	UpdateDropped      UpdateState = "dropped" // by drop_pending_updates
)
