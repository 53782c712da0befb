package server

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
)

const mine, theirs = "krn:partner:global:account:test:MINE", "krn:partner:global:account:test:THEIRS"

// onePartner may do everything for one partner account, of both merchant accounts.
const onePartner = `
roles: {portal: {rpcs: ["*"], merchant_accounts: [shop, acquirer], partner_accounts: ["` + mine + `"]}}
bindings: [{callers: [portal], roles: [portal]}]`

// twoPartners records an account and a payment of each.
func (s *stack) twoPartners() {
	s.t.Helper()
	for _, partner := range []string{theirs, mine} {
		_, err := s.journal.RecordAccount(context.Background(), journal.AccountFact{
			EventID: "account " + partner, MerchantAccount: acquirer, Kind: journal.KindOnboarded, Cause: journal.Call, At: s.store.Now(),
			AccountID: partner, Reference: "reference of " + partner, State: journal.AccountPartial,
		})
		must(s.t, err)
		s.record(journal.PaymentFact{EventID: "payment " + partner, Cause: journal.Call, Network: &journal.NetworkFacts{
			PartnerAccountID: partner, Network: journal.Network{RequestID: "request " + partner, RequestState: "SUBMITTED"},
			Request: &journal.RequestFacts{Currency: "EUR", Amount: 12900, PurchaseReference: "of both"},
		}})
	}
}

func TestPolicy_WhoIsForOnePartnerSeesNoOther(t *testing.T) {
	t.Parallel()
	s := start(t, policed(t, onePartner, "portal"))
	s.twoPartners()
	const header = "Bearer portal-token"
	portal := metadata.AppendToOutgoingContext(t.Context(), "authorization", header)

	partners, err := s.partners.ListPartners(portal, &gatewayv1.ListPartnersRequest{MerchantAccount: acquirer})
	must(t, err)
	if got := partners.GetPartners(); len(got) != 1 || got[0].GetPartnerAccountId() != mine {
		t.Errorf("listed partners %v", got)
	}
	payments, err := s.payments.ListPayments(portal, &gatewayv1.ListPaymentsRequest{})
	must(t, err)
	events, err := s.payments.ListPaymentEvents(portal, &gatewayv1.ListPaymentEventsRequest{})
	must(t, err)
	if len(payments.GetPayments()) != 1 || len(events.GetEvents()) != 1 || events.GetEvents()[0].GetEventId() != "payment "+mine {
		t.Errorf("listed payments %v, events %v", payments, events)
	}
	// A filter of one's own does not open what is closed: keys are alternatives.
	byReference, err := s.payments.ListPayments(portal, &gatewayv1.ListPaymentsRequest{MerchantReference: "of both"})
	must(t, err)
	status, err := s.payments.GetPaymentStatus(portal, &gatewayv1.GetPaymentStatusRequest{
		Payment: &gatewayv1.GetPaymentStatusRequest_MerchantReference{MerchantReference: "of both"},
	})
	must(t, err)
	if len(byReference.GetPayments()) != 1 || len(status.GetPayments()) != 1 {
		t.Errorf("by a reference of both: %v, %v", byReference, status)
	}
	for _, watch := range []*gatewayv1.WatchPaymentStatusRequest{
		{From: fromStart(earliest)}, {From: fromStart(earliest), MerchantReferences: []string{"of both"}}, {From: fromStart(gatewayv1.WatchStart_WATCH_START_SNAPSHOT)},
	} {
		w := s.watchPaymentsIn(portal, watch)
		if got := content(w.caughtUp()); slices.ContainsFunc(got, func(id string) bool { return id == "payment "+theirs }) || !slices.Contains(got, "payment "+mine) {
			t.Errorf("the watch %v shows %v", watch, got)
		}
	}
	_, st := s.overGRPC(&gatewayv1.WatchAccountStateRequest{MerchantAccount: acquirer, PartnerAccountIds: []string{mine, theirs}, From: &gatewayv1.WatchAccountStateRequest_Start{Start: earliest}}, "authorization", header)
	if missing := metadataOf(st.Err()); missing["partner_account"] != theirs {
		t.Errorf("a watch of another partner: %v", st)
	}
	// What names no partner could be about any.
	for _, req := range []proto.Message{
		&gatewayv1.GetOrderRequest{OrderId: "o"}, &gatewayv1.ListPayoutsRequest{}, &gatewayv1.OnboardPartnerRequest{MerchantAccount: acquirer},
		&gatewayv1.GetPartnerRequest{MerchantAccount: acquirer, PartnerAccountId: theirs},
	} {
		_, st := s.overGRPC(req, "authorization", header)
		if st.Code() != codes.PermissionDenied || metadataOf(st.Err())["partner_account"] == "" {
			t.Errorf("%T: %v", req, st)
		}
	}
}

func TestPolicy_AnotherPartnersStateEndsNoWatch(t *testing.T) {
	t.Parallel()
	s := start(t, policed(t, onePartner, "portal"))
	s.twoPartners()
	portal := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer portal-token")
	w := s.watchPaymentsIn(portal, &gatewayv1.WatchPaymentStatusRequest{
		From: fromStart(earliest), MerchantReferences: []string{"of both"}, UntilStates: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_SESSION_CREATED},
	})
	all := w.ending()
	if got := content(all); !slices.Equal(got, []string{"payment " + mine, "UNTIL_REACHED"}) {
		t.Errorf("the watch shows %v", got)
	}
}

