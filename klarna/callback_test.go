package klarna

import (
	"strings"
	"testing"
)

func TestParseHostedPageUpdate_NeedsThePageAlone(t *testing.T) {
	t.Parallel()
	update, err := ParseHostedPageUpdate([]byte(`{"event_id":"e-1","session":{"session_id":"p-1","status":"TIMEOUT","updated_at":"soon","authorization_token":"at"}}`))
	if err != nil || update.EventID != "e-1" || update.Session.SessionID != "p-1" || update.Session.Status != PageTimeout {
		t.Errorf("got %+v, %v", update, err)
	}
	for _, body := range []string{``, `[]`, `{"session":7}`, `{"event_id":"e-1"}`} {
		if _, err := ParseHostedPageUpdate([]byte(body)); err == nil {
			t.Errorf("%s was read", body)
		}
	}
}

func TestParsePendingOrder_NeedsOrderAndType(t *testing.T) {
	t.Parallel()
	n, err := ParsePendingOrder([]byte(`{"order_id":"o-1","event_type":"ORDER_ACCEPTED","more":[1]}`))
	if err != nil || n.OrderID != "o-1" || n.EventType != "ORDER_ACCEPTED" {
		t.Errorf("got %+v, %v", n, err)
	}
	if _, err := ParsePendingOrder([]byte(`{"order_id":7}`)); err == nil {
		t.Error("an order id that is no text was read")
	}
	if _, err := ParsePendingOrder([]byte(`{}`)); err == nil || !strings.Contains(err.Error(), "order_id, event_type") {
		t.Errorf("got %v", err)
	}
}
