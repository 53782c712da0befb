package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// line is one line of a watch over REST.
type line struct {
	Result *gatewayv1.WatchPaymentStatusResponse
	Error  *status.Status
}

// restWatch opens a watch over REST; the headers are there when it returns.
func (f *face) restWatch(query string) (res *http.Response, next func() line) {
	f.t.Helper()
	res = f.get("/v1/payments:watch?" + query)
	if res.StatusCode != http.StatusOK {
		f.t.Fatalf("the watch answered %s", res.Status)
	}
	lines := bufio.NewReader(res.Body)
	return res, func() line {
		f.t.Helper()
		text, err := lines.ReadBytes('\n')
		must(f.t, err)
		var raw struct{ Result, Error json.RawMessage }
		must(f.t, json.Unmarshal(text, &raw))
		if raw.Error != nil {
			return line{Error: statusOf(f.t, raw.Error)}
		}
		got := line{Result: &gatewayv1.WatchPaymentStatusResponse{}}
		must(f.t, protojson.Unmarshal(raw.Result, got.Result))
		return got
	}
}

func TestREST_WatchDeliversLineByLine(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	res, next := s.restWatch("start=WATCH_START_NOW&merchantReferences=SO-1&merchantReferences=SO-2")
	for name, want := range map[string]string{"Content-Type": "application/x-ndjson", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if first := next(); first.Result.GetBookmark() == nil || first.Result.GetResumeToken() == "" {
		t.Fatalf("the first line is %v, want a bookmark before anything happens", first.Result)
	}
	next() // caught up
	token := ""
	for _, ref := range []string{"SO-1", "SO-2"} {
		s.record(opened(ref), opened("SO-7"))
		got := next() // each one comes before the next one is made
		if ev := got.Result.GetEvent(); ev.GetPayment().GetMerchantReference1() != ref {
			t.Fatalf("the line is %v, want the event of %s", got, ref)
		}
		if token == "" {
			token = got.Result.GetResumeToken()
		}
	}
	_, next = s.restWatch("resumeToken=" + token + "&merchantReferences=SO-1&merchantReferences=SO-2")
	next()
	if ev := next().Result.GetEvent(); ev.GetPayment().GetMerchantReference1() != "SO-2" {
		t.Errorf("resumed over REST: %v, want SO-2", ev)
	}
	over := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromToken(token), MerchantReferences: []string{"SO-1", "SO-2"}})
	if got := over.event(); got.payment().GetMerchantReference1() != "SO-2" {
		t.Errorf("resumed over gRPC with a token of REST: %v, want SO-2", got.whole)
	}
}

func TestREST_WatchTellsWhyItEnds(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.record(opened("SO-1"))
	_, drained := s.restWatch("start=WATCH_START_NOW&merchantReferences=SO-1")
	_, failed := s.restWatch("start=WATCH_START_NOW")
	drained()
	failed()
	broken := store.Event{ // as a later version might write it
		ID: "unreadable", Stream: store.Payments, MerchantAccount: shop, Subject: id("unreadable"), Kind: "NEW", State: "NEW", Body: []byte("{"),
	}
	must(t, s.store.Do(t.Context(), func(tx store.Tx) error { _, err := tx.Append(context.Background(), broken); return err }))
	got := failed()
	for got.Result.GetBookmark() != nil {
		got = failed()
	}
	if got.Error.Code() != codes.Internal || reasonOf(got.Error.Err()) != "INTERNAL" {
		t.Errorf("behind the first line came %v, want the error", got)
	}
	s.logged(`"msg":"call failed"`, "WatchPaymentStatus", "decode payment")

	s.server.Drain()
	end := drained()
	for end.Result.GetBookmark() != nil {
		end = drained()
	}
	if why := end.Result.GetStreamEnd().GetReason(); why != gatewayv1.StreamEnd_REASON_DRAINING || end.Result.GetResumeToken() == "" {
		t.Errorf("drained, the last line is %v", end.Result)
	}
}

func TestREST_StatusFollowsTheKindOfError(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	order := s.order("SO-1")
	_, err := s.orders.CaptureOrder(t.Context(), &gatewayv1.CaptureOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(12995)})
	must(t, err)
	_, err = s.partners.OnboardPartner(t.Context(), onboardRequest(t, "mrc-1"))
	must(t, err)
	for name, c := range map[string]struct {
		req    proto.Message
		http   int
		code   codes.Code
		reason string
	}{
		"not found":          {&gatewayv1.GetOrderRequest{OrderId: uuid.NewString()}, 404, codes.NotFound, "ORDER_NOT_FOUND"},
		"not on record":      {&gatewayv1.GetPaymentStatusRequest{Payment: &gatewayv1.GetPaymentStatusRequest_SessionId{SessionId: "7"}}, 404, codes.NotFound, "NOT_FOUND"},
		"not possible now":   {&gatewayv1.CancelOrderRequest{RequestId: uuid.NewString(), OrderId: order}, 400, codes.FailedPrecondition, "CANCEL_NOT_ALLOWED"},
		"more than there is": {&gatewayv1.RefundOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(13000)}, 400, codes.FailedPrecondition, "REFUND_NOT_ALLOWED"},
		"another currency": {&gatewayv1.RefundOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: &gatewayv1.Money{AmountMinor: 1, CurrencyCode: "SEK"}},
			400, codes.InvalidArgument, "INVALID_FIELD"},
		"exists and differs": {with(onboardRequest(t, "mrc-1"), func(r *gatewayv1.OnboardPartnerRequest) { r.Brands[0].DisplayName = "Other" }),
			409, codes.AlreadyExists, "PARTNER_DIFFERS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.on(t).answers(c.req, c.http, c.code, c.reason)
		})
	}
}

