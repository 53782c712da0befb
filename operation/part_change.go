package operation

import (
	"context"
	"encoding/json"
	"fmt"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// partChange is a write to a part of a partner account.
type partChange[A any] struct {
	operation string // its name in the ledger and in Klarna's key, so it never changes
	accountID string
	send      func(ctx context.Context, c *klarna.Client, key string) (A, error)
	// there finds what shall be created in the account; nil where a second write has no second effect.
	there func(klarna.PartnerAccount) *A
	// show puts what Klarna answered into the account's resource as it is on record.
	show func(*klarna.PartnerAccount, A)
	raw  func(A) json.RawMessage // what Klarna answered; nil if it had no body
}

// changePart makes a change once and records it with the answer. Klarna: an account has to be operational for it. An
// unknown outcome leaves a read of the account behind.
func changePart[A any](ctx context.Context, o *Operations, req Request, change partChange[A]) (answer A, err error) {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return answer, err
	}
	return once(ctx, o, change.operation, req.about(journal.JobReadAccount, change.accountID), func(ctx context.Context, try attempt) (done effect[A], err error) {
		if err := o.manageable(ctx, account.Name, change.accountID); err != nil {
			return done, err
		}
		done.answer, err = change.make(ctx, account.Klarna, try)
		if err != nil {
			err = fmt.Errorf("%s of %s: %w", change.operation, change.accountID, err)
			return done, err
		}
		fact := journal.AccountFact{
			EventID: fmt.Sprintf("call:%s:%s:%s", account.Name, change.operation, req.ID), MerchantAccount: account.Name,
			Kind: journal.KindUpdated, Cause: journal.Call, At: o.store.Now(), AccountID: change.accountID,
			Raw: change.raw(done.answer),
		}
		var show func(*klarna.PartnerAccount)
		if fact.Raw != nil {
			show = func(a *klarna.PartnerAccount) { change.show(a, done.answer) }
		}
		done.record = o.amend(fact, show)
		return done, nil
	})
}

// make sends the change. If Klarna may have forgotten the key of something that was created, what the account shows
// decides: a second creation would be refused.
func (p partChange[A]) make(ctx context.Context, c *klarna.Client, try attempt) (A, error) {
	if p.there != nil && try.stale {
		account, err := c.PartnerAccount(ctx, p.accountID, expansions...)
		if made := p.there(account); err != nil || made != nil {
			if made == nil {
				made = new(A)
			}
			return *made, err
		}
	}
	return p.send(ctx, c, try.key)
}

// amend records a fact together with a change of the account's resource. The resource is taken as it is on record when
// the commit is made, so that changes made at the same time do not undo each other on record. Where it is not on record,
// or what has changed is not known (nil), the account is read from Klarna soon.
func (o *Operations) amend(fact journal.AccountFact, change func(*klarna.PartnerAccount)) func(context.Context, store.Tx) error {
	return func(ctx context.Context, tx store.Tx) error {
		known, err := details(ctx, tx, fact.MerchantAccount, fact.AccountID)
		if err != nil {
			return err
		}
		if known != nil && change != nil {
			change(known)
			if fact.Details, err = json.Marshal(known); err != nil {
				return fmt.Errorf("encode partner account: %w", err)
			}
		} else if err := tx.AddJob(ctx, store.Job{
			Kind: journal.JobReadAccount, MerchantAccount: fact.MerchantAccount, Key: fact.AccountID, RunAt: fact.At, CreatedAt: fact.At,
		}); err != nil {
			return fmt.Errorf("add job %s: %w", journal.JobReadAccount, err)
		}
		_, err = o.journal.AccountIn(ctx, tx, fact)
		return err
	}
}

// details is an account's resource as it is on record, nil if none is.
func details(ctx context.Context, tx store.Tx, merchantAccount, accountID string) (*klarna.PartnerAccount, error) {
	found, err := tx.SubjectsByKeys(ctx, store.Accounts, merchantAccount, []store.Key{{Kind: journal.KeyAccount, Value: accountID}})
	if err != nil {
		return nil, fmt.Errorf("find account: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	entry, err := journal.DecodeAccountEntry(found[0].Body)
	if err != nil || entry.Account.Details == nil {
		return nil, err
	}
	known := new(klarna.PartnerAccount)
	if err := json.Unmarshal(entry.Account.Details, known); err != nil {
		return nil, fmt.Errorf("decode partner account: %w", err)
	}
	return known, nil
}
