package operation

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"payments.internal/klarna-gateway/klarna"
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
	PricePlans(ctx context.Context) ([]klarna.PricePlan, error)
	PricePlan(ctx context.Context, id string) (klarna.PricePlan, error)
	ProgramPlans(ctx context.Context, filter klarna.ProgramFilter) ([]klarna.ProgramPlan, error)
	ProgramPlan(ctx context.Context, id string) (klarna.ProgramPlan, error)
	PaymentProgram(ctx context.Context, id string) (klarna.PaymentProgram, error)
	ProgramEnablements(ctx context.Context, partnerAccountID string, part klarna.Cursor) (enablements []klarna.ProgramEnablement, next string, err error)
	ProgramEnablement(ctx context.Context, partnerAccountID, id string) (klarna.ProgramEnablement, error)
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
