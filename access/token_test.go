package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// tokensText is a token file whose tokens are "NAME-token".
func tokensText(names ...string) string {
	text := "tokens:\n"
	for _, name := range names {
		sum := sha256.Sum256([]byte(name + "-token"))
		text += fmt.Sprintf("  - {name: %s, sha256: %s}\n", name, hex.EncodeToString(sum[:]))
	}
	return text
}

func TestParseTokens_NamesEveryFlaw(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, want string }{
		{"tokens: [{name: a}]", "tokens[0]: a name and the sha256"},
		{"tokens: [{sha256: 00}]", "tokens[0]: a name and the sha256"},
		{strings.Replace(tokensText("a"), "name: a", `name: "a:b"`, 1), "has a colon"},
		{"tokens: [{name: a, token: the-token-itself}]", "it is no YAML with a list"},
		{"tokens: [the-token-itself", "it is no YAML with a list"},
		{"token: []", "it is no YAML with a list"},
		{"", "no list under tokens"}, {"# to come", "no list under tokens"}, {"tokens:", "no list under tokens"},
		{tokensText("a") + strings.Replace(tokensText("a"), "name: a", "name: b", 1)[len("tokens:\n"):], "tokens[1]: it has the sha256 of tokens[0]"},
	} {
		_, err := ParseTokens([]byte(tc.text))
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "the-token-itself") {
			t.Errorf("%s: %v", tc.text, err)
		}
	}
	if all, err := ParseTokens([]byte(tokensText("a", "b", "a"))); err != nil || len(all) != 3 {
		t.Errorf("one of them twice: %v, %v", all, err)
	}
	if all, err := ParseTokens([]byte("tokens: []")); err != nil || len(all) != 0 {
		t.Errorf("an empty list: %v, %v", all, err)
	}
}

// A token that is added proves its caller, one that is taken out does not, and whoever holds on to it hears of it, within
// the time of one look at the file. A file that is not sound changes nothing.
func TestTokenFile_IsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(tokensText("old", "both"))
	var logs strings.Builder
	synctest.Test(t, func(t *testing.T) {
		f, err := OpenTokens(path, ParseTokens, slog.New(slog.NewTextHandler(&logs, nil)))
		if err != nil {
			t.Fatal(err)
		}
		callers := Callers{TokenFiles: []*TokenFile{f}}
		known := func(name string) bool {
			who, err := callers.Identify([]string{name + "-token"}, nil)
			return err == nil && who.Name == name
		}
		ctx, stop := context.WithCancel(t.Context())
		bell, watched := make(chan struct{}), make(chan error, 1)
		go func() { watched <- f.Watch(ctx, bell) }()
		looked := func(text string) {
			write(text)
			time.Sleep(poll + time.Millisecond)
			synctest.Wait()
		}
		held := map[string]*int{}
		var releases []func()
		for _, name := range []string{"old", "both"} {
			who, err := callers.Identify([]string{name + "-token"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			count := new(int)
			held[name] = count
			releases = append(releases, callers.WhileHeld(who, func() { *count++ }))
		}
		looked("tokens: [{name: x}]")
		if !known("old") || known("new") || f.Flaw() == nil || strings.Count(logs.String(), "token file not taken") != 1 {
			t.Errorf("after a broken file: %v\n%s", f.Flaw(), logs.String())
		}
		looked("")
		if !known("old") || *held["old"] != 0 || f.Flaw() == nil {
			t.Errorf("after an empty file: %v", f.Flaw())
		}
		looked(tokensText("old", "both", "new"))
		if !known("new") || *held["old"] != 0 || f.Flaw() != nil {
			t.Errorf("after one was added: known %v, %v", known("new"), f.Flaw())
		}
		write(tokensText("both", "new"))
		bell <- struct{}{} // without waiting for the next look
		synctest.Wait()
		if known("old") || !known("both") || *held["old"] != 1 || *held["both"] != 0 {
			t.Errorf("after one was taken out: old %v, both %v, held %d and %d", known("old"), known("both"), *held["old"], *held["both"])
		}
		for _, release := range releases {
			release()
		}
		looked("tokens: []")
		if known("both") || !callers.Required() || *held["both"] != 0 || *held["old"] != 1 {
			t.Errorf("after the last: known %v, required %v, released ones told %d and %d times", known("both"), callers.Required(), *held["both"], *held["old"])
		}
		stop()
		if err := <-watched; err != nil {
			t.Error(err)
		}
	})
}

// What a token no longer shows is as good as another token; what it shows besides is not.
func TestWhileHeld_ATokenThatShowsLessIsNotHeld(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	with := strings.Replace(tokensText("a"), "}", ", debtor_data: true}", 1)
	for _, tc := range []struct {
		name, before, after string
		gone                bool
	}{
		{"less", with, tokensText("a"), true},
		{"more", tokensText("a"), with, false},
		{"another name", tokensText("a"), strings.Replace(tokensText("a"), "name: a", "name: b", 1), true},
	} {
		if err := os.WriteFile(path, []byte(tc.before), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := OpenTokens(path, ParseTokens, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		callers := Callers{TokenFiles: []*TokenFile{f}}
		who, err := callers.Identify([]string{"a-token"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(tc.after), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Reload(); err != nil {
			t.Fatal(err)
		}
		gone := false
		callers.WhileHeld(who, func() { gone = true })()
		if gone != tc.gone {
			t.Errorf("%s: gone is %v", tc.name, gone)
		}
	}
}
