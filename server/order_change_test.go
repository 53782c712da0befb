package server

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

const day = 24 * time.Hour

// text is a field with presence.
func text(value string) *string { return &value }

// change is a write to an order with a capture of 50.00, and what it has done there.
type change struct {
	fault string // klarnatest's name of the operation
	req   func(order, capture string) proto.Message
	done  func(t *testing.T, s *stack, order, capture string) // fails unless it was done exactly once
}

// changes are the writes of this API that Klarna answers without a body.
var changes = map[string]change{
	"UpdateAuthorization": {
		"updateAuthorization",
		func(order, _ string) proto.Message {
			return &gatewayv1.UpdateAuthorizationRequest{RequestId: uuid.NewString(), OrderId: order, OrderAmount: eur(14000), OrderLines: lamp(14000)}
		},
		func(t *testing.T, s *stack, order, _ string) {
			if o, _ := s.klarna.Order(order); o.Amount != 14000 || o.Remaining != 9000 {
				t.Errorf("%+v", o)
			}
			if lines := s.read(t, order).OrderLines; len(lines) != 1 || lines[0].TotalAmount != 14000 {
				t.Errorf("%+v", lines)
			}
		},
	},
	"ExtendAuthorization": {
		"extendAuthorization",
		func(order, _ string) proto.Message {
			return &gatewayv1.ExtendAuthorizationRequest{RequestId: uuid.NewString(), OrderId: order}
		},
		func(t *testing.T, s *stack, order, _ string) {
			if left := s.read(t, order).ExpiresAt.Sub(s.klarna.Now()); left < 27*day {
				t.Errorf("expires in %s", left)
			}
		},
	},
	"ReleaseRemainingAuthorization": {
		"releaseRemaining",
		func(order, _ string) proto.Message {
			return &gatewayv1.ReleaseRemainingAuthorizationRequest{RequestId: uuid.NewString(), OrderId: order}
		},
		func(t *testing.T, s *stack, order, _ string) {
			if o, _ := s.klarna.Order(order); o.Remaining != 0 || o.Status != "CAPTURED" {
				t.Errorf("%+v", o)
			}
		},
	},
	"UpdateMerchantReferences": {
		"updateReferences",
		func(order, _ string) proto.Message {
			return &gatewayv1.UpdateMerchantReferencesRequest{RequestId: uuid.NewString(), OrderId: order, MerchantReference1: text("SO-9")}
		},
		func(t *testing.T, s *stack, order, _ string) {
			if o := s.read(t, order); o.MerchantReference1 != "SO-9" {
				t.Errorf("%q", o.MerchantReference1)
			}
		},
	},
	"UpdateCustomerDetails": {
		"updateCustomer",
		func(order, _ string) proto.Message {
			return &gatewayv1.UpdateCustomerDetailsRequest{
				RequestId: uuid.NewString(), OrderId: order, ShippingAddress: &gatewayv1.Address{City: "Hamburg", Country: "DE"},
			}
		},
		func(t *testing.T, s *stack, order, _ string) {
			if o := s.read(t, order); *o.ShippingAddress != (klarna.CustomerAddress{City: "Hamburg", Country: "DE"}) {
				t.Errorf("%+v", o.ShippingAddress)
			}
		},
	},
	"AddOrderShippingInfo": {
		"addOrderShipping",
		func(order, _ string) proto.Message {
			return &gatewayv1.AddOrderShippingInfoRequest{RequestId: uuid.NewString(), OrderId: order, ShippingInfo: parcels}
		},
		func(t *testing.T, s *stack, order, _ string) {
			want := []klarna.ShippingInfo{{ShippingCompany: "DPD", TrackingNumber: "1"}, {ShippingCompany: "DPD", TrackingNumber: "2"}}
			if diff := cmp.Diff(want, s.read(t, order).ShippingInfo); diff != "" {
				t.Error(diff)
			}
		},
	},
	"AddCaptureShippingInfo": {
		"addCaptureShipping",
		func(order, capture string) proto.Message {
			return &gatewayv1.AddCaptureShippingInfoRequest{RequestId: uuid.NewString(), OrderId: order, CaptureId: capture, ShippingInfo: parcels}
		},
		func(t *testing.T, s *stack, order, _ string) {
			if there := s.read(t, order).Captures[0].ShippingInfo; len(there) != 3 { // one came with the capture
				t.Errorf("%+v", there)
			}
		},
	},
	"ExtendDueDate": {
		"extendDueDate",
		func(order, capture string) proto.Message {
			return &gatewayv1.ExtendDueDateRequest{RequestId: uuid.NewString(), OrderId: order, CaptureId: capture, NumberOfDays: 30}
		},
		func(t *testing.T, s *stack, order, _ string) {
			if o, _ := s.klarna.Order(order); o.ExtendedDays != 30 {
				t.Errorf("%+v", o)
			}
		},
	},
	"TriggerSendOut": {
		"sendOut",
		func(order, capture string) proto.Message {
			return &gatewayv1.TriggerSendOutRequest{RequestId: uuid.NewString(), OrderId: order, CaptureId: capture}
		},
		func(t *testing.T, s *stack, order, _ string) {
			if o, _ := s.klarna.Order(order); o.SentOut != 1 {
				t.Errorf("%+v", o)
			}
		},
	},
}

