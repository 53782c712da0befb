package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// operates runs an operator's command and returns what it printed.
func operates(t *testing.T, in string, args ...string) (out, errOut string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	root := newRoot()
	root.SetOut(&o)
	root.SetErr(&e)
	root.SetIn(strings.NewReader(in))
	root.SetArgs(longFlags(root, args))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = root.ExecuteContext(ctx)
	return o.String(), e.String(), err
}

// printed is what an operator's command prints as JSON.
func printed[T any](t *testing.T, args ...string) (all T) {
	t.Helper()
	out, _, err := operates(t, "", append(args, "-o", "json")...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v: %v in %s", args, err, out)
	}
	return all
}

// An operator sees and does by commands what the API offers: payments and what became of them, partners, signing keys.
func TestOperator_SeesPaymentsPartnersAndKeys(t *testing.T) {
	t.Parallel()
	l := runLocal(t, -1)
	walker := travel(t, l)
	for _, walk := range []func() error{
		func() error { return walker.onboarding(t.Context()) }, func() error { return walker.payNow(t.Context()) },
	} {
		if err := walk(); err != nil {
			t.Fatal(err)
		}
	}
	at := l.gateway.grpcListener.Addr().String()

	events := printed[[]struct {
		Summary struct{ EventID, Position, Kind string }
	}](t, "events", "list", "-stream", "payment", "-address", at)
	kept := must[*gatewayv1.ListPaymentEventsResponse](t)(walker.payments.ListPaymentEvents(t.Context(), &gatewayv1.ListPaymentEventsRequest{PageSize: 500}))
	if len(events) != len(kept.GetEvents()) || len(events) < 5 {
		t.Fatalf("%d events are listed, %d are on record", len(events), len(kept.GetEvents()))
	}
	if two := printed[[]struct{ Summary struct{ EventID string } }](t, "events", "list", "-stream", "payment", "-address", at, "-limit", "2"); len(two) != 2 || two[0].Summary.EventID != events[0].Summary.EventID {
		t.Errorf("with a limit of 2: %v", two)
	}
	t.Run("tail goes on where it was", func(t *testing.T) {
		out, rest, err := operates(t, "", "events", "tail", "-address", at, "-start", "earliest", "-until", "authorized")
		if err != nil || strings.Count(out, "\n") < 2 {
			t.Fatalf("%v\n%s", err, out)
		}
		_, token, _ := strings.Cut(strings.TrimSpace(rest), "-resume ")
		more, _, err := operates(t, "", "events", "tail", "-address", at, "-resume", token, "-state", "authorized")
		if err == nil || !strings.Contains(err.Error(), "RESUME_TOKEN_FOREIGN") {
			t.Errorf("with another filter: %v\n%s", err, more)
		}
		more, _, err = operates(t, "", "events", "tail", "-address", at, "-resume", token, "-until", "captured", "-o", "json")
		if err != nil || strings.Count(out, "\n")+strings.Count(more, "\n") > len(events) || !strings.Contains(more, `"kind":"PAYMENT_EVENT_KIND_PAID"`) {
			t.Errorf("%v\n%s", err, more)
		}
	})
	t.Run("partners", func(t *testing.T) {
		all := printed[[]struct{ PartnerAccountID, State string }](t, "partners", "list", "-address", at, "-state", "operational,disabled")
		if len(all) != 1 || all[0].State != "STATE_OPERATIONAL" {
			t.Fatalf("listed: %v", all)
		}
		if none := printed[[]struct{}](t, "partners", "list", "-address", at, "-state", "disabled"); len(none) != 0 {
			t.Errorf("of another state: %v", none)
		}
		out, _, err := operates(t, "", "partners", "get", all[0].PartnerAccountID, "-address", at)
		if err != nil || !strings.Contains(out, "operational") || !strings.Contains(out, "PRODUCTS") || strings.Contains(out, "@") {
			t.Errorf("%v\n%s", err, out)
		}
		out, _, err = operates(t, "", "partners", "watch", "-address", at, "-until", "operational")
		if err != nil || !strings.Contains(out, all[0].PartnerAccountID) {
			t.Errorf("%v\n%s", err, out)
		}
		_, _, err = operates(t, "", "partners", "get", "krn:nobody", "-address", at)
		if err == nil || !strings.Contains(err.Error(), "NotFound (") {
			t.Errorf("nobody: %v", err)
		}
	})
	t.Run("keys", func(t *testing.T) {
		const secretText, id = "a-secret-of-klarna", "krn:partner:global:notification:signing-key:00000000-0000-4000-8000-0000000000aa"
		out, said, err := operates(t, secretText+"\n", "keys", "import", id, "-secret-file", "-", "-address", at)
		if err != nil || !strings.Contains(out, "imported") || strings.Contains(out+said, secretText) {
			t.Fatalf("%v\n%s", err, out)
		}
		if _, _, err := operates(t, "", "keys", "retire", id, "-in", "24h", "-address", at); err != nil {
			t.Fatal(err)
		}
		keys := printed[[]struct{ SigningKeyID, State string }](t, "keys", "list", "-address", at)
		if len(keys) != 2 || !slices.Contains(keys, struct{ SigningKeyID, State string }{id, "STATE_RETIRING"}) {
			t.Errorf("keys: %v", keys)
		}
		if _, _, err := operates(t, "", "keys", "retire", id, "-address", at); err == nil || !strings.Contains(err.Error(), "at in undo") {
			t.Errorf("without a time: %v", err)
		}
	})
}

