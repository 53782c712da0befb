package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
	"payments.internal/klarna-gateway/store"
)

// Traces that callers begin.
const (
	openingTrace  = "0af7651916cd43dd8448eb211c80319c"
	orderingTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	restTrace     = "7d9c8b1e2f3a4c5d6e7f8091a2b3c4d5"
)

func traceParentOf(traceID string) string { return "00-" + traceID + "-b7ad6b7169203331-01" }

// spanEnded waits for a span that looks like this.
func spanEnded(t *testing.T, spans *tracetest.SpanRecorder, what string, is func(sdktrace.ReadOnlySpan) bool) (found sdktrace.ReadOnlySpan) {
	t.Helper()
	until(t, "span "+what, func() bool {
		all := spans.Ended()
		i := slices.IndexFunc(all, is)
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

func named(name string) func(sdktrace.ReadOnlySpan) bool {
	return func(s sdktrace.ReadOnlySpan) bool { return s.Name() == name }
}

func linksTo(s sdktrace.ReadOnlySpan, is func(trace.SpanContext) bool) bool {
	return slices.ContainsFunc(s.Links(), func(l sdktrace.Link) bool { return is(l.SpanContext) })
}

func ofTrace(id string) func(trace.SpanContext) bool {
	return func(at trace.SpanContext) bool { return at.TraceID().String() == id }
}

// One trace leads from a caller to Klarna; what comes of it later has traces of its own, and links that lead from the
// watcher's event to the webhook, from there to the request behind it, and from a job to what added it.
func TestTraces_LeadFromTheWatcherBackToTheCaller(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	l := runLocalWith(t, -1, slog.New(slog.DiscardHandler), parts{spans: spans})
	traveller := travel(t, l)
	traced := func(id string) []string { return []string{"traceparent", traceParentOf(id)} }

	session, watch, err := traveller.openSession(metadata.AppendToOutgoingContext(t.Context(), traced(openingTrace)...), "SO-1", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)
	if err != nil {
		t.Fatal(err)
	}
	call := spanEnded(t, spans, "of the call", named("gateway.v1.PaymentService/CreatePaymentSession"))
	atKlarna := spanEnded(t, spans, "at Klarna", named("POST /payments/v1/sessions"))
	if call.SpanContext().TraceID().String() != openingTrace || atKlarna.SpanContext().TraceID() != call.SpanContext().TraceID() ||
		atKlarna.Parent().SpanID() != call.SpanContext().SpanID() || atKlarna.SpanKind() != trace.SpanKindClient {
		t.Errorf("caller's trace: %s, %s, under %s", call.SpanContext().TraceID(), atKlarna.SpanContext().TraceID(), atKlarna.Parent().SpanID())
	}

	l.sim.Advance(2*time.Minute + time.Second)
	job := spanEnded(t, spans, "of a job", named("job read_session"))
	if !linksTo(job, ofTrace(openingTrace)) || job.SpanContext().TraceID().String() == openingTrace {
		t.Errorf("the job links to %v", job.Links())
	}
	read := spanEnded(t, spans, "of the job's reading", named("GET /payments/v1/sessions/{session_id}"))
	if read.SpanContext().TraceID() != job.SpanContext().TraceID() {
		t.Error("what the job asks is not in its trace")
	}

	token := must[string](t)(l.sim.Authorize(session))
	order := must[*gatewayv1.CreateOrderResponse](t)(traveller.orders.CreateOrder(metadata.AppendToOutgoingContext(t.Context(), traced(orderingTrace)...),
		&gatewayv1.CreateOrderRequest{RequestId: newRequestID(), SessionId: session, AuthorizationToken: token}))
	if err := l.sim.Pay(order.GetOrderId()); err != nil {
		t.Fatal(err)
	}
	if _, err := watch.reach("the payment", statusIs(gatewayv1.PaymentStatus_PAYMENT_STATUS_PAID)); err != nil {
		t.Fatal(err)
	}
	told := spanEnded(t, spans, "of the webhook", func(s sdktrace.ReadOnlySpan) bool {
		return s.Name() == "POST /klarna/payment-status/{merchant_account}" && linksTo(s, ofTrace(orderingTrace))
	})
	if told.Parent().IsValid() || told.SpanKind() != trace.SpanKindServer {
		t.Error("the webhook is in somebody's trace")
	}
	sent := spanEnded(t, spans, "of the send", func(s sdktrace.ReadOnlySpan) bool {
		return s.Name() == "send payment event" && linksTo(s, func(at trace.SpanContext) bool { return at.SpanID() == told.SpanContext().SpanID() })
	})
	if sent.SpanKind() != trace.SpanKindProducer || sent.SpanContext().TraceID().String() != openingTrace { // the watch's
		t.Errorf("the send is in trace %s", sent.SpanContext().TraceID())
	}

	req := must[*http.Request](t)(http.NewRequest("GET", traveller.rest+"/v1/orders/"+order.GetOrderId(), nil))
	req.Header.Set("Traceparent", traceParentOf(restTrace))
	res := must[*http.Response](t)(http.DefaultClient.Do(req))
	_ = res.Body.Close()
	overREST := spanEnded(t, spans, "over REST", named("gateway.v1.OrderService/GetOrder"))
	if overREST.SpanContext().TraceID().String() != restTrace {
		t.Errorf("over REST: trace %s", overREST.SpanContext().TraceID())
	}
	noSecrets(t, l, spans, token)
}

// noSecrets looks for what no trace may tell.
func noSecrets(t *testing.T, l *local, spans *tracetest.SpanRecorder, secrets ...string) {
	t.Helper()
	for _, a := range l.gateway.cfg.MerchantAccounts {
		secrets = append(secrets, a.Password.Reveal(), a.APIKey.Reveal())
		for _, s := range a.PushSecrets {
			secrets = append(secrets, s.Reveal())
		}
		for _, s := range a.SigningKeys {
			secrets = append(secrets, s.Reveal())
		}
	}
	for _, s := range spans.Ended() {
		text := fmt.Sprint(s.Name(), s.Attributes(), s.Events(), s.Status())
		for _, secret := range secrets {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("span %s holds a secret", s.Name())
			}
		}
	}
}

// Events and jobs keep the trace of whoever caused them, also where nobody collects traces.
func TestTraces_AreKeptWithoutACollector(t *testing.T) {
	t.Parallel()
	l := runLocalWith(t, -1, planted.Logger(), parts{})
	traveller := travel(t, l)
	_, err := traveller.payments.CreatePaymentSession(metadata.AppendToOutgoingContext(t.Context(), "traceparent", traceParentOf(openingTrace)),
		sessionRequest("SO-1", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER))
	if err != nil {
		t.Fatal(err)
	}
	events := must[[]store.Event](t)(l.gateway.store.Events(t.Context(), store.Query{Stream: store.Payments, Limit: 10}))
	jobs := must[[]store.Job](t)(l.gateway.store.Jobs(t.Context(), "", "", 10))
	if len(events) == 0 || events[0].TraceParent != traceParentOf(openingTrace) {
		t.Errorf("events %+v", events)
	}
	if len(jobs) == 0 || jobs[0].TraceParent != traceParentOf(openingTrace) {
		t.Errorf("jobs %+v", jobs)
	}
}
