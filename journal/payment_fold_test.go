package journal

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payments.internal/klarna-gateway/store"
)

// step is an event in short: what it was called, the state after it, and whether it came too late.
type step struct {
	Kind   PaymentKind
	State  PaymentState
	Status string
	Late   bool
}

func TestJournal_FoldsFactsIntoStates(t *testing.T) {
	t.Parallel()
	cancelled := PaymentFact{EventID: "call:cancel", Cause: Call, At: noon, OrderID: order, Cancelled: true}
	expired := PaymentFact{EventID: "clock:session", Cause: Clock, At: after(48 * 60), SessionID: session, SessionExpired: true}
	withdrawn := PaymentFact{EventID: "call:withdraw", Cause: Call, At: noon, SessionID: session, TokenCancelled: true}
	cases := map[string]struct {
		facts []PaymentFact
		want  []step
	}{
		"a purchase from session to refund": {
			[]PaymentFact{opened(), authorized("cb", token, 1), placed(), captured("c1", 12995), refunded("r1", 12995)},
			[]step{
				{KindSessionCreated, SessionCreated, "", false}, {KindAuthorized, Authorized, "", false},
				{KindOrderCreated, Ordered, "", false}, {KindCaptured, Captured, "", false}, {KindRefunded, Refunded, "", false},
			},
		},
		"unpaid after paid changes nothing": {
			[]PaymentFact{told("n2", StatusPaid, 2), told("n1", StatusUnpaid, 1)},
			[]step{{KindPaid, Ordered, StatusPaid, false}, {KindUnpaid, Ordered, StatusPaid, true}},
		},
		"unpaid after paid changes nothing even with a later time": {
			[]PaymentFact{told("n2", StatusPaid, 2), told("n1", StatusUnpaid, 9)},
			[]step{{KindPaid, Ordered, StatusPaid, false}, {KindUnpaid, Ordered, StatusPaid, true}},
		},
		"closed after paid raises attention and leaves paid": {
			[]PaymentFact{told("n1", StatusPaid, 1), told("n2", StatusClosed, 2)},
			[]step{{KindPaid, Ordered, StatusPaid, false}, {KindClosed, Ordered, StatusPaid, false}},
		},
		"closed is final": {
			[]PaymentFact{told("n1", StatusUnpaid, 1), told("n2", StatusClosed, 2), told("n3", StatusUnpaid, 3)},
			[]step{{KindUnpaid, Ordered, StatusUnpaid, false}, {KindClosed, Closed, StatusClosed, false}, {KindUnpaid, Closed, StatusClosed, true}},
		},
		"a cancelled order without money was closed": {
			[]PaymentFact{told("n1", StatusUnpaid, 1), shown("r1", "CANCELLED", 5, 0, 0, 0)},
			[]step{{KindUnpaid, Ordered, StatusUnpaid, false}, {KindClosed, Closed, StatusClosed, false}},
		},
		"an order that we cancelled was not closed": {
			[]PaymentFact{told("n1", StatusUnpaid, 1), cancelled, shown("r1", "AUTHORIZED", 4, 0, 0, 0), shown("r2", "CANCELLED", 5, 0, 0, 0)},
			[]step{
				{KindUnpaid, Ordered, StatusUnpaid, false}, {KindCancelled, Cancelled, StatusUnpaid, false},
				{KindOrderChanged, Cancelled, StatusUnpaid, false}, {KindOrderChanged, Cancelled, StatusUnpaid, false},
			},
		},
		"part captures add up": {
			[]PaymentFact{shown("r1", "AUTHORIZED", 1, 0, 0, 12995), captured("c1", 5000), captured("c2", 7995)},
			[]step{{KindOrderCreated, Ordered, "", false}, {KindCaptured, PartCaptured, "", false}, {KindCaptured, Captured, "", false}},
		},
		"a part refund, then the rest": {
			[]PaymentFact{shown("r1", "CAPTURED", 1, 12995, 0, 0), refunded("f1", 5000), refunded("f2", 7995)},
			[]step{{KindOrderCreated, Captured, "", false}, {KindRefunded, PartRefunded, "", false}, {KindRefunded, Refunded, "", false}},
		},
		"a refunded part capture is no refunded order": {
			[]PaymentFact{shown("r1", "AUTHORIZED", 1, 0, 0, 12995), captured("c1", 5000), refunded("f1", 5000)},
			[]step{{KindOrderCreated, Ordered, "", false}, {KindCaptured, PartCaptured, "", false}, {KindRefunded, PartRefunded, "", false}},
		},
		"a capture of an order of unknown amount is taken for a part": {
			[]PaymentFact{captured("c1", 5000), refunded("f1", 5000), shown("r1", "CAPTURED", 1, 5000, 5000, 0)},
			[]step{{KindCaptured, PartCaptured, "", false}, {KindRefunded, PartRefunded, "", false}, {KindOrderChanged, Refunded, "", false}},
		},
		"a capture made elsewhere is seen": {
			[]PaymentFact{shown("r1", "AUTHORIZED", 1, 0, 0, 12995), shown("r2", "PART_CAPTURED", 2, 5000, 0, 7995)},
			[]step{{KindOrderCreated, Ordered, "", false}, {KindCaptured, PartCaptured, "", false}},
		},
		"an authorisation runs out": {
			[]PaymentFact{shown("r1", "AUTHORIZED", 1, 0, 0, 12995), shown("r2", "EXPIRED", 2, 0, 0, 0)},
			[]step{{KindOrderCreated, Ordered, "", false}, {KindExpired, Expired, "", false}},
		},
		"a session runs out": {
			[]PaymentFact{opened(), expired},
			[]step{{KindSessionCreated, SessionCreated, "", false}, {KindExpired, Expired, "", false}},
		},
		"a session with an order does not run out": {
			[]PaymentFact{opened(), placed(), expired},
			[]step{{KindSessionCreated, SessionCreated, "", false}, {KindOrderCreated, Ordered, "", false}},
		},
		"a withdrawn authorisation may be given again": {
			[]PaymentFact{opened(), authorized("cb1", token, 1), withdrawn, authorized("cb2", "c5a1", 2)},
			[]step{
				{KindSessionCreated, SessionCreated, "", false}, {KindAuthorized, Authorized, "", false},
				{KindAuthorizationCancelled, AuthorizationCancelled, "", false}, {KindAuthorized, Authorized, "", false},
			},
		},
		"a type we do not know is kept as it is": {
			[]PaymentFact{
				told("n1", StatusUnpaid, 1),
				{EventID: "n2", Cause: Notification, At: after(2), Type: "non_guaranteed_payment.reminded", OrderID: order},
			},
			[]step{{KindUnpaid, Ordered, StatusUnpaid, false}, {"", Ordered, StatusUnpaid, false}},
		},
		"what tells nothing new is not stored": {
			[]PaymentFact{shown("r1", "AUTHORIZED", 1, 0, 0, 12995), shown("r2", "AUTHORIZED", 2, 0, 0, 12995)},
			[]step{{KindOrderCreated, Ordered, "", false}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := open(t, Policy{})
			for _, fact := range c.facts {
				record(t, j, fact)
			}
			var got []step
			before := ""
			for _, ev := range events(t, j, store.Payments) {
				entry, err := DecodePaymentEntry(ev.Body)
				if err != nil {
					t.Fatal(err)
				}
				if string(entry.Payment.State) != ev.State || ev.PreviousState != before {
					t.Errorf("event %s goes from %s to %s, holds %s after %s", ev.ID, ev.PreviousState, ev.State, entry.Payment.State, before)
				}
				before = ev.State
				got = append(got, step{PaymentKind(ev.Kind), PaymentState(ev.State), entry.Payment.Status, ev.Superseded})
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestJournal_RaisesAttention(t *testing.T) {
	t.Parallel()
	less := told("n1", StatusPaid, 1)
	less.Status.Expected, less.Status.Received = []Transfer{{Amount: 12995}}, []Transfer{{Amount: 12000}}
	cases := map[string]struct {
		facts []PaymentFact
		want  AttentionReason
	}{
		"closed after paid":          {[]PaymentFact{told("n1", StatusPaid, 1), told("n2", StatusClosed, 2)}, ClosedAfterPaid},
		"paid after closed":          {[]PaymentFact{told("n1", StatusClosed, 1), told("n2", StatusPaid, 2)}, PaidAfterClosed},
		"less money than expected":   {[]PaymentFact{less}, PaymentDiffers},
		"a session with two orders":  {[]PaymentFact{opened(), placed(), {EventID: "x", Cause: Call, SessionID: session, OrderID: "11111111"}}, Conflict},
		"an order with two sessions": {[]PaymentFact{opened(), placed(), {EventID: "x", Cause: Call, SessionID: "22222222", OrderID: order}}, Conflict},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := open(t, Policy{})
			var rec PaymentRecord
			for _, fact := range c.facts {
				rec = record(t, j, fact)
			}
			if len(rec.Payment.Attentions) != 1 || rec.Payment.Attentions[0].Reason != c.want {
				t.Errorf("attentions %+v, want one of %s", rec.Payment.Attentions, c.want)
			}
			entry := newest(t, j)
			if entry.Attention != c.want {
				t.Errorf("the event says %q, want %q", entry.Attention, c.want)
			}
			if read := jobs(t, j, JobReadOrder); c.facts[len(c.facts)-1].Cause == Notification && (len(read) != 1 || !read[0].RunAt.Equal(noon)) {
				t.Errorf("the order is read by %+v, want a job that runs now", read)
			}
		})
	}
}

func TestJournal_MarksConclusionsAndTakesTheWord(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	record(t, j, told("n1", StatusUnpaid, 1))
	if p := record(t, j, shown("r1", "CANCELLED", 5, 0, 0, 0)).Payment; !p.StatusInferred {
		t.Error("a concluded status is not marked")
	}
	rec := record(t, j, told("n2", StatusClosed, 4))
	if rec.Payment.StatusInferred || rec.Outcome != Applied {
		t.Errorf("told after concluded: %s, inferred %t", rec.Outcome, rec.Payment.StatusInferred)
	}
}

func TestJournal_OldReadingCannotUndo(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	record(t, j, shown("r2", "PART_CAPTURED", 2, 5000, 0, 7995))
	rec := record(t, j, shown("r1", "AUTHORIZED", 1, 0, 0, 12995))
	if rec.Outcome != Unchanged || rec.Payment.CapturedAmount != 5000 || rec.Payment.RemainingAmount != 7995 {
		t.Errorf("an older reading: %s, %+v", rec.Outcome, rec.Payment)
	}
}

// TestFold_KeepsItsPromises throws facts in any order at a payment.
func TestFold_KeepsItsPromises(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 7))
		p := Payment{ID: "p", MerchantAccount: merchant}
		var history []string
		for i := range 2 + random.IntN(20) {
			before, fact := p, randomFact(random, i)
			fold(&p, &fact, after(i))
			history = append(history, fmt.Sprintf("%s → %s", describe(fact), p.State))
			if flaw := brokenPromise(before, p); flaw != "" {
				t.Fatalf("seed %d: %s after %q", seed, flaw, history)
			}
		}
	}
}

