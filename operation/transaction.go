package operation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// NewAuthorization says what shall be authorised, and by what.
type NewAuthorization struct {
	PartnerID string
	RequestID string                 // a completed payment request: by its session token, for its amount unless another is given
	By        klarna.AuthorizeTokens // else by one of these tokens, or by none
	Request   klarna.AuthorizeRequest
}

// AuthorizationAnswer is what became of an authorisation.
type AuthorizationAnswer struct {
	Result      string // Klarna's word
	Reason      string // Klarna's word
	RequestID   string // the payment request that it was by, or that asks the customer; may be empty
	Transaction *klarna.Transaction
	StepUp      *klarna.PaymentRequest // without tokens
}

// Authorize makes a transaction. Without a reference of its own its reference is the request's id. A payment request's
// token is good for one transaction; Klarna refuses a second one.
func (o *Operations) Authorize(ctx context.Context, req Request, in NewAuthorization) (AuthorizationAnswer, error) {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return AuthorizationAnswer{}, err
	}
	wanted := &in.Request.RequestPaymentTransaction
	wanted.PaymentTransactionReference = cmp.Or(wanted.PaymentTransactionReference, req.ID)
	about := req.about(referenceSubject, journal.NetworkKey(in.PartnerID, wanted.PaymentTransactionReference))
	if in.RequestID != "" {
		about = req.about(journal.JobReadRequest, journal.NetworkKey(in.PartnerID, in.RequestID))
	}
	return once(ctx, o, "authorizePayment", about, func(ctx context.Context, try attempt) (done effect[AuthorizationAnswer], err error) {
		if err := o.transactable(ctx, account.Name, in.PartnerID); err != nil {
			return done, err
		}
		if try.stale { // Klarna may have forgotten the key: what was told of the reference decides
			return o.authorizedBefore(ctx, account, in, try)
		}
		if err := o.completeAuthorization(ctx, account.Name, &in, try); err != nil {
			return done, err
		}
		asked := o.store.Now()
		made, err := account.Klarna.Authorize(ctx, try.key, in.PartnerID, in.By, in.Request)
		if err != nil {
			if _, decided := decision(err); decided && try.first { // nothing came of it: the same request may ask for something else
				try.row.Answer = nil
			}
			return done, fmt.Errorf("authorise payment: %w", err)
		}
		done.answer, done.record = o.authorized(account.Name, in, made, journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:authorizePayment:%s", account.Name, req.ID), // unless it made something that has an id
			MerchantAccount: account.Name, Cause: journal.Call, At: asked, Raw: made.Raw,
		})
		return done, nil
	})
}

// completeAuthorization finds the payment request of an authorisation and its token, and takes over its amount if none is
// given. What a repeat sends must be the same: Klarna refuses another body under the key.
func (o *Operations) completeAuthorization(ctx context.Context, merchantAccount string, in *NewAuthorization, try attempt) (err error) {
	if len(try.row.Answer) > 0 {
		var sent sentAuthorization
		err := decodeAnswer(try.row.Answer, &sent)
		in.sendAgain(sent)
		return err
	}
	if in.RequestID == "" && in.By.Session != "" {
		payment, err := o.paymentOf(ctx, merchantAccount, in.PartnerID, journal.KeyToken, journal.TokenKey(in.By.Session.Reveal()))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil {
			in.RequestID = payment.Network.RequestID
		}
	}
	if in.RequestID != "" && in.By.Session == "" {
		if in.By.Session, err = o.sessionToken(ctx, merchantAccount, in.PartnerID, in.RequestID); err != nil {
			return err
		}
	}
	if in.Request.Currency == "" {
		payment, err := o.paymentOf(ctx, merchantAccount, in.PartnerID, journal.KeyRequest, in.RequestID)
		if err != nil {
			return err
		}
		in.Request.Currency, in.Request.RequestPaymentTransaction.Amount = payment.Currency, payment.OrderAmount
	}
	return o.sending(ctx, try, in.sent())
}

