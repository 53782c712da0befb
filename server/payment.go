package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// paymentService implements PaymentService.
type paymentService struct {
	gatewayv1.UnimplementedPaymentServiceServer
	*Server
}

func (s *paymentService) CreatePaymentSession(ctx context.Context, req *gatewayv1.CreatePaymentSessionRequest) (*gatewayv1.CreatePaymentSessionResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	if err := cartAddsUp(req); err != nil {
		return nil, err
	}
	what, err := once(ctx, account, req)
	if err != nil {
		return nil, err
	}
	made, err := s.operations.CreateSession(ctx, what, operation.NewSession{
		Session: sessionToKlarna(req), OrderPolicy: orderPolicyToJournal(req.GetOrderPolicy()), AutoCapture: req.GetAutoCapture(),
	})
	if err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeySession, made.Session.SessionID)
	return &gatewayv1.CreatePaymentSessionResponse{Session: sessionFromKlarna(made.Session), Payment: payment, OrphanPossible: made.Orphan}, err
}

func (s *paymentService) UpdatePaymentSession(ctx context.Context, req *gatewayv1.UpdatePaymentSessionRequest) (*gatewayv1.UpdatePaymentSessionResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	if err := cartAddsUp(req); err != nil {
		return nil, err
	}
	what, err := once(ctx, account, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.UpdateSession(ctx, what, req.GetSessionId(), sessionUpdateToKlarna(req)); err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeySession, req.GetSessionId())
	return &gatewayv1.UpdatePaymentSessionResponse{Payment: payment}, err
}

func (s *paymentService) GetPaymentSession(ctx context.Context, req *gatewayv1.GetPaymentSessionRequest) (*gatewayv1.GetPaymentSessionResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	session, err := s.operations.Session(ctx, account, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	session.SessionID = req.GetSessionId()
	return &gatewayv1.GetPaymentSessionResponse{Session: sessionFromKlarna(session)}, nil
}

func (s *paymentService) CancelAuthorization(ctx context.Context, req *gatewayv1.CancelAuthorizationRequest) (*gatewayv1.CancelAuthorizationResponse, error) {
	account, err := s.merchantAccount(ctx, req.GetMerchantAccount(), operation.RegionalAPI)
	if err != nil {
		return nil, err
	}
	what, err := once(ctx, account, req)
	if err != nil {
		return nil, err
	}
	if err := s.operations.CancelAuthorization(ctx, what, req.GetSessionId(), req.GetAuthorizationToken()); err != nil {
		return nil, err
	}
	payment, err := s.paymentAfter(ctx, what, journal.KeySession, req.GetSessionId())
	return &gatewayv1.CancelAuthorizationResponse{Payment: payment}, err
}

func (s *paymentService) GetPaymentStatus(ctx context.Context, req *gatewayv1.GetPaymentStatusRequest) (*gatewayv1.GetPaymentStatusResponse, error) {
	account, err := s.paymentsAccount(ctx, req.GetMerchantAccount(), req.GetPaymentRequestId()+req.GetPaymentTransactionId() != "")
	if err != nil {
		return nil, err
	}
	if err := mayShowDebtors(ctx, req.GetIncludeDebtorData()); err != nil {
		return nil, err
	}
	const most = 100
	q := store.Query{
		Stream: store.Payments, MerchantAccount: account, Descending: true, Limit: most,
		Keys: slices.Concat(keys(journal.KeyPayment, req.GetPaymentId()), keys(journal.KeySession, req.GetSessionId()),
			keys(journal.KeyOrder, req.GetOrderId()), keys(journal.KeyReference, req.GetMerchantReference()),
			keys(journal.KeyRequest, req.GetPaymentRequestId()), keys(journal.KeyTransaction, req.GetPaymentTransactionId())),
	}
	sees := narrow(ctx, &q)
	found, err := s.store.Subjects(ctx, q)
	if err != nil {
		return nil, err
	}
	if found = seenOf(found, sees); len(found) == 0 {
		return nil, fmt.Errorf("payment: %w", store.ErrNotFound)
	}
	payments, err := paymentsFromSubjects(found)
	return &gatewayv1.GetPaymentStatusResponse{Payments: payments}, err
}

func (s *paymentService) ListPayments(ctx context.Context, req *gatewayv1.ListPaymentsRequest) (*gatewayv1.ListPaymentsResponse, error) {
	account, err := s.paymentsAccount(ctx, req.GetMerchantAccount(), req.GetPartnerAccountId() != "")
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListPayments", account, req)
	if err != nil {
		return nil, err
	}
	found, next, err := s.subjects(ctx, p, store.Query{
		Stream: store.Payments, MerchantAccount: account, States: paymentStateToWords(req.GetStates()),
		Keys: slices.Concat(keys(journal.KeyReference, req.GetMerchantReference()), keys(journal.KeyPartner, req.GetPartnerAccountId())),
	})
	if err != nil {
		return nil, err
	}
	payments, err := paymentsFromSubjects(found)
	return &gatewayv1.ListPaymentsResponse{Payments: payments, NextPageToken: next}, err
}

func (s *paymentService) ListPaymentEvents(ctx context.Context, req *gatewayv1.ListPaymentEventsRequest) (*gatewayv1.ListPaymentEventsResponse, error) {
	account, err := s.paymentsAccount(ctx, req.GetMerchantAccount(), req.GetPaymentRequestId()+req.GetPaymentTransactionId() != "")
	if err != nil {
		return nil, err
	}
	if err := mayShowDebtors(ctx, req.GetIncludeDebtorData()); err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListPaymentEvents", account, req)
	if err != nil {
		return nil, err
	}
	found, next, err := s.events(ctx, p, store.Query{
		Stream: store.Payments, MerchantAccount: account,
		Keys: slices.Concat(keys(journal.KeyPayment, req.GetPaymentId()), keys(journal.KeySession, req.GetSessionId()),
			keys(journal.KeyOrder, req.GetOrderId()), keys(journal.KeyReference, req.GetMerchantReference()),
			keys(journal.KeyRequest, req.GetPaymentRequestId()), keys(journal.KeyTransaction, req.GetPaymentTransactionId())),
	})
	if err != nil {
		return nil, err
	}
	res := &gatewayv1.ListPaymentEventsResponse{NextPageToken: next}
	for _, ev := range found {
		event, err := paymentEventFromStore(ev)
		if err != nil {
			return nil, err
		}
		res.Events = append(res.Events, event)
	}
	return res, nil
}

func (s *paymentService) WatchPaymentStatus(req *gatewayv1.WatchPaymentStatusRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchPaymentStatusResponse]) error {
	w, err := s.openPaymentWatch(req, stream)
	if err != nil {
		return err
	}
	return w.run(stream)
}

