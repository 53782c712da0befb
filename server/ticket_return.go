package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"payments.internal/klarna-gateway/store"
)

// A browser's EventSource comes back by itself, with the URL that it was opened with and so with a ticket that is spent.
// What lets it in again is a cookie, which the first use of the ticket has set: a secret of its own, good for watching
// the ticket's payment together with that ticket and nothing else. Who finds the URL in some log has no cookie, and no page
// of another site can send it. It is not renewed by use: what began with a ticket is over a known time after it.
const (
	purposeReturn = "watch-return"
	// returnLife is longer than a watch may last, so that every end that the gateway makes can be come back from.
	returnLife   = 30 * time.Minute
	returnKey    = "gateway-watch-return"     // metadata on the in-memory connection: the cookie that came
	newReturnKey = "gateway-watch-return-new" // and the one that is set if the ticket is good
)

// returnCookie is the cookie's name, which tells tickets apart and does not tell the ticket.
func returnCookie(ticket string) string { return "klarna_gateway_watch_" + digestOf(ticket)[:16] }

func digestOf(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

// newSecret is 256 bits of chance.
func newSecret() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return base64.RawURLEncoding.EncodeToString(random)
}

// presented is what a REST client showed of a ticket, and what it is given for coming back.
type presented struct {
	ticket string
	back   string // the cookie that came with it; empty without one
	fresh  string // the one that is set if the ticket is good; empty where one came
}

// allowReturn has a cookie set for coming back, if a ticket was spent for it.
func allowReturn(ctx context.Context, tx store.Tx, t ticket, what presented, now time.Time) error {
	if what.fresh == "" {
		return nil
	}
	t.Of = digestOf(what.ticket)
	about, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode return: %w", err)
	}
	hash := sha256.Sum256([]byte(what.fresh))
	return tx.PutSecret(ctx, store.Secret{
		Hash: hash[:], Purpose: purposeReturn, MerchantAccount: t.MerchantAccount, Key: string(about), ExpiresAt: now.Add(returnLife),
	})
}

// comeBack is the ticket that a cookie stands for; errTicket if it is another one's, or has run out.
func (s *Server) comeBack(ctx context.Context, what presented) (*ticket, error) {
	hash := sha256.Sum256([]byte(what.back))
	row, err := s.store.Secret(ctx, hash[:])
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (row.Purpose != purposeReturn || !s.store.Now().Before(row.ExpiresAt)):
		return nil, errTicket
	case err != nil:
		return nil, err
	}
	t := ticket{MerchantAccount: row.MerchantAccount}
	if err := json.Unmarshal([]byte(row.Key), &t); err != nil {
		return nil, fmt.Errorf("decode return: %w", err)
	}
	if t.Of != digestOf(what.ticket) {
		return nil, errTicket
	}
	return &t, nil
}

// welcome sets the cookie with an answer that begins a watch, and with no other.
type welcome struct {
	http.ResponseWriter
	cookie *http.Cookie // nil once an answer has begun
}

// newWelcome is for the answer to a request with a ticket.
func newWelcome(w http.ResponseWriter, r *http.Request, what presented) *welcome {
	return &welcome{w, &http.Cookie{
		Name: returnCookie(what.ticket), Value: what.fresh, Path: watchPath, MaxAge: int(returnLife / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// A proxy in front may have ended TLS; who makes that up restricts a cookie of its own.
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}}
}

// WriteHeader implements http.ResponseWriter.
func (w *welcome) WriteHeader(status int) {
	if w.cookie != nil && status == http.StatusOK {
		http.SetCookie(w.ResponseWriter, w.cookie)
	}
	w.cookie = nil
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *welcome) Write(p []byte) (int, error) {
	if w.cookie != nil {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController: a flush begins an answer, too.
func (w *welcome) FlushError() error {
	if w.cookie != nil {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (w *welcome) Unwrap() http.ResponseWriter { return w.ResponseWriter }
