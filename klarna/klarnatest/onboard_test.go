package klarnatest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// merchant is a complete onboard request.
func merchant(t *testing.T) doc {
	return fixture(t, `{
	"partner_account_reference": "mrc-000482", "partner_account_name": "Nordlicht Outdoor",
	"partner_account_contact": {"given_name": "Mira", "family_name": "Sand", "email": "mira.sand@nordlicht.example", "phone": "+4930901820"},
	"products": [{"type": "PAYMENT",
		"payment_profile_id": "krn:network:global:test:payment-profile:7b0c2e5a-55f1-4a0e-8a2e-1f6a6f0a9d11",
		"payment_accounts": [{"payment_account_reference": "mrc-000482-de",
			"payment_acquiring_account_id": "krn:partner:global:account:acquiring-account:2c1d9d0e-0a1b-4f7e-9a66-6d1b8f0e2a10",
			"default_merchant_category_code": "5941", "partner_business_entity_reference": "mrc-000482-le1",
			"default_store_group_reference": "mrc-000482-sg1"}]}],
	"brands": [{"brand_reference": "mrc-000482-b1", "display_name": "Nordlicht", "element": {"logo_url": "https://cdn.nordlicht.example/logo.png"}}],
	"store_groups": [{"store_group_reference": "mrc-000482-sg1", "brand_reference": "mrc-000482-b1",
		"support_contact": {"email": "help@nordlicht.example", "phone": "+4930901821", "contact_form": "https://nordlicht.example/contact"},
		"stores": [{"store_reference": "web-de", "type": "WEBSITE", "url": "https://nordlicht.example"},
			{"store_reference": "app-ios", "type": "MOBILE_APP", "platform": "IOS", "bundle_names": ["example.nordlicht.shop"]},
			{"store_reference": "berlin-01", "type": "PHYSICAL_STORE", "address": {"street_address": "Lindenweg 4", "postal_code": "10969", "city": "Berlin", "country": "DE"}}]}],
	"partner_business_entities": [{"partner_business_entity_reference": "mrc-000482-le1",
		"legal_registered_entity_name": "Nordlicht Outdoor GmbH", "legal_registration_country": "DE",
		"supplementary_business_data": {"partner_payouts_state": {"payouts_status": "ENABLED", "payouts_enabled_at": "2026-01-15T08:00:00Z",
			"payouts_delay_days": 2, "bank_accounts": [{"bank_account_type": "IBAN", "account_holder": "Nordlicht Outdoor GmbH", "iban": "DE89370400440532013000"}]}}}]
	}`)
}

const onboardPath = "/v2/distribution/onboard"

// onboarded onboards the merchant and returns the account id.
func (w *world) onboarded() string {
	w.t.Helper()
	return w.want(201, "POST", onboardPath, merchant(w.t)).json.str("partner_account_id")
}

// first is the first object of a list within a fixture or answer.
func first(d doc, field string) doc {
	list, _ := d.objects(field)
	return list[0]
}

func TestOnboard_CreatesAccountWithIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	res := w.want(201, "POST", onboardPath, merchant(t), key, key1)
	id := res.json.str("partner_account_id")
	if !strings.HasPrefix(id, "krn:partner:global:account:test:") {
		t.Errorf("account id %q does not say test", id)
	}
	if got := res.json.str("state"); got != "PARTIALLY_OPERATIONAL" {
		t.Errorf("state %q, want PARTIALLY_OPERATIONAL", got)
	}
	product := first(res.json, "products")
	group, entity := first(res.json, "store_groups"), first(res.json, "partner_business_entities")
	payment := first(product, "payment_accounts")
	if payment.str("default_store_group_id") != group.str("store_group_id") ||
		payment.str("partner_business_entity_id") != entity.str("partner_business_entity_id") ||
		payment.str("payment_account_id") == "" || product.str("product_id") == "" {
		t.Errorf("ids are not tied together: %s", res.body)
	}
	if res.header.Get("Klarna-Correlation-Id") == "" || res.header.Get("X-Ratelimit-Limit") != "40, 40;w=1" {
		t.Errorf("headers are missing: %v", res.header)
	}
}

func TestOnboard_LiveIDsSayLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Live = true })
	if id := w.onboarded(); !strings.HasPrefix(id, "krn:partner:global:account:live:") {
		t.Errorf("account id %q does not say live", id)
	}
}

