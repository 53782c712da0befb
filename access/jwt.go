package access

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// IssuerConfig is an issuer of JWTs whose callers are let in. Zero fields have the defaults that are named.
type IssuerConfig struct {
	// Name stands before the subject in callers' names and never changes, whatever becomes of the URL.
	Name string
	// Issuer is the "iss" that tokens must bear, an URL.
	Issuer string
	// Audiences: a token must be for one of them. At least one is needed: a token for somebody else is no token for us.
	Audiences []string
	// JWKSFile or JWKSURL is where the issuer's keys are. Without either they are found by OpenID Connect discovery.
	JWKSFile, JWKSURL string
	// Algorithms of signatures that are taken, whatever a token or a key says; default RS256 and ES256.
	Algorithms []string
	// ClockSkew is by how much the issuer's clock may differ from ours; default 30 s.
	ClockSkew time.Duration
	// NameClaim is the claim that names the caller; default "sub".
	NameClaim string
	// HTTPClient fetches keys; default one with a timeout of 5 s.
	HTTPClient *http.Client
	Logger     *slog.Logger
}

// asymmetric are the algorithms that may be configured. With a symmetric one, whoever can check a token can make one.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Check names every flaw at once.
func (cfg IssuerConfig) Check() error {
	var flaws []error
	flaw := func(format string, args ...any) { flaws = append(flaws, fmt.Errorf(format, args...)) }
	if cfg.Name == "" || strings.ContainsAny(cfg.Name, ":/") || NameForm(cfg.Name).Known() {
		flaw("name: %q must be a word of its own: it stands before the subject, as in NAME:SUBJECT", cfg.Name)
	}
	if cfg.Issuer == "" {
		flaw("issuer: is required")
	}
	if len(cfg.Audiences) == 0 || slices.Contains(cfg.Audiences, "") {
		flaw("audiences: at least one is required, or tokens for other services would be taken")
	}
	if cfg.JWKSFile != "" && cfg.JWKSURL != "" {
		flaw("jwks_file, jwks_url: one of the two")
	}
	if at := cfg.keysAt(); cfg.JWKSFile == "" && !secure(at) {
		flaw("%q is not https: whoever answers there decides who calls", at)
	}
	for _, alg := range cfg.Algorithms {
		if !slices.Contains(asymmetric, alg) {
			flaw("algorithms: %q is none of %s", alg, strings.Join(asymmetric, ", "))
		}
	}
	if cfg.ClockSkew < 0 || cfg.ClockSkew > 10*time.Minute {
		flaw("clock_skew: %s is not between 0 and 10m", cfg.ClockSkew)
	}
	return errors.Join(flaws...)
}

// keysAt is the URL that is asked first.
func (cfg IssuerConfig) keysAt() string {
	if cfg.JWKSURL != "" {
		return cfg.JWKSURL
	}
	return strings.TrimRight(cfg.Issuer, "/") + "/.well-known/openid-configuration"
}

