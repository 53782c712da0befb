package klarnatest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// managed onboards the merchant and returns the path of its account once that is operational, and of its product.
func (w *world) managed() (account, product string) {
	w.t.Helper()
	id := w.onboarded()
	w.must(w.klarna.Operational(id))
	state, _ := w.klarna.Account(id)
	account = "/v2/accounts/" + id
	return account, account + "/products/payment/" + state.ProductID
}

// parts are requests that create a part, by the path under the account or, with a +, the product.
func parts(t *testing.T, group string) map[string]doc {
	return map[string]doc{
		"/partner-business-entities": fixture(t, `{"partner_business_entity_reference":"le2","legal_registered_entity_name":"Nordlicht Berge GmbH","legal_registration_country":"AT"}`),
		"/brands":                    fixture(t, `{"brand_reference":"b2","display_name":"Nordlicht Berge"}`),
		"/store-groups":              fixture(t, `{"store_group_reference":"sg2","brand_reference":"mrc-000482-b1","stores":[{"store_reference":"web-at","type":"WEBSITE","url":"https://at.nordlicht.example"}]}`),
		"/stores":                    fixture(t, `{"store_reference":"app-and","type":"MOBILE_APP","platform":"ANDROID","bundle_names":["example.nordlicht.shop"]}`).with(doc{"store_group_id": group}),
		"+/payment-accounts": fixture(t, `{"payment_account_reference":"mrc-000482-at","default_merchant_category_code":"5941",
			"payment_acquiring_account_id":"krn:partner:global:account:acquiring-account:2c1d9d0e-0a1b-4f7e-9a66-6d1b8f0e2a10",
			"partner_business_entity_reference":"mrc-000482-le1","default_store_group_reference":"mrc-000482-sg1"}`),
	}
}

// partPath is a path of parts within an account.
func partPath(account, product, path string) string {
	if inProduct, ok := strings.CutPrefix(path, "+"); ok {
		return product + inProduct
	}
	return account + path
}

// group is the id of the first store group.
func (w *world) group(account string) string {
	w.t.Helper()
	return first(w.want(200, "GET", account+"/store-groups", nil).json, "store_groups").str("store_group_id")
}

// idOf is the id of a part: the only member that ends in _id and is named after the path.
func idOf(path string, d doc) string {
	return d.str(map[string]string{
		"/partner-business-entities": "partner_business_entity_id", "/brands": "brand_id", "/store-groups": "store_group_id",
		"/stores": "store_id", "+/payment-accounts": "payment_account_id",
	}[path])
}

func TestParts_AreCreatedOnceByReferenceAndRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	account, product := w.managed()
	for path, request := range parts(t, w.group(account)) {
		at := partPath(account, product, path)
		made := w.want(201, "POST", at, request, key, "create"+path).json
		id := idOf(path, made)
		if !strings.HasPrefix(id, "krn:") {
			t.Fatalf("%s: id %q", path, id)
		}
		if again := w.want(201, "POST", at, request, key, "create"+path).json; idOf(path, again) != id {
			t.Errorf("%s: under the same key it is %v", path, again)
		}
		w.refused(409, "RESOURCE_CONFLICT", "POST", at, request)
		if read := w.want(200, "GET", at+"/"+id, nil).json; !same(map[string]any(read), map[string]any(made)) {
			t.Errorf("%s: read %v, created %v", path, read, made)
		}
		w.refused(404, "RESOURCE_NOT_FOUND", "GET", at+"/krn:none", nil)
		w.refused(404, "RESOURCE_NOT_FOUND", "PATCH", at+"/krn:none", doc{"type": "WEBSITE"})
		w.refused(404, "RESOURCE_NOT_FOUND", "POST", partPath("/v2/accounts/krn:none", "/v2/accounts/krn:none/products/payment/x", path), request)
	}
	whole := w.want(200, "GET", account+"?expand=products&expand=brands&expand=store_groups&expand=partner_business_entities", nil).json
	for list, n := range map[string]int{"brands": 2, "store_groups": 2, "partner_business_entities": 2} {
		if items, _ := whole.objects(list); len(items) != n {
			t.Errorf("%d %s, want %d", len(items), list, n)
		}
	}
	if stores, _ := first(whole, "store_groups").objects("stores"); len(stores) != 4 {
		t.Errorf("stores %v", stores)
	}
	if accounts, _ := first(whole, "products").objects("payment_accounts"); len(accounts) != 2 {
		t.Errorf("payment accounts %v", accounts)
	}
}

