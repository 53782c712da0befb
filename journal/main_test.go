package journal

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	merchant = "nordlicht-de"
	session  = "0b1bdf94-c76a-4f28-98e8-6f4a0d3f4f0a"
	order    = "7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417"
	token    = "b4bd3423-24e3-4c17-8e3c-1d6b0f2a9c55"
)

var noon = time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)

// after is a number of minutes after noon.
func after(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// open returns a journal over a fresh database, with the clock standing at noon.
func open(t *testing.T, policy Policy) *Journal {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	engine, err := sqlite.Open(ctx, filepath.Join(dir, "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	keys, err := store.OpenKeyring(filepath.Join(dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := store.New(ctx, store.Config{Engine: engine, Keys: keys, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return New(Config{
		Store: log, Policy: func(string) Policy { return policy }, Logger: slog.New(slog.DiscardHandler),
	})
}

// record records a fact about a payment, with an id of its own unless it has one.
func record(t *testing.T, j *Journal, fact PaymentFact) PaymentRecord {
	t.Helper()
	fact.MerchantAccount = merchant
	rec, err := j.RecordPayment(t.Context(), fact)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func recordAccount(t *testing.T, j *Journal, fact AccountFact) AccountRecord {
	t.Helper()
	fact.MerchantAccount = merchant
	rec, err := j.RecordAccount(t.Context(), fact)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// events returns all events of a stream, oldest first.
func events(t *testing.T, j *Journal, stream store.Stream) []store.Event {
	t.Helper()
	found, err := j.Store().Events(t.Context(), store.Query{Stream: stream, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// jobs returns what is waiting of a kind.
func jobs(t *testing.T, j *Journal, kind string) []store.Job {
	t.Helper()
	found, err := j.Store().Jobs(t.Context(), kind, merchant, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// told is a payment-status notification.
func told(id, status string, minute int) PaymentFact {
	return PaymentFact{
		EventID: id, Cause: Notification, At: after(minute), Type: "non_guaranteed_payment.updated", Raw: []byte(id + status),
		OrderID: order, Status: &StatusFacts{Status: status, Currency: "EUR", OrderAmount: 12995},
	}
}

// opened is the answer to creating the session.
func opened() PaymentFact {
	return PaymentFact{
		EventID: "call:session", Cause: Call, At: noon, SessionID: session,
		Session: &SessionFacts{Currency: "EUR", OrderAmount: 12995, Reference1: "SO-88001", ExpiresAt: after(48 * 60)},
	}
}

// placed is the answer to placing the order.
func placed() PaymentFact {
	return PaymentFact{EventID: "call:order", Cause: Call, At: noon, SessionID: session, OrderID: order, Order: &OrderFacts{FraudStatus: "ACCEPTED"}}
}

// authorized is Klarna's callback.
func authorized(id, token string, minute int) PaymentFact {
	return PaymentFact{EventID: id, Cause: Callback, At: after(minute), SessionID: session, Token: token, Raw: []byte(token)}
}

// shown is a reading of the order.
func shown(id, status string, minute int, captured, refunded, remaining int64) PaymentFact {
	return PaymentFact{
		EventID: id, Cause: Reconciled, At: after(minute), OrderID: order,
		Order: &OrderFacts{
			Read: true, Status: status, Currency: "EUR", Amount: 12995, Captured: captured, Refunded: refunded,
			Remaining: remaining, ExpiresAt: after(28 * 24 * 60),
		},
	}
}

func captured(id string, amount int64) PaymentFact {
	return PaymentFact{EventID: "call:" + id, Cause: Call, At: noon, OrderID: order, Capture: &Movement{ID: id, Amount: amount, At: noon}}
}

func refunded(id string, amount int64) PaymentFact {
	return PaymentFact{EventID: "call:" + id, Cause: Call, At: noon, OrderID: order, Refund: &Movement{ID: id, Amount: amount, At: noon}}
}
