package klarna

import (
	"net/http"
	"strings"
	"testing"
)

func TestCorrelationID_IsThatOfTheWriteElseOfTheRead(t *testing.T) {
	t.Parallel()
	klarna := handling(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/acknowledge") || r.Method != "POST" {
			w.Header().Set("Klarna-Correlation-Id", "c-"+r.Method)
		}
		if strings.HasSuffix(r.URL.Path, "/cancel") {
			w.WriteHeader(403)
		}
		_, _ = w.Write([]byte(`{"order_id":"o"}`))
	})
	c := klarna.client(t)
	ctx := Correlated(t.Context())
	want := func(when, id string) {
		t.Helper()
		if got := CorrelationID(ctx); got != id {
			t.Errorf("%s: %q, want %q", when, got, id)
		}
	}
	want("before any call", "")
	_ = c.Acknowledge(ctx, testKey, "o")
	want("after an answer without one", "")
	_, _ = c.Order(ctx, "o")
	want("after a read", "c-GET")
	_ = c.CancelOrder(ctx, testKey, "o")
	want("after a write that was refused", "c-POST")
	_, _ = c.Order(ctx, "o")
	want("after a read that followed", "c-POST")
	if got := CorrelationID(t.Context()); got != "" {
		t.Errorf("outside: %q", got)
	}
	ctx = Correlated(ctx)
	want("in a new piece of work", "")
}
