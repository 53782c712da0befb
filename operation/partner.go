package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// PartnerAnswer names the account a partner operation was about.
type PartnerAnswer struct {
	AccountID string
}

// expansions is everything an account read can show.
var expansions = []string{"products", "brands", "store_groups", "partner_business_entities"}

// Onboard creates a partner account or adds to one. Klarna's ids are committed together with our reference.
func (o *Operations) Onboard(ctx context.Context, req Request, in klarna.OnboardRequest) (PartnerAnswer, error) {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return PartnerAnswer{}, err
	}
	return once(ctx, o, "onboardPartner", req, func(ctx context.Context, try attempt) (done effect[PartnerAnswer], err error) {
		// A key that Klarna may have forgotten does no harm here: onboarding creates or adds, so that the same payload
		// sent again finds everything in place.
		made, err := account.Klarna.Onboard(ctx, try.key, in)
		if err != nil {
			return done, fmt.Errorf("onboard %s: %w", in.PartnerAccountReference, err)
		}
		done.answer = PartnerAnswer{AccountID: made.PartnerAccountID}
		fact, err := accountFact(account.Name, merged(made, in))
		if err != nil {
			return done, err
		}
		fact.EventID = fmt.Sprintf("call:%s:onboardPartner:%s", account.Name, req.ID)
		fact.Kind, fact.Cause, fact.At, fact.Raw = journal.KindOnboarded, journal.Call, o.store.Now(), made.Raw
		if fact.State == "" {
			fact.State = journal.AccountPartial // Klarna: what onboarding creates begins there
		}
		done.record = o.recordAccount(fact)
		return done, nil
	})
}

// merged fills what the answer leaves out with what was sent.
func merged(made klarna.PartnerAccount, in klarna.OnboardRequest) klarna.PartnerAccount {
	if made.PartnerAccountReference == "" {
		made.PartnerAccountReference = in.PartnerAccountReference
	}
	if made.PartnerAccountName == "" {
		made.PartnerAccountName = in.PartnerAccountName
	}
	if made.Products == nil {
		made.Products = in.Products
	}
	if made.Brands == nil {
		made.Brands = in.Brands
	}
	if made.StoreGroups == nil {
		made.StoreGroups = in.StoreGroups
	}
	return made
}

// Partner reads an account from Klarna and records what is new.
func (o *Operations) Partner(ctx context.Context, merchantAccount, accountID string) error {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return err
	}
	asked := o.store.Now()
	read, err := account.Klarna.PartnerAccount(ctx, accountID, expansions...)
	if err != nil {
		return fmt.Errorf("read partner account %s: %w", accountID, err)
	}
	fact, err := accountFact(account.Name, read)
	if err != nil {
		return err
	}
	fact.AccountID = accountID
	fact.EventID = fmt.Sprintf("read:%s:%s:%x", account.Name, accountID, o.store.Fingerprint(read.Raw, []byte(asked.Format(time.RFC3339Nano)))[:12])
	fact.Kind, fact.Cause, fact.At, fact.Raw = journal.KindChanged, journal.Reconciled, asked, read.Raw
	_, err = o.journal.RecordAccount(ctx, fact)
	return err
}

// UpdatePartner changes an account's own fields.
func (o *Operations) UpdatePartner(ctx context.Context, req Request, accountID string, in klarna.PartnerAccountUpdate) error {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return err
	}
	_, err = once(ctx, o, "updatePartner", req.about(journal.JobReadAccount, accountID), func(ctx context.Context, try attempt) (done effect[PartnerAnswer], err error) {
		if err := o.manageable(ctx, account.Name, accountID); err != nil {
			return done, err
		}
		read, err := account.Klarna.UpdatePartnerAccount(ctx, try.key, accountID, in)
		if err != nil {
			return done, fmt.Errorf("update partner account %s: %w", accountID, err)
		}
		known, err := o.journal.AccountBy(ctx, account.Name, journal.KeyAccount, accountID)
		if err != nil {
			return done, err
		}
		fact, err := accountFact(account.Name, overlaid(known, read))
		if err != nil {
			return done, err
		}
		fact.AccountID, fact.EventID = accountID, fmt.Sprintf("call:%s:updatePartner:%s", account.Name, req.ID)
		fact.Kind, fact.Cause, fact.At, fact.Raw = journal.KindUpdated, journal.Call, o.store.Now(), read.Raw
		done.answer, done.record = PartnerAnswer{AccountID: accountID}, o.recordAccount(fact)
		return done, nil
	})
	return err
}

