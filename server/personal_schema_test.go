package server

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// personalWords are words in names of fields that hold personal data or secrets as a rule.
var personalWords = strings.Fields(`
	iban bic bank holder debtor card debit name names email mail phone mobile street address addresses postal postcode zip city
	region birth born age gender title national identification passport ssn vat tax stakeholder person contact customer ip
	device geo latitude longitude user shopper buyer recipient payer token secret password key keys ticket credential`)

// notPersonal are fields whose names have such a word, or that have a free form, and hold nothing personal: why. A name
// without a message is about every field of that name.
var notPersonal = map[string]string{
	"page_token":      "where a list goes on, made by the gateway or Klarna of positions",
	"next_page_token": "where a list goes on, made by the gateway or Klarna of positions",
	"resume_token":    "where a watch goes on, made by the gateway of a position",
	"credential_id":   "names a credential at Klarna and proves nothing",
	"signing_key_id":  "names a key at Klarna and proves nothing",
	"key_id":          "names a sealing key and opens nothing",
	"shipping_config": "which countries and ways of shipping are offered",

	"ApiKey.details":                          "what a credential is for and when it was made",
	"ClientCertificate.details":               "what a certificate is for and when it was made",
	"GetAllowedIpsResponse.details":           "networks of the integrator's servers",
	"PaymentProgram.details":                  "terms of a program",
	"PaymentProgramPlan.details":              "terms of a plan",
	"PricePlan.details":                       "prices",
	"customer_countries":                      "for customers of which countries a program is",
	"BankAccount.bank_account_type":           "Klarna's word for a kind of account",
	"Brand.display_name":                      "the name of a brand, made to be seen by everybody",
	"UpdateBrandRequest.display_name":         "the name of a brand, made to be seen by everybody",
	"legal_registered_entity_name":            "the name of a business in a public register",
	"partner_account_name":                    "the name of a business account",
	"CreateHostedPageRequest.page_title":      "the heading of a page",
	"DownloadReportResponse.data":             "a settlement report: amounts and references",
	"Job.key":                                 "the id of what a job is about",
	"VerifySignatureRequest.HeadersEntry.key": "the name of a header",
	"LineItem.name":                           "the name of an article",
	"OrderLine.name":                          "the name of an article",
	"PaymentMethodCategory.name":              "the name of a way to pay",
	"PaymentProfile.name":                     "the name of a profile",
	"Store.bundle_names":                      "names of apps",
	"SupportContact.contact_form":             "a shop's support, made to be seen by everybody",
	"SupportContact.email":                    "a shop's support, made to be seen by everybody",
	"SupportContact.phone":                    "a shop's support, made to be seen by everybody",
}

