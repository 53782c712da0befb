package klarna

import (
	"errors"
	"io"
	"log"
	"net/http"
	"testing"
)

func TestOrder_KnowsEveryField(t *testing.T) {
	t.Parallel()
	checkRoundTrip(t, "order.json", &Order{})
}

func TestOrder_KeepsUnknownWordsAndRawBytes(t *testing.T) {
	t.Parallel()
	const body = `{"order_id":"o-1","status":"PONDERING","fraud_status":null,"order_amount":5,"brand_new":[1]}`
	klarna := answering(t, 200, body)
	order, err := klarna.client(t).Order(t.Context(), "o-1")
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/ordermanagement/v1/orders/o-1")
	if order.Status != "PONDERING" || order.OrderAmount != 5 || string(order.Raw) != body {
		t.Errorf("got %+v", order)
	}
}

func TestCaptures_KeepTheirOwnBytes(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `[{"capture_id":"c-1","captured_amount":3}, {"capture_id":"c-2","captured_amount":4,"new":1}]`)
	captures, err := klarna.client(t).Captures(t.Context(), "o-1")
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/ordermanagement/v1/orders/o-1/captures")
	if len(captures) != 2 || captures[1].CapturedAmount != 4 || string(captures[1].Raw) != `{"capture_id":"c-2","captured_amount":4,"new":1}` {
		t.Errorf("got %+v", captures)
	}
}

func TestRefund_ReadsOne(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"refund_id":"r-1","refunded_amount":7,"credit_invoice":true}`)
	refund, err := klarna.client(t).Refund(t.Context(), "o-1", "r-1")
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/ordermanagement/v1/orders/o-1/refunds/r-1")
	if refund.RefundedAmount != 7 || !refund.CreditInvoice || refund.Raw == nil {
		t.Errorf("got %+v", refund)
	}
}

func TestAcknowledgeAndCancel_PostNothing(t *testing.T) {
	t.Parallel()
	for want, do := range map[string]func(*Client) error{
		"/ordermanagement/v1/orders/o-1/acknowledge": func(c *Client) error { return c.Acknowledge(t.Context(), testKey, "o-1") },
		"/ordermanagement/v1/orders/o-1/cancel":      func(c *Client) error { return c.CancelOrder(t.Context(), testKey, "o-1") },
	} {
		klarna := answering(t, 204, "")
		if err := do(klarna.client(t)); err != nil {
			t.Fatal(err)
		}
		s := klarna.only(t)
		s.want(t, "POST", want)
		if s.header.Get("Klarna-Idempotency-Key") != testKey {
			t.Error("no idempotency key")
		}
	}
}

func TestCaptureAndRefund_ReturnTheNewId(t *testing.T) {
	t.Parallel()
	type create func(*Client) (string, error)
	capture := func(c *Client) (string, error) {
		return c.CaptureOrder(t.Context(), testKey, "o-1", CaptureRequest{CapturedAmount: 100, Reference: "C-1"})
	}
	refund := func(c *Client) (string, error) {
		return c.RefundOrder(t.Context(), testKey, "o-1", RefundRequest{RefundedAmount: 100, Reference: "C-1"})
	}
	const orders = "https://api.klarna.com/ordermanagement/v1/orders/o-1"
	for name, test := range map[string]struct {
		do     create
		header []string
		want   string // empty: the outcome is unknown
	}{
		"capture id":          {capture, []string{"Capture-Id", "c-1", "Location", orders + "/captures/other"}, "c-1"},
		"capture location":    {capture, []string{"Location", orders + "/captures/c-2"}, "c-2"},
		"relative location":   {capture, []string{"Location", "/ordermanagement/v1/orders/o-1/captures/c-3"}, "c-3"},
		"no capture id":       {capture, nil, ""},
		"location of another": {capture, []string{"Location", orders}, ""},
		"location of all":     {capture, []string{"Location", orders + "/captures/"}, ""},
		"refund id":           {refund, []string{"Refund-Id", "r-1"}, "r-1"},
		"refund location":     {refund, []string{"Location", orders + "/refunds/r-2"}, "r-2"},
		"no refund id":        {refund, []string{"Capture-Id", "c-1"}, ""},
	} {
		klarna := answering(t, 201, `"whatever"`, test.header...)
		id, err := test.do(klarna.client(t))
		if id != test.want || errors.Is(err, ErrOutcomeUnknown) != (test.want == "") {
			t.Errorf("%s: got %q, %v", name, id, err)
		}
	}
	klarna := answering(t, 201, "", "Capture-Id", "c")
	if _, err := capture(klarna.client(t)); err != nil {
		t.Fatal(err)
	}
	s := klarna.only(t)
	s.want(t, "POST", "/ordermanagement/v1/orders/o-1/captures")
	checkJSON(t, s.body, `{"captured_amount":100,"reference":"C-1"}`)
	if s.header.Get("Klarna-Idempotency-Key") != testKey {
		t.Error("no idempotency key")
	}
}

func TestCaptureOrder_NeedsNoBody(t *testing.T) {
	t.Parallel()
	klarna := handling(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Capture-Id", "c-1")
		w.Header().Set("Content-Length", "100") // and less is sent
		w.WriteHeader(201)
		_, _ = io.WriteString(w, "{")
	})
	klarna.Config.ErrorLog = log.New(io.Discard, "", 0)
	id, err := klarna.client(t).CaptureOrder(t.Context(), testKey, "o-1", CaptureRequest{CapturedAmount: 1})
	if id != "c-1" || err != nil {
		t.Errorf("got %q, %v", id, err)
	}
}
