package access

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Grant is what a caller may do with one RPC: any of its rules allows. The zero Grant allows nothing.
type Grant struct {
	rules []rule
}

type rule struct {
	accounts, partners set
	scopes             map[string]bool
}

// All is the grant where there is no policy.
func All(withPersonalData bool) Grant {
	if withPersonalData {
		return Grant{rules: allPersonal}
	}
	return Grant{rules: all}
}

// Rules are never changed, so those of all grants without a policy are the same.
var all, allPersonal = []rule{{}}, []rule{{scopes: map[string]bool{PersonalData: true}}}

// Revoked tells whether the policy takes a caller's credentials back.
func (p *Policy) Revoked(c Caller) bool {
	return p.revoked.callers[c.Name] || c.TokenID != "" && p.revoked.tokens[c.TokenID] ||
		c.CertificateSHA256 != "" && p.revoked.certificates[c.CertificateSHA256]
}

// Grant is what a caller may do with an RPC, nothing if its credentials are revoked.
func (p *Policy) Grant(c Caller, rpc string) (g Grant) {
	if p.Revoked(c) {
		return Grant{}
	}
	add := func(roles []*role) {
		for _, r := range roles {
			if r.rpcs(rpc) {
				g.rules = append(g.rules, rule{accounts: r.accounts, partners: r.partners, scopes: r.scopes})
			}
		}
	}
	add(p.exact[c.Name])
	for _, b := range p.prefixes {
		if strings.HasPrefix(c.Name, b.prefix) {
			add(b.roles)
		}
	}
	return g
}

// OnReplaced calls f, in a goroutine of its own, once a newer policy has taken this one's place, unless stopped before.
func (p *Policy) OnReplaced(f func()) (stop func() bool) { return context.AfterFunc(p.replaced, f) }

// Empty tells whether nothing is allowed.
func (g Grant) Empty() bool { return len(g.rules) == 0 }

// For is the grant for one merchant account.
func (g Grant) For(account string) (narrow Grant) {
	for _, r := range g.rules {
		if r.accounts.has(account) {
			r.accounts = set{account: true}
			narrow.rules = append(narrow.rules, r)
		}
	}
	return narrow
}

// Everywhere is the grant for what belongs to no merchant account, or to all.
func (g Grant) Everywhere() (narrow Grant) {
	for _, r := range g.rules {
		if r.accounts == nil {
			narrow.rules = append(narrow.rules, r)
		}
	}
	return narrow
}

// ForPartner is the grant for one partner account.
func (g Grant) ForPartner(partner string) (narrow Grant) {
	for _, r := range g.rules {
		if r.partners.has(partner) {
			r.partners = set{partner: true}
			narrow.rules = append(narrow.rules, r)
		}
	}
	return narrow
}

// Partners lists the partner accounts that the grant is for, sorted; all says that it is not restricted.
func (g Grant) Partners() (partners []string, all bool) {
	union := set{}
	for _, r := range g.rules {
		if r.partners == nil {
			return nil, true
		}
		maps.Copy(union, r.partners)
	}
	return slices.Sorted(maps.Keys(union)), false
}

// Scope tells whether all that the grant allows, as narrow as it is, is allowed with a scope: what one rule shows of an
// account or partner, the scope of a rule for another one does not open.
func (g Grant) Scope(name string) bool {
	return !g.Empty() && !slices.ContainsFunc(g.rules, func(r rule) bool { return !r.scopes[name] && !g.scoped(r, name) })
}

// scoped tells whether rules with a scope allow every pair of accounts that another rule allows.
func (g Grant) scoped(other rule, name string) bool {
	for _, account := range other.accounts.each() {
		for _, partner := range other.partners.each() {
			if !slices.ContainsFunc(g.rules, func(r rule) bool {
				return r.scopes[name] && r.accounts.covers(account) && r.partners.covers(partner)
			}) {
				return false
			}
		}
	}
	return true
}

// Without is the grant without a scope.
func (g Grant) Without(scope string) (narrow Grant) {
	if !g.Scope(scope) { // a watch holds on to its grant
		return g
	}
	for _, r := range g.rules {
		r.scopes = maps.Clone(r.scopes)
		if delete(r.scopes, scope); len(r.scopes) == 0 {
			r.scopes = nil
		}
		narrow.rules = append(narrow.rules, r)
	}
	return narrow
}

// Covers tells whether everything that other allows is allowed here, too. It may be wrong about a grant that was cut
// into several rules, and then says no.
func (g Grant) Covers(other Grant) bool {
	return !slices.ContainsFunc(other.rules, func(theirs rule) bool {
		return !slices.ContainsFunc(g.rules, func(ours rule) bool {
			for scope, has := range theirs.scopes {
				if has && !ours.scopes[scope] {
					return false
				}
			}
			return ours.accounts.covers(theirs.accounts) && ours.partners.covers(theirs.partners)
		})
	})
}
