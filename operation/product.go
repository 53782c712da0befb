package operation

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// PaymentProducts reads an account's payment products from Klarna and records what is new.
func (o *Operations) PaymentProducts(ctx context.Context, merchantAccount, accountID string) ([]klarna.Product, error) {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return nil, err
	}
	asked := o.store.Now()
	products, err := account.Klarna.PaymentProducts(ctx, accountID)
	if err != nil {
		return nil, fmt.Errorf("read payment products of %s: %w", accountID, err)
	}
	var raw []byte
	for _, p := range products {
		raw = append(append(raw, p.Raw...), '\n')
	}
	fact := journal.AccountFact{
		EventID:         fmt.Sprintf("read:%s:%s:products:%x", account.Name, accountID, o.store.Fingerprint(raw, []byte(asked.Format(time.RFC3339Nano)))[:12]),
		MerchantAccount: account.Name, Kind: journal.KindChanged, Cause: journal.Reconciled, At: asked, Raw: raw,
		AccountID: accountID, Products: productStates(products),
	}
	record := o.amend(fact, func(a *klarna.PartnerAccount) { a.Products = products })
	return products, o.store.Do(ctx, func(tx store.Tx) error { return record(ctx, tx) })
}

// DisablePaymentProduct stops new payments of a partner.
func (o *Operations) DisablePaymentProduct(ctx context.Context, req Request, accountID, productID string, why klarna.DisableReason) error {
	return o.turnProduct(ctx, req, productTurn{
		operation: "disablePaymentProduct", accountID: accountID, productID: productID,
		state: klarna.ProductDisabled, kind: journal.KindProductDisabled, reason: why.Reason,
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.Product, error) {
			return c.DisablePaymentProduct(ctx, key, accountID, productID, why)
		},
	})
}

// EnablePaymentProduct lets a partner take new payments again. Klarna may refuse what it has disabled itself.
func (o *Operations) EnablePaymentProduct(ctx context.Context, req Request, accountID, productID string) error {
	return o.turnProduct(ctx, req, productTurn{
		operation: "enablePaymentProduct", accountID: accountID, productID: productID,
		state: klarna.ProductEnabled, kind: journal.KindProductEnabled,
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.Product, error) {
			return c.EnablePaymentProduct(ctx, key, accountID, productID)
		},
	})
}

// productTurn is a write that moves a product into a state.
type productTurn struct {
	operation, accountID, productID string
	state                           klarna.ProductState
	kind                            journal.AccountKind
	reason                          string // ours; empty for none
	send                            func(ctx context.Context, c *klarna.Client, key string) (klarna.Product, error)
}

// turnProduct moves a product once and records its new state with the answer. Klarna may tell of it by a notification
// as well, which then is a repeat.
func (o *Operations) turnProduct(ctx context.Context, req Request, turn productTurn) error {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return err
	}
	_, err = once(ctx, o, turn.operation, req.about(journal.JobReadAccount, turn.accountID), func(ctx context.Context, try attempt) (done effect[PartnerAnswer], err error) {
		if err := o.manageable(ctx, account.Name, turn.accountID); err != nil {
			return done, err
		}
		since, err := o.stateSince(ctx, account.Name, turn, try)
		if err != nil {
			return done, err
		}
		turned, err := turn.make(ctx, account.Klarna, try)
		if err != nil {
			err = fmt.Errorf("%s %s: %w", turn.operation, turn.productID, err)
			return done, err
		}
		done.answer = PartnerAnswer{AccountID: turn.accountID}
		done.record = o.recordAccount(journal.AccountFact{
			EventID: fmt.Sprintf("call:%s:%s:%s", account.Name, turn.operation, req.ID), MerchantAccount: account.Name,
			Kind: turn.kind, Cause: journal.Call, At: o.store.Now(), Raw: turned.Raw, AccountID: turn.accountID,
			Products: []journal.Product{{
				ID: turn.productID, State: string(turn.state), StateAt: since, StateReason: cmp.Or(turned.StateReason, turn.reason),
			}},
		})
		return done, nil
	})
	return err
}

