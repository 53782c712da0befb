package access

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var rpcs = []string{"PaymentService/GetPaymentStatus", "PaymentService/WatchPaymentStatus", "OrderService/CaptureOrder"}

const sample = `
roles:
  reader:
    rpcs: [PaymentService/GetPaymentStatus, PaymentService/WatchPaymentStatus]
    merchant_accounts: [shop]
  money:
    rpcs: [OrderService/*]
    merchant_accounts: ["*"]
  partner:
    rpcs: [PaymentService/GetPaymentStatus]
    merchant_accounts: [acquirer]
    partner_accounts: [krn:1, krn:2]
    scopes: [personal_data]
bindings:
  - callers: [billing, "spiffe://corp/ns/billing/*"]
    roles: [reader, partner]
  - callers: [corp:finance]
    roles: [money]
revoked:
  callers: [lost]
  certificates_sha256: ["AB:CD"]
  token_ids: [j1]
`

func parsed(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy([]byte(text), rpcs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPolicy_GrantsWhatARoleHasAndNothingElse(t *testing.T) {
	t.Parallel()
	p := parsed(t, sample)
	for _, c := range []struct {
		caller            Caller
		rpc, account      string
		partner           string
		granted, personal bool
	}{
		{Caller{Name: "billing"}, "PaymentService/GetPaymentStatus", "shop", "krn:9", true, false},
		{Caller{Name: "billing"}, "PaymentService/GetPaymentStatus", "acquirer", "krn:1", true, true},
		{Caller{Name: "billing"}, "PaymentService/GetPaymentStatus", "acquirer", "krn:9", false, false},
		{Caller{Name: "billing"}, "PaymentService/GetPaymentStatus", "outlet", "", false, false},
		{Caller{Name: "billing"}, "OrderService/CaptureOrder", "shop", "", false, false},
		{Caller{Name: "billing2"}, "PaymentService/GetPaymentStatus", "shop", "", false, false},
		{Caller{Name: "spiffe://corp/ns/billing/x"}, "PaymentService/WatchPaymentStatus", "shop", "", true, false},
		{Caller{Name: "spiffe://corp/ns/other/x"}, "PaymentService/WatchPaymentStatus", "shop", "", false, false},
		{Caller{Name: "corp:finance"}, "OrderService/CaptureOrder", "anything", "", true, false},
		{Caller{Name: "corp:finance", TokenID: "j1"}, "OrderService/CaptureOrder", "anything", "", false, false},
		{Caller{Name: "corp:finance", CertificateSHA256: "abcd"}, "OrderService/CaptureOrder", "anything", "", false, false},
		{Caller{}, "OrderService/CaptureOrder", "shop", "", false, false},
	} {
		g := p.Grant(c.caller, c.rpc).For(c.account).ForPartner(c.partner)
		if !g.Empty() != c.granted || g.Scope(PersonalData) != c.personal {
			t.Errorf("%v %s %s %s: granted %v, personal data %v", c.caller, c.rpc, c.account, c.partner, !g.Empty(), g.Scope(PersonalData))
		}
	}
	partners, all := p.Grant(Caller{Name: "billing"}, rpcs[0]).For("acquirer").Partners()
	if all || !slices.Equal(partners, []string{"krn:1", "krn:2"}) {
		t.Errorf("partners %v, all %v", partners, all)
	}
	if _, all := p.Grant(Caller{Name: "billing"}, rpcs[0]).For("shop").Partners(); !all {
		t.Error("a role without partner accounts is restricted to some")
	}
}

func TestPolicy_TellsEveryFlawAtOnce(t *testing.T) {
	t.Parallel()
	_, err := ParsePolicy([]byte(`
roles:
  a: {rpcs: [PaymentService/GetPaymentState], scopes: [everything], partner_accounts: []}
  b: {rpcs: [], merchant_accounts: [shop], mistyped: true}
bindings:
  - callers: ["x*y"]
    roles: [c]
  - callers: []
    roles: []
`), rpcs)
	for _, want := range []string{
		`there is no "PaymentService/GetPaymentState"`, `"everything" is none of`, "roles.a: ", "merchant_accounts: name those", "partner_accounts: is empty",
		"roles.b: rpcs: none", "field mistyped not found", `there is no role "c"`, `"x*y"`, "bindings[1]: callers and roles are required",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s\n%v", want, err)
		}
	}
}

func TestGrant_CoversWhatItAllowsAndNoMore(t *testing.T) {
	t.Parallel()
	const role = "roles: {r: {rpcs: [OrderService/CaptureOrder], merchant_accounts: [%], partner_accounts: [#], scopes: [$]}}\nbindings: [{callers: [x], roles: [r]}]"
	grant := func(accounts, partners, scopes string) Grant {
		text := strings.NewReplacer("%", accounts, "#", partners, "$", scopes).Replace(role)
		return parsed(t, text).Grant(Caller{Name: "x"}, "OrderService/CaptureOrder")
	}
	for _, c := range []struct {
		now, before Grant
		covers      bool
	}{
		{grant("a, b", "p", ""), grant("a", "p", ""), true},
		{grant("a", "p", ""), grant("a, b", "p", ""), false},
		{grant("a", "p", ""), grant("a, b", "p", "").For("a"), true},
		{grant(`"*"`, `"*"`, ""), grant("a", "p", ""), true},
		{grant("a", "p", ""), grant(`"*"`, "p", ""), false},
		{grant("a", "p", ""), grant("a", "p, q", ""), false},
		{grant("a", "p", ""), grant("a", "p", "personal_data"), false},
		{grant("a", "p", ""), grant("a", "p", "personal_data").Without(PersonalData), true},
		{Grant{}, grant("a", "p", ""), false},
	} {
		if c.now.Covers(c.before) != c.covers {
			t.Errorf("%v covers %v: want %v", c.now, c.before, c.covers)
		}
	}
}

func TestPolicyFile_TakesSoundChangesAndKeepsWhatHoldsOtherwise(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(sample)
	var logs strings.Builder
	f, err := OpenPolicy(path, rpcs, slog.New(slog.NewTextHandler(&logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	billing := func() bool { return !f.Current().Grant(Caller{Name: "billing"}, rpcs[0]).Empty() }
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		watched := make(chan error, 1)
		go func() { watched <- f.Watch(ctx, nil) }()
		write("roles: [nonsense")
		time.Sleep(10 * poll)
		synctest.Wait()
		if !billing() || strings.Count(logs.String(), "not taken") != 1 {
			t.Errorf("after a broken file: granted %v, logs:\n%s", billing(), logs.String())
		}
		told := make(chan struct{})
		f.Current().OnReplaced(func() { close(told) })
		write("roles: {}")
		time.Sleep(poll + time.Millisecond)
		synctest.Wait()
		<-told
		if billing() {
			t.Error("the new policy was not taken")
		}
		stop()
		if err := <-watched; err != nil {
			t.Error(err)
		}
	})
}
