package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// traveller walks the journeys through a local set-up as a caller and as the people at Klarna's side, checks every
// step, and keeps a timeline of what each side saw.
type traveller struct {
	local    *local
	conn     *grpc.ClientConn
	partners gatewayv1.PartnerServiceClient
	payments gatewayv1.PaymentServiceClient
	orders   gatewayv1.OrderServiceClient
	network  gatewayv1.NetworkPaymentServiceClient
	rest     string // base URL of the REST API
	timeline timeline

	calls, deliveries int // of Klarna's, told already
}

// stepTime bounds every wait for something that must happen.
const stepTime = 10 * time.Second

func newTraveller(l *local) (*traveller, error) {
	conn, err := grpc.NewClient(l.gateway.grpcListener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &traveller{
		local: l, conn: conn, rest: "http://" + l.gateway.restListener.Addr().String(),
		partners: gatewayv1.NewPartnerServiceClient(conn), payments: gatewayv1.NewPaymentServiceClient(conn),
		orders: gatewayv1.NewOrderServiceClient(conn), network: gatewayv1.NewNetworkPaymentServiceClient(conn),
		timeline: timeline{now: l.sim.Now},
	}, nil
}

func (t *traveller) close() { _ = t.conn.Close() }

// timeline collects what happened on every side, by the simulated clock.
type timeline struct {
	now func() time.Time

	mu      sync.Mutex
	entries []entry
}

type entry struct {
	at         time.Time
	side, text string
}

func (l *timeline) add(side, format string, args ...any) {
	l.addAt(l.now(), side, format, args...)
}

func (l *timeline) addAt(at time.Time, side, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, entry{at: at, side: side, text: fmt.Sprintf(format, args...)})
}

// print writes the entries in order and forgets them. Of what the two gateways say to each other again and again while
// nobody else acts, the first times are shown and the rest is counted.
func (l *timeline) print(out io.Writer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortStableFunc(l.entries, func(a, b entry) int { return a.at.Compare(b.at) })
	const often = 2
	var text strings.Builder
	seen, more := map[string]int{}, 0
	for _, e := range l.entries {
		what, _, _ := strings.Cut(e.text, ",")
		if strings.Contains(e.side, "klarna →") || strings.Contains(e.side, "→ klarna") {
			if seen[e.side+what]++; seen[e.side+what] > often {
				more++
				continue
			}
		} else {
			clear(seen)
		}
		if more > 0 {
			fmt.Fprintf(&text, "  %12s  %-18s … %d more of these\n", "", "", more)
			more = 0
		}
		since := e.at.Sub(l.entries[0].at).Truncate(time.Millisecond)
		fmt.Fprintf(&text, "  %12s  %-18s %s\n", "+"+since.String(), e.side, e.text)
	}
	l.entries = nil
	_, err := io.WriteString(out, text.String())
	return err
}

// tell adds what Klarna has seen and sent since it was last told.
func (t *traveller) tell() {
	calls := t.local.sim.Calls()
	for _, c := range calls[t.calls:] {
		t.timeline.addAt(c.At, "gateway → klarna", "%s %d", c.Operation, c.Status)
	}
	t.calls = len(calls)
	sent := t.local.sim.Deliveries()
	for _, d := range sent[t.deliveries:] {
		what := d.Type
		if d.Dropped {
			what += " (lost on the way)"
		} else {
			what += fmt.Sprintf(", attempt %d → %d", d.Attempt, d.Status)
		}
		t.timeline.addAt(d.At, "klarna → gateway", "%s", what)
	}
	t.deliveries = len(sent)
}

// you tells what the caller does.
func (t *traveller) you(format string, args ...any) {
	t.timeline.add("you → gateway", format, args...)
}

// play tells what people at Klarna's side do.
func (t *traveller) play(format string, args ...any) { t.timeline.add("at klarna", format, args...) }

// expected tells what an answer holds, or fails the journey.
func expected(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("step differs: "+format, args...)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// refusedWith checks that an error carries this reason.
func refusedWith(err error, want string) error {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return expected(info.GetReason() == want, "want a refusal with %s, got %s: %v", want, info.GetReason(), err)
		}
	}
	return fmt.Errorf("step differs: want a refusal with %s, got %v", want, err)
}

func newRequestID() string { return uuid.NewString() }

// watched is a watch that runs beside a journey. Each event goes to the timeline and into a queue.
type watched[E any] struct {
	open   chan struct{} // closed with the first response
	last   E             // newest event taken by reach
	some   bool          // last is set
	events chan E
	ended  chan error
	reason chan gatewayv1.StreamEnd_Reason
	cancel context.CancelFunc
}

