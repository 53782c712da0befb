package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	someAccount = "krn:partner:global:account:test:PQ7XK2MD"
	someID      = "krn:part:1"
)

// partCall is one method, what it sends and what it makes of an answer.
type partCall struct {
	name, method, path, body string // path under the account's
	answer                   string // Klarna's
	do                       func(context.Context, *Client) (any, error)
	want                     string // the result as JSON
}

func one[T any](v T, err error) (any, error)               { return v, err }
func page[T any](v T, next string, err error) (any, error) { return []any{v, next}, err }

// partCalls has every method on the parts of an account.
var partCalls = []partCall{
	{"create entity", "POST", "/partner-business-entities", `{"partner_business_entity_reference":"e","legal_registered_entity_name":"N","legal_registration_country":"DE"}`,
		`{"partner_business_entity_id":"krn:e","novelty":1}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.CreateBusinessEntity(ctx, testKey, someAccount, BusinessEntity{PartnerBusinessEntityReference: "e", LegalRegisteredEntityName: "N", LegalRegistrationCountry: "DE"}))
		}, `{"partner_business_entity_id":"krn:e"}`},
	{"list entities", "GET", "/partner-business-entities", "", `{"partner_business_entities":[{"partner_business_entity_id":"krn:e"}]}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.BusinessEntities(ctx, someAccount)) }, `[{"partner_business_entity_id":"krn:e"}]`},
	{"read entity", "GET", "/partner-business-entities/krn:part:1", "", `{"partner_business_entity_id":"krn:e"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.BusinessEntity(ctx, someAccount, someID))
		}, `{"partner_business_entity_id":"krn:e"}`},
	{"update entity", "PATCH", "/partner-business-entities/krn:part:1", `{"legal_registered_entity_name":"M"}`, `{"legal_registered_entity_name":"M"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.UpdateBusinessEntity(ctx, testKey, someAccount, someID, BusinessEntityUpdate{LegalRegisteredEntityName: "M"}))
		}, `{"partner_business_entity_id":"krn:part:1","legal_registered_entity_name":"M"}`},
	{"create brand", "POST", "/brands", `{"brand_reference":"b","display_name":"B"}`, `{"brand_id":"krn:b","brand_reference":"b"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.CreateBrand(ctx, testKey, someAccount, Brand{BrandReference: "b", DisplayName: "B"}))
		}, `{"brand_id":"krn:b","brand_reference":"b"}`},
	{"list brands", "GET", "/brands", "", `{"brands":[{"brand_id":"krn:b"}],"pagination":{"count":1,"last_item":null}}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.Brands(ctx, someAccount)) }, `[{"brand_id":"krn:b"}]`},
	{"read brand", "GET", "/brands/krn:part:1", "", `{"brand_id":"krn:b"}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.Brand(ctx, someAccount, someID)) }, `{"brand_id":"krn:b"}`},
	{"create store group", "POST", "/store-groups", `{"store_group_reference":"g","brand_reference":"b","stores":[{"store_reference":"s","type":"WEBSITE","url":"https://x.example"}]}`,
		`{"store_group_id":"krn:g","brand_id":"krn:b","stores":[{"store_id":"krn:s"}]}`,
		func(ctx context.Context, c *Client) (any, error) {
			stores := []Store{{StoreReference: "s", Type: StoreWebsite, URL: "https://x.example"}}
			made, err := c.CreateStoreGroup(ctx, testKey, someAccount, StoreGroup{StoreGroupReference: "g", BrandReference: "b", Stores: stores})
			if stores[0].StoreID != "" {
				err = errors.Join(err, errors.New("what was sent was changed"))
			}
			return one(made, err)
		}, `{"store_group_id":"krn:g","brand_id":"krn:b","stores":[{"store_id":"krn:s"}]}`},
	{"list store groups", "GET", "/store-groups?size=2&starting_after=krn%3Ag0", "", `{"store_groups":[{"store_group_id":"krn:g"}],"pagination":{"last_item":"krn:g"}}`,
		func(ctx context.Context, c *Client) (any, error) {
			return page(c.StoreGroups(ctx, someAccount, Cursor{Size: 2, After: "krn:g0"}))
		}, `[[{"store_group_id":"krn:g"}],"krn:g"]`},
	{"read store group", "GET", "/store-groups/krn:part:1", "", `{"store_group_id":"krn:g"}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.StoreGroup(ctx, someAccount, someID)) }, `{"store_group_id":"krn:g"}`},
	{"update store group", "PATCH", "/store-groups/krn:part:1", `{"social_media_links":[{"provider":"INSTAGRAM","url":"https://i.example"}]}`, `{"store_group_reference":"g"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.UpdateStoreGroup(ctx, testKey, someAccount, someID, StoreGroupUpdate{SocialMediaLinks: []SocialMediaLink{{"INSTAGRAM", "https://i.example"}}}))
		}, `{"store_group_id":"krn:part:1","store_group_reference":"g"}`},
	{"create store", "POST", "/stores", `{"store_group_id":"krn:g","store_reference":"s","type":"MOBILE_APP","platform":"IOS","bundle_names":["example.app"]}`, `{"store_id":"krn:s","type":"BOAT"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.CreateStore(ctx, testKey, someAccount, Store{StoreGroupID: "krn:g", StoreReference: "s", Type: StoreApp, Platform: "IOS", BundleNames: []string{"example.app"}}))
		}, `{"store_id":"krn:s","type":"BOAT"}`},
	{"list stores", "GET", "/stores", "", `[{"store_id":"krn:s"}]`,
		func(ctx context.Context, c *Client) (any, error) { return page(c.Stores(ctx, someAccount, Cursor{})) }, `[[{"store_id":"krn:s"}],""]`},
	{"read store", "GET", "/stores/krn:part:1", "", `{"store_id":"krn:s"}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.Store(ctx, someAccount, someID)) }, `{"store_id":"krn:s"}`},
	{"update store", "PATCH", "/stores/krn:part:1", `{"store_reference":"s","type":"WEBSITE","url":"https://y.example"}`, `{"store_id":"krn:s"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.UpdateStore(ctx, testKey, someAccount, someID, Store{StoreID: "x", StoreGroupID: "y", StoreReference: "s", Type: StoreWebsite, URL: "https://y.example"}))
		}, `{"store_id":"krn:s"}`},
	{"list products", "GET", "/products/payment", "", `[{"product_id":"krn:p","type":"PAYMENT","state":"ON_HOLD"}]`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.PaymentProducts(ctx, someAccount)) }, `[{"product_id":"krn:p","type":"PAYMENT","state":"ON_HOLD"}]`},
	{"disable product", "POST", "/products/payment/krn:part:1/disable", `{"reason":"VOLUNTARY","reason_details":"closed"}`, `{"product_id":"krn:part:1","type":"PAYMENT","state":"DISABLED"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.DisablePaymentProduct(ctx, testKey, someAccount, someID, DisableReason{"VOLUNTARY", "closed"}))
		}, `{"product_id":"krn:part:1","type":"PAYMENT","state":"DISABLED"}`},
	{"enable product", "POST", "/products/payment/krn:part:1/enable", "", `{"type":"PAYMENT","state":"ENABLED"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.EnablePaymentProduct(ctx, testKey, someAccount, someID))
		}, `{"product_id":"krn:part:1","type":"PAYMENT","state":"ENABLED"}`},
	{"create payment account", "POST", "/products/payment/krn:part:1/payment-accounts", `{"payment_account_reference":"p","partner_business_entity_reference":"e"}`, `{"payment_account_id":"krn:pa"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.CreatePaymentAccount(ctx, testKey, someAccount, someID, PaymentAccount{PaymentAccountReference: "p", PartnerBusinessEntityReference: "e"}))
		}, `{"payment_account_id":"krn:pa"}`},
	{"read payment account", "GET", "/products/payment/krn:part:1/payment-accounts/krn:pa", "", `{"payment_account_id":"krn:pa"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.PaymentAccount(ctx, someAccount, someID, "krn:pa"))
		}, `{"payment_account_id":"krn:pa"}`},
	{"update payment account", "PATCH", "/products/payment/krn:part:1/payment-accounts/krn:pa", `{"default_merchant_category_code":"0744"}`, `{"default_merchant_category_code":"0744"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.UpdatePaymentAccount(ctx, testKey, someAccount, someID, "krn:pa", PaymentAccountUpdate{DefaultMerchantCategoryCode: "0744"}))
		}, `{"payment_account_id":"krn:pa","default_merchant_category_code":"0744"}`},
	{"list decisions", "GET", "/compliance/decisions?size=1", "", `{"decisions":[{"decision_id":"krn:d","verdict":"OK"}],"pagination":{"last_item":"krn:d"}}`,
		func(ctx context.Context, c *Client) (any, error) {
			return page(c.ComplianceDecisions(ctx, someAccount, Cursor{Size: 1}))
		}, `[[{"decision_id":"krn:d"}],"krn:d"]`},
	{"read decision", "GET", "/compliance/decisions/krn:part:1", "", `{"decision_id":"krn:d"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.ComplianceDecision(ctx, someAccount, someID))
		}, `{"decision_id":"krn:d"}`},
}

