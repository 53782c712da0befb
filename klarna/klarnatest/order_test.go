package klarnatest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// om is the path of an order.
func om(orderID string) string { return "/ordermanagement/v1/orders/" + orderID }

func TestCapture_MovesTheOrderOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{})
	res := w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 5000, "reference": "D-1"}, key, key1)
	capture := res.header.Get("Capture-Id")
	if capture == "" || !strings.HasSuffix(res.header.Get("Location"), "/captures/"+capture) || len(res.body) != 0 {
		t.Errorf("answer %v %q", res.header, res.body)
	}
	order := w.want(200, "GET", om(id), nil).json
	if remaining, _ := order.number("remaining_authorized_amount"); order.str("status") != "PART_CAPTURED" || remaining != 7995 {
		t.Errorf("order %v", order)
	}
	got := w.want(200, "GET", om(id)+"/captures/"+capture, nil).json
	if amount, _ := got.number("captured_amount"); amount != 5000 || got.str("reference") != "D-1" || !strings.HasSuffix(got.str("klarna_reference"), "-1") {
		t.Errorf("capture %v", got)
	}
	res = w.refused(403, "CAPTURE_NOT_ALLOWED", "POST", om(id)+"/captures", doc{"captured_amount": 7996}, key, key2)
	if res.message() != "Captured amount is higher than the remaining authorized amount. Capture not possible." {
		t.Errorf("message %q", res.message())
	}
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 7995})
	if state, _ := w.klarna.Order(id); state.Status != "CAPTURED" || state.Remaining != 0 || state.Captures != 2 {
		t.Errorf("order %+v", state)
	}
	w.refused(403, "CAPTURE_NOT_ALLOWED", "POST", om(id)+"/captures", doc{"captured_amount": 1})
}

func TestCapture_OnlyTheKeyCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{})
	capture := func(amount int64, k string) response {
		return w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": amount}, key, k)
	}
	one := capture(1000, key1)
	if two := capture(2000, key1); two.header.Get("Capture-Id") != one.header.Get("Capture-Id") {
		t.Error("the same key captured twice")
	}
	capture(1000, key2)
	w.klarna.Advance(24 * time.Hour)
	capture(1000, key1)
	if got, _ := w.klarna.Order(id); got.Captured != 3000 || got.Captures != 3 {
		t.Errorf("order %+v, want three captures of 1000", got)
	}
}

func TestCapture_RefusalIsRepeatedUnderItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := om(w.placed(doc{})) + "/captures"
	w.refused(403, "CAPTURE_NOT_ALLOWED", "POST", path, doc{"captured_amount": 12996}, key, key1)
	w.refused(403, "CAPTURE_NOT_ALLOWED", "POST", path, doc{"captured_amount": 12995}, key, key1)
	w.want(201, "POST", path, doc{"captured_amount": 12995}, key, key2)
}

func TestCapture_RefusedAfterCancelAndExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cancelled, expired := w.placed(doc{}), w.placed(doc{})
	w.want(204, "POST", om(cancelled)+"/cancel", nil)
	w.refused(403, "CAPTURE_NOT_ALLOWED", "POST", om(cancelled)+"/captures", doc{"captured_amount": 1})
	w.klarna.Advance(28 * 24 * time.Hour)
	res := w.refused(403, "CAPTURE_NOT_ALLOWED", "POST", om(expired)+"/captures", doc{"captured_amount": 1})
	if !strings.HasSuffix(res.message(), "is expired. Capture not possible.") {
		t.Errorf("message %q", res.message())
	}
	if got := w.want(200, "GET", om(expired), nil).json.str("status"); got != "EXPIRED" {
		t.Errorf("status %s", got)
	}
}

func TestCapture_ChecksItsForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := om(w.placed(doc{})) + "/captures"
	for _, bad := range []doc{
		{}, {"captured_amount": 0}, {"captured_amount": -1}, {"captured_amount": "10"},
		{"captured_amount": 1, "reference": strings.Repeat("x", 256)}, {"captured_amount": 1, "order_lines": "none"},
	} {
		w.refused(422, "UNPROCESSABLE_ENTITY", "POST", path, bad, key, key1)
	}
	w.want(201, "POST", path, doc{"captured_amount": 1}, key, key1)
}

