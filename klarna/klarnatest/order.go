package klarnatest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// States of an order, in Klarna's words.
const (
	orderAuthorized   = "AUTHORIZED"
	orderPartCaptured = "PART_CAPTURED"
	orderCaptured     = "CAPTURED"
	orderCancelled    = "CANCELLED"
	orderExpired      = "EXPIRED"
)

// Klarna: an authorization is good for 28 days unless agreed otherwise, and can be extended until 180 days after the
// order was created.
const (
	orderLifetime    = 28 * 24 * time.Hour
	orderMaxLifetime = 180 * 24 * time.Hour
)

// order is an order in Order Management.
type order struct {
	id, reference, status string
	fraud                 string // risk decision
	doc                   doc    // what the session and the order request said
	amount                int64  // now; doc has the original one
	captured, refunded    int64
	created, expires      time.Time
	captures              []*capture
	refunds               []*refund
	shipping              []any // parcels
	acknowledged          bool
	payment               *payment // of Pay Now Standalone, else nil
}

// Order is the state of an order.
type Order struct {
	ID            string `json:"id"`
	Reference     string `json:"reference"` // merchant_reference1
	Status        string `json:"status"`
	FraudStatus   string `json:"fraud_status"`
	PaymentStatus string `json:"payment_status"` // UNPAID, PAID, CLOSED; "" unless Pay Now Standalone
	Amount        int64  `json:"amount"`         // minor units, like all below
	Captured      int64  `json:"captured"`
	Refunded      int64  `json:"refunded"`
	Remaining     int64  `json:"remaining"` // that can still be captured
	Captures      int    `json:"captures"`  // how many there are
	Refunds       int    `json:"refunds"`
	Acknowledged  bool   `json:"acknowledged"`
	// What Order Management shows nowhere, over all captures.
	ExtendedDays int64 `json:"extended_days"` // by which due dates were extended
	SentOut      int   `json:"sent_out"`      // how often an invoice was sent again
}

// Order is the state of an order; ok is false when there is none with this id.
func (s *Server) Order(orderID string) (state Order, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[orderID]
	if o == nil {
		return Order{}, false
	}
	o.expire(s.now())
	state = Order{
		ID: o.id, Reference: o.doc.str("merchant_reference1"), Status: o.status, FraudStatus: o.fraud,
		Amount: o.amount, Captured: o.captured, Refunded: o.refunded, Remaining: o.remaining(),
		Captures: len(o.captures), Refunds: len(o.refunds), Acknowledged: o.acknowledged,
	}
	for _, made := range o.captures {
		state.ExtendedDays += made.extended
		state.SentOut += made.sentOut
	}
	if o.payment != nil {
		state.PaymentStatus = o.payment.status
	}
	return state, true
}

// Orders lists the ids of all orders, in no order.
func (s *Server) Orders() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.orders))
}

// newOrder makes an AUTHORIZED order.
func (s *Server) newOrder(d doc) *order { return s.addOrder(uuid.NewString(), d) }

func (s *Server) addOrder(id string, d doc) *order {
	amount, _ := d.number("order_amount")
	o := &order{
		id: id, reference: "K" + strings.ToUpper(id[:6]), status: orderAuthorized, fraud: fraudAccepted, doc: d, amount: amount,
		created: s.now(), expires: s.now().Add(orderLifetime),
	}
	s.orders[id] = o
	return o
}

// remaining is what can still be captured.
func (o *order) remaining() int64 {
	if o.open() {
		return o.amount - o.captured
	}
	return 0
}

// open tells whether the status leaves something to capture.
func (o *order) open() bool { return o.status == orderAuthorized || o.status == orderPartCaptured }

// expired tells whether an open order's authorization has run out. What becomes of a part-captured order then is not
// documented; here it keeps its status and takes no more captures.
func (o *order) expired(now time.Time) bool {
	return o.status == orderExpired || o.open() && !now.Before(o.expires)
}

// expire moves an order whose time is up to EXPIRED.
func (o *order) expire(now time.Time) {
	if o.status == orderAuthorized && o.expired(now) {
		o.status = orderExpired
	}
}

// withOrder calls f with the order in the path. tail is what the message of a refusal ends with.
func (s *Server) withOrder(c *call, tail string, f func(*order) answer) answer {
	id := c.path("order_id")
	if _, err := uuid.Parse(id); err != nil {
		return c.refuse(http.StatusBadRequest, "INVALID_ORDER_ID", "Order ID must be a valid UUID.")
	}
	o := s.orders[id]
	if o == nil {
		return c.refuse(http.StatusNotFound, "NO_SUCH_ORDER", fmt.Sprintf("Order %s cannot be found. %s", id, tail))
	}
	o.expire(s.now())
	return f(o)
}

func (s *Server) readOrder(c *call) answer {
	return s.withOrder(c, "", func(o *order) answer { return reply(http.StatusOK, o.document()) })
}

