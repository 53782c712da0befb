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

// CreatePaymentRequest opens a payment request for a partner. Without a reference of its own its reference is the
// request's id, by which what Klarna tells can be matched to it. The answer holds no tokens.
func (o *Operations) CreatePaymentRequest(ctx context.Context, req Request, partnerID string, customer klarna.Secret, in klarna.PaymentRequestInput) (klarna.PaymentRequest, error) {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return klarna.PaymentRequest{}, err
	}
	in.PaymentRequestReference = cmp.Or(in.PaymentRequestReference, req.ID)
	about := req.about(referenceSubject, journal.NetworkKey(partnerID, in.PaymentRequestReference))
	return once(ctx, o, "createPaymentRequest", about, func(ctx context.Context, try attempt) (done effect[klarna.PaymentRequest], err error) {
		if err := o.transactable(ctx, account.Name, partnerID); err != nil {
			return done, err
		}
		if try.stale { // Klarna may have forgotten the key: what was told of the reference decides
			payment, told, err := o.earlier(ctx, account.Name, partnerID, in.PaymentRequestReference, try.row.FirstSent)
			if err != nil || told && payment.Network.RequestID != "" {
				done.answer, err = o.askedBefore(ctx, payment, err)
				return done, err
			} // else nobody has its address, and it can only run out: another one does no harm
		}
		asked := o.store.Now()
		made, err := account.Klarna.CreatePaymentRequest(ctx, try.key, partnerID, customer, in)
		if err != nil {
			return done, fmt.Errorf("create payment request: %w", err)
		}
		made.PaymentRequestReference = cmp.Or(made.PaymentRequestReference, in.PaymentRequestReference)
		made.State = cmp.Or(made.State, klarna.RequestSubmitted)
		made.Currency, made.Amount = cmp.Or(made.Currency, in.Currency), cmp.Or(made.Amount, in.Amount)
		fact := requestFact(account.Name, partnerID, made, asked)
		fact.EventID, fact.Cause = fmt.Sprintf("call:%s:createPaymentRequest:%s", account.Name, made.PaymentRequestID), journal.Call
		if in.SupplementaryPurchaseData != nil {
			fact.Network.Request.PurchaseReference = in.SupplementaryPurchaseData.PurchaseReference
		}
		done.answer, done.record = tokenless(made), o.recordPayment(fact)
		return done, nil
	})
}

// tokenless is a payment request without its tokens: what is kept as an answer would not show them again.
func tokenless(r klarna.PaymentRequest) klarna.PaymentRequest {
	r.StateContext = klarna.RequestContext{CustomerInteraction: r.StateContext.CustomerInteraction}
	return r
}

// askedBefore is the payment request of an earlier attempt as Klarna shows it now.
func (o *Operations) askedBefore(ctx context.Context, payment journal.Payment, err error) (klarna.PaymentRequest, error) {
	if err != nil {
		return klarna.PaymentRequest{}, err
	}
	read, err := o.PaymentRequest(ctx, payment.MerchantAccount, payment.PartnerAccountID, payment.Network.RequestID)
	return tokenless(read), err
}

// earlier finds what an attempt has made whose answer was lost, by what was told of its reference since. What has no id of
// Klarna's is only our own doubt about it.
func (o *Operations) earlier(ctx context.Context, merchantAccount, partnerID, reference string, since time.Time) (payment journal.Payment, told bool, err error) {
	payment, err = o.paymentOf(ctx, merchantAccount, partnerID, journal.KeyReference, reference)
	if err != nil {
		return payment, false, ignoreNotFound(err)
	}
	return payment, !payment.CreatedAt.Before(since.Add(-clockSkew)), nil
}

// transactable refuses payments of a partner that may make none. Klarna: one that is partially operational may.
func (o *Operations) transactable(ctx context.Context, merchantAccount, partnerID string) error {
	partner, err := o.journal.AccountBy(ctx, merchantAccount, journal.KeyAccount, partnerID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // onboarded past us
	}
	if err == nil && partner.State == journal.AccountDisabled {
		return refuse("ACCOUNT_DISABLED", "Klarna has disabled the account")
	}
	return err
}

