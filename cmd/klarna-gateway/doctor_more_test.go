package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
	"payments.internal/klarna-gateway/store/sqlite"
)

// How callers are proven, what they are shown, and how old the last backup is.
func TestDoctor_LooksAtCallersCertificatesAndBackups(t *testing.T) {
	t.Parallel()
	l := runLocal(t, -1)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := newAuthority(t)
	serves, _ := a.issue("server", "")
	other, _ := newAuthority(t).issue("other", "")
	mixed := tlsFiles{CertFile: filepath.Join(dir, "mixed.pem"), KeyFile: serves.KeyFile}
	file("mixed.pem", string(must[[]byte](t)(os.ReadFile(serves.CertFile)))+string(must[[]byte](t)(os.ReadFile(other.CertFile))))
	policy := file("policy.yaml", everything)
	unknown := file("unknown.yaml", strings.Replace(everything, `"*"`, "OrderService/Nothing", 1))
	unused := file("unused.yaml", "roles: {idle: {rpcs: [OrderService/GetOrder], merchant_accounts: [shop]}}\n")
	keySet := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }))
	t.Cleanup(keySet.Close)
	issuer := func(jwksURL, jwksFile string) func(*patient) {
		return func(p *patient) {
			p.cfg.TokenIssuers = []issuerConfig{{Name: "corp", Issuer: "https://id.example", Audiences: []string{"a"}, JWKSURL: jwksURL, JWKSFile: jwksFile}}
		}
	}
	backups := func(made time.Time) func(*patient) {
		return func(p *patient) {
			p.cfg.DataDir = t.TempDir()
			var text bytes.Buffer
			if err := indented(&text, manifest{Created: made}); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(filepath.Join(p.cfg.DataDir, lastBackupFile), text.Bytes(), 0o600); err != nil {
				t.Error(err)
			}
			if err := sqlite.Backup(t.Context(), filepath.Join(l.gateway.cfg.DataDir, databaseFile), filepath.Join(p.cfg.DataDir, databaseFile)); err != nil {
				t.Error(err)
			}
		}
	}
	for _, tc := range []struct {
		name, at string
		how      severity
		says     string
		change   func(*patient)
	}{
		{"policy", "policy " + policy, fine, "no mistakes", func(p *patient) { p.cfg.PolicyFile = policy }},
		{"an RPC that there is not", "policy " + unknown, broken, `there is no "OrderService/Nothing"`, func(p *patient) { p.cfg.PolicyFile = unknown }},
		{"a role that nobody has", "policy " + unused, warning, "roles.idle: nobody has it", func(p *patient) { p.cfg.PolicyFile = unused }},
		{"no policy", "policy " + policy + "x", broken, "no such file", func(p *patient) { p.cfg.PolicyFile = policy + "x" }},
		{"tokens", "token_file " + policy, broken, "no YAML with a list", func(p *patient) { p.cfg.TokenFile = policy }},
		{"an issuer that is away", "token_issuers corp", broken, "", issuer("http://127.0.0.1:1/keys", "")},
		{"an issuer without keys", "token_issuers corp", broken, "no keys came from", issuer(keySet.URL, "")},
		{"no key file", "token_issuers corp", broken, "no such file", issuer("", policy+"x")},
		{"another name", "certificate grpc_tls", warning, "turn it away", func(p *patient) { p.cfg.GRPCTLS, p.cfg.GRPCAddress = serves, "192.0.2.1:9090" }},
		{"a chain that is none", "certificate rest_tls", broken, "did not sign", func(p *patient) { p.cfg.RESTTLS = mixed }},
		{"an authority of one's own for Klarna", "certificate webhook_tls", broken, "Klarna may not", func(p *patient) { p.cfg.WebhookTLS = serves }},
		{"an authority that is none", "client_ca_file grpc_tls", broken, "is no authority", func(p *patient) {
			p.cfg.GRPCTLS = serves
			p.cfg.GRPCTLS.ClientCAFile = serves.CertFile
		}},
		{"an authority that runs out", "client_ca_file grpc_tls, test authority", warning, "runs out", func(p *patient) {
			p.cfg.GRPCTLS = serves
			p.cfg.GRPCTLS.ClientCAFile = a.file
		}},
		{"no backup", "backup ", warning, "none was made", func(*patient) {}},
		{"an old backup", "backup ", warning, "the last one is 72h", backups(time.Now().Add(-72 * time.Hour))},
		{"a backup", "backup ", fine, "the last one is 1h", backups(time.Now().Add(-time.Hour))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			found, all := examined(t, l, tc.change)
			if f := found[tc.at]; f.Severity != tc.how || !strings.Contains(f.Message, tc.says) {
				t.Errorf("%s: %+v of %+v", tc.at, f, all)
			}
		})
	}
}

// Where Klarna's posts came from is tried on the list, without anybody gathering addresses.
func TestDoctor_TriesTheSourceListOnWhatCame(t *testing.T) {
	t.Parallel()
	l := runLocal(t, -1)
	knock(t, l, "/klarna/payment-status/"+localShop, "{}", "Payload-Signature", "no signature") // proves nothing
	if err := travel(t, l).payNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, all := examined(t, l, func(*patient) {})
	if f := found["webhook_sources 127.0.0.1"]; f.Severity != warning || !strings.Contains(f.Message, "would be refused in mode enforce") || f.Remedy != notListed {
		t.Errorf("%+v", all)
	}
}

// On PostgreSQL the doctor looks at the same, and at the server's clock.
func TestDoctor_LooksIntoPostgreSQL(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := makeKeyring(keys, &output{}); err != nil {
		t.Fatal(err)
	}
	l := runLocalOver(t, t.TempDir(), -1, newLogger(&output{}, "error"), parts{change: func(c *config) {
		c.Database, c.KeyFile, c.ErasureList = secret{klarna.Secret(postgrestest.URL(t))}, keys, filepath.Join(filepath.Dir(keys), "erasures")
		c.MerchantAccounts[1].SigningKeys = nil
	}})
	without, all := examined(t, l, func(*patient) {})
	if f := without["signing_keys acquirer"]; f.Severity != warning || without["clock of the database"].Severity != fine ||
		without["key_file "+keys].Severity != fine {
		t.Errorf("%+v", all)
	}
	id := store.SigningKeyID{Scheme: journal.NetworkScheme, MerchantAccount: localAcquirer, ID: localKeyID}
	put := func(k store.SigningKey) {
		t.Helper()
		if err := l.gateway.store.Do(t.Context(), func(tx store.Tx) error { return tx.PutSigningKey(t.Context(), k) }); err != nil {
			t.Fatal(err)
		}
	}
	key := store.SigningKey{SigningKeyID: id, Key: []byte("a secret of Klarna's"), CreatedAt: time.Now(), Origin: journal.KeyImported}
	put(key)
	if with, all := examined(t, l, func(*patient) {}); with["signing_keys acquirer"].Severity != fine {
		t.Errorf("with one: %+v", all)
	}
	key.RetireAt, key.LastUsed = time.Now().Add(-time.Hour), time.Now()
	put(key)
	late, all := examined(t, l, func(p *patient) { p.now = p.now.Add(time.Hour) })
	if late["signing_keys acquirer, "+localKeyID].Severity != warning || late["clock of the database"].Severity != broken {
		t.Errorf("past its time, by a clock that is ahead: %+v", all)
	}
	text, err := json.Marshal(all)
	if err != nil || strings.Contains(string(text), "a secret of Klarna's") {
		t.Errorf("%v, or a secret is told: %s", err, text)
	}
}
