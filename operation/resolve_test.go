package operation_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// resolve does the waiting work on unknown outcomes as the worker would, until time has passed or none is left.
func resolve(w *World, d time.Duration) {
	w.T.Helper()
	until := w.Store.Now().Add(d)
	for jobs := w.Jobs(journal.JobResolve); len(jobs) > 0 && !jobs[0].RunAt.After(until); jobs = w.Jobs(journal.JobResolve) {
		w.Klarna.Advance(max(jobs[0].RunAt.Sub(w.Store.Now()), 0))
		leased, err := w.Store.Lease(w.T.Context(), w.Store.Now(), w.Store.Now().Add(time.Minute), 1)
		w.Must(err)
		job := leased[0]
		var again time.Time
		if job.Kind == journal.JobResolve { // other work, such as reading the account, is not needed here
			if again, err = w.Operations.Resolve(w.T.Context(), job.MerchantAccount, job.Key); err != nil {
				again = w.Store.Now().Add(time.Minute)
			}
		}
		w.Must(w.Store.Do(w.T.Context(), func(tx store.Tx) error {
			if again.IsZero() {
				return tx.FinishJob(w.T.Context(), job.ID)
			}
			return tx.RetryJob(w.T.Context(), job.ID, again, "")
		}))
	}
	w.Klarna.Advance(max(until.Sub(w.Store.Now()), 0))
}

func state(w *World, operation, id string) store.RequestState {
	w.T.Helper()
	return stateOf(w, store.RequestID{MerchantAccount: Shop, Operation: operation, ID: id})
}

func stateOf(w *World, id store.RequestID) store.RequestState {
	w.T.Helper()
	row, err := w.Store.Request(w.T.Context(), id)
	w.Must(err)
	return row.State
}

// The caller never comes back, or comes back and finds the answer there.
func TestResolve_FindsOutWhatBecameOfAMovement(t *testing.T) {
	t.Parallel()
	for _, m := range movements {
		for _, effect := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s made %t", m.name, effect), func(t *testing.T) {
				t.Parallel()
				w := New(t, Options{})
				order, recorded := m.prepare(w), m.recorded
				recorded.ID = "m-1"
				w.Fail(klarnatest.Fault{Operation: m.name, LoseAnswer: effect, Cut: !effect})
				before := w.Klarna.CallCount(m.name)
				w.Unknown(m.move(w, "m-1", order, 10000))
				w.Reopen()
				resolve(w, time.Minute)
				want := store.RequestOpen // what is not there yet may still come
				if effect {
					want = store.RequestDone
				}
				if got := stateOf(w, recorded); got != want {
					t.Errorf("after a minute the request is %s, want %s", got, want)
				}
				resolve(w, 20*time.Minute)
				if !effect {
					want = store.RequestUndone
				}
				if got := stateOf(w, recorded); got != want {
					t.Errorf("in the end the request is %s, want %s", got, want)
				}
				if held := reservedOf(w, m.fund, order); len(held) > 0 {
					t.Errorf("%v are still reserved", held)
				}
				kinds := w.Kinds(store.Payments)
				if last := kinds[len(kinds)-1]; effect && last != map[string]string{"capture": "CAPTURED", "refund": "REFUNDED"}[m.fund.Kind] {
					t.Errorf("watchers heard %v", kinds)
				}
				w.CalledTimes(m.name, before+1) // reading alone
				w.Must(m.move(w, "m-1", order, 10000))
				calls := before + 1
				if !effect {
					calls++
				}
				w.CalledTimes(m.name, calls)
				if got := m.moved(w, order); got != 10000 {
					t.Errorf("%d moved at Klarna", got)
				}
				if jobs := w.Jobs(journal.JobResolve); len(jobs) > 0 {
					t.Errorf("left to do: %+v", jobs)
				}
			})
		}
	}
}

func TestResolve_KnowsACancellation(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.LoseAnswer("cancelOrder")
	w.Unknown(w.Operations.CancelOrder(t.Context(), Request("x-1", "x"), order))
	resolve(w, time.Minute)
	if got := state(w, "cancelOrder", "x-1"); got != store.RequestDone {
		t.Errorf("the request is %s", got)
	}
	w.Must(w.Operations.CancelOrder(t.Context(), Request("x-1", "x"), order))
	w.CalledTimes("cancelOrder", 1)
}

// The gateway died when the request was on record and nothing had been sent: there was no time to put down what.
func TestResolve_ARequestThatWasCutOffBeforeItReservedIsUndone(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Fail(klarnatest.Fault{Operation: "capture", Cut: true})
	w.Unknown(capturing(w, "c-1", order, 5000))
	id := store.RequestID{MerchantAccount: Shop, Operation: "captureOrder", ID: "c-1"}
	w.Must(w.Store.Do(t.Context(), func(tx store.Tx) error { // as the crash leaves it
		row, err := tx.Request(t.Context(), id)
		if err != nil {
			return err
		}
		row.Answer, row.LeasedUntil = nil, w.Store.Now().Add(-time.Second)
		return errors.Join(tx.PutRequest(t.Context(), row), tx.Unreserve(t.Context(), id))
	}))
	w.Must(w.Operations.Sweep(t.Context()))
	resolve(w, time.Minute)
	if got := state(w, "captureOrder", "c-1"); got != store.RequestUndone {
		t.Errorf("the request is %s", got)
	}
	w.Must(capturing(w, "c-1", order, 5000))
	if got := w.Order(order); got.Captured != 5000 {
		t.Errorf("Klarna has captured %d", got.Captured)
	}
}

