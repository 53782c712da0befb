package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

const watchers = `
roles:
  watcher: {rpcs: [PaymentService/WatchPaymentStatus], merchant_accounts: [shop, outlet]}
  outlet_watcher: {rpcs: [PaymentService/WatchPaymentStatus], merchant_accounts: [outlet]}
bindings:
`

// watchAs opens a watch as a caller.
func (s *stack) watchAs(caller string, req *gatewayv1.WatchPaymentStatusRequest) *watching {
	s.t.Helper()
	ctx := metadata.AppendToOutgoingContext(s.t.Context(), "authorization", "Bearer "+caller+"-token")
	return s.watchPaymentsIn(ctx, req)
}

func TestWatch_EndsWhenItsGrantGoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy string
		ends   bool
	}{
		"another role":             {watchers + "  - {callers: [clerk], roles: [outlet_watcher]}", true},
		"no role":                  {"roles: {}", true},
		"caller revoked":           {watchers + "  - {callers: [clerk], roles: [watcher]}\nrevoked: {callers: [clerk]}", true},
		"the same for this watch":  {watchers + "  - {callers: [clerk, other], roles: [watcher, outlet_watcher]}", false},
		"by another binding":       {watchers + "  - {callers: [\"cl*\"], roles: [watcher]}", false},
		"a policy that is not one": {"roles: [", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var path string
			var file *access.PolicyFile
			set := policed(t, watchers+"  - {callers: [clerk], roles: [watcher]}", "clerk")
			s := start(t, func(c *Config) { set(c); file = c.Policy; path = file.Path() })
			w := s.watchAs("clerk", &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest), HeartbeatSeconds: 1})
			w.next() // it is open
			must(t, os.WriteFile(path, []byte(c.policy), 0o600))
			_, _ = file.Reload()
			if !c.ends {
				s.record(opened("SO-1"))
				w.event()
				must(t, os.WriteFile(path, []byte("roles: {}"), 0o600)) // the policy after that counts as well
				_, err := file.Reload()
				must(t, err)
			}
			all := w.ending()
			if last := all[len(all)-1]; last.mark != "PERMISSION_REVOKED" || last.token == "" {
				t.Errorf("the watch ended with %v", last.whole)
			}
			// Nothing of what came after the policy is told by a new watch, either.
			_, st := s.overGRPC(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest), MerchantAccount: shop}, "authorization", "Bearer clerk-token")
			if why := reasonOf(st.Err()); why != "PERMISSION_MISSING" && why != "CREDENTIALS_REVOKED" {
				t.Errorf("a new watch: %v", st)
			}
		})
	}
}

func TestWatch_OfAccountsEndsWhenItsGrantGoesToo(t *testing.T) {
	t.Parallel()
	var file *access.PolicyFile
	set := policed(t, `
roles: {onboarding: {rpcs: [PartnerService/WatchAccountState], merchant_accounts: [acquirer]}}
bindings: [{callers: [clerk], roles: [onboarding]}]`, "clerk")
	s := start(t, func(c *Config) { set(c); file = c.Policy })
	res := s.do(http.MethodGet, "/v1/partners:watch?start=WATCH_START_SNAPSHOT", nil, bearer("clerk-token"))
	lines(t, res, "snapshotEnd")
	must(t, os.WriteFile(file.Path(), []byte("roles: {}"), 0o600))
	_, err := file.Reload()
	must(t, err)
	lines(t, res, "REASON_PERMISSION_REVOKED")
}

// An issuer's token through real gRPC and REST, by a clock of the test's.
func TestWatch_EndsWhenItsTokenRunsOut(t *testing.T) {
	t.Parallel()
	start0 := time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)
	var passed atomic.Int64
	issuer, sign := tokenIssuer(t)
	s := start(t, func(c *Config) {
		c.Callers = access.Callers{Issuers: []*access.Issuer{issuer}, Now: func() time.Time { return start0.Add(time.Duration(passed.Load())) }}
	})
	s.server.credentialCheck = 10 * time.Millisecond
	short, long := sign("clerk", start0.Add(time.Minute)), sign("clerk", start0.Add(time.Hour))
	watch := func(token string) *watching {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
		return s.watchPaymentsIn(ctx, &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest), HeartbeatSeconds: 1})
	}
	ending, staying := watch(short), watch(long)
	ending.next()
	staying.next()
	rest := s.do(http.MethodGet, "/v1/payments:watch?start=WATCH_START_EARLIEST", nil, bearer(short))
	passed.Store(int64(2 * time.Minute))
	all := ending.ending()
	if last := all[len(all)-1]; last.mark != "CREDENTIALS_EXPIRED" || last.token == "" {
		t.Errorf("the watch ended with %v", last.whole)
	}
	body, err := io.ReadAll(rest.Body)
	if err != nil || !strings.Contains(string(body), "REASON_CREDENTIALS_EXPIRED") {
		t.Errorf("over REST the watch ended with %s, %v", body, err)
	}
	s.record(opened("SO-1"))
	staying.event()
	if _, st := s.overGRPC(&gatewayv1.ListPaymentsRequest{}, "authorization", "Bearer "+short); reasonOf(st.Err()) != "UNAUTHENTICATED" {
		t.Errorf("a call with the token: %v", st)
	}
	// What a caller did under one token is its own under the next.
	req := sessionRequest("SO-2")
	for _, token := range []string{long, sign("clerk", start0.Add(2*time.Hour))} {
		if _, st := s.overGRPC(req, "authorization", "Bearer "+token); st.Code() != codes.OK {
			t.Errorf("the same request under another token: %v", st)
		}
	}
	if _, st := s.overGRPC(req, "authorization", "Bearer "+sign("somebody else", start0.Add(time.Hour))); reasonOf(st.Err()) != "REQUEST_ID_OF_ANOTHER_CALLER" {
		t.Errorf("by somebody else: %v", st)
	}
}

// tokenIssuer is an issuer of JWTs for this gateway, with what makes them.
func tokenIssuer(t *testing.T) (issuer *access.Issuer, sign func(subject string, expires time.Time) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "k1"}})
	must(t, err)
	keys, err := json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{jwk.Marshal()}})
	must(t, err)
	file := filepath.Join(t.TempDir(), "keys.json")
	must(t, os.WriteFile(file, keys, 0o600))
	issuer, err = access.NewIssuer(t.Context(), access.IssuerConfig{
		Name: "corp", Issuer: "https://id.example", Audiences: []string{"klarna-gateway"}, JWKSFile: file,
	})
	must(t, err)
	return issuer, func(subject string, expires time.Time) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": "https://id.example", "aud": "klarna-gateway", "sub": subject, "exp": expires.Unix(),
		})
		token.Header["kid"] = "k1"
		text, err := token.SignedString(key)
		must(t, err)
		return text
	}
}
