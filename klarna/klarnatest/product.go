package klarnatest

import (
	"net/http"
	"time"

	"github.com/google/uuid"
)

// EventDecision is the type of the notification that a compliance decision was made.
const EventDecision = "partner.compliance.decision.created"

// withProduct is withAccount for the product in the path; managing says that it is to be changed.
func (s *Server) withProduct(c *call, managing bool, f func(*account) answer) answer {
	within := s.withAccount
	if managing {
		within = s.managing
	}
	return within(c, func(a *account) answer {
		if c.path("product_id") != a.product.id {
			return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "Partner account has no such product")
		}
		return f(a)
	})
}

// disableProduct lets us disable the product. That one which is not enabled is refused with 409 is chosen here.
func (s *Server) disableProduct(c *call) answer {
	return s.withProduct(c, true, func(a *account) answer {
		k := &checker{}
		k.texture("", "", c.doc)
		k.texts(located{doc: c.doc}, "reason")
		switch {
		case k.errs != nil:
			return c.invalid(k.errs)
		case a.product.state != productEnabled:
			return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "Product is "+a.product.state)
		}
		s.moveProduct(a, productDisabled, c.doc.str("reason"), false)
		return reply(http.StatusOK, a.productDocument())
	})
}

// enableProduct lets us enable the product. Klarna: one page says that we may enable only what we have disabled
// ourselves; here that holds.
func (s *Server) enableProduct(c *call) answer {
	return s.withProduct(c, true, func(a *account) answer {
		switch {
		case a.product.state != productDisabled:
			return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "Product is "+a.product.state)
		case a.product.byKlarna:
			return c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Product was disabled by Klarna")
		}
		s.moveProduct(a, productEnabled, "", false)
		return reply(http.StatusOK, a.productDocument())
	})
}

func (s *Server) createPaymentAccount(c *call) answer {
	return s.withProduct(c, true, func(a *account) answer {
		check := func(k *checker, root located) {
			_, groups, entities := a.references()
			k.paymentAccount(root, entities, groups)
		}
		return c.creating(nil, "", check, func() answer {
			if s.paymentAccount[acquiringKey(c.doc)] != nil {
				return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "Payment account reference is in use")
			}
			s.extend(a, addition{paymentAccounts: []doc{c.doc}})
			return reply(http.StatusCreated, a.paymentAccountDocument(a.product.accounts[len(a.product.accounts)-1]))
		})
	})
}

func (s *Server) readPaymentAccount(c *call) answer {
	return s.withProduct(c, false, func(a *account) answer {
		return withItem(c, a.product.accounts, "payment_account_id", func(pa *item) answer {
			return reply(http.StatusOK, a.paymentAccountDocument(pa))
		})
	})
}

func (s *Server) updatePaymentAccount(c *call) answer {
	return s.withProduct(c, true, func(a *account) answer {
		return withItem(c, a.product.accounts, "payment_account_id", func(pa *item) answer {
			const reference, code = "payment_account_reference", "default_merchant_category_code"
			check := func(k *checker, root located) { k.textsIfAny(root, reference, code) }
			return c.changing(check, func() answer {
				after := pa.input.with(c.doc.pick(reference, code))
				if acquiringKey(after) != acquiringKey(pa.input) && s.paymentAccount[acquiringKey(after)] != nil {
					return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "Payment account reference is in use")
				}
				delete(s.paymentAccount, acquiringKey(pa.input))
				s.paymentAccount[acquiringKey(after)] = a
				pa.input, pa.reference = after, after.str(reference)
				return reply(http.StatusOK, a.paymentAccountDocument(pa))
			})
		})
	})
}

// listPaymentProfiles answers a bare array. Klarna: r2512 does, other releases wrap it. The one profile is the example
// of onboarding; onboarding takes any.
func (s *Server) listPaymentProfiles(*call) answer {
	return reply(http.StatusOK, []doc{{
		"payment_profile_id": "krn:network:global:" + s.environment() + ":payment-profile:7b0c2e5a-55f1-4a0e-8a2e-1f6a6f0a9d11",
		"name":               "Standard",
	}})
}

// Decide lets Klarna make a compliance decision about an account and tell of it. Klarna documents no more of a decision
// than its id; details are what else it shows.
func (s *Server) Decide(accountID string, details map[string]any) (decisionID string, err error) {
	decisionID = "krn:partner:global:compliance:decision:" + uuid.NewString()
	err = s.onAccount("decide on", accountID, func(a *account) error {
		a.decisions = append(a.decisions, doc{"created_at": s.now().Format(time.RFC3339Nano)}.with(details, doc{"decision_id": decisionID}))
		s.notifyNetwork(a, EventDecision, "", doc{"decision_id": decisionID})
		return nil
	})
	return decisionID, err
}

func (s *Server) listDecisions(c *call) answer {
	return s.withAccount(c, func(a *account) answer { return c.cursorPage("decisions", "decision_id", a.decisions) })
}

func (s *Server) readDecision(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		for _, d := range a.decisions {
			if d.str("decision_id") == c.path("decision_id") {
				return reply(http.StatusOK, d)
			}
		}
		return withItem(c, nil, "decision_id", nil)
	})
}
