package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// tent is a payment request of a partner over 129.00 EUR.
func tent(partnerID, reference string) *gatewayv1.CreatePaymentRequestRequest {
	return &gatewayv1.CreatePaymentRequestRequest{
		RequestId: uuid.NewString(), PartnerAccountId: partnerID, Amount: eur(12900), PaymentRequestReference: reference, PurchaseReference: "N-2026-1180",
		LineItems: []*gatewayv1.LineItem{
			{Name: "Zelt", Quantity: 1, TotalAmountMinor: 13900, UnitPriceMinor: new(int64)}, {Name: "Gutschein", Quantity: 1, TotalAmountMinor: -1000},
		},
		CustomerInteraction: &gatewayv1.CustomerInteraction{Method: "HANDOVER", ReturnUrl: "https://nordlicht.example/back?pr={klarna.payment_request.id}"},
	}
}

// asked is an open payment request.
func (s *stack) asked() (partnerID, requestID string) {
	s.t.Helper()
	partnerID = s.onboarded("mrc-1").id
	made, err := s.network.CreatePaymentRequest(s.t.Context(), tent(partnerID, "pr-1"))
	must(s.t, err)
	return partnerID, made.GetPaymentRequest().GetPaymentRequestId()
}

// completed is a payment request that the customer has paid.
func (s *stack) completed() (partnerID, requestID string) {
	s.t.Helper()
	partnerID, requestID = s.asked()
	_, err := s.klarna.CompleteRequest(requestID)
	must(s.t, err)
	must(s.t, s.klarna.Idle(s.t.Context()))
	return partnerID, requestID
}

func paying(partnerID, requestID string) *gatewayv1.AuthorizePaymentRequest {
	return &gatewayv1.AuthorizePaymentRequest{
		RequestId: uuid.NewString(), PartnerAccountId: partnerID, By: &gatewayv1.AuthorizePaymentRequest_PaymentRequestId{PaymentRequestId: requestID},
	}
}

// transacted is an authorised transaction; captured one that is captured.
func (s *stack) transacted() (partnerID, transactionID string) {
	s.t.Helper()
	partnerID, requestID := s.completed()
	made, err := s.network.AuthorizePayment(s.t.Context(), paying(partnerID, requestID))
	must(s.t, err)
	return partnerID, made.GetTransaction().GetPaymentTransactionId()
}

func taking(partnerID, transactionID string, amount int64) *gatewayv1.CaptureTransactionRequest {
	return &gatewayv1.CaptureTransactionRequest{RequestId: uuid.NewString(), PartnerAccountId: partnerID, PaymentTransactionId: transactionID, Amount: eur(amount)}
}

func (s *stack) taken() (partnerID, transactionID string) {
	s.t.Helper()
	partnerID, transactionID = s.transacted()
	_, err := s.network.CaptureTransaction(s.t.Context(), taking(partnerID, transactionID, 12900))
	must(s.t, err)
	return partnerID, transactionID
}

func returning(partnerID, transactionID, captureID string, amount int64) *gatewayv1.RefundTransactionRequest {
	return &gatewayv1.RefundTransactionRequest{
		RequestId: uuid.NewString(), PartnerAccountId: partnerID, PaymentTransactionId: transactionID, PaymentCaptureId: captureID, Amount: eur(amount),
	}
}

