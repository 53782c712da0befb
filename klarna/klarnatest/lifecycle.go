package klarnatest

import (
	"errors"
	"fmt"
)

// configuredWebhook is the id of the subscription that a Config asks for.
const configuredWebhook = "krn:partner:global:notification:webhook:5d0f7c1a-2b93-4e6d-8a41-6c9b0e7f1234"

// recipientID is who we are towards Klarna: the owner of the subscriptions.
func (s *Server) recipientID() string {
	return "krn:partner:global:account:" + s.environment() + ":AQ4ZT9WN"
}

// Types of the notifications about accounts, in Klarna's words.
const (
	EventOperational     = "partner.account.state-change.operational"
	EventBrandIncomplete = "partner.account.brand.data-incomplete"
	EventProductDisabled = "partner.account.product.payment.state-change.disabled"
	EventProductEnabled  = "partner.account.product.payment.state-change.enabled"
)

// Account is the state of a partner account.
type Account struct {
	ID           string `json:"id"`
	Reference    string `json:"reference"`
	Name         string `json:"name"`
	State        string `json:"state"`
	ProductID    string `json:"product_id"`
	ProductState string `json:"product_state"`
}

// Account is the state of an account; ok is false when there is none with this id.
func (s *Server) Account(accountID string) (state Account, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[accountID]
	if a == nil {
		return Account{}, false
	}
	return Account{
		ID: a.id, Reference: a.reference, Name: a.name, State: a.state,
		ProductID: a.product.id, ProductState: a.product.state,
	}, true
}

// Operational finishes the set-up of an account now.
func (s *Server) Operational(accountID string) error {
	return s.onAccount("make operational", accountID, func(a *account) error {
		if a.state != statePartiallyOperational {
			return fmt.Errorf("account is %s", a.state)
		}
		s.becomeOperational(a)
		return nil
	})
}

// DisableAccount disables an account and its product. Klarna: all products are disabled with their account; no event
// of its own is known, so the product's is all that is sent.
func (s *Server) DisableAccount(accountID string) error {
	return s.onAccount("disable", accountID, func(a *account) error {
		if a.state != stateOperational {
			return fmt.Errorf("account is %s", a.state)
		}
		a.state = stateDisabled
		if a.product.state == productEnabled {
			s.turnProduct(a, productDisabled)
		}
		return nil
	})
}

// EnableAccount makes a disabled account operational again, and its product enabled. Both are notified.
func (s *Server) EnableAccount(accountID string) error {
	return s.onAccount("enable", accountID, func(a *account) error {
		if a.state != stateDisabled {
			return fmt.Errorf("account is %s", a.state)
		}
		s.becomeOperational(a)
		s.turnProduct(a, productEnabled)
		return nil
	})
}

// DisableProduct lets Klarna disable the payment product, for risk.
func (s *Server) DisableProduct(accountID string) error {
	return s.onAccount("disable product of", accountID, func(a *account) error {
		if a.product.state == productDisabled {
			return errors.New("product is DISABLED")
		}
		s.turnProduct(a, productDisabled)
		return nil
	})
}

// EnableProduct lets Klarna enable the payment product again. A disabled account can have none.
func (s *Server) EnableProduct(accountID string) error {
	return s.onAccount("enable product of", accountID, func(a *account) error {
		if a.product.state == productEnabled || a.state == stateDisabled {
			return fmt.Errorf("account is %s, product is %s", a.state, a.product.state)
		}
		s.turnProduct(a, productEnabled)
		return nil
	})
}

// BrandIncomplete tells that the logo of a brand cannot be read.
func (s *Server) BrandIncomplete(accountID, brandReference string) error {
	return s.onAccount("look at brand of", accountID, func(a *account) error {
		brand := find(a.brands, brandReference)
		if brand == nil {
			return fmt.Errorf("brand %s: %w", brandReference, errUnknown)
		}
		s.brandIncomplete(a, brand)
		return nil
	})
}

// onAccount calls f on an account with mu held.
func (s *Server) onAccount(attempt, accountID string, f func(*account) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[accountID]
	if a == nil {
		return fmt.Errorf("%s account %s: %w", attempt, accountID, errUnknown)
	}
	if err := f(a); err != nil {
		return fmt.Errorf("%s account %s: %w", attempt, accountID, err)
	}
	return nil
}

func (s *Server) becomeOperational(a *account) {
	previous := a.state
	a.state = stateOperational
	s.notifyNetwork(a, EventOperational, "", doc{
		"partner_account_id": a.id, "state": a.state, "previous_state": previous,
	})
}

// turnProduct lets Klarna enable the product, or disable it for risk.
func (s *Server) turnProduct(a *account, state string) {
	reason := ""
	if state == productDisabled {
		reason = "RISK"
	}
	s.moveProduct(a, state, reason, true)
}

// moveProduct changes the product's state. That Klarna tells of it too when it was us is possible; here it does.
func (s *Server) moveProduct(a *account, state, reason string, byKlarna bool) {
	payload := doc{"product_id": a.product.id, "state": state, "previous_state": a.product.state}
	a.product.state, a.product.reason, a.product.byKlarna = state, reason, byKlarna
	if reason != "" {
		payload["state_reason"] = reason
	}
	event := EventProductEnabled
	if state == productDisabled {
		event = EventProductDisabled
	}
	s.notifyNetwork(a, event, a.product.id, payload)
}

func (s *Server) brandIncomplete(a *account, brand *item) {
	s.notifyNetwork(a, EventBrandIncomplete, "", doc{
		"brand_id": brand.id, "brand_reference": brand.reference,
		"incomplete_fields": []doc{{"field": "element.logo_url", "reason": "URL answered 404"}},
	})
}

// notifyNetwork tells about an account. Klarna: account-level events have no product_instance_id. Callers hold mu.
func (s *Server) notifyNetwork(a *account, eventType, productID string, payload doc) {
	more := doc{}
	if productID != "" {
		more["product_instance_id"] = productID
	}
	s.publish(eventType, a.id, more, payload)
}