// PaymentRequest reads a payment request from Klarna and records what is new.
func (o *Operations) PaymentRequest(ctx context.Context, merchantAccount, partnerID, id string) (klarna.PaymentRequest, error) {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return klarna.PaymentRequest{}, err
	}
	asked := o.store.Now()
	read, err := account.Klarna.PaymentRequest(ctx, partnerID, id)
	if err != nil {
		return read, fmt.Errorf("read payment request %s: %w", id, err)
	}
	read.PaymentRequestID = cmp.Or(read.PaymentRequestID, id)
	fact := requestFact(account.Name, partnerID, read, asked)
	fact.Cause, fact.EventID = journal.Reconciled, o.reading(account.Name, id, read.Raw, asked)
	_, err = o.journal.RecordPayment(ctx, fact)
	return read, err
}

// paymentOf is a partner's payment as it is on record. That of another one is as good as none.
func (o *Operations) paymentOf(ctx context.Context, merchantAccount, partnerID, kind, value string) (journal.Payment, error) {
	payment, err := o.paymentBy(ctx, merchantAccount, kind, value)
	if err == nil && !ofPartner(payment, partnerID) {
		return journal.Payment{}, fmt.Errorf("%s of the partner: %w", kind, store.ErrNotFound)
	}
	return payment, err
}

func ofPartner(p journal.Payment, partnerID string) bool {
	return p.Network != nil && p.PartnerAccountID == partnerID
}

// reading is the event id of what was read: the same answer to the same question is recorded once.
func (o *Operations) reading(merchantAccount, id string, raw []byte, asked time.Time) string {
	return fmt.Sprintf("read:%s:%s:%x", merchantAccount, id, o.store.Fingerprint(raw, []byte(asked.Format(time.RFC3339Nano)))[:12])
}

func requestFact(merchantAccount, partnerID string, r klarna.PaymentRequest, asked time.Time) journal.PaymentFact {
	return journal.PaymentFact{
		MerchantAccount: merchantAccount, At: asked, Raw: r.Raw,
		Network: &journal.NetworkFacts{
			PartnerAccountID: partnerID,
			Network: journal.Network{
				RequestID: r.PaymentRequestID, RequestReference: r.PaymentRequestReference,
				RequestState: string(r.State), RequestStateReason: r.StateReason,
			},
			Request: &journal.RequestFacts{
				Currency: r.Currency, Amount: r.Amount, ExpiresAt: r.ExpiresAt.Time, Token: r.StateContext.SessionToken().Reveal(),
			},
		},
	}
}

// UpdatePaymentRequest changes a payment request that the customer has not begun with. The answer holds no tokens.
func (o *Operations) UpdatePaymentRequest(ctx context.Context, req Request, partnerID, id string, in klarna.PaymentRequestUpdate) (klarna.PaymentRequest, error) {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return klarna.PaymentRequest{}, err
	}
	about := req.about(journal.JobReadRequest, journal.NetworkKey(partnerID, id))
	return once(ctx, o, "updatePaymentRequest", about, func(ctx context.Context, try attempt) (done effect[klarna.PaymentRequest], err error) {
		asked := o.store.Now()
		made, err := account.Klarna.UpdatePaymentRequest(ctx, try.key, partnerID, id, in)
		if err != nil {
			return done, fmt.Errorf("update payment request %s: %w", id, err)
		}
		made.PaymentRequestReference = cmp.Or(made.PaymentRequestReference, in.PaymentRequestReference)
		fact := requestFact(account.Name, partnerID, made, asked)
		fact.EventID, fact.Cause = fmt.Sprintf("call:%s:updatePaymentRequest:%s", account.Name, req.ID), journal.Call
		fact.Network.Kind, fact.Network.Reread = journal.KindSessionUpdated, made.State == ""
		if in.SupplementaryPurchaseData != nil {
			fact.Network.Request.PurchaseReference = in.SupplementaryPurchaseData.PurchaseReference
		}
		done.answer, done.record = tokenless(made), o.recordPayment(fact)
		return done, nil
	})
}

