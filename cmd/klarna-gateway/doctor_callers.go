package main

import (
	"context"
	"io"
	"os"
	"strings"

	"payments.internal/klarna-gateway/access"
	"payments.internal/klarna-gateway/server"
)

// callers looks at how callers prove who they are, and at what the policy says of them.
func (p *patient) callers(ctx context.Context) {
	known := access.Known{}
	for _, t := range p.cfg.Tokens {
		known.Tokens = append(known.Tokens, t.Name)
	}
	known.Tokens = append(known.Tokens, p.tokenFile()...)
	for _, issuer := range p.cfg.TokenIssuers {
		known.Issuers = append(known.Issuers, issuer.Name)
		p.issuer(ctx, issuer)
	}
	if p.cfg.GRPCTLS.ClientCAFile != "" || p.cfg.RESTTLS.ClientCAFile != "" {
		known.Certificates = p.cfg.CertificateNames
	}
	for _, a := range p.cfg.MerchantAccounts {
		known.MerchantAccounts = append(known.MerchantAccounts, a.Name)
	}
	p.policy(known)
}

// mended is the remedy of a file that is followed.
const mended = "mend the file; a gateway that runs keeps what it said before, and takes it within seconds once it is mended"

func (p *patient) tokenFile() (names []string) {
	path := p.cfg.TokenFile
	if path == "" {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		p.note("token_file", path, broken, mended, "%v", err)
		return nil
	}
	tokens, err := access.ParseTokens(content)
	if err != nil {
		p.eachFlaw("token_file", path, err)
		return nil
	}
	for _, t := range tokens {
		names = append(names, t.Name)
	}
	p.note("token_file", path, fine, "", "%s", plural(len(tokens), "token"))
	return names
}

// eachFlaw tells of every line of an error by itself.
func (p *patient) eachFlaw(check, subject string, err error) {
	for _, flaw := range strings.Split(err.Error(), "\n") {
		p.note(check, subject, broken, mended, "%s", flaw)
	}
}

// issuer looks whether an issuer's keys are there: in its file, or where it is asked for them.
func (p *patient) issuer(ctx context.Context, issuer issuerConfig) {
	if p.offline && issuer.JWKSFile == "" {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	with := issuer.access()
	with.Logger = newLogger(io.Discard, "error")
	at := orDefault(orDefault(issuer.JWKSFile, issuer.JWKSURL), issuer.Issuer)
	made, err := access.NewIssuer(ctx, with)
	keys := 0
	if err == nil {
		keys, err = made.KeyCount(ctx)
	}
	switch {
	case err != nil && issuer.JWKSFile != "":
		p.note("token_issuers", issuer.Name, broken, mended, "%v", err)
	case err != nil:
		p.note("token_issuers", issuer.Name, broken, "check jwks_url or issuer, DNS, firewall and proxy: its callers are turned away", "its keys cannot be fetched from %s: %v", at, err)
	case keys == 0:
		p.note("token_issuers", issuer.Name, broken, "check that "+at+" answers with a JSON Web Key Set: its callers are turned away", "no keys came from %s", at)
	default:
		p.note("token_issuers", issuer.Name, fine, "", "%s", plural(keys, "key"))
	}
}

func (p *patient) policy(known access.Known) {
	path := p.cfg.PolicyFile
	if path == "" {
		return
	}
	content, err := os.ReadFile(path)
	if err != nil {
		p.note("policy", path, broken, mended, "%v", err)
		return
	}
	if _, err := access.ParsePolicy(content, server.RPCs()); err != nil {
		p.eachFlaw("policy", path, err)
		return
	}
	found := access.LintPolicy(content, server.RPCs(), known)
	for _, text := range found {
		p.note("policy", path, warning, "mend it, or take it out; it has no effect as it stands", "%s", text)
	}
	if len(found) == 0 {
		p.note("policy", path, fine, "", "no mistakes, and nothing in it is without effect")
	}
}
