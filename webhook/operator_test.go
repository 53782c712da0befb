package webhook

import (
	"net/http"
	"testing"

	"payments.internal/klarna-gateway/store"
)

// What is on record is taken in again without any effect: no event, no job, no row of the quarantine, nothing counted.
func TestReceiver_RetakesWithoutEffect(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	door, err := New(config(g.journal))
	if err != nil {
		t.Fatal(err)
	}
	g.status(http.StatusOK, paymentStatus("n1", "UNPAID", 0))
	g.status(http.StatusOK, paymentStatus("n2", "PAID", 1))
	about := object{"payment_transaction_id": transactionID}
	g.network(http.StatusOK, networkEvent(t, "n3", "payment.transaction.state-change.authorized", 2, about, nil)) // makes work: it is read
	g.network(http.StatusOK, networkEvent(t, "n4", "partner.account.state-change.operational", 3, object{}, nil))
	holds := func() (head store.Position, jobs, quarantined int) {
		head, _, err := g.store.Head(t.Context())
		all, failed := g.store.Jobs(t.Context(), "", "", 1000)
		rows, broken := g.store.Quarantined(t.Context(), 0, 1000)
		if err != nil || failed != nil || broken != nil {
			t.Fatal(err, failed, broken)
		}
		return head, len(all), len(rows)
	}
	head, jobs, rows := holds()
	if head < 4 || jobs == 0 || rows != 0 {
		t.Fatalf("on record: %d events, %d jobs, %d quarantined", head, jobs, rows)
	}
	for _, stream := range []store.Stream{store.Payments, store.Accounts} {
		for _, ev := range g.events(stream) {
			if ev.Cause != "NOTIFICATION" {
				continue
			}
			taken, known, why, err := door.Retake(t.Context(), ev, ev.ID[:8] == "network:")
			if err != nil || !taken || !known || why == "" {
				t.Errorf("%s: taken %v, known %v, %s, %v", ev.ID, taken, known, why, err)
			}
		}
	}
	if again, work, kept := holds(); again != head || work != jobs || kept != rows {
		t.Errorf("%d events, %d jobs and %d quarantined became %d, %d and %d", head, jobs, rows, again, work, kept)
	}
	g.broken.Store(true)
	if _, _, _, err := door.Retake(t.Context(), g.events(store.Payments)[0], false); err == nil {
		t.Error("what could not be recorded is told to have been")
	}
}
