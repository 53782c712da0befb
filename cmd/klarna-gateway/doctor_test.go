package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
)

// examined is what the doctor finds about a running local gateway, after something was changed for it to see.
func examined(t *testing.T, l *local, change func(*patient)) (found map[string]finding, all []finding) {
	t.Helper()
	p := &patient{
		cfg: l.gateway.cfg, now: time.Now(),
		web:    func(a accountConfig) (*http.Client, error) { return a.http(newLogger(io.Discard, "error")) },
		public: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}, // loopback
	}
	p.cfg.AdminAddress = l.gateway.adminListener.Addr().String()
	p.cfg.MerchantAccounts = slices.Clone(p.cfg.MerchantAccounts)
	change(p)
	p.examine(t.Context())
	found = map[string]finding{}
	for _, f := range p.findings {
		if f.Severity != fine && f.Remedy == "" {
			t.Errorf("no remedy: %+v", f)
		}
		if _, worse := found[f.Check+" "+f.Subject]; !worse || f.Severity != fine {
			found[f.Check+" "+f.Subject] = f
		}
	}
	return found, p.findings
}

// Each thing that goes wrong is found, with what to do, and what is right is said to be right, while the gateway works.
func TestDoctor_FindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	l := runLocal(t, -1)
	dir := l.gateway.cfg.DataDir
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	well, _ := examined(t, l, func(*patient) {})
	for _, name := range []string{
		"credentials shop", "credentials acquirer", "clock shop", "database ", "key_file " + filepath.Join(dir, keyFile), "disk " + dir,
		"signing_keys acquirer", "gateway ", "webhook_sources ",
	} {
		if f, there := well[name]; !there || f.Severity != fine {
			t.Errorf("%s of a gateway that is well: %+v", name, f)
		}
	}
	// The door answers, and is where nobody outside can reach it.
	if f := well["public_base_url "]; f.Severity != broken || !strings.Contains(f.Message, "cannot be reached from outside") {
		t.Errorf("door on loopback: %+v", f)
	}

	otherKeys := filepath.Join(t.TempDir(), "other.json")
	if err := makeKeyring(otherKeys, &output{}); err != nil {
		t.Fatal(err)
	}
	sources := filepath.Join(t.TempDir(), "sources")
	if err := os.WriteFile(sources, []byte("192.0.2.7\n{\"address\":\"192.0.2.8\",\"msg\":\"x\"}\nnonsense\n192.0.2.7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	serves, _ := newAuthority(t).issue("server", "")
	for _, tc := range []struct {
		name, at string
		how      severity
		says     string
		change   func(*patient)
	}{
		{"wrong password", "credentials shop", broken, "does not take", func(p *patient) { p.cfg.MerchantAccounts[0].Password = secret{klarna.Secret("wrong")} }},
		{"wrong key", "credentials acquirer", broken, "does not take", func(p *patient) { p.cfg.MerchantAccounts[1].APIKey = secret{klarna.Secret("klarna_test_api_wrong")} }},
		{"Klarna away", "credentials shop", broken, "cannot be asked", func(p *patient) { p.cfg.MerchantAccounts[0].BaseURL = "http://127.0.0.1:1" }},
		{"another key file", "key_file " + otherKeys, broken, "another database", func(p *patient) { p.cfg.KeyFile = otherKeys }},
		{"no key file", "key_file " + otherKeys + "x", broken, "no such file", func(p *patient) { p.cfg.KeyFile = otherKeys + "x" }},
		{"certificate runs out", "certificate grpc_tls", warning, "runs out", func(p *patient) { p.cfg.GRPCTLS = serves }},
		{"certificate ran out", "certificate grpc_tls", broken, "ran out", func(p *patient) { p.cfg.GRPCTLS, p.now = serves, p.now.Add(48*time.Hour) }},
		{"no signing key", "signing_keys acquirer", warning, "every webhook is refused", func(p *patient) { p.cfg.MerchantAccounts[1].SigningKeys = nil }},
		{"no address", "public_base_url ", warning, "not set", func(p *patient) { p.cfg.PublicBaseURL = "" }},
		{"another server at the address", "public_base_url ", broken, "", func(p *patient) { p.cfg.PublicBaseURL = l.simURL }},
		{"sources", "webhook_sources 192.0.2.8", warning, "would be refused", func(p *patient) { p.sources = sources }},
		{"not running", "gateway ", fine, "does not run", func(p *patient) { p.cfg.AdminAddress = "127.0.0.1:1" }},
		{"no database yet", "database ", fine, "not there yet", func(p *patient) { p.cfg.DataDir = t.TempDir() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			found, all := examined(t, l, tc.change)
			f := found[tc.at]
			if f.Severity != tc.how || !strings.Contains(f.Message, tc.says) || tc.how != fine && f.Remedy == "" {
				t.Errorf("%s: %+v of %+v", tc.at, f, all)
			}
		})
	}
}

// How the command ends tells machines what it found; a configuration that cannot be read is a finding for each mistake.
func TestDoctor_EndsWithACodeOfItsOwn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte("log_level: loud\nshutdown_grace: -1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := operates(t, "", "doctor", "-config", path, "-json", "-offline")
	var found []finding
	if code := (exitCode{}); !errors.As(err, &code) || code.code != 3 {
		t.Errorf("ended with %v", err)
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) < 2 || found[0].Severity != broken {
		t.Errorf("%v\n%s", err, out)
	}
	for _, tc := range []struct {
		found []finding
		code  int
	}{{[]finding{{Severity: fine}}, 0}, {[]finding{{Severity: fine}, {Severity: warning}}, 2}, {[]finding{{Severity: broken}, {Severity: warning}}, 3}} {
		code := exitCode{}
		if errors.As(verdict(tc.found), &code); code.code != tc.code {
			t.Errorf("%v: code %d", tc.found, code.code)
		}
	}
}
