package klarnatest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Klarna's risk decisions.
const (
	fraudAccepted = "ACCEPTED"
	fraudPending  = "PENDING"
	fraudRejected = "REJECTED"
)

// Types of the notifications about pending orders, in Klarna's words.
const (
	EventRiskAccepted = "FRAUD_RISK_ACCEPTED"
	EventRiskRejected = "FRAUD_RISK_REJECTED"
)

// Klarna: the notification is sent every 10 minutes for 24 hours, or until it is answered with 200. A rejected order can
// be captured for 4 hours at the merchant's own risk; then Klarna cancels it.
const (
	pendingInterval  = 10 * time.Minute
	pendingLifetime  = 24 * time.Hour
	rejectedLifetime = 4 * time.Hour
)

var pendingSchedule = func() (waits []time.Duration) {
	for total := pendingInterval; total < pendingLifetime; total += pendingInterval {
		waits = append(waits, pendingInterval)
	}
	return waits
}()

// PendNext makes the next n orders PENDING when they are made. Klarna: never those of Pay Now Standalone.
func (s *Server) PendNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = n
}

// decideRisk settles the risk of a new order, or leaves it open. Callers hold mu.
func (s *Server) decideRisk(o *order) {
	if s.pending > 0 {
		s.pending--
		o.fraud = fraudPending
	}
}

// DecideFraud plays the end of the risk decision on a PENDING order. It is told to the merchant_urls.notification of the
// order or, if the order named no merchant_urls, of its session.
func (s *Server) DecideFraud(orderID string, accepted bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[orderID]
	switch {
	case o == nil:
		return fmt.Errorf("decide on order %s: %w", orderID, errUnknown)
	case o.fraud != fraudPending:
		return fmt.Errorf("decide on order %s: %w", orderID, errors.New("order is "+o.fraud))
	}
	event := EventRiskAccepted
	o.fraud = fraudAccepted
	if !accepted {
		event, o.fraud = EventRiskRejected, fraudRejected
		s.schedule(entry{at: s.now().Add(rejectedLifetime), do: func() {
			if o.status == orderAuthorized {
				o.status = orderCancelled
			}
		}})
	}
	s.send(&message{
		kind: KindPendingOrder, url: strings.ReplaceAll(o.doc.object("merchant_urls").str("notification"), "{order.id}", o.id),
		eventID: event + ":" + o.id, eventType: event, subject: o.id,
		body: encode(doc{"order_id": o.id, "event_type": event}), schedule: pendingSchedule,
		accepted: func(status int) bool { return status == http.StatusOK },
	}, 0)
	return nil
}
