package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"payments.internal/klarna-gateway/klarna"
)

// The most that clocks may differ. Signed posts carry no time that is checked, but deadlines of sessions and holds are
// Klarna's, and tokens of callers are somebody's.
const (
	skewed = 30 * time.Second
	astray = 5 * time.Minute
)

// klarna asks for something that does not exist: the answer tells whether the credential is taken, what time it is at
// Klarna, and how long the certificate there is good for.
func (p *patient) klarna(ctx context.Context, name string, a accountConfig) {
	web, err := p.web(a)
	if err != nil {
		p.note("credentials", name, broken, "mend the merchant account", "%v", err)
		return
	}
	heard := &hearing{next: web.Transport}
	defer web.CloseIdleConnections()
	with := a.klarna()
	with.HTTPClient, with.Version, with.Logger = &http.Client{Transport: heard}, version(), slog.New(slog.DiscardHandler)
	client, err := klarna.New(with)
	if err != nil {
		p.note("credentials", name, broken, "mend the merchant account", "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if a.API == string(klarna.NetworkAPI) {
		_, err = client.PartnerAccount(ctx, "krn:partner:global:account:test:DOCTOR00")
	} else {
		_, err = client.Order(ctx, "00000000-0000-4000-8000-000000000000")
	}
	var refused *klarna.Error
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		p.note("credentials", name, broken, "check username, password or api_key, region and environment; Klarna switches off keys that were not used for two months",
			"Klarna does not take the credential")
	case errors.As(err, &refused) && refused.Status == http.StatusForbidden:
		p.note("credentials", name, warning, "ask Klarna what the credential may do, with correlation id "+refused.CorrelationID, "Klarna knows the credential, and does not let it read (%s)", refused.Code)
	case err == nil, errors.As(err, &refused) && refused.Status < 500:
		p.note("credentials", name, fine, "", "Klarna takes the credential")
	default:
		p.note("credentials", name, broken, "check base_url, DNS, firewall and proxy", "Klarna cannot be asked: %v", err)
	}
	heard.tell(p, name)
}

// hearing notes what answers say beside their content.
type hearing struct {
	next http.RoundTripper

	mu     sync.Mutex
	skew   time.Duration // their clock less ours
	dated  bool
	expiry time.Time // of the certificate there
}

// RoundTrip implements http.RoundTripper.
func (h *hearing) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	res, err := h.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if at, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		h.skew, h.dated = at.Sub(began.Add(time.Since(began)/2)), true
	}
	if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
		h.expiry = res.TLS.PeerCertificates[0].NotAfter
	}
	return res, nil
}

func (h *hearing) tell(p *patient, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dated {
		p.skew("clock", name, h.skew)
	}
	if !h.expiry.IsZero() && h.expiry.Before(p.now.Add(14*24*time.Hour)) {
		p.note("certificate", "of Klarna, "+name, warning, "Klarna has to renew it", "it runs out at %s", h.expiry.UTC().Format(time.RFC3339))
	}
}

// skew tells how far another clock is from ours: Klarna's, to a second, or the database's.
func (p *patient) skew(check, of string, by time.Duration) {
	how, remedy := fine, ""
	if by.Abs() > skewed {
		how, remedy = warning, "let this machine's clock follow NTP, and the other one"
	}
	if by.Abs() > astray {
		how = broken
	}
	p.note(check, of, how, remedy, "differs from ours by %s", by.Round(time.Second))
}

// reachable looks whether Klarna can reach the webhooks' door: as it wants it, and by trying.
func (p *patient) reachable(ctx context.Context) {
	const check = "public_base_url"
	if p.cfg.PublicBaseURL == "" {
		p.note(check, "", warning, "set it, and let it lead to webhook_address", "not set: Klarna is asked for no callback")
		return
	}
	base, err := url.Parse(p.cfg.PublicBaseURL)
	if err != nil {
		p.note(check, "", broken, "write it as https://host", "%v", err)
		return
	}
	if port := orDefault(base.Port(), "443"); port != "443" && port != "8443" {
		p.note(check, "", broken, "put a proxy on 443 or 8443 in front of webhook_address", "port %s: Klarna posts to 443 and 8443 alone", port)
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", base.Hostname())
	if err != nil {
		p.note(check, "", broken, "let the name lead to the door", "%s cannot be resolved: %v", base.Hostname(), err)
		return
	}
	for _, a := range addresses {
		if unreachable(a) {
			p.note(check, "", broken, "Klarna posts from the internet", "%s is %s, which cannot be reached from outside", base.Hostname(), a.Unmap())
		}
	}
	door := strings.TrimRight(p.cfg.PublicBaseURL, "/") + "/klarna/network"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, door, strings.NewReader("{}"))
	if err != nil {
		p.note(check, "", broken, "write it as https://host", "%v", err)
		return
	}
	res, err := p.public.Do(req)
	if err != nil {
		p.note(check, "", warning, "try it from outside: an unsigned POST has to be answered 400", "the door does not answer from here: %v", err)
		return
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusTooManyRequests: // as the door answers strangers
		p.note(check, "", fine, "", "the door answers at %s", base.Host)
	default:
		p.note(check, "", broken, "let "+base.Host+" lead to webhook_address, with paths and bodies as they are", "something else answers there: HTTP %d", res.StatusCode)
	}
	if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
		p.expiry("certificate", "of "+base.Host, res.TLS.PeerCertificates[0].NotAfter)
	}
}

// unreachable tells whether an address is of no use outside.
func unreachable(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast()
}
