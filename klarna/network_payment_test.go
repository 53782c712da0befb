package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
)

const someRequest = "krn:payment:eu1:request:8d1c0b2a"

// paymentCall is one method, what it sends and what it makes of an answer.
type paymentCall struct {
	name, method, path, body string // path under the account's payments
	session, customer        string // tokens that have to be sent
	answer                   string // Klarna's
	do                       func(context.Context, *Client) (any, error)
	want                     string // the result as JSON
}

var paymentCalls = []paymentCall{
	{"create request", "POST", "/requests",
		`{"currency":"EUR","amount":12900,"payment_request_reference":"pr-1","supplementary_purchase_data":{"purchase_reference":"N-1",
		"line_items":[{"name":"Tent","quantity":1,"unit_price":13900,"total_amount":13900,"total_tax_amount":0},{"name":"Voucher","quantity":1,"total_amount":-1000}]},
		"customer_interaction_config":{"method":"HANDOVER","return_url":"https://gw.acme.example/r"},"acquiring_config":{"payment_account_id":"krn:pa"}}`, "", "cust",
		`{"payment_request_id":"krn:r","state":"SUBMITTED","expires_at":"2026-02-11T15:00:00.123456789Z","state_context":{"customer_interaction":{"payment_request_url":"https://pay.test.klarna.com/x"}},"novelty":1}`,
		func(ctx context.Context, c *Client) (any, error) {
			price, tax := int64(13900), int64(0)
			return one(c.CreatePaymentRequest(ctx, testKey, someAccount, "cust", PaymentRequestInput{
				Currency: "EUR", Amount: 12900, PaymentRequestReference: "pr-1",
				SupplementaryPurchaseData: &PurchaseData{PurchaseReference: "N-1", LineItems: []LineItem{
					{Name: "Tent", Quantity: 1, UnitPrice: &price, TotalAmount: 13900, TotalTaxAmount: &tax}, {Name: "Voucher", Quantity: 1, TotalAmount: -1000},
				}},
				CustomerInteractionConfig: &CustomerInteraction{Method: "HANDOVER", ReturnURL: "https://gw.acme.example/r"},
				AcquiringConfig:           &AcquiringConfig{PaymentAccountID: "krn:pa"},
			}))
		}, `{"payment_request_id":"krn:r","state":"SUBMITTED","expires_at":"2026-02-11T15:00:00.123456789Z","state_context":{"customer_interaction":{"payment_request_url":"https://pay.test.klarna.com/x"},"klarna_customer":{}}}`},
	{"read request", "GET", "/requests/" + someRequest, "", "", "", `{"payment_request_id":"krn:r","state":"ON_THE_MOON","expires_at":"soon"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.PaymentRequest(ctx, someAccount, someRequest))
		}, `{"payment_request_id":"krn:r","state":"ON_THE_MOON","state_context":{"customer_interaction":{},"klarna_customer":{}}}`},
	{"update request", "PATCH", "/requests/" + someRequest, `{"amount":0}`, "", "", `{"state":"SUBMITTED"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.UpdatePaymentRequest(ctx, testKey, someAccount, someRequest, PaymentRequestUpdate{Amount: new(int64)}))
		}, `{"payment_request_id":"` + someRequest + `","state":"SUBMITTED","state_context":{"customer_interaction":{},"klarna_customer":{}}}`},
	{"cancel request", "DELETE", "/requests/" + someRequest, "", "", "", ``,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.CancelPaymentRequest(ctx, someAccount, someRequest))
		}, `{"payment_request_id":"` + someRequest + `","state":"CANCELED","state_context":{"customer_interaction":{},"klarna_customer":{}}}`},
	{"authorize", "POST", "/authorize", `{"currency":"EUR","request_payment_transaction":{"amount":100,"payment_transaction_reference":"t-1","capture":"LATER"}}`, "sess", "",
		`{"payment_transaction_response":{"result":"APPROVED","payment_transaction":{"payment_transaction_id":"krn:t","state":"AUTHORIZED","amount":100,"currency":"EUR"}}}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.Authorize(ctx, testKey, someAccount, AuthorizeTokens{Session: "sess"}, AuthorizeRequest{
				Currency: "EUR", RequestPaymentTransaction: NewTransaction{Amount: 100, PaymentTransactionReference: "t-1", Capture: CaptureLater},
			}))
		}, `{"payment_transaction_response":{"result":"APPROVED","payment_transaction":{"payment_transaction_id":"krn:t","state":"AUTHORIZED","amount":100,"currency":"EUR"}}}`},
	{"read transaction", "GET", "/transactions/krn:t", "", "", "", `{"payment_transaction_id":"krn:t","payment_captures":[{"payment_capture_id":"krn:c","amount":7}]}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.Transaction(ctx, someAccount, "krn:t"))
		},
		`{"payment_transaction_id":"krn:t","payment_captures":[{"payment_capture_id":"krn:c","amount":7}]}`},
	{"update transaction", "PATCH", "/transactions/krn:t", `{"payment_transaction_reference":"t-2"}`, "", "", `{}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.UpdateTransaction(ctx, testKey, someAccount, "krn:t", TransactionUpdate{PaymentTransactionReference: "t-2"}))
		}, `{"payment_transaction_id":"krn:t"}`},
	{"void transaction", "POST", "/transactions/krn:t/void", "", "", "", ``,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.VoidTransaction(ctx, testKey, someAccount, "krn:t"))
		}, `{"payment_transaction_id":"krn:t"}`},
	{"extend transaction", "POST", "/transactions/krn:t/authorize", `{"extension_days":14}`, "", "", `{"expires_at":"2026-03-01T00:00:00Z"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.ExtendTransaction(ctx, testKey, someAccount, "krn:t", ExtendRequest{ExtensionDays: 14}))
		}, `{"payment_transaction_id":"krn:t","expires_at":"2026-03-01T00:00:00Z"}`},
	{"capture", "POST", "/transactions/krn:t/capture", `{"capture_amount":7,"payment_capture_reference":"c-1","remaining_authorization":"RELEASE"}`, "", "",
		`{"payment_capture_id":"krn:c","capture_amount":7}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.CaptureTransaction(ctx, testKey, someAccount, "krn:t", NetworkCaptureRequest{CaptureAmount: 7, PaymentCaptureReference: "c-1", RemainingAuthorization: ReleaseRemaining}))
		}, `{"payment_capture_id":"krn:c","capture_amount":7}`},
	{"capture answered with the transaction", "POST", "/transactions/krn:t/capture", `{"capture_amount":7,"payment_capture_reference":"c-2"}`, "", "",
		`{"payment_transaction_id":"krn:t","payment_captures":[{"payment_capture_id":"krn:c1","payment_capture_reference":"c-1","amount":5},{"payment_capture_id":"krn:c2","payment_capture_reference":"c-2","amount":7}]}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.CaptureTransaction(ctx, testKey, someAccount, "krn:t", NetworkCaptureRequest{CaptureAmount: 7, PaymentCaptureReference: "c-2"}))
		}, `{"payment_capture_id":"krn:c2","payment_capture_reference":"c-2","amount":7}`},
	{"refund transaction", "POST", "/transactions/krn:t/refund", `{"refund_amount":3,"refund_reference":"r-1"}`, "", "", `{"payment_refund_id":"krn:f","refund_amount":3}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.RefundTransaction(ctx, testKey, someAccount, "krn:t", NetworkRefundRequest{RefundAmount: 3, Reference: "r-1"}))
		}, `{"payment_refund_id":"krn:f","refund_amount":3}`},
	{"refund capture", "POST", "/captures/krn:t:capture:1/refund", `{"refund_amount":3,"payment_refund_reference":"r-1"}`, "", "", `{"payment_refunds":[{"payment_refund_id":"krn:f","refund_reference":"r-1"}]}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.RefundCapture(ctx, testKey, someAccount, "krn:t:capture:1", NetworkRefundRequest{RefundAmount: 3, Reference: "r-1"}))
		}, `{"payment_refund_id":"krn:f","refund_reference":"r-1"}`},
	{"read capture", "GET", "/captures/krn:c", "", "", "", `{"payment_capture_id":"krn:c","captured_at":"?"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.NetworkCapture(ctx, someAccount, "krn:c"))
		},
		`{"payment_capture_id":"krn:c"}`},
	{"read refund", "GET", "/refunds/krn:f", "", "", "", `{"payment_refund_id":"krn:f"}`,
		func(ctx context.Context, c *Client) (any, error) {
			return one(c.NetworkRefund(ctx, someAccount, "krn:f"))
		}, `{"payment_refund_id":"krn:f"}`},
	{"read chargeback", "GET", "/chargebacks/krn:b", "", "", "", `{"payment_chargeback_id":"krn:b","chargeback_amount":5}`,
		func(ctx context.Context, c *Client) (any, error) { return one(c.Chargeback(ctx, someAccount, "krn:b")) },
		`{"payment_chargeback_id":"krn:b","chargeback_amount":5}`},
	{"cancel token", "DELETE", "/tokens/krn:token", "", "", "", ``,
		func(ctx context.Context, c *Client) (any, error) {
			return nil, c.CancelPaymentToken(ctx, someAccount, "krn:token")
		}, `null`},
}

func TestNetworkPayments_SendWhatKlarnaExpectsAndReadTheAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range paymentCalls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			klarna := answering(t, 200, c.answer)
			got, err := c.do(t.Context(), klarna.client(t))
			if err != nil {
				t.Fatal(err)
			}
			s := klarna.only(t)
			s.want(t, c.method, "/v2/accounts/"+someAccount+"/payment"+c.path)
			if c.body == "" && len(s.body) > 0 {
				t.Errorf("sent %s", s.body)
			} else if c.body != "" {
				checkJSON(t, s.body, c.body)
			}
			wantKey := "" // Klarna: on POST and PATCH
			if c.method == "POST" || c.method == "PATCH" {
				wantKey = testKey
			}
			for name, want := range map[string]string{
				"Klarna-Idempotency-Key": wantKey, "Klarna-Network-Session-Token": c.session, "Klarna-Customer-Token": c.customer,
			} {
				if got := s.header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			result, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			checkJSON(t, result, c.want)
		})
	}
}

// Each write that may have had its effect has to be called unknown when what it made cannot be told.
func TestNetworkPayments_AnAnswerWithoutItsIDIsOutcomeUnknown(t *testing.T) {
	t.Parallel()
	c := answering(t, 200, `{"payment_transaction_response":{"result":"APPROVED"}}`).client(t)
	ctx := t.Context()
	_, err := c.CreatePaymentRequest(ctx, testKey, someAccount, "", PaymentRequestInput{})
	check(t, "create", err, ErrOutcomeUnknown, ErrUnavailable)
	_, err = c.Authorize(ctx, testKey, someAccount, AuthorizeTokens{}, AuthorizeRequest{})
	check(t, "authorize", err, ErrOutcomeUnknown, ErrUnavailable)
	_, err = c.CaptureTransaction(ctx, testKey, someAccount, "krn:t", NetworkCaptureRequest{})
	check(t, "capture", err, ErrOutcomeUnknown, ErrUnavailable)
	_, err = c.RefundTransaction(ctx, testKey, someAccount, "krn:t", NetworkRefundRequest{})
	check(t, "refund", err, ErrOutcomeUnknown, ErrUnavailable)
}

func TestNetworkPayments_ATokenThatIsNoHeaderNeverLeaves(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{}`)
	_, err := klarna.client(t).Authorize(t.Context(), testKey, someAccount, AuthorizeTokens{Session: "a\nb"}, AuthorizeRequest{})
	if err == nil || errors.Is(err, ErrOutcomeUnknown) || len(klarna.sent) > 0 {
		t.Errorf("%v, %d sent", err, len(klarna.sent))
	}
}