func TestPolicy_AScopeIsForItsMerchantAccountAlone(t *testing.T) {
	t.Parallel()
	s := start(t, policed(t, `
roles:
  care: {rpcs: [PaymentService/ListPaymentEvents], merchant_accounts: [outlet], scopes: [personal_data]}
  desk: {rpcs: [PaymentService/ListPaymentEvents], merchant_accounts: [shop]}
bindings: [{callers: [clerk], roles: [care, desk]}]`, "clerk"))
	for account, want := range map[string]codes.Code{outlet: codes.OK, shop: codes.PermissionDenied, "": codes.PermissionDenied} {
		_, st := s.overGRPC(&gatewayv1.ListPaymentEventsRequest{MerchantAccount: account, IncludeDebtorData: true}, "authorization", "Bearer clerk-token")
		if st.Code() != want || want != codes.OK && metadataOf(st.Err())["scope"] != "personal_data" {
			t.Errorf("of %q: %v", account, st)
		}
	}
}

func TestPolicy_AScopeOpensNothingOfAnotherAccountOrPartner(t *testing.T) {
	t.Parallel()
	const everything, watch, read = "OperatorService/*", "PaymentService/WatchPaymentStatus", "PaymentService/GetPaymentStatus"
	role := func(rpc, accounts, partners, scope string) string {
		if partners != "" {
			partners = `, partner_accounts: ["` + partners + `"]`
		}
		return `{rpcs: ["` + rpc + `"], merchant_accounts: ["` + accounts + `"]` + partners + `, scopes: [` + scope + `]}`
	}
	raw := func(account string) []proto.Message {
		return []proto.Message{
			&gatewayv1.ListEventsRequest{MerchantAccount: account, IncludeRaw: true}, &gatewayv1.GetEventRequest{MerchantAccount: account, Position: 1, IncludeRaw: true},
			&gatewayv1.GetQuarantinedRequest{MerchantAccount: account, QuarantineId: "1", IncludeRaw: true},
		}
	}
	ofPartners := func(other []string, partners ...string) []proto.Message {
		return []proto.Message{&gatewayv1.WatchPaymentStatusRequest{
			MerchantAccount: acquirer, From: fromStart(earliest), PartnerAccountIds: partners, MerchantReferences: other, IncludeDebtorData: true,
		}}
	}
	ofBoth := []proto.Message{&gatewayv1.GetPaymentStatusRequest{
		MerchantAccount: acquirer, Payment: &gatewayv1.GetPaymentStatusRequest_MerchantReference{MerchantReference: "of both"}, IncludeDebtorData: true,
	}}
	for name, c := range map[string]struct {
		roles   []string
		reqs    []proto.Message
		missing string // in the metadata
	}{
		"all accounts, the scope for one": {[]string{role(everything, "*", "", ""), role(everything, acquirer, "", "personal_data")}, raw(""), "scope"},
		"that one":                        {[]string{role(everything, "*", "", ""), role(everything, acquirer, "", "personal_data")}, raw(acquirer), ""},
		"another one":                     {[]string{role(everything, "*", "", ""), role(everything, acquirer, "", "personal_data")}, raw(shop), "scope"},
		"the scope for all":               {[]string{role(everything, "*", "", "personal_data"), role(everything, acquirer, "", "")}, raw(""), ""},
		"all accounts for one partner, one for all":  {[]string{role(everything, "*", mine, ""), role(everything, acquirer, "", "personal_data")}, raw("")[:1], "partner_account"},
		"what is sealed, for one partner":            {[]string{role(everything, "*", mine, "")}, []proto.Message{&gatewayv1.ResealRequest{RequestId: id("reseal"), CountOnly: true}}, "partner_account"},
		"all partners, the scope for one":            {[]string{role(watch, acquirer, "", ""), role(watch, acquirer, mine, "personal_data")}, ofPartners(nil), "scope"},
		"that partner":                               {[]string{role(watch, acquirer, "", ""), role(watch, acquirer, mine, "personal_data")}, ofPartners(nil, mine), ""},
		"that partner, and what may be another's":    {[]string{role(watch, acquirer, "", ""), role(watch, acquirer, mine, "personal_data")}, ofPartners([]string{"of both"}, mine), "scope"},
		"another partner":                            {[]string{role(watch, acquirer, "", ""), role(watch, acquirer, mine, "personal_data")}, ofPartners(nil, mine, theirs), "scope"},
		"one of two partners with the scope":         {[]string{role(watch, acquirer, theirs, ""), role(watch, acquirer, mine, "personal_data")}, ofPartners(nil), "scope"},
		"two partners, each with the scope":          {[]string{role(watch, acquirer, theirs, "personal_data"), role(watch, acquirer, mine, "personal_data")}, ofPartners(nil), ""},
		"read: all partners, the scope for one":      {[]string{role(read, acquirer, "", ""), role(read, acquirer, mine, "personal_data")}, ofBoth, "scope"},
		"read: one partner alone, which has it":      {[]string{role(read, acquirer, mine, "personal_data")}, ofBoth, ""},
		"read: the scope for the partner, elsewhere": {[]string{role(read, acquirer, mine, ""), role(read, "*", theirs, "personal_data")}, ofBoth, "scope"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, policed(t, "roles: {one: "+c.roles[0]+", other: "+c.roles[len(c.roles)-1]+"}\nbindings: [{callers: [clerk], roles: [one, other]}]", "clerk"))
			s.twoPartners()
			for _, req := range c.reqs {
				_, st := s.overGRPC(req, "authorization", "Bearer clerk-token")
				denied := st.Code() == codes.PermissionDenied
				if denied != (c.missing != "") || denied && metadataOf(st.Err())[c.missing] == "" {
					t.Errorf("%T: %v, missing shall be %q", req, st, c.missing)
				}
			}
		})
	}
}
