package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

func pdfOf(reference string) *gatewayv1.DownloadReportRequest {
	return &gatewayv1.DownloadReportRequest{Report: gatewayv1.Report_REPORT_PAYOUT, PaymentReference: reference}
}

func csvOf(reference string) *gatewayv1.DownloadReportRequest {
	return &gatewayv1.DownloadReportRequest{Report: gatewayv1.Report_REPORT_PAYOUT_WITH_TRANSACTIONS, PaymentReference: reference}
}

// download reads a report to its end, and whatever came before an error.
func (f *face) download(req *gatewayv1.DownloadReportRequest, header ...string) (contentType string, report []byte, err error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(f.t.Context(), header...), patience)
	defer cancel()
	stream, err := f.settlements().DownloadReport(ctx, req)
	must(f.t, err)
	for n := 0; ; n++ {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return contentType, report, nil
		}
		if err != nil {
			return contentType, report, err
		}
		if len(piece.GetData()) > reportPiece || (n == 0) != (piece.GetContentType() != "") {
			f.t.Errorf("piece %d of %d bytes has content type %q", n, len(piece.GetData()), piece.GetContentType())
		}
		contentType += piece.GetContentType()
		report = append(report, piece.GetData()...)
	}
}

func bodyOf(t *testing.T, res *http.Response) []byte {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return body
}

// reporting is a stack whose Klarna answers everything as handle does.
func reporting(t *testing.T, handle http.HandlerFunc) *face {
	t.Helper()
	s := start(t, nil)
	fake := httptest.NewServer(handle)
	t.Cleanup(fake.Close)
	client, err := klarna.New(klarna.Config{BaseURL: fake.URL, APIKey: "klarna_test_api_key", HTTPClient: fake.Client(), Retries: -1})
	must(t, err)
	operations := operation.New(operation.Config{
		Journal: s.journal, Accounts: []operation.Account{{Name: shop, API: operation.RegionalAPI, Klarna: client}}, SingleReplica: true,
	})
	return s.serve(func(cfg *Config) { cfg.Operations = operations })
}

func TestDownloadReport_GivesKlarnasReports(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.sold("SO-1")
	reference := s.paidOut().Reference
	const span = "?startTime=2000-01-01T00:00:00Z&endTime=2100-01-01T00:00:00Z"
	for path, begin := range map[string]string{
		"payout-with-transactions?paymentReference=" + reference:      "payment_reference,payout_date,type",
		"payouts-summary-with-transactions" + span:                    "payment_reference,payout_date,type",
		"payout?merchant_account=shop&payment_reference=" + reference: "%PDF-1.4",
		"payouts-summary" + span:                                      "%PDF-1.4",
	} {
		res := s.get("/v1/settlements/reports/" + path)
		body := bodyOf(t, res)
		if res.StatusCode != http.StatusOK || !bytes.HasPrefix(body, []byte(begin)) || !bytes.Contains(body, []byte(reference)) {
			t.Errorf("%s: %s %q", path, res.Status, body)
		}
		if want := map[byte]string{'p': "text/csv", '%': "application/pdf"}[begin[0]]; res.Header.Get("Content-Type") != want {
			t.Errorf("%s: %v", path, res.Header)
		}
	}
	contentType, report, err := s.download(csvOf(reference))
	must(t, err)
	if rest := bodyOf(t, s.get("/v1/settlements/reports/payout-with-transactions?paymentReference="+reference)); contentType != "text/csv" || !bytes.Equal(report, rest) {
		t.Errorf("gRPC gives %s %q, REST %q", contentType, report, rest)
	}
}

func TestDownloadReport_IsByteForByte(t *testing.T) {
	t.Parallel()
	report := bytes.Repeat([]byte("SALE;Gr\xf6\xdfe \xff\xfe;\"a\rb\";\x00;1,5\r\n"), 60_000)
	f := reporting(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/csv; charset=ISO-8859-1")
		_, _ = w.Write(report)
	})
	contentType, got, err := f.download(csvOf("X"))
	if err != nil || contentType != "text/csv; charset=ISO-8859-1" || !bytes.Equal(got, report) || len(report) < 1<<20 {
		t.Errorf("gRPC: %d of %d bytes, %s, %v", len(got), len(report), contentType, err)
	}
	res := f.get("/v1/settlements/reports/payout-with-transactions?paymentReference=X")
	if rest := bodyOf(t, res); res.Header.Get("Content-Type") != contentType || !bytes.Equal(rest, report) {
		t.Errorf("REST: %d of %d bytes, %v", len(rest), len(report), res.Header)
	}
}

