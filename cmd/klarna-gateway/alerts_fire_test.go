package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/server"
	"payments.internal/klarna-gateway/store"
)

// alarming makes an alarm's condition come true, in a gateway and a Klarna of its own.
type alarming struct {
	*local
	*traveller
	t *testing.T
}

// everything is a policy that lets anybody do all.
const everything = `
roles: {all: {rpcs: ["*"], merchant_accounts: ["*"], scopes: [personal_data]}}
bindings: [{callers: ["*"], roles: [all]}]`

// Each alarm is tried: its own expression, evaluated over what the gateway tells before and after.
func TestAlerts_FireWhenThereIsCause(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		alerts string
		cause  func(alarming)
	}{
		{"KlarnaCredentialRefused", func(x alarming) {
			x.fail(klarnatest.Fault{Operation: "createSession", Status: http.StatusUnauthorized})
			x.session()
		}},
		{"KlarnaCircuitOpen KlarnaCallsFail", func(x alarming) {
			x.fail(klarnatest.Fault{Operation: "createSession", Status: http.StatusServiceUnavailable, Times: -1})
			for range 10 {
				x.session()
			}
		}},
		{"KlarnaRateSpent", func(x alarming) {
			x.fail(klarnatest.Fault{Operation: "createSession", Status: http.StatusTooManyRequests})
			x.session()
		}},
		{"WebhooksNotRecorded CallsFail CommitsFail", func(x alarming) {
			if err := x.gateway.data.engine.Close(); err != nil { // the disk is gone
				x.t.Error(err)
			}
			knock(x.t, x.local, "/klarna/network", "{}", signedNetwork(x.local, "{}")...)
			x.session()
		}},
		{"WebhooksRejected", func(x alarming) {
			for range 11 {
				knock(x.t, x.local, "/klarna/network", "{}")
			}
		}},
		{"WebhooksQuarantined AttentionNeeded", func(x alarming) {
			const unreadable = "not what it says"
			knock(x.t, x.local, "/klarna/network", unreadable, signedNetwork(x.local, unreadable)...)
		}},
		{"WebhooksSilent", func(x alarming) {
			for range 21 {
				x.session()
			}
		}},
		{"JobsLate", func(x alarming) {
			x.fail(klarnatest.Fault{Operation: "readOrder", Delay: 2 * time.Second, Times: -1}) // all hands wait
			x.readings(24)
			x.sim.Advance(6 * time.Minute)
		}},
		{"JobsFail", func(x alarming) {
			x.fail(klarnatest.Fault{Operation: "readOrder", Status: http.StatusInternalServerError, Times: -1})
			x.push(25)
		}},
		{"ReservationsStuck", alarming.captureInDoubt},
		{"FileRefused", func(x alarming) {
			if err := os.WriteFile(x.gateway.policy.Path(), []byte("roles: ["), 0o600); err != nil {
				x.t.Fatal(err)
			}
		}},
		{"WatchNotRead", alarming.readNothing},
		// What takes too long is told to the metrics rather than lived through.
		{"CallsSlow", func(x alarming) {
			x.gateway.measures.called(x.t.Context(), server.Call{Method: "gateway.v1.PaymentService/CreatePaymentSession", Duration: 5 * time.Second, AtKlarna: time.Second})
		}},
		{"WatchLate", func(x alarming) { x.gateway.measures.sent(x.t.Context(), store.Payments, 20*time.Second) }},
		{"CheckpointBehind", func(x alarming) { x.gateway.measures.behind(store.Checkpoint{}, false) }},
		{"CommitsSlow", func(x alarming) {
			for range 20 {
				x.gateway.measures.committed(x.t.Context(), store.Commit{Units: 1, Duration: time.Second})
			}
		}},
	} {
		t.Run(strings.Fields(c.alerts)[0], func(t *testing.T) {
			t.Parallel()
			policy := filepath.Join(t.TempDir(), "policy.yaml")
			if err := os.WriteFile(policy, []byte(everything), 0o600); err != nil {
				t.Fatal(err)
			}
			l := runLocalWith(t, -1, slog.New(slog.DiscardHandler), parts{statsKept: time.Nanosecond, change: func(c *config) { c.PolicyFile = policy }})
			x := alarming{l, travel(t, l), t}
			x.session() // all that is timed has been
			l.gateway.measures.sent(t.Context(), store.Payments, time.Millisecond)
			before, all := scraped(t, l), rules(t)
			c.cause(x)
			for name := range strings.FieldsSeq(c.alerts) {
				until(t, name, func() bool { return len(window{before, scraped(t, l)}.fires(t, all[name].Expr)) > 0 })
			}
		})
	}
}

// A gateway that goes about its work raises no alarm, with all that the journeys have come back from.
func TestAlerts_AreQuietWhenAllIsWell(t *testing.T) {
	t.Parallel()
	l := runLocalWith(t, -1, slog.New(slog.DiscardHandler), parts{statsKept: time.Nanosecond})
	traveller, before := travel(t, l), scraped(t, l)
	for _, j := range journeys {
		if j.name == "Push" { // a person is called in it
			continue
		}
		if err := j.walk(traveller, t.Context()); err != nil {
			t.Fatalf("%s: %v", j.name, err)
		}
	}
	firing := map[string][]string{}
	quiet := func() bool {
		seen := window{before, scraped(t, l)}
		clear(firing)
		for name, r := range rules(t) {
			if labels := seen.fires(t, r.Expr); len(labels) > 0 && name != "WatchLate" { // the clock jumps while watches are open
				firing[name] = labels
			}
		}
		return len(firing) == 0
	}
	for deadline := time.Now().Add(10 * time.Second); !quiet(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("alarms without cause: %v", firing)
		}
	}
	down := scrape{samples: []sample{{name: "up", labels: map[string]string{"job": "klarna-gateway", "instance": "a"}}}}
	if len(window{down, down}.fires(t, rules(t)["KlarnaGatewayDown"].Expr)) != 1 {
		t.Error("KlarnaGatewayDown does not fire")
	}
}

