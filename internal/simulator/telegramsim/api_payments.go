package telegramsim

import (
	"context"
	"unicode/utf8"
)

const (
	starCurrency = "XTR"
	linkPrefix   = "https://t.me/$"
	maxStars     = 100_000 // of one invoice
	maxSubStars  = 10_000  // of one period of a subscription
)

// labeledPrice is a Bot API LabeledPrice.
type labeledPrice struct {
	Label  string `json:"label"`
	Amount int64  `json:"amount"`
}

func (s *Server) sendInvoice(_ context.Context, p *params) (any, error) {
	out, err := s.newOutgoing(p)
	if err != nil {
		return nil, err
	}
	offer, err := parseOffer(p)
	if err != nil {
		return nil, err
	}
	if k := out.message.ReplyMarkup; k != nil && !k.Rows[0][0].Pay {
		return nil, badRequest("BUTTON_INVALID")
	}
	out.offer, out.message.Invoice = &offer, &offer.Invoice
	return s.post(out)
}

func (s *Server) createInvoiceLink(_ context.Context, p *params) (any, error) {
	offer, err := parseOffer(p)
	if err != nil {
		return nil, err
	}
	if p.has("subscription_period") {
		switch {
		case p.integer("subscription_period", 0) != subscriptionPeriod:
			return nil, badRequest("SUBSCRIPTION_PERIOD_INVALID")
		case offer.Currency != starCurrency, offer.TotalAmount > maxSubStars:
			return nil, badRequest("STARS_INVOICE_INVALID")
		}
		offer.Subscription = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	slug := randomToken(12)
	s.links[slug] = offer
	s.changedLocked()
	return linkPrefix + slug, nil
}

func parseOffer(p *params) (invoiceOffer, error) {
	var prices []labeledPrice
	if !p.has("prices") {
		return invoiceOffer{}, badRequest(`parameter "prices" is required`)
	}
	if err := p.decode("prices", &prices); err != nil || len(prices) == 0 {
		return invoiceOffer{}, badRequest("can't parse prices JSON object")
	}
	offer := invoiceOffer{Payload: p.str("payload"), Invoice: Invoice{
		Title: p.str("title"), Description: p.str("description"),
		StartParameter: p.str("start_parameter"), Currency: p.str("currency"),
	}}
	for _, price := range prices {
		offer.TotalAmount += price.Amount
	}
	return offer, checkOffer(offer, p.str("provider_token"), len(prices))
}

func checkOffer(o invoiceOffer, providerToken string, prices int) error {
	switch {
	case !between(o.Title, 1, 32):
		return badRequest("INVOICE_TITLE_INVALID")
	case !between(o.Description, 1, 255):
		return badRequest("INVOICE_DESCRIPTION_INVALID")
	case len(o.Payload) < 1 || len(o.Payload) > 128:
		return badRequest("INVOICE_PAYLOAD_INVALID")
	case len(o.Currency) != 3:
		return badRequest("CURRENCY_INVALID")
	case o.TotalAmount <= 0:
		return badRequest("CURRENCY_TOTAL_AMOUNT_INVALID")
	case o.Currency == starCurrency && (prices != 1 || providerToken != "" || o.TotalAmount > maxStars):
		return badRequest("STARS_INVOICE_INVALID")
	case o.Currency != starCurrency && providerToken == "":
		return badRequest("PAYMENT_PROVIDER_INVALID")
	}
	return nil
}

func between(s string, least, most int) bool {
	n := utf8.RuneCountInString(s)
	return n >= least && n <= most
}

// refundStarPayment gives Stars back; the bot and the user see it as a message with refunded_payment.
func (s *Server) refundStarPayment(_ context.Context, p *params) (any, error) {
	userID, charge := p.integer("user_id", 0), p.str("telegram_payment_charge_id")
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.chats[userID]
	if !ok {
		return nil, badRequest("user not found")
	}
	var original *starTransaction
	for i, t := range s.stars {
		if t.ID != charge {
			continue
		}
		if t.Receiver != nil {
			return nil, badRequest("CHARGE_ALREADY_REFUNDED")
		}
		original = &s.stars[i]
	}
	if original == nil || original.Source.User.ID != userID {
		return nil, badRequest("CHARGE_NOT_FOUND")
	}
	amount, payload := original.Amount, original.Source.InvoicePayload
	s.stars = append(s.stars, starTransaction{
		ID: charge, Amount: amount, Date: s.unixLocked(), Receiver: partner(c.user, payload),
	})
	s.receiveLocked(c, Message{RefundedPayment: &RefundedPayment{
		Currency: starCurrency, TotalAmount: amount, InvoicePayload: payload, ChargeID: charge,
	}})
	return true, nil
}

// getStarTransactions lists them oldest first, as documented.
func (s *Server) getStarTransactions(_ context.Context, p *params) (any, error) {
	offset, limit := p.integer("offset", 0), p.integer("limit", 100)
	if offset < 0 || limit < 1 || limit > 100 {
		return nil, badRequest("invalid offset or limit specified")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	total := int64(len(s.stars))
	from := min(offset, total)
	page := append([]starTransaction{}, s.stars[from:min(from+limit, total)]...)
	return map[string]any{"transactions": page}, nil
}

func (s *Server) getMyStarBalance(context.Context, *params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var balance int64
	for _, t := range s.stars {
		if t.Receiver != nil {
			balance -= t.Amount
			continue
		}
		balance += t.Amount
	}
	return map[string]any{"amount": balance}, nil
}
