package telegramsim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// checkoutTimeout is Telegram's: a bot has 10 seconds to answer a pre-checkout query.
const checkoutTimeout = 10 * time.Second

const subscriptionPeriod = 2_592_000 // seconds; the only one that Telegram allows

// Reasons why a payment did not happen. They come wrapped.
var (
	ErrNoInvoice       = errors.New("no such invoice")
	ErrCheckoutTimeout = errors.New("the bot did not answer the pre-checkout query within 10 s")
)

// RefusedError says that the bot declined a pre-checkout query, in the words that the user saw.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "the bot refused the payment: " + e.Reason }

// invoiceOffer is what an invoice sells.
type invoiceOffer struct {
	Invoice
	Payload      string `json:"payload"`
	Subscription bool   `json:"subscription,omitempty"`
}

// checkout is a pre-checkout query that waits for the bot.
type checkout struct {
	asked  time.Time
	answer chan checkoutAnswer // holds one
}

type checkoutAnswer struct {
	ok     bool
	reason string
}

// starTransaction is a Bot API StarTransaction.
type starTransaction struct {
	ID       string       `json:"id"`
	Amount   int64        `json:"amount"`
	Date     int64        `json:"date"`
	Source   *starPartner `json:"source,omitempty"`
	Receiver *starPartner `json:"receiver,omitempty"`
}

// starPartner is a Bot API TransactionPartnerUser.
type starPartner struct {
	Type            string `json:"type"`
	TransactionType string `json:"transaction_type"`
	User            User   `json:"user"`
	InvoicePayload  string `json:"invoice_payload,omitempty"`
}

// Pay makes the user pay the invoice in a message: the bot gets a pre-checkout query, and when it agrees a message
// with successful_payment, which is returned. An invoice can be paid again and again, as Telegram allows.
func (s *Server) Pay(ctx context.Context, userID, messageID int64) (Message, error) {
	return s.pay(ctx, userID, func(c *chat) (invoiceOffer, bool) {
		offer, ok := c.offers[messageID]
		return offer, ok
	})
}

// PayLink makes the user pay a link of createInvoiceLink.
func (s *Server) PayLink(ctx context.Context, userID int64, link string) (Message, error) {
	slug := strings.TrimPrefix(link, linkPrefix)
	return s.pay(ctx, userID, func(*chat) (invoiceOffer, bool) {
		offer, ok := s.links[slug]
		return offer, ok
	})
}

func (s *Server) pay(ctx context.Context, userID int64, find func(*chat) (invoiceOffer, bool)) (Message, error) {
	if !s.enter() {
		return Message{}, ErrClosed
	}
	defer s.leave()
	offer, id, open, err := s.openCheckout(userID, find)
	if err != nil {
		return Message{}, err
	}
	defer s.closeCheckout(id)
	timer := time.NewTimer(checkoutTimeout)
	defer timer.Stop()
	select {
	case a := <-open.answer:
		if !a.ok {
			return Message{}, &RefusedError{a.reason}
		}
	case <-timer.C:
		return Message{}, ErrCheckoutTimeout
	case <-ctx.Done():
		return Message{}, ctx.Err()
	case <-s.ctx.Done():
		return Message{}, ErrClosed
	}
	return s.settle(userID, offer)
}

func (s *Server) openCheckout(
	userID int64, find func(*chat) (invoiceOffer, bool),
) (invoiceOffer, string, *checkout, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.chatLocked(userID)
	if err != nil {
		return invoiceOffer{}, "", nil, err
	}
	offer, ok := find(c)
	switch {
	case c.blocked:
		return invoiceOffer{}, "", nil, ErrBlocking
	case !ok:
		return invoiceOffer{}, "", nil, ErrNoInvoice
	}
	id := randomID()
	open := &checkout{asked: s.now(), answer: make(chan checkoutAnswer, 1)}
	s.checkouts[id] = open
	s.createUpdateLocked("pre_checkout_query", c, 0, PreCheckoutQuery{
		ID: id, From: c.user, Currency: offer.Currency, TotalAmount: offer.TotalAmount, InvoicePayload: offer.Payload,
	})
	return offer, id, open, nil
}

func (s *Server) closeCheckout(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.checkouts, id)
}

// settle moves the Stars and tells the bot.
func (s *Server) settle(userID int64, offer invoiceOffer) (Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.chatLocked(userID)
	if err != nil {
		return Message{}, err
	}
	// Real charge ids were seen with 110 characters; programs that expect short ones should find out here.
	charge := "stx" + randomToken(80)
	paid := &SuccessfulPayment{
		Currency: offer.Currency, TotalAmount: offer.TotalAmount, InvoicePayload: offer.Payload, ChargeID: charge,
		ProviderChargeID: fmt.Sprintf("%d_%d", userID, len(s.stars)+1),
	}
	if offer.Subscription {
		paid.IsRecurring, paid.IsFirstRecurring = true, true
		paid.ExpirationDate = s.unixLocked() + subscriptionPeriod
	}
	if offer.Currency == starCurrency {
		s.stars = append(s.stars, starTransaction{
			ID: charge, Amount: offer.TotalAmount, Date: s.unixLocked(), Source: partner(c.user, offer.Payload),
		})
	}
	c.started = true
	return *s.receiveLocked(c, Message{SuccessfulPayment: paid}), nil
}

func partner(u User, payload string) *starPartner {
	return &starPartner{Type: "user", TransactionType: "invoice_payment", User: u, InvoicePayload: payload}
}

func (s *Server) answerPreCheckoutQuery(_ context.Context, p *params) (any, error) {
	ok, reason := p.flag("ok"), p.str("error_message")
	if !ok && reason == "" {
		return nil, badRequest("error_message must be specified")
	}
	if utf8.RuneCountInString(reason) > 1024 {
		return nil, badRequest("error_message is too long")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.checkouts[p.str("pre_checkout_query_id")]
	if open == nil || s.now().Sub(open.asked) > checkoutTimeout {
		return nil, errQueryTooOld
	}
	delete(s.checkouts, p.str("pre_checkout_query_id"))
	open.answer <- checkoutAnswer{ok, reason}
	return true, nil
}
