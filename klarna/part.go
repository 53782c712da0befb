package klarna

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
)

// The parts of a partner account. Klarna: they may be read at any time, but be changed only once the account is
// operational. Lists of entities and brands come whole, those of stores and store groups page by page.

const (
	accountPath    = "/v2/accounts/{partner_account_id}"
	entitiesPath   = accountPath + "/partner-business-entities"
	brandsPath     = accountPath + "/brands"
	storeGroupPath = accountPath + "/store-groups"
	storesPath     = accountPath + "/stores"
)

// BusinessEntityUpdate changes what is set and keeps the rest.
type BusinessEntityUpdate struct {
	LegalRegisteredEntityName string                     `json:"legal_registered_entity_name,omitempty"`
	SupplementaryBusinessData *SupplementaryBusinessData `json:"supplementary_business_data,omitempty"` // each part of it sent whole
}

// StoreGroupUpdate changes what is set and keeps the rest.
type StoreGroupUpdate struct {
	StoreGroupReference string            `json:"store_group_reference,omitempty"`
	SupportContact      *SupportContact   `json:"support_contact,omitempty"`    // sent whole
	SocialMediaLinks    []SocialMediaLink `json:"social_media_links,omitempty"` // all of them
}

// CreateBusinessEntity adds a legal entity. Should Klarna answer without a body, what was sent is returned, without an
// id; so it is with everything that is created.
func (c *Client) CreateBusinessEntity(ctx context.Context, key, partnerAccountID string, in BusinessEntity) (BusinessEntity, error) {
	k := call{operation: "createPartnerBusinessEntity", path: entitiesPath, ids: []string{partnerAccountID}, key: key}
	return createPart(ctx, c, k, in, rawOfEntity)
}

// BusinessEntities lists the legal entities of an account.
func (c *Client) BusinessEntities(ctx context.Context, partnerAccountID string) ([]BusinessEntity, error) {
	k := call{operation: "listPartnerBusinessEntity", path: entitiesPath, ids: []string{partnerAccountID}}
	entities, _, err := readParts(ctx, c, k, "partner_business_entities", Cursor{}, rawOfEntity)
	return entities, err
}

// BusinessEntity reads a legal entity.
func (c *Client) BusinessEntity(ctx context.Context, partnerAccountID, id string) (BusinessEntity, error) {
	k := call{operation: "readPartnerBusinessEntity", path: entitiesPath + "/{partner_business_entity_id}", ids: []string{partnerAccountID, id}}
	return readPart(ctx, c, k, rawOfEntity)
}

// UpdateBusinessEntity changes a legal entity. Should Klarna answer without a body, what is returned holds its id alone;
// so it is with everything that is updated.
func (c *Client) UpdateBusinessEntity(ctx context.Context, key, partnerAccountID, id string, update BusinessEntityUpdate) (BusinessEntity, error) {
	k := call{
		operation: "updatePartnerBusinessEntity", method: http.MethodPatch, path: entitiesPath + "/{partner_business_entity_id}",
		ids: []string{partnerAccountID, id}, key: key, body: update,
	}
	return changePart(ctx, c, k, BusinessEntity{PartnerBusinessEntityID: id}, rawOfEntity)
}

// CreateBrand adds a brand.
func (c *Client) CreateBrand(ctx context.Context, key, partnerAccountID string, in Brand) (Brand, error) {
	k := call{operation: "createBrand", path: brandsPath, ids: []string{partnerAccountID}, key: key}
	return createPart(ctx, c, k, in, rawOfBrand)
}

// Brands lists the brands of an account.
func (c *Client) Brands(ctx context.Context, partnerAccountID string) ([]Brand, error) {
	k := call{operation: "listBrand", path: brandsPath, ids: []string{partnerAccountID}}
	brands, _, err := readParts(ctx, c, k, "brands", Cursor{}, rawOfBrand)
	return brands, err
}

// Brand reads a brand.
func (c *Client) Brand(ctx context.Context, partnerAccountID, id string) (Brand, error) {
	k := call{operation: "readBrand", path: brandsPath + "/{brand_id}", ids: []string{partnerAccountID, id}}
	return readPart(ctx, c, k, rawOfBrand)
}

// CreateStoreGroup adds a store group with its stores.
func (c *Client) CreateStoreGroup(ctx context.Context, key, partnerAccountID string, in StoreGroup) (StoreGroup, error) {
	k := call{operation: "createStoreGroup", path: storeGroupPath, ids: []string{partnerAccountID}, key: key}
	return createPart(ctx, c, k, in, rawOfGroup)
}

// StoreGroups lists store groups. next is the cursor of the next part, empty on the last one.
func (c *Client) StoreGroups(ctx context.Context, partnerAccountID string, part Cursor) (groups []StoreGroup, next string, err error) {
	k := call{operation: "listStoreGroup", path: storeGroupPath, ids: []string{partnerAccountID}, query: part.query()}
	return readParts(ctx, c, k, "store_groups", part, rawOfGroup)
}