// networkWrites are the writes of NetworkPaymentService by the name of their RPC.
var networkWrites = map[string]write{
	"CreatePaymentRequest": {"createPaymentRequest", exactly, func(s *stack) proto.Message { return tent(s.onboarded("mrc-1").id, "pr-1") }},
	"UpdatePaymentRequest": {"updatePaymentRequest", exactly, func(s *stack) proto.Message {
		partner, id := s.asked()
		return &gatewayv1.UpdatePaymentRequestRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, PaymentRequestId: id, PurchaseReference: "N-2"}
	}},
	"CancelPaymentRequest": {"cancelPaymentRequest", exactly, func(s *stack) proto.Message {
		partner, id := s.asked()
		return &gatewayv1.CancelPaymentRequestRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, PaymentRequestId: id}
	}},
	"AuthorizePayment": {"authorizePayment", exactly, func(s *stack) proto.Message { return paying(s.completed()) }},
	"CancelPaymentToken": {"cancelPaymentToken", exactly, func(s *stack) proto.Message {
		partner, id := s.completed()
		return &gatewayv1.CancelPaymentTokenRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, Token: &gatewayv1.CancelPaymentTokenRequest_PaymentRequestId{PaymentRequestId: id}}
	}},
	"UpdateTransaction": {"updateTransaction", exactly, func(s *stack) proto.Message {
		partner, id := s.transacted()
		return &gatewayv1.UpdateTransactionRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, PaymentTransactionId: id, Amount: eur(9900)}
	}},
	"CaptureTransaction": {"captureTransaction", exactly, func(s *stack) proto.Message {
		partner, id := s.transacted()
		return taking(partner, id, 5000)
	}},
	"RefundTransaction": {"refundTransaction", exactly, func(s *stack) proto.Message {
		partner, id := s.taken()
		return returning(partner, id, "", 5000)
	}},
	"RefundTransaction of a capture": {"refundTransactionCapture", exactly, func(s *stack) proto.Message {
		partner, id := s.taken()
		return returning(partner, id, id+":capture:1", 5000)
	}},
	"VoidTransaction": {"voidTransaction", exactly, func(s *stack) proto.Message {
		partner, id := s.transacted()
		return &gatewayv1.VoidTransactionRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, PaymentTransactionId: id}
	}},
	"ExtendTransaction": {"extendTransaction", exactly, func(s *stack) proto.Message {
		partner, id := s.transacted()
		return &gatewayv1.ExtendTransactionRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, PaymentTransactionId: id, ExtensionDays: 60}
	}},
}

func TestNetworkPayment_IsAPaymentLikeAnyOther(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx := t.Context()
	partner, request := s.asked()
	watch := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{
		From:              &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_EARLIEST},
		PaymentRequestIds: []string{request}, UntilStates: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_REFUNDED},
	})
	_, err := s.klarna.CompleteRequest(request)
	must(t, err)
	must(t, s.klarna.Idle(ctx))
	read, err := s.network.GetPaymentRequest(ctx, &gatewayv1.GetPaymentRequestRequest{PartnerAccountId: partner, PaymentRequestId: request})
	must(t, err)
	if r := read.GetPaymentRequest(); r.GetState() != gatewayv1.PaymentRequest_STATE_COMPLETED || r.GetCustomerToken() == "" || r.GetPartnerAccountId() != partner {
		t.Errorf("read %v", r)
	}
	paid, err := s.network.AuthorizePayment(ctx, paying(partner, request))
	must(t, err)
	id := paid.GetTransaction().GetPaymentTransactionId()
	if paid.GetResult() != gatewayv1.AuthorizePaymentResponse_RESULT_APPROVED || paid.GetTransaction().GetAmount().GetAmountMinor() != 12900 ||
		paid.GetPayment().GetState() != gatewayv1.Payment_STATE_ORDERED || paid.GetPayment().GetNetwork().GetPaymentRequestId() != request {
		t.Errorf("paid %v", paid)
	}
	capture, err := s.network.CaptureTransaction(ctx, taking(partner, id, 12900))
	must(t, err)
	made, err := s.network.GetTransactionCapture(ctx, &gatewayv1.GetTransactionCaptureRequest{PartnerAccountId: partner, PaymentCaptureId: capture.GetCapture().GetPaymentCaptureId()})
	must(t, err)
	refund, err := s.network.RefundTransaction(ctx, returning(partner, id, made.GetCapture().GetPaymentCaptureId(), 12900))
	must(t, err)
	back, err := s.network.GetTransactionRefund(ctx, &gatewayv1.GetTransactionRefundRequest{PartnerAccountId: partner, PaymentRefundId: refund.GetRefund().GetPaymentRefundId()})
	must(t, err)
	if made.GetCapture().GetAmount().GetAmountMinor() != 12900 || back.GetRefund().GetAmount().GetAmountMinor() != 12900 ||
		refund.GetPayment().GetState() != gatewayv1.Payment_STATE_REFUNDED || !refund.GetPayment().GetFinal() {
		t.Errorf("captured %v, refunded %v and %v", made, back, refund)
	}
	transaction, err := s.network.GetTransaction(ctx, &gatewayv1.GetTransactionRequest{PartnerAccountId: partner, PaymentTransactionId: id})
	must(t, err)
	if tx := transaction.GetTransaction(); tx.GetState() != gatewayv1.PaymentTransaction_STATE_COMPLETED || len(tx.GetCaptures()) != 1 || len(tx.GetRefunds()) != 1 || tx.GetRemainingAuthorizedAmount().GetAmountMinor() != 0 {
		t.Errorf("transaction %v", tx)
	}
	var states []string
	for got := watch.next(); got.event != nil || got.mark == "bookmark"; got = watch.next() {
		if got.event == nil {
			continue
		}
		if state := strings.TrimPrefix(got.payment().GetState().String(), "STATE_"); !slices.Contains(states, state) {
			states = append(states, state)
		}
	}
	if want := []string{"SESSION_CREATED", "AUTHORIZED", "ORDERED", "CAPTURED", "REFUNDED"}; !slices.Equal(states, want) {
		t.Errorf("watched %v, want %v", states, want)
	}
	for _, by := range []*gatewayv1.GetPaymentStatusRequest{
		{Payment: &gatewayv1.GetPaymentStatusRequest_PaymentRequestId{PaymentRequestId: request}},
		{Payment: &gatewayv1.GetPaymentStatusRequest_PaymentTransactionId{PaymentTransactionId: id}},
		{MerchantAccount: acquirer, Payment: &gatewayv1.GetPaymentStatusRequest_MerchantReference{MerchantReference: "pr-1"}},
		{MerchantAccount: acquirer, Payment: &gatewayv1.GetPaymentStatusRequest_MerchantReference{MerchantReference: "N-2026-1180"}},
	} {
		found, err := s.payments.GetPaymentStatus(ctx, by)
		if err != nil || len(found.GetPayments()) != 1 || found.GetPayments()[0].GetPaymentId() != paid.GetPayment().GetPaymentId() {
			t.Errorf("%v leads to %v, %v", by, found, err)
		}
	}
	list, err := s.payments.ListPayments(ctx, &gatewayv1.ListPaymentsRequest{PartnerAccountId: partner})
	must(t, err)
	history, err := s.payments.ListPaymentEvents(ctx, &gatewayv1.ListPaymentEventsRequest{PaymentTransactionId: id, PageSize: 500})
	must(t, err)
	if len(list.GetPayments()) != 1 || len(history.GetEvents()) < 5 {
		t.Errorf("%d payments, %d events", len(list.GetPayments()), len(history.GetEvents()))
	}
}