func TestParts_AreNotManagedUntilOperational(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	id := w.onboarded()
	account := "/v2/accounts/" + id
	state, _ := w.klarna.Account(id)
	product := account + "/products/payment/" + state.ProductID
	for path, request := range parts(t, w.group(account)) {
		w.refused(403, "OPERATION_FORBIDDEN", "POST", partPath(account, product, path), request)
		w.refused(403, "OPERATION_FORBIDDEN", "PATCH", partPath(account, product, path)+"/x", doc{"x": "y"})
	}
	w.refused(403, "OPERATION_FORBIDDEN", "POST", product+"/disable", doc{"reason": "VOLUNTARY"})
	w.refused(403, "OPERATION_FORBIDDEN", "POST", product+"/enable", nil)
	w.want(200, "GET", account+"/partner-business-entities", nil)
}

func TestParts_NameEveryWrongParameter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	account, product := w.managed()
	group := w.group(account)
	store := first(w.want(200, "GET", account+"/stores?size=1", nil).json, "stores").str("store_id")
	for _, c := range []struct {
		method, path string
		request      doc
		want         string
	}{
		{"POST", "/partner-business-entities", doc{"legal_registration_country": "de"}, "legal_registered_entity_name legal_registration_country partner_business_entity_reference"},
		{"POST", "/brands", doc{"brand_reference": "b2"}, "display_name"},
		{"POST", "/store-groups", doc{"store_group_reference": "x", "brand_reference": "none", "stores": []doc{}}, "brand_reference stores"},
		{"POST", "/stores", doc{"store_reference": "x", "type": "WEBSITE"}, "store_group_id url"},
		{"POST", "+/payment-accounts", doc{"payment_account_reference": "x", "default_store_group_reference": "none"},
			"default_merchant_category_code default_store_group_reference partner_business_entity_reference payment_acquiring_account_id"},
		{"POST", "+/disable", doc{"reason_details": "x"}, "reason"},
		{"PATCH", "/store-groups/" + group, doc{}, ""},
		{"PATCH", "/store-groups/" + group, doc{"store_group_reference": "", "support_contact": doc{"email": "x"}}, "store_group_reference support_contact.email"},
		{"PATCH", "/stores/" + store, doc{"type": "PHYSICAL_STORE"}, "address.country type"},
		{"GET", "/stores?size=0", nil, "size"},
		{"GET", "/stores?starting_after=krn:none", nil, "starting_after"},
	} {
		var body any
		if c.request != nil {
			body = c.request
		}
		errs, _ := w.refused(400, "VALIDATION_ERROR", c.method, partPath(account, product, c.path), body).json.objects("validation_errors")
		var named []string
		for _, e := range errs {
			named = append(named, e.str("parameter"))
		}
		slices.Sort(named)
		if got := strings.Join(slices.Compact(named), " "); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.method, c.path, got, c.want)
		}
	}
}

func TestParts_ChangeWhatIsSetAndKeepTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	account, product := w.managed()
	entity := first(w.want(200, "GET", account+"/partner-business-entities", nil).json, "partner_business_entities")
	changed := w.want(200, "PATCH", account+"/partner-business-entities/"+entity.str("partner_business_entity_id"), doc{
		"legal_registered_entity_name": "Nordlicht AG", "supplementary_business_data": doc{"operating_addresses": []doc{{"country": "DE"}}},
	}).json
	data := changed.object("supplementary_business_data")
	if changed.str("legal_registered_entity_name") != "Nordlicht AG" || changed.str("legal_registration_country") != "DE" ||
		!data.has("operating_addresses") || !data.has("partner_payouts_state") {
		t.Errorf("%v", changed)
	}

	group := w.group(account)
	renamed := w.want(200, "PATCH", account+"/store-groups/"+group, doc{"store_group_reference": "sg-new"}).json
	if stores, _ := renamed.objects("stores"); renamed.str("store_group_reference") != "sg-new" || len(stores) != 3 || !renamed.has("support_contact") {
		t.Errorf("%v", renamed)
	}
	pa := first(first(w.want(200, "GET", account+"?expand=products", nil).json, "products"), "payment_accounts")
	if pa.str("default_store_group_id") != group {
		t.Errorf("the payment account lost its store group: %v", pa)
	}
	moved := w.want(200, "PATCH", product+"/payment-accounts/"+pa.str("payment_account_id"), doc{"payment_account_reference": "de-new"}).json
	if moved.str("payment_account_reference") != "de-new" || moved.str("default_merchant_category_code") != "5941" {
		t.Errorf("%v", moved)
	}

	store := first(w.want(200, "GET", account+"/stores?size=1", nil).json, "stores")
	again := w.want(200, "PATCH", account+"/stores/"+store.str("store_id"), doc{"type": "WEBSITE", "url": "https://neu.nordlicht.example"}).json
	if again.str("url") != "https://neu.nordlicht.example" || again.str("store_reference") != "web-de" || again.str("store_group_id") != group {
		t.Errorf("%v", again)
	}
	w.refused(409, "RESOURCE_CONFLICT", "PATCH", account+"/stores/"+store.str("store_id"), doc{"type": "WEBSITE", "store_reference": "app-ios"})
}