// openPaymentWatch makes a watch of a request.
func (s *Server) openPaymentWatch(req *gatewayv1.WatchPaymentStatusRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchPaymentStatusResponse]) (*watch, error) {
	ctx, shown := stream.Context(), memoEncoded
	if req.GetIncludeDebtorData() {
		shown = memoEncodedPersonal
	}
	if t := decisionOf(ctx).ticket; t != nil {
		var err error
		if req, err = t.watch(req); err != nil {
			return nil, err
		}
		shown = memoEncodedAlone
	}
	account, err := s.paymentsAccount(ctx, req.GetMerchantAccount(), len(req.GetPaymentRequestIds())+len(req.GetPaymentTransactionIds())+len(req.GetPartnerAccountIds()) > 0)
	if err != nil {
		return nil, err
	}
	if err := mayShowDebtors(ctx, req.GetIncludeDebtorData()); err != nil {
		return nil, err
	}
	w := s.paymentWatch(req, account)
	w.query.Sent = shown == memoEncoded && len(req.GetPaymentStatuses())+len(req.GetUntilPaymentStatuses()) == 0 // which stand in bodies
	w.cursors, err = s.cursors(ctx, "WatchPaymentStatus", account,
		filterOf(req, "until_states", "until_payment_statuses", "until_final", "include_debtor_data"))
	if err != nil {
		return nil, err
	}
	w.encode = func(ev *store.Event) ([]byte, error) { return encodedPayment(ev, shown) }
	w.send = func(token string, step watchStep) error {
		res := &gatewayv1.WatchPaymentStatusResponse{ResumeToken: token}
		switch {
		case step.bookmark != nil:
			res.Message = &gatewayv1.WatchPaymentStatusResponse_Bookmark{Bookmark: step.bookmark}
		case step.snapshotEnd != nil:
			res.Message = &gatewayv1.WatchPaymentStatusResponse_SnapshotEnd{SnapshotEnd: step.snapshotEnd}
		default:
			res.Message = &gatewayv1.WatchPaymentStatusResponse_StreamEnd{StreamEnd: step.streamEnd}
		}
		return stream.Send(res)
	}
	w.at, err = w.begin(stream.Context(), req)
	return w, err
}