// secure tells https from what anybody on the way could answer; loopback has no way.
func secure(text string) bool {
	at, err := url.Parse(text)
	if err != nil || at.Host == "" {
		return false
	}
	ip := net.ParseIP(at.Hostname())
	return at.Scheme == "https" || at.Scheme == "http" && (at.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// Issuer checks the JWTs of one issuer.
type Issuer struct {
	cfg IssuerConfig
	ctx context.Context // ends the refreshing of keys

	mu       sync.Mutex
	keys     keyfunc.Keyfunc // nil until they could be fetched once
	file     fileState       // of JWKSFile, as it was read
	replaced context.Context // ends when JWKSFile was taken anew
	replace  context.CancelFunc
	flaw     error         // why JWKSFile as it is was not taken
	look     time.Duration // how often JWKSFile is looked at, at most
	seen     time.Time     // when it was
	try      *rate.Limiter // of fetching keys that are not there

	good map[[sha256.Size]byte]verified // tokens that were checked a moment ago, by digest
}

// verified is what a token that was checked says, and until when it need not be checked again.
type verified struct {
	caller Caller
	until  time.Time
}

// A token that is good is not checked again for a while: a caller sends the same one with every call, and a signature
// costs more than the rest of a read. A key that the issuer takes back counts as long as that, after it was fetched.
const (
	goodFor  = 30 * time.Second
	goodKept = 4096
)

// Keys are fetched again this often, and for a key id that is not known at most this often: a flood of tokens with
// made-up key ids costs the issuer one request in that time.
const (
	keysRefresh    = 10 * time.Minute
	keysUnknownKID = 30 * time.Second
	keysTimeout    = 5 * time.Second
)

// NewIssuer returns an Issuer that keeps its keys fresh until ctx ends. An issuer that cannot be reached is asked again
// when a token comes; a key file has to be readable.
func NewIssuer(ctx context.Context, cfg IssuerConfig) (*Issuer, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []string{"RS256", "ES256"}
	}
	if cfg.ClockSkew == 0 {
		cfg.ClockSkew = 30 * time.Second
	}
	if cfg.NameClaim == "" {
		cfg.NameClaim = "sub"
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: keysTimeout}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	i := &Issuer{cfg: cfg, ctx: ctx, look: time.Second, try: rate.NewLimiter(rate.Every(keysUnknownKID), 1), good: map[[sha256.Size]byte]verified{}}
	if _, err := i.current(); err != nil {
		if cfg.JWKSFile != "" {
			return nil, err
		}
		cfg.Logger.WarnContext(ctx, "keys of a token issuer not fetched yet", "issuer", cfg.Name, "error", err)
	}
	return i, nil
}

// verify finds the caller of a token, by what was found out about it a moment ago or by checking it.
func (i *Issuer) verify(text string, now time.Time) (Caller, error) {
	keys, err := i.current()
	if err != nil {
		return Caller{}, errorf("issuer %s: %w", i.cfg.Name, err)
	}
	digest := sha256.Sum256([]byte(text))
	i.mu.Lock()
	known, ok := i.good[digest]
	i.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.caller, nil
	}
	caller, err := i.check(keys, text, now)
	if err != nil {
		return Caller{}, err
	}
	until := now.Add(goodFor)
	if caller.Expires.Before(until) {
		until = caller.Expires
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.good) >= goodKept {
		clear(i.good)
	}
	i.good[digest] = verified{caller: caller, until: until}
	return caller, nil
}

