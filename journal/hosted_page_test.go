package journal

import (
	"slices"
	"testing"

	"payments.internal/klarna-gateway/store"
)

const hostedPage = "9cbc9884-1fdb-45a8-9694-9340340d0436"

func TestJournal_FindsAPaymentByItsHostedPages(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	record(t, j, opened())
	paged := PaymentFact{EventID: "call:page", Cause: Call, At: noon, SessionID: session, HostedPageID: hostedPage}
	rec := record(t, j, paged)
	if rec.Kind != KindSessionUpdated || rec.Payment.State != SessionCreated {
		t.Errorf("recorded as %s, %s", rec.Kind, rec.Payment.State)
	}
	paged.EventID = "call:page:again"
	if again := record(t, j, paged); again.Outcome != Unchanged {
		t.Errorf("the same page is %s", again.Outcome)
	}
	record(t, j, PaymentFact{EventID: "call:page:2", Cause: Call, At: noon, SessionID: session, HostedPageID: "another"})
	for _, id := range []string{hostedPage, "another"} {
		found, err := j.PaymentBy(t.Context(), merchant, KeyHostedPage, id)
		if err != nil || found.SessionID != session || !slices.Equal(found.HostedPages, []string{hostedPage, "another"}) {
			t.Errorf("%s leads to %+v, %v", id, found, err)
		}
	}
}

func TestJournal_LinksTheOrderOfAHostedPage(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	first := record(t, j, opened()).Payment
	record(t, j, told("n1", StatusUnpaid, 1))
	rec := record(t, j, PaymentFact{EventID: "read:page", Cause: Reconciled, At: after(2), SessionID: session, OrderID: order, HostedPageID: hostedPage})
	if rec.Payment.ID != first.ID || rec.Payment.Status != StatusUnpaid || rec.Payment.State != Ordered {
		t.Errorf("linked as %s: %+v", rec.Kind, rec.Payment)
	}
	subjects, err := j.Store().Subjects(t.Context(), store.Query{Stream: store.Payments, Limit: 10})
	if err != nil || len(subjects) != 1 {
		t.Errorf("%d subjects, %v; want one", len(subjects), err)
	}
}

func TestJournal_TakesAmountAndReferencesOfAnOrderWithoutASession(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	charged := PaymentFact{
		EventID: "call:charge", Cause: Call, At: noon, OrderID: order,
		Order: &OrderFacts{FraudStatus: "PENDING", Currency: "EUR", Amount: 990, Reference1: "ABO-7", Reference2: "2026-02"},
	}
	p := record(t, j, charged).Payment
	if p.State != Ordered || p.Currency != "EUR" || p.OrderAmount != 990 || p.RemainingAmount != 990 || p.FraudStatus != "PENDING" {
		t.Errorf("recorded %+v", p)
	}
	found, err := j.PaymentBy(t.Context(), merchant, KeyReference, "2026-02")
	if err != nil || found.ID != p.ID {
		t.Errorf("its reference leads to %+v, %v", found, err)
	}
	if n := len(jobs(t, j, JobReadOrder)); n != 1 {
		t.Errorf("%d jobs to read the order when it runs out, want 1", n)
	}

	// An order of a session has them from there.
	record(t, j, opened())
	charged.EventID, charged.OrderID, charged.SessionID = "call:other", "22222222-0e4f-4a8e-9c61-2f5b8a90d417", session
	if p := record(t, j, charged).Payment; p.OrderAmount != 12995 || p.Reference1 != "SO-88001" || p.Reference2 != "2026-02" {
		t.Errorf("recorded %+v", p)
	}
}

func TestJournal_TellsARiskDecisionAsAChangeOfTheOrder(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	pending := shown("r1", "AUTHORIZED", 1, 0, 0, 12995)
	pending.Order.FraudStatus = "PENDING"
	record(t, j, pending)
	accepted := shown("r2", "AUTHORIZED", 2, 0, 0, 12995)
	accepted.Order.FraudStatus = "ACCEPTED"
	if rec := record(t, j, accepted); rec.Kind != KindOrderChanged || rec.Payment.FraudStatus != "ACCEPTED" {
		t.Errorf("told as %s with %s", rec.Kind, rec.Payment.FraudStatus)
	}
}