func brokenPromise(before, after Payment) string {
	switch {
	case before.State != "" && before.State != after.State && !slices.Contains(paymentMoves[before.State], after.State):
		return fmt.Sprintf("%s became %s", before.State, after.State)
	case before.State.Final() && after.State != before.State:
		return "a final state was left"
	case after.CapturedAmount < before.CapturedAmount || after.RefundedAmount < before.RefundedAmount:
		return "a sum shrank"
	case statusRank(after.Status) < statusRank(before.Status) || statusRank(before.Status) == 2 && before.Status != after.Status:
		return fmt.Sprintf("status %s became %s", before.Status, after.Status)
	case before.OrderID != "" && before.OrderID != after.OrderID || before.SessionID != "" && before.SessionID != after.SessionID:
		return "an id changed"
	case len(after.Captures) < len(before.Captures) || len(after.Refunds) < len(before.Refunds):
		return "a movement vanished"
	case after.RemainingAmount < 0:
		return "less than nothing remains"
	}
	return ""
}

func randomFact(random *rand.Rand, i int) PaymentFact {
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	amount := func() int64 { return int64(random.IntN(4)) * 2500 }
	f := PaymentFact{EventID: fmt.Sprint(i), At: after(random.IntN(60)), Cause: Call, SessionID: pick(session, "", "another")}
	switch random.IntN(11) {
	case 0:
		f.Session = &SessionFacts{Currency: "EUR", OrderAmount: 10000, Updated: random.IntN(2) == 0}
	case 1:
		f.Cause, f.Token = Callback, pick(token, "c5a1", "77d0")
	case 2:
		f.TokenCancelled = true
	case 3:
		f.Cause, f.SessionExpired = Clock, true
	case 4:
		f.OrderID, f.Order = pick(order, order, "another"), &OrderFacts{FraudStatus: "ACCEPTED"}
	case 5, 6:
		f.Cause, f.OrderID, f.SessionID = Reconciled, order, ""
		f.Order = &OrderFacts{
			Read: true, Status: pick("AUTHORIZED", "PART_CAPTURED", "CAPTURED", "CANCELLED", "EXPIRED", "CLOSED"),
			Amount: 10000, Captured: amount(), Refunded: amount(), Remaining: amount(),
			Captures: []Movement{{ID: pick("c1", "c2", "c3"), Amount: 2500}},
		}
	case 7:
		f.OrderID, f.Cancelled = order, true
	case 8:
		f.OrderID, f.Capture = order, &Movement{ID: pick("c1", "c2", "c3"), Amount: 2500}
	case 9:
		f.OrderID, f.Refund = order, &Movement{ID: pick("r1", "r2", "r3"), Amount: 2500}
	default:
		f.Cause, f.OrderID, f.SessionID = Notification, order, ""
		f.Status = &StatusFacts{Status: pick(StatusUnpaid, StatusPaid, StatusClosed, "WAITING"), OrderAmount: 10000}
	}
	return f
}

