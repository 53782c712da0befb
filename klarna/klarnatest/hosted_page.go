package klarnatest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Klarna: a page ends an hour before its payment session.
const pageEndsBefore = time.Hour

// States of a hosted page, in Klarna's words.
const (
	pageWaiting    = "WAITING"
	pageInProgress = "IN_PROGRESS"
	pageCompleted  = "COMPLETED"
	pageDisabled   = "DISABLED"
)

// pageLeft are the states in which a customer may leave a page. Klarna: CANCELLED is final, after the others the
// customer may come back; TIMEOUT is told in updates, though the document does not list it.
var pageLeft = []string{"BACK", "FAILED", "ERROR", "CANCELLED", "TIMEOUT"}

// ProfilePlaceOrder is the id of a page profile that lets Klarna place the order, as place_order_mode does.
const ProfilePlaceOrder = "87ab3565-5e06-4006-9ada-8eedc6926703"

// hostedPage is a page on which a session is paid.
type hostedPage struct {
	id, status       string
	session          *session
	doc              doc // as created
	updated, expires time.Time
	token            string // authorization, once completed
	order            *order // if Klarna placed it
	sent             []string
}

// HostedPage is the state of a hosted page.
type HostedPage struct {
	ID        string   `json:"id"`
	SessionID string   `json:"session_id"` // of the payment session
	Status    string   `json:"status"`
	OrderID   string   `json:"order_id"` // if Klarna placed the order
	Sent      []string `json:"sent"`     // where its link was sent to, oldest first
}

// HostedPage is the state of a page; ok is false when there is none with this id.
func (s *Server) HostedPage(pageID string) (state HostedPage, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pages[pageID]
	if p == nil {
		return HostedPage{}, false
	}
	state = HostedPage{ID: p.id, SessionID: p.session.id, Status: p.status, Sent: slices.Clone(p.sent)}
	if p.order != nil {
		state.OrderID = p.order.id
	}
	return state, true
}

func pageRoutes() []*route {
	const pages = "/hpp/v1/sessions"
	return []*route{
		{"createHostedPage", payments, "POST " + pages, true, (*Server).createHostedPage},
		{"readHostedPage", payments, "GET " + pages + "/{page_id}", false, (*Server).readHostedPage},
		{"disableHostedPage", payments, "DELETE " + pages + "/{page_id}", false, (*Server).disableHostedPage},
		{"distributeHostedPage", payments, "POST " + pages + "/{page_id}/distribution", true, (*Server).distributeHostedPage},
	}
}

// createHostedPage opens a page for a payment session. Pages for Checkout orders, which Klarna has too, are left out.
func (s *Server) createHostedPage(c *call) answer {
	if bad := checkPage(c.doc); bad != nil {
		return c.badValue(bad)
	}
	_, id, _ := strings.Cut(c.doc.str("payment_session_url"), "/payments/v1/sessions/")
	ss := s.sessions[id]
	switch {
	case ss == nil || !s.now().Before(ss.expires.Add(-pageEndsBefore)):
		return c.refuse(http.StatusNotFound, "NOT_FOUND", "Payment session has expired")
	case ss.orderID != "":
		return c.badValue([]string{"payment_session_url"})
	}
	p := &hostedPage{
		id: uuid.NewString(), status: pageWaiting, session: ss, doc: c.doc,
		updated: s.now(), expires: ss.expires.Add(-pageEndsBefore),
	}
	s.pages[p.id] = p
	self, shown := c.address("/hpp/v1/sessions/"+p.id), "https://pay.klarna.com/eu/hpp/payments/"+p.id[:8]
	return reply(http.StatusCreated, doc{
		"session_id": p.id, "session_url": self, "redirect_url": shown, "qr_code_url": shown + "/qr",
		"distribution_url": self + "/distribution", "manual_identification_check_url": self + "/manual-id-check",
		"expires_at": p.expires.Format(classicTime),
	})
}

var pageCategories = []string{"DIRECT_DEBIT", "DIRECT_BANK_TRANSFER", "PAY_NOW", "PAY_LATER", "PAY_OVER_TIME", "KLARNA"}

// checkPage lists the fields of a page that break a rule.
func checkPage(d doc) (bad []string) {
	if !strings.Contains(d.str("payment_session_url"), "/payments/v1/sessions/") {
		bad = append(bad, "payment_session_url")
	}
	urls, options := d.object("merchant_urls"), d.object("options")
	for _, field := range []string{"success", "cancel", "back", "failure", "error", "status_update"} {
		if urls.has(field) && !secureURL(urls.str(field)) {
			bad = append(bad, "merchant_urls."+field)
		}
	}
	if options.has("payment_method_category") && !slices.Contains(pageCategories, options.str("payment_method_category")) {
		bad = append(bad, "options.payment_method_category")
	}
	return bad
}

// readHostedPage answers what became of a page: the token of the authorization or the order.
func (s *Server) readHostedPage(c *call) answer {
	return s.withPage(c, func(p *hostedPage) answer { return reply(http.StatusOK, p.document()) })
}

