package server

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// pages reads a list to its end, giving each page's items by name and the token of the next page.
func pages(t *testing.T, size int32, read func(token string) (names []string, next string)) (all []string) {
	t.Helper()
	for token, n := "", 0; ; n++ {
		names, next := read(token)
		if size > 0 && (len(names) > int(size) || next != "" && len(names) < int(size)) || n > 100 {
			t.Fatalf("page %d of size %d has %v", n, size, names)
		}
		all = append(all, names...)
		if token = next; token == "" {
			return all
		}
	}
}

func TestLists_OfPaymentsCrossPagesExactly(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for n := range 7 {
		s.record(opened(fmt.Sprint("SO-", n)))
	}
	s.record(placed("SO-3"), placed("SO-1"), captured("SO-3", 10))
	foreign := opened("SO-0")
	foreign.MerchantAccount = outlet
	s.record(foreign)
	for name, c := range map[string]struct {
		req  *gatewayv1.ListPaymentsRequest
		want []string
	}{
		"all, newest change first": {&gatewayv1.ListPaymentsRequest{}, []string{"SO-3", "SO-1", "SO-6", "SO-5", "SO-4", "SO-2", "SO-0"}},
		"by state": {&gatewayv1.ListPaymentsRequest{States: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_SESSION_CREATED}},
			[]string{"SO-6", "SO-5", "SO-4", "SO-2", "SO-0"}},
		"by states": {&gatewayv1.ListPaymentsRequest{States: []gatewayv1.Payment_State{gatewayv1.Payment_STATE_ORDERED, gatewayv1.Payment_STATE_PART_CAPTURED}},
			[]string{"SO-3", "SO-1"}},
		"by reference":       {&gatewayv1.ListPaymentsRequest{MerchantReference: "SO-4"}, []string{"SO-4"}},
		"of another account": {&gatewayv1.ListPaymentsRequest{MerchantAccount: outlet}, []string{"SO-0"}},
		"nothing":            {&gatewayv1.ListPaymentsRequest{MerchantReference: "SO-9"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for size := range int32(5) {
				c.req.PageSize = size
				got := pages(t, size, func(token string) (names []string, next string) {
					c.req.PageToken = token
					page, err := s.payments.ListPayments(t.Context(), c.req)
					must(t, err)
					for _, p := range page.GetPayments() {
						names = append(names, p.GetMerchantReference1())
					}
					return names, page.GetNextPageToken()
				})
				if !slices.Equal(got, c.want) {
					t.Errorf("in pages of %d: %v, want %v", size, got, c.want)
				}
			}
		})
	}
}

func TestLists_OfEventsCrossPagesExactly(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.record(opened("SO-1"), opened("SO-2"), placed("SO-1"), placed("SO-2"), told("SO-1", "PAID"), told("SO-1", "UNPAID"), captured("SO-1", 10))
	of1 := []string{"SESSION_CREATED", "ORDER_CREATED", "PAID", "UNPAID", "CAPTURED"} // the late UNPAID is kept
	status, err := s.payments.GetPaymentStatus(t.Context(), &gatewayv1.GetPaymentStatusRequest{
		Payment: &gatewayv1.GetPaymentStatusRequest_OrderId{OrderId: id("order SO-1")},
	})
	must(t, err)
	for name, c := range map[string]struct {
		req  *gatewayv1.ListPaymentEventsRequest
		want []string
	}{
		"all, oldest first": {&gatewayv1.ListPaymentEventsRequest{}, []string{"SESSION_CREATED", "SESSION_CREATED", "ORDER_CREATED", "ORDER_CREATED", "PAID", "UNPAID", "CAPTURED"}},
		"of a session":      {&gatewayv1.ListPaymentEventsRequest{SessionId: id("session SO-1")}, of1},
		"of an order":       {&gatewayv1.ListPaymentEventsRequest{OrderId: id("order SO-1")}, of1[1:]}, // by the ids known at the event
		"of a payment":      {&gatewayv1.ListPaymentEventsRequest{PaymentId: status.GetPayments()[0].GetPaymentId()}, of1},
		"of a reference":    {&gatewayv1.ListPaymentEventsRequest{MerchantReference: "SO-1"}, of1},
	} {
		t.Run(name, func(t *testing.T) {
			for size := range int32(4) {
				c.req.PageSize = size
				got := pages(t, size, func(token string) (names []string, next string) {
					c.req.PageToken = token
					page, err := s.payments.ListPaymentEvents(t.Context(), c.req)
					must(t, err)
					for _, ev := range page.GetEvents() {
						names = append(names, wordOf(ev.GetKind(), paymentKindPrefix))
						if late := wordOf(ev.GetKind(), paymentKindPrefix) == "UNPAID"; ev.GetSuperseded() != late {
							t.Errorf("%v is marked superseded: %t", ev.GetKind(), ev.GetSuperseded())
						}
					}
					return names, page.GetNextPageToken()
				})
				if !slices.Equal(got, c.want) {
					t.Errorf("in pages of %d: %v, want %v", size, got, c.want)
				}
			}
		})
	}
}

