package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// The simulated customer's account, as Klarna's notifications hold it, and texts of the onboarding that no answer shows.
var (
	debtorTexts    = []string{"DE02120300000000202051", "0000202051", "Erika", "Beispiel", "TESTDEFFXXX"}
	plantedPartner = []string{"DE89370400440532013000", "Feld", "1984-05-17", "HRB 204411"}
)

// leaks lists the planted texts that a response holds, in whatever field.
func leaks(t *testing.T, m proto.Message, texts []string) (found []string) {
	t.Helper()
	encoded, err := protojson.Marshal(m)
	must(t, err)
	for _, text := range texts {
		if strings.Contains(string(encoded), text) {
			found = append(found, text)
		}
	}
	return found
}

// paid takes a purchase to PAID and waits until it is on record.
func (s *stack) paid(reference string) (session, order string) {
	s.t.Helper()
	made, err := s.payments.CreatePaymentSession(s.t.Context(), with(sessionRequest(reference), func(r *gatewayv1.CreatePaymentSessionRequest) {
		r.OrderPolicy = gatewayv1.OrderPolicy_ORDER_POLICY_AUTOMATIC
	}))
	must(s.t, err)
	session = made.GetSession().GetSessionId()
	w := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{
		From: fromStart(earliest), SessionIds: []string{session}, UntilPaymentStatuses: []gatewayv1.PaymentStatus{gatewayv1.PaymentStatus_PAYMENT_STATUS_PAID},
	})
	_, err = s.klarna.Authorize(session)
	must(s.t, err)
	for order == "" {
		order = w.event().payment().GetOrderId()
	}
	must(s.t, s.klarna.Pay(order))
	w.ending()
	return session, order
}

func TestDebtorData_NoResponseShowsItUnlessAskedFor(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.DebtorData = true })
	session, order := s.paid("SO-1")
	responses := map[string]proto.Message{}
	call := func(req proto.Message) {
		t.Helper()
		res, st := s.overGRPC(req)
		must(t, st.Err())
		responses[string(methodOf(t, req).Name())] = res
	}
	bySession := &gatewayv1.GetPaymentStatusRequest_SessionId{SessionId: session}
	call(&gatewayv1.GetPaymentStatusRequest{Payment: bySession})
	call(&gatewayv1.ListPaymentsRequest{})
	call(&gatewayv1.ListPaymentEventsRequest{})
	call(&gatewayv1.GetPaymentSessionRequest{SessionId: session})
	call(&gatewayv1.CaptureOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(100)})
	call(&gatewayv1.RefundOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(100)})
	call(&gatewayv1.AcknowledgeOrderRequest{RequestId: uuid.NewString(), OrderId: order})
	call(sessionRequest("SO-2"))
	for _, begin := range []gatewayv1.WatchStart{snapshot, earliest} {
		for i, step := range s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(begin)}).caughtUp() {
			responses[fmt.Sprint("watch ", begin, i)] = step.whole
		}
	}
	for _, name := range slices.Sorted(maps.Keys(responses)) {
		if found := leaks(t, responses[name], debtorTexts); len(found) > 0 {
			t.Errorf("%s shows %v", name, found)
		}
	}
	read, err := s.orders.GetOrder(t.Context(), &gatewayv1.GetOrderRequest{OrderId: order}) // shows addresses, by contract
	must(t, err)
	if found := leaks(t, read, debtorTexts[:2]); len(found) > 0 {
		t.Errorf("GetOrder shows %v", found)
	}
	if log := s.logs.String(); slices.ContainsFunc(debtorTexts, func(text string) bool { return strings.Contains(log, text) }) {
		t.Errorf("the logs hold a debtor's data:\n%s", log)
	}

	shown, err := s.payments.GetPaymentStatus(t.Context(), &gatewayv1.GetPaymentStatusRequest{Payment: bySession, IncludeDebtorData: true})
	must(t, err)
	if found := leaks(t, shown, debtorTexts); !slices.Equal(found, debtorTexts) {
		t.Errorf("asked for, %v is shown, want %v", found, debtorTexts)
	}
}

func TestDebtorData_IsNotPermittedByDefault(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, err := s.payments.ListPaymentEvents(t.Context(), &gatewayv1.ListPaymentEventsRequest{IncludeDebtorData: true})
	if reasonOf(err) != "DEBTOR_DATA_NOT_PERMITTED" {
		t.Errorf("without a word in the configuration: %v", err)
	}
}

func TestPartnerData_ThatOnlyGoesInComesOutNowhere(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	made, err := s.partners.OnboardPartner(t.Context(), with(onboardRequest(t, "mrc-1"), func(r *gatewayv1.OnboardPartnerRequest) {
		r.BusinessEntities[0].SupplementaryBusinessData = &gatewayv1.SupplementaryBusinessData{
			LegalRegistration: &gatewayv1.LegalRegistration{LegalRegistrationNumber: "HRB 204411"},
			Stakeholders:      []*gatewayv1.Stakeholder{{GivenName: "Jonas", FamilyName: "Feld", DateOfBirth: "1984-05-17", Roles: []string{"OWNER"}}},
			PartnerPayoutsState: &gatewayv1.PartnerPayoutsState{BankAccounts: []*gatewayv1.BankAccount{{
				BankAccountType: "IBAN", AccountHolder: "Nordlicht Outdoor GmbH", Iban: "DE89370400440532013000",
			}}},
		}
	}))
	must(t, err)
	account := made.GetPartner().GetPartnerAccountId()
	read, err := s.partners.GetPartner(t.Context(), &gatewayv1.GetPartnerRequest{PartnerAccountId: account})
	must(t, err)
	listed, err := s.partners.ListPartners(t.Context(), &gatewayv1.ListPartnersRequest{})
	must(t, err)
	event := s.watchAccounts(&gatewayv1.WatchAccountStateRequest{From: &gatewayv1.WatchAccountStateRequest_Start{Start: snapshot}}).event().whole
	for name, res := range map[string]proto.Message{"OnboardPartner": made, "GetPartner": read, "ListPartners": listed, "WatchAccountState": event} {
		if found := leaks(t, res, plantedPartner); len(found) > 0 {
			t.Errorf("%s shows %v", name, found)
		}
	}
}
