package klarnatest

import (
	"encoding/base64"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Klarna: a session lives 48 hours or until an order is placed.
const sessionLifetime = 48 * time.Hour

// classicTime is how the classic APIs write times, in UTC.
const classicTime = "2006-01-02T15:04:05.000Z"

// session is a Klarna Payments session.
type session struct {
	id      string
	token   string // client token
	doc     doc    // as created and updated
	expires time.Time
	current *authorization // the last one, or nil
	orderID string         // set once complete
}

// fields of a session that are Klarna's to set.
var sessionReadOnly = []string{
	"authorization_token", "client_token", "expires_at", "payment_method_categories", "status", "session_id",
}

func (s *Server) createSession(c *call) answer {
	request := c.doc.without(sessionReadOnly...)
	if bad := checkCart(request); bad != nil {
		return c.badValue(bad)
	}
	id := uuid.NewString()
	ss := &session{
		id: id, doc: request, expires: s.now().Add(sessionLifetime),
		token: base64.RawURLEncoding.EncodeToString(encode(doc{"session_id": id})),
	}
	s.sessions[id] = ss
	return reply(http.StatusOK, doc{
		"session_id": ss.id, "client_token": ss.token, "payment_method_categories": categories(),
	})
}

// updateSession lays the given fields over the session. What was authorized before stays as it was authorized.
func (s *Server) updateSession(c *call) answer {
	return s.withSession(c, func(ss *session) answer {
		if ss.orderID != "" {
			return c.refuse(http.StatusNotFound, "SESSION_COMPLETED", "Session has already been completed")
		}
		updated := ss.doc.with(c.doc.without(sessionReadOnly...))
		if bad := checkCart(updated); bad != nil {
			return c.badValue(bad)
		}
		ss.doc = updated
		return answer{status: http.StatusNoContent}
	})
}

// readSession answers the session. Klarna: customer data appears only after an authorization, and the authorization
// token with it, which is how a lost callback is made good.
func (s *Server) readSession(c *call) answer {
	return s.withSession(c, func(ss *session) answer {
		d := ss.doc.without("billing_address", "shipping_address", "customer", "step_up_id")
		if a := ss.current; a != nil && a.usable(s.now()) {
			d = d.with(a.doc.pick("billing_address", "shipping_address"), doc{"authorization_token": a.token})
			if customer := a.doc.object("customer"); customer != nil {
				d["customer"] = customer.pick("date_of_birth", "gender", "title", "type", "vat_id",
					"organization_registration_id", "organization_entity_type")
			}
		}
		status := "incomplete"
		if ss.orderID != "" {
			status = "complete"
		}
		return reply(http.StatusOK, d.with(doc{
			"status": status, "client_token": ss.token, "expires_at": ss.expires.Format(classicTime),
			"payment_method_categories": categories(),
		}))
	})
}

func (s *Server) withSession(c *call, f func(*session) answer) answer {
	ss := s.sessions[c.path("session_id")]
	if ss == nil || !s.now().Before(ss.expires) {
		return c.refuse(http.StatusNotFound, "NOT_FOUND", "Invalid session id")
	}
	return f(ss)
}

func categories() []doc {
	badge := "https://x.klarnacdn.net/payment-method/assets/badges/generic/klarna.svg"
	return []doc{{
		"identifier": "klarna", "name": "Pay with Klarna", "asset_urls": doc{"descriptive": badge, "standard": badge},
	}}
}
