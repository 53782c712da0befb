package main

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// lookThroughMetrics looks through all that a gateway tells those who scrape it: names, labels, help, and exemplars.
func lookThroughMetrics(l *local) {
	transport := &http.Transport{DisableKeepAlives: true}
	for _, format := range []string{"text/plain", "application/openmetrics-text; version=1.0.0"} {
		req, err := http.NewRequest(http.MethodGet, "http://"+l.gateway.adminListener.Addr().String()+"/metrics", nil)
		if err != nil {
			continue
		}
		req.Header.Set("Accept", format)
		res, err := transport.RoundTrip(req)
		if err != nil {
			continue // it has ended
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		planted.Look("the metrics", body)
	}
}

// onPostgres has a local set-up keep its data in a schema of its own, with a key file beside.
func onPostgres(t *testing.T) func(*config) {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := makeKeyring(keys, io.Discard); err != nil {
		t.Fatal(err)
	}
	url := postgrestest.URL(t)
	return func(cfg *config) { cfg.Database, cfg.KeyFile = secret{klarna.Secret(url)}, keys }
}

// walked is a local set-up that all journeys have gone through.
func walked(t *testing.T, with parts) *local {
	t.Helper()
	l := runLocalWith(t, -1, planted.Logger(), with)
	traveller := travel(t, l)
	for _, j := range journeys {
		if err := j.walk(traveller, t.Context()); err != nil {
			t.Fatalf("%s: %v", j.name, err)
		}
	}
	if err := l.sim.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// All journeys leave nothing of what is planted in the tables of PostgreSQL, in its log, in metrics, spans or logs.
func TestPlanted_StaysOutOfPostgres(t *testing.T) {
	t.Parallel()
	l := walked(t, parts{spans: planted.Spans(), change: onPostgres(t)})
	if !l.gateway.cfg.replicas() {
		t.Fatal("it runs on no PostgreSQL")
	}
}

// What the operator's commands print to somebody who may not see personal data has none, in tables and in JSON.
func TestPlanted_StaysOutOfWhatCommandsPrint(t *testing.T) {
	t.Parallel()
	l := walked(t, parts{spans: planted.Spans(), change: func(cfg *config) { cfg.DebtorData = false }})
	const unreadable = `{"iban": "DE02120300000000202051", "given_name": "Erika"`
	knock(t, l, "/klarna/network", unreadable, signedNetwork(l, unreadable)...)
	at := l.gateway.grpcListener.Addr().String()
	events := printed[[]struct{ Summary struct{ EventID string } }](t, "events", "list", "-address", at)
	partners := printed[[]struct{ PartnerAccountID string }](t, "partners", "list", "-address", at)
	attention := printed[[]struct{ AttentionID string }](t, "attention", "list", "-address", at)
	if len(events) < 20 || len(partners) == 0 || len(attention) == 0 {
		t.Fatalf("%d events, %d partners, %d matters", len(events), len(partners), len(attention))
	}
	commands := [][]string{
		{"events", "list"}, {"events", "quarantined"}, {"events", "tail", "-start", "earliest", "-until", "captured"},
		{"partners", "list"}, {"partners", "get", partners[0].PartnerAccountID}, {"attention", "list"},
		{"attention", "get", attention[0].AttentionID}, {"keys", "list"}, {"jobs", "list"},
	}
	for _, e := range events {
		commands = append(commands, []string{"events", "get", e.Summary.EventID}, []string{"events", "get", e.Summary.EventID, "-raw"})
	}
	for _, command := range commands {
		for _, output := range []string{"table", "json"} {
			out, errOut, err := operates(t, "", slices.Concat(command, []string{"-address", at, "-o", output})...)
			if err != nil && !slices.Contains(command, "-raw") {
				t.Errorf("%v: %v", command, err)
			}
			if err != nil {
				errOut += err.Error()
			} else if strings.TrimSpace(out) == "" {
				t.Errorf("%v prints nothing", command)
			}
			planted.Look("what "+strings.Join(command[:2], " ")+" prints", []byte(out+errOut))
		}
	}
}

// crashing is a gateway with a call in hand that brings personal data, to a Klarna that holds it up until the test is over.
func crashing(t *testing.T, env ...string) (p *process, call func() error, inHand <-chan struct{}) {
	t.Helper()
	s := newStage(t, time.Second)
	came, over := make(chan struct{}), make(chan struct{})
	comes := sync.OnceFunc(func() { close(came) })
	s.shop(func(klarna http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			comes()
			<-over
		})
	})
	t.Cleanup(func() { close(over) }) // before Klarna is waited for
	p = s.start(env...)
	payments := gatewayv1.NewPaymentServiceClient(p.dial(t))
	return p, func() error {
		request := sessionRequest("SO-1", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)
		request.BillingAddress = &gatewayv1.Address{GivenName: "Erika", FamilyName: "Beispiel", Email: "erika@beispiel.example", Country: "DE"}
		request.Customer = &gatewayv1.Customer{NationalIdentificationNumber: plantedTexts["national id"]}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := payments.CreatePaymentSession(ctx, request)
		return err
	}, came
}

// A gateway that ends with all its stacks told, in the middle of its work, tells nothing of what it has in hand.
func TestPlanted_StaysOutOfACrash(t *testing.T) {
	t.Parallel()
	p, call, inHand := crashing(t)
	ended := make(chan error, 1)
	go func() { ended <- call() }()
	select {
	case <-inHand:
	case err := <-ended:
		t.Fatalf("it is not in hand: %v", err)
	}
	p.signal(syscall.SIGQUIT)
	<-p.ended
	if err := <-ended; err == nil {
		t.Error("the call was answered")
	}
	if said := p.log.String(); !strings.Contains(said, "CreatePaymentSession") || !strings.Contains(said, "goroutine ") || strings.Contains(said, plantedTexts["national id"]) {
		t.Errorf("it said:\n%s", said)
	}
}

// A panic over what a caller sent is told once, without what tells who that is, and the gateway goes on.
func TestPlanted_StaysOutOfAPanic(t *testing.T) {
	t.Parallel()
	p, call, _ := crashing(t, panicVariable+"="+string(operation.BeforeSend))
	if err := refusedWith(call(), "INTERNAL"); err != nil {
		t.Error(err)
	}
	p.terminate(t)
	var told []string
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, `"level":"ERROR"`) {
			told = append(told, line)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "panic: ***, *** and ***") || !strings.Contains(told[0], "armFailpoint") {
		t.Errorf("told %q", told)
	}
}