func TestPaymentAccount_ReferenceIsUniqueAmongAllPartners(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	_, product := w.managed()
	request := parts(t, "")["+/payment-accounts"]
	made := w.want(201, "POST", product+"/payment-accounts", request).json
	at := product + "/payment-accounts/" + made.str("payment_account_id")
	w.refused(409, "RESOURCE_CONFLICT", "PATCH", at, doc{"payment_account_reference": "mrc-000482-de"})
	w.want(200, "PATCH", at, doc{"payment_account_reference": "mrc-000482-ch"})
	w.want(201, "POST", product+"/payment-accounts", request) // its reference is free again
	w.refused(409, "RESOURCE_CONFLICT", "POST", product+"/payment-accounts", request.with(doc{"payment_account_reference": "mrc-000482-ch"}))
}

func TestStores_ArePagedByCursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	account, _ := w.managed()
	group := w.group(account)
	for n := range 3 {
		w.want(201, "POST", account+"/stores", doc{"store_group_id": group, "store_reference": fmt.Sprint("s", n), "type": "WEBSITE", "url": "https://s.example"})
	}
	for size, want := range map[int]int{1: 6, 3: 2, 4: 2, 6: 1, 100: 1} {
		var references []string
		after, pages := "", 0
		for ; pages == 0 || after != ""; pages++ {
			res := w.want(200, "GET", fmt.Sprintf("%s/stores?size=%d&starting_after=%s", account, size, after), nil).json
			stores, _ := res.objects("stores")
			for _, s := range stores {
				references = append(references, s.str("store_reference"))
			}
			after = res.object("pagination").str("last_item")
		}
		if got := strings.Join(references, " "); got != "web-de app-ios berlin-01 s0 s1 s2" || pages != want {
			t.Errorf("size %d: %s on %d pages, want %d", size, got, pages, want)
		}
	}
}

func TestProduct_IsDisabledAndEnabledByUs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	_, product := w.managed()
	w.refused(409, "RESOURCE_CONFLICT", "POST", product+"/enable", nil)
	off := w.want(200, "POST", product+"/disable", doc{"reason": "VOLUNTARY"}, key, key1).json
	if off.str("state") != "DISABLED" || off.str("state_reason") != "VOLUNTARY" {
		t.Errorf("%v", off)
	}
	w.want(200, "POST", product+"/disable", doc{"reason": "VOLUNTARY"}, key, key1)
	w.refused(409, "RESOURCE_CONFLICT", "POST", product+"/disable", doc{"reason": "VOLUNTARY"})
	if on := w.want(200, "POST", product+"/enable", nil, key, key2).json; on.str("state") != "ENABLED" || on.has("state_reason") {
		t.Errorf("%v", on)
	}
	w.settle()
	want := []string{EventOperational, EventProductDisabled, EventProductEnabled}
	if got := types(w.inbox.received()); !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

func TestProduct_DisabledByKlarnaIsNotEnabledByUs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	account, product := w.managed()
	w.must(w.klarna.DisableProduct(strings.TrimPrefix(account, "/v2/accounts/")))
	w.refused(403, "OPERATION_FORBIDDEN", "POST", product+"/enable", nil)
	w.must(w.klarna.EnableProduct(strings.TrimPrefix(account, "/v2/accounts/")))
	w.want(200, "POST", product+"/disable", doc{"reason": "VOLUNTARY"})
	w.want(200, "POST", product+"/enable", nil)
}