func (p *hostedPage) document() doc {
	d := doc{
		"session_id": p.id, "status": p.status,
		"updated_at": p.updated.Format(classicTime), "expires_at": p.expires.Format(classicTime),
	}
	switch {
	case p.order != nil:
		d["order_id"], d["klarna_reference"] = p.order.id, p.order.reference
	case p.token != "":
		d["authorization_token"] = p.token
	}
	return d
}

// disableHostedPage takes a page away. Klarna: not one on which the purchase is complete. That a disabled one cannot be
// disabled again is inferred.
func (s *Server) disableHostedPage(c *call) answer {
	return s.withPage(c, func(p *hostedPage) answer {
		if p.status == pageCompleted || p.status == pageDisabled {
			return c.refuse(http.StatusBadRequest, "BAD_REQUEST", "Session is "+p.status)
		}
		s.movePage(p, pageDisabled)
		return answer{status: http.StatusNoContent}
	})
}

// distributeHostedPage sends the link. Klarna: not of a disabled page; the method token is left out here.
func (s *Server) distributeHostedPage(c *call) answer {
	return s.withPage(c, func(p *hostedPage) answer {
		field := map[string]string{"email": "email", "sms": "phone"}[c.doc.str("method")]
		contact := c.doc.object("contact_information")
		switch {
		case field == "":
			return c.badValue([]string{"method"})
		case contact.str(field) == "":
			return c.badValue([]string{"contact_information." + field})
		case field == "phone" && !countryPattern.MatchString(contact.str("phone_country")):
			return c.badValue([]string{"contact_information.phone_country"})
		case p.status == pageDisabled:
			return c.refuse(http.StatusBadRequest, "BAD_REQUEST", "Session is disabled")
		}
		p.sent = append(p.sent, contact.str(field))
		return answer{status: http.StatusNoContent}
	})
}

func (s *Server) withPage(c *call, f func(*hostedPage) answer) answer {
	p := s.pages[c.path("page_id")]
	if p == nil || !s.now().Before(p.expires) {
		return c.refuse(http.StatusNotFound, "NOT_FOUND", "Session not found")
	}
	return f(p)
}

// movePage changes the status of a page and tells it. Callers hold mu.
func (s *Server) movePage(p *hostedPage, status string) {
	p.status, p.updated = status, s.now()
	orderID := ""
	if p.order != nil {
		orderID = p.order.id
	}
	url := strings.NewReplacer("{{session_id}}", p.id, "{{authorization_token}}", p.token, "{{order_id}}", orderID).
		Replace(p.doc.object("merchant_urls").str("status_update"))
	eventID := uuid.NewString()
	s.send(&message{
		kind: KindHostedPage, url: url, eventID: eventID, eventType: status, subject: p.id,
		body: encode(doc{"event_id": eventID, "session": p.document()}), schedule: pageSchedule, accepted: acceptsCallback,
	}, 0)
}

// OpenPage plays a customer who opens a page.
func (s *Server) OpenPage(pageID string) error {
	return s.onPage("open", pageID, func(p *hostedPage) error {
		s.movePage(p, pageInProgress)
		return nil
	})
}

// CompletePage plays a customer who pays on a page. The session is authorized by it, callback and all, and if the page
// says so Klarna places the order at once; then there is no token.
func (s *Server) CompletePage(pageID string) (token string, err error) {
	err = s.onPage("complete", pageID, func(p *hostedPage) error {
		a, err := s.authorize(p.session)
		if err != nil {
			return err
		}
		p.token = a.token
		mode := p.doc.object("options").str("place_order_mode")
		if mode == "PLACE_ORDER" || mode == "CAPTURE_ORDER" || p.doc.str("profile_id") == ProfilePlaceOrder {
			p.token = ""
			p.order = s.makeOrder(a, a.doc.with(doc{"auto_capture": mode == "CAPTURE_ORDER"}))
		}
		s.movePage(p, pageCompleted)
		token = p.token
		return nil
	})
	return token, err
}

// LeavePage plays a customer who leaves a page without paying: BACK, FAILED, ERROR, CANCELLED or TIMEOUT.
func (s *Server) LeavePage(pageID, status string) error {
	return s.onPage("leave", pageID, func(p *hostedPage) error {
		if !slices.Contains(pageLeft, status) {
			return fmt.Errorf("status %q: %w", status, errUnknown)
		}
		s.movePage(p, status)
		return nil
	})
}

// onPage calls f with mu held on a page that a customer can use.
func (s *Server) onPage(attempt, pageID string, f func(*hostedPage) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pages[pageID]
	if p == nil {
		return fmt.Errorf("%s page %s: %w", attempt, pageID, errUnknown)
	}
	final := p.status == pageCompleted || p.status == pageDisabled || p.status == "CANCELLED"
	if final || !s.now().Before(p.expires) {
		return fmt.Errorf("%s page %s: %w", attempt, pageID, errors.New("page is "+p.status+" or expired"))
	}
	if err := f(p); err != nil {
		return fmt.Errorf("%s page %s: %w", attempt, pageID, err)
	}
	return nil
}