func TestOnboard_NamesEveryWrongParameter(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(doc){
		"partner_account_reference":      func(d doc) { delete(d, "partner_account_reference") },
		"partner_account_contact.email":  func(d doc) { d.object("partner_account_contact")["email"] = "<a>@b" },
		"products":                       func(d doc) { d["products"] = []any{} },
		"products[0].type":               func(d doc) { first(d, "products")["type"] = "LOANS" },
		"products[0].payment_profile_id": func(d doc) { first(d, "products")["payment_profile_id"] = "p-1" },
		"products[0].payment_accounts[0].default_merchant_category_code": func(d doc) { first(first(d, "products"), "payment_accounts")["default_merchant_category_code"] = "594" },
		"products[0].payment_accounts[0].default_store_group_reference":  func(d doc) { first(first(d, "products"), "payment_accounts")["default_store_group_reference"] = "none" },
		"brands[0].display_name":                                  func(d doc) { first(d, "brands")["display_name"] = "" },
		"brands[1].brand_reference":                               func(d doc) { d["brands"] = append(d["brands"].([]any), map[string]any(first(d, "brands"))) },
		"store_groups[0].brand_reference":                         func(d doc) { first(d, "store_groups")["brand_reference"] = "none" },
		"store_groups[0].stores[0].url":                           func(d doc) { delete(first(first(d, "store_groups"), "stores"), "url") },
		"store_groups[0].stores[0].type":                          func(d doc) { first(first(d, "store_groups"), "stores")["type"] = "BOAT" },
		"partner_business_entities[0].legal_registration_country": func(d doc) { first(d, "partner_business_entities")["legal_registration_country"] = "de" },
		"partner_account_name":                                    func(d doc) { d["partner_account_name"] = strings.Repeat("x", 256) },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			request := merchant(t)
			spoil(request)
			res := w.refused(400, "VALIDATION_ERROR", "POST", onboardPath, request)
			errs, _ := res.json.objects("validation_errors")
			if !slices.ContainsFunc(errs, func(e doc) bool { return e.str("parameter") == want && e.str("reason") != "" }) {
				t.Errorf("%s is not named in %s", want, res.body)
			}
		})
	}
}

func TestOnboard_RepeatGetsFirstAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	one := w.want(201, "POST", onboardPath, merchant(t), key, key1)
	w.must(w.klarna.Operational(one.json.str("partner_account_id")))
	w.klarna.Advance(23 * time.Hour)
	two := w.want(201, "POST", onboardPath, merchant(t), key, key1)
	if !bytes.Equal(one.body, two.body) {
		t.Errorf("the repeat was answered differently:\n%s\n%s", one.body, two.body)
	}
	w.klarna.Advance(2 * time.Hour)
	three := w.want(201, "POST", onboardPath, merchant(t), key, key1)
	if three.json.str("state") != "OPERATIONAL" || three.json.str("partner_account_id") != one.json.str("partner_account_id") {
		t.Errorf("after 24 h the key still counts, or the account was made twice: %s", three.body)
	}
}

func TestOnboard_ValidationErrorDoesNotBindKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	request := merchant(t)
	request["partner_account_name"] = ""
	w.refused(400, "VALIDATION_ERROR", "POST", onboardPath, request, key, key1)
	w.want(201, "POST", onboardPath, merchant(t), key, key1)
}

func TestOnboard_RefusesKeyOfAnotherRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(201, "POST", onboardPath, merchant(t), key, key1)
	other := merchant(t)
	other["partner_account_reference"] = "mrc-000483"
	w.refused(409, "RESOURCE_CONFLICT", "POST", onboardPath, other, key, key1)
}

func TestOnboard_AddsWhatIsNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.onboarded()
	more := merchant(t)
	more["brands"] = append(more["brands"].([]any), map[string]any{"brand_reference": "mrc-000482-b2", "display_name": "Nordlicht Kids"})
	group := first(more, "store_groups")
	group["stores"] = append(group["stores"].([]any), map[string]any{"store_reference": "web-at", "type": "WEBSITE", "url": "https://nordlicht.example/at"})
	delete(more, "partner_business_entities")
	res := w.want(201, "POST", onboardPath, more, key, key2)
	if got := res.json.str("partner_account_id"); got != id {
		t.Fatalf("account %s, want %s", got, id)
	}
	brands, _ := res.json.objects("brands")
	stores, _ := first(res.json, "store_groups").objects("stores")
	entities, _ := res.json.objects("partner_business_entities")
	if len(brands) != 2 || len(stores) != 4 || len(entities) != 1 {
		t.Errorf("%d brands, %d stores, %d entities, want 2, 4, 1", len(brands), len(stores), len(entities))
	}
}