// everyField visits every field of every message of the API.
func everyField(visit func(protoreflect.FieldDescriptor)) {
	var within func(protoreflect.MessageDescriptors)
	within = func(messages protoreflect.MessageDescriptors) {
		for i := range messages.Len() {
			for j := range messages.Get(i).Fields().Len() {
				visit(messages.Get(i).Fields().Get(j))
			}
			within(messages.Get(i).Messages())
		}
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("gateway.v1", func(file protoreflect.FileDescriptor) bool {
		within(file.Messages())
		return true
	})
}

// fieldName is a field as notPersonal names it.
func fieldName(field protoreflect.FieldDescriptor) string {
	return strings.TrimPrefix(string(field.FullName()), "gateway.v1.")
}

// suspect tells whether a field may hold personal data by its name or, being of free form, by its type.
func suspect(field protoreflect.FieldDescriptor) bool {
	switch field.Kind() {
	case protoreflect.BytesKind:
		return true
	case protoreflect.StringKind:
		return slices.ContainsFunc(strings.Split(string(field.Name()), "_"), func(word string) bool {
			return slices.Contains(personalWords, strings.TrimRight(word, "0123456789"))
		})
	case protoreflect.MessageKind:
		name := field.Message().FullName()
		return name == "google.protobuf.Struct" || name == "google.protobuf.Any" || name == "google.protobuf.Value"
	}
	return false
}

func TestPersonalData_FieldsThatLookLikeItAreMarked(t *testing.T) {
	t.Parallel()
	unused := maps.Clone(notPersonal)
	everyField(func(field protoreflect.FieldDescriptor) {
		name := fieldName(field)
		_, reviewed := notPersonal[name]
		_, everywhere := notPersonal[string(field.Name())]
		reviewed = reviewed || everywhere
		delete(unused, name)
		delete(unused, string(field.Name()))
		marked := secret(field) || personalData(field) != gatewayv1.PersonalData_PERSONAL_DATA_UNSPECIFIED
		switch {
		case marked && reviewed:
			t.Errorf("%s is marked and an exception", name)
		case suspect(field) && !marked && !reviewed:
			t.Errorf("%s looks personal: mark it with (gateway.v1.personal), as a secret with debug_redact, or say in notPersonal why not", name)
		}
		if kind := personalData(field); kind == gatewayv1.PersonalData_PERSONAL_DATA_NONE && field.Message() == nil {
			t.Errorf("%s: NONE is for messages", name)
		}
	})
	for name, why := range notPersonal {
		if why == "" {
			t.Errorf("%s is an exception without a reason", name)
		}
	}
	for name := range unused {
		t.Errorf("%s is an exception, and no field", name)
	}
}

// TestDocument_PersonalDataIsWhatTheOptionsSay holds docs/personal-data.md to the options of the protos.
func TestDocument_PersonalDataIsWhatTheOptionsSay(t *testing.T) {
	t.Parallel()
	in, out := map[string][]string{}, map[string][]string{}
	all := slices.SortedFunc(slices.Values(methods()), func(a, b protoreflect.MethodDescriptor) int { return cmp.Compare(a.Name(), b.Name()) })
	for _, method := range all {
		name := string(method.Name())
		reaches(method.Input(), false, map[protoreflect.FullName]bool{}, func(field string) { in[field] = append(in[field], name) })
		reaches(method.Output(), true, map[protoreflect.FullName]bool{}, func(field string) { out[field] = append(out[field], name) })
	}
	var doc bytes.Buffer
	fmt.Fprint(&doc, "# Personal data\n\nGenerated from the protos by `go test ./server -run Document -update`. Every field that holds personal data is marked\n"+
		"by the option `(gateway.v1.personal)`. It is shown to callers with the scope `personal_data` alone (bank accounts also have to be\n"+
		"asked for, and watches show nothing unasked), never logged, never quoted by errors; [security.md](security.md#personal-data) says where it\n"+
		"is kept. In other messages fields marked NONE hold the same kind of thing about nobody, such as the address of a store.\n\n"+
		"| Field | Kind | Comes in with | Shown by |\n| --- | --- | --- | --- |\n")
	for _, field := range slices.Sorted(maps.Keys(markedFields())) {
		kind := strings.TrimPrefix(markedFields()[field].String(), "PERSONAL_DATA_")
		fmt.Fprintf(&doc, "| %s | %s | %s | %s |\n", field, kind, strings.Join(in[field], ", "), strings.Join(out[field], ", "))
	}
	fmt.Fprint(&doc, "\nSecrets are marked by `debug_redact`:")
	for _, field := range secretFields() {
		fmt.Fprintf(&doc, " %s", field)
	}
	holds(t, "../docs/personal-data.md", append(doc.Bytes(), '\n'))
}

// markedFields are the fields that hold personal data by their option.
func markedFields() map[string]gatewayv1.PersonalData {
	marked := map[string]gatewayv1.PersonalData{}
	everyField(func(field protoreflect.FieldDescriptor) {
		if kind := personalData(field); kind > gatewayv1.PersonalData_PERSONAL_DATA_NONE {
			marked[fieldName(field)] = kind
		}
	})
	return marked
}

func secretFields() (all []string) {
	everyField(func(field protoreflect.FieldDescriptor) {
		if secret(field) {
			all = append(all, fieldName(field))
		}
	})
	slices.Sort(all)
	return all
}

// inputOnly tells whether a field is in no response.
func inputOnly(field protoreflect.FieldDescriptor) bool {
	behaviors, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, annotations.FieldBehavior_INPUT_ONLY)
}

// reaches visits the marked fields of a message and of those inside it, once each; out leaves out what is input alone.
func reaches(d protoreflect.MessageDescriptor, out bool, seen map[protoreflect.FullName]bool, visit func(field string)) {
	if seen[d.FullName()] {
		return
	}
	seen[d.FullName()] = true
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		kind := personalData(field)
		if kind > gatewayv1.PersonalData_PERSONAL_DATA_NONE {
			visit(fieldName(field))
		}
		if inputOnly(field) && out {
			continue
		}
		if field.Message() != nil && kind != gatewayv1.PersonalData_PERSONAL_DATA_NONE {
			reaches(field.Message(), out, seen, visit)
		}
	}
}
