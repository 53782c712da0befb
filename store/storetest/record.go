package storetest

import (
	"context"
	"errors"
	"testing"

	"payments.internal/klarna-gateway/store"
)

var recordPromises = []promise{
	{"RequestIsKeptAndReplaced", requestIsKeptAndReplaced},
	{"AbandonedRequestsAreFound", abandonedRequestsAreFound},
	{"EndedRequestsAreTrimmed", endedRequestsAreTrimmed},
	{"SecretIsKeptAndReplaced", secretIsKeptAndReplaced},
	{"SigningKeysAreKeptAndReplaced", signingKeysAreKeptAndReplaced},
	{"ProbeIsKeptAndReplaced", probeIsKeptAndReplaced},
	{"QuarantineIsKept", quarantineIsKept},
}

func requestIsKeptAndReplaced(t *testing.T, e store.Engine) {
	id := store.RequestID{MerchantAccount: account, Operation: "capture", ID: "0b4f4f0e"}
	open := store.Request{
		RequestID: id, Caller: "shop-1", Fingerprint: []byte{1, 2}, Fields: []byte{4}, Refused: "e-1", Subject: "order-1", KlarnaKey: "5e2a", State: store.RequestOpen,
		CorrelationID: "c-1", FirstSent: at(1), LeasedUntil: at(20), UpdatedAt: at(1),
	}
	done := store.Request{
		RequestID: id, Caller: "shop-2", Fingerprint: []byte{3}, Subject: "order-2", KlarnaKey: "5e2b", State: store.RequestDone,
		Answer: []byte{0, 7}, CorrelationID: "c-2", UpdatedAt: at(2),
	}
	_, err := e.Request(t.Context(), id)
	isNotFound(t, "new request", err)
	for _, r := range []store.Request{open, done} {
		commit(t, e, func(tx store.Tx) error {
			if err := tx.PutRequest(t.Context(), r); err != nil {
				return err
			}
			inside, err := tx.Request(t.Context(), id)
			equal(t, "request in the unit", inside, r)
			return err
		})
		kept, err := e.Request(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "request", kept, r)
	}
	for _, other := range []store.RequestID{{MerchantAccount: "A-ANDERE", Operation: "capture", ID: id.ID}, {MerchantAccount: account, Operation: "refund", ID: id.ID}, {}} {
		_, err := e.Request(t.Context(), other)
		isNotFound(t, "other request", err)
	}
}

func abandonedRequestsAreFound(t *testing.T, e store.Engine) {
	put := func(id string, state store.RequestState, leased int) {
		r := store.Request{
			RequestID: store.RequestID{MerchantAccount: account, Operation: "capture", ID: id}, State: state, Subject: "order-" + id, UpdatedAt: at(1),
		}
		if leased > 0 {
			r.LeasedUntil = at(leased)
		}
		commit(t, e, func(tx store.Tx) error { return tx.PutRequest(t.Context(), r) })
	}
	put("held", store.RequestOpen, 30)
	put("second", store.RequestOpen, 9)
	put("given back", store.RequestOpen, 0)
	put("first", store.RequestOpen, 5)
	put("answered", store.RequestDone, 5)
	found := func(limit int) (ids []string) {
		abandoned, err := e.Abandoned(t.Context(), at(30), limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range abandoned {
			ids = append(ids, r.ID+" "+r.Subject)
		}
		return ids
	}
	equal(t, "abandoned", found(10), []string{"first order-first", "second order-second"})
	equal(t, "abandoned, the first", found(1), []string{"first order-first"})
}

func endedRequestsAreTrimmed(t *testing.T, e store.Engine) {
	for i, state := range []store.RequestState{store.RequestDone, store.RequestOpen, store.RequestRefused, store.RequestUndone, store.RequestDone} {
		r := store.Request{
			RequestID: store.RequestID{MerchantAccount: account, Operation: "capture", ID: numbered("r", i)}, State: state, UpdatedAt: at(10 - i),
		}
		commit(t, e, func(tx store.Tx) error { return tx.PutRequest(t.Context(), r) })
	}
	left := func() (ids []string) {
		for i := range 5 {
			r, err := e.Request(t.Context(), store.RequestID{MerchantAccount: account, Operation: "capture", ID: numbered("r", i)})
			if err == nil {
				ids = append(ids, r.ID)
			}
		}
		return ids
	}
	for _, c := range []struct{ before, limit, trimmed int }{{6, 10, 0}, {10, 1, 1}, {10, 10, 2}, {10, 10, 0}, {100, 10, 1}} {
		trimmed, err := e.TrimRequests(t.Context(), at(c.before), c.limit)
		if err != nil || trimmed != c.trimmed {
			t.Errorf("trimmed %d before %d, error %v, want %d", trimmed, c.before, err, c.trimmed)
		}
		if c.limit == 1 {
			equal(t, "after the oldest", left(), []string{"r-000", "r-001", "r-002", "r-003"})
		}
	}
	equal(t, "what is left", left(), []string{"r-001"})
}

func secretIsKeptAndReplaced(t *testing.T, e store.Engine) {
	first := store.Secret{Hash: []byte{0, 1, 2}, Purpose: "push", MerchantAccount: account, Key: "session-1", ExpiresAt: at(60)}
	second := store.Secret{Hash: first.Hash, Purpose: "authorization", MerchantAccount: "A-ANDERE", Key: "session-2"}
	for _, s := range []store.Secret{first, second} {
		commit(t, e, func(tx store.Tx) error {
			_, unknown := tx.Secret(t.Context(), []byte{0, 1})
			isNotFound(t, "unknown secret in the unit", unknown)
			err := tx.PutSecret(t.Context(), s)
			inside, readErr := tx.Secret(t.Context(), s.Hash)
			equal(t, "secret in the unit", inside, s)
			return errors.Join(err, readErr)
		})
		kept, err := e.Secret(t.Context(), s.Hash)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "secret", kept, s)
	}
	_, err := e.Secret(t.Context(), []byte{9})
	isNotFound(t, "unknown secret", err)
}

