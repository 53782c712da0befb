package klarna

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var payoutReport = ReportRequest{Report: ReportPayoutWithTransactions, PaymentReference: "XISA93DJ"}

func TestReport_IsPassedOnWhateverItsSizeAndBytes(t *testing.T) {
	t.Parallel()
	report := bytes.Repeat([]byte("SALE;Gr\xf6\xdfe;\x00\r\n"), 100_000)
	klarna := answering(t, 200, string(report), "Content-Type", "text/csv; charset=ISO-8859-1")
	contentType, body, err := klarna.client(t, func(cfg *Config) { cfg.MaxResponse = 100 }).Report(t.Context(), payoutReport)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, report) || contentType != "text/csv; charset=ISO-8859-1" {
		t.Errorf("%d bytes of %s, %v", len(got), contentType, err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	s := klarna.only(t)
	s.want(t, "GET", "/settlements/v1/reports/payout-with-transactions?payment_reference=XISA93DJ")
	if s.header.Get("Authorization") == "" || s.header.Get("Accept") != "text/csv, */*;q=0.5" {
		t.Errorf("headers %v", s.header)
	}
}

func TestReport_HasItsOwnPathAndType(t *testing.T) {
	t.Parallel()
	for name, want := range map[ReportName]string{
		ReportPayoutWithTransactions: "text/csv", ReportPayoutsSummaryWithTransactions: "text/csv",
		ReportPayout: "application/pdf", ReportPayoutsSummary: "application/pdf",
	} {
		klarna := handling(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil // Klarna declares none
		})
		contentType, body, err := klarna.client(t).Report(t.Context(), ReportRequest{Report: name, Start: payoutsFrom, End: payoutsTo})
		if err != nil {
			t.Fatal(err)
		}
		if _ = body.Close(); contentType != want {
			t.Errorf("%s: %s", name, contentType)
		}
		klarna.only(t).want(t, "GET", "/settlements/v1/reports/"+string(name)+"?end_date=2026-02-28T23%3A59%3A59Z&start_date=2026-02-01T00%3A00%3A00Z")
	}
	if _, _, err := answering(t, 200, "").client(t).Report(t.Context(), ReportRequest{Report: "../payouts"}); err == nil {
		t.Error("a report of that name was asked for")
	}
}

func TestReport_RefusalIsReadUnderAnyContentType(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]string{"text/csv": "NOT_FOUND", "application/pdf": "NOT_FOUND", "application/json": "NOT_FOUND", "text/html": "HTTP_404"} {
		text := `{"error_code":"NOT_FOUND","error_messages":["no"],"correlation_id":"c-1"}`
		if contentType == "text/html" {
			text = "<html>"
		}
		_, body, err := answering(t, 404, text, "Content-Type", contentType).client(t).Report(t.Context(), payoutReport)
		var refused *Error
		if body != nil || !errors.As(err, &refused) || refused.Code != want || refused.Status != 404 || refused.Family != Settlement {
			t.Errorf("%s: %v", contentType, err)
		}
	}
	_, _, err := answering(t, 503, "").client(t).Report(t.Context(), payoutReport)
	check(t, "server error", err, ErrUnavailable, ErrOutcomeUnknown)
}

func TestReport_CutOffIsNotWhole(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]string{"with a length": "1000", "in chunks": ""} {
		klarna := handling(t, func(w http.ResponseWriter, _ *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		_, body, err := klarna.client(t).Report(t.Context(), payoutReport)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		check(t, name, err, ErrUnavailable, ErrOutcomeUnknown)
		if string(got) != "half" {
			t.Errorf("%s: %q", name, got)
		}
		_ = body.Close()
	}
}

// slowBody gives a byte after each wait, and nothing more then until its request ends.
type slowBody struct {
	ctx   context.Context
	waits []time.Duration
}

func (b *slowBody) Read(p []byte) (int, error) {
	var next <-chan time.Time
	if len(b.waits) > 0 {
		next, b.waits = time.After(b.waits[0]), b.waits[1:]
	}
	select {
	case <-next:
		return copy(p, "x"), nil
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

func (*slowBody) Close() error { return nil }

type slowTransport []time.Duration

func (waits slowTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: &slowBody{r.Context(), waits}, Request: r}, nil
}

func TestReport_StalledIsGivenUpAndSlowIsNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const patience = 10 * time.Second
		almost := patience - time.Millisecond
		c, err := New(Config{
			BaseURL: "https://klarna.example", APIKey: "k", Timeout: patience,
			HTTPClient: &http.Client{Transport: slowTransport{almost, almost, almost}},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, body, err := c.Report(t.Context(), payoutReport)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		for range 3 {
			if n, err := body.Read(make([]byte, 10)); n != 1 || err != nil {
				t.Fatalf("a slow Klarna: %d, %v", n, err)
			}
			time.Sleep(time.Hour) // a slow reader
		}
		began := time.Now()
		_, err = body.Read(make([]byte, 10))
		check(t, "stalled", err, errStalled, ErrOutcomeUnknown)
		check(t, "stalled", err, ErrUnavailable, ErrOutcomeUnknown)
		if waited := time.Since(began); waited != patience {
			t.Errorf("given up after %s", waited)
		}
	})
}

func TestReport_WithoutAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	klarna := handling(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, _, err := klarna.client(t, func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond }).Report(t.Context(), payoutReport)
	check(t, "no answer", err, ErrUnavailable, ErrOutcomeUnknown)
}

func TestReport_EndsWithItsCaller(t *testing.T) {
	t.Parallel()
	klarna := handling(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	_, body, err := klarna.client(t).Report(ctx, payoutReport)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	cancel()
	if _, err := io.ReadAll(body); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestReport_IsObservedOnceItHasEnded(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var last atomic.Pointer[Call]
	observing := func(cfg *Config) {
		cfg.Observe = func(_ context.Context, call Call) { calls.Add(1); last.Store(&call) }
	}
	_, body, err := answering(t, 200, "x", "Klarna-Correlation-Id", "c-1").client(t, observing).Report(t.Context(), payoutReport)
	if err != nil || calls.Load() != 0 {
		t.Fatalf("observed %d before the end, %v", calls.Load(), err)
	}
	_, _ = io.ReadAll(body)
	_, _ = body.Close(), body.Close()
	got := last.Load()
	if calls.Load() != 1 || got.Operation != "getPayoutReportWithTransactions" || got.Status != 200 || got.CorrelationID != "c-1" || got.Err != nil || got.Duration <= 0 {
		t.Errorf("observed %d times %+v", calls.Load(), got)
	}
	_, _, err = answering(t, 404, "").client(t, observing).Report(t.Context(), payoutReport)
	if got := last.Load(); calls.Load() != 2 || got.Status != 404 || !errors.Is(got.Err, err) {
		t.Errorf("observed %d times %+v", calls.Load(), got)
	}
}

func TestReport_IsNotAskedForWhileKlarnaIsDown(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 503, "")
	c := klarna.client(t, func(cfg *Config) { cfg.CircuitFailures, cfg.CircuitDelay = 1, time.Hour })
	for range 2 {
		_, _, err := c.Report(t.Context(), payoutReport)
		check(t, "down", err, ErrUnavailable, ErrOutcomeUnknown)
	}
	klarna.only(t) // the second was not sent
}