func TestRefund_NeedsWhatWasCaptured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{})
	w.refused(403, "REFUND_NOT_ALLOWED", "POST", om(id)+"/refunds", doc{"refunded_amount": 1})
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 5000})
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 1000})
	res := w.want(201, "POST", om(id)+"/refunds", doc{"refunded_amount": 5500, "description": "Zu klein"})
	refund := res.header.Get("Refund-Id")
	if !strings.HasSuffix(res.header.Get("Location"), "/refunds/"+refund) {
		t.Errorf("Location %q", res.header.Get("Location"))
	}
	w.refused(403, "REFUND_NOT_ALLOWED", "POST", om(id)+"/refunds", doc{"refunded_amount": 501})
	got := w.want(200, "GET", om(id)+"/refunds/"+refund, nil).json
	if amount, _ := got.number("refunded_amount"); amount != 5500 || got.str("description") != "Zu klein" {
		t.Errorf("refund %v", got)
	}
	captures, _ := w.want(200, "GET", om(id), nil).json.objects("captures")
	for i, want := range []int64{5000, 500} {
		if refunded, _ := captures[i].number("refunded_amount"); refunded != want {
			t.Errorf("capture %d refunded %d, want %d", i, refunded, want)
		}
	}
	if state, _ := w.klarna.Order(id); state.Status != "PART_CAPTURED" || state.Refunded != 5500 || state.Refunds != 1 {
		t.Errorf("order %+v", state)
	}
}

func TestCancel_OnlyWithoutCaptures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	captured, free := w.placed(doc{}), w.placed(doc{})
	w.want(201, "POST", om(captured)+"/captures", doc{"captured_amount": 1})
	res := w.refused(403, "CANCEL_NOT_ALLOWED", "POST", om(captured)+"/cancel", nil)
	if res.message() != "Order has previous captures. Cancel not possible." {
		t.Errorf("message %q", res.message())
	}
	w.want(204, "POST", om(free)+"/cancel", nil, key, key1)
	w.want(204, "POST", om(free)+"/cancel", nil, key, key1)
	w.refused(403, "CANCEL_NOT_ALLOWED", "POST", om(free)+"/cancel", nil, key, key2)
	w.refused(403, "NOT_ALLOWED", "PATCH", om(free)+"/merchant-references", doc{"merchant_reference1": "x"})
	if state, _ := w.klarna.Order(free); state.Status != "CANCELLED" || state.Remaining != 0 {
		t.Errorf("order %+v", state)
	}
}

func TestOrder_ExtendReleaseAndReferences(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{"merchant_reference2": "till-7"})
	w.refused(403, "NOT_ALLOWED", "POST", om(id)+"/release-remaining-authorization", nil)
	w.klarna.Advance(27 * 24 * time.Hour)
	w.want(204, "POST", om(id)+"/extend-authorization-time", nil)
	w.klarna.Advance(27 * 24 * time.Hour)
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 1})
	w.want(204, "POST", om(id)+"/release-remaining-authorization", nil)
	w.refused(403, "NOT_ALLOWED", "POST", om(id)+"/release-remaining-authorization", nil)
	w.want(204, "PATCH", om(id)+"/merchant-references", doc{"merchant_reference1": "SO-9"})
	order := w.want(200, "GET", om(id), nil).json
	if order.str("status") != "CAPTURED" || order.str("merchant_reference1") != "SO-9" || order.str("merchant_reference2") != "till-7" {
		t.Errorf("order %v", order)
	}
}

func TestOrder_UnknownIsNamedByItsCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none := om(uuid.NewString())
	w.refused(400, "INVALID_ORDER_ID", "GET", om("17"), nil)
	w.refused(404, "NO_SUCH_ORDER", "GET", none, nil)
	w.refused(404, "NO_SUCH_ORDER", "POST", none+"/acknowledge", nil)
	w.refused(404, "NO_SUCH_ORDER", "POST", none+"/captures", doc{"captured_amount": 1})
	id := w.placed(doc{})
	w.refused(404, "NO_SUCH_CAPTURE", "GET", om(id)+"/captures/"+uuid.NewString(), nil)
	w.refused(404, "NOT_FOUND", "GET", om(id)+"/refunds/"+uuid.NewString(), nil)
}

func TestCheckout_OrderAppearsInOrderManagement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, err := w.klarna.CompleteCheckout(CheckoutOrder{
		Amount: 2500, Currency: "EUR", Country: "DE", Reference: "N-2026-1180",
		Lines: []CheckoutLine{{Reference: "A", Name: "Becher", Quantity: 2, UnitPrice: 1000, TaxRate: 1900}, {Name: "Versand", Quantity: 1, UnitPrice: 500}},
	})
	w.must(err)
	order := w.want(200, "GET", om(id), nil).json
	if order.str("status") != "AUTHORIZED" || order.str("merchant_reference1") != "N-2026-1180" {
		t.Errorf("order %v", order)
	}
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 2500})
	if err := w.klarna.Pay(id); err == nil {
		t.Error("a Checkout order was paid as Pay Now Standalone")
	}
	if _, err := w.klarna.CompleteCheckout(CheckoutOrder{Amount: 1, Currency: "EUR", Country: "DE", Lines: []CheckoutLine{{Name: "x", Quantity: 1, UnitPrice: 2}}}); err == nil {
		t.Error("a purchase whose lines do not add up was completed")
	}
}