func signingKeysAreKeptAndReplaced(t *testing.T, e store.Engine) {
	named := func(scheme store.SigningScheme, account, id string) store.SigningKey {
		return store.SigningKey{SigningKeyID: store.SigningKeyID{Scheme: scheme, MerchantAccount: account, ID: id}}
	}
	whole, gone := named("network", account, "krn:2"), named("network", account, "krn:2")
	whole.Key, whole.Origin, whole.CreatedAt, whole.LastUsed, whole.RetireAt, whole.RevokedAt = []byte{0, 9}, "created", at(1), at(2), at(3), at(4)
	gone.Origin, gone.CreatedAt = "imported", at(5)
	_, err := e.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []store.SigningKey{whole, gone} {
		commit(t, e, func(tx store.Tx) error {
			_, unknown := tx.SigningKey(t.Context(), named("network", account, "krn:1").SigningKeyID)
			isNotFound(t, "unknown signing key in the unit", unknown)
			err := tx.PutSigningKey(t.Context(), k)
			inside, readErr := tx.SigningKey(t.Context(), k.SigningKeyID)
			equal(t, "signing key in the unit", inside, k)
			return errors.Join(err, readErr)
		})
	}
	others := []store.SigningKey{named("payment_status", account, "krn:2"), named("network", "A-ANDERE", "krn:2"), named("network", account, "krn:1")}
	for _, k := range others {
		commit(t, e, func(tx store.Tx) error { return tx.PutSigningKey(t.Context(), k) })
	}
	all, err := e.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "signing keys", all, []store.SigningKey{others[1], others[2], gone, others[0]})
}

func probeIsKeptAndReplaced(t *testing.T, e store.Engine) {
	asked := store.Probe{MerchantAccount: account, Webhook: "krn:w", EventType: "partner.x", AskedAt: at(1), Until: at(60)}
	came := asked
	came.ReceivedAt, came.EventID, came.SigningKey, came.Flaw, came.Raw = at(2), "evt-1", "krn:k", "of the other environment", []byte{0, 1}
	for _, p := range []store.Probe{asked, came, asked} {
		commit(t, e, func(tx store.Tx) error {
			_, unknown := tx.Probe(t.Context(), account, "krn:w", "partner.y")
			isNotFound(t, "unknown probe in the unit", unknown)
			err := tx.PutProbe(t.Context(), p)
			inside, readErr := tx.Probe(t.Context(), account, "krn:w", "partner.x")
			equal(t, "probe in the unit", inside, p)
			return errors.Join(err, readErr)
		})
		kept, err := e.Probe(t.Context(), account, "krn:w", "partner.x")
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "probe", kept, p)
	}
	for _, other := range [][3]string{{"A-ANDERE", "krn:w", "partner.x"}, {account, "krn:v", "partner.x"}, {account, "krn:w", "partner.y"}} {
		_, err := e.Probe(t.Context(), other[0], other[1], other[2])
		isNotFound(t, "other probe", err)
	}
}

func quarantine(ctx context.Context, tx store.Tx, q store.Quarantined) error {
	_, err := tx.Quarantine(ctx, q)
	return err
}

func quarantineIsKept(t *testing.T, e store.Engine) {
	first := store.Quarantined{MerchantAccount: account, EventID: "evt-1", Reason: "unparsable", Raw: []byte{0, 1}, ReceivedAt: at(1)}
	second := store.Quarantined{Reason: "wrong environment"}
	var ids []int64
	for _, q := range []store.Quarantined{first, second} {
		commit(t, e, func(tx store.Tx) error {
			id, err := tx.Quarantine(t.Context(), q)
			ids = append(ids, id)
			return err
		})
	}
	kept, err := e.Quarantined(t.Context(), 0, 10)
	if err != nil || len(kept) != 2 {
		t.Fatalf("quarantined %v, error %v", kept, err)
	}
	if len(ids) < 2 || ids[0] == 0 || ids[0] != kept[0].ID || ids[len(ids)-1] != kept[1].ID {
		t.Errorf("ids %v of %v", ids, kept)
	}
	first.ID, second.ID = kept[0].ID, kept[1].ID
	equal(t, "quarantined", kept, []store.Quarantined{first, second})
	rest, err := e.Quarantined(t.Context(), first.ID, 10)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "after the first", rest, []store.Quarantined{second})
	one, err := e.Quarantined(t.Context(), 0, 1)
	if err != nil || len(one) != 1 {
		t.Errorf("limited to one: %v, error %v", one, err)
	}
}
