package klarnatest

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"
)

// statuses are the payment statuses told so far.
func (w *world) statuses() (list []string) {
	w.t.Helper()
	w.settle()
	for _, p := range w.inbox.received() {
		if p.path == "/payment" {
			list = append(list, p.json.object("payload").str("payment_status"))
		}
	}
	return list
}

func TestPayment_UnpaidComesWithTheOrderAndIsSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{})
	if got := w.statuses(); !slices.Equal(got, []string{"UNPAID"}) {
		t.Fatalf("statuses %v", got)
	}
	p := w.inbox.received()[1] // after the callback
	mac := hmac.New(sha512.New, []byte(paymentKey))
	mac.Write(p.body)
	sig := hex.EncodeToString(mac.Sum(nil))
	if got, want := p.header.Get("Payload-Signature"), fmt.Sprintf("ts=%d,sig=%s,v=7", start.UnixMilli(), sig); got != want {
		t.Errorf("Payload-Signature %s, want %s", got, want)
	}
	if p.header.Get("Klarna-Signature") != sig || p.header.Get("Date") == "" {
		t.Errorf("headers %v", p.header)
	}
	payload := p.json.object("payload")
	expected := first(payload, "expected_payments")
	received, isList := payload.objects("payments")
	amount, _ := expected.number("payment_amount")
	if p.json.str("event_type") != EventPaymentStatus || payload.str("order_id") != id || amount != 12995 ||
		expected.object("debtor").str("iban") == "" || !isList || len(received) != 0 {
		t.Errorf("body %s", p.body)
	}
}

func TestPayment_OnlyIntentBuyIsNotified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{"intent": "buy_and_tokenize"})
	if got := w.statuses(); len(got) != 0 {
		t.Errorf("statuses %v", got)
	}
	if err := w.klarna.Pay(id); err == nil {
		t.Error("an order without an expected payment was paid")
	}
}

func TestPay_TellsWhatWasReceived(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{})
	w.klarna.Advance(time.Hour)
	w.must(w.klarna.PayAmount(id, 12000))
	if got := w.statuses(); !slices.Equal(got, []string{"UNPAID", "PAID"}) {
		t.Fatalf("statuses %v", got)
	}
	posts := w.inbox.received()
	paid := first(posts[len(posts)-1].json.object("payload"), "payments")
	if amount, _ := paid.number("payment_amount"); amount != 12000 || paid.str("payment_received_at") != "2026-02-03T10:15:40.000Z" {
		t.Errorf("payment %v", paid)
	}
	if err := w.klarna.Pay(id); err == nil {
		t.Error("an order was paid twice")
	}
	if err := w.klarna.Lapse(id); err == nil {
		t.Error("a paid order lapsed")
	}
}

func TestLapse_CancelsOrRefunds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	open, captured := w.placed(doc{}), w.placed(doc{})
	w.want(201, "POST", om(captured)+"/captures", doc{"captured_amount": 12995})
	w.must(w.klarna.Lapse(open))
	w.must(w.klarna.Lapse(captured))
	if got, _ := w.klarna.Order(open); got.Status != "CANCELLED" || got.PaymentStatus != "CLOSED" {
		t.Errorf("uncaptured order %+v", got)
	}
	if got, _ := w.klarna.Order(captured); got.Status != "CAPTURED" || got.Refunded != 12995 || got.Refunds != 1 {
		t.Errorf("captured order %+v", got)
	}
	w.must(w.klarna.Pay(open)) // goes back to the customer, nobody is told
	if got := w.statuses(); !slices.Equal(got, []string{"UNPAID", "UNPAID", "CLOSED", "CLOSED"}) {
		t.Errorf("statuses %v", got)
	}
}

func TestPayment_ReleaseReversedTellsPaidBeforeUnpaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.klarna.Hold()
	w.must(w.klarna.Pay(w.placed(doc{})))
	w.klarna.ReleaseReversed()
	if got := w.statuses(); !slices.Equal(got, []string{"PAID", "UNPAID"}) {
		t.Errorf("statuses %v", got)
	}
}