func TestTransaction_TellsItsAmountsHoweverKlarnaShowsThem(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"state":"AUTHORIZED","amount":100}`: "0 0 100",
		`{"state":"AUTHORIZED","amount":100,"payment_captures":[{"amount":30},{"capture_amount":20}],"payment_refunds":[{"refund_amount":5}]}`:                           "50 5 50",
		`{"state":"AUTHORIZED","amount":100,"captured_amount":60,"refunded_amount":10,"remaining_authorized_amount":15,"payment_captures":[{"payment_capture_id":"x"}]}`: "60 10 15",
		`{"state":"COMPLETED","amount":100,"payment_captures":[{"amount":30}]}`:                                                                                          "30 0 0",
		`{"state":"EXPIRED","amount":100}`: "0 0 0",
		`{"state":"CLOSED","amount":100}`:  "0 0 0",
	} {
		var read Transaction
		if err := json.Unmarshal([]byte(body), &read); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(read.CapturedAmount(), read.RefundedAmount(), read.RemainingAmount()); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

func TestPaymentPayload_FindsTokensAndStatesWhereverKlarnaPutsThem(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]Secret{
		`{"klarna_network_session_token":"a","payment_token":"b"}`:                  "a",
		`{"state_context":{"klarna_network_session_token":"c"}}`:                    "c",
		`{"interoperability_token":"d","payment_token":"e"}`:                        "d",
		`{"payment_token":"f","amount":"many"}`:                                     "f",
		`{"klarna_customer":{"customer_profile":{"given_name":"Ida"}},"state":"x"}`: "",
		`[]`: "",
	} {
		n := NetworkNotification{Payload: []byte(payload)}
		if got := n.PaymentPayload().SessionToken(); got.Reveal() != want.Reveal() {
			t.Errorf("%s: %q", payload, got.Reveal())
		}
	}
	for eventType, want := range map[string]string{
		"payment.request.state-change.in-progress":               "IN_PROGRESS//",
		"payment.transaction.state-change.closed":                "/CLOSED/",
		"payment.dispute.state-change.merchant-evidence-pending": "//MERCHANT_EVIDENCE_PENDING",
		EventPaymentRequestUpdated:                               "//",
	} {
		got := fmt.Sprintf("%s/%s/%s", RequestStateOf(eventType), TransactionStateOf(eventType), DisputeStateOf(eventType))
		if got != want {
			t.Errorf("%s: %s, want %s", eventType, got, want)
		}
	}
}

func TestInstant_ForgivesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	var at struct{ A, B, C Instant }
	if err := json.Unmarshal([]byte(`{"A":"2026-02-11T15:00:00.5+01:00","B":"noon","C":7}`), &at); err != nil {
		t.Fatal(err)
	}
	if !at.A.Equal(time.Date(2026, 2, 11, 14, 0, 0, 5e8, time.UTC)) || !at.B.IsZero() || !at.C.IsZero() {
		t.Errorf("%+v", at)
	}
}
