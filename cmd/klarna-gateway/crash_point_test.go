package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
)

// failVariable names a point and what has to pass it: the gateway that is started with it kills itself there.
const failVariable = "KLARNA_GATEWAY_TEST_FAIL"

func armFailpoint() {
	point, what, armed := strings.Cut(os.Getenv(failVariable), "|")
	if !armed {
		return
	}
	failpoint = func(at operation.Point, passing string) {
		if string(at) != point || !strings.HasSuffix(passing, what) {
			return
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until it arrives
	}
}

// crashingWrite is a write during which the gateway dies.
type crashingWrite struct {
	name, path, operation string // Klarna's path ends so; its name in the ledger
	captured              bool   // the order has a capture of 2000 before
	call                  func(ctx context.Context, conn *grpc.ClientConn, id, order string) (proto.Message, error)
	effect                func(klarnatest.Order) string
	once                  string // the effect of one
	event                 gatewayv1.PaymentEventKind
}

func crashingWrites() []crashingWrite {
	return []crashingWrite{
		{name: "capture", path: "/captures", operation: "captureOrder",
			call: func(ctx context.Context, conn *grpc.ClientConn, id, order string) (proto.Message, error) {
				res, err := gatewayv1.NewOrderServiceClient(conn).CaptureOrder(ctx, &gatewayv1.CaptureOrderRequest{RequestId: id, OrderId: order, Amount: eur(2000)})
				return res.GetCapture(), err
			},
			effect: func(o klarnatest.Order) string { return fmt.Sprint(o.Captures, " of ", o.Captured) }, once: "1 of 2000",
			event: gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_CAPTURED},
		{name: "refund", path: "/refunds", operation: "refundOrder", captured: true,
			call: func(ctx context.Context, conn *grpc.ClientConn, id, order string) (proto.Message, error) {
				res, err := gatewayv1.NewOrderServiceClient(conn).RefundOrder(ctx, &gatewayv1.RefundOrderRequest{RequestId: id, OrderId: order, Amount: eur(700)})
				return res.GetRefund(), err
			},
			effect: func(o klarnatest.Order) string { return fmt.Sprint(o.Refunds, " of ", o.Refunded) }, once: "1 of 700",
			event: gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_REFUNDED},
		{name: "cancellation", path: "/cancel", operation: "cancelOrder",
			call: func(ctx context.Context, conn *grpc.ClientConn, id, order string) (proto.Message, error) {
				res, err := gatewayv1.NewOrderServiceClient(conn).CancelOrder(ctx, &gatewayv1.CancelOrderRequest{RequestId: id, OrderId: order})
				return &gatewayv1.CancelOrderRequest{OrderId: res.GetPayment().GetOrderId()}, err
			},
			effect: func(o klarnatest.Order) string { return o.Status }, once: "CANCELLED",
			event: gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_CANCELLED},
	}
}

// The gateway dies at each named point of a write. Its caller repeats the request and gets one answer, Klarna did it
// once, watchers are told once, and no money stays reserved.
func TestKill_AtEachNamedPointOfAWrite(t *testing.T) {
	t.Parallel()
	for _, w := range crashingWrites() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, patience)
			sim := s.shop(plainKlarna)
			for _, at := range []operation.Point{operation.BeforeSend, operation.AfterSend, operation.AfterAnswer, operation.AfterCommit} {
				order := must[string](t)(sim.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 5000, Currency: "EUR", Country: "DE", Reference: "KCO-7001"}))
				dieAt(t, s, sim, w, at, order)
			}
		})
	}
}