// authorized is what an authorisation brought, and what it taught.
func (o *Operations) authorized(merchantAccount string, in NewAuthorization, made klarna.Authorization, fact journal.PaymentFact) (AuthorizationAnswer, func(context.Context, store.Tx) error) {
	answer := AuthorizationAnswer{
		Result: string(made.Response.Result), Reason: made.Response.ResultReason, RequestID: in.RequestID,
		Transaction: made.Response.PaymentTransaction,
	}
	eventID := func(id string) string { return fmt.Sprintf("call:%s:authorizePayment:%s", merchantAccount, id) }
	switch {
	case answer.Transaction != nil:
		t := answer.Transaction
		t.PaymentTransactionReference = cmp.Or(t.PaymentTransactionReference, in.Request.RequestPaymentTransaction.PaymentTransactionReference)
		t.Currency, t.Amount = cmp.Or(t.Currency, in.Request.Currency), cmp.Or(t.Amount, in.Request.RequestPaymentTransaction.Amount)
		fact.Network = transactionFacts(in.PartnerID, *t)
		fact.Network.RequestID = cmp.Or(in.RequestID, t.PaymentRequestID)
		fact.EventID = eventID(t.PaymentTransactionID)
	case made.PaymentRequest != nil:
		request := tokenless(*made.PaymentRequest)
		answer.StepUp, answer.RequestID = &request, request.PaymentRequestID
		request.Currency, request.Amount = cmp.Or(request.Currency, in.Request.Currency), cmp.Or(request.Amount, in.Request.RequestPaymentTransaction.Amount)
		fact.Network = requestFact(merchantAccount, in.PartnerID, request, fact.At).Network
		fact.Network.TransactionReference = in.Request.RequestPaymentTransaction.PaymentTransactionReference
		fact.EventID = eventID(request.PaymentRequestID)
	case in.RequestID != "": // declined
		fact.Network = &journal.NetworkFacts{PartnerAccountID: in.PartnerID, Network: journal.Network{
			RequestID: in.RequestID, DeclineReason: cmp.Or(answer.Reason, answer.Result),
		}}
	default: // declined, and there is no payment that it belongs to
		return answer, nil
	}
	if data := in.Request.SupplementaryPurchaseData; data != nil {
		fact.Network.Request = cmp.Or(fact.Network.Request, &journal.RequestFacts{})
		fact.Network.Request.PurchaseReference = data.PurchaseReference
	}
	return answer, o.recordPayment(fact)
}

// authorizedBefore answers a repeat whose key Klarna may have forgotten.
func (o *Operations) authorizedBefore(ctx context.Context, account Account, in NewAuthorization, try attempt) (done effect[AuthorizationAnswer], err error) {
	payment, what, err := o.authorizedAs(ctx, account.Name, in.PartnerID, in.RequestID, in.Request.RequestPaymentTransaction.PaymentTransactionReference, try.row.FirstSent)
	if err == nil && what != found {
		err = tooLate()
	}
	if err == nil {
		done.answer, err = o.approvedAs(ctx, payment, in.RequestID)
	}
	return done, err
}

// authorizedAs finds the payment whose transaction an authorisation led to, by what was told of its payment request or of
// its reference. A payment request is good for one transaction: if there is another's, this authorisation led to none.
func (o *Operations) authorizedAs(ctx context.Context, merchantAccount, partnerID, requestID, reference string, since time.Time) (payment journal.Payment, what finding, err error) {
	if requestID != "" {
		payment, err = o.paymentOf(ctx, merchantAccount, partnerID, journal.KeyRequest, requestID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return payment, unsure, err
		}
		if err == nil && payment.Network.TransactionID != "" {
			if other := payment.Network.TransactionReference; other != "" && other != reference {
				return payment, absent, nil
			}
			return payment, found, nil
		}
	}
	payment, told, err := o.earlier(ctx, merchantAccount, partnerID, reference, since)
	if err != nil || !told || payment.Network.TransactionID == "" {
		return payment, unsure, err
	}
	return payment, found, nil
}

