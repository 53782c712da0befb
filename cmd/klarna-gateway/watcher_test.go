package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// watcher is a caller who keeps what came of a merchant account and the token behind it, and goes on there.
type watcher struct {
	account string           // whose partner accounts are watched; the shop's payments are
	sse     bool             // over REST as Server-Sent Events instead of gRPC
	conn    *grpc.ClientConn // for gRPC; nil makes one for each watch

	// For the one who watches.
	token string                     // of the last response taken
	why   gatewayv1.StreamEnd_Reason // what the last response said of the end
	ended error                      // io.EOF if the watch was not cut off

	watching sync.WaitGroup
	leave    context.CancelFunc // nil while it is away

	mu     sync.Mutex
	opened int
	gate   chan struct{} // until it is closed the watcher takes nothing; nil means that it takes what comes
	events []heard
	seen   map[string]int // by Klarna's event id
	known  int            // so many of a lane's attempts were found here
}

// heard is what a watcher keeps of an event.
type heard struct {
	id       string
	position int64
	recorded time.Time
	order    string // of a payment
	kind     gatewayv1.PaymentEventKind
}

// klarnaID is the last part of an event's id; for a notification it is Klarna's.
func (e heard) klarnaID() string { return e.id[strings.LastIndexByte(e.id, ':')+1:] }

// follow keeps a watch open, at whichever process there is, until the watcher leaves.
func (w *watcher) follow(ctx context.Context, at func() *process) {
	ctx, w.leave = context.WithCancel(ctx)
	w.watching.Go(func() {
		for ctx.Err() == nil {
			w.watch(ctx, at())
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// goAway ends what follow began.
func (w *watcher) goAway() {
	if w.leave == nil {
		return
	}
	w.leave()
	w.watching.Wait()
	w.leave = nil
}

// hang makes the watcher take nothing more until goOn.
func (w *watcher) hang() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate = make(chan struct{})
}

func (w *watcher) goOn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gate != nil {
		close(w.gate)
		w.gate = nil
	}
}

// watch follows from where the watcher left off until the watch ends, the gateway is gone or the watcher leaves.
func (w *watcher) watch(ctx context.Context, p *process) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	open := w.overGRPC
	if w.sse {
		open = w.overSSE
	}
	next, hangUp, err := open(ctx, p)
	if err == nil {
		w.mu.Lock()
		w.opened++
		w.mu.Unlock()
	}
	for err == nil {
		var res watchResponse
		if res, err = next(); err == nil {
			w.take(ctx, res)
		}
	}
	hangUp()
	w.ended = err
}

// watchResponse is a response of either watch.
type watchResponse interface {
	proto.Message
	GetResumeToken() string
	GetStreamEnd() *gatewayv1.StreamEnd
}

func (w *watcher) overGRPC(ctx context.Context, p *process) (next func() (watchResponse, error), hangUp func(), err error) {
	conn, hangUp := w.conn, func() {}
	if conn == nil {
		conn = p.connect()
		hangUp = func() { _ = conn.Close() }
	}
	if w.account == localShop {
		request := &gatewayv1.WatchPaymentStatusRequest{MerchantAccount: w.account,
			From: &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_EARLIEST}}
		if w.token != "" {
			request.From = &gatewayv1.WatchPaymentStatusRequest_ResumeToken{ResumeToken: w.token}
		}
		next, err = receive(gatewayv1.NewPaymentServiceClient(conn).WatchPaymentStatus(ctx, request))
		return next, hangUp, err
	}
	request := &gatewayv1.WatchAccountStateRequest{MerchantAccount: w.account,
		From: &gatewayv1.WatchAccountStateRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_EARLIEST}}
	if w.token != "" {
		request.From = &gatewayv1.WatchAccountStateRequest_ResumeToken{ResumeToken: w.token}
	}
	next, err = receive(gatewayv1.NewPartnerServiceClient(conn).WatchAccountState(ctx, request))
	return next, hangUp, err
}

func receive[R any](stream grpc.ServerStreamingClient[R], err error) (func() (watchResponse, error), error) {
	return func() (watchResponse, error) {
		res, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		return any(res).(watchResponse), nil
	}, err
}

