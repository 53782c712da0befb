package klarnatest

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// States of a payment, in Klarna's words: UNPAID becomes PAID or CLOSED, which are final.
const (
	paymentUnpaid = "UNPAID"
	paymentPaid   = "PAID"
	paymentClosed = "CLOSED"
)

// EventPaymentStatus is the type of every payment-status notification.
const EventPaymentStatus = "non_guaranteed_payment.updated"

// payment is the bank transfer Klarna waits for after a Pay Now Standalone order.
type payment struct {
	status    string
	received  []doc
	defaulted *refund // what was given back because the money did not come
}

// debtor is the account the money is expected from.
func debtor() doc {
	return doc{
		"account_holder_name": "Erika Beispiel", "iban": "DE02120300000000202051", "account_number": "0000202051",
		"bank_code": "12030000", "bic": "TESTDEFFXXX", "bank_name": "Musterbank",
	}
}

// expectPayment starts the wait for the money. Klarna: the first notification, UNPAID, follows the order at once.
func (s *Server) expectPayment(o *order) {
	o.payment = &payment{status: paymentUnpaid}
	s.notifyPayment(o)
}

// Pay plays the money of an order arriving in full, at Klarna.
func (s *Server) Pay(orderID string) error {
	return s.pay(orderID, func(o *order) int64 { return o.amount })
}

// PayAmount is Pay with another amount in minor units. Klarna: what is received may differ from what was expected.
func (s *Server) PayAmount(orderID string, amount int64) error {
	return s.pay(orderID, func(*order) int64 { return amount })
}

// pay moves UNPAID to PAID. Klarna: money after CLOSED goes back to the customer without a notification.
func (s *Server) pay(orderID string, amount func(*order) int64) error {
	return s.onPayment("pay", orderID, func(o *order) error {
		switch o.payment.status {
		case paymentClosed:
			return nil
		case paymentPaid:
			return errors.New("order is PAID")
		}
		o.payment.status = paymentPaid
		o.payment.received = []doc{{
			"payment_amount":      amount(o),
			"payment_received_at": s.now().Format(classicTime),
			"debtor":              debtor().pick("account_holder_name", "iban"),
		}}
		s.notifyPayment(o)
		return nil
	})
}

// Lapse plays the money of an order not arriving in time. Klarna: CLOSED; the order is cancelled if nothing was
// captured, else what was captured is refunded. Of a part-captured order the rest is released here.
func (s *Server) Lapse(orderID string) error {
	return s.onPayment("lapse", orderID, func(o *order) error {
		if o.payment.status != paymentUnpaid {
			return fmt.Errorf("order is %s", o.payment.status)
		}
		o.payment.status = paymentClosed
		switch o.status {
		case orderAuthorized:
			o.status = orderCancelled
		case orderPartCaptured:
			o.status = orderCaptured
		}
		if open := o.captured - o.refunded; open > 0 {
			o.payment.defaulted = s.addRefund(o, open, doc{"description": "Payment default"})
		}
		s.notifyPayment(o)
		return nil
	})
}

// onPayment calls f on a Pay Now Standalone order with mu held.
func (s *Server) onPayment(attempt, orderID string, f func(*order) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[orderID]
	switch {
	case o == nil:
		return fmt.Errorf("%s order %s: %w", attempt, orderID, errUnknown)
	case o.payment == nil:
		return fmt.Errorf("%s order %s: %w", attempt, orderID, errors.New("no payment is expected, as its session had no intent buy"))
	}
	o.expire(s.now())
	if err := f(o); err != nil {
		return fmt.Errorf("%s order %s: %w", attempt, orderID, err)
	}
	return nil
}

// notifyPayment tells the payment status of an order. Callers hold mu.
func (s *Server) notifyPayment(o *order) {
	received := o.payment.received
	if received == nil {
		received = []doc{}
	}
	payload := o.doc.pick("purchase_currency", "merchant_reference1", "merchant_reference2").with(doc{
		"order_id": o.id, "created_at": o.created.Format(classicTime), "order_amount": o.amount,
		"merchant_id": "K000001", "payment_status": o.payment.status,
		"expected_payments": []doc{{"payment_amount": o.amount, "debtor": debtor()}}, "payments": received,
	})
	eventID := uuid.NewString()
	s.send(&message{
		kind: KindPaymentStatus, url: s.cfg.PaymentStatusURL, eventID: eventID, eventType: EventPaymentStatus, subject: o.id,
		body: encode(doc{
			"event_id": eventID, "event_type": EventPaymentStatus, "occurred_at": s.now().Format(classicTime), "payload": payload,
		}),
		schedule: notificationSchedule, accepted: acceptsNotification,
	}, 0)
}