// watchPayments starts a payment watch and returns when it is open.
func (t *traveller) watchPayments(ctx context.Context, req *gatewayv1.WatchPaymentStatusRequest) (*watched[*gatewayv1.PaymentEvent], error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := t.payments.WatchPaymentStatus(ctx, req)
	if err != nil {
		cancel()
		return nil, err
	}
	w := newWatched[*gatewayv1.PaymentEvent](cancel)
	go w.run(func() error {
		res, err := stream.Recv()
		if err != nil {
			return err
		}
		if end := res.GetStreamEnd(); end != nil {
			t.timeline.add("watch", "end of stream: %s", short(end.GetReason(), "REASON_"))
			w.reason <- end.GetReason()
		}
		if ev := res.GetEvent(); ev != nil {
			t.timeline.add("watch", "%s", described(ev))
			w.events <- ev
		}
		return nil
	})
	return w, w.opened()
}

// watchAccounts starts an account watch and returns when it is open.
func (t *traveller) watchAccounts(ctx context.Context, req *gatewayv1.WatchAccountStateRequest) (*watched[*gatewayv1.AccountEvent], error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := t.partners.WatchAccountState(ctx, req)
	if err != nil {
		cancel()
		return nil, err
	}
	w := newWatched[*gatewayv1.AccountEvent](cancel)
	go w.run(func() error {
		res, err := stream.Recv()
		if err != nil {
			return err
		}
		if ev := res.GetEvent(); ev != nil {
			p := ev.GetPartner()
			t.timeline.add("watch", "%s: %s, can_transact %t, can_manage %t", short(ev.GetKind(), "ACCOUNT_EVENT_KIND_"),
				short(p.GetState(), "STATE_"), p.GetCanTransact(), p.GetCanManage())
			w.events <- ev
		}
		return nil
	})
	return w, w.opened()
}

func newWatched[E any](cancel context.CancelFunc) *watched[E] {
	const room = 1024 // more than any journey makes
	return &watched[E]{
		open: make(chan struct{}), events: make(chan E, room), ended: make(chan error, 1),
		reason: make(chan gatewayv1.StreamEnd_Reason, 1), cancel: cancel,
	}
}

// run takes responses until the stream ends. The first one says that the watch is open.
func (w *watched[E]) run(step func() error) {
	for first := true; ; first = false {
		if err := step(); err != nil {
			w.ended <- err
			return
		}
		if first {
			close(w.open)
		}
	}
}

func (w *watched[E]) opened() error {
	select {
	case err := <-w.ended:
		return fmt.Errorf("watch: %w", err)
	case <-time.After(stepTime):
		return errors.New("step differs: the watch did not open")
	case <-w.open:
		return nil
	}
}

// next returns the next event, whatever it is.
func (w *watched[E]) next() (ev E, err error) {
	select {
	case ev = <-w.events: // before a possible end
		return ev, nil
	default:
	}
	select {
	case ev = <-w.events:
		return ev, nil
	case err = <-w.ended:
		if len(w.events) > 0 {
			w.ended <- err // told once more when the events are taken
			return <-w.events, nil
		}
		return ev, fmt.Errorf("step differs: the watch ended: %w", err)
	case <-time.After(stepTime):
		return ev, errors.New("step differs: nothing came on the watch")
	}
}

// reach takes events until one shows what is waited for, the last one taken included: Klarna may tell of an order before
// it has answered us, and then the event that links the two shows both at once.
func (w *watched[E]) reach(what string, shows func(E) bool) (E, error) {
	for !w.some || !shows(w.last) {
		ev, err := w.next()
		if err != nil {
			return ev, fmt.Errorf("%w (waiting for %s)", err, what)
		}
		w.last, w.some = ev, true
	}
	return w.last, nil
}

// described is one line about an event.
func described(ev *gatewayv1.PaymentEvent) string {
	p := ev.GetPayment()
	text := short(ev.GetKind(), "PAYMENT_EVENT_KIND_")
	if ev.GetSuperseded() {
		text += " (superseded)"
	}
	text += ": " + short(p.GetState(), "STATE_")
	if p.GetPaymentStatusText() != "" {
		text += ", " + p.GetPaymentStatusText()
	}
	return text + ", cause " + short(ev.GetCause(), "EVENT_CAUSE_")
}

// endsWith checks why the watch ended.
func (w *watched[E]) endsWith(want gatewayv1.StreamEnd_Reason) error {
	select {
	case got := <-w.reason:
		return expected(got == want, "want the watch to end with %v, got %v", want, got)
	case <-time.After(stepTime):
		return errors.New("step differs: the watch did not end")
	}
}

// settled waits until Klarna has nothing left to deliver.
func (t *traveller) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	return t.local.sim.Idle(ctx)
}

// advance moves the clock of both sides.
func (t *traveller) advance(d time.Duration) {
	t.play("the clock moves on by %s", d)
	t.local.sim.Advance(d)
}

// called checks how often Klarna was asked for something.
func (t *traveller) called(operation string, before, want int) error {
	got := t.local.sim.CallCount(operation) - before
	return expected(got == want, "want %d call(s) of %s at Klarna, got %d", want, operation, got)
}

// eventually repeats a check until it holds.
func eventually(check func() error) error {
	deadline := time.Now().Add(stepTime)
	for {
		err := check()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func short(e fmt.Stringer, prefix string) string { return strings.TrimPrefix(e.String(), prefix) }
