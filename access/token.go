package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
)

// Token is a caller's bearer token, known by its digest alone.
type Token struct {
	Name       string   // of the caller
	SHA256     [32]byte // of the token
	DebtorData bool     // may see debtors' names and account numbers where there is no policy
}

// byDigest finds a token's caller. Every token is compared, in constant time.
func byDigest(tokens []Token, text string) (caller Caller, found bool) {
	sum := sha256.Sum256([]byte(text))
	for _, t := range tokens {
		if subtle.ConstantTimeCompare(sum[:], t.SHA256[:]) == 1 {
			caller, found = Caller{Name: t.Name, DebtorData: t.DebtorData}, true
		}
	}
	return caller, found
}

func errorf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnauthenticated, fmt.Errorf(format, args...))
}
