package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// paged opens a session and a page for it; change may alter the page.
func (s *stack) paged(policy gatewayv1.OrderPolicy, change func(*gatewayv1.CreateHostedPageRequest)) (sessionID string, page *gatewayv1.HostedPage) {
	s.t.Helper()
	session, err := s.payments.CreatePaymentSession(s.t.Context(), with(sessionRequest("SO-1"), func(r *gatewayv1.CreatePaymentSessionRequest) { r.OrderPolicy = policy }))
	must(s.t, err)
	sessionID = session.GetSession().GetSessionId()
	req := newPage(sessionID)
	if change != nil {
		change(req)
	}
	made, err := s.payments.CreateHostedPage(s.t.Context(), req)
	must(s.t, err)
	return sessionID, made.GetHostedPage()
}

func newPage(sessionID string) *gatewayv1.CreateHostedPageRequest {
	return &gatewayv1.CreateHostedPageRequest{
		RequestId: uuid.NewString(), SessionId: sessionID, SuccessUrl: "https://shop.example/ok?p={{session_id}}", PaymentMethodCategory: "pay_now",
	}
}

func TestHostedPage_PaidByTheCustomerBecomesAnOrder(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.klarna.DropCallbacks(1) // so that the page alone tells
	session, page := s.paged(gatewayv1.OrderPolicy_ORDER_POLICY_AUTOMATIC, nil)
	if page.GetStatus() != gatewayv1.HostedPage_STATUS_WAITING || page.GetRedirectUrl() == "" || page.GetQrCodeUrl() == "" || page.GetExpireTime() == nil {
		t.Errorf("opened %v", page)
	}
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{SessionIds: []string{session}, From: fromStart(gatewayv1.WatchStart_WATCH_START_SNAPSHOT)})
	_, err := s.klarna.CompletePage(page.GetHostedPageId())
	must(t, err)
	for watch.event().payment().GetState() != gatewayv1.Payment_STATE_ORDERED {
	}
	read, err := s.payments.GetHostedPage(t.Context(), &gatewayv1.GetHostedPageRequest{HostedPageId: page.GetHostedPageId()})
	must(t, err)
	if got := read.GetHostedPage(); got.GetStatus() != gatewayv1.HostedPage_STATUS_COMPLETED || got.GetHostedPageId() != page.GetHostedPageId() || got.GetUpdateTime() == nil {
		t.Errorf("read %v", got)
	}
}

func TestHostedPage_OrderPlacedByKlarnaIsLinkedToItsSession(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	session, page := s.paged(gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER, func(r *gatewayv1.CreateHostedPageRequest) { r.ProfileId = klarnatest.ProfilePlaceOrder })
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{SessionIds: []string{session}, From: fromStart(gatewayv1.WatchStart_WATCH_START_SNAPSHOT)})
	_, err := s.klarna.CompletePage(page.GetHostedPageId())
	must(t, err)
	var seen *gatewayv1.Payment
	for seen.GetOrderStatusText() != "AUTHORIZED" {
		seen = watch.event().payment()
	}
	read, err := s.payments.GetHostedPage(t.Context(), &gatewayv1.GetHostedPageRequest{HostedPageId: page.GetHostedPageId()})
	must(t, err)
	if got := read.GetHostedPage(); got.GetOrderId() == "" || got.GetOrderId() != seen.GetOrderId() || got.GetKlarnaReference() != seen.GetKlarnaReference() {
		t.Errorf("page %v, payment %v", got, seen)
	}
}

func TestHostedPage_WritesHaveOneEffectThoughTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	for fault, c := range map[string]struct {
		req  func(session, page string) proto.Message
		done func(klarnatest.HostedPage) bool
	}{
		"createHostedPage": {func(session, _ string) proto.Message { return newPage(session) }, nil},
		"disableHostedPage": {func(_, page string) proto.Message {
			return &gatewayv1.DisableHostedPageRequest{RequestId: uuid.NewString(), HostedPageId: page}
		}, func(p klarnatest.HostedPage) bool { return p.Status == "DISABLED" }},
		"distributeHostedPage": {func(_, page string) proto.Message {
			return &gatewayv1.DistributeHostedPageRequest{RequestId: uuid.NewString(), HostedPageId: page, Phone: "+4930901820", PhoneCountry: "DE"}
		}, func(p klarnatest.HostedPage) bool { return len(p.Sent) == 2 }}, // Klarna takes no key: the link comes twice
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			session, page := s.paged(gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER, nil)
			req := c.req(session, page.GetHostedPageId())
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: fault, LoseAnswer: true}))
			if _, st := s.overGRPC(req); reasonOf(st.Err()) != "OUTCOME_UNKNOWN" {
				t.Fatalf("with a lost answer: %v", st)
			}
			first, st := s.overGRPC(req)
			must(t, st.Err())
			asked := s.klarna.CallCount(fault)
			again, st := s.overGRPC(req)
			must(t, st.Err())
			if diff := cmp.Diff(first, again, protocmp.Transform()); diff != "" || s.klarna.CallCount(fault) != asked {
				t.Errorf("asked %d times more: %s", s.klarna.CallCount(fault)-asked, diff)
			}
			if state, _ := s.klarna.HostedPage(page.GetHostedPageId()); c.done != nil && !c.done(state) {
				t.Errorf("page %+v", state)
			}
		})
	}
}

