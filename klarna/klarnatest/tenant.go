package klarnatest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// Tenants are several Klarnas behind one address, told apart by the credentials of who calls. Each has a state, a clock,
// faults and deliveries of its own, so that tests that share a server do not see one another. Calls with credentials of
// none of them, and admin calls that name none, go to the first one.
type Tenants struct {
	first *Server

	mu     sync.Mutex
	byName map[string]*Server
}

// NewTenants has first alone. It is not closed with the others.
func NewTenants(first *Server) *Tenants {
	return &Tenants{first: first, byName: map[string]*Server{}}
}

// Add starts another tenant. Its credentials must be its own; those that cfg leaves empty are made.
func (t *Tenants) Add(name string, cfg Config) (*Server, error) {
	if name == "" || strings.ContainsAny(name, "/ ") {
		return nil, fmt.Errorf("tenant %q: %w", name, errBody)
	}
	if cfg.Username == "" && cfg.Password == "" {
		cfg.Username, cfg.Password = "PK_"+rand.Text(), rand.Text()
	}
	if cfg.APIKey == "" {
		cfg.APIKey = "klarna_test_api_" + rand.Text()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName[name] != nil {
		return nil, fmt.Errorf("tenant %s: name is in use", name)
	}
	for _, other := range append([]*Server{t.first}, t.all()...) {
		if other.cfg.Username == cfg.Username || other.cfg.APIKey == cfg.APIKey {
			return nil, fmt.Errorf("tenant %s: credentials are in use", name)
		}
	}
	s := New(cfg)
	t.byName[name] = s
	return s, nil
}

// Remove closes a tenant and forgets it.
func (t *Tenants) Remove(name string) error {
	t.mu.Lock()
	s := t.byName[name]
	delete(t.byName, name)
	t.mu.Unlock()
	if s == nil {
		return fmt.Errorf("tenant %s: %w", name, errUnknown)
	}
	s.Close()
	return nil
}

// Close closes all tenants but the first.
func (t *Tenants) Close() {
	t.mu.Lock()
	all := t.all()
	t.byName = map[string]*Server{}
	t.mu.Unlock()
	for _, s := range all {
		s.Close()
	}
}

// all are the tenants but the first. Callers hold mu.
func (t *Tenants) all() (all []*Server) {
	for _, s := range t.byName {
		all = append(all, s)
	}
	return all
}

// ServeHTTP answers the APIs of the tenant whose credentials come, /admin/tenants, and /admin/tenants/NAME/… as /admin/…
// of that tenant.
func (t *Tenants) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, named := strings.CutPrefix(r.URL.Path, "/admin/tenants")
	switch {
	case named && (rest == "" || rest == "/"):
		t.admin(w, r)
	case named:
		name, path, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
		t.adminOf(w, r, name, path)
	default:
		t.tenantOf(r).ServeHTTP(w, r)
	}
}

// tenantOf is the tenant that knows the credentials.
func (t *Tenants) tenantOf(r *http.Request) *Server {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.byName {
		if key, classic := s.opens(r.Header.Get("Authorization")); key || classic {
			return s
		}
	}
	return t.first
}

// tenantText is a tenant as admin calls name it.
type tenantText struct {
	Name             string `json:"name"`
	Username         string `json:"username"`
	Password         string `json:"password"`
	APIKey           string `json:"api_key"`
	PaymentStatusURL string `json:"payment_status_url"`
	PaymentStatusKey string `json:"payment_status_key"`
	NetworkURL       string `json:"network_url"`
	NetworkKeyID     string `json:"network_key_id"`
	NetworkKey       string `json:"network_key"`
	PushURL          string `json:"push_url"`
}

// admin makes a tenant and answers its credentials. What a tenant is delivered with is that of the first one.
func (t *Tenants) admin(w http.ResponseWriter, r *http.Request) {
	var text tenantText
	err := decodeAdmin(r, &text)
	switch {
	case err != nil:
	case r.Method != http.MethodPost:
		err = errUnknown
	default:
		var s *Server
		s, err = t.Add(text.Name, Config{
			Now: t.first.cfg.Now, Username: text.Username, Password: text.Password, APIKey: text.APIKey, Live: t.first.cfg.Live,
			PaymentStatusURL: text.PaymentStatusURL, PaymentStatusKey: text.PaymentStatusKey,
			NetworkURL: text.NetworkURL, NetworkKeyID: text.NetworkKeyID, NetworkKey: text.NetworkKey, PushURL: text.PushURL,
			OperationalAfter: t.first.cfg.OperationalAfter, EnforceRates: t.first.cfg.EnforceRates,
			HTTPClient: t.first.cfg.HTTPClient, Logger: t.first.cfg.Logger,
		})
		if err == nil {
			text.Username, text.Password, text.APIKey = s.cfg.Username, s.cfg.Password, s.cfg.APIKey
		}
	}
	writeAdmin(w, text, err)
}

// adminOf passes an admin call on to a tenant; DELETE of the tenant itself removes it.
func (t *Tenants) adminOf(w http.ResponseWriter, r *http.Request, name, path string) {
	if err := loopback(r); err != nil {
		writeAdmin(w, nil, err)
		return
	}
	if path == "" && r.Method == http.MethodDelete {
		writeAdmin(w, nil, t.Remove(name))
		return
	}
	t.mu.Lock()
	s := t.byName[name]
	t.mu.Unlock()
	if s == nil || path == "" {
		writeAdmin(w, nil, fmt.Errorf("tenant %s: %w", name, errUnknown))
		return
	}
	again := r.Clone(r.Context())
	again.URL.Path, again.URL.RawPath = "/admin/"+path, ""
	s.ServeHTTP(w, again)
}
