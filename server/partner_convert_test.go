package server

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

func TestOnboardToKlarna_Golden(t *testing.T) {
	t.Parallel()
	req := fixture(t, "onboard.json", &gatewayv1.OnboardPartnerRequest{})
	complete(t, req)
	checkGolden(t, "onboard.json.golden", onboardToKlarna(req))
}

func TestOnboardToKlarna_LeavesOutWhatIsNotSet(t *testing.T) {
	t.Parallel()
	onboard := onboardToKlarna(&gatewayv1.OnboardPartnerRequest{PartnerAccountReference: "mrc-1"})
	if onboard.SupplementaryAccountData != nil || onboard.PartnerAccountRelationships != nil {
		t.Errorf("supplementary data %v, relationships %s", onboard.SupplementaryAccountData, onboard.PartnerAccountRelationships)
	}
}

func TestOnboardToKlarna_BearsNumbersThatJSONHasNot(t *testing.T) {
	t.Parallel()
	odd := &structpb.Struct{Fields: map[string]*structpb.Value{"n": structpb.NewNumberValue(math.NaN()), "x": {}}}
	onboard := onboardToKlarna(&gatewayv1.OnboardPartnerRequest{PartnerAccountRelationships: []*structpb.Struct{odd}})
	if got := string(onboard.PartnerAccountRelationships); got != `[{"n":"NaN","x":null}]` {
		t.Error(got)
	}
}

// journalAccount is a full account of the journal; its details are testdata/partner.json.
func journalAccount(t *testing.T) journal.Account {
	t.Helper()
	details, err := os.ReadFile("testdata/partner.json")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC)
	return journal.Account{
		ID: "5d3f", MerchantAccount: "acquirer", AccountID: "krn:partner:global:account:test:PQ7XK2MD", Reference: "mrc-000482",
		State: journal.AccountOperational, StateAt: at,
		Products: []journal.Product{
			{ID: "krn:product:1", State: journal.ProductDisabled, StateReason: "RISK", StateAt: at},
			{ID: "krn:product:2", State: journal.ProductEnabled, StateAt: at},
			{ID: "krn:product:3", State: "HALTED", StateAt: at},
		},
		Warnings: []journal.Warning{{
			Type: "brand.data-incomplete", BrandID: "krn:brand:1", BrandReference: "mrc-000482-b1",
			Fields: []string{"element.logo_url"}, At: at,
		}},
		Details: details, CreatedAt: at.Add(time.Hour), UpdatedAt: at.Add(2 * time.Hour), ErasedAt: at.Add(3 * time.Hour),
	}
}

func TestPartnerFromJournal_Golden(t *testing.T) {
	t.Parallel()
	partner := partnerFromJournal(journalAccount(t), 42, true)
	complete(t, partner)
	checkGolden(t, "partner.json.golden", partner)
}

func TestPartnerFromJournal_ShowsContactOnRequestAlone(t *testing.T) {
	t.Parallel()
	if c := partnerFromJournal(journalAccount(t), 1, false).GetContact(); c != nil {
		t.Errorf("contact %v", c)
	}
}

func TestPartnerFromJournal_NeverShowsSupplementaryData(t *testing.T) {
	t.Parallel()
	for _, e := range partnerFromJournal(journalAccount(t), 1, true).GetBusinessEntities() {
		if e.GetSupplementaryBusinessData() != nil {
			t.Errorf("supplementary data of %s", e.GetPartnerBusinessEntityReference())
		}
	}
}

func TestPartnerFromJournal_KeepsUnknownStateAsText(t *testing.T) {
	t.Parallel()
	p := partnerFromJournal(journal.Account{State: "FROZEN"}, 1, false)
	if p.GetState() != gatewayv1.Partner_STATE_UNSPECIFIED || p.GetStateText() != "FROZEN" || p.GetCanTransact() || p.GetCanManage() {
		t.Errorf("%v", p)
	}
}

func TestPartnerFromJournal_BearsUnreadableDetails(t *testing.T) {
	t.Parallel()
	for _, details := range []string{"", "no JSON", `{"brands": {}, "partner_account_name": "Nordlicht"}`} {
		a := journal.Account{
			AccountID: "krn:1", State: journal.AccountOperational, Details: []byte(details),
			Products: []journal.Product{{ID: "krn:product:1", State: journal.ProductEnabled}},
		}
		p := partnerFromJournal(a, 1, true)
		if p.GetPartnerAccountId() != "krn:1" || !p.GetCanTransact() || len(p.GetProducts()) != 1 {
			t.Errorf("%q: %v", details, p)
		}
		if strings.Contains(details, "Nordlicht") && p.GetPartnerAccountName() != "Nordlicht" {
			t.Errorf("%q: what can be read is not shown: %v", details, p)
		}
	}
}

func TestAccountEventFromStore_Golden(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(journal.AccountEntry{Account: journalAccount(t), Type: "partner.account.operational", CorrelationID: "0f8e7c66"})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC)
	event, err := accountEventFromStore(store.Event{
		Position: 43, ID: "evt-1", Stream: store.Accounts, Kind: string(journal.KindOperational),
		Cause: string(journal.Notification), State: journal.AccountOperational, PreviousState: journal.AccountPartial,
		Superseded: true, OccurredAt: at, RecordedAt: at.Add(time.Second), Body: body,
	})
	if err != nil {
		t.Fatal(err)
	}
	complete(t, event)
	if text := protojson.Format(event); strings.Contains(text, "mira.sand@") {
		t.Errorf("the contact is on the stream: %s", text)
	}
	checkGolden(t, "account_event.golden", event)
}

func TestAccountEventFromStore_RefusesUnreadableBody(t *testing.T) {
	t.Parallel()
	if _, err := accountEventFromStore(store.Event{Body: []byte("no JSON")}); err == nil {
		t.Error("no error")
	}
}

func TestPartnerUpdateToKlarna_SendsWhatIsSetAlone(t *testing.T) {
	t.Parallel()
	name := "Nordlicht AG"
	got := partnerUpdateToKlarna(&gatewayv1.UpdatePartnerRequest{PartnerAccountName: &name})
	if got != (klarna.PartnerAccountUpdate{PartnerAccountName: name}) {
		t.Errorf("%+v", got)
	}
	got = partnerUpdateToKlarna(&gatewayv1.UpdatePartnerRequest{
		PartnerAccountReference: &name, Contact: &gatewayv1.Contact{GivenName: "Mira", FamilyName: "Sand", Email: "m@nordlicht.example", Phone: "+4930901820"},
	})
	want := klarna.Contact{GivenName: "Mira", FamilyName: "Sand", Email: "m@nordlicht.example", Phone: "+4930901820"}
	if got.PartnerAccountReference != name || got.PartnerAccountName != "" || *got.PartnerAccountContact != want {
		t.Errorf("%+v", got)
	}
}

func TestBrandUpdateToKlarna_SendsWhatIsSetAlone(t *testing.T) {
	t.Parallel()
	name := "Nordlicht"
	if got := brandUpdateToKlarna(&gatewayv1.UpdateBrandRequest{DisplayName: &name}); got != (klarna.BrandUpdate{DisplayName: name}) {
		t.Errorf("%+v", got)
	}
	got := brandUpdateToKlarna(&gatewayv1.UpdateBrandRequest{Element: &gatewayv1.BrandElement{LogoUrl: "https://a.example/l"}})
	if got.DisplayName != "" || *got.Element != (klarna.BrandElement{LogoURL: "https://a.example/l"}) {
		t.Errorf("%+v", got)
	}
}