// StoreGroup reads a store group.
func (c *Client) StoreGroup(ctx context.Context, partnerAccountID, id string) (StoreGroup, error) {
	k := call{operation: "readStoreGroup", path: storeGroupPath + "/{store_group_id}", ids: []string{partnerAccountID, id}}
	return readPart(ctx, c, k, rawOfGroup)
}

// UpdateStoreGroup changes a store group.
func (c *Client) UpdateStoreGroup(ctx context.Context, key, partnerAccountID, id string, update StoreGroupUpdate) (StoreGroup, error) {
	k := call{
		operation: "updateStoreGroup", method: http.MethodPatch, path: storeGroupPath + "/{store_group_id}",
		ids: []string{partnerAccountID, id}, key: key, body: update,
	}
	return changePart(ctx, c, k, StoreGroup{StoreGroupID: id}, rawOfGroup)
}

// CreateStore adds a store to the store group that it names.
func (c *Client) CreateStore(ctx context.Context, key, partnerAccountID string, in Store) (Store, error) {
	k := call{operation: "createStore", path: storesPath, ids: []string{partnerAccountID}, key: key}
	return createPart(ctx, c, k, in, rawOfStore)
}

// Stores lists the stores of all groups. next is the cursor of the next part, empty on the last one.
func (c *Client) Stores(ctx context.Context, partnerAccountID string, part Cursor) (stores []Store, next string, err error) {
	k := call{operation: "listStore", path: storesPath, ids: []string{partnerAccountID}, query: part.query()}
	return readParts(ctx, c, k, "stores", part, rawOfStore)
}

// Store reads a store.
func (c *Client) Store(ctx context.Context, partnerAccountID, id string) (Store, error) {
	k := call{operation: "readStore", path: storesPath + "/{store_id}", ids: []string{partnerAccountID, id}}
	return readPart(ctx, c, k, rawOfStore)
}

// UpdateStore makes a store what it shall be. Klarna: the type is repeated and cannot change; the ids are not sent.
func (c *Client) UpdateStore(ctx context.Context, key, partnerAccountID, id string, update Store) (Store, error) {
	update.StoreID, update.StoreGroupID = "", ""
	k := call{
		operation: "updateStore", method: http.MethodPatch, path: storesPath + "/{store_id}",
		ids: []string{partnerAccountID, id}, key: key, body: update,
	}
	return changePart(ctx, c, k, Store{StoreID: id}, rawOfStore)
}

func rawOfEntity(e *BusinessEntity) *json.RawMessage { return &e.Raw }
func rawOfBrand(b *Brand) *json.RawMessage           { return &b.Raw }
func rawOfGroup(g *StoreGroup) *json.RawMessage      { return &g.Raw }
func rawOfStore(s *Store) *json.RawMessage           { return &s.Raw }

// readPart makes a read of the Klarna Network.
func readPart[T any](ctx context.Context, c *Client, k call, raw func(*T) *json.RawMessage) (T, error) {
	var part, none T
	k.family, k.method, k.read = Network, http.MethodGet, into(&part, raw(&part))
	if err := c.do(ctx, k); err != nil {
		return none, err
	}
	return part, nil
}

// readParts reads a list of the Klarna Network by its name.
func readParts[T any](ctx context.Context, c *Client, k call, name string, part Cursor, raw func(*T) *json.RawMessage) (list []T, next string, err error) {
	k.family, k.method = Network, http.MethodGet
	k.read = func(a answer) (err error) {
		list, next, err = readList(a, name, part, raw)
		return err
	}
	if err := c.do(ctx, k); err != nil {
		return nil, "", err
	}
	return list, next, nil
}

// createPart makes a write that adds a part.
func createPart[T any](ctx context.Context, c *Client, k call, in T, raw func(*T) *json.RawMessage) (T, error) {
	var made, none T
	k.family, k.method, k.body = Network, http.MethodPost, in
	k.read = func(a answer) error {
		if a.cut == nil && len(bytes.TrimSpace(a.body)) == 0 {
			made = in
			return nil
		}
		return into(&made, raw(&made))(a)
	}
	if err := c.do(ctx, k); err != nil {
		return none, err
	}
	return made, nil
}

// changePart makes a write that changes a part. Known is what is returned where the answer says nothing else. Klarna:
// that the answer holds the part is documented for some changes and likely for the others.
func changePart[T any](ctx context.Context, c *Client, k call, known T, raw func(*T) *json.RawMessage) (T, error) {
	var none T
	k.family, k.read = Network, intoIfAny(&known, raw(&known))
	if err := c.do(ctx, k); err != nil {
		return none, err
	}
	return known, nil
}
