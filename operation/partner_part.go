package operation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// PartnerParts is what a merchant account may ask Klarna about the parts of its partners. Nothing of it changes
// anything, and nothing is recorded.
type PartnerParts interface {
	BusinessEntities(ctx context.Context, partnerAccountID string) ([]klarna.BusinessEntity, error)
	BusinessEntity(ctx context.Context, partnerAccountID, id string) (klarna.BusinessEntity, error)
	Brands(ctx context.Context, partnerAccountID string) ([]klarna.Brand, error)
	Brand(ctx context.Context, partnerAccountID, id string) (klarna.Brand, error)
	StoreGroups(ctx context.Context, partnerAccountID string, part klarna.Cursor) (groups []klarna.StoreGroup, next string, err error)
	StoreGroup(ctx context.Context, partnerAccountID, id string) (klarna.StoreGroup, error)
	Stores(ctx context.Context, partnerAccountID string, part klarna.Cursor) (stores []klarna.Store, next string, err error)
	Store(ctx context.Context, partnerAccountID, id string) (klarna.Store, error)
	PaymentAccount(ctx context.Context, partnerAccountID, productID, id string) (klarna.PaymentAccount, error)
	PaymentProfiles(ctx context.Context) ([]klarna.PaymentProfile, error)
	ComplianceDecisions(ctx context.Context, partnerAccountID string, part klarna.Cursor) (decisions []klarna.ComplianceDecision, next string, err error)
	ComplianceDecision(ctx context.Context, partnerAccountID, id string) (klarna.ComplianceDecision, error)
}

// PartnerParts opens the parts of a merchant account's partners.
func (o *Operations) PartnerParts(merchantAccount string) (PartnerParts, error) {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return nil, err
	}
	return account.Klarna, nil
}

// CreateBusinessEntity adds a legal entity.
func (o *Operations) CreateBusinessEntity(ctx context.Context, req Request, accountID string, in klarna.BusinessEntity) (klarna.BusinessEntity, error) {
	return changePart(ctx, o, req, partChange[klarna.BusinessEntity]{
		operation: "createBusinessEntity", accountID: accountID, raw: func(made klarna.BusinessEntity) json.RawMessage { return made.Raw },
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.BusinessEntity, error) {
			return c.CreateBusinessEntity(ctx, key, accountID, in)
		},
		there: func(a klarna.PartnerAccount) *klarna.BusinessEntity {
			return first(a.PartnerBusinessEntities, func(e klarna.BusinessEntity) bool {
				return e.PartnerBusinessEntityReference == in.PartnerBusinessEntityReference
			})
		},
		show: putEntity,
	})
}

// UpdateBusinessEntity changes a legal entity.
func (o *Operations) UpdateBusinessEntity(ctx context.Context, req Request, accountID, id string, in klarna.BusinessEntityUpdate) (klarna.BusinessEntity, error) {
	return changePart(ctx, o, req, partChange[klarna.BusinessEntity]{
		operation: "updateBusinessEntity", accountID: accountID, raw: func(made klarna.BusinessEntity) json.RawMessage { return made.Raw },
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.BusinessEntity, error) {
			return c.UpdateBusinessEntity(ctx, key, accountID, id, in)
		},
		show: putEntity,
	})
}

// CreateBrand adds a brand.
func (o *Operations) CreateBrand(ctx context.Context, req Request, accountID string, in klarna.Brand) (klarna.Brand, error) {
	return changePart(ctx, o, req, partChange[klarna.Brand]{
		operation: "createBrand", accountID: accountID, raw: func(made klarna.Brand) json.RawMessage { return made.Raw },
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.Brand, error) {
			return c.CreateBrand(ctx, key, accountID, in)
		},
		there: func(a klarna.PartnerAccount) *klarna.Brand {
			return first(a.Brands, func(b klarna.Brand) bool { return b.BrandReference == in.BrandReference })
		},
		show: func(a *klarna.PartnerAccount, made klarna.Brand) {
			a.Brands = put(a.Brands, made, func(b klarna.Brand) bool { return b.BrandReference == made.BrandReference })
		},
	})
}

// CreateStoreGroup adds a store group with its stores.
func (o *Operations) CreateStoreGroup(ctx context.Context, req Request, accountID string, in klarna.StoreGroup) (klarna.StoreGroup, error) {
	return changePart(ctx, o, req, partChange[klarna.StoreGroup]{
		operation: "createStoreGroup", accountID: accountID, raw: func(made klarna.StoreGroup) json.RawMessage { return made.Raw },
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.StoreGroup, error) {
			made, err := c.CreateStoreGroup(ctx, key, accountID, in)
			made.BrandReference = cmp.Or(made.BrandReference, in.BrandReference)
			return made, err
		},
		there: func(a klarna.PartnerAccount) *klarna.StoreGroup {
			return first(a.StoreGroups, func(g klarna.StoreGroup) bool { return g.StoreGroupReference == in.StoreGroupReference })
		},
		show: func(a *klarna.PartnerAccount, made klarna.StoreGroup) {
			a.StoreGroups = put(a.StoreGroups, made, func(g klarna.StoreGroup) bool { return g.StoreGroupReference == made.StoreGroupReference })
		},
	})
}

