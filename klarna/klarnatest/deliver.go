package klarnatest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"payments.internal/klarna-gateway/klarna"
)

// The kinds of what Klarna sends, as found in Delivery.Kind.
const (
	KindNetwork       = "network"        // signed notification about an account
	KindPaymentStatus = "payment_status" // signed notification about an order
	KindAuthorization = "authorization"  // unsigned callback about a session
	KindPush          = "push"           // unsigned push about a Checkout order
	KindHostedPage    = "hosted_page"    // unsigned update about a hosted page
	KindPendingOrder  = "pending_order"  // unsigned notification about an order's risk decision
)

// Delivery is one attempt to send something, or a message that was dropped.
type Delivery struct {
	Kind    string    `json:"kind"`
	URL     string    `json:"url"`
	EventID string    `json:"event_id"` // the authorization token of a callback, the order id of a push
	Type    string    `json:"type"`     // event type; the kind where there is none
	Subject string    `json:"subject"`  // id of the account, order, session or page it is about
	Attempt int       `json:"attempt"`  // 1 is the first; 0 when dropped
	Status  int       `json:"status"`   // HTTP status of the answer; 0 without one
	Dropped bool      `json:"dropped"`  // lost on the way, never repeated
	At      time.Time `json:"at"`       // simulated time
}

// hooks is what is going out, has gone out, and how it is interfered with. Guarded by Server.mu.
type hooks struct {
	sent          map[string]*message // by event and webhook id, for Resend
	log           []Delivery
	hold          bool
	held          []*message // due, kept back, oldest first
	faults        []*HookFault
	overtaken     []*message // to go out behind the next one
	duplicate     int        // messages to be sent twice
	drop          int        // messages to be lost
	dropCallbacks int        // callbacks to be lost
}

// message is something to send until it is accepted or its schedule ends.
type message struct {
	kind, url, eventID, eventType, subject string
	webhookID                              string     // of a Network notification
	key                                    signingKey // that signs it, however late it is tried again
	body                                   []byte
	schedule                               []time.Duration       // waits after the first, second, ... failed attempt
	accepted                               func(status int) bool // whether to stop after this answer
	moot                                   func() bool           // nil, or whether to stop before trying; called with mu held
	attempt                                int                   // attempts made
	released                               bool                  // its next attempt is not to be held
}

// Klarna: a Network notification is repeated after 10 s, 2 min, 15 min, 3 h, 6 h and 12 h, here each counted from the
// attempt before, then given up. No figures are known for payment status; the same ones stand in.
var notificationSchedule = []time.Duration{
	10 * time.Second, 2 * time.Minute, 15 * time.Minute, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

// Klarna: an authorization callback is tried three times in total, the first wait being one second.
var callbackSchedule = []time.Duration{time.Second, 2 * time.Second}

// Klarna: an update of a hosted page is tried four times, a few seconds apart.
var pageSchedule = []time.Duration{3 * time.Second, 3 * time.Second, 3 * time.Second}

// Klarna: a push comes about two minutes after the purchase, again after 5, 15, 30 and 60 minutes, then every four
// hours, for 48 hours in total. Here the waits count from the push before.
const (
	pushDelay    = 2 * time.Minute
	pushLifetime = 48 * time.Hour
)

var pushSchedule = func() []time.Duration {
	waits := []time.Duration{5 * time.Minute, 15 * time.Minute, 30 * time.Minute, 60 * time.Minute}
	total := 110 * time.Minute
	for total+4*time.Hour <= pushLifetime {
		waits, total = append(waits, 4*time.Hour), total+4*time.Hour
	}
	return waits
}()

// acceptsNotification: Klarna takes exactly these four for success.
func acceptsNotification(status int) bool {
	return slices.Contains([]int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent}, status)
}

// acceptsCallback: Klarna takes any 2xx answer to an authorization callback or an update of a hosted page.
func acceptsCallback(status int) bool { return status >= 200 && status < 300 }

// acceptsPush: no answer to a push stops it, only an acknowledged order does.
func acceptsPush(int) bool { return false }

