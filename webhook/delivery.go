package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// delivery is one post of Klarna's, or of somebody who would like to be taken for Klarna.
type delivery struct {
	path   func(name string) string // wildcards of the route
	header http.Header
	body   []byte // exactly as received
	trace  string // W3C trace context; empty without one
}

// one returns the value of a header that has to be there exactly once: of two, nobody knows which one was meant.
func (d delivery) one(name string) (string, bool) {
	values := d.header.Values(name)
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}

// answer is what a door says to a delivery. Nothing in it comes from the body, save event ids.
type answer struct {
	status          int
	outcome         Outcome
	reason          string // for the log; empty if there is nothing to say or it was said
	err             error  // of a failure
	merchantAccount string // as configured or on record, never as claimed
	eventID         string
	recorded        journal.Outcome    // of a fact
	trail           journal.Trail      // of a fact
	key             store.SigningKeyID // that it was signed with
}

// door makes a handler of what a door does with a delivery, within its budget of time.
func (r *Receiver) door(door Door, budget time.Duration, receive func(context.Context, delivery) answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(r.begin(req.Context(), req), budget)
		defer cancel()
		r.received(ctx, door)
		a := fail("", "", errPanicked)
		defer func() {
			if a.err == errPanicked { // net/http recovers
				r.note(ctx, door, a)
			}
			r.finish(ctx, a)
		}()
		from := r.gate.address(req)
		listed, sure := r.gate.listed(door, from)
		if refused, ok := r.turnedAway(ctx, door, from, listed, sure); ok {
			a = refused
			r.note(ctx, door, a)
			a.write(w)
			return
		}
		// A body that trickles in is cut off with the budget. Only recorders of tests know no deadline.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(budget))
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, r.maxBody))
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			a = refuse(http.StatusRequestEntityTooLarge, "body too large")
		case err != nil:
			a = refuse(http.StatusBadRequest, "body did not arrive")
		default:
			a = receive(ctx, delivery{path: req.PathValue, header: req.Header, body: body, trace: traceParent(ctx, req.Header)})
		}
		if a.outcome != Rejected && a.outcome != Failed {
			r.proven.note(door, from, listed, len(r.gate.doors[door]) > 0, r.store.Now())
		}
		if a.outcome != Rejected && !(sure && listed) {
			r.gate.flood.giveBack(from)
		}
		r.note(ctx, door, a)
		a.write(w)
	})
}

// errPanicked is why a delivery failed whose door did not come to an answer.
var errPanicked = errors.New("panicked")

// turnedAway refuses a delivery by where it comes from, unread: an address that is not Klarna's, where that is enforced,
// and one that was rejected too often. Addresses that are Klarna's are never counted.
func (r *Receiver) turnedAway(ctx context.Context, door Door, from netip.Addr, listed, sure bool) (answer, bool) {
	if sure && listed {
		return answer{}, false
	}
	if ok, first := r.gate.flood.take(from); !ok {
		a := refuse(http.StatusTooManyRequests, "")
		if first { // and no line for each of the others: a flood must not fill a disk
			r.log.WarnContext(ctx, "address turned away, too many of its deliveries were rejected", "door", string(door), "source", from.String())
		}
		return a, true
	}
	if !sure {
		return answer{}, false
	}
	r.log.WarnContext(ctx, "delivery from an address that is not on the list", "door", string(door), "source", from.String(), "mode", string(r.gate.mode))
	return refuse(http.StatusForbidden, ""), r.gate.mode == SourcesEnforce
}

// note counts a delivery, and logs it unless it went as it should. URLs and headers are kept out: they hold secrets.
func (r *Receiver) note(ctx context.Context, door Door, a answer) {
	r.observe(ctx, Seen{Door: door, Outcome: a.outcome, Effect: a.effect(), Key: a.key})
	if a.reason == "" {
		return
	}
	attrs := []slog.Attr{slog.String("door", string(door)), slog.Int("http_status", a.status), slog.String("reason", a.reason)}
	if a.merchantAccount != "" {
		attrs = append(attrs, slog.String("merchant_account", a.merchantAccount))
	}
	if a.eventID != "" {
		attrs = append(attrs, slog.String("event_id", a.eventID))
	}
	switch a.outcome {
	case Rejected:
		r.log.LogAttrs(ctx, slog.LevelWarn, "delivery rejected", attrs...)
	case Quarantined:
		r.log.LogAttrs(ctx, slog.LevelError, "delivery quarantined", attrs...)
	case Failed:
		r.log.LogAttrs(ctx, slog.LevelError, "delivery failed", append(attrs, slog.Any("error", a.err))...)
	}
}

// write answers. Every flaw of a signature gets the same words, so that nobody learns which one it was.
func (a answer) write(w http.ResponseWriter) {
	if a.status == http.StatusBadRequest {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, `{"error":"bad request"}`)
		return
	}
	w.WriteHeader(a.status)
}

// refuse is the answer to what is not Klarna's.
func refuse(status int, reason string) answer {
	return answer{status: status, outcome: Rejected, reason: reason}
}

// fail is the answer when nothing could be kept.
func fail(merchantAccount, eventID string, err error) answer {
	return answer{
		status: http.StatusServiceUnavailable, outcome: Failed, reason: "could not be recorded", err: err,
		merchantAccount: merchantAccount, eventID: eventID,
	}
}

// recorded is the answer to a fact that the journal has taken: status, whatever it did to the state.
func recorded(status int, merchantAccount, eventID string, outcome journal.Outcome, err error) answer {
	a := answer{status: status, outcome: Stored, merchantAccount: merchantAccount, eventID: eventID, recorded: outcome}
	switch {
	case err != nil:
		return fail(merchantAccount, eventID, err)
	case outcome == journal.Duplicate:
		a.outcome = Duplicate
	case outcome == journal.Mismatch: // the journal has raised the alarm
		a.outcome = Quarantined
	}
	return a
}

// after says where in the log a fact has its place.
func (a answer) after(t journal.Trail) answer {
	a.trail = t
	return a
}

// quarantine keeps a well-signed notification that cannot be applied, and takes it from Klarna: sent again it would be
// no better. detail says more than the log may know; it may be nil.
func (r *Receiver) quarantine(ctx context.Context, merchantAccount, eventID, reason string, detail error, body []byte) answer {
	full := reason
	if detail != nil {
		full = fmt.Sprintf("%s: %v", reason, detail)
	}
	if redriven(ctx) { // it is kept already
		return answer{status: http.StatusOK, outcome: Quarantined, reason: reason, merchantAccount: merchantAccount, eventID: eventID}
	}
	err := r.store.Do(ctx, func(tx store.Tx) error {
		return r.journal.Quarantine(ctx, tx, merchantAccount, eventID, full, body)
	})
	if err != nil {
		return fail(merchantAccount, eventID, err)
	}
	return answer{
		status: http.StatusOK, outcome: Quarantined, reason: reason, merchantAccount: merchantAccount, eventID: eventID,
	}
}

// at is the time of a fact: Klarna's, or if it could not be read, ours.
func (r *Receiver) at(told time.Time) time.Time {
	if told.IsZero() {
		return r.store.Now()
	}
	return told
}

// traceParent is the trace context that a delivery belongs to: our own span if there is one, else the sender's.
func traceParent(ctx context.Context, header http.Header) string {
	var w3c propagation.TraceContext
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = w3c.Extract(ctx, propagation.HeaderCarrier(header))
	}
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}