// UpdateStoreGroup changes a store group.
func (o *Operations) UpdateStoreGroup(ctx context.Context, req Request, accountID, id string, in klarna.StoreGroupUpdate) (klarna.StoreGroup, error) {
	return changePart(ctx, o, req, partChange[klarna.StoreGroup]{
		operation: "updateStoreGroup", accountID: accountID, raw: func(made klarna.StoreGroup) json.RawMessage { return made.Raw },
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.StoreGroup, error) {
			return c.UpdateStoreGroup(ctx, key, accountID, id, in)
		},
		show: func(a *klarna.PartnerAccount, made klarna.StoreGroup) {
			if made.Stores == nil { // a change shows what was changed, perhaps no more
				if before := first(a.StoreGroups, func(g klarna.StoreGroup) bool { return g.StoreGroupID == id }); before != nil {
					made.Stores = before.Stores
				}
			}
			a.StoreGroups = put(a.StoreGroups, made, func(g klarna.StoreGroup) bool { return g.StoreGroupID == id })
		},
	})
}

// CreateStore adds a store to a store group.
func (o *Operations) CreateStore(ctx context.Context, req Request, accountID string, in klarna.Store) (klarna.Store, error) {
	return changePart(ctx, o, req, partChange[klarna.Store]{
		operation: "createStore", accountID: accountID, raw: func(made klarna.Store) json.RawMessage { return made.Raw },
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.Store, error) {
			return c.CreateStore(ctx, key, accountID, in)
		},
		there: func(a klarna.PartnerAccount) *klarna.Store {
			group := first(a.StoreGroups, func(g klarna.StoreGroup) bool { return g.StoreGroupID == in.StoreGroupID })
			if group == nil {
				return nil
			}
			return first(group.Stores, func(s klarna.Store) bool { return s.StoreReference == in.StoreReference })
		},
		show: func(a *klarna.PartnerAccount, made klarna.Store) {
			if group := first(a.StoreGroups, func(g klarna.StoreGroup) bool { return g.StoreGroupID == in.StoreGroupID }); group != nil {
				group.Stores = put(group.Stores, made, func(s klarna.Store) bool { return s.StoreReference == made.StoreReference })
			}
		},
	})
}

// UpdateStore makes a store what it shall be.
func (o *Operations) UpdateStore(ctx context.Context, req Request, accountID, id string, in klarna.Store) (klarna.Store, error) {
	return changePart(ctx, o, req, partChange[klarna.Store]{
		operation: "updateStore", accountID: accountID, raw: func(made klarna.Store) json.RawMessage { return made.Raw },
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.Store, error) {
			return c.UpdateStore(ctx, key, accountID, id, in)
		},
		show: func(a *klarna.PartnerAccount, made klarna.Store) {
			known := func(s klarna.Store) bool { return s.StoreID == id }
			for i := range a.StoreGroups {
				if group := &a.StoreGroups[i]; slices.ContainsFunc(group.Stores, known) {
					group.Stores = put(group.Stores, made, known)
				}
			}
		},
	})
}

func putEntity(a *klarna.PartnerAccount, made klarna.BusinessEntity) {
	a.PartnerBusinessEntities = put(a.PartnerBusinessEntities, made, func(e klarna.BusinessEntity) bool {
		return e.PartnerBusinessEntityReference == made.PartnerBusinessEntityReference
	})
}

// first is the first item that is meant, in the list itself; nil if none is.
func first[T any](list []T, meant func(T) bool) *T {
	if i := slices.IndexFunc(list, meant); i >= 0 {
		return &list[i]
	}
	return nil
}

// put replaces the item that is meant, or adds it.
func put[T any](list []T, item T, meant func(T) bool) []T {
	if there := first(list, meant); there != nil {
		*there = item
		return list
	}
	return append(list, item)
}

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
	return once(ctx, o, change.operation, req, func(ctx context.Context, try attempt) (done effect[A], err error) {
		if err := o.manageable(ctx, account.Name, change.accountID); err != nil {
			return done, err
		}
		done.answer, err = change.make(ctx, account.Klarna, try)
		if err != nil {
			err = fmt.Errorf("%s of %s: %w", change.operation, change.accountID, err)
			return done, o.partUnsettled(ctx, account.Name, change.accountID, err)
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

// partUnsettled leaves work behind when the outcome of a write is unknown: the account is read soon.
func (o *Operations) partUnsettled(ctx context.Context, merchantAccount, accountID string, cause error) error {
	if errors.Is(cause, klarna.ErrOutcomeUnknown) {
		o.readSoon(ctx, journal.JobReadAccount, merchantAccount, accountID)
	}
	return cause
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
