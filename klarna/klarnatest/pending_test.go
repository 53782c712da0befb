package klarnatest

import (
	"net/http"
	"testing"
	"time"
)

// pendingOrder places an order that waits for its risk decision.
func (w *world) pendingOrder() string {
	w.t.Helper()
	w.klarna.PendNext(1)
	return w.placed(doc{"intent": "buy_and_tokenize", "merchant_urls": doc{
		"confirmation": "https://shop.nordlicht.example/thanks", "notification": w.inbox.server.URL + "/pending?order={order.id}",
	}})
}

func TestPending_DecisionIsToldUntilItIsAnsweredWith200(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inbox.answering(func(n int) int {
		if n < 3 {
			return http.StatusNoContent // good for callbacks, but not here
		}
		return http.StatusOK
	})
	id := w.pendingOrder()
	if got := w.want(200, "GET", om(id), nil).json.str("fraud_status"); got != "PENDING" {
		t.Fatalf("fraud status %s", got)
	}
	w.refused(403, "CAPTURE_NOT_ALLOWED", "POST", om(id)+"/captures", doc{"captured_amount": 1})
	w.must(w.klarna.DecideFraud(id, true))
	w.klarna.Advance(2 * time.Hour)
	posts := w.inbox.received()
	if len(posts) != 3 || posts[2].path != "/pending?order="+id || posts[2].json.str("order_id") != id || posts[2].json.str("event_type") != EventRiskAccepted {
		t.Fatalf("posts %+v, want three", posts)
	}
	if state, _ := w.klarna.Order(id); state.FraudStatus != "ACCEPTED" {
		t.Errorf("order %+v", state)
	}
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 1})
	if w.klarna.DecideFraud(id, false) == nil {
		t.Error("decided twice")
	}
}

func TestPending_NotificationEndsAfter24Hours(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inbox.answering(func(int) int { return http.StatusBadGateway })
	w.must(w.klarna.DecideFraud(w.pendingOrder(), true))
	w.klarna.Advance(48 * time.Hour)
	if n := len(w.inbox.received()); n != 144 {
		t.Errorf("%d posts, want one every ten minutes for a day", n)
	}
}

func TestPending_RejectedOrderIsCancelledUnlessCaptured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	left, taken := w.pendingOrder(), w.pendingOrder()
	w.must(w.klarna.DecideFraud(left, false))
	w.must(w.klarna.DecideFraud(taken, false))
	w.want(201, "POST", om(taken)+"/captures", doc{"captured_amount": 12995})
	w.klarna.Advance(4 * time.Hour)
	for id, want := range map[string]string{left: "CANCELLED", taken: "CAPTURED"} {
		if state, _ := w.klarna.Order(id); state.Status != want || state.FraudStatus != "REJECTED" {
			t.Errorf("order %+v, want %s", state, want)
		}
	}
}

func TestPending_IsNeverPayNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.klarna.PendNext(1)
	if state, _ := w.klarna.Order(w.placed(doc{})); state.FraudStatus != "ACCEPTED" {
		t.Errorf("order %+v", state)
	}
}