func TestNetworkPayment_AsksDeclinesAndTellsOfChargebacks(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx, partner := t.Context(), s.onboarded("mrc-1").id
	stepUp := &gatewayv1.AuthorizePaymentRequest{
		RequestId: uuid.NewString(), PartnerAccountId: partner, Amount: eur(700), PaymentTransactionReference: "t-1", CaptureNow: true,
		CustomerInteraction: &gatewayv1.CustomerInteraction{Method: "QR_CODE"},
	}
	asked, err := s.network.AuthorizePayment(ctx, stepUp)
	must(t, err)
	request := asked.GetPaymentRequest()
	if asked.GetResult() != gatewayv1.AuthorizePaymentResponse_RESULT_STEP_UP_REQUIRED || request.GetPaymentRequestUrl() == "" || asked.GetPayment().GetState() != gatewayv1.Payment_STATE_SESSION_CREATED {
		t.Fatalf("asked %v", asked)
	}
	token, err := s.klarna.CompleteRequest(request.GetPaymentRequestId())
	must(t, err)
	s.klarna.DeclineNextAuthorizations(1)
	second := &gatewayv1.AuthorizePaymentRequest{
		RequestId: uuid.NewString(), PartnerAccountId: partner, Amount: eur(700), CaptureNow: true, By: &gatewayv1.AuthorizePaymentRequest_SessionToken{SessionToken: token},
	}
	declined, err := s.network.AuthorizePayment(ctx, second)
	must(t, err)
	if declined.GetResult() != gatewayv1.AuthorizePaymentResponse_RESULT_DECLINED || declined.GetResultReason() != "RISK" || declined.GetTransaction() != nil {
		t.Errorf("declined %v", declined)
	}
	second.RequestId = uuid.NewString()
	paid, err := s.network.AuthorizePayment(ctx, second)
	must(t, err)
	if paid.GetPayment().GetState() != gatewayv1.Payment_STATE_CAPTURED || len(paid.GetTransaction().GetCaptures()) != 1 {
		t.Errorf("captured at once: %v", paid)
	}
	id, err := s.klarna.ChargeBack(paid.GetTransaction().GetPaymentTransactionId(), 200)
	must(t, err)
	read, err := s.network.GetChargeback(ctx, &gatewayv1.GetChargebackRequest{PartnerAccountId: partner, PaymentChargebackId: id})
	must(t, err)
	status, err := s.payments.GetPaymentStatus(ctx, &gatewayv1.GetPaymentStatusRequest{
		Payment: &gatewayv1.GetPaymentStatusRequest_PaymentTransactionId{PaymentTransactionId: paid.GetTransaction().GetPaymentTransactionId()},
	})
	must(t, err)
	if read.GetChargeback().GetAmount().GetAmountMinor() != 200 || status.GetPayments()[0].GetNetwork().GetChargedBackAmount().GetAmountMinor() != 200 {
		t.Errorf("charged back %v, on record %v", read, status)
	}
	if log := s.logs.String(); strings.Contains(log, token) || strings.Contains(log, "ida@example.com") {
		t.Error("a token or a customer is logged")
	}
}

