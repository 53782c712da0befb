package server

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func TestErasePersonalData_OfAPayment(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.DebtorData = true })
	session, order := s.paid("SO-1")
	_, other := s.paid("SO-2")
	shown := func(order string) (string, *gatewayv1.Payment) {
		got, err := s.payments.GetPaymentStatus(t.Context(), &gatewayv1.GetPaymentStatusRequest{
			Payment: &gatewayv1.GetPaymentStatusRequest_OrderId{OrderId: order}, IncludeDebtorData: true,
		})
		must(t, err)
		events, err := s.payments.ListPaymentEvents(t.Context(), &gatewayv1.ListPaymentEventsRequest{
			OrderId: order, IncludeDebtorData: true,
		})
		must(t, err)
		return got.String() + events.String(), got.GetPayments()[0]
	}
	text, before := shown(order)
	if !strings.Contains(text, debtorTexts[0]) {
		t.Fatalf("nothing to erase: %s", text)
	}
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(snapshot), SessionIds: []string{session}, IncludeDebtorData: true})
	var token string
	for _, step := range watch.caughtUp() {
		token = step.whole.(*gatewayv1.WatchPaymentStatusResponse).GetResumeToken()
	}
	req := &gatewayv1.ErasePersonalDataRequest{RequestId: uuid.NewString(), Subject: &gatewayv1.ErasePersonalDataRequest_OrderId{OrderId: order}, Note: "DSR-17"}
	done, err := s.operator.ErasePersonalData(t.Context(), req)
	must(t, err)
	if done.GetRepeated() || done.GetEraseTime() == nil || done.GetPosition() == 0 {
		t.Errorf("%v", done)
	}
	ev := watch.event().whole.(*gatewayv1.WatchPaymentStatusResponse).GetEvent()
	if ev.GetKind() != gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_PERSONAL_DATA_ERASED || ev.GetPayment().GetState() != before.GetState() || ev.GetPayment().GetEraseTime() == nil {
		t.Errorf("watchers hear %v", ev)
	}
	again := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromToken(token), SessionIds: []string{session}, IncludeDebtorData: true})
	if got := again.event().whole.(*gatewayv1.WatchPaymentStatusResponse).GetEvent(); got.GetEventId() != ev.GetEventId() {
		t.Errorf("resumed: %v", got)
	}
	text, after := shown(order)
	for _, word := range debtorTexts {
		if strings.Contains(text, word) {
			t.Errorf("%s is shown still", word)
		}
	}
	if after.GetPaymentStatus() != before.GetPaymentStatus() || len(after.GetReceivedPayments()) != len(before.GetReceivedPayments()) ||
		after.GetReceivedPayments()[0].GetAmount().GetAmountMinor() != before.GetReceivedPayments()[0].GetAmount().GetAmountMinor() {
		t.Errorf("what is not personal has changed:\n%v\n%v", before, after)
	}
	if text, _ := shown(other); !strings.Contains(text, debtorTexts[0]) {
		t.Error("another's data is gone, too")
	}
	repeat, err := s.operator.ErasePersonalData(t.Context(), req)
	if err != nil || !repeat.GetRepeated() || !repeat.GetEraseTime().AsTime().Equal(done.GetEraseTime().AsTime()) {
		t.Errorf("%v, %v", repeat, err)
	}
	if log := s.logs.String(); !strings.Contains(log, `"personal data erased"`) || !strings.Contains(log, "DSR-17") {
		t.Error("it was not put in the log")
	}
	s.refused(&gatewayv1.ErasePersonalDataRequest{RequestId: uuid.NewString()}, codes.InvalidArgument, 400, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD,
		map[string]string{"subject": "exactly one field is required in oneof"})
	s.refused(&gatewayv1.ErasePersonalDataRequest{RequestId: uuid.NewString(), Subject: &gatewayv1.ErasePersonalDataRequest_OrderId{OrderId: "nobody"}},
		codes.NotFound, 404, gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND, nil)

	_, err = s.orders.CaptureOrder(t.Context(), &gatewayv1.CaptureOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(100)})
	must(t, err) // the payment goes on
}

func TestErasePersonalData_OfAPartner(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.DebtorData = true })
	made, err := s.partners.OnboardPartner(t.Context(), onboardRequest(t, "mrc-1"))
	must(t, err)
	id := made.GetPartner().GetPartnerAccountId()
	before := s.onRecord("mrc-1")
	_, err = s.operator.ErasePersonalData(t.Context(), &gatewayv1.ErasePersonalDataRequest{
		RequestId: uuid.NewString(), Subject: &gatewayv1.ErasePersonalDataRequest_PartnerAccountId{PartnerAccountId: id},
	})
	must(t, err)
	after := s.onRecord("mrc-1")
	if after.GetContact() != nil || after.GetEraseTime() == nil || after.GetPartnerAccountName() != before.GetPartnerAccountName() || after.GetState() != before.GetState() {
		t.Errorf("%v\n%v", before, after)
	}
}
