package access

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)

// signer is an issuer's key.
type signer struct {
	t   *testing.T
	id  string
	key *ecdsa.PrivateKey
}

func newSigner(t *testing.T, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{t: t, id: id, key: key}
}

// keySet is the public side of keys, as issuers publish it.
func keySet(signers ...signer) []byte {
	keys := jwkset.NewMemoryStorage()
	for _, s := range signers {
		jwk, err := jwkset.NewJWKFromKey(crypto.PublicKey(&s.key.PublicKey), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: s.id}})
		if err == nil {
			err = keys.KeyWrite(context.Background(), jwk)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	content, err := keys.JSONPublic(context.Background())
	if err != nil {
		signers[0].t.Fatal(err)
	}
	return content
}

func claims(change func(jwt.MapClaims)) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": "https://id.example", "aud": "klarna-gateway", "sub": "billing", "jti": "t1",
		"iat": noon.Add(-time.Minute).Unix(), "exp": noon.Add(time.Minute).Unix(),
	}
	if change != nil {
		change(c)
	}
	return c
}

func (s signer) token(c jwt.MapClaims, header ...string) string {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, c)
	token.Header["kid"] = s.id
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	text, err := token.SignedString(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

func issuer(t *testing.T, change func(*IssuerConfig)) *Issuer {
	t.Helper()
	cfg := IssuerConfig{Name: "corp", Issuer: "https://id.example", Audiences: []string{"klarna-gateway"}, Logger: slog.New(slog.DiscardHandler)}
	change(&cfg)
	i, err := NewIssuer(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestIssuer_TakesGoodTokensAlone(t *testing.T) {
	t.Parallel()
	good, other := newSigner(t, "k1"), newSigner(t, "k1")
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, keySet(good), 0o600); err != nil {
		t.Fatal(err)
	}
	i := issuer(t, func(cfg *IssuerConfig) { cfg.JWKSFile = file; cfg.ClockSkew = 10 * time.Second })
	caller, err := i.verify(good.token(claims(nil)), noon)
	if err != nil || caller.Name != "corp:billing" || caller.TokenID != "t1" || !caller.Expires.Equal(noon.Add(70*time.Second)) {
		t.Fatalf("%+v, %v", caller, err)
	}
	with := func(name string, value any) jwt.MapClaims { return claims(func(c jwt.MapClaims) { c[name] = value }) }
	without := func(name string) jwt.MapClaims { return claims(func(c jwt.MapClaims) { delete(c, name) }) }
	none := jwt.NewWithClaims(jwt.SigningMethodNone, claims(nil))
	none.Header["kid"] = "k1"
	unsigned, _ := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	symmetric := jwt.NewWithClaims(jwt.SigningMethodHS256, claims(nil))
	symmetric.Header["kid"] = "k1"
	public, _ := good.key.PublicKey.Bytes()
	confused, _ := symmetric.SignedString(public)
	cut, _ := strings.CutSuffix(good.token(claims(nil)), "x")
	for name, text := range map[string]string{
		"another key": other.token(claims(nil)), "another issuer": good.token(with("iss", "https://evil.example")),
		"another audience": good.token(with("aud", "other")), "no audience": good.token(without("aud")),
		"run out": good.token(with("exp", noon.Add(-11*time.Second).Unix())), "runs out never": good.token(without("exp")),
		"not yet": good.token(with("nbf", noon.Add(11*time.Second).Unix())), "nobody": good.token(without("sub")),
		"a name that is no text": good.token(with("sub", 7)), "critical header": good.token(claims(nil), "crit", "b64"),
		"no algorithm": unsigned, "a symmetric algorithm": confused, "cut": cut[:len(cut)-4], "no token": "x",
	} {
		if caller, err := i.verify(text, noon); err == nil {
			t.Errorf("%s: taken as %v", name, caller.Name)
		}
	}
	pinned := issuer(t, func(cfg *IssuerConfig) { cfg.JWKSFile = file; cfg.Algorithms = []string{"RS256"} })
	if _, err := pinned.verify(good.token(claims(nil)), noon); err == nil {
		t.Error("an algorithm that is not configured is taken")
	}
	for name, text := range map[string]string{
		"within the clock skew": good.token(with("exp", noon.Add(-9*time.Second).Unix())),
		"several audiences":     good.token(with("aud", []string{"other", "klarna-gateway"})),
	} {
		if _, err := i.verify(text, noon); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIssuer_KeyFileIsReadAgain(t *testing.T) {
	t.Parallel()
	first, second := newSigner(t, "k1"), newSigner(t, "second-key")
	file := filepath.Join(t.TempDir(), "keys.json")
	write := func(content []byte) {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(keySet(first))
	i := issuer(t, func(cfg *IssuerConfig) { cfg.JWKSFile = file })
	i.look = 0 // however soon
	write([]byte(`{"keys":[]}`))
	if _, err := i.verify(first.token(claims(nil)), noon); err != nil {
		t.Errorf("after an empty file: %v", err)
	}
	write(keySet(second))
	if _, err := i.verify(second.token(claims(nil)), noon); err != nil {
		t.Errorf("a new key: %v", err)
	}
	if _, err := i.verify(first.token(claims(nil)), noon); err == nil {
		t.Error("a key that is gone is taken")
	}
}

func TestIssuer_FindsKeysByDiscoveryAndAsksForUnknownOnesOnce(t *testing.T) {
	t.Parallel()
	first, second := newSigner(t, "k1"), newSigner(t, "k2")
	var keys atomic.Value
	var fetched, down atomic.Int32
	keys.Store(keySet(first))
	down.Store(1)
	var at *httptest.Server
	at = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case down.Load() == 1:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": at.URL, "jwks_uri": at.URL + "/keys"})
		case r.URL.Path == "/keys":
			fetched.Add(1)
			time.Sleep(20 * time.Millisecond) // as far away as issuers are
			_, _ = w.Write(keys.Load().([]byte))
		}
	}))
	t.Cleanup(at.Close)
	i := issuer(t, func(cfg *IssuerConfig) { cfg.Issuer, cfg.HTTPClient = at.URL, at.Client() })
	mine := func(s signer) string { return s.token(claims(func(c jwt.MapClaims) { c["iss"] = at.URL })) }
	if _, err := i.verify(mine(first), noon); err == nil {
		t.Fatal("taken without keys")
	}
	down.Store(0)
	i.try.SetBurst(2) // the time until the next try has passed
	i.try.SetLimit(1e9)
	if _, err := i.verify(mine(first), noon); err != nil {
		t.Fatalf("once the issuer is back: %v", err)
	}
	keys.Store(keySet(first, second))
	if _, err := i.verify(mine(second), noon); err != nil {
		t.Errorf("a key that is new at the issuer: %v", err)
	}
	before := fetched.Load()
	for range 50 {
		if _, err := i.verify(mine(newSigner(t, "made-up")), noon); err == nil {
			t.Error("a made-up key is taken")
		}
	}
	if after := fetched.Load(); after != before {
		t.Errorf("50 made-up key ids cost %d requests", after-before)
	}
}

// What was found out about a token is kept for a moment: not longer than the token is good, and not for ever.
func TestIssuer_ChecksAKnownTokenAgainInTime(t *testing.T) {
	t.Parallel()
	key := newSigner(t, "k1")
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, keySet(key), 0o600); err != nil {
		t.Fatal(err)
	}
	i := issuer(t, func(cfg *IssuerConfig) { cfg.JWKSFile = file; cfg.ClockSkew = time.Nanosecond })
	short := key.token(claims(func(c jwt.MapClaims) { c["exp"] = noon.Add(10 * time.Second).Unix() }))
	for _, at := range []time.Duration{0, 0, 9 * time.Second} {
		if _, err := i.verify(short, noon.Add(at)); err != nil {
			t.Errorf("after %s: %v", at, err)
		}
	}
	if _, err := i.verify(short, noon.Add(11*time.Second)); err == nil {
		t.Error("a token that has run out is taken for what it was")
	}
	long := key.token(claims(nil))
	if _, err := i.verify(long, noon); err != nil {
		t.Fatal(err)
	}
	i.cfg.Audiences = []string{"another"} // as if the issuer had changed its mind
	if _, err := i.verify(long, noon.Add(goodFor-time.Second)); err != nil {
		t.Errorf("a moment later: %v", err)
	}
	if _, err := i.verify(long, noon.Add(goodFor)); err == nil {
		t.Error("it is never checked again")
	}
	for n := range goodKept + 10 {
		i.mu.Lock()
		i.good[[32]byte{byte(n), byte(n >> 8), 1}] = verified{}
		i.mu.Unlock()
	}
	i.cfg.Audiences = []string{"klarna-gateway"}
	if _, err := i.verify(key.token(claims(func(c jwt.MapClaims) { c["jti"] = "t2" })), noon); err != nil || len(i.good) > goodKept {
		t.Errorf("%d tokens are kept, %v", len(i.good), err)
	}
}