// A token comes from a file, a variable or standard input, and goes only where nobody on the way can read it.
func TestOperator_ProvesWhoCalls(t *testing.T) {
	t.Parallel()
	const token = "operators-token-of-this-test"
	sum := sha256.Sum256([]byte(token))
	a := newAuthority(t)
	serves, _ := a.issue("server", "")
	serves.ClientCAFile = a.file
	shows, _ := a.issue("operator", "spiffe://corp.example/operator")
	g, _ := guarded(t, func(c *config) {
		c.GRPCTLS = serves
		c.Tokens = []tokenConfig{{Name: "operator", SHA256: hex.EncodeToString(sum[:])}}
	})
	at := g.grpcListener.Addr().String()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	list := []string{"events", "list", "-address", at}
	for _, tc := range []struct {
		name, in string
		args     []string
		refused  string
	}{
		{name: "token from a file", args: []string{"-ca-file", a.file, "-token-file", file}},
		{name: "token from standard input", in: token, args: []string{"-ca-file", a.file, "-token-file", "-"}},
		{name: "client certificate", args: []string{"-ca-file", a.file, "-cert-file", shows.CertFile, "-key-file", shows.KeyFile}},
		{name: "nothing", args: []string{"-ca-file", a.file}, refused: "Unauthenticated"},
		{name: "another token", in: "x", args: []string{"-ca-file", a.file, "-token-file", "-"}, refused: "Unauthenticated"},
		{name: "authority not known", args: []string{"-tls", "on", "-token-file", file, "-timeout", "5s"}, refused: "certificate"},
		{name: "in clear", args: []string{"-tls", "off", "-token-file", file, "-timeout", "5s"}, refused: "Unavailable"},
		{name: "in clear, elsewhere", args: []string{"-tls", "off", "-token-file", file, "-address", "192.0.2.1:9090"}, refused: "not sent in clear"},
		{name: "no such file", args: []string{"-ca-file", a.file + "x"}, refused: "-ca-file"},
		{name: "a token on the command line", args: []string{"-token", token}, refused: "unknown flag: --token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := operates(t, tc.in, slices.Concat(list, tc.args)...)
			if tc.refused == "" && err != nil || tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("got %v, want %q", err, tc.refused)
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("the token is told: %v", err)
			}
		})
	}
}

func TestOperator_TellsEveryMistakeOfARequest(t *testing.T) {
	t.Parallel()
	at := runLocal(t, -1).gateway.grpcListener.Addr().String()
	_, _, err := operates(t, "", "events", "list", "-payment", "not-a-uuid", "-address", at)
	if err == nil || !strings.Contains(err.Error(), "InvalidArgument (INVALID_FIELD)") || !strings.Contains(err.Error(), "\n  payment_id: ") {
		t.Errorf("got %v", err)
	}
	// A write whose outcome is not known can be repeated without a second effect.
	_, _, err = operates(t, "12345678", "keys", "import", "7", "-secret-file", "-", "-address", "127.0.0.1:1", "-timeout", "5s")
	if err == nil || !strings.Contains(err.Error(), "-request-id ") {
		t.Errorf("got %v", err)
	}
}

func TestPrinter_KeepsTerminalsSafe(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	hostile := &gatewayv1.Partner{PartnerAccountReference: "a\x1b[2Jb\u202ec"}
	if err := list(printer{&b, false}, []*gatewayv1.Partner{hostile}, partnerColumns); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e") || !strings.Contains(b.String(), "a\uFFFD[2Jb\uFFFDc") {
		t.Errorf("printed %q", b.String())
	}
}

// Flags of before there were short ones still work, and the short ones beside them.
func TestLongFlags(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want string }{
		{"serve -config x", "serve --config x"},
		{"serve --config=x", "serve --config=x"},
		{"dev -data=x -grpc y", "dev --data=x --grpc y"},
		{"demo -v", "demo -v"},
		{"events list -o json", "events list -o json"},
		{"events list -ojson -limit 3", "events list -ojson --limit 3"},
		{"keyring -out -", "keyring --out -"},
		{"keyring -- -out", "keyring -- -out"},
		{"serve -conf x", "serve --conf x"},
		{"-help", "--help"},
		{"__complete serve -con", "__complete serve -con"},
	} {
		if got := strings.Join(longFlags(newRoot(), strings.Fields(tc.in)), " "); got != tc.want {
			t.Errorf("%s: got %s", tc.in, got)
		}
	}
}

func TestCompletion_KnowsCommandsAndWords(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out, _, err := operates(t, "", "completion", shell); err != nil || !strings.Contains(out, "klarna-gateway") {
			t.Errorf("%s: %v", shell, err)
		}
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"__complete", "ev"}, "events"},
		{[]string{"__complete", "partners", "list", "--state", ""}, "partially_operational"},
		{[]string{"__complete", "events", "tail", "-o", ""}, "json"},
	} {
		if out, _, err := operates(t, "", tc.args...); err != nil || !strings.Contains(out, tc.want) {
			t.Errorf("%v: %v\n%s", tc.args, err, out)
		}
	}
}