// CancelPaymentRequest ends a payment request that nobody will complete. Klarna takes no key here: what a repeat meets is
// read.
func (o *Operations) CancelPaymentRequest(ctx context.Context, req Request, partnerID, id string) error {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return err
	}
	about := req.about(journal.JobReadRequest, journal.NetworkKey(partnerID, id))
	_, err = once(ctx, o, "cancelPaymentRequest", about, func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		asked := o.store.Now()
		made, err := account.Klarna.CancelPaymentRequest(ctx, partnerID, id)
		if err != nil && !try.first && !errors.Is(err, klarna.ErrOutcomeUnknown) { // refused on a repeat: perhaps our first attempt did it
			if read, readErr := o.PaymentRequest(ctx, account.Name, partnerID, id); readErr == nil && read.State == klarna.RequestCanceled {
				return done, nil
			}
		}
		if err != nil {
			return done, fmt.Errorf("cancel payment request %s: %w", id, err)
		}
		fact := requestFact(account.Name, partnerID, made, asked)
		fact.EventID, fact.Cause = fmt.Sprintf("call:%s:cancelPaymentRequest:%s", account.Name, id), journal.Call
		done.record = o.recordPayment(fact)
		return done, nil
	})
	return err
}

// NotAuthorized records that a completed payment request's token ran out before a transaction was made of it, as far as
// we know.
func (o *Operations) NotAuthorized(ctx context.Context, merchantAccount, partnerID, id string) error {
	_, err := o.journal.RecordPayment(ctx, journal.PaymentFact{
		EventID:         fmt.Sprintf("clock:%s:token:%s", merchantAccount, id),
		MerchantAccount: merchantAccount, Cause: journal.Clock, At: o.store.Now(),
		Network: &journal.NetworkFacts{PartnerAccountID: partnerID, Network: journal.Network{RequestID: id}},
		Attention: &journal.Attention{
			Reason: journal.OrderNotPlaced, Message: "the customer has paid, but no transaction was authorised within the hour in which that was possible",
		},
	})
	return err
}

// CancelPaymentToken ends a token that nobody will pay by: the one of a completed payment request that is named, or the
// one that is given.
func (o *Operations) CancelPaymentToken(ctx context.Context, req Request, partnerID, requestID string, token klarna.Secret) error {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return err
	}
	_, err = once(ctx, o, "cancelPaymentToken", req, func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		if token == "" {
			if token, err = o.sessionToken(ctx, account.Name, partnerID, requestID); err != nil {
				return done, err
			}
		}
		earlier, err := try.open(func() error { return account.Klarna.CancelPaymentToken(ctx, partnerID, token) })
		if err != nil && !(earlier && notFound(err)) { // gone after a lost answer: that attempt did it
			return done, fmt.Errorf("cancel payment token: %w", err)
		}
		payment, err := o.paymentOf(ctx, account.Name, partnerID, journal.KeyToken, journal.TokenKey(token.Reveal()))
		if err != nil {
			return done, ignoreNotFound(err)
		}
		done.record = o.recordPayment(journal.PaymentFact{
			EventID:         fmt.Sprintf("call:%s:cancelPaymentToken:%s", account.Name, req.ID),
			MerchantAccount: account.Name, Cause: journal.Call, At: o.store.Now(), TokenCancelled: true, CancelledToken: token.Reveal(),
			Network: &journal.NetworkFacts{PartnerAccountID: partnerID, Network: journal.Network{RequestID: payment.Network.RequestID}},
		})
		return done, nil
	})
	return err
}

// sessionToken is what a completed payment request's transaction is authorised with: on record, or shown by Klarna.
func (o *Operations) sessionToken(ctx context.Context, merchantAccount, partnerID, requestID string) (klarna.Secret, error) {
	payment, err := o.paymentOf(ctx, merchantAccount, partnerID, journal.KeyRequest, requestID)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return "", err
	case err == nil && payment.Network.TransactionID != "":
		return "", refuse("ORDER_EXISTS", "the payment request led to transaction %s already", payment.Network.TransactionID)
	case err == nil && payment.TokenCancelled:
		return "", refuse("AUTHORIZATION_TOKEN_INVALID", "the payment request's token was cancelled")
	case err == nil && payment.Token != "":
		return klarna.Secret(payment.Token), nil
	}
	read, err := o.PaymentRequest(ctx, merchantAccount, partnerID, requestID)
	if err != nil {
		return "", err
	}
	token := read.StateContext.SessionToken()
	if token == "" {
		return "", refuse("NOT_AUTHORIZED", "the customer has not completed the payment request; it is %s", read.State)
	}
	return token, nil
}
