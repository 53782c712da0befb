package server

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

func TestProducts_TurnedShowInTheAnswerAndOnWatchesOnce(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	watch := s.watchAccounts(&gatewayv1.WatchAccountStateRequest{From: &gatewayv1.WatchAccountStateRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_NOW}})
	watch.next() // it has begun
	for _, c := range []struct {
		name string
		kind gatewayv1.AccountEventKind
	}{
		{"DisablePaymentProduct", gatewayv1.AccountEventKind_ACCOUNT_EVENT_KIND_PRODUCT_DISABLED},
		{"EnablePaymentProduct", gatewayv1.AccountEventKind_ACCOUNT_EVENT_KIND_PRODUCT_ENABLED},
	} {
		s.klarna.Hold() // what Klarna tells of it comes behind our own word
		res, st := s.overGRPC(partWrites[c.name].req(p))
		must(t, st.Err())
		shown := res.(interface{ GetPartner() *gatewayv1.Partner }).GetPartner()
		ev := watch.event().event.(*gatewayv1.AccountEvent)
		for ev.GetKind() != c.kind {
			ev = watch.event().event.(*gatewayv1.AccountEvent)
		}
		if !partWrites[c.name].done(shown) || !partWrites[c.name].done(ev.GetPartner()) || ev.GetCause() != gatewayv1.EventCause_EVENT_CAUSE_CALL || ev.GetSuperseded() {
			t.Errorf("%s: the caller got %v, watchers %v", c.name, shown, ev)
		}
		s.klarna.Release()
		must(t, s.klarna.Idle(t.Context()))
		told := watch.event().event.(*gatewayv1.AccountEvent)
		if told.GetCause() != gatewayv1.EventCause_EVENT_CAUSE_NOTIFICATION || !told.GetSuperseded() || !partWrites[c.name].done(told.GetPartner()) {
			t.Errorf("%s: what Klarna told of it is not a repeat: %v", c.name, told)
		}
	}
}

func TestProducts_WhatKlarnaDoesAfterOurCallCounts(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	req := partWrites["DisablePaymentProduct"].req(p)
	must(t, s.klarna.Fail(klarnatest.Fault{Operation: "disableProduct", LoseAnswer: true, Times: klarna.DefaultRetries + 1}))
	if _, st := s.overGRPC(req); st.Code() != codes.Unavailable {
		t.Fatal(st)
	}
	s.klarna.Advance(time.Second)
	must(t, s.klarna.EnableProduct(p.id))
	must(t, s.klarna.Idle(t.Context()))
	res, st := s.overGRPC(req) // gets Klarna's first answer, which is no longer true
	must(t, st.Err())
	if got := res.(*gatewayv1.DisablePaymentProductResponse).GetPartner().GetProducts()[0]; got.GetState() != gatewayv1.Product_STATE_ENABLED {
		t.Errorf("%v", got)
	}
}

func TestListPaymentProducts_RecordsWhatHasChanged(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	s.klarna.DropNext(1)
	must(t, s.klarna.DisableProduct(p.id))
	must(t, s.klarna.Idle(t.Context()))
	if !s.onRecord("mrc-1").GetCanTransact() {
		t.Fatal("it was told")
	}
	res, err := s.partners.ListPaymentProducts(t.Context(), &gatewayv1.ListPaymentProductsRequest{PartnerAccountId: p.id})
	must(t, err)
	known := s.onRecord("mrc-1")
	if known.GetCanTransact() || known.GetProducts()[0].GetStateReason() != "RISK" || !proto.Equal(known.GetProducts()[0], res.GetProducts()[0]) {
		t.Errorf("on record %v, answered %v", known.GetProducts(), res)
	}
	before := known.GetPosition()
	_, err = s.partners.ListPaymentProducts(t.Context(), &gatewayv1.ListPaymentProductsRequest{PartnerAccountId: p.id})
	must(t, err)
	if after := s.onRecord("mrc-1").GetPosition(); after != before {
		t.Errorf("reading the same again moved the account from %d to %d", before, after)
	}
}
