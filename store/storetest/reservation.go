package storetest

import (
	"errors"
	"sync"
	"testing"

	"payments.internal/klarna-gateway/store"
)

var reservationPromises = []promise{
	{"ReservationIsKeptUntilItIsGivenBack", reservationIsKeptUntilItIsGivenBack},
	{"ReservationOfAFailedUnitIsNone", reservationOfAFailedUnitIsNone},
	{"ReservationsOfAnotherAccountAreRefused", reservationsOfAnotherAccountAreRefused},
	{"RacingReserversShareNothing", racingReserversShareNothing},
	{"RacingReserversSeeWhatWasSpent", racingReserversSeeWhatWasSpent},
}

var orderFund = store.Fund{MerchantAccount: account, Kind: "capture", Key: "order-1"}

func reserver(operation, id string) store.RequestID {
	return store.RequestID{MerchantAccount: account, Operation: operation, ID: id}
}

func reserved(t *testing.T, e store.Engine, fund store.Fund) (found []store.Reservation) {
	t.Helper()
	commit(t, e, func(tx store.Tx) (err error) {
		found, err = tx.Reserved(t.Context(), fund)
		return err
	})
	return found
}

func reservationIsKeptUntilItIsGivenBack(t *testing.T, e store.Engine) {
	equal(t, "a fund nobody drew on", reserved(t, e, orderFund), []store.Reservation{})
	first := store.Reservation{Request: reserver("capture", "r-1"), Fund: orderFund, Reference: "ref-1", Amount: 500, CreatedAt: at(1)}
	second := store.Reservation{Request: reserver("capture", "r-2"), Fund: orderFund, Reference: "ref-2", Amount: 70, CreatedAt: at(2)}
	other := store.Reservation{Request: first.Request, Fund: store.Fund{MerchantAccount: account, Kind: "refund", Key: "order-1"}, Amount: 9, CreatedAt: at(3)}
	for _, r := range []store.Reservation{second, first, other} {
		commit(t, e, func(tx store.Tx) error {
			err := tx.Reserve(t.Context(), r)
			inside, readErr := tx.Reserved(t.Context(), r.Fund)
			if len(inside) == 0 {
				t.Error("a unit does not see what it reserved")
			}
			return errors.Join(err, readErr)
		})
	}
	equal(t, "reserved, oldest first", reserved(t, e, orderFund), []store.Reservation{first, second})
	equal(t, "another fund", reserved(t, e, other.Fund), []store.Reservation{other})
	first.Amount, first.Reference, first.CreatedAt = 501, "ref-1b", at(4)
	commit(t, e, func(tx store.Tx) error { return tx.Reserve(t.Context(), first) })
	equal(t, "replaced", reserved(t, e, orderFund), []store.Reservation{second, first})
	for range 2 { // the second time there is nothing to give back
		commit(t, e, func(tx store.Tx) error { return tx.Unreserve(t.Context(), first.Request) })
	}
	equal(t, "after one was given back", reserved(t, e, orderFund), []store.Reservation{second})
	equal(t, "the other fund of that request", reserved(t, e, other.Fund), []store.Reservation{})
}

func reservationOfAFailedUnitIsNone(t *testing.T, e store.Engine) {
	refusal := errors.New("not enough is left")
	err := commitOne(t, e, func(tx store.Tx) error {
		return errors.Join(tx.Reserve(t.Context(), store.Reservation{Request: reserver("capture", "r-1"), Fund: orderFund, Amount: 1, CreatedAt: at(1)}), refusal)
	})
	if !errors.Is(err, refusal) {
		t.Errorf("unit gave %v", err)
	}
	equal(t, "reserved", reserved(t, e, orderFund), []store.Reservation{})
}

