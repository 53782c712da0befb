package klarnatest

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// checker gathers everything wrong with a Network request, so that a caller learns it at once.
type checker struct{ errs []doc }

func (k *checker) refuse(parameter, reason string) {
	k.errs = append(k.errs, doc{"parameter": parameter, "reason": reason, "doc_url": "https://docs.klarna.com/"})
}

// located is an object and its JSON dot path within the request.
type located struct {
	path string
	doc
}

// at is the path of a field.
func (l located) at(field string) string {
	if l.path == "" {
		return field
	}
	return l.path + "." + field
}

// texts requires non-empty strings.
func (k *checker) texts(l located, fields ...string) {
	for _, field := range fields {
		if value, ok := l.text(field); !ok || value == "" {
			k.refuse(l.at(field), "must not be empty")
		}
	}
}

// list is an array of objects. It must hold something, unless it may be absent and is.
func (k *checker) list(l located, field string, mayBeAbsent bool) []located {
	if mayBeAbsent && !l.has(field) {
		return nil
	}
	items, ok := l.objects(field)
	if !ok || len(items) == 0 {
		k.refuse(l.at(field), "must be a list of at least one object")
	}
	var list []located
	for i, item := range items {
		list = append(list, located{fmt.Sprintf("%s[%d]", l.at(field), i), item})
	}
	return list
}

// unique adds the references of a list to known, which holds those of the account already, and refuses repetition
// within the list.
func (k *checker) unique(list []located, field string, known map[string]bool) {
	seen := map[string]bool{}
	for _, l := range list {
		reference := l.str(field)
		if reference != "" && seen[reference] {
			k.refuse(l.at(field), "must be unique")
		}
		seen[reference], known[reference] = true, true
	}
}

// refers requires that a reference is among the known ones.
func (k *checker) refers(l located, field string, known map[string]bool) {
	if reference := l.str(field); reference != "" && !known[reference] {
		k.refuse(l.at(field), "refers to nothing in this request or account")
	}
}

// Klarna's rules for fields that are alike wherever they stand.
var fieldRules = map[string]struct {
	holds  func(string) bool
	reason string
}{
	"country":                        {regexp.MustCompile(`^[A-Z]{2}$`).MatchString, "must be an ISO 3166-1 alpha-2 code"},
	"legal_registration_country":     {regexp.MustCompile(`^[A-Z]{2}$`).MatchString, "must be an ISO 3166-1 alpha-2 code"},
	"phone":                          {regexp.MustCompile(`^\+[0-9]{4,15}$`).MatchString, "must be an E.164 number"},
	"email":                          {regexp.MustCompile(`^[^@<>\s]{1,64}@[^@<>\s]{1,255}$`).MatchString, "must be an e-mail address"},
	"default_merchant_category_code": {regexp.MustCompile(`^[0-9]{4}$`).MatchString, "must be four digits"},
	"payment_profile_id":             {isKRN, "must be a Klarna resource name"},
	"payment_acquiring_account_id":   {isKRN, "must be a Klarna resource name"},
	"date_of_birth":                  {isDate, "must be a date"},
	"account_created_at":             {isTime, "must be an RFC 3339 time"},
	"payouts_enabled_at":             {isTime, "must be an RFC 3339 time"},
	"url":                            {isURL, "must be a URL"},
	"contact_form":                   {isURL, "must be a URL"},
	"logo_url":                       {isURL, "must be a URL"},
	"icon_url":                       {isURL, "must be a URL"},
	"feature_image_url":              {isURL, "must be a URL"},
}