func TestParts_SendWhatKlarnaExpectsAndReadTheAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range partCalls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			klarna := answering(t, 200, c.answer)
			got, err := c.do(t.Context(), klarna.client(t))
			if err != nil {
				t.Fatal(err)
			}
			s := klarna.only(t)
			s.want(t, c.method, "/v2/accounts/"+someAccount+c.path)
			if c.body == "" && len(s.body) > 0 {
				t.Errorf("sent %s", s.body)
			} else if c.body != "" {
				checkJSON(t, s.body, c.body)
			}
			if key := s.header.Get("Klarna-Idempotency-Key"); (key == testKey) != (c.method != "GET") || key != "" && key != testKey {
				t.Errorf("idempotency key %q", key)
			}
			result, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			checkJSON(t, result, c.want)
		})
	}
}

func TestParts_KeepWhatKlarnaSentOfEachItem(t *testing.T) {
	t.Parallel()
	const item = `{"brand_id":"krn:b","novelty":{"x":1}}`
	brands, err := answering(t, 200, `{"brands":[`+item+`]}`).client(t).Brands(t.Context(), someAccount)
	if err != nil || len(brands) != 1 || string(brands[0].Raw) != item {
		t.Errorf("%+v, %v", brands, err)
	}
	brand, err := answering(t, 200, item).client(t).Brand(t.Context(), someAccount, someID)
	if err != nil || string(brand.Raw) != item {
		t.Errorf("%+v, %v", brand, err)
	}
}

