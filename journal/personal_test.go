package journal

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payments.internal/klarna-gateway/store"
)

// nameless are words in JSON names of what a state holds that stand for personal data.
var nameless = []string{"iban", "bic", "bank", "holder", "account_number", "name", "email", "phone", "address", "birth", "national", "contact", "debtor", "details"}

// fillAll sets every field that a value reaches; strings say what they are.
func fillAll(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillAll(v.Elem(), name)
	case reflect.Struct:
		for i := range v.NumField() {
			field, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if v.Type().Field(i).IsExported() {
				fillAll(v.Field(i), field)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(`{"partner_account_name":"Nordlicht","partner_account_contact":{"given_name":"personal"},
				"partner_business_entities":[{"id":"e1","supplementary_business_data":{"stakeholders":[{"given_name":"personal"}]}}],
				"supplementary_account_data":{"ip":"personal"}}`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillAll(v.Index(0), name)
	case reflect.String:
		text := "text"
		if slices.ContainsFunc(nameless, func(word string) bool { return strings.Contains(name, word) }) {
			text = "personal"
		}
		v.SetString(text)
	case reflect.Int64:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	}
}

func TestEntries_WhatLastsHoldsNothingPersonalAndEverythingElse(t *testing.T) {
	t.Parallel()
	var payment PaymentEntry
	fillAll(reflect.ValueOf(&payment).Elem(), "")
	body, lasting, err := payment.encode()
	if err != nil || strings.Count(string(body), "personal") != 12 || strings.Contains(string(lasting), "personal") {
		t.Errorf("%v\n%s\n%s", err, body, lasting)
	}
	rest, err := DecodePaymentEntry(lasting)
	payment.Payment.Expected[0].Debtor, payment.Payment.Received[0].Debtor = Debtor{}, Debtor{}
	if diff := cmp.Diff(payment, rest); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}

	if of, err := Lasting(store.Payments, body); err != nil || string(of) != string(lasting) {
		t.Errorf("of the body %v lasts\n%s", err, of)
	}

	var account AccountEntry
	fillAll(reflect.ValueOf(&account).Elem(), "")
	if _, lasting, err = account.encode(); err != nil {
		t.Fatal(err)
	}
	body, _, err = account.encode()
	if of, failed := Lasting(store.Accounts, body); err != nil || failed != nil || string(of) != string(lasting) {
		t.Errorf("of the body %v, %v lasts\n%s", err, failed, of)
	}
	for _, stream := range store.Streams() { // nothing of it is personal
		if of, err := Lasting(stream, []byte("{}")); of != nil || err != nil {
			t.Errorf("%s: %s, %v", stream, of, err)
		}
	}
	kept, err := DecodeAccountEntry(lasting)
	if err != nil || strings.Contains(string(kept.Account.Details), "personal") {
		t.Errorf("%v %s", err, kept.Account.Details)
	}
	var details map[string]any
	if err := json.Unmarshal(kept.Account.Details, &details); err != nil || details["partner_account_name"] != "Nordlicht" || len(details["partner_business_entities"].([]any)) != 1 {
		t.Errorf("%v %s", err, kept.Account.Details)
	}

	for _, one := range []interface {
		encode() ([]byte, []byte, error)
	}{PaymentEntry{Payment: Payment{Received: []Transfer{{Amount: 1}}}}, AccountEntry{Account: Account{Details: []byte(`{"a":{"b":[1]}}`)}}} {
		if _, lasting, err := one.encode(); lasting != nil || err != nil {
			t.Errorf("nothing personal, and %s, %v", lasting, err)
		}
	}
}
