package server

import (
	"bufio"
	"crypto/sha256"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
)

const ticketMakers = `
roles:
  seller: {rpcs: [PaymentService/CreateWatchTicket], merchant_accounts: [shop]}
bindings: [{callers: [seller], roles: [seller]}]`

func (s *stack) ticket(reference string) *gatewayv1.CreateWatchTicketResponse {
	s.t.Helper()
	res, st := s.overGRPC(&gatewayv1.CreateWatchTicketRequest{
		Payment: &gatewayv1.CreateWatchTicketRequest_SessionId{SessionId: id("session " + reference)},
	}, "authorization", "Bearer seller-token")
	must(s.t, st.Err())
	return res.(*gatewayv1.CreateWatchTicketResponse)
}

// lines reads the lines of a watch over REST until one holds the text.
func lines(t *testing.T, res *http.Response, until string) string {
	t.Helper()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("HTTP status %d: %s", res.StatusCode, body)
	}
	var all strings.Builder
	for scan := bufio.NewScanner(res.Body); scan.Scan(); {
		all.WriteString(scan.Text() + "\n")
		if strings.Contains(scan.Text(), until) {
			return all.String()
		}
	}
	t.Fatalf("no line holds %q:\n%s", until, all.String())
	return ""
}

func TestTicket_ShowsTheStatusOfOnePaymentAndNothingElse(t *testing.T) {
	t.Parallel()
	s := start(t, policed(t, ticketMakers, "seller"))
	s.record(opened("SO-1"), opened("SO-2"), placed("SO-1"), placed("SO-2"))
	made := s.ticket("SO-1")
	if left := made.GetExpireTime().AsTime().Sub(s.store.Now()); left > time.Minute || left < 50*time.Second {
		t.Errorf("it is good for %s", left)
	}
	kept := sha256.Sum256([]byte(made.GetTicket()))
	row, err := s.store.Secret(t.Context(), kept[:])
	if _, clear := s.store.Secret(t.Context(), []byte(made.GetTicket())); err != nil || clear == nil || strings.Contains(row.Key, made.GetTicket()) {
		t.Errorf("what is kept of it is %+v, %v", row, err)
	}
	res := s.get(made.GetWatchPath())
	shown := lines(t, res, "snapshotEnd")
	s.record(told("SO-2", "PAID"), told("SO-1", "PAID"))
	shown += lines(t, res, "PAYMENT_EVENT_KIND_PAID")
	for _, secret := range []string{"SO-1", "SO-2", id("session SO-1"), id("order SO-1"), id("order SO-2"), "12995", "EUR", shop} {
		if strings.Contains(shown, secret) {
			t.Errorf("the watch tells %s:\n%s", secret, shown)
		}
	}
	ids := regexp.MustCompile(`"paymentId":"[^"]+"`).FindAllString(shown, -1)
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("the watch tells of %q", ids)
	}
	if !strings.Contains(shown, "STATE_ORDERED") || strings.Count(shown, "PAYMENT_EVENT_KIND_PAID") != 1 {
		t.Errorf("the watch told\n%s", shown)
	}
}

func TestTicket_IsSpentByItsFirstUse(t *testing.T) {
	t.Parallel()
	s := start(t, policed(t, ticketMakers, "seller"))
	s.record(opened("SO-1"))
	path := s.ticket("SO-1").GetWatchPath()
	var mu sync.Mutex
	var tries sync.WaitGroup
	got := map[int]int{}
	for range 8 {
		tries.Go(func() {
			res := s.get(path)
			mu.Lock()
			defer mu.Unlock()
			got[res.StatusCode]++
		})
	}
	tries.Wait()
	if got[http.StatusOK] != 1 || got[http.StatusUnauthorized] != 7 {
		t.Errorf("8 uses at once were answered %v", got)
	}
}

func TestTicket_IsRefusedElsewhere(t *testing.T) {
	t.Parallel()
	s := start(t, policed(t, ticketMakers, "seller"))
	s.record(opened("SO-1"))
	text := func() string { return s.ticket("SO-1").GetTicket() }
	stale := text()
	s.klarna.Advance(61 * time.Second)
	watch := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest)}
	if _, st := s.overGRPC(watch, ticketKey, text()); reasonOf(st.Err()) != "UNAUTHENTICATED" {
		t.Errorf("over gRPC: %v", st)
	}
	for name, c := range map[string]struct {
		path   string
		header http.Header
		want   int
		reason string
	}{
		"run out":          {path: "/v1/payments:watch?ticket=" + stale, want: http.StatusUnauthorized, reason: "TICKET_INVALID"},
		"made up":          {path: "/v1/payments:watch?ticket=made-up", want: http.StatusUnauthorized, reason: "TICKET_INVALID"},
		"another filter":   {path: "/v1/payments:watch?order_ids=" + id("order SO-2") + "&ticket=" + text(), want: http.StatusBadRequest, reason: "INVALID_FIELD"},
		"debtors":          {path: "/v1/payments:watch?include_debtor_data=true&ticket=" + text(), want: http.StatusBadRequest, reason: "INVALID_FIELD"},
		"another account":  {path: "/v1/payments:watch?merchant_account=outlet&ticket=" + text(), want: http.StatusForbidden, reason: "PERMISSION_MISSING"},
		"another path":     {path: "/v1/payments?ticket=" + text(), want: http.StatusBadRequest, reason: "INVALID_FIELD"},
		"as a header":      {path: "/v1/payments:watch?start=WATCH_START_NOW", header: http.Header{"Grpc-Metadata-" + ticketKey: {text()}, ticketKey: {text()}}, want: http.StatusUnauthorized, reason: "UNAUTHENTICATED"},
		"cookie elsewhere": {path: "/v1/payments", header: http.Header{"Cookie": {ticketCookie + "=" + text()}}, want: http.StatusUnauthorized, reason: "UNAUTHENTICATED"},
	} {
		res := s.do(http.MethodGet, c.path, nil, c.header)
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != c.want || !strings.Contains(string(body), c.reason) {
			t.Errorf("%s: HTTP status %d, %s", name, res.StatusCode, body)
		}
	}
	lines(t, s.do(http.MethodGet, "/v1/payments:watch", nil, http.Header{"Cookie": {ticketCookie + "=" + text()}}), "snapshotEnd")
	if strings.Contains(s.logs.String(), stale) {
		t.Error("the log holds a ticket")
	}
}

