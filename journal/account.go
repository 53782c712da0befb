package journal

import (
	"slices"
	"time"

	"payments.internal/klarna-gateway/store"
)

// Klarna's account states. Only Klarna moves an account.
// Klarna: PARTIALLY_OPERATIONAL → OPERATIONAL ⇄ DISABLED.
const (
	AccountPartial     = "PARTIALLY_OPERATIONAL"
	AccountOperational = "OPERATIONAL"
	AccountDisabled    = "DISABLED"
)

// Klarna's product states.
const (
	ProductEnabled    = "ENABLED"
	ProductDisabled   = "DISABLED"
	ProductTerminated = "TERMINATED"
)

// Account is everything on record about one partner account.
type Account struct {
	ID              string    `json:"id"`
	MerchantAccount string    `json:"merchant_account"`
	AccountID       string    `json:"account_id,omitempty"` // Klarna's
	Reference       string    `json:"reference,omitempty"`  // ours
	State           string    `json:"state"`                // Klarna's word
	StateAt         time.Time `json:"state_at,omitzero"`    // the source's time of the state
	StateRead       bool      `json:"state_read,omitempty"` // the state was asked for, not told
	Products        []Product `json:"products,omitempty"`
	Warnings        []Warning `json:"warnings,omitempty"`
	Details         []byte    `json:"details,omitempty"`  // Klarna's newest account resource
	ErasedAt        time.Time `json:"erased_at,omitzero"` // personal data
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
}

// Product is a product's state, apart from the account's.
type Product struct {
	ID          string    `json:"id"`
	State       string    `json:"state"` // Klarna's word
	StateAt     time.Time `json:"state_at,omitzero"`
	StateReason string    `json:"state_reason,omitempty"`
}

// Warning is a hint of Klarna's that blocks nothing.
type Warning struct {
	Type           string    `json:"type"`
	BrandID        string    `json:"brand_id,omitempty"`
	BrandReference string    `json:"brand_reference,omitempty"`
	Fields         []string  `json:"fields,omitempty"`
	At             time.Time `json:"at"`
}

var accountMoves = map[string][]string{
	AccountPartial:     {AccountOperational, AccountDisabled},
	AccountOperational: {AccountDisabled},
	AccountDisabled:    {AccountOperational},
}

var productMoves = map[string][]string{
	ProductEnabled:    {ProductDisabled, ProductTerminated},
	ProductDisabled:   {ProductEnabled, ProductTerminated},
	ProductTerminated: {ProductEnabled},
}

// legalWord tells whether a state may follow another one. Words that the table does not know may come and go.
func legalWord(moves map[string][]string, from, to string) bool {
	_, known := moves[from]
	return !known || from == to || slices.Contains(moves[from], to) || moves[to] == nil
}

// CanTransact tells whether new payments may be made for the partner.
func (a *Account) CanTransact() bool {
	if a.State != AccountPartial && a.State != AccountOperational {
		return false
	}
	return len(a.Products) == 0 || slices.ContainsFunc(a.Products, func(p Product) bool {
		return p.State == ProductEnabled || p.State == ""
	})
}

// CanManage tells whether the account may be changed.
func (a *Account) CanManage() bool { return a.State == AccountOperational }

func (a *Account) keys() []store.Key {
	var keys []store.Key
	if a.AccountID != "" {
		keys = append(keys, store.Key{Kind: KeyAccount, Value: a.AccountID})
	}
	if a.Reference != "" {
		keys = append(keys, store.Key{Kind: KeyAccountReference, Value: a.Reference})
	}
	return keys
}
