package journal

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payments.internal/klarna-gateway/store"
)

func TestJournal_LinksPaymentsByOrder(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	first := record(t, j, opened()).Payment
	told := record(t, j, told("n1", StatusPaid, 1)).Payment // Klarna is faster than the answer to our call
	if first.ID == told.ID {
		t.Fatal("nothing links the two yet")
	}
	rec := record(t, j, placed())
	want := Payment{
		ID: first.ID, SessionID: session, OrderID: order, State: Ordered, Status: StatusPaid, Reference1: "SO-88001",
		Currency: "EUR", OrderAmount: 12995, FraudStatus: "ACCEPTED",
	}
	got := Payment{
		ID: rec.Payment.ID, SessionID: rec.Payment.SessionID, OrderID: rec.Payment.OrderID, State: rec.Payment.State,
		Status: rec.Payment.Status, Reference1: rec.Payment.Reference1, Currency: rec.Payment.Currency,
		OrderAmount: rec.Payment.OrderAmount, FraudStatus: rec.Payment.FraudStatus,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	// A watcher of the session has seen neither the order nor its status: the event that links shows both moves.
	all := events(t, j, store.Payments)
	link := all[len(all)-1]
	entry := newest(t, j)
	if link.Kind != string(KindOrderCreated) || link.PreviousState != string(SessionCreated) ||
		link.State != string(Ordered) || entry.PreviousStatus != "" || entry.Payment.Status != StatusPaid {
		t.Errorf("linked by %s from %s to %s, status from %q to %q", link.Kind, link.PreviousState, link.State, entry.PreviousStatus, entry.Payment.Status)
	}
	for _, key := range []string{KeySession, KeyOrder} {
		value := map[string]string{KeySession: session, KeyOrder: order}[key]
		found, err := j.PaymentBy(t.Context(), merchant, key, value)
		if err != nil || found.ID != first.ID {
			t.Errorf("%s leads to %s, %v", key, found.ID, err)
		}
	}
	if subjects, err := j.Store().Subjects(t.Context(), store.Query{Stream: store.Payments, Limit: 10}); err != nil || len(subjects) != 1 {
		t.Errorf("%d subjects, %v; want one", len(subjects), err)
	}
}

func TestJournal_NeverLinksTwoOrders(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	record(t, j, opened())
	record(t, j, placed())
	other := told("n1", StatusPaid, 1)
	other.OrderID = "22222222-0e4f-4a8e-9c61-2f5b8a90d417"
	record(t, j, other)

	rec := record(t, j, PaymentFact{EventID: "x", Cause: Call, At: noon, SessionID: session, OrderID: other.OrderID})
	if rec.Payment.OrderID != order || rec.Payment.Status != "" || len(rec.Payment.Attentions) != 1 {
		t.Errorf("the payment took over the other order: %+v", rec.Payment)
	}
	found, err := j.PaymentBy(t.Context(), merchant, KeyOrder, other.OrderID)
	if err != nil || found.Status != StatusPaid || found.ID == rec.Payment.ID {
		t.Errorf("the other order is now %+v, %v", found, err)
	}
}

func TestJournal_RecordsAnEventOnce(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	first := record(t, j, told("n1", StatusUnpaid, 1))
	again := record(t, j, told("n1", StatusUnpaid, 1))
	if again.Outcome != Duplicate || again.Position != first.Position || again.Payment.ID != first.Payment.ID {
		t.Errorf("repeated: %s at %d, want a duplicate at %d", again.Outcome, again.Position, first.Position)
	}
	if n := len(events(t, j, store.Payments)); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestJournal_QuarantinesAnIDWithOtherContent(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	record(t, j, told("n1", StatusUnpaid, 1))
	rec := record(t, j, told("n1", StatusPaid, 2))
	if rec.Outcome != Mismatch || rec.Payment.Status != StatusUnpaid {
		t.Errorf("%s with status %s, want a mismatch without effect", rec.Outcome, rec.Payment.Status)
	}
	kept, err := j.Store().Quarantined(t.Context(), 0, 10)
	if err != nil || len(kept) != 1 || kept[0].EventID != "n1" || string(kept[0].Raw) != "n1PAID" {
		t.Errorf("quarantined %+v, %v", kept, err)
	}
}

func TestJournal_KeepsNothingOfAFailedUnit(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	broken := errors.New("broken")
	err := j.Store().Do(t.Context(), func(tx store.Tx) error {
		fact := opened()
		fact.MerchantAccount = merchant
		if _, err := j.PaymentIn(t.Context(), tx, fact); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) || len(events(t, j, store.Payments)) != 0 || len(jobs(t, j, "")) != 0 {
		t.Errorf("left %d events and %d jobs, %v", len(events(t, j, store.Payments)), len(jobs(t, j, "")), err)
	}
}

func TestJournal_AddsTheWorkThatFollows(t *testing.T) {
	t.Parallel()
	pushed := shown("push", "AUTHORIZED", 1, 0, 0, 12995)
	pushed.Cause, pushed.Pushed = Push, true
	acknowledge := PaymentFact{EventID: "call:ack", Cause: Call, At: noon, OrderID: order, Acknowledge: true}
	byCaller, automatic := opened(), opened()
	byCaller.Session = &SessionFacts{Currency: "EUR", OrderPolicy: OrderByCaller}
	automatic.Session = &SessionFacts{Currency: "EUR", OrderPolicy: OrderAutomatic}
	type work struct {
		Kind, Key string
		RunAt     time.Time
	}
	read := work{JobReadSession, session, after(2)}
	expiry := work{JobReadOrder, order, after(24 * 60)}
	warned := work{JobReadOrder, order, after(21 * 24 * 60)}
	lapse := work{JobExpireToken, session, after(60)}
	cases := map[string]struct {
		policy Policy
		facts  []PaymentFact
		want   []work
	}{
		"a session may lose its callback": {Policy{}, []PaymentFact{opened()}, []work{read}},
		"an authorised session gets its order": {
			Policy{PlaceOrders: true}, []PaymentFact{opened(), authorized("cb", token, 0)}, []work{{JobPlaceOrder, session, noon}, read, lapse},
		},
		"a callback before the answer waits for the session": {
			Policy{PlaceOrders: true}, []PaymentFact{authorized("cb", token, 0)}, []work{lapse},
		},
		"then the order is placed": {
			Policy{PlaceOrders: true}, []PaymentFact{authorized("cb", token, 0), opened()}, []work{{JobPlaceOrder, session, noon}, read, lapse},
		},
		"the caller may want to place it": {
			Policy{PlaceOrders: true}, []PaymentFact{byCaller, authorized("cb", token, 0)}, []work{read, lapse},
		},
		"the session may want it placed": {
			Policy{}, []PaymentFact{automatic, authorized("cb", token, 0)}, []work{{JobPlaceOrder, session, noon}, read, lapse},
		},
		"an order is read to learn when it runs out": {Policy{}, []PaymentFact{told("n1", StatusUnpaid, 0)}, []work{expiry, {JobAwaitPayment, order, noon.Add(7 * 24 * time.Hour)}}},
		"a token after the order is given back": {
			Policy{}, []PaymentFact{opened(), placed(), authorized("cb", token, 0)}, []work{{JobReleaseToken, TokenKey(token), noon}, read, expiry},
		},
		"a checkout order is acknowledged": {
			Policy{AcknowledgeOrders: true}, []PaymentFact{pushed}, []work{{JobAcknowledge, order, noon}, warned},
		},
		"the owner of a checkout order is reminded": {
			Policy{}, []PaymentFact{pushed}, []work{{JobRemindAcknowledge, order, after(1 + 40*60)}, warned},
		},
		"the owner acknowledges": {
			Policy{}, []PaymentFact{pushed, acknowledge},
			[]work{{JobAcknowledge, order, noon}, {JobRemindAcknowledge, order, after(1 + 40*60)}, warned},
		},
		"a second push adds nothing": {
			Policy{AcknowledgeOrders: true}, []PaymentFact{pushed, func() PaymentFact {
				again := pushed
				again.EventID = "push2"
				return again
			}()}, []work{{JobAcknowledge, order, noon}, warned},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := open(t, c.policy)
			for _, fact := range c.facts {
				record(t, j, fact)
			}
			var got []work
			for _, job := range jobs(t, j, "") {
				got = append(got, work{job.Kind, job.Key, job.RunAt})
				if job.Kind == JobPlaceOrder && !job.Deadline.Equal(noon.Add(time.Hour)) {
					t.Errorf("the token is tried until %s, want 60 minutes", job.Deadline)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNews_IsDeniedOnlyOfWhatChangesNothing asks before each fact is recorded, and looks at what recording it changes.
func TestNews_IsDeniedOnlyOfWhatChangesNothing(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{PlaceOrders: true})
	record(t, j, opened())
	record(t, j, placed())
	late := authorized("cb2", token+"-late", 4)
	pushed := shown("r5", "PART_CAPTURED", 9, 1000, 0, 11995)
	pushed.Pushed = true
	for _, step := range []struct {
		fact PaymentFact
		news bool
	}{
		{shown("r1", "AUTHORIZED", 1, 0, 0, 12995), true},
		{shown("r2", "AUTHORIZED", 2, 0, 0, 12995), false},
		{shown("r3", "PART_CAPTURED", 3, 1000, 0, 11995), true},
		{late, true}, // changes nothing, and the authorisation is given back
		{shown("r4", "PART_CAPTURED", 5, 1000, 0, 11995), false},
		{shown("r0", "AUTHORIZED", 0, 0, 0, 12995), false}, // late
		{captured("C-1", 1000), true},
		{told("n1", StatusPaid, 6), true},
		{told("n2", StatusPaid, 5), true}, // kept, though it comes too late
		{pushed, true},
	} {
		known, err := j.PaymentBy(t.Context(), merchant, KeyOrder, order)
		if err != nil {
			t.Fatal(err)
		}
		news := j.News(known, step.fact)
		before := len(events(t, j, store.Payments)) + len(jobs(t, j, ""))
		record(t, j, step.fact)
		changed := len(events(t, j, store.Payments)) + len(jobs(t, j, "")) - before
		if news != step.news || !news && changed != 0 {
			t.Errorf("%s: news %t, want %t; it changed %d rows", step.fact.EventID, news, step.news, changed)
		}
	}
}

// A fact does to a payment what it does to what is on record, whatever whoever recorded it had seen before.
func TestPaymentIn_WhatWasSeenBeforeIsNotTakenForWhatIsOnRecord(t *testing.T) {
	t.Parallel()
	facts := func() []PaymentFact {
		return []PaymentFact{
			placed(), told("n1", StatusUnpaid, 1), told("n2", StatusPaid, 2), told("n3", StatusClosed, 3),
			shown("r1", "AUTHORIZED", 4, 0, 0, 12995), captured("c1", 100), captured("c2", 200), refunded("f1", 50), captured("c3", 300), refunded("f2", 60),
		}
	}
	recorded := func(seen func(*Journal, int) *Known) Payment {
		j := open(t, Policy{})
		var last PaymentRecord
		for i, fact := range facts() {
			fact.Known = seen(j, i)
			last = record(t, j, fact)
		}
		payment := look(t, j).Payment
		if diff := cmp.Diff(last.Payment, payment); diff != "" {
			t.Errorf("told and on record: %s", diff)
		}
		payment.ID = ""
		return payment
	}
	want := recorded(func(*Journal, int) *Known { return nil })
	if len(want.Captures) != 3 || len(want.Refunds) != 2 || want.CapturedAmount != 600 || len(want.Attentions) == 0 {
		t.Fatalf("%+v", want)
	}
	var first, older Known
	for name, seen := range map[string]func(*Journal, int) *Known{
		"as it stands": func(j *Journal, i int) *Known {
			if i == 0 {
				return nil
			}
			now := look(t, j)
			return &now
		},
		"as it stood at first": func(j *Journal, i int) *Known {
			if i == 1 {
				first = look(t, j)
			}
			return &first
		},
		"as it stood one fact ago": func(j *Journal, i int) *Known {
			was := older
			if i > 0 {
				older = look(t, j)
			}
			return &was
		},
	} {
		if diff := cmp.Diff(want, recorded(seen)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// look is the payment of the order as a unit sees it.
func look(t *testing.T, j *Journal) (known Known) {
	t.Helper()
	err := j.Store().Do(t.Context(), func(tx store.Tx) (err error) {
		known, err = j.KnownIn(context.Background(), tx, merchant, KeyOrder, order)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return known
}
