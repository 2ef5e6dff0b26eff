package telegramsim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kiosk/internal/simulator/telegramsim"
)

func invoice(chatID int64, change obj) obj {
	p := obj{"chat_id": chatID, "title": "Credits", "description": "100 credits", "payload": "order-1", "currency": "XTR",
		"prices": []obj{{"label": "Credits", "amount": 250}}}
	maps.Copy(p, change)
	return p
}

// cashier is a bot that answers every pre-checkout query in the body of its webhook answer.
func cashier(t *testing.T, ok bool) *bot {
	return newBot(t, func(d delivered, w http.ResponseWriter) {
		if q := d.update.PreCheckout; q != nil {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"method":"answerPreCheckoutQuery","pre_checkout_query_id":%q,"ok":%t,"error_message":"sold out"}`, q.ID, ok)
		}
	})
}

func TestStars_PaidRefundedAndListed(t *testing.T) {
	t.Parallel()
	s, b := newSim(t), cashier(t, true)
	u := s.user()
	s.hook(b, obj{"drop_pending_updates": true})
	var m telegramsim.Message
	s.must("sendInvoice", invoice(u.ID, nil), &m)
	if i := m.Invoice; i == nil || i.TotalAmount != 250 || i.Currency != "XTR" || i.Title != "Credits" {
		t.Fatalf("invoice: %+v", m)
	}
	var paid telegramsim.Message
	if status := s.control("POST", path(u.ID, "pay"), obj{"message_id": m.MessageID}, &paid); status != 200 {
		t.Fatalf("pay: %d", status)
	}
	p := paid.SuccessfulPayment
	if p == nil || p.InvoicePayload != "order-1" || p.TotalAmount != 250 || len(p.ChargeID) < 110 || paid.From.IsBot {
		t.Fatalf("paid: %+v", paid)
	}
	got := b.wait(t, 2)
	if q := got[0].update.PreCheckout; q == nil || q.InvoicePayload != "order-1" || q.From.ID != u.ID {
		t.Errorf("pre-checkout: %s", got[0].raw)
	}
	if d := got[1].update.Message; d == nil || d.SuccessfulPayment == nil || d.SuccessfulPayment.ChargeID != p.ChargeID {
		t.Errorf("payment: %s", got[1].raw)
	}

	var balance struct{ Amount int }
	s.must("getMyStarBalance", obj{}, &balance)
	if balance.Amount != 250 {
		t.Errorf("balance: %d", balance.Amount)
	}
	s.refused("refundStarPayment", obj{"user_id": u.ID, "telegram_payment_charge_id": "none"}, 400, "Bad Request: CHARGE_NOT_FOUND")
	refund := obj{"user_id": u.ID, "telegram_payment_charge_id": p.ChargeID}
	s.must("refundStarPayment", refund, nil)
	s.refused("refundStarPayment", refund, 400, "Bad Request: CHARGE_ALREADY_REFUNDED")
	if d := b.wait(t, 3)[2].update.Message; d == nil || d.RefundedPayment == nil || d.RefundedPayment.ChargeID != p.ChargeID {
		t.Errorf("refund message: %+v", d)
	}
	var list struct {
		Transactions []struct {
			ID       string
			Amount   int
			Source   *struct{ Type string }
			Receiver *struct{ Type string }
		}
	}
	s.must("getStarTransactions", obj{}, &list)
	if l := list.Transactions; len(l) != 2 || l[0].Source == nil || l[1].Receiver == nil || l[1].ID != l[0].ID {
		t.Errorf("transactions: %+v", l)
	}
}

func TestStars_TheBotMayRefuse(t *testing.T) {
	t.Parallel()
	s, b := newSim(t), cashier(t, false)
	u := s.user()
	s.hook(b, nil)
	var m telegramsim.Message
	s.must("sendInvoice", invoice(u.ID, nil), &m)
	_, err := s.Pay(short(t), u.ID, m.MessageID)
	var refused *telegramsim.RefusedError
	if !errors.As(err, &refused) || refused.Reason != "sold out" {
		t.Errorf("got %v", err)
	}
	var out struct{ Error string }
	if status := s.control("POST", path(u.ID, "pay"), obj{"message_id": m.MessageID}, &out); status != 409 || !strings.Contains(out.Error, "sold out") {
		t.Errorf("control: %d %s", status, out.Error)
	}
	if status := s.control("POST", path(u.ID, "pay"), obj{"message_id": 1}, nil); status != 400 {
		t.Errorf("no invoice: %d", status)
	}
}

// TestStars_NoAnswerWithinTenSeconds runs on a clock of its own.
func TestStars_NoAnswerWithinTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, err := telegramsim.New(telegramsim.Config{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		u := server.NewUser("Ada", "en")
		if _, err := server.SendText(u.ID, "/start"); err != nil {
			t.Fatal(err)
		}
		if a := serve(t, server, "sendInvoice", invoice(u.ID, nil)); !a.OK {
			t.Fatal(a.Description)
		}
		began := time.Now()
		_, err = server.Pay(t.Context(), u.ID, 2)
		if !errors.Is(err, telegramsim.ErrCheckoutTimeout) || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		var up struct {
			Query telegramsim.PreCheckoutQuery `json:"pre_checkout_query"`
		}
		if err := json.Unmarshal(server.Updates()[1].Body, &up); err != nil {
			t.Fatal(err)
		}
		late := serve(t, server, "answerPreCheckoutQuery", obj{"pre_checkout_query_id": up.Query.ID, "ok": true})
		if late.ErrorCode != 400 || len(server.Messages(u.ID)) != 2 {
			t.Errorf("late answer: %+v", late)
		}
	})
}

func TestStars_LinksAndSubscriptions(t *testing.T) {
	t.Parallel()
	s, b := newSim(t), cashier(t, true)
	u := s.user()
	s.hook(b, nil)
	var link string
	s.must("createInvoiceLink", invoice(u.ID, obj{"subscription_period": 2592000}), &link)
	if !strings.HasPrefix(link, "https://t.me/$") {
		t.Fatalf("link: %s", link)
	}
	paid, err := s.PayLink(short(t), u.ID, link)
	if err != nil || !paid.SuccessfulPayment.IsFirstRecurring || paid.SuccessfulPayment.ExpirationDate == 0 {
		t.Errorf("paid: %+v %v", paid.SuccessfulPayment, err)
	}
	s.refused("createInvoiceLink", invoice(u.ID, obj{"subscription_period": 60}), 400, "Bad Request: SUBSCRIPTION_PERIOD_INVALID")
}

func TestInvoices_ThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	price := obj{"label": "a", "amount": 1}
	for description, change := range map[string]obj{
		"Bad Request: INVOICE_TITLE_INVALID":         {"title": strings.Repeat("a", 33)},
		"Bad Request: INVOICE_DESCRIPTION_INVALID":   {"description": ""},
		"Bad Request: INVOICE_PAYLOAD_INVALID":       {"payload": strings.Repeat("я", 65)},
		"Bad Request: STARS_INVOICE_INVALID":         {"prices": []obj{price, price}},
		"Bad Request: CURRENCY_TOTAL_AMOUNT_INVALID": {"prices": []obj{{"label": "a", "amount": 0}}},
		"Bad Request: PAYMENT_PROVIDER_INVALID":      {"currency": "RUB"},
	} {
		s.refused("sendInvoice", invoice(u.ID, change), 400, description)
	}
	s.refused("answerPreCheckoutQuery", obj{"pre_checkout_query_id": "1", "ok": true}, 400, "Bad Request: query is too old")
}