func TestHostedPages_AreRefusedWithWhatToDoAboutIt(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	session, page := s.paged(gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER, nil)
	_, err := s.klarna.CompletePage(page.GetHostedPageId())
	must(t, err)
	const notFound = gatewayv1.ErrorReason_ERROR_REASON_HOSTED_PAGE_NOT_FOUND
	for name, c := range map[string]struct {
		req    proto.Message
		code   codes.Code
		http   int
		reason gatewayv1.ErrorReason
		fields map[string]string
	}{
		"unknown session": {newPage("none"), codes.NotFound, 404, gatewayv1.ErrorReason_ERROR_REASON_SESSION_NOT_FOUND, nil},
		"unknown way to pay": {
			with(newPage(session), func(r *gatewayv1.CreateHostedPageRequest) { r.PaymentMethodCategory = "barter" }),
			codes.InvalidArgument, 400, gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA, map[string]string{"payment_method_category": "refused"},
		},
		"unknown page read": {&gatewayv1.GetHostedPageRequest{HostedPageId: "none"}, codes.NotFound, 404, notFound, nil},
		"unknown page disabled": {
			&gatewayv1.DisableHostedPageRequest{RequestId: uuid.NewString(), HostedPageId: "none"}, codes.NotFound, 404, notFound, nil,
		},
		"unknown page distributed": {
			&gatewayv1.DistributeHostedPageRequest{RequestId: uuid.NewString(), HostedPageId: "none", Email: "erika@example.com"},
			codes.NotFound, 404, notFound, nil,
		},
		"completed page disabled": {
			&gatewayv1.DisableHostedPageRequest{RequestId: uuid.NewString(), HostedPageId: page.GetHostedPageId()},
			codes.FailedPrecondition, 400, gatewayv1.ErrorReason_ERROR_REASON_SESSION_COMPLETED, nil,
		},
		"no country of the phone": {
			&gatewayv1.DistributeHostedPageRequest{RequestId: uuid.NewString(), HostedPageId: page.GetHostedPageId(), Phone: "030901820"},
			codes.InvalidArgument, 400, gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA, map[string]string{"phone_country": "refused"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.on(t).refused(c.req, c.code, c.http, c.reason, c.fields)
		})
	}
}

func TestHostedPageFromKlarna_KnowsKlarnasWords(t *testing.T) {
	t.Parallel()
	for _, word := range []klarna.HostedPageStatus{
		klarna.PageWaiting, klarna.PageInProgress, klarna.PageBack, klarna.PageFailed, klarna.PageError,
		klarna.PageCompleted, klarna.PageCancelled, klarna.PageDisabled,
	} {
		if got := hostedPageFromKlarna(klarna.HostedPage{Status: word}); "STATUS_"+string(word) != got.GetStatus().String() {
			t.Errorf("%s is %s", word, got.GetStatus())
		}
	}
	for _, word := range []klarna.HostedPageStatus{klarna.PageTimeout, "MANUAL_ID_CHECK", ""} {
		if got := hostedPageFromKlarna(klarna.HostedPage{Status: word}); got.GetStatus() != 0 || got.GetStatusText() != string(word) {
			t.Errorf("%s is %v", word, got)
		}
	}
}

func TestPendingOrder_DecisionReachesTheWatchersOfItsOrder(t *testing.T) {
	t.Parallel()
	for accepted, want := range map[bool]gatewayv1.Payment_FraudStatus{
		true: gatewayv1.Payment_FRAUD_STATUS_ACCEPTED, false: gatewayv1.Payment_FRAUD_STATUS_REJECTED,
	} {
		t.Run(want.String(), func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.klarna.PendNext(1)
			order := s.orderOf("buy_and_tokenize")
			read, err := s.orders.GetOrder(t.Context(), &gatewayv1.GetOrderRequest{OrderId: order})
			must(t, err)
			if read.GetOrder().GetFraudStatus() != gatewayv1.Payment_FRAUD_STATUS_PENDING {
				t.Fatalf("order %v", read)
			}
			watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{OrderIds: []string{order}, From: fromStart(gatewayv1.WatchStart_WATCH_START_NOW)})
			watch.next() // the opening bookmark: from here on everything is seen
			must(t, s.klarna.DecideFraud(order, accepted))
			event := watch.event().event.(*gatewayv1.PaymentEvent)
			if event.GetKind() != gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_ORDER_CHANGED || event.GetPayment().GetFraudStatus() != want {
				t.Errorf("told as %v", event)
			}
			must(t, s.klarna.Idle(t.Context()))
			deliveries := s.klarna.Deliveries()
			if last := deliveries[len(deliveries)-1]; last.Kind != klarnatest.KindPendingOrder || last.Status != 200 {
				t.Errorf("answered %+v, want exactly 200", last)
			}
		})
	}
}

// orderOf takes a purchase with an intent to the order at Klarna.
func (s *stack) orderOf(intent string) (orderID string) {
	s.t.Helper()
	made, err := s.orders.CreateOrder(s.t.Context(), &gatewayv1.CreateOrderRequest{RequestId: uuid.NewString(), SessionId: s.authorized(intent)})
	must(s.t, err)
	return made.GetOrderId()
}