var parcels = []*gatewayv1.ShippingInfo{{ShippingCompany: "DPD", TrackingNumber: "1"}, {ShippingCompany: "DPD", TrackingNumber: "2"}}

// lamp is a cart of one line.
func lamp(minor int64) []*gatewayv1.OrderLine {
	return []*gatewayv1.OrderLine{{Reference: "L-1", Name: "Lamp", Quantity: 1, UnitPriceMinor: minor, TotalAmountMinor: minor}}
}

// read is the order as Klarna shows it.
func (s *stack) read(t *testing.T, order string) klarna.Order {
	t.Helper()
	got, err := s.operations.Order(t.Context(), shop, order, journal.Reconciled)
	must(t, err)
	return got
}

// lost loses every answer to a write, however often the client asks, and makes it until Klarna is heard again.
func (s *stack) lost(t *testing.T, c change, req proto.Message) {
	t.Helper()
	must(t, s.klarna.Fail(klarnatest.Fault{Operation: c.fault, LoseAnswer: true, Times: klarna.DefaultRetries + 1}))
	_, st := s.overGRPC(req)
	if st.Code() != codes.Unavailable || reasonOf(st.Err()) != "OUTCOME_UNKNOWN" {
		t.Fatalf("with a lost answer: %v", st)
	}
}

func TestChangesOfAnOrder_HaveOneEffectThoughTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			order, capture := s.capturedOrder(t)
			s.klarna.Advance(2 * day)
			req := c.req(order, capture)
			s.lost(t, c, req)
			if jobs, err := s.store.Jobs(t.Context(), journal.JobResolve, "", 10); err != nil || len(jobs) != 1 || jobs[0].RunAt.After(s.klarna.Now().Add(time.Minute)) {
				t.Errorf("jobs %+v, want it to be looked into soon; %v", jobs, err)
			}
			if _, st := s.overGRPC(req); st.Code() != codes.OK {
				t.Fatalf("repeated: %v", st)
			}
			c.done(t, s, order, capture)
			asked := s.klarna.CallCount(c.fault)
			if _, st := s.overGRPC(req); st.Code() != codes.OK || s.klarna.CallCount(c.fault) != asked {
				t.Errorf("a repeat of what is done: %v, asked %d times more", st, s.klarna.CallCount(c.fault)-asked)
			}
			c.done(t, s, order, capture)
		})
	}
}

func TestChangesOfAnOrder_HaveOneEffectThoughKlarnaForgotTheKey(t *testing.T) {
	t.Parallel()
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			order, capture := s.capturedOrder(t)
			req := c.req(order, capture)
			s.lost(t, c, req)
			s.klarna.Advance(25 * time.Hour)
			_, st := s.overGRPC(req)
			c.done(t, s, order, capture)
			switch name {
			case "ExtendDueDate", "TriggerSendOut": // whether it was done cannot be seen
				checkRefusal(t, "gRPC", st, codes.FailedPrecondition, gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED, nil)
			default:
				if st.Code() != codes.OK {
					t.Errorf("repeated: %v", st)
				}
			}
		})
	}
}

func TestChangesOfAnOrder_ThatKlarnaForgotAreMadeIfTheyWereNotDone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ReleaseRemainingAuthorization", "AddOrderShippingInfo", "AddCaptureShippingInfo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := start(t, nil), changes[name]
			order, capture := s.capturedOrder(t)
			req := c.req(order, capture)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: c.fault, Status: 503, Times: klarna.DefaultRetries + 1}))
			if _, st := s.overGRPC(req); st.Code() != codes.Unavailable {
				t.Fatalf("with an outage: %v", st)
			}
			s.klarna.Advance(25 * time.Hour)
			if _, st := s.overGRPC(req); st.Code() != codes.OK {
				t.Fatalf("repeated: %v", st)
			}
			c.done(t, s, order, capture)
		})
	}
}

