package modeltest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// check is what has to hold after every step.
func (w *world) check() {
	w.judge()
	for _, s := range w.sales {
		if s.order == "" {
			continue
		}
		if book := w.books(s); book.Captured > book.Amount || book.Refunded > book.Captured {
			w.wrong("Klarna's books: %+v", book)
		}
		payment, err := w.living().journal.PaymentBy(w.ctx, shop, journal.KeyOrder, s.order)
		if err == nil && payment.Currency != "" && (payment.CapturedAmount > payment.OrderAmount || payment.RefundedAmount > payment.CapturedAmount) {
			w.wrong("on record of %s: authorised %d, captured %d, refunded %d", s.ref, payment.OrderAmount, payment.CapturedAmount, payment.RefundedAmount)
		}
	}
	for _, c := range w.sim.Calls() {
		if c.Operation == "placeOrder" && c.Status == http.StatusConflict {
			w.wrong("another order was sent for an authorisation that had become one")
		}
	}
}

// exposure is what the gateway has sent for Klarna to move.
type exposure struct {
	mu   sync.Mutex
	seen map[string]bool // by key; true once Klarna has decided
}

// sent looks, when a capture or refund leaves, whether there is enough for it even if all that is on its way arrives.
func (e *exposure) sent(w *world, r *http.Request, body []byte) {
	amountOf, what := moves(r, body)
	if what == "" {
		return
	}
	key := r.Header.Get("Klarna-Idempotency-Key")
	e.mu.Lock()
	_, known := e.seen[key]
	if e.seen == nil {
		e.seen = map[string]bool{}
	}
	if !known {
		e.seen[key] = false
	}
	e.mu.Unlock()
	order := strings.Split(r.URL.Path, "/")[4]
	i := slices.IndexFunc(w.sales, func(s *sale) bool { return s.order == order })
	if known || i < 0 || w.sales[i].meddled {
		return
	}
	book := w.books(w.sales[i])
	left := book.Amount - book.Captured
	if what == "refunds" {
		left = book.Captured - book.Refunded
	}
	for _, l := range w.late {
		if other, also := moves(l.r, l.body); also == what && strings.Contains(l.r.URL.Path, order) && !e.made(l.r) {
			left -= other
		}
	}
	if amountOf > left {
		w.wrong("%s of %d are sent for %s where %d are left", what, amountOf, w.sales[i].ref, left)
	}
}

// done says that Klarna has decided on the movement: the same again moves nothing.
func (e *exposure) done(r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if key := r.Header.Get("Klarna-Idempotency-Key"); e.seen != nil && key != "" {
		e.seen[key] = true
	}
}

func (e *exposure) made(r *http.Request) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen[r.Header.Get("Klarna-Idempotency-Key")]
}

func moves(r *http.Request, body []byte) (amount int64, what string) {
	what = lastOf(r.URL.Path)
	if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/ordermanagement/") || what != "captures" && what != "refunds" {
		return 0, ""
	}
	var sent struct {
		Captured int64 `json:"captured_amount"`
		Refunded int64 `json:"refunded_amount"`
	}
	_ = json.Unmarshal(body, &sent)
	return sent.Captured + sent.Refunded, what
}

// living is a process that lives.
func (w *world) living() *process {
	for i, p := range w.procs {
		if p.dead.Load() {
			if err := w.start(i); err != nil {
				w.wrong("%v", err)
			}
		}
	}
	return w.procs[0]
}

// drain ends all faults and lets the time go by in which everything has to come to an end.
func (w *world) drain() {
	const day = 24 * time.Hour
	w.note("     all faults cease")
	for _, s := range w.sales {
		if s.order != "" && w.books(s).FraudStatus == "PENDING" {
			_ = w.sim.DecideFraud(s.order, true)
		}
	}
	for _, d := range []time.Duration{0, 10 * time.Second, 2 * time.Minute, 11 * time.Minute, 20 * time.Minute, 2 * time.Hour, day, day, 2 * day, 7 * day, 18 * day, day, 29 * day, 25 * day, 25 * day} {
		w.advance(d)
		w.settle()
	}
}