func TestREST_StatusFollowsKlarnasAnswer(t *testing.T) {
	t.Parallel()
	order := uuid.NewString()
	read := &gatewayv1.GetOrderRequest{OrderId: order}
	for name, c := range map[string]struct {
		operation string
		status    int // Klarna's
		req       proto.Message
		http      int
		code      codes.Code
		reason    string
	}{
		"conflict":                  {"createSession", 409, sessionRequest("SO-1"), 409, codes.Aborted, "CONFLICT"},
		"our credentials":           {"readOrder", 401, read, 400, codes.FailedPrecondition, "KLARNA_CREDENTIALS_REFUSED"},
		"too fast":                  {"readOrder", 429, read, 429, codes.ResourceExhausted, "KLARNA_RATE_LIMITED"},
		"a read that Klarna fails":  {"readOrder", 500, read, 503, codes.Unavailable, "KLARNA_UNAVAILABLE"},
		"a write that Klarna fails": {"createSession", 503, sessionRequest("SO-1"), 503, codes.Unavailable, "OUTCOME_UNKNOWN"},
		"an answer without sense":   {"readOrder", 418, read, 500, codes.Internal, "KLARNA_UNEXPECTED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.klarnaRefuses(c.operation, c.status)
			s.answers(c.req, c.http, c.code, c.reason)
		})
	}
}

// answers checks what REST answers.
func (f *face) answers(req proto.Message, httpStatus int, code codes.Code, reason string) {
	f.t.Helper()
	got, _, st := f.overREST(req, nil)
	if got != httpStatus || st.Code() != code || reasonOf(st.Err()) != reason {
		f.t.Errorf("HTTP %d, %v %s, want %d, %v %s", got, st.Code(), reasonOf(st.Err()), httpStatus, code, reason)
	}
}

func TestREST_KRNsStandInPaths(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	made, err := s.partners.OnboardPartner(t.Context(), onboardRequest(t, "mrc-1"))
	must(t, err)
	account := made.GetPartner().GetPartnerAccountId()
	if !strings.Contains(account, ":") {
		t.Fatalf("account id %q has no colon: nothing is tested", account)
	}
	must(t, s.klarna.Operational(account))
	must(t, s.klarna.Idle(t.Context()))
	for name, path := range map[string]string{"as it is": account, "escaped": strings.ReplaceAll(url.PathEscape(account), ":", "%3A")} {
		res := s.get("/v1/partners/" + path)
		body, err := io.ReadAll(res.Body)
		must(t, err)
		got := &gatewayv1.GetPartnerResponse{}
		if must(t, protojson.Unmarshal(body, got)); got.GetPartner().GetPartnerAccountId() != account {
			t.Errorf("GET with the KRN %s: %s", name, body)
		}
		update := `{"requestId":"` + uuid.NewString() + `","partnerAccountName":"Name ` + name + `"}`
		if res := s.do("PATCH", "/v1/partners/"+path, strings.NewReader(update), nil); res.StatusCode != http.StatusOK {
			t.Errorf("PATCH with the KRN %s: %s", name, res.Status)
		}
		brand := `{"requestId":"` + uuid.NewString() + `","displayName":"Brand ` + name + `"}`
		read := url.PathEscape(got.GetPartner().GetBrands()[0].GetBrandId())
		if res := s.do("PATCH", "/v1/partners/"+path+"/brands/"+read, strings.NewReader(brand), nil); res.StatusCode != http.StatusOK {
			t.Errorf("PATCH of a brand with the KRN %s: %s", name, res.Status)
		}
		after, err := s.partners.GetPartner(t.Context(), &gatewayv1.GetPartnerRequest{PartnerAccountId: account})
		must(t, err)
		if p := after.GetPartner(); p.GetPartnerAccountName() != "Name "+name || p.GetBrands()[0].GetDisplayName() != "Brand "+name {
			t.Errorf("changed with the KRN %s: %q, %q", name, p.GetPartnerAccountName(), p.GetBrands()[0].GetDisplayName())
		}
	}
}

func TestREST_DescribesItself(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	res := s.get("/openapi.json")
	body, err := io.ReadAll(res.Body)
	must(t, err)
	var described openapi2.T
	must(t, json.NewDecoder(bytes.NewReader(body)).Decode(&described))
	converted, err := openapi2conv.ToV3(&described) // resolves every reference
	must(t, err)
	must(t, converted.Validate(t.Context(), openapi3.DisableExamplesValidation()))
	for _, m := range methods() {
		method, path, _ := annotated(m)
		if method == "" { // not JSON; has a handler of its own
			continue
		}
		for i := range m.Input().Fields().Len() { // as described: with JSON names
			f := m.Input().Fields().Get(i)
			path = strings.ReplaceAll(path, "{"+string(f.Name())+"}", "{"+f.JSONName()+"}")
		}
		if item := described.Paths[path]; item == nil || item.GetOperation(method) == nil {
			t.Errorf("%s is not described: %s %s", m.FullName(), method, path)
		}
	}
	if res := s.get("/healthz"); res.StatusCode != http.StatusOK {
		t.Errorf("/healthz answers %d", res.StatusCode)
	}
}