// paymentWatch says what a watch request selects and where it ends.
func (s *Server) paymentWatch(req *gatewayv1.WatchPaymentStatusRequest, account string) *watch {
	q := store.Query{
		Stream: store.Payments, MerchantAccount: account, Heartbeat: heartbeat(req),
		Keys: slices.Concat(keys(journal.KeySession, req.GetSessionIds()...), keys(journal.KeyOrder, req.GetOrderIds()...),
			keys(journal.KeyPayment, req.GetPaymentIds()...), keys(journal.KeyReference, req.GetMerchantReferences()...),
			keys(journal.KeyPartner, req.GetPartnerAccountIds()...),
			keys(journal.KeyRequest, req.GetPaymentRequestIds()...), keys(journal.KeyTransaction, req.GetPaymentTransactionIds()...)),
	}
	w := &watch{server: s, query: q}
	until := paymentStateToWords(req.GetUntilStates())
	if len(req.GetUntilPaymentStatuses()) > 0 || req.GetUntilFinal() {
		w.show(paymentStateToWords(req.GetStates()), true, nil)
	} else {
		w.show(paymentStateToWords(req.GetStates()), len(until) > 0, until)
	}
	if wanted := req.GetPaymentStatuses(); len(wanted) > 0 {
		inState := w.matches
		w.matches = func(ev *store.Event) bool {
			return (inState == nil || inState(ev)) && slices.Contains(wanted, paymentStatusOf(ev))
		}
	}
	byState, statuses, final := endsAt(until), req.GetUntilPaymentStatuses(), req.GetUntilFinal() // not the whole request
	w.ends = func(ev *store.Event) gatewayv1.StreamEnd_Reason {
		if why := byState(ev); why != gatewayv1.StreamEnd_REASON_UNSPECIFIED {
			return why
		}
		if len(statuses) > 0 && slices.Contains(statuses, paymentStatusOf(ev)) {
			return gatewayv1.StreamEnd_REASON_UNTIL_REACHED
		}
		if final && journal.PaymentState(ev.State).Final() {
			return gatewayv1.StreamEnd_REASON_FINAL
		}
		return gatewayv1.StreamEnd_REASON_UNSPECIFIED
	}
	return w
}

func paymentStatusOf(ev *store.Event) gatewayv1.PaymentStatus {
	return ev.Memo(memoStatus, func() any {
		entry, err := journal.DecodePaymentEntry(ev.Body)
		if err != nil {
			return gatewayv1.PaymentStatus_PAYMENT_STATUS_UNSPECIFIED
		}
		return paymentStatusFromWord(entry.Payment.Status)
	}).(gatewayv1.PaymentStatus)
}

// paymentAfter is the payment that a write was about: as its own commit left it, or as it is on record where there was
// none, as for a repeat.
func (s *Server) paymentAfter(ctx context.Context, what operation.Request, kind, value string) (*gatewayv1.Payment, error) {
	if recorded := what.Payment; recorded.Payment.ID != "" {
		return paymentFromJournal(recorded.Payment, recorded.Position), nil
	}
	return s.payment(ctx, what.MerchantAccount, kind, value)
}

// payment is a payment as it is on record.
func (s *Server) payment(ctx context.Context, merchantAccount, kind, value string) (*gatewayv1.Payment, error) {
	found, err := s.store.Subjects(ctx, store.Query{
		Stream: store.Payments, MerchantAccount: merchantAccount, Keys: keys(kind, value), Descending: true, Limit: 1,
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("payment: %w", store.ErrNotFound)
	}
	all, err := paymentsFromSubjects(found)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func paymentsFromSubjects(found []store.Subject) (all []*gatewayv1.Payment, err error) {
	for _, subject := range found {
		entry, err := journal.DecodePaymentEntry(subject.Body)
		if err != nil {
			return nil, err
		}
		all = append(all, paymentFromJournal(entry.Payment, subject.Latest))
	}
	return all, nil
}

// cart is what the two session requests share.
type cart interface {
	GetPurchaseCountry() string
	GetOrderAmount() *gatewayv1.Money
	GetOrderTaxAmountMinor() int64
	GetOrderLines() []*gatewayv1.OrderLine
}

// cartAddsUp checks sums by Klarna's rules before Klarna is called.
func cartAddsUp(c cart) error {
	flaws := klarna.CheckOrder(c.GetPurchaseCountry(), c.GetOrderAmount().GetAmountMinor(), c.GetOrderTaxAmountMinor(), linesToKlarna(c.GetOrderLines()))
	return amountFlaws(flaws, "")
}

// keys makes keys of one kind out of the values that are not empty.
func keys(kind string, values ...string) (all []store.Key) {
	for _, v := range values {
		if v != "" {
			all = append(all, store.Key{Kind: kind, Value: v})
		}
	}
	return all
}

func heartbeat(req watchRequest) time.Duration {
	return time.Duration(req.GetHeartbeatSeconds()) * time.Second
}

// endsAt tells whether an event leaves its subject in one of the states that end a watch.
func endsAt(states []string) func(*store.Event) gatewayv1.StreamEnd_Reason {
	return func(ev *store.Event) gatewayv1.StreamEnd_Reason {
		if slices.Contains(states, ev.State) {
			return gatewayv1.StreamEnd_REASON_UNTIL_REACHED
		}
		return gatewayv1.StreamEnd_REASON_UNSPECIFIED
	}
}