// settle delivers and works everything that is due.
func (w *world) settle() {
	w.living()
	for range 300 {
		_ = w.sim.Idle(w.ctx)
		busy := false
		for len(w.sim.Held()) > 0 {
			w.post(0)
			busy = true
		}
		for _, p := range w.procs {
			jobs := p.leased
			p.leased = nil
			leased, err := p.pool.Lease(w.ctx, 50)
			if err != nil {
				w.wrong("lease: %v", err)
			}
			for _, one := range append(jobs, leased...) {
				w.note("   process %d works %s %s, attempt %d", p.n, one.Kind, one.Key, one.Attempt)
				p.pool.Work(w.ctx, one)
				busy = true
			}
			if err := p.ops.Sweep(w.ctx); err != nil {
				w.wrong("sweep: %v", err)
			}
		}
		w.meet()
		if !busy {
			return
		}
	}
	w.wrong("work does not come to an end")
}

// end is what has to hold once everything has come to an end.
func (w *world) end() {
	w.drain()
	w.nothingPending()
	for _, x := range w.wishes {
		if x.op != "createSession" && x.tried > 0 {
			w.ask(w.ctx, w.procs[0], x)
			if x.last != done && x.last != refused && (x.last != gone || x.op != "createOrder") && (x.last != nothing || x.op != "authorizePayment") {
				w.wrong("%s %s is answered %s in the end", x.op, x.id, x.last)
			}
		}
	}
	w.judge()
	const day = 24 * time.Hour
	for _, d := range []time.Duration{0, 29 * day, 25 * day, 25 * day} { // some orders were heard of by these answers alone
		w.advance(d)
		w.settle()
	}
	w.nothingPending()
	w.recordIsTrue()
	w.networkRecordIsTrue()
	w.logIsWhole()
}

// nothingPending finds what nobody will touch any more.
func (w *world) nothingPending() {
	w.query(`SELECT j.kind, j.key, j.run_at, j.attempt, j.last_error, coalesce(r.subject, '') FROM jobs j
		LEFT JOIN requests r ON j.kind = 'resolve_request' AND j.key = r.operation || ' ' || r.id`, func(c []string) {
		if c[0] == journal.JobReadAccount || c[5] != "" && w.attends(c[5]) { // accounts are read for ever
			return
		}
		w.wrong("a job is left: %s %s, due %s, attempt %s, %s", c[0], c[1], c[2], c[3], c[4])
	})
	w.query(`SELECT operation, id, first_sent, subject FROM requests WHERE state = 'open'`, func(c []string) {
		if w.attends(c[3]) {
			return
		}
		w.wrong("a request is left open: %s %s, first sent %s, about %q", c[0], c[1], c[2], c[3])
	})
	w.query(`SELECT operation, request_id, amount, kind FROM reservations`, func(c []string) {
		w.wrong("a reservation is left: %s %s, %s to %s", c[0], c[1], c[2], c[3])
	})
}

// attends tells whether a person was told that the outcome of a request is not known. Subject is what to read about it.
func (w *world) attends(subject string) bool {
	job, name, _ := strings.Cut(subject, " ")
	account, key := acquirer, map[string]string{
		journal.JobReadOrder: journal.KeyOrder, journal.JobReadRequest: journal.KeyRequest, journal.JobReadTransaction: journal.KeyTransaction,
	}[job]
	if key == journal.KeyOrder {
		account = shop
	} else {
		_, name = journal.FromNetworkKey(name)
	}
	payment, err := w.living().journal.PaymentBy(w.ctx, account, key, name)
	return err == nil && attended(payment, journal.OutcomeUnknown)
}

// inDoubt tells whether the outcome of the request that a matter is about is still unknown.
func (w *world) inDoubt(message string) (open bool) {
	w.query(`SELECT operation, id FROM requests WHERE state = 'open'`, func(c []string) {
		open = open || strings.Contains(message, c[0]+" under request_id "+c[1]+" ")
	})
	return open
}