// Every alarm has been tried above.
func TestAlerts_AreAllTried(t *testing.T) {
	t.Parallel()
	all := rules(t)
	for _, tried := range strings.Fields(`KlarnaGatewayDown KlarnaCredentialRefused KlarnaCircuitOpen KlarnaCallsFail KlarnaRateSpent
		WebhooksNotRecorded CallsFail CommitsFail WebhooksRejected WebhooksQuarantined AttentionNeeded WebhooksSilent JobsLate JobsFail
		ReservationsStuck FileRefused WatchNotRead CallsSlow WatchLate CheckpointBehind CommitsSlow`) {
		delete(all, tried)
	}
	for name := range maps.Keys(all) {
		t.Errorf("%s is not tried", name)
	}
}

func (x alarming) fail(f klarnatest.Fault) {
	x.t.Helper()
	if err := x.sim.Fail(f); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(x.sim.Heal)
}

// session asks for a session and does not mind what comes of it.
func (x alarming) session() {
	_, _ = x.payments.CreatePaymentSession(x.t.Context(), sessionRequest("SO-"+uuid.NewString()[:8], gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER))
}

// push tells of orders that Klarna does not know.
func (x alarming) push(n int) {
	x.t.Helper()
	for range n {
		var secret string
		for _, a := range x.gateway.cfg.MerchantAccounts {
			for _, s := range a.PushSecrets {
				secret = s.Reveal()
			}
		}
		if status := knock(x.t, x.local, "/klarna/push/"+secret+"/"+uuid.NewString(), ""); status != http.StatusOK {
			x.t.Fatalf("push answered %d", status)
		}
	}
}

// readings are jobs that read orders, all due at once.
func (x alarming) readings(n int) {
	x.t.Helper()
	err := x.gateway.store.Do(x.t.Context(), func(tx store.Tx) (all error) {
		for range n {
			all = errors.Join(all, tx.AddJob(x.t.Context(), store.Job{Kind: journal.JobReadPushed, MerchantAccount: localShop, Key: uuid.NewString(), RunAt: x.gateway.store.Now()}))
		}
		return all
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

// captureInDoubt claims money and does not hear what became of it.
func (x alarming) captureInDoubt() {
	x.t.Helper()
	ctx := x.t.Context()
	made := must[*gatewayv1.CreatePaymentSessionResponse](x.t)(x.payments.CreatePaymentSession(ctx, sessionRequest("SO-1", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)))
	token := must[string](x.t)(x.sim.Authorize(made.GetSession().GetSessionId()))
	order := must[*gatewayv1.CreateOrderResponse](x.t)(x.orders.CreateOrder(ctx, &gatewayv1.CreateOrderRequest{
		RequestId: newRequestID(), SessionId: made.GetSession().GetSessionId(), AuthorizationToken: token,
	}))
	x.fail(klarnatest.Fault{Operation: "capture", LoseAnswer: true, Times: -1})
	_, err := x.orders.CaptureOrder(ctx, &gatewayv1.CaptureOrderRequest{RequestId: newRequestID(), OrderId: order.GetOrderId(), Amount: eur(100)})
	if err := refusedWith(err, "OUTCOME_UNKNOWN"); err != nil {
		x.t.Fatal(err)
	}
}

// readNothing opens a watch that does not read, while much happens.
func (x alarming) readNothing() {
	x.t.Helper()
	conn := must[*grpc.ClientConn](x.t)(grpc.NewClient(x.gateway.grpcListener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10)))
	x.t.Cleanup(func() { _ = conn.Close() })
	stream := must[grpc.ServerStreamingClient[gatewayv1.WatchPaymentStatusResponse]](x.t)(gatewayv1.NewPaymentServiceClient(conn).WatchPaymentStatus(
		x.t.Context(), &gatewayv1.WatchPaymentStatusRequest{From: &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_NOW}}))
	if _, err := stream.Recv(); err != nil { // it is open
		x.t.Fatal(err)
	}
	book := journal.New(journal.Config{Store: x.gateway.store})
	err := x.gateway.store.Do(x.t.Context(), func(tx store.Tx) (all error) {
		for i := range 500 {
			_, err := book.PaymentIn(x.t.Context(), tx, journal.PaymentFact{
				EventID: fmt.Sprintf("call:%s:test:%d", localShop, i), MerchantAccount: localShop, Cause: journal.Call, At: x.gateway.store.Now(),
				SessionID: uuid.NewString(), Session: &journal.SessionFacts{Currency: "EUR", OrderAmount: 12995, Reference1: strings.Repeat("R", 200), OrderPolicy: journal.OrderByCaller},
			})
			all = errors.Join(all, err)
		}
		return all
	})
	if err != nil {
		x.t.Fatal(err)
	}
	until(x.t, "the watch to be held up", func() bool {
		x.sim.Advance(time.Second)
		return x.gateway.api.Watches()[store.Payments].Undelivered > 20*time.Second
	})
}