func describe(f PaymentFact) string {
	text, _ := json.Marshal(f)
	return string(text)
}

// newest decodes the newest payment event.
func newest(t *testing.T, j *Journal) PaymentEntry {
	t.Helper()
	all := events(t, j, store.Payments)
	entry, err := DecodePaymentEntry(all[len(all)-1].Body)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// Klarna told first of the end of an order: nothing is left to capture of it, and it is read once, as every order is.
func TestJournal_OfAClosedOrderNothingIsLeft(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	record(t, j, opened())
	closed := told("n1", StatusClosed, 1)
	closed.Order = &OrderFacts{Amount: 12995, Currency: "EUR"}
	if p := record(t, j, closed).Payment; p.OrderAmount != 12995 || p.RemainingAmount != 0 || p.State != Closed {
		t.Errorf("%s: of %d are left %d", p.State, p.OrderAmount, p.RemainingAmount)
	}
	if got := jobs(t, j, JobReadOrder); len(got) != 1 {
		t.Errorf("to read: %+v", got)
	}
}

// An order that was refused, then made, and first told of by a notification: that it was not placed is no matter any more.
func TestJournal_AnOrderThatIsMetEndsTheMatterOfNotBeingPlaced(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	record(t, j, opened())
	record(t, j, PaymentFact{EventID: "refused", Cause: Call, At: after(1), SessionID: session, Attention: &Attention{Reason: OrderNotPlaced, Message: "Klarna refused"}})
	record(t, j, told("n1", StatusUnpaid, 2)) // a payment of its own, as long as nothing says whose order it is
	if p := record(t, j, placed()).Payment; p.OrderID != order || p.SessionID != session || len(p.Attentions) != 0 {
		t.Errorf("order %q of session %q, open matters %v", p.OrderID, p.SessionID, p.Attentions)
	}
}