func TestParts_AcceptAWriteAnsweredWithoutABody(t *testing.T) {
	t.Parallel()
	c := answering(t, 204, "").client(t)
	brand, err := c.CreateBrand(t.Context(), testKey, someAccount, Brand{BrandReference: "b", DisplayName: "B"})
	if err != nil || brand.BrandReference != "b" || brand.BrandID != "" || brand.Raw != nil {
		t.Errorf("%+v, %v", brand, err)
	}
	if product, err := c.EnablePaymentProduct(t.Context(), testKey, someAccount, someID); err != nil || product.ProductID != someID {
		t.Errorf("%+v, %v", product, err)
	}
	if _, err := c.Brand(t.Context(), someAccount, someID); !errors.Is(err, ErrUnavailable) && err == nil {
		t.Error("a read without an answer succeeded")
	}
}

func TestParts_AWriteThatCannotBeReadIsOutcomeUnknown(t *testing.T) {
	t.Parallel()
	c := answering(t, 201, "<html>").client(t)
	_, err := c.CreateBrand(t.Context(), testKey, someAccount, Brand{})
	check(t, "create", err, ErrOutcomeUnknown, ErrUnavailable)
	_, err = c.UpdateStore(t.Context(), testKey, someAccount, someID, Store{})
	check(t, "update", err, ErrOutcomeUnknown, ErrUnavailable)
}

func TestLists_AreTakenBareAndWrapped(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`[{"payment_profile_id":"krn:1","name":"A"},{"payment_profile_id":"krn:2"}]`: "krn:1 krn:2",
		` {"profiles":[{"payment_profile_id":"krn:1"}]}`:                             "krn:1",
		`{"payment_profiles":[{"payment_profile_id":"krn:1"}],"total":1}`:            "krn:1",
		`{"items":[],"pagination":{}}`:                                               "",
		`[]`:                                                                         "",
	} {
		klarna := answering(t, 200, body)
		profiles, err := klarna.client(t).PaymentProfiles(t.Context())
		var got []string
		for _, p := range profiles {
			got = append(got, p.PaymentProfileID)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v", body, got, err)
		}
		klarna.only(t).want(t, "GET", "/v2/distribution/products/payment/profiles")
	}
	for _, body := range []string{`{}`, `{"a":[],"b":[]}`, `{"profiles":7}`, `7`, `[7]`, `{"profiles":[],"pagination":7}`, ``} {
		if profiles, err := answering(t, 200, body).client(t).PaymentProfiles(t.Context()); err == nil {
			t.Errorf("%q is %v", body, profiles)
		}
	}
}

func TestComplianceDecisions_AreTakenOutOfTheItemsThatHoldThem(t *testing.T) {
	t.Parallel()
	decisions, next, err := answering(t, 200, `[{"decisions":[{"decision_id":"krn:1","verdict":"OK"},{"decision_id":"krn:2"}]},{"decision_id":"krn:3"}]`).client(t).
		ComplianceDecisions(t.Context(), someAccount, Cursor{})
	if err != nil || next != "" || len(decisions) != 3 || string(decisions[0].Raw) != `{"decision_id":"krn:1","verdict":"OK"}` {
		t.Errorf("%+v, %q, %v", decisions, next, err)
	}
}

func TestStores_ACursorThatDoesNotGoOnIsAnError(t *testing.T) {
	t.Parallel()
	for last, fails := range map[string]bool{`"krn:2"`: false, `null`: false, `"krn:1"`: true} {
		body := fmt.Sprintf(`{"stores":[{"store_id":"krn:2"}],"pagination":{"last_item":%s}}`, last)
		_, _, err := answering(t, 200, body).client(t).Stores(t.Context(), someAccount, Cursor{After: "krn:1"})
		if (err != nil) != fails {
			t.Errorf("%s: %v", last, err)
		}
	}
}
