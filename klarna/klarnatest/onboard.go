package klarnatest

import (
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// addition is what an onboard request would add to an account, found before anything is changed.
type addition struct {
	brands, entities, groups, paymentAccounts []doc
	stores                                    map[string][]doc // by reference of a group that exists
}

// onboard creates an account, or adds to the one with the same reference. Klarna: what has a new reference is created,
// what has a known one must mean the same, what is left out stays.
func (s *Server) onboard(c *call) answer {
	known := s.byReference[c.doc.str("partner_account_reference")]
	if errs := checkOnboard(c.doc, known); errs != nil {
		return c.invalid(errs)
	}
	if known != nil && known.state == stateDisabled {
		return c.refuse(http.StatusForbidden, "OPERATION_FORBIDDEN", "Partner account is disabled")
	}
	a := known
	if a == nil {
		a = s.newAccount(c.doc)
	}
	add, conflict := a.compare(c.doc)
	if conflict == "" {
		conflict = s.takenElsewhere(a, add.paymentAccounts)
	}
	if conflict != "" {
		return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", conflict)
	}
	s.extend(a, add)
	if known == nil {
		s.open(a)
	}
	s.lookAtBrands(a, add.brands)
	return reply(http.StatusCreated, a.document("products", "brands", "store_groups", "partner_business_entities"))
}

// newAccount makes the account of a request, still without the lists.
func (s *Server) newAccount(request doc) *account {
	product, _ := request.objects("products")
	return &account{
		id:        s.accountKRN(),
		reference: request.str("partner_account_reference"),
		name:      request.str("partner_account_name"),
		contact:   request.object("partner_account_contact"),
		state:     statePartiallyOperational,
		product: paymentProduct{
			id:      "krn:partner:global:account:product:payment:" + uuid.NewString(),
			profile: product[0].str("payment_profile_id"),
			state:   productEnabled,
		},
	}
}

// open makes an account known and lets its set-up begin.
func (s *Server) open(a *account) {
	s.accounts[a.id], s.byReference[a.reference] = a, a
	if s.cfg.OperationalAfter < 0 {
		return
	}
	s.schedule(entry{at: s.now().Add(s.cfg.OperationalAfter), do: func() {
		if a.state == statePartiallyOperational {
			s.becomeOperational(a)
		}
	}})
}

// compare finds what a request adds to the account, or says which item differs from what is stored.
func (a *account) compare(request doc) (add addition, conflict string) {
	add.stores = map[string][]doc{}
	if request.has("partner_account_name") && request.str("partner_account_name") != a.name ||
		request.has("partner_account_contact") && !same(request.object("partner_account_contact"), a.contact) {
		return add, "Stored partner account differs from the submitted one"
	}
	var ok bool
	if add.brands, ok = fresh(a.brands, request, "brands", "brand_reference"); !ok {
		return add, "Stored brand differs from the submitted one"
	}
	if add.entities, ok = fresh(a.entities, request, "partner_business_entities", "partner_business_entity_reference"); !ok {
		return add, "Stored partner business entity differs from the submitted one"
	}
	if add.groups, ok = fresh(a.groups, request, "store_groups", "store_group_reference", "stores"); !ok {
		return add, "Stored store group differs from the submitted one"
	}
	groups, _ := request.objects("store_groups")
	for _, group := range groups {
		stored := find(a.groups, group.str("store_group_reference"))
		if stored == nil {
			continue
		}
		if add.stores[stored.reference], ok = fresh(stored.items, group, "stores", "store_reference"); !ok {
			return add, "Stored store differs from the submitted one"
		}
	}
	products, _ := request.objects("products")
	for _, product := range products {
		if product.str("payment_profile_id") != a.product.profile {
			return add, "Stored product differs from the submitted one"
		}
		add.paymentAccounts, ok = fresh(a.product.accounts, product, "payment_accounts", "payment_account_reference")
		if !ok {
			return add, "Stored payment account differs from the submitted one"
		}
	}
	return add, ""
}

// fresh picks the items of a list whose reference is not stored yet; ok is false when one that is means something
// else. Fields in ignored are not compared.
func fresh(stored []*item, request doc, list, reference string, ignored ...string) (added []doc, ok bool) {
	items, _ := request.objects(list)
	for _, submitted := range items {
		known := find(stored, submitted.str(reference))
		switch {
		case known == nil:
			added = append(added, submitted)
		case !same(submitted.without(ignored...), known.input.without(ignored...)):
			return nil, false
		}
	}
	return added, true
}

// takenElsewhere refuses payment account references that another account has. Klarna: they are unique within the
// acquiring partner.
func (s *Server) takenElsewhere(a *account, paymentAccounts []doc) (conflict string) {
	for _, added := range paymentAccounts {
		if owner := s.paymentAccount[acquiringKey(added)]; owner != nil && owner != a {
			return "Payment account reference is in use"
		}
	}
	return ""
}

// acquiringKey is the pair that addresses a payment account.
func acquiringKey(paymentAccount doc) string {
	return paymentAccount.str("payment_acquiring_account_id") + "\n" + paymentAccount.str("payment_account_reference")
}

// extend carries out an addition.
func (s *Server) extend(a *account, add addition) {
	for _, brand := range add.brands {
		a.brands = append(a.brands, newItem("brand", brand.str("brand_reference"), brand))
	}
	for _, entity := range add.entities {
		a.entities = append(a.entities, newItem("partner-business-entity", entity.str("partner_business_entity_reference"), entity))
	}
	for _, group := range add.groups {
		stored := newItem("store-group", group.str("store_group_reference"), group)
		a.groups = append(a.groups, stored)
		add.stores[stored.reference], _ = group.objects("stores")
	}
	for _, group := range a.groups {
		for _, store := range add.stores[group.reference] {
			group.items = append(group.items, newItem("store", store.str("store_reference"), store))
		}
	}
	for _, paymentAccount := range add.paymentAccounts {
		a.product.accounts = append(a.product.accounts,
			newItem("payment-account", paymentAccount.str("payment_account_reference"), paymentAccount))
		s.paymentAccount[acquiringKey(paymentAccount)] = a
	}
}

// lookAtBrands plays Klarna's check of brand pictures: a logo whose URL contains 404 is not there.
func (s *Server) lookAtBrands(a *account, brands []doc) {
	for _, brand := range brands {
		if strings.Contains(brand.object("element").str("logo_url"), "404") {
			s.brandIncomplete(a, find(a.brands, brand.str("brand_reference")))
		}
	}
}

// accountKRN makes an account id. Klarna: krn:partner:global:account:test:M48JTZF8, "live" in production.
func (s *Server) accountKRN() string {
	tail := strings.ToUpper(strings.ReplaceAll(uuid.NewString(), "-", "")[:8])
	return "krn:partner:global:account:" + s.environment() + ":" + tail
}

func (s *Server) environment() string {
	if s.cfg.Live {
		return "live"
	}
	return "test"
}