func TestDecide_IsToldAndRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	id := w.onboarded()
	at := "/v2/accounts/" + id + "/compliance/decisions"
	if list, _ := w.want(200, "GET", at, nil).json.objects("decisions"); len(list) != 0 {
		t.Errorf("%v", list)
	}
	res := w.want(200, "POST", "/admin/accounts/"+id+"/decide", doc{"details": doc{"verdict": "APPROVED"}})
	decision := res.json.str("decision_id")
	if read := w.want(200, "GET", at+"/"+decision, nil).json; read.str("verdict") != "APPROVED" || read.str("decision_id") != decision {
		t.Errorf("%v", read)
	}
	w.refused(404, "RESOURCE_NOT_FOUND", "GET", at+"/krn:none", nil)
	if _, err := w.klarna.Decide("krn:none", nil); err == nil {
		t.Error("a decision on no account")
	}
	w.settle()
	posts := w.inbox.received()
	if got := types(posts); !slices.Equal(got, []string{EventDecision}) || posts[0].json.object("payload").str("decision_id") != decision {
		t.Errorf("told %v", got)
	}
}

func TestContract_PartsOfAnAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := underContract(t, w)
	account := "/v2/accounts/" + w.onboarded()
	w.want(403, "POST", account+"/brands", parts(t, "")["/brands"])
	w.klarna.Advance(time.Second)
	state, _ := w.klarna.Account(strings.TrimPrefix(account, "/v2/accounts/"))
	product := account + "/products/payment/" + state.ProductID
	update := map[string]doc{
		"/partner-business-entities": {"legal_registered_entity_name": "Nordlicht AG"}, "/brands": {"display_name": "Berge"},
		"/store-groups": {"support_contact": doc{"email": "hilfe@nordlicht.example"}}, "+/payment-accounts": {"default_merchant_category_code": "0744"},
		"/stores": {"type": "MOBILE_APP", "platform": "IOS"},
	}
	for path, request := range parts(t, w.group(account)) {
		at := partPath(account, product, path)
		id := idOf(path, w.want(201, "POST", at, request).json)
		w.want(409, "POST", at, request)
		w.want(400, "POST", at, doc{})
		w.want(200, "GET", at+"/"+id, nil)
		w.want(404, "GET", at+"/krn:none", nil)
		w.want(200, "PATCH", at+"/"+id, update[path])
		w.want(404, "PATCH", at+"/krn:none", update[path])
	}
	for _, list := range []string{"/partner-business-entities", "/brands", "/store-groups?size=1", "/stores?size=2", "/products/payment", "/compliance/decisions?size=1"} {
		w.want(200, "GET", account+list, nil)
	}
	w.want(400, "GET", account+"/stores?starting_after=krn:none", nil)
	w.want(404, "POST", account+"/stores", parts(t, "krn:none")["/stores"])
	w.want(200, "POST", product+"/disable", doc{"reason": "VOLUNTARY", "reason_details": "left"})
	w.want(409, "POST", product+"/disable", doc{"reason": "VOLUNTARY"})
	w.want(200, "POST", product+"/enable", nil)
	w.want(404, "POST", account+"/products/payment/krn:none/enable", nil)
	decision, err := w.klarna.Decide(state.ID, map[string]any{"verdict": "APPROVED"})
	w.must(err)
	w.want(200, "GET", account+"/compliance/decisions", nil)
	w.want(200, "GET", account+"/compliance/decisions/"+decision, nil)
	w.want(404, "GET", account+"/compliance/decisions/krn:none", nil)
	w.want(200, "GET", "/v2/distribution/products/payment/profiles", nil)
	for _, part := range []string{"PartnerBusinessEntity", "Brand", "StoreGroup", "Store", "PaymentAccount"} {
		c.saw("create"+part+" 201", "create"+part+" 400", "create"+part+" 409", "read"+part+" 200", "read"+part+" 404",
			"update"+part+" 200", "update"+part+" 404")
	}
	c.saw("createBrand 403", "createStore 404", "listPartnerBusinessEntity 200", "listBrand 200", "listStoreGroup 200", "listStore 200",
		"listStore 400", "listPaymentProducts 200", "listComplianceDecisions 200", "readComplianceDecision 200",
		"readComplianceDecision 404", "listPaymentProfiles 200", "disablePaymentProduct 200", "disablePaymentProduct 409",
		"enablePaymentProduct 200", "enablePaymentProduct 404")
}