func dieAt(t *testing.T, s *stage, sim *klarnatest.Server, w crashingWrite, at operation.Point, order string) {
	t.Helper()
	if w.captured {
		p := s.start()
		orders := gatewayv1.NewOrderServiceClient(p.dial(t))
		must[*gatewayv1.CaptureOrderResponse](t)(orders.CaptureOrder(t.Context(), &gatewayv1.CaptureOrderRequest{RequestId: newRequestID(), OrderId: order, Amount: eur(2000)}))
		p.terminate(t)
	}
	id := newRequestID()
	doomed := s.start(failVariable + "=" + string(at) + "|" + w.pointer(at))
	if _, err := w.call(t.Context(), doomed.dial(t), id, order); status.Code(err) != codes.Unavailable {
		t.Fatalf("%s: the gateway should have died, and the caller gets: %v", at, err)
	}
	<-doomed.ended
	made := w.effect(must2(sim.Order(order)))
	if done := made == w.once; done != (at != operation.BeforeSend) && at != operation.AfterSend {
		t.Errorf("%s: Klarna has %s", at, made)
	}
	p := s.start()
	first := must[proto.Message](t)(w.call(t.Context(), p.dial(t), id, order))
	again := must[proto.Message](t)(w.call(t.Context(), p.dial(t), id, order))
	if !proto.Equal(first, again) {
		t.Errorf("%s: got %v, and then %v", at, first, again)
	}
	if got := w.effect(must2(sim.Order(order))); got != w.once {
		t.Errorf("%s: Klarna has %s, want %s", at, got, w.once)
	}
	if told := timesTold(t, p, order, w.event); told != 1 {
		t.Errorf("%s: watchers are told %d times", at, told)
	}
	if w.name == "capture" { // nothing stays reserved: the rest can be captured, and not more
		orders := gatewayv1.NewOrderServiceClient(p.dial(t))
		rest := &gatewayv1.CaptureOrderRequest{RequestId: newRequestID(), OrderId: order, Amount: eur(3001)}
		if _, err := orders.CaptureOrder(t.Context(), rest); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("%s: more than is left: %v", at, err)
		}
		rest.Amount.AmountMinor = 3000
		must[*gatewayv1.CaptureOrderResponse](t)(orders.CaptureOrder(t.Context(), rest))
	}
	p.terminate(t)
}

// pointer is what passes a point: on the wire a path, in the ledger an operation.
func (w crashingWrite) pointer(at operation.Point) string {
	if at == operation.BeforeSend || at == operation.AfterSend {
		return w.path
	}
	return w.operation
}

func plainKlarna(klarna http.Handler) http.Handler { return klarna }

func must2[T any](v T, _ bool) T { return v }

// timesTold is how many events of a kind there are about an order.
func timesTold(t *testing.T, p *process, order string, kind gatewayv1.PaymentEventKind) (n int) {
	t.Helper()
	res := must[*gatewayv1.ListPaymentEventsResponse](t)(gatewayv1.NewPaymentServiceClient(p.dial(t)).ListPaymentEvents(t.Context(),
		&gatewayv1.ListPaymentEventsRequest{OrderId: order}))
	for _, ev := range res.GetEvents() {
		if ev.GetKind() == kind {
			n++
		}
	}
	return n
}

// The gateway dies at each named point while it places the order of a session. Whoever asks then gets the one order.
func TestKill_AtEachNamedPointOfPlacingAnOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t, patience)
	sim := s.shop(plainKlarna)
	for _, at := range []operation.Point{operation.BeforeSend, operation.AfterSend, operation.AfterAnswer, operation.AfterCommit} {
		what := "placeOrder"
		if at == operation.BeforeSend || at == operation.AfterSend {
			what = "/order"
		}
		p := s.start(failVariable + "=" + string(at) + "|" + what)
		conn := p.dial(t)
		session := must[*gatewayv1.CreatePaymentSessionResponse](t)(gatewayv1.NewPaymentServiceClient(conn).CreatePaymentSession(t.Context(), sessionRequest("SO-7001", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER))).GetSession().GetSessionId()
		token := must[string](t)(sim.Authorize(session))
		request := &gatewayv1.CreateOrderRequest{RequestId: newRequestID(), SessionId: session, AuthorizationToken: token}
		if _, err := gatewayv1.NewOrderServiceClient(conn).CreateOrder(t.Context(), request); status.Code(err) != codes.Unavailable {
			t.Fatalf("%s: the gateway should have died, and the caller gets: %v", at, err)
		}
		<-p.ended
		p = s.start()
		orders := gatewayv1.NewOrderServiceClient(p.dial(t))
		first := must[*gatewayv1.CreateOrderResponse](t)(orders.CreateOrder(t.Context(), request))
		other := proto.CloneOf(request)
		other.RequestId = newRequestID()
		second := must[*gatewayv1.CreateOrderResponse](t)(orders.CreateOrder(t.Context(), other))
		if first.GetOrderId() == "" || first.GetOrderId() != second.GetOrderId() {
			t.Errorf("%s: orders %q and %q", at, first.GetOrderId(), second.GetOrderId())
		}
		if told := timesTold(t, p, first.GetOrderId(), gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_ORDER_CREATED); told != 1 {
			t.Errorf("%s: watchers are told %d times", at, told)
		}
		p.terminate(t)
	}
	if placed := len(sim.Orders()); placed != 4 {
		t.Errorf("four sessions became %d orders", placed)
	}
}
