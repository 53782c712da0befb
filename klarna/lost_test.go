package klarna

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// Whatever is left of an answer, its error says under which id Klarna knows the call.
func TestCallError_NamesTheCallWhateverIsLeftOfItsAnswer(t *testing.T) {
	t.Parallel()
	cut := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"order_`))
	}
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter)
		is     error
	}{
		"cut off":    {cut, ErrOutcomeUnknown},
		"empty":      {func(http.ResponseWriter) {}, ErrOutcomeUnknown},
		"not JSON":   {func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) }, ErrOutcomeUnknown},
		"too large":  {func(w http.ResponseWriter) { _, _ = w.Write([]byte(`"` + strings.Repeat("x", 2000) + `"`)) }, ErrOutcomeUnknown},
		"500, empty": {func(w http.ResponseWriter) { w.WriteHeader(500) }, ErrOutcomeUnknown},
	} {
		klarna := handling(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Klarna-Correlation-Id", "c-1")
			test.answer(w)
		})
		c := klarna.client(t, func(cfg *Config) { cfg.Retries, cfg.MaxResponse = -1, 1000 })
		_, err := c.ChargeCustomerToken(t.Context(), testKey, testToken, TokenOrderRequest{})
		var lost *CallError
		var refused *Error
		if !errors.Is(err, test.is) || !errors.As(err, &lost) && !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		} else if lost != nil && lost.CorrelationID != "c-1" || refused != nil && refused.CorrelationID != "c-1" {
			t.Errorf("%s: %v does not name the call", name, err)
		}
		if !strings.Contains(err.Error(), "correlation id c-1") || strings.Contains(err.Error(), testToken) {
			t.Errorf("%s: tells %v", name, err)
		}
	}
}

func TestCallError_OfTheNetworkNamesTheIdThatWasSent(t *testing.T) {
	t.Parallel()
	klarna := handling(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := klarna.client(t, func(cfg *Config) { cfg.Retries = -1 }).Onboard(t.Context(), testKey, OnboardRequest{})
	var lost *CallError
	if !errors.As(err, &lost) || lost.Operation != "onboard" || lost.CorrelationID != klarna.only(t).header.Get("Partner-Correlation-Id") {
		t.Errorf("got %+v", lost)
	}
}