// overlaid keeps what an unexpanded answer leaves out.
func overlaid(known journal.Account, read klarna.PartnerAccount) klarna.PartnerAccount {
	var before klarna.PartnerAccount
	if json.Unmarshal(known.Details, &before) != nil {
		return read
	}
	if read.Products == nil {
		read.Products = before.Products
	}
	if read.Brands == nil {
		read.Brands = before.Brands
	}
	if read.StoreGroups == nil {
		read.StoreGroups = before.StoreGroups
	}
	if read.PartnerBusinessEntities == nil {
		read.PartnerBusinessEntities = before.PartnerBusinessEntities
	}
	return read
}

// UpdateBrand changes a brand; warnings about it are settled.
func (o *Operations) UpdateBrand(ctx context.Context, req Request, accountID, brandID string, in klarna.BrandUpdate) (klarna.Brand, error) {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return klarna.Brand{}, err
	}
	return once(ctx, o, "updateBrand", req.about(journal.JobReadAccount, accountID), func(ctx context.Context, try attempt) (done effect[klarna.Brand], err error) {
		if err := o.manageable(ctx, account.Name, accountID); err != nil {
			return done, err
		}
		done.answer, err = account.Klarna.UpdateBrand(ctx, try.key, accountID, brandID, in)
		if err != nil {
			return done, fmt.Errorf("update brand %s: %w", brandID, err)
		}
		done.record = o.recordAccount(journal.AccountFact{
			EventID: fmt.Sprintf("call:%s:updateBrand:%s", account.Name, req.ID), MerchantAccount: account.Name,
			Kind: journal.KindUpdated, Cause: journal.Call, At: o.store.Now(), AccountID: accountID, Mended: brandID,
		})
		return done, nil
	})
}

// manageable refuses changes to an account that Klarna has not finished setting up, saying what to wait for. An
// account that is not on record is read first.
func (o *Operations) manageable(ctx context.Context, merchantAccount, accountID string) error {
	account, err := o.journal.AccountBy(ctx, merchantAccount, journal.KeyAccount, accountID)
	if errors.Is(err, store.ErrNotFound) {
		if err := o.Partner(ctx, merchantAccount, accountID); err != nil {
			return err
		}
		account, err = o.journal.AccountBy(ctx, merchantAccount, journal.KeyAccount, accountID)
	}
	switch {
	case err != nil:
		return err
	case account.State == journal.AccountDisabled:
		return refuse("ACCOUNT_DISABLED", "Klarna has disabled the account")
	case account.State == journal.AccountPartial:
		return refuse("ACCOUNT_NOT_OPERATIONAL", "the account is PARTIALLY_OPERATIONAL: it may transact, but not be changed; wait for OPERATIONAL on WatchAccountState")
	}
	return nil
}

func accountFact(merchantAccount string, a klarna.PartnerAccount) (journal.AccountFact, error) {
	details, err := json.Marshal(a)
	if err != nil {
		return journal.AccountFact{}, fmt.Errorf("encode partner account: %w", err)
	}
	fact := journal.AccountFact{
		MerchantAccount: merchantAccount, AccountID: a.PartnerAccountID, Reference: a.PartnerAccountReference,
		State: string(a.State), Details: details,
	}
	for _, p := range a.Products {
		if p.ProductID != "" {
			fact.Products = append(fact.Products, journal.Product{ID: p.ProductID, State: string(p.State)})
		}
	}
	return fact, nil
}

func (o *Operations) recordAccount(fact journal.AccountFact) func(context.Context, store.Tx) error {
	return func(ctx context.Context, tx store.Tx) error {
		_, err := o.journal.AccountIn(ctx, tx, fact)
		return err
	}
}
