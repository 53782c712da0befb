package klarnatest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// capture is money claimed from an order.
type capture struct {
	id, reference    string
	amount, refunded int64
	at               time.Time
	doc              doc   // reference, description, order_lines, shipping_info
	extended         int64 // days by which the due date was extended
	sentOut          int   // how often its invoice was sent again
}

// refund is money given back from an order.
type refund struct {
	id     string
	amount int64
	at     time.Time
	doc    doc // reference, description, order_lines
}

// capture claims an amount. Klarna: at most what remains of the authorization, not after cancel or expiry, not while the risk decision is open; answers 201
// without a body, the id in Capture-Id and Location.
func (s *Server) capture(c *call) answer {
	return s.withOrder(c, "Capture not possible.", func(o *order) answer {
		amount, bad := c.amount("captured_amount")
		switch {
		case bad != nil:
			return *bad
		case o.expired(s.now()):
			return c.refuse(http.StatusForbidden, "CAPTURE_NOT_ALLOWED",
				fmt.Sprintf("Order %s is expired. Capture not possible.", o.id))
		case !o.open() || o.fraud == fraudPending:
			return c.refuse(http.StatusForbidden, "CAPTURE_NOT_ALLOWED", "Capture not allowed")
		case amount > o.remaining():
			return c.refuse(http.StatusForbidden, "CAPTURE_NOT_ALLOWED",
				"Captured amount is higher than the remaining authorized amount. Capture not possible.")
		}
		made := s.addCapture(o, amount, c.doc.pick("reference", "description", "order_lines", "shipping_info"))
		return created(c, "Capture-Id", made.id)
	})
}

// addCapture records a capture and moves the order on.
func (s *Server) addCapture(o *order, amount int64, d doc) *capture {
	made := &capture{
		id: uuid.NewString(), reference: fmt.Sprintf("%s-%d", o.reference, len(o.captures)+1),
		amount: amount, at: s.now(), doc: d,
	}
	o.captures = append(o.captures, made)
	o.captured += amount
	o.status = orderPartCaptured
	if o.captured == o.amount {
		o.status = orderCaptured
	}
	return made
}

// refund gives money back. Klarna: at most what was captured and not yet refunded; the status stays.
func (s *Server) refund(c *call) answer {
	return s.withOrder(c, "Refund not possible.", func(o *order) answer {
		amount, bad := c.amount("refunded_amount")
		switch {
		case bad != nil:
			return *bad
		case len(o.captures) == 0:
			return c.refuse(http.StatusForbidden, "REFUND_NOT_ALLOWED", "Order has no captures. Refund not possible")
		case amount > o.captured-o.refunded:
			return c.refuse(http.StatusForbidden, "REFUND_NOT_ALLOWED", "Over refund is not allowed. Refund not possible.")
		}
		made := s.addRefund(o, amount, c.doc.pick("reference", "description", "order_lines"))
		return created(c, "Refund-Id", made.id)
	})
}

// addRefund records a refund and spreads it over the captures, the oldest first. Klarna spreads it by the references
// of its order lines; to callers only the sums matter.
func (s *Server) addRefund(o *order, amount int64, d doc) *refund {
	made := &refund{id: uuid.NewString(), amount: amount, at: s.now(), doc: d}
	o.refunds = append(o.refunds, made)
	o.refunded += amount
	for _, capture := range o.captures {
		part := min(amount, capture.amount-capture.refunded)
		capture.refunded += part
		amount -= part
	}
	return made
}

// created is the answer to something made below the path of the call.
func created(c *call, header, id string) answer {
	return answer{status: http.StatusCreated, header: map[string]string{
		header: id, "Location": c.address(c.r.URL.Path + "/" + id),
	}}
}

// address is a path of this Klarna's as the caller reaches it.
func (c *call) address(path string) string {
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	return scheme + c.r.Host + path
}

// amount reads the amount a capture or refund is for, or the refusal of the request's form. Klarna's schema lets 0
// through, its prose does not mention it; here it is refused.
func (c *call) amount(field string) (amount int64, bad *answer) {
	refuse := func(a answer) (int64, *answer) { return 0, &a }
	amount, ok := c.doc.number(field)
	if !ok || amount <= 0 || amount > maxAmount {
		return refuse(c.refuse(http.StatusUnprocessableEntity, "UNPROCESSABLE_ENTITY",
			fmt.Sprintf("The %s value must be between 1 and %d", field, maxAmount)))
	}
	for _, text := range []string{"reference", "description"} {
		if !textFits(c.doc, text, 255) {
			return refuse(c.tooLong(text, 255))
		}
	}
	if lines, ok := c.doc.objects("order_lines"); c.doc.has("order_lines") && (!ok || len(lines) > 1000) {
		return refuse(c.refuse(http.StatusUnprocessableEntity, "UNPROCESSABLE_ENTITY", "The order_lines value is not valid"))
	}
	return amount, nil
}

func (s *Server) listCaptures(c *call) answer {
	return s.withOrder(c, "", func(o *order) answer {
		list := make([]doc, len(o.captures))
		for i, capture := range o.captures {
			list[i] = o.captureDocument(capture)
		}
		return reply(http.StatusOK, list)
	})
}

func (s *Server) readCapture(c *call) answer {
	return s.withCapture(c, "", func(o *order, made *capture) answer {
		return reply(http.StatusOK, o.captureDocument(made))
	})
}

func (s *Server) readRefund(c *call) answer {
	return s.withOrder(c, "", func(o *order) answer {
		for _, refund := range o.refunds {
			if refund.id == c.path("refund_id") {
				return reply(http.StatusOK, refund.document())
			}
		}
		return c.refuse(http.StatusNotFound, "NOT_FOUND",
			fmt.Sprintf("Refund %s cannot be found for order %s", c.path("refund_id"), o.id))
	})
}

func (o *order) captureDocument(capture *capture) doc {
	return capture.doc.with(o.doc.pick("billing_address", "shipping_address"), doc{
		"capture_id": capture.id, "klarna_reference": capture.reference, "captured_amount": capture.amount,
		"captured_at": capture.at.Format(classicTime), "refunded_amount": capture.refunded,
	})
}

func (r *refund) document() doc {
	return r.doc.with(doc{
		"refund_id": r.id, "refunded_amount": r.amount, "refunded_at": r.at.Format(classicTime), "credit_invoice": false,
	})
}
