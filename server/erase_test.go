package server

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
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
	if done.GetRepeated() || done.GetEraseTime() == nil || done.GetPosition() == 0 || done.GetRemainsPending() {
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

// Where the look for what the key does not reach takes too long for a call, the caller is told, and the worker goes on.
func TestErasePersonalData_LeavesALongLookToTheWorker(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.ErasureTime = time.Nanosecond })
	_, order := s.paid("SO-1")
	must(t, s.store.Do(t.Context(), func(tx store.Tx) error {
		return s.journal.Quarantine(context.Background(), tx, shop, "evt-1", "cannot be read", []byte(`{"order_id":"`+order+`"`))
	}))
	done, err := s.operator.ErasePersonalData(t.Context(), &gatewayv1.ErasePersonalDataRequest{
		RequestId: uuid.NewString(), Subject: &gatewayv1.ErasePersonalDataRequest_OrderId{OrderId: order},
	})
	if must(t, err); !done.GetRemainsPending() || done.GetEraseTime() == nil {
		t.Errorf("%v", done)
	}
	for until := time.Now().Add(time.Minute); ; runtime.Gosched() {
		all, err := s.store.Quarantined(t.Context(), 0, 10)
		if must(t, err); len(all) == 1 && all[0].Erased {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("left: %+v", all)
		}
	}
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

// A person stands in the session, the order, Klarna's notifications, the ledger and the quarantine. After the erasure nothing
// of it can be read with all keys that are left; watches go on from tokens of before, and nothing is done a second time.
func TestErasePersonalData_ReachesAllThatIsOnRecord(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.DebtorData = true })
	address := func(name string) func(*gatewayv1.CreatePaymentSessionRequest) {
		return func(r *gatewayv1.CreatePaymentSessionRequest) {
			r.OrderPolicy = gatewayv1.OrderPolicy_ORDER_POLICY_AUTOMATIC
			r.BillingAddress = &gatewayv1.Address{GivenName: name, FamilyName: "Kaeufer", Email: strings.ToLower(name) + "@beispiel.example", StreetAddress: "Weg 1", PostalCode: "50667", City: "Koeln", Country: "DE"}
		}
	}
	buys := with(sessionRequest("SO-1"), address("Gunhild"))
	made, err := s.payments.CreatePaymentSession(t.Context(), buys)
	must(t, err)
	session := made.GetSession().GetSessionId()
	_, err = s.payments.CreatePaymentSession(t.Context(), with(sessionRequest("SO-2"), address("Ottokar")))
	must(t, err)
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest), SessionIds: []string{session}, IncludeDebtorData: true})
	before := watch.next().whole.(*gatewayv1.WatchPaymentStatusResponse).GetResumeToken()
	_, err = s.klarna.Authorize(session)
	must(t, err)
	order := ""
	for order == "" {
		order = watch.event().payment().GetOrderId()
	}
	must(t, s.klarna.Pay(order))
	paid := func(p *gatewayv1.Payment) bool {
		return p.GetPaymentStatus() == gatewayv1.PaymentStatus_PAYMENT_STATUS_PAID
	}
	for !paid(watch.event().payment()) {
	}
	capture := &gatewayv1.CaptureOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(100)}
	captured, err := s.orders.CaptureOrder(t.Context(), capture)
	must(t, err)
	post := func(id, name string) {
		must(t, s.store.Do(t.Context(), func(tx store.Tx) error {
			return s.journal.Quarantine(context.Background(), tx, shop, id, "body cannot be read: at "+name, []byte(`{"order_id":"`+order+`","name":"`+name+`"`))
		}))
	}
	post("evt-1", "Gunhild")

	planted := append([]string{"Gunhild", "gunhild"}, debtorTexts...)
	text := s.readable()
	for _, word := range append([]string{"Ottokar"}, planted...) {
		if !strings.Contains(text, word) {
			t.Errorf("%s is nowhere: the test shows nothing", word)
		}
	}
	erase := &gatewayv1.ErasePersonalDataRequest{RequestId: uuid.NewString(), Subject: &gatewayv1.ErasePersonalDataRequest_OrderId{OrderId: order}}
	_, err = s.operator.ErasePersonalData(t.Context(), erase)
	must(t, err)
	post("evt-2", "Gunhild") // one that comes later
	text = s.readable()
	for _, word := range planted {
		if strings.Contains(text, word) {
			t.Errorf("%s can be read still", word)
		}
	}
	if !strings.Contains(text, "Ottokar") {
		t.Error("another's data is gone, too")
	}

	kept, err := s.operator.ListQuarantined(t.Context(), &gatewayv1.ListQuarantinedRequest{})
	must(t, err)
	if len(kept.GetQuarantined()) != 2 || strings.Contains(kept.String(), "Gunhild") || kept.GetQuarantined()[0].GetEventId() != "evt-1" {
		t.Errorf("%v", kept)
	}
	for _, item := range s.open(&gatewayv1.ListAttentionRequest{Reasons: []gatewayv1.AttentionReason{gatewayv1.AttentionReason_ATTENTION_REASON_QUARANTINED}}) {
		_, err := s.act(item, redrive, "")
		wantReason(t, err, codes.FailedPrecondition, "ATTENTION_ACTION_NOT_ALLOWED")
	}

	again := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromToken(before), SessionIds: []string{session}, IncludeDebtorData: true})
	after := ""
	for after == "" {
		res := again.event().whole.(*gatewayv1.WatchPaymentStatusResponse)
		if found := leaks(t, res, planted); len(found) > 0 {
			t.Errorf("from a token of before: %v", found)
		}
		if res.GetEvent().GetKind() == gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_PERSONAL_DATA_ERASED {
			after = res.GetResumeToken()
		}
	}
	_, err = s.orders.CaptureOrder(t.Context(), &gatewayv1.CaptureOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(100)})
	must(t, err)
	last := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromToken(after), SessionIds: []string{session}})
	if got := last.event().whole.(*gatewayv1.WatchPaymentStatusResponse).GetEvent(); got.GetKind() != gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_CAPTURED {
		t.Errorf("from a token behind the erasure: %v", got)
	}

	s.refused(buys, codes.FailedPrecondition, 400, gatewayv1.ErrorReason_ERROR_REASON_PERSONAL_DATA_ERASED, nil)
	repeated, err := s.orders.CaptureOrder(t.Context(), capture)
	if err != nil || repeated.GetCapture().GetCaptureId() != captured.GetCapture().GetCaptureId() {
		t.Errorf("a capture again: %v, %v", repeated, err)
	}
	if n := s.klarna.CallCount("createSession"); n != 2 || s.klarna.CallCount("capture") != 2 {
		t.Errorf("%d sessions, %d captures", n, s.klarna.CallCount("capture"))
	}
	if repeat, err := s.operator.ErasePersonalData(t.Context(), erase); err != nil || !repeat.GetRepeated() {
		t.Errorf("%v, %v", repeat, err)
	}
}