func (w *watcher) overSSE(ctx context.Context, p *process) (next func() (watchResponse, error), hangUp func(), err error) {
	what := "partners"
	if w.account == localShop {
		what = "payments"
	}
	hangUp = func() {}
	query := url.Values{"merchantAccount": {w.account}, "start": {"WATCH_START_EARLIEST"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.rest+"/v1/"+what+":watch?"+query.Encode(), nil)
	if err != nil {
		return nil, hangUp, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if w.token != "" {
		req.Header.Set("Last-Event-ID", w.token)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return nil, hangUp, err
	}
	hangUp = func() { _ = res.Body.Close() }
	if res.StatusCode != http.StatusOK {
		return nil, hangUp, errors.New(res.Status)
	}
	lines := bufio.NewReader(res.Body)
	return func() (watchResponse, error) {
		var one watchResponse = &gatewayv1.WatchAccountStateResponse{}
		if w.account == localShop {
			one = &gatewayv1.WatchPaymentStatusResponse{}
		}
		data, err := nextSSE(lines)
		if err != nil {
			return nil, err
		}
		return one, protojson.Unmarshal(data, one)
	}, hangUp, nil
}

// nextSSE reads the data of one event; io.EOF at the end of the stream.
func nextSSE(lines *bufio.Reader) (data []byte, err error) {
	kind := ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			kind = value
		case "data":
			data = append(data, value...)
		case "":
			if kind == "streamError" {
				return nil, fmt.Errorf("the watch failed: %s", bytes.TrimSpace(data))
			}
			if len(data) > 0 {
				return data, nil
			}
		}
	}
}

// take keeps what came, once the watcher does not hang.
func (w *watcher) take(ctx context.Context, res watchResponse) {
	w.mu.Lock()
	gate := w.gate
	w.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.token, w.why = res.GetResumeToken(), res.GetStreamEnd().GetReason()
	var ev heard
	switch res := res.(type) {
	case *gatewayv1.WatchAccountStateResponse:
		e := res.GetEvent()
		ev = heard{id: e.GetEventId(), position: e.GetPosition(), recorded: e.GetRecordTime().AsTime()}
	case *gatewayv1.WatchPaymentStatusResponse:
		e := res.GetEvent()
		ev = heard{e.GetEventId(), e.GetPosition(), e.GetRecordTime().AsTime(), e.GetPayment().GetOrderId(), e.GetKind()}
	}
	if ev.id == "" {
		return
	}
	if w.seen == nil {
		w.seen = map[string]int{}
	}
	w.events = append(w.events, ev)
	w.seen[ev.klarnaID()]++
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

// complete tells whether everything of a lane that was answered 200 has come.
func (w *watcher) complete(l *lane) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; w.known < len(l.attempts); w.known++ {
		if a := l.attempts[w.known]; a.ok && w.seen[a.event] == 0 {
			return false
		}
	}
	return true
}

// flaws count what must not be: events that came twice, not at all or out of order, and calls that had two effects.
type flaws struct{ twice, missing, disordered, doubled int }

// check holds what came against itself: each event once, in the order of the log.
func (w *watcher) check(t *testing.T) (f flaws) {
	t.Helper()
	ids := map[string]bool{}
	var last int64
	for _, ev := range w.events {
		if ids[ev.id] {
			t.Errorf("%s: event %s came twice", w.account, ev.id)
			f.twice++
		}
		ids[ev.id] = true
		if ev.position <= last {
			t.Errorf("%s: position %d came behind %d", w.account, ev.position, last)
			f.disordered++
		}
		last = ev.position
	}
	return f
}

// checkLog compares what came bit by bit with the log read in one go.
func (w *watcher) checkLog(t *testing.T, p *process) {
	t.Helper()
	whole := &watcher{account: w.account}
	whole.follow(t.Context(), func() *process { return p })
	defer whole.goAway()
	until(t, "the whole log", func() bool {
		whole.mu.Lock()
		defer whole.mu.Unlock()
		return len(whole.events) >= len(w.events)
	})
	whole.goAway()
	if !whole.same(w) {
		t.Errorf("%s: the log holds other events, or in another order, than came to the watcher", w.account)
	}
}

// same tells whether two watchers were told the same, as far as both have come.
func (w *watcher) same(other *watcher) bool {
	n := min(len(w.events), len(other.events))
	return slices.EqualFunc(w.events[:n], other.events[:n], func(a, b heard) bool { return a.position == b.position && a.id == b.id })
}
