package operation

import (
	"context"
	"errors"
	"slices"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// Change is what a merchant account's way to Klarna becomes from a time on: another host, credential, or offer. What was
// made before lives where it was made, and is read and changed there.
type Change struct {
	From   time.Time
	Klarna *klarna.Client
	// TakesOver says that what was made before lives here too from now on: the profiles before it are never used again.
	TakesOver bool
}

// at is the account as it is at a time: with the profile in force, which looks at those before it for what it does not
// know. A call keeps the profile that it began with.
func (a Account) at(now time.Time) Account { return a.living(now, now) }

// living is the account for something that was made at a time: with the profile of then, or the one that has taken over
// by now. What was made elsewhere after all, such as a checkout order that was opened before a change and told of
// after it, is found by looking at the others, newest first.
func (a Account) living(made, now time.Time) Account {
	profiles, home := []*klarna.Client{a.first}, 0
	for _, change := range a.Changes {
		if change.From.After(now) {
			break
		}
		if change.TakesOver {
			profiles = nil
		}
		profiles = append(profiles, change.Klarna)
		if change.TakesOver || !change.From.After(made) {
			home = len(profiles) - 1
		}
	}
	a.Klarna = profiles[home]
	if others := slices.Delete(profiles, home, home+1); len(others) > 0 {
		slices.Reverse(others)
		a.Klarna = a.Klarna.Or(others...)
	}
	return a
}

// changed tells whether another profile has come into force between two times.
func (a Account) changed(since, now time.Time) bool {
	return slices.ContainsFunc(a.Changes, func(c Change) bool { return c.From.After(since) && !c.From.After(now) })
}

// home is the account for what belongs to a payment that is on record under a key; what is not on record is looked for.
func (o *Operations) home(ctx context.Context, account Account, kind, value string) (Account, error) {
	if len(account.Changes) == 0 {
		return account, nil
	}
	payment, err := o.paymentBy(ctx, account.Name, kind, value)
	if errors.Is(err, store.ErrNotFound) {
		return account, nil
	}
	return account.living(payment.CreatedAt, o.store.Now()), err
}