func TestTicket_LeansOnTheGrantOfItsMaker(t *testing.T) {
	t.Parallel()
	var file *access.PolicyFile
	set := policed(t, ticketMakers, "seller")
	s := start(t, func(c *Config) { set(c); file = c.Policy })
	s.record(opened("SO-1"))
	later := s.ticket("SO-1").GetWatchPath()
	res := s.get(s.ticket("SO-1").GetWatchPath())
	lines(t, res, "snapshotEnd")
	must(t, os.WriteFile(file.Path(), []byte("roles: {}"), 0o600))
	_, err := file.Reload()
	must(t, err)
	lines(t, res, "REASON_PERMISSION_REVOKED")
	if res := s.get(later); res.StatusCode != http.StatusForbidden {
		t.Errorf("a ticket from before: HTTP status %d", res.StatusCode)
	}
}

func TestTicket_IsForPaymentsOnTheNetworkToo(t *testing.T) {
	t.Parallel()
	s := start(t, policed(t, `
roles: {seller: {rpcs: [PaymentService/CreateWatchTicket], merchant_accounts: [acquirer], partner_accounts: ["`+mine+`"]}}
bindings: [{callers: [seller], roles: [seller]}]`, "seller"))
	for _, partner := range []string{mine, theirs} {
		s.record(journal.PaymentFact{EventID: "payment " + partner, MerchantAccount: acquirer, Cause: journal.Call, Network: &journal.NetworkFacts{
			PartnerAccountID: partner, Network: journal.Network{RequestID: "request " + partner, RequestState: "SUBMITTED"},
			Request: &journal.RequestFacts{Currency: "EUR", Amount: 12900},
		}})
	}
	ask := func(partner string) (*gatewayv1.CreateWatchTicketResponse, *status.Status) {
		res, st := s.overGRPC(&gatewayv1.CreateWatchTicketRequest{
			MerchantAccount: acquirer, Payment: &gatewayv1.CreateWatchTicketRequest_PaymentRequestId{PaymentRequestId: "request " + partner},
		}, "authorization", "Bearer seller-token")
		return res.(*gatewayv1.CreateWatchTicketResponse), st
	}
	if _, st := ask(theirs); st.Code() != codes.NotFound {
		t.Errorf("of another partner's payment: %v", st)
	}
	made, st := ask(mine)
	must(t, st.Err())
	if shown := lines(t, s.get(made.GetWatchPath()), "snapshotEnd"); !strings.Contains(shown, "STATE_SESSION_CREATED") || strings.Contains(shown, mine) {
		t.Errorf("the watch told\n%s", shown)
	}
}

// What EventSource sends: no header of its own but Last-Event-ID, once it has one.
func TestTicket_ServesEventSourceThatComesBackWithAnother(t *testing.T) {
	t.Parallel()
	var file *access.PolicyFile
	set := policed(t, ticketMakers, "seller")
	s := start(t, func(c *Config) { set(c); file = c.Policy })
	s.record(opened("SO-1"))
	source := http.Header{"Accept": {eventStreamType}, "Origin": {"https://shop.example"}}
	first := lines(t, s.do(http.MethodGet, s.ticket("SO-1").GetWatchPath(), nil, source), "event: snapshotEnd")
	ids := regexp.MustCompile(`(?m)^id: (.+)$`).FindAllStringSubmatch(first, -1)
	s.record(placed("SO-1"))
	again := source.Clone()
	again.Set("Last-Event-ID", ids[len(ids)-1][1])
	again.Set("Cookie", ticketCookie+"="+s.ticket("SO-1").GetTicket())
	res := s.do(http.MethodGet, "/v1/payments:watch", nil, again)
	if shown := lines(t, res, "PAYMENT_EVENT_KIND_ORDER_CREATED"); strings.Contains(shown, "PAYMENT_EVENT_KIND_SESSION_CREATED") {
		t.Errorf("it began anew:\n%s", shown)
	}
	must(t, os.WriteFile(file.Path(), []byte("roles: {}"), 0o600))
	_, err := file.Reload()
	must(t, err)
	if last := lines(t, res, "REASON_PERMISSION_REVOKED"); !strings.Contains(last, "event: streamEnd") {
		t.Errorf("it ended with\n%s", last)
	}
}

func TestTicket_OfNothingIsNotMade(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, st := s.overGRPC(&gatewayv1.CreateWatchTicketRequest{Payment: &gatewayv1.CreateWatchTicketRequest_OrderId{OrderId: "unknown"}})
	checkRefusal(t, "gRPC", st, codes.NotFound, gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND, nil)
}