// Klarna cannot be read for hours: a person is told, and told no more once it is known.
func TestResolve_RaisesAttentionWhileItCannotBeKnown(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.LoseAnswer("capture")
	w.Unknown(capturing(w, "c-1", order, 5000))
	w.Fail(klarnatest.Fault{Operation: "readOrder", Status: 503, Times: 1000})
	resolve(w, 50*time.Minute)
	w.Attends(w.Payment(journal.KeyOrder, order))
	resolve(w, 30*time.Minute)
	w.Attends(w.Payment(journal.KeyOrder, order), journal.OutcomeUnknown)
	if held := reservedOf(w, store.Fund{MerchantAccount: Shop, Kind: "capture"}, order); len(held) != 1 {
		t.Errorf("%v are reserved while the outcome is unknown", held)
	}
	w.Klarna.Heal()
	resolve(w, 10*time.Minute)
	w.Attends(w.Payment(journal.KeyOrder, order))
	if got := state(w, "captureOrder", "c-1"); got != store.RequestDone {
		t.Errorf("the request is %s", got)
	}
}

// Nothing shows a charge by customer token but a repeat under its key, and that only for a day.
func TestResolve_SaysWhatCannotBeKnown(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	w.Fail(klarnatest.Fault{Operation: "chargeCustomerToken", Cut: true})
	_, err := w.Operations.ChargeCustomerToken(t.Context(), Request("p-1", "x"), "token", klarna.TokenOrderRequest{
		PurchaseCurrency: "EUR", OrderAmount: Amount, MerchantReference1: "SUB-1",
	})
	w.Unknown(err)
	resolve(w, 20*time.Hour)
	if got := len(w.Events(store.Payments)); got != 0 {
		t.Errorf("%d events while a repeat would tell", got)
	}
	resolve(w, 28*time.Hour)
	w.Attends(w.Payment(journal.KeyReference, "SUB-1"), journal.OutcomeUnknown)
	resolve(w, 29*24*time.Hour) // a repeat may tell yet, until it is a new request
	w.Attends(w.Payment(journal.KeyReference, "SUB-1"), journal.OutcomeUnknown)
	if jobs := w.Jobs(journal.JobResolve); len(jobs) > 0 || state(w, "chargeCustomerToken", "p-1") != store.RequestUndone {
		t.Errorf("left to do: %+v", jobs)
	}
}

// A caller's wish for an order meets in its session's record: what is unknown is that one's matter, and no row stays open.
func TestResolve_ACallersWishForAnOrderIsItsSessionsMatter(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		w := New(t, Options{})
		session := w.Session(journal.OrderByCaller)
		w.Authorize(session)
		place := func() (operation.OrderAnswer, error) {
			return w.Operations.CreateOrder(t.Context(), Request("o-1", "x"), operation.NewOrder{SessionID: session})
		}
		w.LoseAnswer("placeOrder")
		_, err := place()
		w.Unknown(err)
		if crash {
			w.Must(w.Store.Do(t.Context(), func(tx store.Tx) error {
				row, err := tx.Request(t.Context(), store.RequestID{MerchantAccount: Shop, Operation: "createOrder", ID: "o-1"})
				row.State, row.LeasedUntil = store.RequestOpen, w.Store.Now().Add(-time.Second)
				return errors.Join(err, tx.PutRequest(t.Context(), row))
			}))
			w.Must(w.Operations.Sweep(t.Context()))
		}
		if got := state(w, "createOrder", "o-1"); got != store.RequestUndone {
			t.Errorf("after a crash: %t, the request is %s", crash, got)
		}
		if made, err := place(); err != nil || made.OrderID == "" || len(w.Klarna.Orders()) != 1 {
			t.Errorf("after a crash: %t, a repeat gets %+v, %v, of %d orders", crash, made, err, len(w.Klarna.Orders()))
		}
	}
}

// What is about a partner account is no payment's matter.
func TestResolve_OfAnAccountIsNoMatterOfAPayment(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := onboarded(w)
	w.Must(w.Klarna.Operational(id))
	w.Must(w.Operations.Partner(t.Context(), Acquirer, id))
	w.Fail(klarnatest.Fault{Operation: "updateAccount", Cut: true})
	err := w.Operations.UpdatePartner(t.Context(), AcquirerRequest("u-1", "x"), id, klarna.PartnerAccountUpdate{PartnerAccountName: "Nordlicht"})
	w.Unknown(err)
	w.Fail(klarnatest.Fault{Operation: "readAccount", Status: 503, Times: 1000})
	resolve(w, 2*time.Hour)
	if events := w.Kinds(store.Payments); len(events) != 0 {
		t.Errorf("payments: %v", events)
	}
	w.Klarna.Heal()
	resolve(w, 20*time.Minute)
	row, err := w.Store.Request(t.Context(), store.RequestID{MerchantAccount: Acquirer, Operation: "updatePartner", ID: "u-1"})
	if err != nil || row.State != store.RequestUndone {
		t.Errorf("the request is %s, %v", row.State, err)
	}
}
