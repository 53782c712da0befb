package klarna

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// refusal returns what a write on the Network, or else on a classic API, is refused with.
func refusal(t *testing.T, family Family, status int, body string, headers ...string) *Error {
	t.Helper()
	c := answering(t, status, body, headers...).client(t, noRetries)
	var err error
	if family == Network {
		_, err = c.Onboard(t.Context(), testKey, OnboardRequest{})
	} else {
		_, err = c.CaptureOrder(t.Context(), testKey, "o", CaptureRequest{})
	}
	var refused *Error
	if !errors.As(err, &refused) {
		t.Fatalf("status %d: %v", status, err)
	}
	return refused
}

func TestError_ReadsEveryForm(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		family Family
		status int
		body   string
		want   Error
	}{
		"network": {
			Network, 400,
			`{"error_id":"5b7d0f36","error_type":"INPUT_ERROR","error_code":"VALIDATION_ERROR","error_message":"bad","validation_errors":[{"parameter":"brands[0].display_name","reason":"must not be empty","doc_url":"https://x.example"}]}`,
			Error{Operation: "onboard", Code: "VALIDATION_ERROR", ID: "5b7d0f36", Messages: []string{"bad"}, Violations: []Violation{{"brands[0].display_name", "must not be empty"}}},
		},
		"network, other list": {
			Network, 400,
			`{"error_code":"VALIDATION_ERROR","errors":[{"parameter":"products","error_message":"missing"}]}`,
			Error{Operation: "onboard", Code: "VALIDATION_ERROR", Violations: []Violation{{"products", "missing"}}},
		},
		"classic": {
			OrderManagement, 403,
			`{"error_code":"CAPTURE_NOT_ALLOWED","error_messages":["Capture not allowed"],"correlation_id":"0f8e7c66"}`,
			Error{Operation: "captureOrder", Code: "CAPTURE_NOT_ALLOWED", CorrelationID: "0f8e7c66", Messages: []string{"Capture not allowed"}},
		},
		"classic, one message": {
			OrderManagement, 404,
			`{"error_code":"NO_SUCH_ORDER","error_message":"gone"}`,
			Error{Operation: "captureOrder", Code: "NO_SUCH_ORDER", Messages: []string{"gone"}},
		},
		"member of the wrong type": {
			OrderManagement, 422,
			`{"error_messages":"oops","error_code":"UNPROCESSABLE_ENTITY"}`,
			Error{Operation: "captureOrder", Code: "UNPROCESSABLE_ENTITY"},
		},
		"bad values": {
			OrderManagement, 400,
			`{"error_code":"BAD_VALUE","error_messages":["Bad value: order_lines[0].tax_rate","Bad value: billing_address.email","Bad value: what is this"]}`,
			Error{
				Operation: "captureOrder", Code: "BAD_VALUE",
				Messages:   []string{"Bad value: order_lines[0].tax_rate", "Bad value: billing_address.email", "Bad value: what is this"},
				Violations: []Violation{{"order_lines[0].tax_rate", "bad value"}, {"billing_address.email", "bad value"}},
			},
		},
		"not matching": {
			OrderManagement, 409,
			`{"error_code":"BAD_VALUE","error_messages":["Not matching fields: [billing_address.postal_code, order_amount]","Not matching fields: [Incorrect number of items in the cart. Expected: 2, Actual: 3]"]}`,
			Error{
				Operation: "captureOrder", Code: "BAD_VALUE",
				Messages:   []string{"Not matching fields: [billing_address.postal_code, order_amount]", "Not matching fields: [Incorrect number of items in the cart. Expected: 2, Actual: 3]"},
				Violations: []Violation{{"billing_address.postal_code", "differs from what was authorized"}, {"order_amount", "differs from what was authorized"}},
			},
		},
		"empty":        {OrderManagement, 401, ``, Error{Operation: "captureOrder", Code: "HTTP_401"}},
		"html":         {OrderManagement, 502, `<html>gateway</html>`, Error{Operation: "captureOrder", Code: "HTTP_502"}},
		"truncated":    {OrderManagement, 403, `{"error_code":"CAPTURE_NOT_AL`, Error{Operation: "captureOrder", Code: "HTTP_403"}},
		"text as code": {OrderManagement, 400, `{"error_code":"Erika lives here"}`, Error{Operation: "captureOrder", Code: "HTTP_400"}},
		"text as ids":  {OrderManagement, 400, `{"error_code":"X","error_id":"a b","correlation_id":"a\nb"}`, Error{Operation: "captureOrder", Code: "X"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := refusal(t, test.family, test.status, test.body)
			test.want.Family, test.want.Status = test.family, test.status
			if test.family == Network {
				got.CorrelationID = "" // the one we made up
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestError_TakesCorrelationIDFromTheHeader(t *testing.T) {
	t.Parallel()
	if got := refusal(t, OrderManagement, 502, "<html>", "Klarna-Correlation-Id", "h-1"); got.CorrelationID != "h-1" {
		t.Errorf("got %q", got.CorrelationID)
	}
	if got := refusal(t, Network, 403, ""); len(got.CorrelationID) != 32 {
		t.Errorf("not the one we sent: %q", got.CorrelationID)
	}
}

func TestError_TextHoldsNoFreeText(t *testing.T) {
	t.Parallel()
	e := refusal(t, OrderManagement, 400, `{"error_code":"BAD_VALUE","error_messages":["Bad value: erika"],"correlation_id":"c-1"}`)
	want := "klarna answered captureOrder with status 400, code BAD_VALUE, correlation id c-1"
	if e.Error() != want {
		t.Errorf("got %q", e.Error())
	}
}

func TestError_ServerErrorIsBothRefusalAndVerdict(t *testing.T) {
	t.Parallel()
	c := answering(t, 500, `{"error_code":"TIMEOUT","error_id":"c0ffee00","error_message":"slow"}`).client(t)
	_, err := c.Onboard(t.Context(), testKey, OnboardRequest{})
	var refused *Error
	if !errors.Is(err, ErrOutcomeUnknown) || !errors.As(err, &refused) || refused.Code != "TIMEOUT" {
		t.Errorf("write: %v", err)
	}
	if strings.Contains(err.Error(), "slow") {
		t.Errorf("free text in %v", err)
	}
	_, err = c.PartnerAccount(t.Context(), "krn:a")
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOutcomeUnknown) || !errors.As(err, &refused) {
		t.Errorf("read: %v", err)
	}
}

func TestError_RefusedWriteHadNoEffect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{302, 400, 401, 403, 404, 409, 413, 422, 429} {
		c := answering(t, status, `{}`).client(t, noRetries)
		if err := c.CancelOrder(t.Context(), testKey, "o"); errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrUnavailable) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestError_TellsWhenToRetry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 3, 9, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		headers []string
		want    time.Duration
	}{
		"none":          {nil, 0},
		"reset":         {[]string{"X-Ratelimit-Reset", "7"}, 7 * time.Second},
		"reset first":   {[]string{"X-Ratelimit-Reset", "7", "Retry-After", "9"}, 7 * time.Second},
		"reset of zero": {[]string{"X-Ratelimit-Reset", "0", "Retry-After", "9"}, 9 * time.Second},
		"date":          {[]string{"Retry-After", "Tue, 03 Feb 2026 09:00:30 GMT"}, 30 * time.Second},
		"date gone by":  {[]string{"Retry-After", "Tue, 03 Feb 2026 08:00:30 GMT"}, 0},
		"nonsense":      {[]string{"X-Ratelimit-Reset", "soon"}, 0},
		"negative":      {[]string{"X-Ratelimit-Reset", "-5"}, 0},
		"since 1970":    {[]string{"X-Ratelimit-Reset", "1741944413"}, 0},
	} {
		h := http.Header{}
		for i := 0; i < len(test.headers); i += 2 {
			h.Set(test.headers[i], test.headers[i+1])
		}
		if got := retryAfter(h, now); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	if got := refusal(t, Network, 429, `{"error_code":"RATE_LIMITED"}`, "X-Ratelimit-Reset", "3"); got.RetryAfter != 3*time.Second {
		t.Errorf("429: %v", got.RetryAfter)
	}
	if got := refusal(t, Network, 400, `{}`, "X-Ratelimit-Reset", "3"); got.RetryAfter != 0 {
		t.Errorf("400: %v", got.RetryAfter)
	}
}