func TestChangesOfAnOrder_ShowInTheAnswerAndOnWatches(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order, _ := s.capturedOrder(t)
	s.stopWork() // whose readings, as time moves, would come between a call and its event
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(gatewayv1.WatchStart_WATCH_START_NOW)})
	watch.next() // it has begun
	same := func(got *gatewayv1.Payment, err error) *gatewayv1.Payment {
		t.Helper()
		must(t, err)
		ev := watch.event()
		if diff := cmp.Diff(got.GetPosition(), ev.at); diff != "" || ev.event.(*gatewayv1.PaymentEvent).GetCause() != gatewayv1.EventCause_EVENT_CAUSE_CALL {
			t.Errorf("watchers got %v, the caller %v", ev.event, got)
		}
		return got
	}

	raised, err := s.orders.UpdateAuthorization(t.Context(), &gatewayv1.UpdateAuthorizationRequest{
		RequestId: uuid.NewString(), OrderId: order, OrderAmount: eur(14000), OrderLines: lamp(14000),
	})
	if p := same(raised.GetPayment(), err); p.GetOrderAmount().GetAmountMinor() != 14000 || p.GetRemainingAuthorizedAmount().GetAmountMinor() != 9000 {
		t.Errorf("%v", p)
	}
	emptied, err := s.orders.UpdateAuthorization(t.Context(), &gatewayv1.UpdateAuthorizationRequest{
		RequestId: uuid.NewString(), OrderId: order, OrderAmount: eur(12000), RemoveOrderLines: true,
	})
	if p := same(emptied.GetPayment(), err); p.GetOrderAmount().GetAmountMinor() != 12000 || len(s.read(t, order).OrderLines) != 0 {
		t.Errorf("%v", p)
	}
	s.klarna.Advance(10 * day)
	extended, err := s.orders.ExtendAuthorization(t.Context(), &gatewayv1.ExtendAuthorizationRequest{RequestId: uuid.NewString(), OrderId: order})
	if left := same(extended.GetPayment(), err).GetExpireTime().AsTime().Sub(s.klarna.Now()); left < 27*day || left > 28*day {
		t.Errorf("expires in %s", left)
	}
	named, err := s.orders.UpdateMerchantReferences(t.Context(), &gatewayv1.UpdateMerchantReferencesRequest{
		RequestId: uuid.NewString(), OrderId: order, MerchantReference2: text("till-7"),
	})
	if p := same(named.GetPayment(), err); p.GetMerchantReference1() != "SO-1" || p.GetMerchantReference2() != "till-7" {
		t.Errorf("what was not set does not stay: %v", p)
	}
	cleared, err := s.orders.UpdateMerchantReferences(t.Context(), &gatewayv1.UpdateMerchantReferencesRequest{
		RequestId: uuid.NewString(), OrderId: order, MerchantReference1: text(""),
	})
	if p := same(cleared.GetPayment(), err); p.GetMerchantReference1() != "" || p.GetMerchantReference2() != "till-7" {
		t.Errorf("what is empty is not cleared: %v", p)
	}
	released, err := s.orders.ReleaseRemainingAuthorization(t.Context(), &gatewayv1.ReleaseRemainingAuthorizationRequest{RequestId: uuid.NewString(), OrderId: order})
	if p := same(released.GetPayment(), err); p.GetRemainingAuthorizedAmount().GetAmountMinor() != 0 || p.GetState() != gatewayv1.Payment_STATE_CAPTURED {
		t.Errorf("%v", p)
	}
}

func TestChangesOfAnOrder_AreMadeThoughItCannotBeReadAfterwards(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order, _ := s.capturedOrder(t)
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(gatewayv1.WatchStart_WATCH_START_NOW)})
	watch.next() // it has begun
	must(t, s.klarna.Fail(klarnatest.Fault{Operation: "readOrder", Status: 503, Times: klarna.DefaultRetries + 1}))
	res, err := s.orders.ReleaseRemainingAuthorization(t.Context(), &gatewayv1.ReleaseRemainingAuthorizationRequest{RequestId: uuid.NewString(), OrderId: order})
	must(t, err)
	if res.GetPayment().GetRemainingAuthorizedAmount().GetAmountMinor() != 7995 {
		t.Errorf("the answer shows more than is on record: %v", res.GetPayment())
	}
	s.klarna.Advance(6 * time.Second)
	if p := watch.event().payment(); p.GetRemainingAuthorizedAmount().GetAmountMinor() != 0 {
		t.Errorf("%v", p)
	}
}

