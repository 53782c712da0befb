package klarna

import (
	"context"
	"encoding/json"
	"net/http"
)

// DueDateOptions are the extensions of a capture's due date that Klarna offers. Klarna: pay-later methods only, by
// agreement.
type DueDateOptions struct {
	Currency string          `json:"currency,omitempty"` // ISO 4217; Klarna's example is lower case
	Options  []DueDateOption `json:"options,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// DueDateOption is one extension.
type DueDateOption struct {
	NumberOfDays int32 `json:"number_of_days"`
	Amount       int64 `json:"amount"` // Klarna's fee, in minor units
}

const capturePath = orderPath + "/captures/{capture_id}"

// Capture reads one capture.
func (c *Client) Capture(ctx context.Context, orderID, captureID string) (Capture, error) {
	var capture Capture
	err := c.do(ctx, call{
		operation: "getCapture", family: OrderManagement, method: http.MethodGet,
		path: capturePath, ids: []string{orderID, captureID},
		read: into(&capture, &capture.Raw),
	})
	if err != nil {
		return Capture{}, err
	}
	return capture, nil
}

// AppendShippingInfo adds 1 to 500 parcels to a capture; nothing is replaced.
func (c *Client) AppendShippingInfo(ctx context.Context, key, orderID, captureID string, parcels []ShippingInfo) error {
	return c.do(ctx, call{
		operation: "appendShippingInfo", family: OrderManagement, method: http.MethodPost,
		path: capturePath + "/shipping-info", ids: []string{orderID, captureID}, key: key, body: shippingInfoBody{parcels},
	})
}

// TriggerSendOut sends the customer a capture's invoice again.
func (c *Client) TriggerSendOut(ctx context.Context, key, orderID, captureID string) error {
	return c.do(ctx, call{
		operation: "triggerSendOut", family: OrderManagement, method: http.MethodPost,
		path: capturePath + "/trigger-send-out", ids: []string{orderID, captureID}, key: key,
	})
}

// DueDateOptions reads by how many days a capture's due date can be extended.
func (c *Client) DueDateOptions(ctx context.Context, orderID, captureID string) (DueDateOptions, error) {
	var options DueDateOptions
	err := c.do(ctx, call{
		operation: "getOptionsForExtendDueDate", family: OrderManagement, method: http.MethodGet,
		path: capturePath + "/extend-due-date-options", ids: []string{orderID, captureID},
		read: into(&options, &options.Raw),
	})
	if err != nil {
		return DueDateOptions{}, err
	}
	return options, nil
}

// ExtendDueDate extends a capture's due date by one of the options. It costs the option's fee each time.
func (c *Client) ExtendDueDate(ctx context.Context, key, orderID, captureID string, numberOfDays int32) error {
	body := struct {
		NumberOfDays int32 `json:"number_of_days"`
	}{numberOfDays}
	return c.do(ctx, call{
		operation: "extendDueDate", family: OrderManagement, method: http.MethodPatch,
		path: capturePath + "/extend-due-date", ids: []string{orderID, captureID}, key: key, body: body,
	})
}