// document is the order on the wire.
func (o *order) document() doc {
	d := o.doc.pick("purchase_currency", "purchase_country", "locale", "merchant_reference1", "merchant_reference2",
		"merchant_data", "order_lines", "billing_address", "shipping_address")
	if customer := o.doc.object("customer"); customer != nil {
		d["customer"] = customer.pick("date_of_birth", "national_identification_number")
	}
	captures, refunds := make([]doc, len(o.captures)), make([]doc, len(o.refunds))
	for i, capture := range o.captures {
		captures[i] = o.captureDocument(capture)
	}
	for i, refund := range o.refunds {
		refunds[i] = refund.document()
	}
	original, _ := o.doc.number("order_amount")
	method := doc{"type": "INVOICE", "description": "Pay later"}
	if o.payment != nil {
		method = doc{"type": "BANK_TRANSFER", "description": "Pay now by bank"}
	}
	return d.with(doc{
		"order_id": o.id, "status": o.status, "fraud_status": o.fraud, "klarna_reference": o.reference,
		"order_amount": o.amount, "original_order_amount": original, "captured_amount": o.captured,
		"refunded_amount": o.refunded, "remaining_authorized_amount": o.remaining(),
		"created_at": o.created.Format(classicTime), "expires_at": o.expires.Format(classicTime),
		"captures": captures, "refunds": refunds, "initial_payment_method": method, "shipping_info": append([]any{}, o.shipping...),
	})
}

// acknowledge stops the pushes. It may be repeated.
func (s *Server) acknowledge(c *call) answer {
	return s.withOrder(c, "Acknowledgement not possible.", func(o *order) answer {
		o.acknowledged = true
		return answer{status: http.StatusNoContent}
	})
}

// cancelOrder gives up an order that was not captured. Klarna: a cancelled or expired order cannot be cancelled (inferred).
func (s *Server) cancelOrder(c *call) answer {
	return s.withOrder(c, "Cancel not possible.", func(o *order) answer {
		switch {
		case len(o.captures) > 0:
			return c.refuse(http.StatusForbidden, "CANCEL_NOT_ALLOWED", "Order has previous captures. Cancel not possible.")
		case o.status != orderAuthorized:
			return c.refuse(http.StatusForbidden, "CANCEL_NOT_ALLOWED",
				fmt.Sprintf("Order %s is %s. Cancel not possible.", o.id, strings.ToLower(o.status)))
		}
		o.status = orderCancelled
		return answer{status: http.StatusNoContent}
	})
}

// extendAuthorization renews the authorization from today. Klarna: before expiry, within 180 days of creation.
func (s *Server) extendAuthorization(c *call) answer {
	return s.withOrder(c, "Authorization time cannot be extended.", func(o *order) answer {
		if !o.open() || o.expired(s.now()) || s.now().Sub(o.created) > orderMaxLifetime {
			return c.refuse(http.StatusForbidden, "NOT_ALLOWED", "Order is expired. Authorization time cannot be extended.")
		}
		o.expires = s.now().Add(orderLifetime)
		return answer{status: http.StatusNoContent}
	})
}

// releaseRemaining gives back what is not captured. Klarna: needs a capture and a remainder.
func (s *Server) releaseRemaining(c *call) answer {
	return s.withOrder(c, "Remaining authorization cannot be released.", func(o *order) answer {
		switch {
		case o.status == orderCaptured:
			return c.refuse(http.StatusForbidden, "NOT_ALLOWED", "Order is fully captured. Remaining authorization cannot be released.")
		case o.status != orderPartCaptured:
			return c.refuse(http.StatusForbidden, "NOT_ALLOWED", "Order has no captures. Remaining authorization cannot be released.")
		}
		o.status = orderCaptured
		return answer{status: http.StatusNoContent}
	})
}

// updateReferences changes the merchant references. Klarna: absent keeps, "" clears, not on a cancelled order.
func (s *Server) updateReferences(c *call) answer {
	return s.withOrder(c, "Merchant references cannot be updated.", func(o *order) answer {
		if o.status == orderCancelled {
			return c.refuse(http.StatusForbidden, "NOT_ALLOWED", "Order is cancelled. Merchant references cannot be updated.")
		}
		changes := c.doc.pick("merchant_reference1", "merchant_reference2")
		for field := range changes {
			if !textFits(changes, field, 255) {
				return c.tooLong(field, 255)
			}
		}
		o.doc = o.doc.with(changes)
		return answer{status: http.StatusNoContent}
	})
}

// tooLong is Klarna's word about a text that does not fit.
func (c *call) tooLong(field string, limit int) answer {
	return c.refuse(http.StatusUnprocessableEntity, "UNPROCESSABLE_ENTITY",
		fmt.Sprintf("The size of the %s value must be between 0 and %d", field, limit))
}
