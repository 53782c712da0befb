package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// PersonalData is the scope that shows people's names, account numbers and the like.
const PersonalData = "personal_data"

// scopes are those that a role may have.
var scopes = []string{PersonalData}

// Everything is what stands for all of a kind in a policy file.
const Everything = "*"

// Policy says which caller may do what. It never changes; see PolicyFile for a new one.
type Policy struct {
	exact    map[string][]*role // by caller
	prefixes []binding
	revoked  struct{ callers, certificates, tokens map[string]bool }

	replaced context.Context // ends when a newer policy has taken its place
	replace  context.CancelFunc
}

// binding gives roles to every caller whose name begins with prefix.
type binding struct {
	prefix string
	roles  []*role
}

// role as it is used: nil sets are everything.
type role struct {
	rpcs     func(string) bool
	accounts set
	partners set
	scopes   map[string]bool
}

// set is a set of names; nil is the set of all.
type set map[string]bool

func (s set) has(name string) bool { return s == nil || s[name] }

func (s set) covers(other set) bool {
	if s == nil || other == nil {
		return s == nil
	}
	for name := range other {
		if !s[name] {
			return false
		}
	}
	return true
}

// each are the sets of one name that make up a set. The set of all is one of them.
func (s set) each() (all []set) {
	if s == nil {
		return []set{nil}
	}
	for name := range s {
		all = append(all, set{name: true})
	}
	return all
}

// policyText is the policy file.
type policyText struct {
	Roles    map[string]roleText `yaml:"roles"`
	Bindings []struct {
		Callers []string `yaml:"callers"`
		Roles   []string `yaml:"roles"`
	} `yaml:"bindings"`
	Revoked struct {
		Callers      []string `yaml:"callers"`
		Certificates []string `yaml:"certificates_sha256"`
		Tokens       []string `yaml:"token_ids"`
	} `yaml:"revoked"`
}

type roleText struct {
	Description string `yaml:"description"`
	// RPCs: "Service/Method", "Service/*" or "*".
	RPCs []string `yaml:"rpcs"`
	// MerchantAccounts that the role is for, or "*".
	MerchantAccounts []string `yaml:"merchant_accounts"`
	// PartnerAccounts restricts the role to partner accounts, within the merchant accounts; left out, it is not restricted.
	PartnerAccounts []string `yaml:"partner_accounts"`
	Scopes          []string `yaml:"scopes"`
}

// ParsePolicy reads a policy file. rpcs are those that there are. The error names every flaw at once: a policy that says
// something else than was meant must not be taken.
func ParsePolicy(content []byte, rpcs []string) (*Policy, error) {
	var text policyText
	var flaws []error
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&text); err != nil && !errors.Is(err, io.EOF) {
		flaws = append(flaws, err)
	}
	p := &Policy{exact: map[string][]*role{}}
	p.replaced, p.replace = context.WithCancel(context.Background())
	roles := map[string]*role{}
	for _, name := range slices.Sorted(maps.Keys(text.Roles)) {
		made, err := text.Roles[name].role(rpcs)
		if err != nil {
			flaws = append(flaws, fmt.Errorf("roles.%s: %w", name, err))
		}
		roles[name] = made
	}
	flaws = append(flaws, p.bind(text, roles)...)
	p.revoked.callers = setOf(text.Revoked.Callers)
	p.revoked.tokens = setOf(text.Revoked.Tokens)
	p.revoked.certificates = map[string]bool{}
	for _, digest := range text.Revoked.Certificates {
		p.revoked.certificates[strings.ToLower(strings.ReplaceAll(digest, ":", ""))] = true
	}
	if len(flaws) > 0 {
		return nil, errors.Join(flaws...)
	}
	return p, nil
}

func (t roleText) role(rpcs []string) (*role, error) {
	var flaws []error
	flaw := func(format string, args ...any) { flaws = append(flaws, fmt.Errorf(format, args...)) }
	if len(t.RPCs) == 0 {
		flaw("rpcs: none, so the role is for nothing")
	}
	if len(t.MerchantAccounts) == 0 {
		flaw("merchant_accounts: name those that the role is for, or %q", Everything)
	}
	if t.PartnerAccounts != nil && len(t.PartnerAccounts) == 0 {
		flaw("partner_accounts: is empty, so the role is for nothing; leave it out if it is for all")
	}
	granted := map[string]bool{}
	for _, pattern := range t.RPCs {
		found := false
		for _, rpc := range rpcs {
			if matches(pattern, rpc) {
				granted[rpc], found = true, true
			}
		}
		if !found {
			flaw("rpcs: there is no %q", pattern)
		}
	}
	for _, scope := range t.Scopes {
		if !slices.Contains(scopes, scope) {
			flaw("scopes: %q is none of %q", scope, scopes)
		}
	}
	partners := set(nil)
	if t.PartnerAccounts != nil {
		partners = namesOf(t.PartnerAccounts)
	}
	return &role{
		rpcs: func(rpc string) bool { return granted[rpc] }, accounts: namesOf(t.MerchantAccounts), partners: partners, scopes: setOf(t.Scopes),
	}, errors.Join(flaws...)
}

// matches tells whether a pattern is for an RPC: by name, by service, or all.
func matches(pattern, rpc string) bool {
	service, all := strings.CutSuffix(pattern, "/"+Everything)
	return pattern == rpc || pattern == Everything || all && strings.HasPrefix(rpc, service+"/")
}

func (p *Policy) bind(text policyText, roles map[string]*role) (flaws []error) {
	for i, b := range text.Bindings {
		flaw := func(format string, args ...any) {
			flaws = append(flaws, fmt.Errorf("bindings[%d]: %w", i, fmt.Errorf(format, args...)))
		}
		var given []*role
		for _, name := range b.Roles {
			if roles[name] == nil {
				flaw("there is no role %q", name)
			}
			given = append(given, roles[name])
		}
		if len(b.Callers) == 0 || len(b.Roles) == 0 {
			flaw("callers and roles are required")
		}
		for _, caller := range b.Callers {
			prefix, open := strings.CutSuffix(caller, Everything)
			switch {
			case caller == "" || strings.Contains(prefix, Everything):
				flaw("callers: %q: %s may stand at the end alone", caller, Everything)
			case open:
				p.prefixes = append(p.prefixes, binding{prefix: prefix, roles: given})
			default:
				p.exact[caller] = append(p.exact[caller], given...)
			}
		}
	}
	return flaws
}

func setOf(names []string) map[string]bool {
	all := make(map[string]bool, len(names))
	for _, name := range names {
		all[name] = true
	}
	return all
}

// namesOf is the set of names, or of everything if that is among them.
func namesOf(names []string) set {
	if slices.Contains(names, Everything) {
		return nil
	}
	return setOf(names)
}