func TestUpdateAuthorization_RefusesWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order, _ := s.capturedOrder(t)
	update := func(amount *gatewayv1.Money, remove bool, lines ...*gatewayv1.OrderLine) proto.Message {
		return &gatewayv1.UpdateAuthorizationRequest{
			RequestId: uuid.NewString(), OrderId: order, OrderAmount: amount, OrderLines: lines, RemoveOrderLines: remove,
		}
	}
	fee := lamp(14000)
	fee[0].Type = "return_fee"
	const (
		invalid  = gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD
		mismatch = gatewayv1.ErrorReason_ERROR_REASON_AMOUNTS_DO_NOT_MATCH
	)
	for _, c := range []struct {
		req    proto.Message
		reason gatewayv1.ErrorReason
		want   map[string]string
	}{
		{update(eur(14001), false, lamp(14000)...), mismatch, map[string]string{"order_amount.amount_minor": "is 14001, must be 14000"}},
		{update(eur(14000), false, &gatewayv1.OrderLine{Name: "Lamp", Quantity: 2, UnitPriceMinor: 7001, TotalAmountMinor: 14000}), mismatch,
			map[string]string{"order_lines[0].total_amount_minor": "is 14000, must be 14002"}},
		{update(eur(14000), false, fee...), mismatch, map[string]string{"order_lines[0].type": "refunds"}},
		{update(eur(14000), false), invalid, map[string]string{"order_lines": "remove_order_lines"}},
		{update(eur(14000), true, lamp(14000)...), invalid, map[string]string{"order_lines": "remove_order_lines"}},
		{update(eur(-1), true), invalid, map[string]string{"order_amount": "negative"}},
		{update(&gatewayv1.Money{AmountMinor: 14000, CurrencyCode: "SEK"}, false, lamp(14000)...), invalid,
			map[string]string{"order_amount.currency_code": "must be the order's currency, EUR"}},
	} {
		s.refused(c.req, codes.InvalidArgument, http.StatusBadRequest, c.reason, c.want)
	}
	if n := s.klarna.CallCount("updateAuthorization"); n != 0 {
		t.Errorf("Klarna was asked %d times", n)
	}
	taxed := lamp(14000)
	taxed[0].TaxRateBasisPoints, taxed[0].TotalTaxAmountMinor = 1900, 2235
	if _, st := s.overGRPC(update(eur(14000), false, taxed...)); st.Code() != codes.OK {
		t.Errorf("lines with tax: %v", st)
	}
}

func TestUpdateMerchantReferences_OfNothingIsInvalid(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.refused(&gatewayv1.UpdateMerchantReferencesRequest{RequestId: uuid.NewString(), OrderId: id("order")}, codes.InvalidArgument,
		http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{"merchant_reference1": "at least one of"})
}

func TestChangesOfAnOrder_RefusedInItsState(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order, capture := s.capturedOrder(t)
	cancelled, expired := s.order("SO-2"), s.order("SO-3")
	_, err := s.orders.CancelOrder(t.Context(), &gatewayv1.CancelOrderRequest{RequestId: uuid.NewString(), OrderId: cancelled})
	must(t, err)
	notAllowed := func(req proto.Message) {
		t.Helper()
		s.refused(req, codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED, nil)
	}
	notAllowed(&gatewayv1.UpdateAuthorizationRequest{RequestId: uuid.NewString(), OrderId: order, OrderAmount: eur(4999), OrderLines: lamp(4999)})
	notAllowed(changes["ReleaseRemainingAuthorization"].req(expired, "")) // nothing is captured
	notAllowed(changes["UpdateMerchantReferences"].req(cancelled, ""))
	notAllowed(changes["UpdateCustomerDetails"].req(cancelled, ""))
	notAllowed(&gatewayv1.ExtendDueDateRequest{RequestId: uuid.NewString(), OrderId: order, CaptureId: capture, NumberOfDays: 11})
	for _, name := range []string{"AddOrderShippingInfo", "AddCaptureShippingInfo", "TriggerSendOut"} { // when is not documented
		must(t, s.klarna.Fail(klarnatest.Fault{Operation: changes[name].fault, Status: 403, Code: "NOT_ALLOWED", Times: 2}))
		notAllowed(changes[name].req(order, capture))
	}
	must(t, s.klarna.Fail(klarnatest.Fault{Operation: "updateCustomer", Status: 422, Code: "INVALID_ADDRESS", Times: 2}))
	s.refused(changes["UpdateCustomerDetails"].req(order, ""), codes.InvalidArgument, http.StatusBadRequest,
		gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA, map[string]string{"shipping_address": "Klarna refused this value"})
	s.klarna.Advance(29 * day)
	notAllowed(changes["ExtendAuthorization"].req(expired, ""))
	notAllowed(changes["UpdateAuthorization"].req(expired, ""))
}

func TestChangesOfAnOrder_ThatKlarnaDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	none, capture := id("order"), id("capture")
	reqs := []proto.Message{
		&gatewayv1.ListCapturesRequest{OrderId: none}, &gatewayv1.GetCaptureRequest{OrderId: none, CaptureId: capture},
		&gatewayv1.GetRefundRequest{OrderId: none, RefundId: capture}, &gatewayv1.ListDueDateOptionsRequest{OrderId: none, CaptureId: capture},
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		reqs = append(reqs, changes[name].req(none, capture))
	}
	for _, req := range reqs {
		s.refused(req, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND, nil)
	}
}
