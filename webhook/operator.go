package webhook

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

type redrivenKey struct{}

func redriven(ctx context.Context) bool { return ctx.Value(redrivenKey{}) != nil }

// Redrive takes a quarantined notification in again, by the way that it took when it arrived but for the signature, which
// was checked then. ofNetwork says that it came from the Klarna Network. taken is false if it cannot be applied still; why
// says so for people. An error says that it could not be recorded.
func (r *Receiver) Redrive(ctx context.Context, q store.Quarantined, ofNetwork bool) (taken bool, why string, err error) {
	outcome, why, err := r.again(ctx, q.MerchantAccount, q.Raw, ofNetwork)
	return outcome == Stored || outcome == Duplicate, why, err
}

// Retake takes a notification in again that is in the log, in the same way. taken is as of Redrive; known says that it was
// on record as it came, and that nothing was done.
func (r *Receiver) Retake(ctx context.Context, ev store.Event, ofNetwork bool) (taken, known bool, why string, err error) {
	outcome, why, err := r.again(ctx, ev.MerchantAccount, ev.Raw, ofNetwork)
	return outcome == Stored || outcome == Duplicate, outcome == Duplicate, why, err
}

func (r *Receiver) again(ctx context.Context, account string, body []byte, ofNetwork bool) (outcome Outcome, why string, err error) {
	ctx = context.WithValue(ctx, redrivenKey{}, true)
	d := delivery{path: func(string) string { return "" }, header: http.Header{}, body: body, trace: traceParent(ctx, http.Header{})}
	var a answer
	if ofNetwork {
		a = r.verified(ctx, ringKey{SigningKey: store.SigningKey{SigningKeyID: store.SigningKeyID{
			Scheme: journal.NetworkScheme, MerchantAccount: account,
		}}}, d)
	} else {
		a = r.statusVerified(ctx, account, d)
	}
	switch a.outcome {
	case Stored:
		return a.outcome, "it is on record now", nil
	case Duplicate:
		return a.outcome, "it was on record already", nil
	case Failed:
		return a.outcome, "", fmt.Errorf("take in again: %w", a.err)
	}
	return a.outcome, cmp.Or(a.reason, "an event with its id is on record with other content"), nil
}

// CheckSignature tells whether a post would be taken for Klarna's, by which key, or why not; of the keys of one merchant
// account, or of all if it is empty. It is for operators: strangers are told nothing.
func (r *Receiver) CheckSignature(ctx context.Context, merchantAccount string, header http.Header, body []byte) (journal.SignatureCheck, error) {
	d := delivery{header: header, body: body}
	keyID, named := d.one(klarna.HeaderSigningKeyID)
	signature, signed := d.one(klarna.HeaderSignature)
	payload, standalone := d.one(klarna.HeaderPayloadSignature)
	check := journal.SignatureCheck{Scheme: journal.NetworkScheme, KeyID: strings.Trim(keyID, " \t")}
	verify := func(key ringKey) error {
		_, served := r.live[key.MerchantAccount]
		if !served {
			return klarna.ErrSignature
		}
		return klarna.VerifyNetwork(map[string][]byte{check.KeyID: key.secret}, keyID, signature, body)
	}
	_, malformed := hex.DecodeString(strings.Trim(signature, " \t"))
	switch {
	case named && signed:
	case standalone:
		parsed, err := klarna.ParsePayloadSignature(payload)
		check.Scheme, check.KeyID, malformed = journal.PaymentStatusScheme, parsed.Version, err
		verify = func(key ringKey) error {
			_, err := klarna.VerifyPaymentStatus(map[string][]byte{key.ID: key.secret}, payload, body)
			return err
		}
	default:
		return journal.SignatureCheck{Flaw: journal.HeaderMissing}, nil
	}
	if malformed != nil {
		check.Flaw = journal.HeaderMalformed
		return check, nil
	}
	return r.checkKeys(ctx, check, merchantAccount, verify)
}

// checkKeys looks for the key that verifies among those of the name, and tells why there is none.
func (r *Receiver) checkKeys(ctx context.Context, check journal.SignatureCheck, merchantAccount string, verify func(ringKey) error) (journal.SignatureCheck, error) {
	of := func(account string) bool { return merchantAccount == "" || account == merchantAccount }
	keys, err := r.keys.find(ctx, check.Scheme, check.KeyID)
	if err != nil {
		return check, err
	}
	check.Flaw = journal.KeyUnknown
	for _, key := range keys {
		if !of(key.MerchantAccount) {
			continue
		}
		check.Flaw = journal.SignatureDiffers
		if verify(key) == nil {
			check.Flaw, check.MerchantAccount, check.RetireAt = "", key.MerchantAccount, key.RetireAt
			return check, nil
		}
	}
	if check.Flaw != journal.KeyUnknown {
		return check, nil
	}
	rows, err := r.store.SigningKeys(ctx)
	for _, row := range rows {
		if row.Scheme == check.Scheme && row.ID == check.KeyID && of(row.MerchantAccount) && !row.RevokedAt.IsZero() {
			check.Flaw = journal.SigningKeyGone
		}
	}
	return check, err
}
