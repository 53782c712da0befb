package webhook

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// The worked vector of the Network scheme.
const (
	vectorNetwork          = `{"metadata":{"event_id":"3b6f0d5e-4f0c-4a8e-9a57-0f1c2d3e4a5b","event_type":"partner.account.state-change.operational","event_version":"v2","occurred_at":"2026-02-03T09:15:42.120Z","subject_account_id":"krn:partner:global:account:test:PQ7XK2MD","recipient_account_id":"krn:partner:global:account:test:AQ4ZT9WN","webhook_id":"krn:partner:global:notification:webhook:5d0f7c1a-2b93-4e6d-8a41-6c9b0e7f1234","live":false},"payload":{"partner_account_id":"krn:partner:global:account:test:PQ7XK2MD","state":"OPERATIONAL","previous_state":"PARTIALLY_OPERATIONAL"}}`
	vectorNetworkSignature = `fb0938f742edeea5c58e8a161b71f4e055b8d8c2c4d82b7878cc0690255e44eb`
)

const (
	account = "krn:partner:global:account:test:PQ7XK2MD"
	product = "krn:partner:global:account:product:payment:0d3a7c58-1c7f-4f8d-93d1-8a1f2b3c4d5e"
	brand   = "krn:partner:global:account:brand:4c1d6f0e-1a2b-4c3d-8e9f-0a1b2c3d4e5f"
)

// networkEvent is the body of a notification that occurred some minutes after now. more adds to the metadata, nil takes away.
func networkEvent(t *testing.T, id, kind string, minute int, payload, more object) string {
	t.Helper()
	meta := object{
		"event_id": id, "event_type": kind, "event_version": "v2", "live": false, "subject_account_id": account,
		"occurred_at": now.Add(time.Duration(minute) * time.Minute).Format(time.RFC3339Nano),
	}
	for name, value := range more {
		meta[name] = value
	}
	return text(t, object{"metadata": meta, "payload": payload})
}

