package main

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/metadata"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
)

// callersSpan is the span that traceParentOf names.
const callersSpan = "b7ad6b7169203331"

// exportTo has a local set-up export everything to a collector.
func exportTo(endpoint string) func(*config) {
	return func(cfg *config) {
		cfg.OTLPEndpoint = endpoint
		cfg.telemetryConfig.environment(func(string) string { return "" })
	}
}

// spanOf finds a span that a collector has.
func spanOf(t *testing.T, all []*tracev1.Span, what string, is func(*tracev1.Span) bool) *tracev1.Span {
	t.Helper()
	for _, s := range all {
		if is(s) {
			return s
		}
	}
	t.Fatalf("no span of %s among %d", what, len(all))
	return nil
}

func spanNamed(name string) func(*tracev1.Span) bool {
	return func(s *tracev1.Span) bool { return s.GetName() == name }
}

func leadsTo(s *tracev1.Span, traceID, spanID string) bool {
	for _, l := range s.GetLinks() {
		if hex.EncodeToString(l.GetTraceId()) == traceID && (spanID == "" || hex.EncodeToString(l.GetSpanId()) == spanID) {
			return true
		}
	}
	return false
}

// What a collector gets over its socket is one trace from the caller to Klarna, a link from the webhook to the request
// behind it, and one from the watcher's send to the webhook; log entries name the trace that they belong to.
func TestCollected_TracesLeadFromTheWatcherBackToTheCaller(t *testing.T) {
	t.Parallel()
	taken, endpoint := startCollector(t)
	l, end := runLocalUntil(t, t.TempDir(), -1, newLogger(&output{}, "debug"), parts{change: exportTo(endpoint)})
	traveller := travel(t, l)
	from := func(id string) []string { return []string{"traceparent", traceParentOf(id)} }
	session, watch, err := traveller.openSession(metadata.AppendToOutgoingContext(t.Context(), from(openingTrace)...), "SO-1", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)
	if err != nil {
		t.Fatal(err)
	}
	token := must[string](t)(l.sim.Authorize(session))
	order := must[*gatewayv1.CreateOrderResponse](t)(traveller.orders.CreateOrder(metadata.AppendToOutgoingContext(t.Context(), from(orderingTrace)...),
		&gatewayv1.CreateOrderRequest{RequestId: newRequestID(), SessionId: session, AuthorizationToken: token}))
	if err := l.sim.Pay(order.GetOrderId()); err != nil {
		t.Fatal(err)
	}
	if _, err := watch.reach("the payment", statusIs(gatewayv1.PaymentStatus_PAYMENT_STATUS_PAID)); err != nil {
		t.Fatal(err)
	}
	end() // exports what is left

	all := collected(taken, spanRecords)
	call := spanOf(t, all, "the call", spanNamed("gateway.v1.OrderService/CreateOrder"))
	if hex.EncodeToString(call.GetTraceId()) != orderingTrace || hex.EncodeToString(call.GetParentSpanId()) != callersSpan || call.GetKind() != tracev1.Span_SPAN_KIND_SERVER {
		t.Errorf("the call: %v", call)
	}
	sent := spanOf(t, all, "the call of Klarna", spanNamed("POST /payments/v1/authorizations/{authorization_token}/order"))
	if string(sent.GetTraceId()) != string(call.GetTraceId()) || string(sent.GetParentSpanId()) != string(call.GetSpanId()) || sent.GetKind() != tracev1.Span_SPAN_KIND_CLIENT {
		t.Errorf("the call of Klarna: %v", sent)
	}
	told := spanOf(t, all, "the webhook", func(s *tracev1.Span) bool {
		return s.GetName() == "POST /klarna/payment-status/{merchant_account}" && leadsTo(s, orderingTrace, hex.EncodeToString(call.GetSpanId()))
	})
	if len(told.GetParentSpanId()) != 0 || hex.EncodeToString(told.GetTraceId()) == orderingTrace {
		t.Errorf("the webhook is in somebody's trace: %v", told)
	}
	spanOf(t, all, "the send", func(s *tracev1.Span) bool {
		return s.GetName() == "send payment event" && hex.EncodeToString(s.GetTraceId()) == openingTrace &&
			leadsTo(s, hex.EncodeToString(told.GetTraceId()), hex.EncodeToString(told.GetSpanId()))
	})
	traced := false
	for _, r := range collected(taken, logRecords) {
		traced = traced || hex.EncodeToString(r.GetTraceId()) == orderingTrace && hex.EncodeToString(r.GetSpanId()) == hex.EncodeToString(call.GetSpanId())
	}
	if !traced {
		t.Error("no log entry belongs to the caller's trace")
	}
}

// Whatever callers, strangers and Klarna put into what the gateway tells of, a collector gets none of it: not in the names,
// attributes, events, links and status of spans, not in metrics, not in logs.
func TestCollected_HoldsNothingPlanted(t *testing.T) {
	t.Parallel()
	taken, endpoint := startCollector(t)
	l, end := runLocalUntil(t, t.TempDir(), -1, newLogger(&output{}, "debug"), parts{change: exportTo(endpoint)})
	traveller := travel(t, l)
	for _, j := range journeys {
		if err := j.walk(traveller, t.Context()); err != nil {
			t.Fatalf("%s: %v", j.name, err)
		}
	}
	iban, mail := plantedTexts["iban"], plantedTexts["e-mail"]
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusInternalServerError} {
		if err := l.sim.Fail(klarnatest.Fault{
			Operation: "createSession", Status: status, Messages: []string{"no credit for Erika Beispiel, " + iban, mail}, Times: -1,
		}); err != nil {
			t.Fatal(err)
		}
		_, err := traveller.payments.CreatePaymentSession(t.Context(), sessionRequest("SO-9", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER))
		if err == nil || strings.Contains(err.Error(), iban) || strings.Contains(err.Error(), "Erika") {
			t.Errorf("status %d of Klarna's: %v", status, err)
		}
		l.sim.Heal()
	}
	for _, path := range []string{"/v1/orders/" + iban, "/v1/" + mail, "/v1/orders/x?reference=" + iban} {
		req := must[*http.Request](t)(http.NewRequest(http.MethodGet, traveller.rest+path, nil))
		req.Header.Set("User-Agent", "shop of "+mail)
		res := must[*http.Response](t)(http.DefaultClient.Do(req))
		_ = res.Body.Close()
	}
	knock(t, l, "/klarna/network", "{}", "Klarna-Signing-Key-Id", iban, "Klarna-Signature", "00")
	knock(t, l, "/klarna/push/"+iban+"/"+mail, "")
	end()
	text := taken.text()
	planted.Look("what a collector got", []byte(text))
	for what, text := range map[string]string{"an account": iban, "an address": mail} {
		if strings.Contains(taken.text(), text) {
			t.Errorf("a collector got %s", what)
		}
	}
	if n, m := len(collected(taken, spanRecords)), len(collected(taken, logRecords)); n < 100 || m < 100 || len(taken.metrics) < 20 {
		t.Errorf("it got %d spans, %d log entries, %d metrics", n, m, len(taken.metrics))
	}
	if !strings.Contains(text, "/v1/orders/***") {
		t.Error("the paths of REST are not told")
	}
}