// approvedAs is the answer to an authorisation that led to a transaction, as Klarna shows it now. It was by a payment
// request, if that is not empty; Klarna does not say so when it shows the transaction.
func (o *Operations) approvedAs(ctx context.Context, payment journal.Payment, requestID string) (AuthorizationAnswer, error) {
	account, partnerID, id := payment.MerchantAccount, payment.PartnerAccountID, payment.Network.TransactionID
	if requestID != "" && payment.Network.RequestID == "" {
		_, err := o.journal.RecordPayment(ctx, journal.PaymentFact{
			EventID: fmt.Sprintf("found:%s:authorizePayment:%s", account, id), MerchantAccount: account, Cause: journal.Reconciled, At: o.store.Now(),
			Network: &journal.NetworkFacts{PartnerAccountID: partnerID, Network: journal.Network{RequestID: requestID, TransactionID: id}},
		})
		if err != nil {
			return AuthorizationAnswer{}, err
		}
	}
	read, err := o.Transaction(ctx, account, partnerID, id)
	return AuthorizationAnswer{Result: string(klarna.AuthorizationApproved), RequestID: cmp.Or(payment.Network.RequestID, requestID), Transaction: &read}, err
}

// Transaction reads a transaction from Klarna and records what is new.
func (o *Operations) Transaction(ctx context.Context, merchantAccount, partnerID, id string) (klarna.Transaction, error) {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return klarna.Transaction{}, err
	}
	asked := o.store.Now()
	read, err := account.Klarna.Transaction(ctx, partnerID, id)
	if err != nil {
		return read, fmt.Errorf("read transaction %s: %w", id, err)
	}
	read.PaymentTransactionID = cmp.Or(read.PaymentTransactionID, id)
	_, err = o.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID: o.reading(account.Name, id, read.Raw, asked), MerchantAccount: account.Name, Cause: journal.Reconciled, At: asked,
		Raw: read.Raw, Network: transactionFacts(partnerID, read),
	})
	return read, err
}

// transactionFacts is a transaction as Klarna shows it. An answer that leaves out the state is no full reading.
func transactionFacts(partnerID string, t klarna.Transaction) *journal.NetworkFacts {
	facts := &journal.NetworkFacts{
		PartnerAccountID: partnerID,
		Network: journal.Network{
			RequestID: t.PaymentRequestID, TransactionID: t.PaymentTransactionID, TransactionReference: t.PaymentTransactionReference,
		},
		Transaction: &journal.OrderFacts{
			Read: t.State != "", Status: string(t.State), Currency: t.Currency, Amount: t.Amount, Captured: t.CapturedAmount(), Refunded: t.RefundedAmount(),
			Remaining: t.RemainingAmount(), ExpiresAt: t.ExpiresAt.Time, Reference1: t.PurchaseReference,
		},
	}
	for _, c := range t.Captures {
		facts.Transaction.Captures = append(facts.Transaction.Captures, journal.Movement{
			ID: c.PaymentCaptureID, Reference: c.PaymentCaptureReference, Amount: c.CapturedAmount(), At: c.At(),
		})
	}
	for _, r := range t.Refunds {
		facts.Transaction.Refunds = append(facts.Transaction.Refunds, journal.Movement{
			ID: r.PaymentRefundID, Reference: r.Reference(), Amount: r.RefundedAmount(), At: r.At(),
		})
	}
	if t.Funding != nil && t.Funding.Type == klarna.FundingNonGuaranteed {
		facts.Funding = fundings[t.Funding.State]
	}
	return facts
}

// fundings are the payment statuses that the states of a funding amount to.
var fundings = map[string]string{
	klarna.FundingPending: journal.StatusUnpaid, klarna.FundingFunded: journal.StatusPaid, klarna.FundingExpired: journal.StatusClosed,
}

// sentAuthorization is an authorisation as it was sent, with its tokens in clear: it stands sealed on record.
type sentAuthorization struct {
	RequestID, Session, Customer string
	Request                      klarna.AuthorizeRequest
}

func (in NewAuthorization) sent() sentAuthorization {
	return sentAuthorization{in.RequestID, in.By.Session.Reveal(), in.By.Customer.Reveal(), in.Request}
}

func (in *NewAuthorization) sendAgain(s sentAuthorization) {
	in.RequestID, in.Request = s.RequestID, s.Request
	in.By = klarna.AuthorizeTokens{Session: klarna.Secret(s.Session), Customer: klarna.Secret(s.Customer)}
}