func isKRN(s string) bool  { return strings.HasPrefix(s, "krn:") }
func isDate(s string) bool { _, err := time.Parse(time.DateOnly, s); return err == nil }
func isTime(s string) bool { _, err := time.Parse(time.RFC3339Nano, s); return err == nil }
func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// texture checks every text in the request by the name of its field. Klarna: texts have at most 255 characters and no
// control characters.
func (k *checker) texture(path, field string, value any) {
	switch value := value.(type) {
	case doc:
		k.texture(path, field, map[string]any(value))
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			k.texture(located{path: path}.at(name), name, value[name])
		}
	case []any:
		for i, item := range value {
			k.texture(fmt.Sprintf("%s[%d]", path, i), field, item)
		}
	case string:
		rule, ruled := fieldRules[field]
		switch {
		case utf8.RuneCountInString(value) > 255:
			k.refuse(path, "must have at most 255 characters")
		case strings.ContainsFunc(value, unicode.IsControl):
			k.refuse(path, "must not have control characters")
		case ruled && value != "" && !rule.holds(value):
			k.refuse(path, rule.reason)
		}
	}
}

// checkOnboard finds what is wrong with an onboard request. An account that is known may leave out lists to which it
// adds nothing, and its references count as defined.
func checkOnboard(request doc, known *account) []doc {
	k := &checker{}
	k.texture("", "", request)
	root := located{doc: request}
	k.texts(root, "partner_account_reference")
	add := known != nil
	if !add || root.has("partner_account_name") {
		k.texts(root, "partner_account_name")
	}
	if !add || root.has("partner_account_contact") {
		contact := located{"partner_account_contact", root.object("partner_account_contact")}
		k.texts(contact, "given_name", "family_name", "email")
	}
	brands, groups, entities := known.references()
	k.brands(k.list(root, "brands", add), brands)
	k.entities(k.list(root, "partner_business_entities", add), entities)
	k.storeGroups(k.list(root, "store_groups", add), groups, brands)
	k.products(k.list(root, "products", add), entities, groups)
	return k.errs
}

func (k *checker) brands(list []located, known map[string]bool) {
	k.unique(list, "brand_reference", known)
	for _, brand := range list {
		k.texts(brand, "brand_reference", "display_name")
	}
}

func (k *checker) entities(list []located, known map[string]bool) {
	k.unique(list, "partner_business_entity_reference", known)
	for _, entity := range list {
		k.texts(entity, "partner_business_entity_reference", "legal_registered_entity_name", "legal_registration_country")
	}
}

func (k *checker) storeGroups(list []located, known, brands map[string]bool) {
	k.unique(list, "store_group_reference", known)
	for _, group := range list {
		k.texts(group, "store_group_reference", "brand_reference")
		k.refers(group, "brand_reference", brands)
		stores := k.list(group, "stores", false)
		k.unique(stores, "store_reference", map[string]bool{})
		for _, store := range stores {
			k.store(store)
		}
	}
}

// store requires what a store of its type needs.
func (k *checker) store(store located) {
	k.texts(store, "store_reference", "type")
	switch store.str("type") {
	case "":
	case "WEBSITE":
		k.texts(store, "url")
	case "PHYSICAL_STORE":
		k.texts(located{store.at("address"), store.object("address")}, "country")
	case "MOBILE_APP":
		k.texts(store, "platform")
		if names, _ := store.doc["bundle_names"].([]any); len(names) == 0 {
			k.refuse(store.at("bundle_names"), "must not be empty")
		}
	default:
		k.refuse(store.at("type"), "must be WEBSITE, PHYSICAL_STORE or MOBILE_APP")
	}
}

// products checks the one product an account can have. Klarna: one item today.
func (k *checker) products(list []located, entities, groups map[string]bool) {
	if len(list) > 1 {
		k.refuse("products", "must be one product")
	}
	for _, product := range list {
		if product.str("type") != "PAYMENT" {
			k.refuse(product.at("type"), "must be PAYMENT")
		}
		k.texts(product, "payment_profile_id")
		accounts := k.list(product, "payment_accounts", false)
		k.unique(accounts, "payment_account_reference", map[string]bool{})
		for _, account := range accounts {
			k.paymentAccount(account, entities, groups)
		}
	}
}

func (k *checker) paymentAccount(account located, entities, groups map[string]bool) {
	k.texts(account, "payment_account_reference", "payment_acquiring_account_id", "default_merchant_category_code",
		"partner_business_entity_reference", "default_store_group_reference")
	k.refers(account, "partner_business_entity_reference", entities)
	k.refers(account, "default_store_group_reference", groups)
}
