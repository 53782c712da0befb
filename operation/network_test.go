package operation_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
)

func authorize(w *World, id, partner, request string) (operation.AuthorizationAnswer, error) {
	return w.Operations.Authorize(w.T.Context(), AcquirerRequest(id, request), ByRequest(partner, request))
}

func TestNetworkPayment_GoesFromTheRequestToTheRefund(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded() // partially operational: it may transact
	request := w.Asked(partner)
	payment := w.NetworkPayment(journal.KeyRequest, request)
	if payment.State != journal.SessionCreated || payment.OrderAmount != Amount || payment.Reference1 != "SO-88001" || payment.Network.RequestReference != "ask" ||
		!payment.ExpiresAt.Equal(Start.Add(3*time.Hour)) {
		t.Errorf("asked: %+v", payment)
	}
	_, err := authorize(w, "a-0", partner, request)
	w.Refused(err, "NOT_AUTHORIZED", "")
	w.Complete(request)
	made, err := authorize(w, "a-1", partner, request)
	w.Must(err)
	transaction := made.Transaction.PaymentTransactionID
	if made.Result != "APPROVED" || made.Transaction.Amount != Amount || made.Transaction.PaymentTransactionReference != "a-1" {
		t.Errorf("authorised: %+v", made)
	}
	_, err = authorize(w, "a-2", partner, request)
	w.Refused(err, "ORDER_EXISTS", "")
	w.Must(w.Take("c-1", partner, transaction, 10000))
	w.Must(w.Take("c-2", partner, transaction, 2995))
	w.Must(w.Return("r-1", partner, transaction, 12000))
	tooMuch(w, w.Return("r-2", partner, transaction, 996), "REFUND_NOT_ALLOWED", 995, 0)
	w.Must(w.Return("r-3", partner, transaction, 995))
	payment = w.NetworkPayment(journal.KeyTransaction, transaction)
	if payment.State != journal.Refunded || payment.CapturedAmount != Amount || payment.RefundedAmount != Amount || payment.Network.RequestID != request {
		t.Errorf("refunded: %+v", payment)
	}
}