func TestNetworkPayment_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	partner, request := s.completed()
	reason := func(name string) gatewayv1.ErrorReason {
		return gatewayv1.ErrorReason(gatewayv1.ErrorReason_value["ERROR_REASON_"+name])
	}
	uneven := tent(partner, "pr-2")
	uneven.Amount = eur(12901)
	s.refused(uneven, codes.InvalidArgument, http.StatusBadRequest, reason("AMOUNTS_DO_NOT_MATCH"), fields("amount.amount_minor"))
	elsewhere := tent(partner, "pr-2")
	elsewhere.PaymentAccount = &gatewayv1.PaymentAccountChoice{PaymentAccountId: "krn:none"}
	s.refused(elsewhere, codes.NotFound, http.StatusNotFound, reason("PARTNER_RESOURCE_NOT_FOUND"), nil)
	odd := tent(partner, "pr-2")
	odd.CustomerInteraction.Method = "PIGEON" // a word of Klarna's, perhaps: Klarna decides
	s.refused(odd, codes.InvalidArgument, http.StatusBadRequest, reason("REFUSED_BY_KLARNA"), fields("customer_interaction.method"))
	s.refused(&gatewayv1.GetPaymentRequestRequest{PartnerAccountId: partner, PaymentRequestId: "krn:none"}, codes.NotFound, http.StatusNotFound, reason("PAYMENT_REQUEST_NOT_FOUND"), nil)
	s.refused(&gatewayv1.UpdatePaymentRequestRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, PaymentRequestId: request, PurchaseReference: "N"},
		codes.FailedPrecondition, http.StatusBadRequest, reason("PAYMENT_REQUEST_NOT_OPEN"), nil)
	s.refused(&gatewayv1.CancelPaymentRequestRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, PaymentRequestId: request},
		codes.FailedPrecondition, http.StatusBadRequest, reason("PAYMENT_REQUEST_NOT_OPEN"), nil)
	other := paying(partner, request)
	other.Amount = eur(12899)
	s.refused(other, codes.InvalidArgument, http.StatusBadRequest, reason("REFUSED_BY_KLARNA"), fields("amount.amount_minor"))
	unknown := &gatewayv1.AuthorizePaymentRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, Amount: eur(1), By: &gatewayv1.AuthorizePaymentRequest_SessionToken{SessionToken: "krn:none"}}
	s.refused(unknown, codes.FailedPrecondition, http.StatusBadRequest, reason("AUTHORIZATION_TOKEN_INVALID"), nil)
	made, err := s.network.AuthorizePayment(t.Context(), paying(partner, request))
	must(t, err)
	id := made.GetTransaction().GetPaymentTransactionId()
	s.refused(paying(partner, request), codes.AlreadyExists, http.StatusConflict, reason("ORDER_EXISTS"), nil)
	s.refused(taking(partner, "krn:none", 1), codes.NotFound, http.StatusNotFound, reason("TRANSACTION_NOT_FOUND"), nil)
	s.refused(taking(partner, id, 12901), codes.FailedPrecondition, http.StatusBadRequest, reason("CAPTURE_NOT_ALLOWED"), fields("amount.amount_minor"))
	wrong := taking(partner, id, 1)
	wrong.Amount.CurrencyCode = "SEK"
	s.refused(wrong, codes.InvalidArgument, http.StatusBadRequest, reason("INVALID_FIELD"), fields("amount.currency_code"))
	s.refused(returning(partner, id, "", 1), codes.FailedPrecondition, http.StatusBadRequest, reason("REFUND_NOT_ALLOWED"), fields("amount.amount_minor"))
	_, err = s.network.CaptureTransaction(t.Context(), taking(partner, id, 12900))
	must(t, err)
	s.refused(returning(partner, id, "krn:none", 1), codes.NotFound, http.StatusNotFound, reason("CAPTURE_NOT_FOUND"), nil)
	s.refused(&gatewayv1.VoidTransactionRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, PaymentTransactionId: id},
		codes.FailedPrecondition, http.StatusBadRequest, reason("CANCEL_NOT_ALLOWED"), nil)
	s.refused(&gatewayv1.ExtendTransactionRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, PaymentTransactionId: id},
		codes.FailedPrecondition, http.StatusBadRequest, reason("OPERATION_NOT_ALLOWED"), nil)
	s.refused(&gatewayv1.GetTransactionRefundRequest{PartnerAccountId: partner, PaymentRefundId: "krn:none"}, codes.NotFound, http.StatusNotFound, reason("REFUND_NOT_FOUND"), nil)
	s.refused(&gatewayv1.GetChargebackRequest{PartnerAccountId: partner, PaymentChargebackId: "krn:none"}, codes.NotFound, http.StatusNotFound, reason("CHARGEBACK_NOT_FOUND"), nil)
	s.refused(&gatewayv1.CancelPaymentTokenRequest{RequestId: uuid.NewString(), PartnerAccountId: partner, Token: &gatewayv1.CancelPaymentTokenRequest_PaymentToken{PaymentToken: "krn:none"}},
		codes.NotFound, http.StatusNotFound, reason("PAYMENT_TOKEN_NOT_FOUND"), nil)
}

