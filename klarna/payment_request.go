package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
)

// Payments on the Klarna Network, made for a partner account: a payment request asks the customer, authorizing makes a
// transaction of it. Klarna: they work as soon as the account is partially operational.

const (
	networkPaymentPath = accountPath + "/payment"
	requestsPath       = networkPaymentPath + "/requests"
	requestPath        = requestsPath + "/{payment_request_id}"
)

// PaymentRequestState is the state of a payment request, in Klarna's word.
type PaymentRequestState string

// Klarna: SUBMITTED and IN_PROGRESS may follow one another both ways; the others are final. Which one DECLINED comes
// from is not documented.
const (
	RequestSubmitted  PaymentRequestState = "SUBMITTED"
	RequestInProgress PaymentRequestState = "IN_PROGRESS"
	RequestCompleted  PaymentRequestState = "COMPLETED"
	RequestDeclined   PaymentRequestState = "DECLINED"
	RequestExpired    PaymentRequestState = "EXPIRED"
	RequestCanceled   PaymentRequestState = "CANCELED"
)

// Final tells whether nothing can come after this state.
func (s PaymentRequestState) Final() bool {
	return s == RequestCompleted || s == RequestDeclined || s == RequestExpired || s == RequestCanceled
}

// PaymentRequestInput opens a payment request. It may hold personal data.
type PaymentRequestInput struct {
	Currency                      string               `json:"currency"`
	Amount                        int64                `json:"amount"` // minor units, tax and discounts included
	PaymentRequestReference       string               `json:"payment_request_reference,omitempty"`
	SupplementaryPurchaseData     *PurchaseData        `json:"supplementary_purchase_data,omitempty"`
	CustomerInteractionConfig     *CustomerInteraction `json:"customer_interaction_config,omitempty"`
	AcquiringConfig               *AcquiringConfig     `json:"acquiring_config,omitempty"`
	PaymentOptionID               string               `json:"payment_option_id,omitempty"`
	PaymentProgramEnablementCodes []string             `json:"payment_program_enablement_codes,omitempty"`
	ShippingConfig                json.RawMessage      `json:"shipping_config,omitempty"` // an object, passed on as it is
	PointOfCheckout               *PointOfCheckout     `json:"point_of_checkout,omitempty"`
}

// PaymentRequestUpdate changes what is set and keeps the rest.
type PaymentRequestUpdate struct {
	Currency                  string          `json:"currency,omitempty"`
	Amount                    *int64          `json:"amount,omitempty"`
	PaymentRequestReference   string          `json:"payment_request_reference,omitempty"`
	SupplementaryPurchaseData *PurchaseData   `json:"supplementary_purchase_data,omitempty"`
	ShippingConfig            json.RawMessage `json:"shipping_config,omitempty"`
}

// PurchaseData says what is bought. Klarna: shipping and customer have members that are not all documented; they are
// passed on as they are. Customer is personal data.
type PurchaseData struct {
	PurchaseReference string            `json:"purchase_reference,omitempty"` // the customer's order number
	LineItems         []LineItem        `json:"line_items,omitempty"`
	Shipping          []json.RawMessage `json:"shipping,omitempty"`
	Customer          json.RawMessage   `json:"customer,omitempty"`
}

// LineItem is one line of a purchase on the Network. Amounts are in minor units; a discount is a negative TotalAmount.
type LineItem struct {
	Name              string `json:"name"`
	Quantity          int64  `json:"quantity"`
	UnitPrice         *int64 `json:"unit_price,omitempty"`
	TotalAmount       int64  `json:"total_amount"`
	TotalTaxAmount    *int64 `json:"total_tax_amount,omitempty"`
	ProductURL        string `json:"product_url,omitempty"`
	ImageURL          string `json:"image_url,omitempty"`
	ProductIdentifier string `json:"product_identifier,omitempty"`
	LineItemReference string `json:"line_item_reference,omitempty"`
	ShippingReference string `json:"shipping_reference,omitempty"`
}

// CustomerInteraction says how the customer gets to Klarna and back.
type CustomerInteraction struct {
	Method       string `json:"method"`               // HANDOVER, QR_CODE
	ReturnURL    string `json:"return_url,omitempty"` // may hold {klarna.payment_request.id} and its like
	AppReturnURL string `json:"app_return_url,omitempty"`
}

// AcquiringConfig says for which payment account a payment is made. Klarna: by its id, or by the acquiring account and
// our reference.
type AcquiringConfig struct {
	PaymentAccountID          string `json:"payment_account_id,omitempty"`
	PaymentAcquiringAccountID string `json:"payment_acquiring_account_id,omitempty"`
	PaymentAccountReference   string `json:"payment_account_reference,omitempty"`
	SettlementCurrency        string `json:"settlement_currency,omitempty"`
}

// PointOfCheckout is where the customer buys.
type PointOfCheckout struct {
	StoreID string `json:"store_id,omitempty"`
}