func TestDownloadReport_EmptyHasAType(t *testing.T) {
	t.Parallel()
	f := reporting(t, func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil })
	if contentType, got, err := f.download(csvOf("X")); contentType != "text/csv" || len(got) != 0 || err != nil {
		t.Errorf("%s %q %v", contentType, got, err)
	}
	res := f.get("/v1/settlements/reports/payout?paymentReference=X")
	if body := bodyOf(t, res); res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/pdf" || len(body) != 0 {
		t.Errorf("%s %v %q", res.Status, res.Header, body)
	}
}

func TestDownloadReport_CutOffDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	f := reporting(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte("SALE\r\n"), 20_000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	_, got, err := f.download(csvOf("X"))
	wantStatus(t, err, codes.Unavailable, "KLARNA_UNAVAILABLE")
	if len(got) == 0 {
		t.Error("what was there was not handed on")
	}
	res := f.get("/v1/settlements/reports/payout-with-transactions?paymentReference=X")
	if _, err := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("REST: %s, %v", res.Status, err)
	}
}

func TestDownloadReport_EndsAtKlarnaWhenItsReaderLeaves(t *testing.T) {
	t.Parallel()
	for name, endless := range map[string]bool{"flowing": true, "stalled": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{}, 2)
			f := reporting(t, func(w http.ResponseWriter, r *http.Request) {
				defer func() { ended <- struct{}{} }()
				_, err := w.Write(make([]byte, 1<<20))
				for endless && err == nil {
					_, err = w.Write(make([]byte, 1<<20))
				}
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			over := func(who string) {
				select {
				case <-ended:
				case <-time.After(patience):
					t.Errorf("Klarna is still being read for a %s client that left", who)
				}
			}
			ctx, leave := context.WithCancel(t.Context())
			stream, err := f.settlements().DownloadReport(ctx, csvOf("X"))
			must(t, err)
			for n := 0; n < 1<<20; {
				piece, err := stream.Recv()
				must(t, err)
				n += len(piece.GetData())
			}
			leave()
			over("gRPC")

			res := f.get("/v1/settlements/reports/payout?paymentReference=X")
			_, err = io.ReadFull(res.Body, make([]byte, 1<<20))
			must(t, err)
			_ = res.Body.Close()
			over("REST")
		})
	}
}

func TestDownloadReport_RefusalsAreJSONOverREST(t *testing.T) {
	t.Parallel()
	s := start(t, func(cfg *Config) {
		cfg.Callers.Tokens = []access.Token{{Name: "books", SHA256: sha256.Sum256([]byte("let-me-in"))}}
	})
	in := http.Header{"Authorization": {"Bearer let-me-in"}}
	for _, c := range []struct {
		path   string
		header http.Header
		status int
		reason string
	}{
		{"payout?paymentReference=NONE", in, 404, "PAYOUT_NOT_FOUND"},
		{"payout-with-transactions?paymentReference=NONE", in, 404, "PAYOUT_NOT_FOUND"},
		{"payout?paymentReference=NONE", nil, 401, "UNAUTHENTICATED"},
		{"payout", in, 400, "INVALID_FIELD"},
		{"payouts-summary?startTime=2026-02-01T00:00:00Z", in, 400, "INVALID_FIELD"},
		{"payouts-summary?startTime=yesterday&endTime=today", in, 400, "INVALID_FIELD"},
		{"payout?paymentReference=X&merchantAcount=shop", in, 400, "INVALID_FIELD"},
		{"payslip?paymentReference=X", in, 400, "INVALID_FIELD"},
		{"payslip?paymentReference=X&report=REPORT_PAYOUT", in, 400, "INVALID_FIELD"},
		{"payout?paymentReference=X&merchantAccount=nobody", in, 404, "MERCHANT_ACCOUNT_UNKNOWN"},
		{"payout?paymentReference=X&merchantAccount=" + acquirer, in, 400, "MERCHANT_ACCOUNT_UNSUITABLE"},
	} {
		res := s.do(http.MethodGet, "/v1/settlements/reports/"+c.path, nil, c.header)
		body := bodyOf(t, res)
		if res.StatusCode != c.status || res.Header.Get("Content-Type") != "application/json" || !bytes.Contains(body, []byte(`"`+c.reason+`"`)) {
			t.Errorf("%s: %s, want %d %s: %s", c.path, res.Status, c.status, c.reason, body)
		}
	}
	_, _, err := s.download(csvOf("X"))
	wantStatus(t, err, codes.Unauthenticated, "UNAUTHENTICATED")
	_, _, err = s.download(csvOf("X"), "authorization", "Bearer let-me-in")
	wantStatus(t, err, codes.NotFound, "PAYOUT_NOT_FOUND")
}