// onboarded records the answer to our onboarding call.
func (g *gateway) onboarded() journal.AccountRecord {
	g.t.Helper()
	rec, err := g.journal.RecordAccount(g.t.Context(), journal.AccountFact{
		EventID: "call:onboard:1", MerchantAccount: merchant, Kind: journal.KindOnboarded, Cause: journal.Call, At: now,
		AccountID: account, Reference: "mrc-000482", State: journal.AccountPartial,
		Products: []journal.Product{{ID: product, State: journal.ProductEnabled}},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return rec
}

func TestReceiver_TakesTheWorkedNetworkNotification(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.want(http.StatusOK, networkPath, vectorNetwork, "Klarna-Signing-Key-ID", networkKeyID, "Klarna-Signature", vectorNetworkSignature)
	ev := g.events(store.Accounts)
	if len(ev) != 1 || ev[0].ID != "network:nordlicht-de:3b6f0d5e-4f0c-4a8e-9a57-0f1c2d3e4a5b" || ev[0].Kind != "OPERATIONAL" ||
		ev[0].State != "OPERATIONAL" || string(ev[0].Raw) != vectorNetwork || !ev[0].OccurredAt.Equal(time.Date(2026, 2, 3, 9, 15, 42, 120e6, time.UTC)) {
		t.Errorf("recorded %+v", ev)
	}
}

func TestReceiver_RejectsNetworkNotificationThatIsNotKlarnas(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	const id, sig = "Klarna-Signing-Key-Id", "Klarna-Signature"
	status := klarna.SignPaymentStatus([]byte(networkKey), "1", now, []byte(vectorNetwork))
	cases := map[string][]string{
		"no headers":                  nil,
		"no key id":                   {sig, vectorNetworkSignature},
		"no signature":                {id, networkKeyID},
		"an unknown key":              {id, networkKeyID + "1", sig, vectorNetworkSignature},
		"a wrong key":                 {id, networkKeyID, sig, klarna.SignNetwork([]byte(statusKey), []byte(vectorNetwork))},
		"another body":                {id, networkKeyID, sig, "e21ebdc14a42fa049ae3796869539a299fecf9660431d6e319296209f38ac7f5"},
		"a digest too short":          {id, networkKeyID, sig, vectorNetworkSignature[:62]},
		"a digest too long":           {id, networkKeyID, sig, vectorNetworkSignature + "00"},
		"no hex":                      {id, networkKeyID, sig, "zz" + vectorNetworkSignature[2:]},
		"the signature twice":         {id, networkKeyID, sig, vectorNetworkSignature, sig, vectorNetworkSignature},
		"the key id twice":            {id, networkKeyID, id, networkKeyID, sig, vectorNetworkSignature},
		"the header of the other one": {"Payload-Signature", status},
	}
	for name, headers := range cases {
		if got, answer := g.post(networkPath, vectorNetwork, headers...); got != http.StatusBadRequest || answer != `{"error":"bad request"}` {
			t.Errorf("%s: %d %q, want the one answer to all of them", name, got, answer)
		}
	}
	g.untouched()
	if n := g.counted(DoorNetwork, Rejected); n != len(cases) {
		t.Errorf("%d counted as rejected, want %d", n, len(cases))
	}
}

func TestReceiver_RecordsWhatHappensToAccounts(t *testing.T) {
	t.Parallel()
	const state = "partner.account.state-change."
	const change = "partner.account.product.payment.state-change."
	ofProduct := object{"product_instance_id": product}
	cases := map[string]struct {
		kind          string
		payload, more object
		want          journal.AccountKind
		state         string
		product       *journal.Product
	}{
		"operational":        {kind: state + "operational", want: "OPERATIONAL", state: "OPERATIONAL"},
		"disabled":           {kind: state + "disabled", want: "DISABLED", state: "DISABLED"},
		"enabled":            {kind: state + "enabled", want: "ENABLED", state: "OPERATIONAL"},
		"the type decides":   {kind: state + "disabled", payload: object{"state": "OPERATIONAL"}, want: "DISABLED", state: "DISABLED"},
		"the payload is odd": {kind: state + "disabled", payload: object{"state": 7, "incomplete_fields": "x"}, want: "DISABLED", state: "DISABLED"},
		"product disabled": {
			kind: change + "disabled", payload: object{"state": "DISABLED", "state_reason": "RISK"}, more: ofProduct,
			want: "PRODUCT_DISABLED", product: &journal.Product{ID: product, State: "DISABLED", StateReason: "RISK", StateAt: now},
		},
		"product enabled": {
			kind: change + "enabled", more: ofProduct,
			want: "PRODUCT_ENABLED", product: &journal.Product{ID: product, State: "ENABLED", StateAt: now},
		},
		"product terminated": {
			kind: change + "terminated", more: ofProduct,
			want: "PRODUCT_DISABLED", product: &journal.Product{ID: product, State: "TERMINATED", StateAt: now},
		},
		"product of the payload": {
			kind: change + "disabled", payload: object{"product_id": product},
			want: "PRODUCT_DISABLED", product: &journal.Product{ID: product, State: "DISABLED", StateAt: now},
		},
		"a customer token":    {kind: "identity.customer-token.state-change.revoked"},
		"an unknown payment":  {kind: "payment.novelty"},
		"a settlement":        {kind: "settlement.payout.processed"},
		"a compliance matter": {kind: klarna.EventComplianceDecisionCreated},
		"something new":       {kind: "partner.account.state-change.delighted", payload: object{"state": "DELIGHTED"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, nil)
			body := networkEvent(t, "n1", c.kind, 0, c.payload, c.more)
			g.network(http.StatusOK, body)
			ev := g.events(store.Accounts)
			if len(ev) != 1 || ev[0].Kind != string(c.want) || ev[0].Superseded || string(ev[0].Raw) != body || !ev[0].OccurredAt.Equal(now) {
				t.Fatalf("recorded %+v", ev)
			}
			entry, err := journal.DecodeAccountEntry(ev[0].Body)
			if err != nil || entry.Type != c.kind || entry.Account.AccountID != account || entry.Account.State != c.state {
				t.Errorf("entry %+v, %v", entry, err)
			}
			var want []journal.Product
			if c.product != nil {
				want = append(want, *c.product)
			}
			if diff := cmp.Diff(want, entry.Account.Products); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReceiver_KeepsWhatIsWrongWithABrand(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.network(http.StatusOK, networkEvent(t, "n1", klarna.EventBrandDataIncomplete, 0, object{
		"brand_id": brand, "brand_reference": "mrc-000482-b1",
		"incomplete_fields": []any{object{"field": "element.logo_url", "reason": "URL answered 404"}, "element.icon_url"},
	}, nil))
	want := []journal.Warning{{
		Type: "brand.data-incomplete", BrandID: brand, BrandReference: "mrc-000482-b1", At: now,
		Fields: []string{"element.logo_url: URL answered 404", "element.icon_url"},
	}}
	if diff := cmp.Diff(want, g.account().Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestReceiver_QuarantinesNetworkNotificationThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	bodies := map[string]string{
		"body cannot be read":      `{"metadata":`,
		"of the other environment": networkEvent(t, "n1", klarna.EventAccountOperational, 0, nil, object{"live": true}),
		"names no account":         networkEvent(t, "n2", "settlement.payout.processed", 0, nil, object{"subject_account_id": nil}),
		"names no product":         networkEvent(t, "n3", klarna.EventProductDisabled, 0, nil, nil),
	}
	for reason, body := range bodies {
		before := len(g.quarantined())
		g.network(http.StatusOK, body)
		kept := g.quarantined()
		if len(kept) != before+1 {
			t.Fatalf("%s: %d quarantined, want %d", reason, len(kept), before+1)
		}
		q := kept[before]
		if len(q.Reason) < len(reason) || q.Reason[:len(reason)] != reason || string(q.Raw) != body || q.MerchantAccount != merchant {
			t.Errorf("quarantined %+v, want it to say %q", q, reason)
		}
	}
	if n := len(g.events(store.Accounts)); n != 0 || g.counted(DoorNetwork, Quarantined) != len(bodies) {
		t.Errorf("%d events, %d counted as quarantined", n, g.counted(DoorNetwork, Quarantined))
	}
}

func TestReceiver_TakesProductionEventsForLiveAccounts(t *testing.T) {
	t.Parallel()
	g := start(t, func(cfg *Config) { cfg.Accounts[merchant] = Account{Live: true} })
	g.network(http.StatusOK, networkEvent(t, "n1", klarna.EventAccountOperational, 0, nil, object{"live": true}))
	g.network(http.StatusOK, networkEvent(t, "n2", "partner.account.state-change.disabled", 1, nil, object{"live": nil}))
	g.network(http.StatusOK, networkEvent(t, "n3", "partner.account.state-change.enabled", 2, nil, object{"live": false}))
	if n := len(g.events(store.Accounts)); n != 2 || g.account().State != journal.AccountDisabled || len(g.quarantined()) != 1 {
		t.Errorf("%d events, state %s, %d quarantined", n, g.account().State, len(g.quarantined()))
	}
}

func TestReceiver_MovesNoAccountBack(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.onboarded()
	g.network(http.StatusOK, networkEvent(t, "n2", "partner.account.state-change.disabled", 2, nil, nil))
	g.network(http.StatusOK, networkEvent(t, "n1", klarna.EventAccountOperational, 1, nil, nil))
	ev := g.events(store.Accounts)
	if len(ev) != 3 || !ev[2].Superseded || ev[2].Kind != "OPERATIONAL" || g.account().State != journal.AccountDisabled {
		t.Errorf("events %+v", ev)
	}
}

func TestReceiver_LinksANotificationThatCameBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.network(http.StatusOK, networkEvent(t, "n1", klarna.EventAccountOperational, 1, nil, nil))
	told := g.account()
	rec := g.onboarded()
	if rec.Account.ID != told.ID || rec.Account.State != journal.AccountOperational || rec.Account.Reference != "mrc-000482" {
		t.Errorf("told %+v, then answered %+v", told, rec.Account)
	}
	found, err := g.journal.AccountBy(t.Context(), merchant, journal.KeyAccountReference, "mrc-000482")
	if err != nil || found.ID != told.ID {
		t.Errorf("the reference leads to %+v, %v", found, err)
	}
}

func TestReceiver_RecordsANetworkRepeatOnce(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	body := networkEvent(t, "n1", klarna.EventAccountOperational, 0, nil, nil)
	g.network(http.StatusOK, body)
	g.network(http.StatusOK, body)
	g.network(http.StatusOK, networkEvent(t, "n1", "partner.account.state-change.disabled", 0, nil, nil))
	if n := len(g.events(store.Accounts)); n != 1 || g.account().State != journal.AccountOperational || len(g.quarantined()) != 1 {
		t.Errorf("%d events, state %s, %d quarantined", n, g.account().State, len(g.quarantined()))
	}
}
