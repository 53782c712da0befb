package main

import (
	"context"
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

// panicVariable names a point where the gateway that is started with it panics over personal data.
const panicVariable = "KLARNA_GATEWAY_TEST_PANIC"

func armFailpoint() {
	if at := os.Getenv(panicVariable); at != "" {
		failpoint = func(passing operation.Point, _ string) {
			if string(passing) == at {
				panic(plantedTexts["iban"] + ", " + plantedTexts["e-mail"] + " and " + plantedTexts["national id"])
			}
		}
		return
	}
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

// points are where it dies, in their order.
var points = []operation.Point{operation.BeforeSend, operation.AfterSend, operation.AfterAnswer, operation.AfterCommit}

// crashingWrite is a write during which the gateway dies.
type crashingWrite struct {
	name, path, operation string // Klarna's path ends so; its name in the ledger
	// prepare makes what it is about.
	prepare func(t *testing.T, conn *grpc.ClientConn, sim *klarnatest.Server) (subject string)
	call    func(ctx context.Context, conn *grpc.ClientConn, id, subject string) (proto.Message, error)
	effect  func(sim *klarnatest.Server, subject string) string
	once    string // the effect of one
	about   func(subject string) *gatewayv1.ListPaymentEventsRequest
	tells   func(*gatewayv1.PaymentEvent) bool // of the write
	// capture takes more of the same money, of which one write leaves so much; nil where none is reserved for the write.
	capture func(ctx context.Context, conn *grpc.ClientConn, subject string, amount int64) error
	left    int64
}

// The gateway dies at each named point of a write. Its caller repeats the request and gets one answer, Klarna did it
// once, watchers are told once, and no money stays reserved.
func TestKill_AtEachNamedPointOfAWrite(t *testing.T) {
	t.Parallel()
	for _, w := range orderWrites() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, patience)
			w.dieEverywhere(t, s, s.shop(plainKlarna))
		})
	}
}

func TestKill_AtEachNamedPointOfAWriteOnTheNetwork(t *testing.T) {
	t.Parallel()
	for _, w := range networkWrites() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, patience)
			w.dieEverywhere(t, s, s.acquirer(localAcquirer, s.posts))
		})
	}
}

func (w crashingWrite) dieEverywhere(t *testing.T, s *stage, sim *klarnatest.Server) {
	t.Helper()
	var subjects []string
	p := s.start()
	for range points {
		subjects = append(subjects, w.prepare(t, p.dial(t), sim))
	}
	p.terminate(t)
	for i, at := range points {
		w.dieAt(t, s, sim, at, subjects[i])
	}
}

func (w crashingWrite) dieAt(t *testing.T, s *stage, sim *klarnatest.Server, at operation.Point, subject string) {
	t.Helper()
	id := newRequestID()
	doomed := s.start(failVariable + "=" + string(at) + "|" + w.pointer(at))
	if _, err := w.call(t.Context(), doomed.dial(t), id, subject); status.Code(err) != codes.Unavailable {
		t.Fatalf("%s: the gateway should have died, and the caller gets: %v", at, err)
	}
	<-doomed.ended
	made := w.effect(sim, subject)
	if done := made == w.once; done != (at != operation.BeforeSend) && at != operation.AfterSend {
		t.Errorf("%s: Klarna has %s", at, made)
	}
	p := s.start()
	conn := p.dial(t)
	first := must[proto.Message](t)(w.call(t.Context(), conn, id, subject))
	again := must[proto.Message](t)(w.call(t.Context(), conn, id, subject))
	if !proto.Equal(first, again) {
		t.Errorf("%s: got %v, and then %v", at, first, again)
	}
	if got := w.effect(sim, subject); got != w.once {
		t.Errorf("%s: Klarna has %s, want %s", at, got, w.once)
	}
	if told := timesTold(t, p, w.about(subject), w.tells); told != 1 {
		t.Errorf("%s: watchers are told %d times", at, told)
	}
	if w.capture != nil { // nothing stays reserved: the rest can be captured, and not more
		if err := w.capture(t.Context(), conn, subject, w.left+1); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("%s: more than is left: %v", at, err)
		}
		if err := w.capture(t.Context(), conn, subject, w.left); err != nil {
			t.Errorf("%s: what is left: %v", at, err)
		}
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

// timesTold is how many of the events that are asked for tell of something.
func timesTold(t *testing.T, p *process, about *gatewayv1.ListPaymentEventsRequest, tells func(*gatewayv1.PaymentEvent) bool) (n int) {
	t.Helper()
	res := must[*gatewayv1.ListPaymentEventsResponse](t)(gatewayv1.NewPaymentServiceClient(p.dial(t)).ListPaymentEvents(t.Context(), about))
	for _, ev := range res.GetEvents() {
		if tells(ev) {
			n++
		}
	}
	return n
}

func eventOf(kind gatewayv1.PaymentEventKind) func(*gatewayv1.PaymentEvent) bool {
	return func(ev *gatewayv1.PaymentEvent) bool { return ev.GetKind() == kind }
}

func ofOrder(id string) *gatewayv1.ListPaymentEventsRequest {
	return &gatewayv1.ListPaymentEventsRequest{OrderId: id}
}

// The gateway dies at each named point while it places the order of a session. Whoever asks then gets the one order.
func TestKill_AtEachNamedPointOfPlacingAnOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t, patience)
	sim := s.shop(plainKlarna)
	for _, at := range points {
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
		if told := timesTold(t, p, ofOrder(first.GetOrderId()), eventOf(gatewayv1.PaymentEventKind_PAYMENT_EVENT_KIND_ORDER_CREATED)); told != 1 {
			t.Errorf("%s: watchers are told %d times", at, told)
		}
		p.terminate(t)
	}
	if placed := len(sim.Orders()); placed != 4 {
		t.Errorf("four sessions became %d orders", placed)
	}
}
