package klarnatest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// PaymentRequest is the state of a payment request.
type PaymentRequest struct {
	ID            string `json:"id"`
	State         string `json:"state"`
	SessionToken  string `json:"session_token"`
	TransactionID string `json:"transaction_id"`
}

// Transaction is the state of a transaction.
type Transaction struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Amount   int64  `json:"amount"`
	Captured int64  `json:"captured"`
	Refunded int64  `json:"refunded"`
	Captures int    `json:"captures"`
	Refunds  int    `json:"refunds"`
}

// PaymentRequest is the state of a payment request; ok is false when there is none with this id.
func (s *Server) PaymentRequest(id string) (state PaymentRequest, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.payments.requests[id]
	if r == nil {
		return PaymentRequest{}, false
	}
	state = PaymentRequest{ID: r.id, State: r.state, SessionToken: r.token}
	if r.transaction != nil {
		state.TransactionID = r.transaction.id
	}
	return state, true
}

// PaymentRequests lists the ids of all payment requests of an account.
func (s *Server) PaymentRequests(accountID string) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.payments.requests {
		if r.account.id == accountID {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Transaction is the state of a transaction; ok is false when there is none with this id.
func (s *Server) Transaction(id string) (state Transaction, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.payments.transactions[id]
	if t == nil {
		return Transaction{}, false
	}
	return Transaction{
		ID: t.id, State: t.state, Amount: t.amount, Captured: sum(t.captures), Refunded: sum(t.refunds),
		Captures: len(t.captures), Refunds: len(t.refunds),
	}, true
}

// Transactions lists the ids of all transactions of an account.
func (s *Server) Transactions(accountID string) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, t := range s.payments.transactions {
		if t.account.id == accountID {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// OpenRequest lets the customer begin.
func (s *Server) OpenRequest(id string) error {
	return s.onRequest("open", id, []string{requestSubmitted}, func(r *paymentRequest) { s.moveRequest(r, requestInProgress, "") })
}

// LeaveRequest lets the customer leave without paying; the request may be opened again.
func (s *Server) LeaveRequest(id string) error {
	return s.onRequest("leave", id, []string{requestInProgress}, func(r *paymentRequest) {
		s.moveRequest(r, requestSubmitted, "PURCHASE_FLOW_ABORTED")
	})
}

// CompleteRequest lets the customer pay and returns the session token that the transaction is authorized with.
func (s *Server) CompleteRequest(id string) (sessionToken string, err error) {
	err = s.onRequest("complete", id, []string{requestSubmitted, requestInProgress}, func(r *paymentRequest) {
		if r.state == requestSubmitted {
			s.moveRequest(r, requestInProgress, "")
		}
		s.completeRequest(r)
		sessionToken = r.token
	})
	return sessionToken, err
}

// DeclineRequest lets Klarna decline the customer.
func (s *Server) DeclineRequest(id string) error {
	return s.onRequest("decline", id, []string{requestInProgress}, func(r *paymentRequest) { s.moveRequest(r, requestDeclined, "") })
}

// onRequest calls f on a payment request in one of the states, with mu held.
func (s *Server) onRequest(attempt, id string, states []string, f func(*paymentRequest)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.payments.requests[id]
	switch {
	case r == nil:
		return fmt.Errorf("%s payment request %s: %w", attempt, id, errUnknown)
	case !slices.Contains(states, r.state):
		return fmt.Errorf("%s payment request %s: it is %s", attempt, id, r.state)
	}
	f(r)
	return nil
}

// DeclineNextAuthorizations lets the next n authorizations be declined.
func (s *Server) DeclineNextAuthorizations(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.payments.declines = n
}

// PendNextFundings makes the next n transactions ones whose money is not guaranteed and has still to come.
func (s *Server) PendNextFundings(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.payments.unfunded = n
}

// Fund lets the money of a transaction come.
func (s *Server) Fund(id string) error { return s.moveFunding(id, "FUNDED") }

// LapseFunding lets the time end in which the money of a transaction had to come. That an uncaptured one is closed with it
// is chosen here.
func (s *Server) LapseFunding(id string) error { return s.moveFunding(id, "EXPIRED") }

func (s *Server) moveFunding(id, state string) error {
	return s.onTransaction("fund", id, func(t *networkTransaction) error {
		if t.unfunded != "PENDING" {
			return errors.New("it waits for no money")
		}
		t.unfunded = state
		s.tellTransaction(t, "payment.funding.state-change."+strings.ToLower(state), doc{"payment_funding": doc{"type": "NON_GUARANTEED", "state": state}})
		if state == "EXPIRED" && t.state == transactionAuthorized && sum(t.captures) == 0 {
			s.moveTransaction(t, transactionClosed)
		}
		return nil
	})
}

// ChargeBack lets Klarna take money of a captured transaction back for the customer.
func (s *Server) ChargeBack(id string, amount int64) (chargebackID string, err error) {
	err = s.onTransaction("charge back", id, func(t *networkTransaction) error {
		if amount < 1 || amount > sum(t.captures)-sum(t.refunds)-sum(t.chargebacks) {
			return errors.New("there is not as much to take back")
		}
		made := t.newMovement("chargeback", "", amount, len(t.chargebacks)+1, s.now())
		t.chargebacks = append(t.chargebacks, made)
		chargebackID = made.id
		s.tellTransaction(t, "payment.transaction.chargeback", made.document())
		return nil
	})
	return chargebackID, err
}

// Dispute tells of a dispute about a transaction. An empty disputeID opens one; the word is the end of the event type, such
// as merchant-evidence-pending. Klarna's dispute names differ by release.
func (s *Server) Dispute(id, disputeID, word string) (string, error) {
	if disputeID == "" {
		disputeID = "krn:network:eu1:test:payment:dispute:" + uuid.NewString()
	}
	return disputeID, s.onTransaction("dispute", id, func(t *networkTransaction) error {
		s.notifyNetwork(t.account, "payment.dispute.state-change."+word, t.account.product.id, doc{
			"payment_dispute_id": disputeID, "payment_transaction_id": t.id, "dispute_reason": "PRODUCTS_OR_SERVICES_NOT_RECEIVED",
			"state": strings.ToUpper(strings.ReplaceAll(word, "-", "_")),
		})
		return nil
	})
}

// onTransaction calls f on a transaction with mu held.
func (s *Server) onTransaction(attempt, id string, f func(*networkTransaction) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.payments.transactions[id]
	if t == nil {
		return fmt.Errorf("%s transaction %s: %w", attempt, id, errUnknown)
	}
	if err := f(t); err != nil {
		return fmt.Errorf("%s transaction %s: %w", attempt, id, err)
	}
	return nil
}

// adminPayments are the controls of payments on the Network.
func (s *Server) adminPayments(handle func(string, func(*http.Request, adminRequest) (any, error))) {
	named := func(pattern string, do func(id string, req adminRequest) (any, error)) {
		handle(pattern, func(r *http.Request, req adminRequest) (any, error) { return do(r.PathValue("id"), req) })
	}
	named("GET /admin/payment-requests/{id}", func(id string, _ adminRequest) (any, error) { return found(s.PaymentRequest(id)) })
	named("POST /admin/payment-requests/{id}/open", func(id string, _ adminRequest) (any, error) { return nil, s.OpenRequest(id) })
	named("POST /admin/payment-requests/{id}/leave", func(id string, _ adminRequest) (any, error) { return nil, s.LeaveRequest(id) })
	named("POST /admin/payment-requests/{id}/decline", func(id string, _ adminRequest) (any, error) { return nil, s.DeclineRequest(id) })
	named("POST /admin/payment-requests/{id}/complete", func(id string, _ adminRequest) (any, error) {
		token, err := s.CompleteRequest(id)
		return doc{"session_token": token}, err
	})
	named("GET /admin/transactions/{id}", func(id string, _ adminRequest) (any, error) { return found(s.Transaction(id)) })
	named("POST /admin/transactions/{id}/fund", func(id string, _ adminRequest) (any, error) { return nil, s.Fund(id) })
	named("POST /admin/transactions/{id}/lapse-funding", func(id string, _ adminRequest) (any, error) { return nil, s.LapseFunding(id) })
	named("POST /admin/transactions/{id}/charge-back", func(id string, req adminRequest) (any, error) {
		if req.Amount == nil {
			return nil, errBody
		}
		made, err := s.ChargeBack(id, *req.Amount)
		return doc{"chargeback_id": made}, err
	})
	named("POST /admin/transactions/{id}/dispute", func(id string, req adminRequest) (any, error) {
		made, err := s.Dispute(id, req.DisputeID, req.Status)
		return doc{"dispute_id": made}, err
	})
	named("POST /admin/transactions/decline-next", func(_ string, req adminRequest) (any, error) {
		s.DeclineNextAuthorizations(req.Count)
		return nil, nil
	})
	named("POST /admin/transactions/pend-funding", func(_ string, req adminRequest) (any, error) {
		s.PendNextFundings(req.Count)
		return nil, nil
	})
}