// PaymentRequest is what Klarna tells of a payment request. Its tokens are credentials.
type PaymentRequest struct {
	PaymentRequestID        string              `json:"payment_request_id"`
	PaymentRequestReference string              `json:"payment_request_reference,omitempty"`
	State                   PaymentRequestState `json:"state"`
	PreviousState           PaymentRequestState `json:"previous_state,omitempty"`
	StateReason             string              `json:"state_reason,omitempty"`
	Currency                string              `json:"currency,omitempty"`
	Amount                  int64               `json:"amount,omitempty"`
	ExpiresAt               Instant             `json:"expires_at,omitzero"` // zero if it is not told
	StateContext            RequestContext      `json:"state_context"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// RequestContext is what a payment request shows in its present state. Klarna: tokens live for an hour.
type RequestContext struct {
	CustomerInteraction   RequestInteraction `json:"customer_interaction"`
	NetworkSessionToken   Secret             `json:"klarna_network_session_token,omitempty"`
	InteroperabilityToken Secret             `json:"interoperability_token,omitempty"` // older
	PaymentToken          Secret             `json:"payment_token,omitempty"`          // older, being removed
	KlarnaCustomer        RequestCustomer    `json:"klarna_customer"`
}

// RequestInteraction is where the customer is to go.
type RequestInteraction struct {
	Method            string `json:"method,omitempty"`
	PaymentRequestURL string `json:"payment_request_url,omitempty"`
}

// RequestCustomer is who has completed a request, as far as we act upon it.
type RequestCustomer struct {
	CustomerToken Secret `json:"customer_token,omitempty"`
}

// SessionToken is what a transaction is authorized with once the request is completed; empty before. Of Klarna's three
// names for it the newest counts.
func (c RequestContext) SessionToken() Secret {
	for _, token := range []Secret{c.NetworkSessionToken, c.InteroperabilityToken, c.PaymentToken} {
		if token != "" {
			return token
		}
	}
	return ""
}

// LogValue keeps tokens and people out of logs.
func (r PaymentRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("payment_request_id", r.PaymentRequestID), slog.String("state", string(r.State)))
}

// LogValue keeps people out of logs.
func (in PaymentRequestInput) LogValue() slog.Value {
	return slog.GroupValue(slog.String("payment_request_reference", in.PaymentRequestReference))
}

// LogValue keeps people out of logs.
func (u PaymentRequestUpdate) LogValue() slog.Value {
	return slog.GroupValue(slog.String("payment_request_reference", u.PaymentRequestReference))
}

// LogValue keeps people out of logs.
func (d PurchaseData) LogValue() slog.Value {
	return slog.GroupValue(slog.String("purchase_reference", d.PurchaseReference))
}

// CreatePaymentRequest opens a payment request. A customer token, if there is one, may complete it at once.
func (c *Client) CreatePaymentRequest(ctx context.Context, key, partnerAccountID string, customerToken Secret, in PaymentRequestInput) (PaymentRequest, error) {
	var made PaymentRequest
	err := c.do(ctx, call{
		operation: "createPaymentRequest", family: Network, method: http.MethodPost, path: requestsPath,
		ids: []string{partnerAccountID}, key: key, body: in, tokens: map[string]Secret{headerCustomerToken: customerToken},
		read: func(a answer) error {
			if err := into(&made, &made.Raw)(a); err != nil {
				return err
			}
			if made.PaymentRequestID == "" {
				return errors.New("no payment_request_id")
			}
			return nil
		},
	})
	if err != nil {
		return PaymentRequest{}, err
	}
	return made, nil
}

// PaymentRequest reads a payment request.
func (c *Client) PaymentRequest(ctx context.Context, partnerAccountID, id string) (PaymentRequest, error) {
	k := call{operation: "readPaymentRequest", path: requestPath, ids: []string{partnerAccountID, id}}
	return readPart(ctx, c, k, rawOfRequest)
}

// UpdatePaymentRequest changes a payment request. Klarna: only while it is SUBMITTED.
func (c *Client) UpdatePaymentRequest(ctx context.Context, key, partnerAccountID, id string, update PaymentRequestUpdate) (PaymentRequest, error) {
	k := call{
		operation: "updatePaymentRequest", method: http.MethodPatch, path: requestPath, ids: []string{partnerAccountID, id},
		key: key, body: update,
	}
	return changePart(ctx, c, k, PaymentRequest{PaymentRequestID: id}, rawOfRequest)
}

// CancelPaymentRequest ends a payment request that nobody will complete. It takes no idempotency key, and needs none:
// a request is canceled once.
func (c *Client) CancelPaymentRequest(ctx context.Context, partnerAccountID, id string) (PaymentRequest, error) {
	k := call{
		operation: "cancelPaymentRequest", method: http.MethodDelete, path: requestPath, ids: []string{partnerAccountID, id},
		oncePerToken: true,
	}
	return changePart(ctx, c, k, PaymentRequest{PaymentRequestID: id, State: RequestCanceled}, rawOfRequest)
}

func rawOfRequest(r *PaymentRequest) *json.RawMessage { return &r.Raw }
