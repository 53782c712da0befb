package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// A restart in the middle of the work: watchers are told to go and where to go on, over gRPC and over REST, and find
// everything at the next gateway, in order and once.
func TestTerminate_WatchesEndWithATokenThatTheNextGatewayTakes(t *testing.T) {
	t.Parallel()
	s := newStage(t, 10*time.Second)
	l, w := &lane{name: "acquirer-1"}, &watcher{account: "acquirer-1"}
	var answers, failures countdown
	l.sim = s.acquirer(l.name, &witness{next: s.posts, lane: l, answered: &answers, failed: &failures})
	p := s.start()
	l.onboard(t, p)
	var overREST []string
	from := "start=WATCH_START_EARLIEST"
	for range 3 {
		var running sync.WaitGroup
		running.Go(func() { w.watch(t.Context(), p) })
		until(t, "what was answered before", func() bool { return w.complete(l) })
		lines := openREST(t, p, from)
		answers.start(10, func() { p.signal(syscall.SIGTERM) })
		running.Go(func() { l.load(t, p.ended) })
		events, last, err := readREST(lines)
		running.Wait()
		if err != nil || last.Result.StreamEnd == nil || last.Result.StreamEnd.Reason != "REASON_DRAINING" {
			t.Fatalf("the watch over REST ended with %+v, %v", last, err)
		}
		overREST, from = append(overREST, events...), "resumeToken="+url.QueryEscape(last.Result.ResumeToken)
		if w.why != gatewayv1.StreamEnd_REASON_DRAINING || !errors.Is(w.ended, io.EOF) {
			t.Fatalf("the watch ended with %v, %v", w.why, w.ended)
		}
		p.terminate(t)
		p = s.start()
	}
	l.sim.Advance(24 * time.Hour)
	w.follow(t.Context(), func() *process { return p })
	until(t, "everything that was answered", func() bool { return len(l.unanswered()) == 0 && w.complete(l) })
	w.goAway()
	l.check(t, w)
	w.checkLog(t, p)
	var overGRPC []string
	for _, ev := range w.events {
		overGRPC = append(overGRPC, ev.id)
	}
	for lines := openREST(t, p, from); len(overREST) < len(overGRPC); {
		line, err := nextREST(lines)
		if err != nil {
			t.Fatal(err)
		}
		overREST = append(overREST, line.eventIDs()...)
	}
	if !slices.Equal(overREST, overGRPC) {
		t.Errorf("over REST came %d events, over gRPC %d, not the same ones", len(overREST), len(overGRPC))
	}
	p.terminate(t)
}

// restLine is a line of a watch over REST.
type restLine struct {
	Result struct {
		ResumeToken string
		Event       *struct{ EventID string }
		StreamEnd   *struct{ Reason string }
	}
	Error *struct{ Message string }
}

// openREST opens a watch and returns when its first line is there: the watch is open.
func openREST(t *testing.T, p *process, from string) *bufio.Scanner {
	t.Helper()
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.rest+"/v1/partners:watch?merchantAccount=acquirer-1&"+from, nil))
	res := must[*http.Response](t)((&http.Transport{DisableKeepAlives: true}).RoundTrip(req))
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatalf("watch over REST: %s", res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() || !strings.Contains(lines.Text(), `"bookmark"`) {
		t.Fatalf("watch over REST begins with %q, %v", lines.Text(), lines.Err())
	}
	return lines
}

// nextREST reads one line; io.EOF at the end of the stream.
func nextREST(lines *bufio.Scanner) (line restLine, err error) {
	if !lines.Scan() {
		return line, cmp.Or(lines.Err(), io.EOF)
	}
	return line, json.Unmarshal(lines.Bytes(), &line)
}

// readREST reads a watch to its end and returns the ids of its events and its last line.
func readREST(lines *bufio.Scanner) (events []string, last restLine, err error) {
	for {
		line, err := nextREST(lines)
		if errors.Is(err, io.EOF) {
			return events, last, nil
		}
		if err != nil {
			return events, last, err
		}
		events, last = append(events, line.eventIDs()...), line
	}
}

func (l restLine) eventIDs() []string {
	if l.Result.Event == nil {
		return nil
	}
	return []string{l.Result.Event.EventID}
}

