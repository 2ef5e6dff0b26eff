package telegramsim

// User is a Bot API User.
type User struct {
	ID           int64  `json:"id"`
	IsBot        bool   `json:"is_bot"`
	FirstName    string `json:"first_name"`
	LastName     string `json:"last_name,omitempty"`
	Username     string `json:"username,omitempty"`
	LanguageCode string `json:"language_code,omitempty"`
	IsPremium    bool   `json:"is_premium,omitempty"`
}

// Chat is a Bot API Chat; the simulator has private chats only, so its ID is that of the user.
type Chat struct {
	ID        int64  `json:"id"`
	Type      string `json:"type"`
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
	Username  string `json:"username,omitempty"`
}

// Message is a Bot API Message. It is immutable once published: an edit makes a new value.
type Message struct {
	MessageID         int64              `json:"message_id"`
	From              *User              `json:"from,omitempty"`
	Chat              Chat               `json:"chat"`
	Date              int64              `json:"date"`
	EditDate          int64              `json:"edit_date,omitempty"`
	ReplyToMessage    *Message           `json:"reply_to_message,omitempty"`
	MediaGroupID      string             `json:"media_group_id,omitempty"`
	ProtectedContent  bool               `json:"has_protected_content,omitempty"`
	EffectID          string             `json:"effect_id,omitempty"`
	Text              string             `json:"text,omitempty"`
	Entities          []MessageEntity    `json:"entities,omitempty"`
	LinkPreview       *LinkPreview       `json:"link_preview_options,omitempty"`
	Animation         *Media             `json:"animation,omitempty"`
	Audio             *Media             `json:"audio,omitempty"`
	Document          *Media             `json:"document,omitempty"`
	Photo             []PhotoSize        `json:"photo,omitempty"`
	Video             *Media             `json:"video,omitempty"`
	Voice             *Media             `json:"voice,omitempty"`
	Caption           string             `json:"caption,omitempty"`
	CaptionEntities   []MessageEntity    `json:"caption_entities,omitempty"`
	CaptionAboveMedia bool               `json:"show_caption_above_media,omitempty"`
	MediaSpoiler      bool               `json:"has_media_spoiler,omitempty"`
	PinnedMessage     *Message           `json:"pinned_message,omitempty"`
	Invoice           *Invoice           `json:"invoice,omitempty"`
	SuccessfulPayment *SuccessfulPayment `json:"successful_payment,omitempty"`
	RefundedPayment   *RefundedPayment   `json:"refunded_payment,omitempty"`
	ReplyMarkup       *InlineKeyboard    `json:"reply_markup,omitempty"`
}

// LinkPreview is a Bot API LinkPreviewOptions.
type LinkPreview struct {
	IsDisabled       bool   `json:"is_disabled,omitempty"`
	URL              string `json:"url,omitempty"`
	PreferSmallMedia bool   `json:"prefer_small_media,omitempty"`
	PreferLargeMedia bool   `json:"prefer_large_media,omitempty"`
	ShowAboveText    bool   `json:"show_above_text,omitempty"`
}

// MessageEntity is a Bot API MessageEntity; offset and length count UTF-16 code units.
type MessageEntity struct {
	Type          string `json:"type"`
	Offset        int    `json:"offset"`
	Length        int    `json:"length"`
	URL           string `json:"url,omitempty"`
	User          *User  `json:"user,omitempty"`
	Language      string `json:"language,omitempty"`
	CustomEmojiID string `json:"custom_emoji_id,omitempty"`
}

// PhotoSize is a Bot API PhotoSize.
type PhotoSize struct {
	FileID       string `json:"file_id"`
	FileUniqueID string `json:"file_unique_id"`
	Width        int    `json:"width"`
	Height       int    `json:"height"`
	FileSize     int64  `json:"file_size"`
}

// Media is a Bot API Animation, Audio, Document, Video or Voice: these differ only in which fields they fill.
type Media struct {
	FileID       string `json:"file_id"`
	FileUniqueID string `json:"file_unique_id"`
	Width        int    `json:"width,omitempty"`
	Height       int    `json:"height,omitempty"`
	Duration     *int   `json:"duration,omitempty"`
	Performer    string `json:"performer,omitempty"`
	Title        string `json:"title,omitempty"`
	FileName     string `json:"file_name,omitempty"`
	MIMEType     string `json:"mime_type,omitempty"`
	FileSize     int64  `json:"file_size,omitempty"`
}

// InlineKeyboard is a Bot API InlineKeyboardMarkup.
type InlineKeyboard struct {
	Rows [][]Button `json:"inline_keyboard"`
}

// Button is a Bot API InlineKeyboardButton.
type Button struct {
	Text              string    `json:"text"`
	IconCustomEmojiID string    `json:"icon_custom_emoji_id,omitempty"`
	Style             string    `json:"style,omitempty"`
	URL               string    `json:"url,omitempty"`
	CallbackData      string    `json:"callback_data,omitempty"`
	WebApp            *WebApp   `json:"web_app,omitempty"`
	SwitchInline      *string   `json:"switch_inline_query,omitempty"`
	SwitchInlineHere  *string   `json:"switch_inline_query_current_chat,omitempty"`
	CopyText          *CopyText `json:"copy_text,omitempty"`
	Pay               bool      `json:"pay,omitempty"`
	Disabled          *struct{} `json:"disabled,omitempty"`
}

// WebApp is a Bot API WebAppInfo.
type WebApp struct {
	URL string `json:"url"`
}

// CopyText is a Bot API CopyTextButton.
type CopyText struct {
	Text string `json:"text"`
}

// Invoice is a Bot API Invoice.
type Invoice struct {
	Title          string `json:"title"`
	Description    string `json:"description"`
	StartParameter string `json:"start_parameter"`
	Currency       string `json:"currency"`
	TotalAmount    int64  `json:"total_amount"`
}

// SuccessfulPayment is a Bot API SuccessfulPayment.
type SuccessfulPayment struct {
	Currency         string `json:"currency"`
	TotalAmount      int64  `json:"total_amount"`
	InvoicePayload   string `json:"invoice_payload"`
	ExpirationDate   int64  `json:"subscription_expiration_date,omitempty"`
	IsRecurring      bool   `json:"is_recurring,omitempty"`
	IsFirstRecurring bool   `json:"is_first_recurring,omitempty"`
	ChargeID         string `json:"telegram_payment_charge_id"`
	ProviderChargeID string `json:"provider_payment_charge_id"`
}

// RefundedPayment is a Bot API RefundedPayment.
type RefundedPayment struct {
	Currency         string `json:"currency"`
	TotalAmount      int64  `json:"total_amount"`
	InvoicePayload   string `json:"invoice_payload"`
	ChargeID         string `json:"telegram_payment_charge_id"`
	ProviderChargeID string `json:"provider_payment_charge_id,omitempty"`
}