func TestOnboard_ConflictsWithWhatIsStored(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(doc){
		"brand": func(d doc) { first(d, "brands")["display_name"] = "Südlicht" },
		"store": func(d doc) { first(first(d, "store_groups"), "stores")["url"] = "https://other.example" },
		"payment account": func(d doc) {
			first(first(d, "products"), "payment_accounts")["default_merchant_category_code"] = "5942"
		},
		"account":                            func(d doc) { d["partner_account_name"] = "Südlicht" },
		"payment account of another account": func(d doc) { d["partner_account_reference"] = "mrc-000999" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.onboarded()
			before := w.want(200, "GET", "/v2/accounts/"+id+"?expand=brands&expand=store_groups&expand=products", nil)
			changed := merchant(t)
			changed["brands"] = append(changed["brands"].([]any), map[string]any{"brand_reference": "new", "display_name": "New"})
			change(changed)
			w.refused(409, "RESOURCE_CONFLICT", "POST", onboardPath, changed)
			after := w.want(200, "GET", "/v2/accounts/"+id+"?expand=brands&expand=store_groups&expand=products", nil)
			if !same(before.json.without("state"), after.json.without("state")) {
				t.Errorf("the refused request left something behind:\n%s\n%s", before.body, after.body)
			}
		})
	}
}

func TestAccount_IsManagedOnlyWhileOperational(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	account := "/v2/accounts/" + w.onboarded()
	id := strings.TrimPrefix(account, "/v2/accounts/")
	rename := doc{"partner_account_name": "Nordlicht Group"}
	w.refused(403, "OPERATION_FORBIDDEN", "PATCH", account, rename, key, key1)
	w.must(w.klarna.Operational(id))
	if got := w.want(200, "PATCH", account, rename, key, key1).json.str("partner_account_name"); got != "Nordlicht Group" {
		t.Errorf("name %q", got)
	}
	w.must(w.klarna.DisableAccount(id))
	w.refused(403, "OPERATION_FORBIDDEN", "PATCH", account, rename)
	w.refused(403, "OPERATION_FORBIDDEN", "POST", onboardPath, merchant(t).with(doc{"partner_account_name": "Nordlicht Group"}))
	if got, _ := w.klarna.Account(id); got.State != "DISABLED" || got.ProductState != "DISABLED" {
		t.Errorf("account %+v, want it and its product DISABLED", got)
	}
	w.refused(404, "RESOURCE_NOT_FOUND", "GET", "/v2/accounts/krn:none", nil)
}

func TestAccount_ListsOnlyWhatIsExpanded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := "/v2/accounts/" + w.onboarded()
	plain := w.want(200, "GET", account, nil).json
	if plain.has("brands") || plain.has("products") {
		t.Errorf("lists are there without expand: %v", plain)
	}
	if expanded := w.want(200, "GET", account+"?expand=brands", nil).json; !expanded.has("brands") || expanded.has("products") {
		t.Errorf("expand=brands gave %v", expanded)
	}
	w.refused(400, "VALIDATION_ERROR", "GET", account+"?expand=shoes", nil)
}

func TestBrand_CanBeReadAndChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := "/v2/accounts/" + w.onboarded()
	w.klarna.Advance(time.Second)
	brand := first(w.want(200, "GET", account+"/brands", nil).json, "brands")
	path := account + "/brands/" + brand.str("brand_id")
	w.want(200, "PATCH", path, doc{"display_name": "Nordlicht Neu"})
	got := w.want(200, "GET", path, nil).json
	if got.str("display_name") != "Nordlicht Neu" || got.object("element").str("logo_url") == "" {
		t.Errorf("brand is %v", got)
	}
	w.refused(400, "VALIDATION_ERROR", "PATCH", path, doc{"display_name": ""})
	w.refused(404, "RESOURCE_NOT_FOUND", "GET", account+"/brands/krn:none", nil)
}
