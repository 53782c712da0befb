package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
)

// accountEvent is what an event type says by itself. Klarna documents the metadata of partner events alone, so the
// type decides, whatever state the payload names.
type accountEvent struct {
	kind    journal.AccountKind
	state   string // the account's, or
	product string // the product's
}

// accountEvents are the types that move something. All others are kept and streamed as they are.
var accountEvents = map[string]accountEvent{
	klarna.EventAccountOperational:                            {kind: journal.KindOperational, state: journal.AccountOperational},
	"partner.account.state-change.disabled":                   {kind: journal.KindDisabled, state: journal.AccountDisabled},
	"partner.account.state-change.enabled":                    {kind: journal.KindEnabled, state: journal.AccountOperational},
	klarna.EventProductDisabled:                               {kind: journal.KindProductDisabled, product: journal.ProductDisabled},
	klarna.EventProductEnabled:                                {kind: journal.KindProductEnabled, product: journal.ProductEnabled},
	"partner.account.product.payment.state-change.terminated": {kind: journal.KindProductDisabled, product: journal.ProductTerminated},
	klarna.EventBrandDataIncomplete:                           {kind: journal.KindBrandDataIncomplete},
}

// otherEnvironment is the flaw of a production notification at a playground account, and the other way round.
const otherEnvironment = "of the other environment"

// warningBrandData is the type of the warning that a brand's data is incomplete.
const warningBrandData = "brand.data-incomplete"

// network takes the signed notifications of the Klarna Network. The signing key tells the merchant account. Klarna:
// only 200, 201, 202 and 204 are taken for an acknowledgement; after six retries the notification is lost.
func (r *Receiver) network(ctx context.Context, d delivery) answer {
	keyID, named := d.one(klarna.HeaderSigningKeyID)
	signature, signed := d.one(klarna.HeaderSignature)
	if !named || !signed {
		return refuse(http.StatusBadRequest, badSignature)
	}
	key, err := r.networkKey(ctx, strings.Trim(keyID, " \t"), signature, d.body)
	switch {
	case errors.Is(err, klarna.ErrSignature):
		return refuse(http.StatusBadRequest, badSignature)
	case err != nil:
		return fail("", "", err)
	}
	a := r.verified(ctx, key, d)
	a.key = key.SigningKeyID
	if a.outcome != Failed {
		r.keys.used(ctx, key)
	}
	return a
}

// networkKey finds the key that a post is signed with. Every flaw of the signature is klarna.ErrSignature.
func (r *Receiver) networkKey(ctx context.Context, id, signature string, body []byte) (ringKey, error) {
	keys, err := r.keys.find(ctx, journal.NetworkScheme, id)
	if err != nil {
		return ringKey{}, err
	}
	for _, key := range keys {
		_, served := r.live[key.MerchantAccount]
		if served && klarna.VerifyNetwork(map[string][]byte{id: key.secret}, id, signature, body) == nil {
			return key, nil
		}
	}
	return ringKey{}, klarna.ErrSignature
}

// verified records a notification that is Klarna's.
func (r *Receiver) verified(ctx context.Context, key ringKey, d delivery) answer {
	account := key.MerchantAccount
	n, err := klarna.ParseNetwork(d.body)
	if err != nil {
		return r.quarantine(ctx, account, "", "body cannot be read", err, d.body)
	}
	if a, taken := r.sample(ctx, account, key.ID, n, d.body); taken {
		return a
	}
	if payment, about, flaw := r.paymentFact(account, n); about {
		return r.paid(ctx, payment, flaw, n.Metadata.EventID, d)
	}
	fact, flaw := r.accountFact(account, n)
	if flaw != "" {
		return r.quarantine(ctx, account, n.Metadata.EventID, flaw, nil, d.body)
	}
	fact.Raw, fact.TraceParent = d.body, d.trace
	record, err := r.journal.RecordAccount(ctx, fact)
	return recorded(http.StatusOK, account, n.Metadata.EventID, record.Outcome, err).after(record.Trail())
}

// accountFact is what a notification tells, or why it cannot be applied.
func (r *Receiver) accountFact(account string, n klarna.NetworkNotification) (fact journal.AccountFact, flaw string) {
	meta, payload := n.Metadata, n.PartnerPayload()
	known := accountEvents[meta.EventType]
	fact = journal.AccountFact{
		EventID: fmt.Sprintf("network:%s:%s", account, meta.EventID), MerchantAccount: account, Kind: known.kind,
		Cause: journal.Notification, At: r.at(meta.OccurredAt.Time), Type: meta.EventType,
		AccountID: cmp.Or(meta.SubjectAccountID, payload.PartnerAccountID), State: known.state,
	}
	switch {
	case meta.Live != nil && *meta.Live != r.live[account]:
		return fact, otherEnvironment
	case fact.AccountID == "":
		return fact, "names no account"
	}
	if known.product != "" {
		product := journal.Product{
			ID: cmp.Or(meta.ProductInstanceID, payload.ProductID), State: known.product, StateReason: payload.StateReason,
		}
		if product.ID == "" {
			return fact, "names no product"
		}
		fact.Products = []journal.Product{product}
	}
	if known.kind == journal.KindBrandDataIncomplete {
		fact.Warning = brandWarning(payload)
		fact.Warning.At = fact.At
	}
	return fact, ""
}

// brandWarning lists the fields that Klarna could not use, such as "element.logo_url: URL answered 404".
func brandWarning(p klarna.PartnerPayload) *journal.Warning {
	w := &journal.Warning{Type: warningBrandData, BrandID: p.BrandID, BrandReference: p.BrandReference}
	for _, field := range p.IncompleteFields {
		text := field.Field
		if field.Reason != "" {
			text += ": " + field.Reason
		}
		w.Fields = append(w.Fields, text)
	}
	return w
}
