package access

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestLintPolicy_TellsWhatHasNoEffect(t *testing.T) {
	t.Parallel()
	all := []string{"OrderService/GetOrder", "OrderService/CaptureOrder", "PaymentService/ListPayments"}
	known := Known{Tokens: []string{"backend", "idle"}, Issuers: []string{"corp"}, MerchantAccounts: []string{"shop"}, Certificates: []NameForm{SPIFFE}}
	const well = `
roles: {a: {rpcs: ["OrderService/*", PaymentService/ListPayments], merchant_accounts: [shop]}}
bindings: [{callers: [backend, "id*", "corp:desk", "spiffe://x/*"], roles: [a]}]
`
	if found := LintPolicy([]byte(well), all, known); len(found) != 0 {
		t.Errorf("a policy that is well: %q", found)
	}
	for _, tc := range []struct{ from, to, want string }{
		{"roles: [a]", "roles: []", "roles.a: nobody has it"},
		{"[shop]", "[shop, shopp]", `roles.a: there is no merchant account "shopp"`},
		{`"OrderService/*"`, `"OrderService/*", OrderService/GetOrder`, `"OrderService/GetOrder" is in "OrderService/*" already`},
		{`"OrderService/*"`, `"*"`, `"PaymentService/ListPayments" is in "*" already`},
		{"backend,", "", `caller "backend" has a token and no role`},
		{`"id*"`, "somebody", `"somebody" is nobody: there is no token`},
		{"corp:desk", "corpo:desk", "there is no token issuer of the name corpo"},
		{"corp:desk", "dns:desk", "certificates do not name callers so"},
		{"bindings:", "revoked: {callers: [\"back*\"]}\nbindings:", "revoked by their whole name"},
	} {
		found := LintPolicy([]byte(strings.Replace(well, tc.from, tc.to, 1)), all, known)
		if !slices.ContainsFunc(found, func(text string) bool { return strings.Contains(text, tc.want) }) {
			t.Errorf("%s: %q, want %q", tc.to, found, tc.want)
		}
	}
	if LintPolicy([]byte("roles: ["), all, known) != nil {
		t.Error("what is no policy is linted")
	}
}

// What is shown to operators as a policy has nothing to be told of, but for the callers that its configuration has.
func TestLintPolicy_TheSampleIsClean(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../docs/policy.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := LintPolicy(content, nil, Known{
		Tokens: []string{"shop-backend", "subscription-worker"}, Issuers: []string{"corp"}, MerchantAccounts: []string{"shop", "acquirer"},
		Certificates: []NameForm{SPIFFE, DNS},
	})
	found = slices.DeleteFunc(found, func(text string) bool { return strings.Contains(text, "already") }) // no RPCs were named
	if len(found) != 0 {
		t.Errorf("%q", found)
	}
}
