package operation

import (
	"context"
	"strings"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// movedBy is what the money of a capture or refund on record moves of.
func (o *Operations) movedBy(row store.Request) (m movable, account Account, err error) {
	job, key, _ := strings.Cut(row.Subject, " ")
	m = o.ofOrder(key)
	if job == journal.JobReadTransaction {
		m = o.ofTransaction(journal.FromNetworkKey(key))
	}
	account, err = o.account(row.MerchantAccount, m.api)
	return m, account, err
}

// lookIntoNetwork reads at Klarna what a request about a payment on the Network was about. What it was about is its
// payment request, its transaction, or the reference that notifications will name.
func (o *Operations) lookIntoNetwork(ctx context.Context, row store.Request) (what finding, answer any, err error) {
	job, key, _ := strings.Cut(row.Subject, " ")
	partnerID, id := journal.FromNetworkKey(key)
	switch row.Operation {
	case "createPaymentRequest":
		payment, told, err := o.earlier(ctx, row.MerchantAccount, partnerID, id, row.FirstSent)
		if err != nil || !told || payment.Network.RequestID == "" {
			return o.late(row), nil, err // nobody has its address: another one does no harm
		}
		read, err := o.askedBefore(ctx, payment, nil)
		return found, read, err
	case "authorizePayment":
		return o.lookForTransaction(ctx, row, job, partnerID, id)
	case "extendTransaction": // nothing shows it, only a repeat under the key tells
		if o.store.Now().Sub(row.FirstSent) > keyLife {
			return unknowable, nil, nil
		}
		return unsure, nil, nil
	}
	if job == journal.JobReadRequest {
		read, err := o.PaymentRequest(ctx, row.MerchantAccount, partnerID, id)
		if err == nil && row.Operation == "cancelPaymentRequest" && read.State == klarna.RequestCanceled {
			return found, struct{}{}, nil
		}
		return o.late(row), nil, err
	}
	read, err := o.Transaction(ctx, row.MerchantAccount, partnerID, id)
	ended := read.State == klarna.TransactionClosed || read.State == klarna.TransactionCompleted
	if err == nil && row.Operation == "voidTransaction" && ended {
		return found, struct{}{}, nil
	}
	return o.late(row), nil, err
}

// lookForTransaction looks for what an authorisation led to. Klarna has no way to look for a transaction: a notification
// names it, or a repeat under the key, for as long as Klarna knows that.
func (o *Operations) lookForTransaction(ctx context.Context, row store.Request, job, partnerID, id string) (what finding, answer any, err error) {
	requestID, reference := "", id
	if job == journal.JobReadRequest {
		requestID, reference = id, row.ID
	}
	if len(row.Answer) > 0 {
		var sent sentAuthorization
		if err := decodeAnswer(row.Answer, &sent); err != nil {
			return unsure, nil, err
		}
		reference = sent.Request.RequestPaymentTransaction.PaymentTransactionReference
	}
	payment, what, err := o.authorizedAs(ctx, row.MerchantAccount, partnerID, requestID, reference, row.FirstSent)
	switch {
	case err == nil && what == absent && row.Erased: // by which reference it was is not known any more
		return unknowable, nil, nil
	case err != nil || what == absent:
		return what, nil, err
	case what == found:
		made, err := o.approvedAs(ctx, payment, requestID)
		return found, made, err
	case o.store.Now().Sub(row.FirstSent) > keyLife:
		return unknowable, nil, nil
	}
	return unsure, nil, nil
}
