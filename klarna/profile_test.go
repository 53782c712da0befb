package klarna

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestNew_RefusesAKeyOrHostOfAnotherPlace(t *testing.T) {
	t.Parallel()
	const eu, na, playground = "https://api.klarna.com", "https://api-na.klarna.com", "https://api.playground.klarna.com"
	for name, test := range map[string]struct {
		cfg  Config
		want string // part of the error; empty: accepted
	}{
		"all in one place":           {Config{BaseURL: eu, APIKey: "klarna_live_api_x", Environment: Live, Region: Europe}, ""},
		"test key at a live host":    {Config{BaseURL: eu, APIKey: "klarna_test_api_x"}, "the api key is of environment playground, not live"},
		"live key at a playground":   {Config{BaseURL: playground, Username: "u", APIKey: "klarna_live_api_x"}, "the api key is of environment live, not playground"},
		"key as a password":          {Config{BaseURL: eu, Username: "u", Password: "klarna_test_api_x"}, "the password is of environment playground"},
		"live key for the simulator": {Config{BaseURL: "http://127.0.0.1:8082", APIKey: "klarna_live_api_x", Environment: Playground}, "the api key is of environment live"},
		"any key for the simulator":  {Config{BaseURL: "http://127.0.0.1:8082", APIKey: "klarna_live_api_x"}, ""},
		"host of another region":     {Config{BaseURL: na, APIKey: "k", Region: Europe}, "https://api-na.klarna.com is of region na, not eu"},
		"host of the other world":    {Config{BaseURL: eu, APIKey: "k", Environment: Playground}, "https://api.klarna.com is of environment live, not playground"},
		"Kustom has one host":        {Config{BaseURL: "https://api.kustom.co", APIKey: "k", Region: NorthAmerica}, ""},
		"no such region":             {Config{BaseURL: eu, APIKey: "k", Region: "apac"}, "region: none of eu, na, oc"},
		"no such environment":        {Config{BaseURL: eu, APIKey: "k", Environment: "staging"}, "environment: neither live nor playground"},
		"an operation that is none":  {Config{BaseURL: eu, APIKey: "k", Withdrawn: []string{"triggerSendOut"}}, `"triggerSendOut" is neither a path`},
	} {
		_, err := New(test.cfg)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		case err != nil && strings.Contains(err.Error(), "_api_x"):
			t.Errorf("%s: the error tells the key", name)
		}
	}
}

func TestClient_RefusesWhatItsProfileDoesNotOffer(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"order_id":"o","session_id":"s"}`)
	c := klarna.client(t, func(cfg *Config) {
		cfg.Offers = KustomOffers
		cfg.Withdrawn = []string{"POST /ordermanagement/v1/orders/{id}/captures/{capture}/trigger-send-out", "/settlements/v1/reports"}
	})
	report := func(ctx context.Context) error {
		_, body, err := c.Report(ctx, ReportRequest{Report: ReportPayoutWithTransactions, PaymentReference: "p"})
		if err == nil {
			err = body.Close()
		}
		return err
	}
	_, session := c.CreateSession(t.Context(), Session{})
	_, charge := c.ChargeCustomerToken(t.Context(), testKey, "t", TokenOrderRequest{})
	for name, err := range map[string]error{
		"not the host's":        session,
		"nor this":              charge,
		"withdrawn by name":     c.TriggerSendOut(t.Context(), testKey, "o", "c"),
		"withdrawn by its path": report(t.Context()),
	} {
		var misdirected *MisdirectedError
		if !errors.Is(err, ErrNotOffered) || !errors.As(err, &misdirected) || misdirected.Operation == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(klarna.sent) != 0 {
		t.Errorf("sent %d times", len(klarna.sent))
	}
	_, err := c.Order(t.Context(), "o")
	for name, err := range map[string]error{"an order": err, "a capture": c.ExtendDueDate(t.Context(), testKey, "o", "c", 7)} {
		if err != nil {
			t.Errorf("%s, which is offered: %v", name, err)
		}
	}
}

func TestClient_RefusesAPurchaseInAnotherRegion(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"order_id":"o","session_id":"s"}`)
	c := klarna.client(t, func(cfg *Config) { cfg.Region = Europe })
	for country, refused := range map[string]bool{"US": true, "us": true, "AU": true, "SE": false, "BR": false, "": false} {
		_, session := c.CreateSession(t.Context(), Session{PurchaseCountry: country})
		_, order := c.PlaceOrder(t.Context(), testToken, PlaceOrderRequest{PurchaseCountry: country})
		_, checkout := c.CreateCheckoutOrder(t.Context(), CheckoutOrder{PurchaseCountry: country})
		_, token := c.CreateCustomerToken(t.Context(), testToken, CustomerTokenRequest{PurchaseCountry: country})
		for call, err := range map[string]error{
			"session": session, "update": c.UpdateSession(t.Context(), "s", Session{PurchaseCountry: country}), "order": order,
			"checkout": checkout, "token": token,
		} {
			if errors.Is(err, ErrOtherRegion) != refused {
				t.Errorf("%s in %q: %v", call, country, err)
			}
		}
	}
	if anywhere := klarna.client(t); anywhere.fits(call{country: "US"}) != nil {
		t.Error("refused by a client that knows no region")
	}
}

// place is a Klarna that knows one order.
func place(t *testing.T, known string, status int) *fakeKlarna {
	return handling(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/"+known) {
			w.Header().Set("Capture-Id", "c")
			w.WriteHeader(200)
			_, _ = io.WriteString(w, `{"order_id":"`+known+`"}`)
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error_code":"NO_SUCH_ORDER"}`)
	})
}

func TestClient_LooksElsewhereForWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	now, before, ended := place(t, "new", 404), place(t, "old", 404), place(t, "none", 401)
	c := now.client(t).Or(ended.client(t), before.client(t))
	capture := func(order string) error {
		_, err := c.CaptureOrder(t.Context(), testKey, order, CaptureRequest{CapturedAmount: 1})
		return err
	}
	for _, order := range []string{"new", "old"} {
		if err := capture(order); err != nil {
			t.Errorf("order %s: %v", order, err)
		}
	}
	if len(before.sent) != 1 || len(now.sent) != 2 || before.sent[0].header.Get("Klarna-Idempotency-Key") != testKey {
		t.Errorf("asked %d times, and elsewhere %d", len(now.sent), len(before.sent))
	}
	var refused *Error
	if err := capture("unknown"); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("what nobody knows: %v", err)
	}
	if _, err := c.CreateSession(t.Context(), Session{}); !errors.As(err, &refused) || refused.Status != 404 || len(before.sent) != 2 {
		t.Errorf("what is made has no other place: %v after %d", err, len(before.sent))
	}
}

func TestClient_DoesNotLookElsewhereInDoubt(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403, 409, 500} {
		now, before := place(t, "new", status), place(t, "old", 404)
		c := now.client(t, func(cfg *Config) { cfg.Retries = -1 }).Or(before.client(t))
		if _, err := c.CaptureOrder(t.Context(), testKey, "old", CaptureRequest{CapturedAmount: 1}); err == nil || len(before.sent) != 0 {
			t.Errorf("after %d: %v, elsewhere %d times", status, err, len(before.sent))
		}
	}
}
