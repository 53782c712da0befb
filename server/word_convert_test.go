package server

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
)

// TestWords_AndEnumsNameTheSame walks each enum: every word of the journal or of Klarna has a value, and every value
// but UNSPECIFIED has a word. The journal's words are read out of its source, so that none is forgotten here.
func TestWords_AndEnumsNameTheSame(t *testing.T) {
	t.Parallel()
	constants := journalConstants(t)
	for name, c := range map[string]struct {
		words    []string
		fromWord func(string) protoreflect.Enum
		toWord   func(protoreflect.EnumNumber) string
	}{
		"payment state": {
			constants["PaymentState"],
			func(w string) protoreflect.Enum { return paymentStateFromWord(w) },
			func(n protoreflect.EnumNumber) string {
				return paymentStateToWords([]gatewayv1.Payment_State{gatewayv1.Payment_State(n)})[0]
			},
		},
		"partner state": {
			[]string{journal.AccountPartial, journal.AccountOperational, journal.AccountDisabled},
			func(w string) protoreflect.Enum { return partnerStateFromWord(w) },
			func(n protoreflect.EnumNumber) string {
				return partnerStateToWords([]gatewayv1.Partner_State{gatewayv1.Partner_State(n)})[0]
			},
		},
		"order policy": {
			constants["OrderPolicy"],
			func(w string) protoreflect.Enum { return orderPolicyFromWord(w) },
			func(n protoreflect.EnumNumber) string { return string(orderPolicyToJournal(gatewayv1.OrderPolicy(n))) },
		},
		"store type": {
			[]string{klarna.StoreWebsite, klarna.StorePhysical, klarna.StoreApp},
			func(w string) protoreflect.Enum { return storeTypeFromWord(w) },
			func(n protoreflect.EnumNumber) string {
				return storeToKlarna(&gatewayv1.Store{Type: gatewayv1.Store_Type(n)}).Type
			},
		},
		"payment kind":   {words: constants["PaymentKind"], fromWord: func(w string) protoreflect.Enum { return paymentKindFromWord(w) }},
		"account kind":   {words: constants["AccountKind"], fromWord: func(w string) protoreflect.Enum { return accountKindFromWord(w) }},
		"cause":          {words: constants["Cause"], fromWord: func(w string) protoreflect.Enum { return eventCauseFromWord(w) }},
		"attention":      {words: constants["AttentionReason"], fromWord: func(w string) protoreflect.Enum { return attentionFromWord(w) }},
		"payment status": {words: []string{journal.StatusUnpaid, journal.StatusPaid, journal.StatusClosed}, fromWord: func(w string) protoreflect.Enum { return paymentStatusFromWord(w) }},
		"product state":  {words: []string{journal.ProductEnabled, journal.ProductDisabled, journal.ProductTerminated}, fromWord: func(w string) protoreflect.Enum { return productStateFromWord(w) }},
		"fraud status": {
			words:    []string{string(klarna.FraudAccepted), string(klarna.FraudPending), string(klarna.FraudRejected)},
			fromWord: func(w string) protoreflect.Enum { return fraudStatusFromWord(w) },
		},
		"order status": {
			words: []string{
				string(klarna.OrderAuthorized), string(klarna.OrderPartCaptured), string(klarna.OrderCaptured),
				string(klarna.OrderCancelled), string(klarna.OrderExpired), string(klarna.OrderClosed),
			},
			fromWord: func(w string) protoreflect.Enum { return orderStatusFromWord(w) },
		},
	} {
		if len(c.words) == 0 {
			t.Errorf("%s: no words found", name)
			continue
		}
		var reached []protoreflect.EnumNumber
		for _, word := range c.words {
			number := c.fromWord(word).Number()
			if number == 0 {
				t.Errorf("%s: %s has no value", name, word)
			}
			if c.toWord != nil && c.toWord(number) != word {
				t.Errorf("%s: %s comes back as %q", name, word, c.toWord(number))
			}
			reached = append(reached, number)
		}
		values := c.fromWord("").Descriptor().Values()
		for i := range values.Len() {
			if v := values.Get(i); v.Number() != 0 && !slices.Contains(reached, v.Number()) {
				t.Errorf("%s: %s has no word", name, v.Name())
			}
		}
		for _, odd := range []string{"", "UNSPECIFIED", "ODD"} {
			if n := c.fromWord(odd).Number(); n != 0 {
				t.Errorf("%s: %q is %d", name, odd, n)
			}
		}
		if c.toWord != nil && c.toWord(0) != "" {
			t.Errorf("%s: UNSPECIFIED is %q", name, c.toWord(0))
		}
	}
}

// journalConstants lists the journal's string constants by the name of their type.
func journalConstants(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../journal/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of the journal: %v", err)
	}
	found := map[string][]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			typed, ok := spec.Type.(*ast.Ident)
			if !ok {
				return true
			}
			for _, value := range spec.Values {
				if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					word, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatal(err)
					}
					found[typed.Name] = append(found[typed.Name], word)
				}
			}
			return true
		})
	}
	return found
}
