package klarnatest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// networkMovement is a capture, refund or chargeback of a transaction.
type networkMovement struct {
	kind, id, reference string // kind is capture, refund or chargeback
	transaction         *networkTransaction
	capture             *networkMovement // of a refund of one capture
	amount              int64
	at                  time.Time
}

// document is the movement on the wire. Klarna's names are those of the requests and of dispute events.
func (m *networkMovement) document() doc {
	d := doc{
		"payment_" + m.kind + "_id": m.id, m.kind + "_amount": m.amount, "payment_transaction_id": m.transaction.id,
		"created_at": m.at.Format(time.RFC3339Nano),
	}
	if m.reference != "" {
		d["payment_"+m.kind+"_reference"] = m.reference
	}
	if m.capture != nil {
		d["payment_capture_id"] = m.capture.id
	}
	return d.with(m.transaction.input.pick("currency"))
}

func rendered(list []*networkMovement) []doc {
	all := make([]doc, len(list))
	for i, m := range list {
		all[i] = m.document()
	}
	return all
}

func sum(list []*networkMovement) (total int64) {
	for _, m := range list {
		total += m.amount
	}
	return total
}

func (t *networkTransaction) newMovement(kind, reference string, amount int64, number int, at time.Time) *networkMovement {
	return &networkMovement{
		kind: kind, id: fmt.Sprintf("%s:%s:%d", t.id, kind, number), reference: reference, transaction: t, amount: amount, at: at,
	}
}

// amountOf reads the amount of a movement, which must be within what is left. Klarna: the reference is used once.
func (c *call) amountOf(field, reference string, left int64, there []*networkMovement) (int64, *answer) {
	k := &checker{}
	k.texture("", "", c.doc)
	amount, ok := c.doc.number(field)
	if !ok || amount < 1 || amount > left {
		k.refuse(field, fmt.Sprintf("must be 1 to %d", left))
	}
	var refusal answer
	used := func(m *networkMovement) bool { return reference != "" && m.reference == reference }
	switch {
	case k.errs != nil:
		refusal = c.invalid(k.errs)
	case slices.ContainsFunc(there, used):
		refusal = c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "Reference is in use")
	default:
		return amount, nil
	}
	return 0, &refusal
}

// captureTransaction claims money. Klarna: at most 200 times; the rest may be released with it. That the state is refused
// with 403 and the amount with 400 is chosen here.
func (s *Server) captureTransaction(c *call) answer {
	return s.withTransaction(c, func(t *networkTransaction) answer {
		if t.state != transactionAuthorized || len(t.captures) >= maxCaptures {
			return c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Payment transaction is "+t.state)
		}
		reference, rest := c.doc.str("payment_capture_reference"), c.doc.str("remaining_authorization")
		if rest != "" && rest != "RELEASE" {
			return c.invalid([]doc{{"parameter": "remaining_authorization", "reason": "must be RELEASE"}})
		}
		amount, refusal := c.amountOf("capture_amount", reference, t.amount-sum(t.captures), t.captures)
		if refusal != nil {
			return *refusal
		}
		made := s.captureOf(t, amount, reference, rest == "RELEASE")
		return reply(http.StatusCreated, made.document().with(doc{"state": t.state}))
	})
}

func (s *Server) captureOf(t *networkTransaction, amount int64, reference string, release bool) *networkMovement {
	made := t.newMovement("capture", reference, amount, len(t.captures)+1, s.now())
	t.captures = append(t.captures, made)
	s.tellTransaction(t, "payment.transaction.captured", made.document())
	if release || sum(t.captures) == t.amount {
		s.moveTransaction(t, transactionCompleted)
	}
	return made
}

// refundTransaction returns money. Klarna: in every state but CLOSED; here the reference is called refund_reference.
func (s *Server) refundTransaction(c *call) answer {
	return s.withTransaction(c, func(t *networkTransaction) answer {
		return s.refundOf(c, t, nil, c.doc.str("refund_reference"), sum(t.captures)-sum(t.refunds))
	})
}

// refundTransactionCapture returns money of one capture. Klarna: here the reference is called payment_refund_reference.
func (s *Server) refundTransactionCapture(c *call) answer {
	return s.withMovement(c, "capture", func(m *networkMovement) answer {
		left := m.amount
		for _, refund := range m.transaction.refunds {
			if refund.capture == m {
				left -= refund.amount
			}
		}
		left = min(left, sum(m.transaction.captures)-sum(m.transaction.refunds))
		return s.refundOf(c, m.transaction, m, c.doc.str("payment_refund_reference"), left)
	})
}

func (s *Server) refundOf(c *call, t *networkTransaction, of *networkMovement, reference string, left int64) answer {
	if t.state == transactionClosed || len(t.captures) == 0 {
		return c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Payment transaction is "+t.state)
	}
	amount, refusal := c.amountOf("refund_amount", reference, left, t.refunds)
	if refusal != nil {
		return *refusal
	}
	made := t.newMovement("refund", reference, amount, len(t.refunds)+1, s.now())
	made.capture = of
	t.refunds = append(t.refunds, made)
	s.tellTransaction(t, "payment.transaction.refunded", made.document())
	return reply(http.StatusCreated, made.document())
}

// withMovement calls f with the movement of a kind that the path names.
func (s *Server) withMovement(c *call, kind string, f func(*networkMovement) answer) answer {
	return s.withAccount(c, func(a *account) answer {
		for _, t := range s.payments.transactions {
			for _, m := range slices.Concat(t.captures, t.refunds, t.chargebacks) {
				if t.account == a && m.kind == kind && m.id == c.path("movement_id") {
					return f(m)
				}
			}
		}
		return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such "+kind)
	})
}

func (s *Server) readMovement(c *call, kind string) answer {
	return s.withMovement(c, kind, func(m *networkMovement) answer { return reply(http.StatusOK, m.document()) })
}

func (s *Server) readTransactionCapture(c *call) answer { return s.readMovement(c, "capture") }
func (s *Server) readTransactionRefund(c *call) answer  { return s.readMovement(c, "refund") }
func (s *Server) readChargeback(c *call) answer         { return s.readMovement(c, "chargeback") }
