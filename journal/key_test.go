package journal_test

import (
	"testing"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// TestKeys_AreNamesUnlessManyShareThem holds the store's list of shared keys to the journal's words.
func TestKeys_AreNamesUnlessManyShareThem(t *testing.T) {
	t.Parallel()
	for stream, kinds := range map[store.Stream]map[string]bool{
		store.Payments: {
			journal.KeyPayment: false, journal.KeySession: false, journal.KeyOrder: false, journal.KeyToken: false, journal.KeyReference: false,
			journal.KeyPartner: true, journal.KeyHostedPage: false, journal.KeyRequest: false, journal.KeyTransaction: false,
		},
		store.Accounts:   {journal.KeyAccount: false, journal.KeyAccountReference: false},
		store.Attentions: {journal.KeyOpen: true, journal.KeyOpenReason: true, journal.KeyOpenPartner: true, journal.KeyOpenPartnerReason: true},
	} {
		for kind, shared := range kinds {
			if stream.Shares(kind) != shared {
				t.Errorf("%s is shared in the stream %s: %v, want %v", kind, stream, !shared, shared)
			}
		}
	}
}