func TestAuthorize_IsByWhatTheCallerHas(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	request := w.Asked(partner)
	session := w.Complete(request)
	in := operation.NewAuthorization{
		PartnerID: partner, By: klarna.AuthorizeTokens{Session: klarna.Secret(session)},
		Request: klarna.AuthorizeRequest{Currency: "EUR", RequestPaymentTransaction: klarna.NewTransaction{Amount: Amount}},
	}
	made, err := w.Operations.Authorize(t.Context(), AcquirerRequest("a-1", "x"), in)
	w.Must(err)
	if read, err := w.Operations.PaymentRequest(t.Context(), Acquirer, partner, request); err != nil || read.StateContext.KlarnaCustomer.CustomerToken == "" {
		t.Errorf("read %+v, %v", read, err)
	} else {
		in.By = klarna.AuthorizeTokens{Customer: read.StateContext.KlarnaCustomer.CustomerToken}
	}
	second, err := w.Operations.Authorize(t.Context(), AcquirerRequest("a-2", "y"), in)
	w.Must(err)
	if made.Transaction.PaymentTransactionID == second.Transaction.PaymentTransactionID {
		t.Error("a known customer was not charged again")
	}
	in.By = klarna.AuthorizeTokens{}
	in.Request.StepUpConfig = &klarna.StepUpConfig{CustomerInteractionConfig: &klarna.CustomerInteraction{Method: "HANDOVER"}}
	asked, err := w.Operations.Authorize(t.Context(), AcquirerRequest("a-3", "z"), in)
	w.Must(err)
	if asked.Result != "STEP_UP_REQUIRED" || asked.StepUp.StateContext.CustomerInteraction.PaymentRequestURL == "" {
		t.Fatalf("a customer who is not known: %+v", asked)
	}
	w.Klarna.DeclineNextAuthorizations(1)
	w.Complete(asked.RequestID)
	declined, err := authorize(w, "a-4", partner, asked.RequestID)
	w.Must(err)
	payment := w.NetworkPayment(journal.KeyRequest, asked.RequestID)
	if declined.Result != "DECLINED" || payment.Network.DeclineReason != "RISK" || payment.State != journal.Authorized || payment.Network.TransactionReference != "a-3" {
		t.Errorf("declined: %+v, on record %+v", declined, payment)
	}
	_, err = authorize(w, "a-5", partner, asked.RequestID)
	w.Must(err)
	// The refused repeat of another one counts for its request, not for the token.
	if again, err := authorize(w, "a-4", partner, asked.RequestID); err != nil || again.Result != "DECLINED" {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	w.CalledTimes("authorizePayment", 5)
}

// Klarna refuses another body under the key, and what would be sent now is not what was sent.
func TestAuthorize_ARepeatSendsWhatWasSentBefore(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	request := w.Asked(partner)
	w.Complete(request)
	w.LoseAnswer("authorizePayment")
	_, err := authorize(w, "a-1", partner, request)
	w.Unknown(err)
	transaction := w.Klarna.Transactions(partner)[0]
	_, err = w.Journal.RecordPayment(t.Context(), journal.PaymentFact{
		EventID: "n", MerchantAccount: Acquirer, Cause: journal.Notification, At: w.Store.Now(), Type: "payment.x",
		Network: &journal.NetworkFacts{
			PartnerAccountID: partner, Network: journal.Network{RequestID: request, TransactionID: transaction},
			Transaction: &journal.OrderFacts{Status: "AUTHORIZED", Currency: "EUR", Amount: Amount - 1},
		},
	})
	w.Must(err)
	made, err := authorize(w, "a-1", partner, request)
	w.Must(err)
	if made.Transaction.PaymentTransactionID != transaction || len(w.Klarna.Transactions(partner)) != 1 {
		t.Errorf("made %+v beside %v", made.Transaction, w.Klarna.Transactions(partner))
	}
}

// networkWrites is every write of a payment on the Network, with what has to come before and what shows its effect.
var networkWrites = []struct {
	name    string // Klarna's operation
	prepare func(w *World, partner string) (subject string)
	do      func(ctx context.Context, w *World, partner, subject string) error
	effects func(w *World, partner, subject string) int
}{
	{"createPaymentRequest", func(*World, string) string { return "" },
		func(ctx context.Context, w *World, partner, _ string) error {
			_, err := w.Operations.CreatePaymentRequest(ctx, AcquirerRequest("w", "w"), partner, "", Ask())
			return err
		},
		func(w *World, partner, _ string) int { return len(w.Klarna.PaymentRequests(partner)) }},
	{"updatePaymentRequest", (*World).Asked,
		func(ctx context.Context, w *World, partner, id string) error {
			_, err := w.Operations.UpdatePaymentRequest(ctx, AcquirerRequest("w", "w"), partner, id, klarna.PaymentRequestUpdate{PaymentRequestReference: "pr-2"})
			return err
		},
		func(w *World, partner, id string) int {
			read, err := w.Client(Acquirer).PaymentRequest(w.T.Context(), partner, id)
			w.Must(err)
			return map[string]int{"pr-2": 1}[read.PaymentRequestReference]
		}},
	{"cancelPaymentRequest", (*World).Asked,
		func(ctx context.Context, w *World, partner, id string) error {
			return w.Operations.CancelPaymentRequest(ctx, AcquirerRequest("w", "w"), partner, id)
		},
		func(w *World, _, id string) int {
			state, _ := w.Klarna.PaymentRequest(id)
			return map[string]int{"CANCELED": 1}[state.State]
		}},
	{"authorizePayment", func(w *World, partner string) string {
		id := w.Asked(partner)
		w.Complete(id)
		return id
	},
		func(ctx context.Context, w *World, partner, id string) error {
			_, err := w.Operations.Authorize(ctx, AcquirerRequest("w", "w"), ByRequest(partner, id))
			return err
		},
		func(w *World, partner, _ string) int { return len(w.Klarna.Transactions(partner)) }},
	{"captureTransaction", (*World).Transacted,
		func(_ context.Context, w *World, partner, id string) error { return w.Take("w", partner, id, 5000) },
		func(w *World, _, id string) int { return w.Transaction(id).Captures }},
	{"refundTransaction", taken,
		func(_ context.Context, w *World, partner, id string) error { return w.Return("w", partner, id, 5000) },
		func(w *World, _, id string) int { return w.Transaction(id).Refunds }},
	{"refundTransactionCapture", taken,
		func(ctx context.Context, w *World, partner, id string) error {
			_, err := w.Operations.RefundTransaction(ctx, AcquirerRequest("w", "w"), partner, id, id+":capture:1", "EUR", klarna.NetworkRefundRequest{RefundAmount: 5000})
			return err
		},
		func(w *World, _, id string) int { return w.Transaction(id).Refunds }},
	{"updateTransaction", (*World).Transacted,
		func(ctx context.Context, w *World, partner, id string) error {
			amount := int64(9000)
			return w.Operations.UpdateTransaction(ctx, AcquirerRequest("w", "w"), partner, id, "EUR", klarna.TransactionUpdate{Amount: &amount})
		},
		func(w *World, _, id string) int { return map[int64]int{9000: 1}[w.Transaction(id).Amount] }},
	{"voidTransaction", (*World).Transacted,
		func(ctx context.Context, w *World, partner, id string) error {
			return w.Operations.VoidTransaction(ctx, AcquirerRequest("w", "w"), partner, id)
		},
		func(w *World, _, id string) int { return map[string]int{"CLOSED": 1}[w.Transaction(id).State] }},
	{"extendTransaction", (*World).Transacted,
		func(ctx context.Context, w *World, partner, id string) error {
			return w.Operations.ExtendTransaction(ctx, AcquirerRequest("w", "w"), partner, id, "", klarna.ExtendRequest{ExtensionDays: 60})
		},
		func(w *World, partner, id string) int {
			read, err := w.Client(Acquirer).Transaction(w.T.Context(), partner, id)
			w.Must(err)
			return map[bool]int{true: 1}[read.ExpiresAt.Equal(Start.Add(60*24*time.Hour))]
		}},
	{"cancelPaymentToken", func(w *World, partner string) string {
		id := w.Asked(partner)
		w.Complete(id)
		return id
	},
		func(ctx context.Context, w *World, partner, id string) error {
			return w.Operations.CancelPaymentToken(ctx, AcquirerRequest("w", "w"), partner, id, "")
		},
		func(w *World, _, id string) int {
			return map[journal.PaymentState]int{journal.AuthorizationCancelled: 1}[w.NetworkPayment(journal.KeyRequest, id).State]
		}},
}

// taken is a transaction that is captured.
func taken(w *World, partner string) string {
	id := w.Transacted(partner)
	w.Must(w.Take("all", partner, id, Amount))
	return id
}

func TestCaptureTransaction_KlarnasFiguresTellWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	id := w.Transacted(partner)
	_, err := w.Client(Acquirer).CaptureTransaction(t.Context(), "in-the-portal", partner, id, klarna.NetworkCaptureRequest{CaptureAmount: 10000})
	w.Must(err)
	tooMuch(w, w.Take("c-1", partner, id, 5000), "CAPTURE_NOT_ALLOWED", 2995, 0) // Klarna refused; its reading says why
	calls := w.Klarna.CallCount("captureTransaction")
	tooMuch(w, w.Take("c-2", partner, id, 5000), "CAPTURE_NOT_ALLOWED", 2995, 0)
	w.CalledTimes("captureTransaction", calls)
	w.LoseAnswer("captureTransaction")
	w.Unknown(w.Take("c-3", partner, id, 2000))
	tooMuch(w, w.Take("c-4", partner, id, 1000), "CAPTURE_NOT_ALLOWED", 995, 0)
	w.Must(w.Take("c-5", partner, id, 995))
}

func TestNetworkPayment_TokensAreNeverOnDiskInClear(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	request := w.Asked(partner)
	token := w.Complete(request)
	_, err := w.Operations.PaymentRequest(t.Context(), Acquirer, partner, request)
	w.Must(err)
	w.LoseAnswer("authorizePayment")
	_, err = authorize(w, "a-1", partner, request)
	w.Unknown(err)
	if bytes.Contains(w.OnDisk(), []byte(token)) {
		t.Error("the session token is on disk in clear")
	}
}

func TestNetworkPayment_OfAPartnerThatKlarnaDisabledIsRefused(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	partner := w.Onboarded()
	w.Must(w.Klarna.Operational(partner))
	w.Must(w.Klarna.DisableAccount(partner))
	w.Must(w.Operations.Partner(t.Context(), Acquirer, partner))
	_, err := w.Operations.CreatePaymentRequest(t.Context(), AcquirerRequest("ask", "ask"), partner, "", Ask())
	w.Refused(err, "ACCOUNT_DISABLED", "")
	w.CalledTimes("createPaymentRequest", 0)
}
