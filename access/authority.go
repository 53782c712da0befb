package access

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
)

// AuthorityFile has the authorities that clients' certificates come from, and is read again when it changes.
type AuthorityFile struct {
	followed
	current atomic.Pointer[authorities]
}

// authorities are those of a file as it was at a time.
type authorities struct {
	pool  *x509.CertPool
	mu    sync.Mutex
	known map[[sha256.Size]byte]bool // certificates that are theirs: a caller shows the same one with every call

	replaced context.Context
	replace  context.CancelFunc
}

// OpenAuthorities reads a file of certificates in PEM, of which there has to be one.
func OpenAuthorities(path string, log *slog.Logger) (*AuthorityFile, error) {
	f := &AuthorityFile{followed: followed{what: "client_ca", path: path, log: log}}
	f.take = func(content []byte) error {
		next := &authorities{pool: x509.NewCertPool()}
		if !next.pool.AppendCertsFromPEM(content) {
			return errors.New("it holds no certificate")
		}
		next.replaced, next.replace = context.WithCancel(context.Background())
		if before := f.current.Swap(next); before != nil {
			before.replace()
		}
		return nil
	}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// trusts tells whether one of the files has the authority of a certificate.
func (c Callers) trusts(chain []*x509.Certificate) bool {
	for _, f := range c.Authorities {
		if f.current.Load().trusts(chain) {
			return true
		}
	}
	return false
}

func (a *authorities) trusts(chain []*x509.Certificate) bool {
	digest := sha256.Sum256(chain[0].Raw)
	a.mu.Lock()
	known := a.known[digest]
	a.mu.Unlock()
	if known {
		return true
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: a.pool, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= goodKept {
		a.known = map[[sha256.Size]byte]bool{}
	}
	a.known[digest] = true
	return true
}

// holds implements holder.
func (f *AuthorityFile) holds(who Caller) (bool, context.Context) {
	now := f.current.Load()
	return now.trusts(who.chain), now.replaced
}