func reservationsOfAnotherAccountAreRefused(t *testing.T, e store.Engine) {
	foreign := store.Reservation{Request: store.RequestID{MerchantAccount: "A-ANDERE", Operation: "capture", ID: "r-1"}, Fund: orderFund, Amount: 1, CreatedAt: at(1)}
	if err := commitOne(t, e, func(tx store.Tx) error { return tx.Reserve(t.Context(), foreign) }); err == nil {
		t.Error("a request reserved money of another merchant account")
	}
	commit(t, e, func(tx store.Tx) error {
		own := foreign
		own.Request.MerchantAccount = account
		return tx.Reserve(t.Context(), own)
	})
	commit(t, e, func(tx store.Tx) error { return tx.Unreserve(t.Context(), foreign.Request) })
	equal(t, "reserved", len(reserved(t, e, orderFund)), 1)
}

var errNothingLeft = errors.New("nothing is left")

// contend lets many units commit at the same time, each in a commit of its own.
func contend(t *testing.T, engines []store.Engine, n int, unit func(i int) func(store.Tx) error) (done int) {
	t.Helper()
	results := make([]error, n)
	var racing sync.WaitGroup
	for i := range n {
		racing.Go(func() { results[i] = engines[i%len(engines)].Commit(t.Context(), []func(store.Tx) error{unit(i)})[0] })
	}
	racing.Wait()
	for _, err := range results {
		switch {
		case err == nil:
			done++
		case !errors.Is(err, errNothingLeft):
			t.Errorf("commit: %v", err)
		}
	}
	return done
}

func racingReserversShareNothing(t *testing.T, e store.Engine) { shareNothing(t, e) }

// shareNothing lets each of 40 want 3 of 40: as many get it as the fund pays for, and nobody draws on what another has.
func shareNothing(t *testing.T, engines ...store.Engine) {
	done := contend(t, engines, 40, func(i int) func(store.Tx) error {
		return func(tx store.Tx) error {
			held, err := tx.Reserved(t.Context(), orderFund)
			if err != nil {
				return err
			}
			left := int64(40)
			for _, r := range held {
				left -= r.Amount
			}
			if left < 3 {
				return errNothingLeft
			}
			return tx.Reserve(t.Context(), store.Reservation{Request: reserver("capture", numbered("r", i)), Fund: orderFund, Amount: 3, CreatedAt: at(i)})
		}
	})
	equal(t, "reservations that were granted", done, 13)
	equal(t, "reservations on record", len(reserved(t, engines[0], orderFund)), 13)
}

func racingReserversSeeWhatWasSpent(t *testing.T, e store.Engine) { seeWhatWasSpent(t, e) }

// seeWhatWasSpent has what is left stand in the log: a reservation becomes an event in one commit, and whoever reserves
// next sees either.
func seeWhatWasSpent(t *testing.T, engines ...store.Engine) {
	const units, price, wealth = 30, 4, 41
	appendAll(t, engines[0], event("opened", "order-1", "0", order("order-1")))
	spent := func(tx store.Tx) (int64, error) {
		s, err := tx.Subject(t.Context(), "order-1")
		return int64(len(s.Body)), err // a byte of its state for each unit of money
	}
	done := contend(t, engines, units, func(i int) func(store.Tx) error {
		return func(tx store.Tx) error {
			held, err := tx.Reserved(t.Context(), orderFund)
			if err != nil {
				return err
			}
			gone, err := spent(tx)
			if err != nil {
				return err
			}
			for _, r := range held {
				gone += r.Amount
			}
			if gone-int64(len("state opened"))+price > wealth {
				return errNothingLeft
			}
			id := reserver("capture", numbered("r", i))
			if err := tx.Reserve(t.Context(), store.Reservation{Request: id, Fund: orderFund, Amount: price, CreatedAt: at(i)}); err != nil {
				return err
			}
			if i%2 == 0 { // the others stay reserved
				return nil
			}
			now, err := spent(tx)
			if err != nil {
				return err
			}
			ev := event(numbered("spent", i), "order-1", "0", order("order-1"))
			ev.Body = make([]byte, now+price)
			if _, err := tx.Append(t.Context(), ev); err != nil {
				return err
			}
			return tx.Unreserve(t.Context(), id)
		}
	})
	equal(t, "requests that got money", done, wealth/price)
}
