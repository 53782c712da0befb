package klarna

import (
	"encoding/json"
	"fmt"
)

// HostedPageUpdate is the unsigned post to HostedPageURLs.StatusUpdate: a hint to read the page. Each update has an
// event_id and may come several times.
type HostedPageUpdate struct {
	EventID string `json:"event_id"`
	Session struct {
		SessionID string           `json:"session_id"` // the page's id
		Status    HostedPageStatus `json:"status"`
	} `json:"session"`
}

// ParseHostedPageUpdate reads an update's body. Only the page's id has to be there.
func ParseHostedPageUpdate(body []byte) (HostedPageUpdate, error) {
	var update HostedPageUpdate
	if err := json.Unmarshal(body, &update); err != nil {
		return HostedPageUpdate{}, fmt.Errorf("hosted page update: %w", err)
	}
	if err := demand("session.session_id", update.Session.SessionID); err != nil {
		return HostedPageUpdate{}, fmt.Errorf("hosted page update: %w", err)
	}
	return update, nil
}

// PendingOrderNotification is the unsigned post to MerchantURLs.Notification about an order whose risk decision took
// time: a hint to read the order. Klarna sends it every 10 minutes for 24 hours, or until it is answered with 200.
type PendingOrderNotification struct {
	OrderID   string `json:"order_id"`
	EventType string `json:"event_type"` // FRAUD_RISK_ACCEPTED, FRAUD_RISK_REJECTED, FRAUD_RISK_STOPPED and others
}

// ParsePendingOrder reads a notification's body. The error names the field that is missing.
func ParsePendingOrder(body []byte) (PendingOrderNotification, error) {
	var n PendingOrderNotification
	if err := json.Unmarshal(body, &n); err != nil {
		return PendingOrderNotification{}, fmt.Errorf("pending order notification: %w", err)
	}
	if err := demand("order_id", n.OrderID, "event_type", n.EventType); err != nil {
		return PendingOrderNotification{}, fmt.Errorf("pending order notification: %w", err)
	}
	return n, nil
}