// recordIsTrue compares what is on record with Klarna's books.
func (w *world) recordIsTrue() {
	j := w.living().journal
	for _, s := range w.sales {
		if s.order == "" {
			if s.session == "" {
				continue
			}
			payment, err := j.PaymentBy(w.ctx, shop, journal.KeySession, s.session)
			if err != nil || !payment.State.Final() && !attended(payment, journal.Conflict) {
				w.wrong("%s is over, but on record as %s (%v)", s.ref, payment.State, err)
			}
			continue
		}
		payment, err := j.PaymentBy(w.ctx, shop, journal.KeyOrder, s.order)
		if err != nil {
			if session, err := j.PaymentBy(w.ctx, shop, journal.KeySession, s.session); err == nil && attended(session, journal.Conflict) {
				continue // a person was told
			}
			if !s.checkout || !s.untold && !s.meddled { // nothing is pushed of an order that was cancelled
				w.wrong("order %s of %s is not on record: %v", s.order, s.ref, err)
			}
			continue
		}
		book := w.books(s)
		status := book.PaymentStatus
		if s.untold || payment.StatusInferred {
			status = payment.Status
		}
		state := expected(book.Status, status, book.Captured, book.Refunded, book.Remaining)
		if status == "CLOSED" && payment.State.Final() { // it may have been at another end before
			state = payment.State
		}
		want := fmt.Sprintf("%s %q authorised %d captured %d refunded %d left %d", state,
			status, book.Amount, book.Captured, book.Refunded, book.Remaining)
		got := fmt.Sprintf("%s %q authorised %d captured %d refunded %d left %d", payment.State,
			payment.Status, payment.OrderAmount, payment.CapturedAmount, payment.RefundedAmount, payment.RemainingAmount)
		if got != want {
			w.wrong("%s is on record as %s; Klarna has %s, %s", s.ref, got, book.Status, want)
		}
		if !s.checkout && payment.SessionID != s.session {
			w.wrong("order %s of %s is not linked to its session", s.order, s.ref)
		}
		for _, a := range payment.Attentions {
			if a.Reason == journal.OutcomeUnknown || a.Reason == journal.Conflict || a.Reason == journal.WorkGivenUp || a.Reason == journal.OrderNotPlaced {
				w.wrong("%s is known and still an open matter: %s, %s", s.ref, a.Reason, a.Message)
			}
		}
	}
}

func attended(p journal.Payment, reason journal.AttentionReason) bool {
	return slices.ContainsFunc(p.Attentions, func(a journal.Attention) bool { return a.Reason == reason })
}

func expected(status, paymentStatus string, captured, refunded, left int64) journal.PaymentState {
	switch {
	case paymentStatus == "CLOSED":
		return journal.Closed
	case status == "CANCELLED":
		return journal.Cancelled
	case refunded > 0 && refunded == captured && left == 0:
		return journal.Refunded
	case refunded > 0:
		return journal.PartRefunded
	case captured > 0 && status == "PART_CAPTURED":
		return journal.PartCaptured
	case captured > 0:
		return journal.Captured
	case status == "EXPIRED":
		return journal.Expired
	}
	return journal.Ordered
}

// logIsWhole compares what watchers saw with the log, and looks at every move in it.
func (w *world) logIsWhole() {
	p := w.living()
	for _, f := range w.watchers {
		w.follow(w.ctx, p, f, -1)
		events, err := p.store.Events(context.WithoutCancel(w.ctx), store.Query{Stream: f.stream, Limit: 100_000})
		if err != nil {
			w.wrong("%v", err)
		}
		var ids []string
		states := map[string]string{}
		for _, ev := range events {
			ids = append(ids, ev.ID)
			before := states[ev.Subject]
			if f.stream == store.Payments && journal.PaymentState(before).Final() && ev.State != before {
				w.wrong("event %s moves %s to %s", ev.ID, before, ev.State)
			}
			states[ev.Subject] = ev.State
		}
		if !slices.Equal(ids, f.seen) {
			w.wrong("a watcher of %s saw %d events, the log has %d", f.stream, len(f.seen), len(ids))
		}
	}
}