// What belongs to one partner is nothing to another, whatever of it is on record.
func TestNetworkPayment_OfAnotherPartnerIsNotFound(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, id := s.transacted()
	other := s.onboarded("mrc-2").id
	before := len(s.klarna.Calls())
	for _, req := range []proto.Message{
		taking(other, id, 20000), returning(other, id, "", 1),
		&gatewayv1.VoidTransactionRequest{RequestId: uuid.NewString(), PartnerAccountId: other, PaymentTransactionId: id},
		&gatewayv1.GetTransactionRequest{PartnerAccountId: other, PaymentTransactionId: id},
	} {
		s.refused(req, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_TRANSACTION_NOT_FOUND, nil)
	}
	for _, c := range s.klarna.Calls()[before:] {
		if c.Operation != "readTransaction" { // by the account that it is not of
			t.Errorf("Klarna was asked for %s", c.Operation)
		}
	}
}

func TestNetworkPayment_ValidatesBeforeKlarnaIsCalled(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	bad := tent("krn:partner", "pr-1")
	bad.Amount, bad.CustomerInteraction.ReturnUrl = &gatewayv1.Money{AmountMinor: 0, CurrencyCode: "eur"}, "http://nordlicht.example"
	bad.LineItems[0].Quantity = 0
	bad.PaymentAccount = &gatewayv1.PaymentAccountChoice{PaymentAcquiringAccountId: "krn:a"}
	s.refused(bad, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD,
		fields("amount", "amount.currency_code", "customer_interaction.return_url", "line_items[0].quantity", "payment_account.payment_account_id"))
	for _, empty := range []proto.Message{
		&gatewayv1.UpdatePaymentRequestRequest{RequestId: uuid.NewString(), PartnerAccountId: "p", PaymentRequestId: "r"},
		&gatewayv1.UpdateTransactionRequest{RequestId: uuid.NewString(), PartnerAccountId: "p", PaymentTransactionId: "t"},
		&gatewayv1.AuthorizePaymentRequest{RequestId: uuid.NewString(), PartnerAccountId: "p"},
	} {
		s.refused(empty, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, fields("amount"))
	}
	if calls := s.klarna.Calls(); len(calls) > 0 {
		t.Errorf("Klarna was called: %+v", calls)
	}
}

// fields are violations that have to be named, whatever they say.
func fields(names ...string) map[string]string {
	all := map[string]string{}
	for _, name := range names {
		all[name] = ""
	}
	return all
}
