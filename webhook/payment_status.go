package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
)

// badSignature is the one reason for every flaw of a signature: missing, twice, malformed, by an unknown key or for an
// unknown merchant account, or wrong.
const badSignature = "signature not valid"

// paymentStatus takes the signed notifications of Pay Now Standalone. The signature covers the raw bytes, so it is
// checked before they are parsed. Klarna: only 200, 201, 202 and 204 are taken for an acknowledgement, anything else is
// sent again without end.
func (r *Receiver) paymentStatus(ctx context.Context, d delivery) answer {
	account := d.path("merchant_account")
	header, ok := d.one(klarna.HeaderPayloadSignature)
	if !ok {
		return refuse(http.StatusBadRequest, badSignature)
	}
	key, err := r.statusKey(ctx, account, header, d.body)
	switch {
	case errors.Is(err, klarna.ErrSignature):
		return refuse(http.StatusBadRequest, badSignature)
	case err != nil:
		return fail("", "", err)
	}
	a := r.statusVerified(ctx, account, d)
	a.key = key.SigningKeyID
	if a.outcome != Failed {
		r.keys.used(ctx, key)
	}
	return a
}

// statusKey finds the key that a post is signed with. Every flaw of the signature is klarna.ErrSignature.
func (r *Receiver) statusKey(ctx context.Context, account, header string, body []byte) (ringKey, error) {
	signature, err := klarna.ParsePayloadSignature(header)
	if err != nil {
		return ringKey{}, err
	}
	keys, err := r.keys.find(ctx, journal.PaymentStatusScheme, signature.Version)
	if err != nil {
		return ringKey{}, err
	}
	for _, key := range keys {
		if key.MerchantAccount != account {
			continue
		}
		if _, err := klarna.VerifyPaymentStatus(map[string][]byte{key.ID: key.secret}, header, body); err == nil {
			return key, nil
		}
	}
	return ringKey{}, klarna.ErrSignature
}

// statusVerified records a notification that is Klarna's.
func (r *Receiver) statusVerified(ctx context.Context, account string, d delivery) answer {
	n, err := klarna.ParsePaymentStatus(d.body)
	if err != nil {
		return r.quarantine(ctx, account, "", "body cannot be read", err, d.body)
	}
	fact := journal.PaymentFact{
		EventID: fmt.Sprintf("payment-status:%s:%s", account, n.EventID), MerchantAccount: account,
		Cause: journal.Notification, At: r.at(n.OccurredAt.Time), Type: n.EventType, Raw: d.body, TraceParent: d.trace,
		OrderID: n.Payload.OrderID,
	}
	if n.EventType == klarna.EventPaymentStatusUpdated {
		if n.Payload.PaymentStatus == "" {
			return r.quarantine(ctx, account, n.EventID, "payment status is missing", nil, d.body)
		}
		fact.Status = statusFacts(n.Payload)
	}
	record, err := r.journal.RecordPayment(ctx, fact)
	return recorded(http.StatusOK, account, n.EventID, record.Outcome, err).after(record.Trail())
}

func statusFacts(p klarna.PaymentStatusPayload) *journal.StatusFacts {
	facts := &journal.StatusFacts{
		Status: string(p.PaymentStatus), Currency: p.PurchaseCurrency, OrderAmount: p.OrderAmount,
		Reference1: p.MerchantReference1, Reference2: p.MerchantReference2,
	}
	for _, expected := range p.ExpectedPayments {
		facts.Expected = append(facts.Expected, journal.Transfer{
			Amount: expected.PaymentAmount, Debtor: journal.Debtor(expected.Debtor),
		})
	}
	for _, received := range p.Payments {
		facts.Received = append(facts.Received, journal.Transfer{
			Amount: received.PaymentAmount, ReceivedAt: received.PaymentReceivedAt.Time, Debtor: journal.Debtor(received.Debtor),
		})
	}
	return facts
}