// check checks a token: signature by a key of the issuer's, algorithm, issuer, audience, times. Its caller is good
// until the token has run out, clock skew included.
func (i *Issuer) check(keys keyfunc.Keyfunc, text string, now time.Time) (Caller, error) {
	claims := jwt.MapClaims{}
	var key any
	token, err := jwt.ParseWithClaims(text, claims, func(t *jwt.Token) (found any, err error) {
		found, err = keys.Keyfunc(t)
		key = found
		return found, err
	},
		jwt.WithValidMethods(i.cfg.Algorithms), jwt.WithIssuer(i.cfg.Issuer), jwt.WithAudience(i.cfg.Audiences...),
		jwt.WithExpirationRequired(), jwt.WithLeeway(i.cfg.ClockSkew), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithStrictDecoding())
	if err != nil {
		return Caller{}, errorf("issuer %s: %w", i.cfg.Name, err)
	}
	if _, critical := token.Header["crit"]; critical { // RFC 7515, 4.1.11: what is not understood is refused
		return Caller{}, errorf("issuer %s: the token has critical headers", i.cfg.Name)
	}
	name, _ := claims[i.cfg.NameClaim].(string)
	if name == "" {
		return Caller{}, errorf("issuer %s: the token has no %s", i.cfg.Name, i.cfg.NameClaim)
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil {
		return Caller{}, errorf("issuer %s: the token does not run out", i.cfg.Name)
	}
	id, _ := claims["jti"].(string)
	return Caller{Name: i.cfg.Name + ":" + name, Expires: expires.Add(i.cfg.ClockSkew), TokenID: id, key: key, issuer: i}, nil
}

// current are the keys as they are known now.
func (i *Issuer) current() (keyfunc.Keyfunc, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cfg.JWKSFile != "" {
		return i.fromFile()
	}
	if i.keys != nil {
		return i.keys, nil
	}
	if !i.try.Allow() {
		return nil, errors.New("its keys could not be fetched")
	}
	at := i.cfg.JWKSURL
	if at == "" {
		var err error
		if at, err = i.discover(); err != nil {
			return nil, err
		}
	}
	keys, err := keyfunc.NewDefaultOverrideCtx(i.ctx, []string{at}, keyfunc.Override{
		Client: i.cfg.HTTPClient, HTTPTimeout: keysTimeout, RefreshInterval: keysRefresh,
		// The wait bounds the fetch behind it, too. Who would have to wait longer for a turn is refused at once.
		RefreshUnknownKID: rate.NewLimiter(rate.Every(keysUnknownKID), 1), RateLimitWaitMax: keysTimeout,
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(ctx context.Context, err error) {
				i.cfg.Logger.WarnContext(ctx, "keys of a token issuer not refreshed", "issuer", i.cfg.Name, "error", err)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	i.keys = keys
	return keys, nil
}

// discover asks the issuer where its keys are (OpenID Connect Discovery 1.0, 4). The answer must be the issuer's own.
func (i *Issuer) discover() (string, error) {
	ctx, cancel := context.WithTimeout(i.ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.cfg.keysAt(), nil)
	if err != nil {
		return "", err
	}
	res, err := i.cfg.HTTPClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("discover keys: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	var found struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(&found); res.StatusCode != http.StatusOK || err != nil {
		return "", fmt.Errorf("discover keys: HTTP status %d, %w", res.StatusCode, err)
	}
	if found.Issuer != i.cfg.Issuer || !secure(found.JWKSURI) {
		return "", fmt.Errorf("discover keys: the document is of issuer %q with keys at %q", found.Issuer, found.JWKSURI)
	}
	return found.JWKSURI, nil
}

// fromFile reads the key file anew when it has changed. One that cannot be read leaves the keys as they were.
func (i *Issuer) fromFile() (keyfunc.Keyfunc, error) {
	if i.keys != nil && time.Since(i.seen) < i.look {
		return i.keys, nil
	}
	i.seen = time.Now()
	state, err := stateOf(i.cfg.JWKSFile)
	if err == nil && i.keys != nil && state == i.file {
		return i.keys, nil // as it was, with the flaw that it has
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(i.cfg.JWKSFile)
	}
	var keys keyfunc.Keyfunc
	if err == nil {
		keys, err = keyfunc.NewJWKSetJSON(content)
	}
	if err == nil {
		var all []jwkset.JWK
		if all, err = keys.Storage().KeyReadAll(i.ctx); err == nil && len(all) == 0 {
			err = errors.New("it holds no keys")
		}
	}
	i.flaw = err
	switch {
	case err == nil:
		i.keys, i.file = keys, state
		clear(i.good)
		before := i.replace
		i.replaced, i.replace = context.WithCancel(context.Background())
		if before != nil {
			before()
		}
	case i.keys == nil:
		return nil, fmt.Errorf("key file: %w", err)
	case state != i.file: // said once for each change
		i.file = state
		i.cfg.Logger.Error("key file of a token issuer not read again, the keys stay", "issuer", i.cfg.Name, "error", err)
	}
	return i.keys, nil
}

// What is in the issuer's file.
func (i *Issuer) What() string { return "jwks" }

// Watch reads the key file again when it has changed, until ctx ends, so that those whose key is gone hear of it though
// nobody calls. Without a file it only waits.
func (i *Issuer) Watch(ctx context.Context, now <-chan struct{}) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-now:
		}
		_ = i.Flaw() // is logged as it appears
	}
}

// holds implements holder: whether the key that a caller's token was signed with is among the issuer's.
func (i *Issuer) holds(who Caller) (bool, context.Context) {
	i.mu.Lock()
	keys, replaced := i.keys, i.replaced
	i.mu.Unlock()
	all, err := keys.Storage().KeyReadAll(context.Background())
	if err != nil {
		return true, replaced
	}
	same, comparable := who.key.(interface{ Equal(crypto.PublicKey) bool })
	return !comparable || slices.ContainsFunc(all, func(k jwkset.JWK) bool { return same.Equal(k.Key()) }), replaced
}

// KeyCount is how many keys of the issuer's are at hand, fetched or read if there are none yet.
func (i *Issuer) KeyCount(ctx context.Context) (int, error) {
	keys, err := i.current()
	if err != nil {
		return 0, err
	}
	all, err := keys.Storage().KeyReadAll(ctx)
	return len(all), err
}

// Flaw is why the key file as it is now was not taken; nil if its keys hold, or there is none.
func (i *Issuer) Flaw() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cfg.JWKSFile == "" {
		return nil
	}
	_, _ = i.fromFile() // keys that there are stay
	return i.flaw
}

// fileState tells one content of a file from another without reading it.
type fileState struct {
	modified time.Time
	size     int64
}

func stateOf(path string) (fileState, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}, err
	}
	return fileState{modified: info.ModTime(), size: info.Size()}, nil
}
