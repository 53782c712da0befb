package access

import (
	"os"
	"path/filepath"
	"testing"
)

// Whoever holds a JWT hears that its key is gone from the issuer's file, and not that another one is, or that the file is
// none. A key of the same id is not the same key.
func TestWhileHeld_AKeyThatIsGoneProvesNobody(t *testing.T) {
	t.Parallel()
	first, second, other := newSigner(t, "k1"), newSigner(t, "k2"), newSigner(t, "k1")
	file := filepath.Join(t.TempDir(), "keys.json")
	write := func(content []byte) {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, replaced := range map[string][]byte{"another id": keySet(second), "another key of its id": keySet(other, second)} {
		write(keySet(first, second))
		i := issuer(t, func(cfg *IssuerConfig) { cfg.JWKSFile = file })
		i.look = 0 // however soon
		who, err := i.verify(first.token(claims(nil)), noon)
		if err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		release := Callers{Issuers: []*Issuer{i}}.WhileHeld(who, func() { close(gone) })
		for _, content := range [][]byte{keySet(first), []byte("{")} {
			write(content)
			_ = i.Flaw()
		}
		if i.Flaw() == nil {
			t.Error("a file that is none has no flaw")
		}
		select {
		case <-gone:
			t.Fatalf("%s: gone while its key is there", name)
		default:
		}
		write(replaced)
		if err := i.Flaw(); err != nil {
			t.Fatal(err)
		}
		<-gone
		release()
	}
}
