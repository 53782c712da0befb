package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"go.yaml.in/yaml/v3"
)

// Token is a caller's bearer token, known by its digest alone.
type Token struct {
	Name       string   // of the caller
	SHA256     [32]byte // of the token
	DebtorData bool     // may see debtors' names and account numbers where there is no policy
}

// NewToken makes a token of how a configuration writes it, its digest in hex. The error names every flaw.
func NewToken(name, digest string, debtorData bool) (Token, error) {
	token := Token{Name: name, DebtorData: debtorData}
	sum, err := hex.DecodeString(digest)
	var flaws []error
	if name == "" || err != nil || len(sum) != len(token.SHA256) {
		flaws = append(flaws, errors.New("a name and the sha256 of the token in hex are required"))
	}
	if strings.Contains(name, ":") { // as in NAME:SUBJECT of JWTs, and in names of certificates
		flaws = append(flaws, fmt.Errorf("name: %q has a colon, as the names of other callers do", name))
	}
	copy(token.SHA256[:], sum)
	return token, errors.Join(flaws...)
}

// TokenFile is a YAML file with tokens that is read again when it changes.
type TokenFile struct {
	followed
	current atomic.Pointer[tokenSet]
}

// tokenSet are the tokens of a file as it was at a time.
type tokenSet struct {
	tokens   []Token
	replaced context.Context // ends when newer ones have taken their place
	replace  context.CancelFunc
}

// OpenTokens reads a file with tokens, which has to be sound. parse takes its content apart: ParseTokens, where it holds
// nothing else.
func OpenTokens(path string, parse func(content []byte) ([]Token, error), log *slog.Logger) (*TokenFile, error) {
	f := &TokenFile{followed: followed{what: "token", path: path, log: log}}
	f.take = func(content []byte) error {
		tokens, err := parse(content)
		if err != nil {
			return err
		}
		set := &tokenSet{tokens: tokens}
		set.replaced, set.replace = context.WithCancel(context.Background())
		if before := f.current.Swap(set); before != nil {
			before.replace()
		}
		return nil
	}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// ParseTokens reads what a token file says: a list under "tokens". That nobody has a token is said by an empty one, for a
// file that is empty is one that somebody is about to write. The error names every flaw at once.
func ParseTokens(content []byte) (all []Token, err error) {
	var text struct {
		Tokens []struct {
			Name       string `yaml:"name"`
			SHA256     string `yaml:"sha256"`
			DebtorData bool   `yaml:"debtor_data"`
		} `yaml:"tokens"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	var flaws []error
	if err := decoder.Decode(&text); err != nil && !errors.Is(err, io.EOF) {
		flaws = append(flaws, errors.New("it is no YAML with a list of name, sha256 and debtor_data under tokens")) // what stands there may be secret
	} else if text.Tokens == nil {
		flaws = append(flaws, ErrNoTokens)
	}
	for i, t := range text.Tokens {
		token, err := NewToken(t.Name, t.SHA256, t.DebtorData)
		if err != nil {
			flaws = append(flaws, fmt.Errorf("tokens[%d]: %w", i, err))
		}
		all = append(all, token)
	}
	return all, errors.Join(append(flaws, Distinct(all))...)
}

// ErrNoTokens says that a file has no list of tokens, not even an empty one.
var ErrNoTokens = errors.New("there is no list under tokens: [] is an empty one")

// Distinct tells of tokens that would prove two callers.
func Distinct(tokens []Token) error {
	var flaws []error
	for i, t := range tokens {
		if first := slices.IndexFunc(tokens, func(o Token) bool { return o.SHA256 == t.SHA256 }); tokens[first].Name != t.Name && t.SHA256 != [32]byte{} {
			flaws = append(flaws, fmt.Errorf("tokens[%d]: it has the sha256 of tokens[%d], which has another name", i, first))
		}
	}
	return errors.Join(flaws...)
}

// byDigest finds a token's caller. Every token is compared, in constant time.
func (c Callers) byDigest(text string) (caller Caller, found bool) {
	sum := sha256.Sum256([]byte(text))
	look := func(tokens []Token) {
		for _, t := range tokens {
			if subtle.ConstantTimeCompare(sum[:], t.SHA256[:]) == 1 {
				caller, found = Caller{Name: t.Name, DebtorData: t.DebtorData, token: &sum}, true
			}
		}
	}
	look(c.Tokens)
	for _, f := range c.TokenFiles {
		look(f.current.Load().tokens)
	}
	return caller, found
}

// proves tells whether the tokens still prove a caller, and show it what they did.
func proves(tokens []Token, who Caller) bool {
	for _, t := range tokens {
		if t.SHA256 == *who.token && t.Name == who.Name && (t.DebtorData || !who.DebtorData) {
			return true
		}
	}
	return false
}

// holds tells whether the tokens of the file as it is prove a caller, and what ends when there are newer ones.
func (f *TokenFile) holds(who Caller) (bool, context.Context) {
	set := f.current.Load()
	return proves(set.tokens, who), set.replaced
}

// Proof is the digest of the configured token that proved a caller, in hex; empty for those who were proven otherwise.
func (c Caller) Proof() string {
	if c.token == nil {
		return ""
	}
	return hex.EncodeToString(c.token[:])
}

// ProvenBy is the caller as one whom the configured token with this digest has proven, as Proof tells it.
func (c Caller) ProvenBy(proof string) Caller {
	if sum, err := hex.DecodeString(proof); err == nil && len(sum) == sha256.Size {
		c.token = (*[sha256.Size]byte)(sum)
	}
	return c
}

// Holds tells whether the configured token that proved a caller is still there; true for who was proven otherwise.
func (c Callers) Holds(who Caller) bool {
	return who.token == nil || proves(c.Tokens, who) ||
		slices.ContainsFunc(c.TokenFiles, func(f *TokenFile) bool { return proves(f.current.Load().tokens, who) })
}

func errorf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnauthenticated, fmt.Errorf(format, args...))
}