func TestLists_OfPartnersCrossPagesExactly(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for n := range 4 {
		made, err := s.partners.OnboardPartner(t.Context(), onboardRequest(t, fmt.Sprint("mrc-", n)))
		must(t, err)
		if n == 1 {
			must(t, s.klarna.Operational(made.GetPartner().GetPartnerAccountId()))
			must(t, s.klarna.Idle(t.Context()))
		}
	}
	for name, c := range map[string]struct {
		req  *gatewayv1.ListPartnersRequest
		want []string
	}{
		"all":          {&gatewayv1.ListPartnersRequest{}, []string{"mrc-3", "mrc-2", "mrc-1", "mrc-0"}},
		"by state":     {&gatewayv1.ListPartnersRequest{States: []gatewayv1.Partner_State{gatewayv1.Partner_STATE_OPERATIONAL}}, []string{"mrc-1"}},
		"by reference": {&gatewayv1.ListPartnersRequest{PartnerAccountReference: "mrc-2"}, []string{"mrc-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			for size := range int32(4) {
				c.req.PageSize = size
				got := pages(t, size, func(token string) (names []string, next string) {
					c.req.PageToken = token
					page, err := s.partners.ListPartners(t.Context(), c.req)
					must(t, err)
					for _, p := range page.GetPartners() {
						names = append(names, p.GetPartnerAccountReference())
					}
					return names, page.GetNextPageToken()
				})
				if !slices.Equal(got, c.want) {
					t.Errorf("in pages of %d: %v, want %v", size, got, c.want)
				}
			}
		})
	}
}

func TestLists_RefuseTokensOfOtherLists(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.record(opened("SO-1"), opened("SO-2"), placed("SO-2"))
	page, err := s.payments.ListPayments(t.Context(), &gatewayv1.ListPaymentsRequest{PageSize: 1})
	must(t, err)
	token := page.GetNextPageToken()
	again, err := s.payments.ListPayments(t.Context(), &gatewayv1.ListPaymentsRequest{PageSize: 2, PageToken: token, MerchantAccount: shop})
	if err != nil || len(again.GetPayments()) != 1 { // another size and the default account's name are no other list
		t.Errorf("the next page is %v, %v", again, err)
	}
	resume := s.watchPayments(&gatewayv1.WatchPaymentStatusRequest{From: fromStart(now)}).next().token
	invalid := gatewayv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID
	for rule, req := range map[string]*gatewayv1.ListPaymentsRequest{
		"is not a token of this gateway's": {PageToken: "garbage"},
		"another filter":                   {PageToken: token, MerchantReference: "SO-1"},
		"belongs to WatchPaymentStatus":    {PageToken: resume},
	} {
		s.refused(req, codes.InvalidArgument, http.StatusBadRequest, invalid, map[string]string{"page_token": rule})
	}
	s.refused(&gatewayv1.ListPaymentsRequest{PageToken: token, MerchantAccount: outlet}, codes.InvalidArgument, http.StatusBadRequest, invalid,
		map[string]string{"page_token": "another filter"})
	s.refused(&gatewayv1.ListPaymentEventsRequest{PageToken: token}, codes.InvalidArgument, http.StatusBadRequest, invalid,
		map[string]string{"page_token": "belongs to ListPayments"})
}