// send makes m go out after delay, unless it is to be dropped. Callers hold mu.
func (s *Server) send(m *message, delay time.Duration) {
	if m.url == "" {
		return
	}
	s.hooks.sent[m.eventID+" "+m.webhookID] = m
	fault := s.takeHookFault(m)
	if fault.Drop || s.dropped(m) {
		s.record(m, s.now(), 0, true)
		return
	}
	copies := 1
	if s.hooks.duplicate > 0 {
		s.hooks.duplicate--
		copies = 2
	}
	if fault.Duplicate {
		copies = 2
	}
	at := s.now().Add(delay + fault.Late)
	for range copies {
		again := *m
		if fault.Overtaken {
			s.hooks.overtaken = append(s.hooks.overtaken, &again)
			continue
		}
		s.schedule(entry{at: at, msg: &again})
	}
	if !fault.Overtaken {
		s.releaseOvertaken(at)
	}
}

// dropped tells whether m is one of those to be lost, and counts it. Callers hold mu.
func (s *Server) dropped(m *message) bool {
	switch {
	case m.kind == KindAuthorization && s.hooks.dropCallbacks > 0:
		s.hooks.dropCallbacks--
		return true
	case s.hooks.drop > 0:
		s.hooks.drop--
		return true
	}
	return false
}

// deliver makes one attempt and plans the next. It runs on the delivery goroutine only, which therefore owns m.
func (s *Server) deliver(m *message) {
	s.mu.Lock()
	if m.moot != nil && m.moot() {
		s.mu.Unlock()
		return
	}
	if s.hooks.hold && !m.released {
		s.hooks.held = append(s.hooks.held, m)
		s.mu.Unlock()
		return
	}
	m.released = false
	at := s.now()
	s.mu.Unlock()

	m.attempt++
	status, err := s.post(m, at)
	s.cfg.Logger.DebugContext(s.ctx, "hook delivered", "kind", m.kind, "event_type", m.eventType, "event_id", m.eventID,
		"attempt", m.attempt, "http_status", status, "error", err)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.record(m, at, status, false)
	if !m.accepted(status) && m.attempt <= len(m.schedule) {
		s.schedule(entry{at: at.Add(m.schedule[m.attempt-1]), msg: m})
	}
}

// record logs an attempt. Callers hold mu.
func (s *Server) record(m *message, at time.Time, status int, dropped bool) {
	s.hooks.log = append(s.hooks.log, Delivery{
		Kind: m.kind, URL: m.url, EventID: m.eventID, Type: m.eventType, Subject: m.subject,
		Attempt: m.attempt, Status: status, Dropped: dropped, At: at,
	})
}

// post sends m once and returns the status of the answer, 0 if there was none.
func (s *Server) post(m *message, at time.Time) (int, error) {
	// Klarna: a callback has 2 s to connect and 2 s to be answered, an update of a page 3 s. Other limits are not known.
	limit := 10 * time.Second
	switch m.kind {
	case KindAuthorization:
		limit = 4 * time.Second
	case KindHostedPage:
		limit = 3 * time.Second
	}
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, bytes.NewReader(m.body))
	if err != nil {
		return 0, fmt.Errorf("deliver %s: %w", m.eventID, err)
	}
	s.dress(req, m, at)
	res, err := s.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("deliver %s: %w", m.eventID, err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxBody)) // so that the connection can be used again
	return res.StatusCode, nil
}

// dress sets the headers of an attempt; a signature with a time in it is made anew each time.
func (s *Server) dress(req *http.Request, m *message, at time.Time) {
	req.Header.Set("User-Agent", "klarnatest")
	if len(m.body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	switch m.kind {
	case KindNetwork:
		req.Header.Set("Klarna-Signing-Key-Id", m.key.id)
		req.Header.Set("Klarna-Signature", klarna.SignNetwork([]byte(m.key.secret), m.body))
	case KindPaymentStatus:
		signature := klarna.SignPaymentStatus([]byte(s.cfg.PaymentStatusKey), s.cfg.PaymentStatusKeyVersion, at, m.body)
		req.Header.Set("Date", at.Format(http.TimeFormat))
		req.Header.Set("Payload-Signature", signature)
		// Klarna: the bare signature still comes in this deprecated header, which receivers should ignore.
		_, sig, _ := strings.Cut(signature, "sig=")
		sig, _, _ = strings.Cut(sig, ",")
		req.Header.Set("Klarna-Signature", sig)
	}
}