// stateSince is the time to put down for the product's new state: when it was first asked for, so that what Klarna tells
// of the product afterwards is newer. What was known of the product by then is older, whatever Klarna's clock said.
func (o *Operations) stateSince(ctx context.Context, merchantAccount string, turn productTurn, try attempt) (time.Time, error) {
	since := try.row.FirstSent
	if !try.first {
		return since, nil
	}
	known, err := o.journal.AccountBy(ctx, merchantAccount, journal.KeyAccount, turn.accountID)
	if p := first(known.Products, func(p journal.Product) bool { return p.ID == turn.productID }); p != nil && p.StateAt.After(since) {
		since = p.StateAt
	}
	return since, err
}

// make sends the write. If Klarna may have forgotten its key, what the product shows decides: a second write would be
// refused.
func (p productTurn) make(ctx context.Context, c *klarna.Client, try attempt) (klarna.Product, error) {
	if try.stale {
		products, err := c.PaymentProducts(ctx, p.accountID)
		is := func(there klarna.Product) bool { return there.ProductID == p.productID && there.State == p.state }
		if there := first(products, is); err != nil || there != nil {
			if there == nil {
				there = new(klarna.Product)
			}
			return *there, err
		}
	}
	return p.send(ctx, c, try.key)
}

// CreatePaymentAccount adds a payment account to a product. Klarna: requests name entity and store group by reference,
// answers by id; the answer here has both.
func (o *Operations) CreatePaymentAccount(ctx context.Context, req Request, accountID, productID string, in klarna.PaymentAccount) (klarna.PaymentAccount, error) {
	return changePart(ctx, o, req, partChange[klarna.PaymentAccount]{
		operation: "createPaymentAccount", accountID: accountID, raw: func(made klarna.PaymentAccount) json.RawMessage { return made.Raw },
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.PaymentAccount, error) {
			made, err := c.CreatePaymentAccount(ctx, key, accountID, productID, in)
			made.PartnerBusinessEntityReference = cmp.Or(made.PartnerBusinessEntityReference, in.PartnerBusinessEntityReference)
			made.DefaultStoreGroupReference = cmp.Or(made.DefaultStoreGroupReference, in.DefaultStoreGroupReference)
			return made, err
		},
		there: func(a klarna.PartnerAccount) *klarna.PaymentAccount {
			product := first(a.Products, func(p klarna.Product) bool { return p.ProductID == productID })
			if product == nil {
				return nil
			}
			return first(product.PaymentAccounts, func(p klarna.PaymentAccount) bool {
				return p.PaymentAccountReference == in.PaymentAccountReference && p.PaymentAcquiringAccountID == in.PaymentAcquiringAccountID
			})
		},
		show: func(a *klarna.PartnerAccount, made klarna.PaymentAccount) {
			if made.PartnerBusinessEntityID != "" && made.DefaultStoreGroupID != "" { // on record by id, as references may change
				made.PartnerBusinessEntityReference, made.DefaultStoreGroupReference = "", ""
			}
			putPaymentAccount(a, productID, made)
		},
	})
}

// UpdatePaymentAccount changes a payment account.
func (o *Operations) UpdatePaymentAccount(ctx context.Context, req Request, accountID, productID, id string, in klarna.PaymentAccountUpdate) (klarna.PaymentAccount, error) {
	return changePart(ctx, o, req, partChange[klarna.PaymentAccount]{
		operation: "updatePaymentAccount", accountID: accountID, raw: func(made klarna.PaymentAccount) json.RawMessage { return made.Raw },
		send: func(ctx context.Context, c *klarna.Client, key string) (klarna.PaymentAccount, error) {
			return c.UpdatePaymentAccount(ctx, key, accountID, productID, id, in)
		},
		show: func(a *klarna.PartnerAccount, made klarna.PaymentAccount) { putPaymentAccount(a, productID, made) },
	})
}

func putPaymentAccount(a *klarna.PartnerAccount, productID string, made klarna.PaymentAccount) {
	if product := first(a.Products, func(p klarna.Product) bool { return p.ProductID == productID }); product != nil {
		product.PaymentAccounts = put(product.PaymentAccounts, made, func(p klarna.PaymentAccount) bool {
			return p.PaymentAccountID == made.PaymentAccountID
		})
	}
}

// productStates are the states of the products that have an id.
func productStates(products []klarna.Product) (states []journal.Product) {
	for _, p := range products {
		if p.ProductID != "" {
			states = append(states, journal.Product{ID: p.ProductID, State: string(p.State), StateReason: p.StateReason})
		}
	}
	return states
}