// The grace is kept whatever hangs: a Klarna that answers neither a call nor a job, and connections of which nothing
// comes. Watchers do not suffer from any of it.
func TestTerminate_EndsWithinTheGraceWhateverHangs(t *testing.T) {
	t.Parallel()
	const grace = time.Second
	s := newStage(t, grace)
	klarna := newDeafKlarna()
	sim := s.shop(klarna.before)
	t.Cleanup(klarna.goOn) // before the server is closed, which waits
	p := s.start()
	for _, address := range []string{p.hooks, p.rest} {
		silent := must[net.Conn](t)(net.Dial("tcp", address))
		t.Cleanup(func() { _ = silent.Close() })
	}
	orders, payments := gatewayv1.NewOrderServiceClient(p.dial(t)), gatewayv1.NewPaymentServiceClient(p.dial(t))
	watch, err := payments.WatchPaymentStatus(t.Context(), &gatewayv1.WatchPaymentStatusRequest{
		From: &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_NOW},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	asked := klarna.hang("/captures")
	captured := capture(t, orders, completeCheckout(t, sim))
	<-asked
	asked = klarna.hang("/orders/" + completeCheckout(t, sim))
	sim.Advance(2*time.Minute + time.Second) // Klarna pushes, and a job reads the order
	<-asked
	began := time.Now()
	p.signal(syscall.SIGTERM)
	for why := gatewayv1.StreamEnd_REASON_UNSPECIFIED; why != gatewayv1.StreamEnd_REASON_DRAINING; {
		res, err := watch.Recv() // events of the order may come before
		if err != nil {
			t.Fatalf("the watch was cut off: %v", err)
		}
		why = res.GetStreamEnd().GetReason()
	}
	<-p.ended
	if took := time.Since(began); took > grace+5*time.Second {
		t.Errorf("the gateway took %s to end", took)
	}
	if err := <-captured; status.Code(err) != codes.Unavailable {
		t.Errorf("the caller of the capture got %v", err)
	}
	if want := "shutdown_grace of 1s was too short"; p.err == nil || !strings.Contains(p.log.String(), want) || !strings.Contains(p.log.String(), "jobs were cut off") {
		t.Errorf("the gateway ended with %v and says\n%s", p.err, p.log.String())
	}
}

// From the signal on, load balancers are told to go elsewhere, whatever is still in hand; and that is finished.
func TestTerminate_FinishesCallsInHandAndSaysNotServing(t *testing.T) {
	t.Parallel()
	s := newStage(t, patience)
	klarna := newDeafKlarna()
	sim := s.shop(klarna.before)
	p := s.start()
	conn := p.dial(t)
	watching, leave := context.WithCancel(t.Context())
	defer leave()
	health, err := healthv1.NewHealthClient(conn).Watch(watching, &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if now := must[*healthv1.HealthCheckResponse](t)(health.Recv()).GetStatus(); now != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("health is %v", now)
	}
	trickle := must[net.Conn](t)(tls.Dial("tcp", p.hooks, s.posts.TLSClientConfig))
	defer trickle.Close()
	must[int](t)(io.WriteString(trickle, "POST /klarna/network HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"))
	asked := klarna.hang("/captures")
	captured := capture(t, gatewayv1.NewOrderServiceClient(conn), completeCheckout(t, sim))
	<-asked
	began := time.Now()
	p.signal(syscall.SIGTERM)
	if now := must[*healthv1.HealthCheckResponse](t)(health.Recv()).GetStatus(); now != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health is %v after the signal", now)
	}
	if took := time.Since(began); took > 5*time.Second { // a webhook may take 10 s to arrive
		t.Errorf("health was told after %s: it waited for a webhook", took)
	}
	klarna.goOn()
	if err := <-captured; err != nil {
		t.Errorf("the capture in hand got %v", err)
	}
	leave()
	_ = trickle.Close()
	p.terminate(t)
}

// deafKlarna is a Klarna that leaves some requests without an answer until it goes on.
type deafKlarna struct {
	over chan struct{}
	goOn func()

	mu    sync.Mutex
	asked map[string]func() // by end of the path
}

func newDeafKlarna() *deafKlarna {
	h := &deafKlarna{over: make(chan struct{}), asked: map[string]func(){}}
	h.goOn = sync.OnceFunc(func() { close(h.over) })
	return h
}

// hang names requests by the end of their path. The channel is closed when one came.
func (h *deafKlarna) hang(path string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := make(chan struct{})
	h.asked[path] = sync.OnceFunc(func() { close(asked) })
	return asked
}

func (h *deafKlarna) before(klarna http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.hangs(r.URL.Path) {
			<-h.over
		}
		klarna.ServeHTTP(w, r)
	})
}

func (h *deafKlarna) hangs(path string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for end, asked := range h.asked {
		if strings.HasSuffix(path, end) {
			asked()
			return true
		}
	}
	return false
}

func completeCheckout(t *testing.T, sim *klarnatest.Server) string {
	t.Helper()
	return must[string](t)(sim.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 5000, Currency: "EUR", Country: "DE", Reference: "KCO-7002"}))
}

// capture captures part of an order beside the test, whose end does not end the call.
func capture(t *testing.T, orders gatewayv1.OrderServiceClient, order string) <-chan error {
	captured := make(chan error, 1)
	go func() {
		_, err := orders.CaptureOrder(context.WithoutCancel(t.Context()),
			&gatewayv1.CaptureOrderRequest{RequestId: newRequestID(), OrderId: order, Amount: eur(2000)})
		captured <- err
	}()
	return captured
}