func BenchmarkIssuer(b *testing.B) {
	t := &testing.T{}
	key := newSigner(t, "k1")
	file := filepath.Join(b.TempDir(), "keys.json")
	if err := os.WriteFile(file, keySet(key), 0o600); err != nil {
		b.Fatal(err)
	}
	i, err := NewIssuer(b.Context(), IssuerConfig{Name: "corp", Issuer: "https://id.example", Audiences: []string{"klarna-gateway"}, JWKSFile: file})
	if err != nil {
		b.Fatal(err)
	}
	text := key.token(claims(nil))
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			_, _ = i.verify(text, noon)
		}
	})
	b.Run("checked", func(b *testing.B) {
		for b.Loop() {
			clear(i.good)
			_, _ = i.verify(text, noon)
		}
	})
}

func TestIssuerConfig_TellsEveryFlawAtOnce(t *testing.T) {
	t.Parallel()
	err := IssuerConfig{Name: "spiffe", Issuer: "http://id.example", Algorithms: []string{"HS256", "none"}, ClockSkew: time.Hour}.Check()
	for _, want := range []string{"name: ", "audiences: ", "not https", `"HS256"`, `"none"`, "clock_skew: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s (%v)", want, err)
		}
	}
	if err := (IssuerConfig{Name: "a", Issuer: "i", Audiences: []string{"b"}, JWKSFile: "f", JWKSURL: "https://x"}).Check(); err == nil {
		t.Error("two places of keys are taken")
	}
}
