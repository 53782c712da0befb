package access

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Known is what a policy can name: who may be proven, and which merchant accounts there are.
type Known struct {
	Tokens, Issuers, MerchantAccounts []string
	Certificates                      []NameForm
}

// LintPolicy tells what a policy that is sound says to no effect, or against itself: roles that nobody has, bindings for
// nobody, callers that may do nothing, accounts that there are not. Each is a sentence that begins with its place.
func LintPolicy(content []byte, rpcs []string, known Known) (found []string) {
	var text policyText
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if decoder.Decode(&text) != nil {
		return nil // ParsePolicy says what is wrong
	}
	note := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	bound := map[string]bool{}
	for i, b := range text.Bindings {
		for _, role := range b.Roles {
			bound[role] = true
		}
		for _, caller := range b.Callers {
			if why := known.nobody(caller); why != "" {
				note("bindings[%d]: %q is nobody: %s", i, caller, why)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(text.Roles)) {
		role := text.Roles[name]
		if !bound[name] {
			note("roles.%s: nobody has it", name)
		}
		for _, account := range role.MerchantAccounts {
			if account != Everything && !slices.Contains(known.MerchantAccounts, account) {
				note("roles.%s: there is no merchant account %q", name, account)
			}
		}
		for i, pattern := range role.RPCs {
			for k, other := range role.RPCs {
				if i != k && covers(other, pattern, rpcs) && (pattern != other || i > k) {
					note("roles.%s: %q is in %q already", name, pattern, other)
				}
			}
		}
	}
	for _, name := range known.Tokens {
		if !slices.ContainsFunc(text.callers(), func(caller string) bool { return fits(caller, name) }) {
			note("bindings: caller %q has a token and no role, so it may do nothing", name)
		}
	}
	for _, caller := range text.Revoked.Callers {
		if strings.HasSuffix(caller, Everything) {
			note("revoked: %q is taken as it stands: callers are revoked by their whole name", caller)
		}
	}
	return found
}

// callers are all that have a binding.
func (t policyText) callers() (all []string) {
	for _, b := range t.Bindings {
		all = append(all, b.Callers...)
	}
	return all
}

// fits tells whether a caller of a binding stands for a name.
func fits(caller, name string) bool {
	prefix, open := strings.CutSuffix(caller, Everything)
	return caller == name || open && strings.HasPrefix(name, prefix)
}

// covers tells whether one pattern is for every RPC that another one is for.
func covers(one, other string, rpcs []string) bool {
	return !slices.ContainsFunc(rpcs, func(rpc string) bool { return matches(other, rpc) && !matches(one, rpc) })
}

// nobody says why a caller of a binding cannot be proven; empty if it may be.
func (k Known) nobody(caller string) string {
	form, _, named := strings.Cut(caller, ":")
	if prefix, open := strings.CutSuffix(caller, Everything); open && !strings.Contains(prefix, ":") {
		return "" // may be of any kind
	}
	switch {
	case !named && !slices.Contains(k.Tokens, caller):
		return "there is no token of this name"
	case !named || slices.Contains(k.Issuers, form):
		return ""
	case NameForm(form).Known() && !slices.Contains(k.Certificates, NameForm(form)):
		return "client certificates do not name callers so, see certificate_names and client_ca_file"
	case !NameForm(form).Known():
		return "there is no token issuer of the name " + form
	}
	return ""
}
