package storetest

import (
	"testing"

	"payments.internal/klarna-gateway/store"
)

var blockPromises = []promise{
	{"BlocksAreFoundByWhatTheyEndBehind", blocksAreFound},
	{"BlocksGoWithTheirEvents", blocksGoWithTheirEvents},
}

func block(accountOf, form string, after, upTo store.Position) store.Block {
	return store.Block{Stream: store.Payments, MerchantAccount: accountOf, Form: form, After: after, UpTo: upTo, Body: []byte(accountOf + form)}
}

func put(t *testing.T, e store.Engine, blocks ...store.Block) {
	t.Helper()
	if err := e.PutBlocks(t.Context(), blocks); err != nil {
		t.Fatal(err)
	}
}

// findBlock demands a block, or none if want is nil.
func findBlock(t *testing.T, e store.Engine, accountOf, form string, after store.Position, want *store.Block) {
	t.Helper()
	got, err := e.Block(t.Context(), store.Payments, accountOf, form, after)
	if want == nil {
		isNotFound(t, "block", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "block", got, *want)
}

func packed(t *testing.T, e store.Engine, form string) store.Position {
	t.Helper()
	upTo, err := e.Packed(t.Context(), store.Payments, form)
	if err != nil {
		t.Fatal(err)
	}
	return upTo
}

func blocksAreFound(t *testing.T, e store.Engine) {
	first, second, other, older := block("a", "f2", 0, 5), block("a", "f2", 5, 9), block("b", "f2", 5, 9), block("a", "f1", 0, 12)
	put(t, e, first, second, other, older)
	late := first
	late.Body = []byte("of another replica")
	put(t, e, late)
	findBlock(t, e, "a", "f2", 0, &first)
	findBlock(t, e, "a", "f2", 4, &first)
	findBlock(t, e, "a", "f2", 5, &second)
	findBlock(t, e, "b", "f2", 0, &other)
	findBlock(t, e, "a", "f2", 9, nil)
	findBlock(t, e, "c", "f2", 0, nil)
	equal(t, "packed", []store.Position{packed(t, e, "f2"), packed(t, e, "f1"), packed(t, e, "f3")}, []store.Position{9, 12, 0})
	for _, want := range []int{2, 1, 0} { // all but those of f1
		n, err := e.DropBlocks(t.Context(), store.Payments, "f1", 2)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "dropped", n, want)
	}
	findBlock(t, e, "a", "f2", 0, nil)
	findBlock(t, e, "a", "f1", 0, &older)
}

func blocksGoWithTheirEvents(t *testing.T, e store.Engine) {
	for n := range 10 {
		appendAll(t, e, event(numbered("e", n), "p1", "CREATED"))
	}
	whole := block("a", "f", 7, 9)
	put(t, e, block("a", "f", 0, 3), block("a", "f", 3, 7), whole)
	if _, err := e.Trim(t.Context(), 5); err != nil { // into the second
		t.Fatal(err)
	}
	findBlock(t, e, "a", "f", 0, &whole)
	put(t, e, block("a", "f", 3, 7)) // of one who read while the log was trimmed
	findBlock(t, e, "a", "f", 0, &whole)
}
