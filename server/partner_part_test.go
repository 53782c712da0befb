package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// partner is a merchant with one product, one entity, one brand and one store group of three stores.
type partner struct{ id, product, paymentAccount, entity, brand, group, store string }

// partnerOf names what an account has first of each.
func partnerOf(p *gatewayv1.Partner) partner {
	product, group := p.GetProducts()[0], p.GetStoreGroups()[0]
	return partner{
		id: p.GetPartnerAccountId(), product: product.GetProductId(), paymentAccount: product.GetPaymentAccounts()[0].GetPaymentAccountId(),
		entity: p.GetBusinessEntities()[0].GetPartnerBusinessEntityId(), brand: p.GetBrands()[0].GetBrandId(),
		group: group.GetStoreGroupId(), store: group.GetStores()[0].GetStoreId(),
	}
}

// onboarded is a merchant that was just onboarded.
func (s *stack) onboarded(reference string) partner {
	s.t.Helper()
	made, err := s.partners.OnboardPartner(s.t.Context(), onboardRequest(s.t, reference))
	must(s.t, err)
	return partnerOf(made.GetPartner())
}

// managed is a merchant that may be managed, as it is on record.
func (s *stack) managed(reference string) partner {
	s.t.Helper()
	p := s.onboarded(reference)
	must(s.t, s.klarna.Operational(p.id))
	_, err := s.partners.GetPartner(s.t.Context(), &gatewayv1.GetPartnerRequest{PartnerAccountId: p.id})
	must(s.t, err)
	return p
}

// atKlarna is the account as Klarna shows it.
func (s *stack) atKlarna(id string) *gatewayv1.Partner {
	s.t.Helper()
	got, err := s.partners.GetPartner(s.t.Context(), &gatewayv1.GetPartnerRequest{PartnerAccountId: id})
	must(s.t, err)
	return got.GetPartner()
}

// onRecord is the account without asking Klarna.
func (s *stack) onRecord(reference string) *gatewayv1.Partner {
	s.t.Helper()
	got, err := s.partners.ListPartners(s.t.Context(), &gatewayv1.ListPartnersRequest{PartnerAccountReference: reference})
	must(s.t, err)
	if len(got.GetPartners()) != 1 {
		s.t.Fatalf("%d accounts of %s on record", len(got.GetPartners()), reference)
	}
	return got.GetPartners()[0]
}

const anotherID = "krn:none"

// partWrite is a write to a part of an account.
type partWrite struct {
	fault string // klarnatest's name of the operation
	req   func(partner) proto.Message
	// done is what an account shows after the write was made once.
	done     func(*gatewayv1.Partner) bool
	disabled bool // the product has to be, before
	create   bool
}

func count[T any](list []T, is func(T) bool) (n int) {
	for _, item := range list {
		if is(item) {
			n++
		}
	}
	return n
}

// partWrites are the writes of this API to the parts of an account, UpdateBrand apart.
var partWrites = map[string]partWrite{
	"CreateBusinessEntity": {
		fault: "createEntity", create: true,
		req: func(p partner) proto.Message {
			return &gatewayv1.CreateBusinessEntityRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, BusinessEntity: &gatewayv1.BusinessEntity{
				PartnerBusinessEntityReference: "le9", LegalRegisteredEntityName: "Nordlicht Berge GmbH", LegalRegistrationCountry: "AT",
			}}
		},
		done: func(p *gatewayv1.Partner) bool {
			return count(p.GetBusinessEntities(), func(e *gatewayv1.BusinessEntity) bool { return e.GetPartnerBusinessEntityReference() == "le9" }) == 1
		},
	},
	"UpdateBusinessEntity": {
		fault: "updateEntity",
		req: func(p partner) proto.Message {
			return &gatewayv1.UpdateBusinessEntityRequest{
				RequestId: uuid.NewString(), PartnerAccountId: p.id, PartnerBusinessEntityId: p.entity, LegalRegisteredEntityName: text("Nordlicht AG"),
			}
		},
		done: func(p *gatewayv1.Partner) bool {
			return p.GetBusinessEntities()[0].GetLegalRegisteredEntityName() == "Nordlicht AG" && p.GetBusinessEntities()[0].GetLegalRegistrationCountry() == "DE"
		},
	},
	"CreateBrand": {
		fault: "createBrand", create: true,
		req: func(p partner) proto.Message {
			return &gatewayv1.CreateBrandRequest{
				RequestId: uuid.NewString(), PartnerAccountId: p.id, Brand: &gatewayv1.Brand{BrandReference: "b9", DisplayName: "Berge"},
			}
		},
		done: func(p *gatewayv1.Partner) bool {
			return count(p.GetBrands(), func(b *gatewayv1.Brand) bool { return b.GetBrandReference() == "b9" && b.GetBrandId() != "" }) == 1
		},
	},
	"CreateStoreGroup": {
		fault: "createStoreGroup", create: true,
		req: func(p partner) proto.Message {
			return &gatewayv1.CreateStoreGroupRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, StoreGroup: &gatewayv1.StoreGroup{
				StoreGroupReference: "sg9", BrandReference: "mrc-000482-b1", Stores: []*gatewayv1.Store{website("at")},
			}}
		},
		done: func(p *gatewayv1.Partner) bool {
			return count(p.GetStoreGroups(), func(g *gatewayv1.StoreGroup) bool {
				return g.GetStoreGroupReference() == "sg9" && g.GetBrandReference() == "mrc-000482-b1" && len(g.GetStores()) == 1
			}) == 1
		},
	},
	"UpdateStoreGroup": {
		fault: "updateStoreGroup",
		req: func(p partner) proto.Message {
			return &gatewayv1.UpdateStoreGroupRequest{
				RequestId: uuid.NewString(), PartnerAccountId: p.id, StoreGroupId: p.group, StoreGroupReference: text("sg-new"),
				SupportContact: &gatewayv1.SupportContact{Email: "hilfe@nordlicht.example"},
			}
		},
		done: func(p *gatewayv1.Partner) bool {
			g := p.GetStoreGroups()[0]
			return g.GetStoreGroupReference() == "sg-new" && g.GetSupportContact().GetEmail() == "hilfe@nordlicht.example" && len(g.GetStores()) == 3 &&
				p.GetProducts()[0].GetPaymentAccounts()[0].GetDefaultStoreGroupReference() == "sg-new"
		},
	},
	"CreateStore": {
		fault: "createStore", create: true,
		req: func(p partner) proto.Message {
			return &gatewayv1.CreateStoreRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, StoreGroupId: p.group, Store: website("ch")}
		},
		done: func(p *gatewayv1.Partner) bool {
			return count(p.GetStoreGroups()[0].GetStores(), func(s *gatewayv1.Store) bool { return s.GetStoreReference() == "ch" && s.GetStoreId() != "" }) == 1
		},
	},
	"UpdateStore": {
		fault: "updateStore",
		req: func(p partner) proto.Message {
			return &gatewayv1.UpdateStoreRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, StoreId: p.store, Store: website("web-neu")}
		},
		done: func(p *gatewayv1.Partner) bool {
			return count(p.GetStoreGroups()[0].GetStores(), func(s *gatewayv1.Store) bool { return s.GetStoreReference() == "web-neu" }) == 1 &&
				len(p.GetStoreGroups()[0].GetStores()) == 3
		},
	},
	"DisablePaymentProduct": {
		fault: "disableProduct",
		req: func(p partner) proto.Message {
			return &gatewayv1.DisablePaymentProductRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, ProductId: p.product, Reason: "VOLUNTARY"}
		},
		done: func(p *gatewayv1.Partner) bool {
			return p.GetProducts()[0].GetState() == gatewayv1.Product_STATE_DISABLED && p.GetProducts()[0].GetStateReason() == "VOLUNTARY" && !p.GetCanTransact()
		},
	},
	"EnablePaymentProduct": {
		fault: "enableProduct", disabled: true,
		req: func(p partner) proto.Message {
			return &gatewayv1.EnablePaymentProductRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, ProductId: p.product}
		},
		done: func(p *gatewayv1.Partner) bool {
			return p.GetProducts()[0].GetState() == gatewayv1.Product_STATE_ENABLED && p.GetProducts()[0].GetStateReason() == "" && p.GetCanTransact()
		},
	},
	"CreatePaymentAccount": {
		fault: "createPaymentAccount", create: true,
		req: func(p partner) proto.Message {
			return &gatewayv1.CreatePaymentAccountRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, ProductId: p.product, PaymentAccount: &gatewayv1.PaymentAccount{
				PaymentAccountReference: "pa9", PaymentAcquiringAccountId: "krn:acquiring:1", DefaultMerchantCategoryCode: "0744",
				PartnerBusinessEntityReference: "mrc-000482-le1", DefaultStoreGroupReference: "mrc-000482-sg1",
			}}
		},
		done: func(p *gatewayv1.Partner) bool {
			return count(p.GetProducts()[0].GetPaymentAccounts(), func(a *gatewayv1.PaymentAccount) bool {
				return a.GetPaymentAccountReference() == "pa9" && a.GetPaymentAccountId() != "" &&
					a.GetPartnerBusinessEntityReference() == "mrc-000482-le1" && a.GetDefaultStoreGroupReference() == "mrc-000482-sg1"
			}) == 1
		},
	},
	"UpdatePaymentAccount": {
		fault: "updatePaymentAccount",
		req: func(p partner) proto.Message {
			return &gatewayv1.UpdatePaymentAccountRequest{
				RequestId: uuid.NewString(), PartnerAccountId: p.id, ProductId: p.product, PaymentAccountId: p.paymentAccount,
				DefaultMerchantCategoryCode: text("0744"),
			}
		},
		done: func(p *gatewayv1.Partner) bool {
			a := p.GetProducts()[0].GetPaymentAccounts()[0]
			return a.GetDefaultMerchantCategoryCode() == "0744" && a.GetPartnerBusinessEntityReference() == "mrc-000482-le1"
		},
	},
}

func website(reference string) *gatewayv1.Store {
	return &gatewayv1.Store{StoreReference: reference, Type: gatewayv1.Store_TYPE_WEBSITE, Url: "https://" + reference + ".nordlicht.example"}
}

// ready is a merchant to whom a write may be made.
func (s *stack) ready(w partWrite) partner {
	s.t.Helper()
	p := s.managed("mrc-1")
	if w.disabled {
		_, st := s.overGRPC(partWrites["DisablePaymentProduct"].req(p))
		must(s.t, st.Err())
	}
	return p
}

func TestParts_HaveOneEffectThoughTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	for name, w := range partWrites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			p := s.ready(w)
			req := w.req(p)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, LoseAnswer: true, Times: klarna.DefaultRetries + 1}))
			if _, st := s.overGRPC(req); st.Code() != codes.Unavailable || reasonOf(st.Err()) != "OUTCOME_UNKNOWN" {
				t.Fatalf("with a lost answer: %v", st)
			}
			if jobs, err := s.store.Jobs(t.Context(), journal.JobReadAccount, "", 10); err != nil || len(jobs) != 1 || jobs[0].RunAt.After(s.klarna.Now().Add(time.Minute)) {
				t.Errorf("jobs %+v, want the account to be read soon; %v", jobs, err)
			}
			first, st := s.overGRPC(req)
			if st.Code() != codes.OK {
				t.Fatalf("repeated: %v", st)
			}
			if !w.done(s.onRecord("mrc-1")) {
				t.Errorf("on record is %v", s.onRecord("mrc-1"))
			}
			asked := s.klarna.CallCount(w.fault)
			again, st := s.overGRPC(req)
			if st.Code() != codes.OK || s.klarna.CallCount(w.fault) != asked || !proto.Equal(part(again), part(first)) {
				t.Errorf("a repeat of what is done: %v, %v after %v, asked %d times more", st, again, first, s.klarna.CallCount(w.fault)-asked)
			}
			if !w.done(s.atKlarna(p.id)) {
				t.Errorf("Klarna shows %v", s.atKlarna(p.id))
			}
		})
	}
}

// part is a response as far as a repeat has to give it again: an account is answered as it is now.
func part(res proto.Message) proto.Message {
	if turned, ok := res.(interface{ GetPartner() *gatewayv1.Partner }); ok {
		return turned.GetPartner().GetProducts()[0]
	}
	return res
}

func TestParts_HaveOneEffectThoughKlarnaForgotTheKey(t *testing.T) {
	t.Parallel()
	for name, w := range partWrites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			p := s.ready(w)
			req := w.req(p)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, LoseAnswer: true, Times: klarna.DefaultRetries + 1}))
			if _, st := s.overGRPC(req); st.Code() != codes.Unavailable {
				t.Fatalf("with a lost answer: %v", st)
			}
			s.klarna.Advance(25 * time.Hour)
			if _, st := s.overGRPC(req); st.Code() != codes.OK {
				t.Errorf("repeated: %v", st)
			}
			if got := s.atKlarna(p.id); !w.done(got) {
				t.Errorf("Klarna shows %v", got)
			}
		})
	}
}

func TestParts_AreMadeWhenKlarnaForgotTheKeyOfWhatItNeverDid(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"CreateStore", "CreatePaymentAccount", "DisablePaymentProduct"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, w := start(t, nil), partWrites[name]
			p := s.ready(w)
			req := w.req(p)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, Status: 503, Times: klarna.DefaultRetries + 1}))
			if _, st := s.overGRPC(req); st.Code() != codes.Unavailable {
				t.Fatalf("with an outage: %v", st)
			}
			s.klarna.Advance(25 * time.Hour)
			if _, st := s.overGRPC(req); st.Code() != codes.OK || !w.done(s.atKlarna(p.id)) {
				t.Errorf("repeated: %v; Klarna shows %v", st, s.atKlarna(p.id))
			}
		})
	}
}

func TestParts_WaitUntilTheAccountIsOperational(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.onboarded("mrc-1")
	past := s.pastTheGateway("mrc-2")
	for name, w := range partWrites {
		s.refused(w.req(p), codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_ACCOUNT_NOT_OPERATIONAL, nil)
		if n := s.klarna.CallCount(w.fault); n != 0 {
			t.Errorf("%s: Klarna was asked %d times", name, n)
		}
	}
	s.refused(partWrites["CreateBrand"].req(past), codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_ACCOUNT_NOT_OPERATIONAL, nil)
	must(t, s.klarna.Operational(p.id))
	must(t, s.klarna.DisableAccount(p.id))
	s.atKlarna(p.id)
	s.refused(partWrites["EnablePaymentProduct"].req(p), codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_ACCOUNT_DISABLED, nil)
	if n := s.klarna.CallCount("createBrand") + s.klarna.CallCount("enableProduct"); n != 0 {
		t.Errorf("Klarna was asked %d times", n)
	}
}

// pastTheGateway onboards a merchant that is not on record here.
func (s *stack) pastTheGateway(reference string) partner {
	s.t.Helper()
	api := httptest.NewServer(s.klarna)
	defer api.Close()
	client, err := klarna.New(klarna.Config{BaseURL: api.URL, APIKey: "klarna_test_api_key", HTTPClient: api.Client()})
	must(s.t, err)
	made, err := client.Onboard(s.t.Context(), uuid.NewString(), onboardToKlarna(onboardRequest(s.t, reference)))
	must(s.t, err)
	details, err := json.Marshal(made)
	must(s.t, err)
	return partnerOf(partnerFromJournal(journal.Account{AccountID: made.PartnerAccountID, Details: details}, 0, false))
}

func TestParts_AreReadFromKlarna(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for name, p := range map[string]partner{"on record": s.managed("mrc-1"), "not on record": s.pastTheGateway("mrc-2")} {
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			products := s.same(&gatewayv1.ListPaymentProductsRequest{PartnerAccountId: p.id}).(*gatewayv1.ListPaymentProductsResponse).GetProducts()
			paymentAccount := s.same(&gatewayv1.GetPaymentAccountRequest{
				PartnerAccountId: p.id, ProductId: p.product, PaymentAccountId: p.paymentAccount,
			}).(*gatewayv1.GetPaymentAccountResponse).GetPaymentAccount()
			if len(products) != 1 || products[0].GetState() != gatewayv1.Product_STATE_ENABLED || !proto.Equal(products[0].GetPaymentAccounts()[0], paymentAccount) {
				t.Errorf("%v and %v", products, paymentAccount)
			}
			group := s.same(&gatewayv1.GetStoreGroupRequest{PartnerAccountId: p.id, StoreGroupId: p.group}).(*gatewayv1.GetStoreGroupResponse).GetStoreGroup()
			groups := s.same(&gatewayv1.ListStoreGroupsRequest{PartnerAccountId: p.id}).(*gatewayv1.ListStoreGroupsResponse).GetStoreGroups()
			stores := s.same(&gatewayv1.ListStoresRequest{PartnerAccountId: p.id}).(*gatewayv1.ListStoresResponse).GetStores()
			store := s.same(&gatewayv1.GetStoreRequest{PartnerAccountId: p.id, StoreId: p.store}).(*gatewayv1.GetStoreResponse).GetStore()
			entities := s.same(&gatewayv1.ListBusinessEntitiesRequest{PartnerAccountId: p.id}).(*gatewayv1.ListBusinessEntitiesResponse).GetBusinessEntities()
			entity := s.same(&gatewayv1.GetBusinessEntityRequest{PartnerAccountId: p.id, PartnerBusinessEntityId: p.entity}).(*gatewayv1.GetBusinessEntityResponse).GetBusinessEntity()
			brands := s.same(&gatewayv1.ListBrandsRequest{PartnerAccountId: p.id}).(*gatewayv1.ListBrandsResponse).GetBrands()
			brand := s.same(&gatewayv1.GetBrandRequest{PartnerAccountId: p.id, BrandId: p.brand}).(*gatewayv1.GetBrandResponse).GetBrand()

			whole := s.atKlarna(p.id)
			shown := &gatewayv1.Partner{Products: products, StoreGroups: groups, BusinessEntities: entities, Brands: brands}
			want := &gatewayv1.Partner{Products: whole.GetProducts(), StoreGroups: whole.GetStoreGroups(), BusinessEntities: whole.GetBusinessEntities(), Brands: whole.GetBrands()}
			if !proto.Equal(shown, want) {
				t.Errorf("the lists show\n%v\nthe account\n%v", shown, want)
			}
			for i, pair := range [][2]proto.Message{{group, groups[0]}, {store, stores[0]}, {entity, entities[0]}, {brand, brands[0]}} {
				if !proto.Equal(pair[0], pair[1]) {
					t.Errorf("%d: by itself %v, in the list %v", i, pair[0], pair[1])
				}
			}
			if paymentAccount.GetPartnerBusinessEntityReference() != "mrc-000482-le1" || paymentAccount.GetDefaultStoreGroupReference() != "mrc-000482-sg1" || group.GetBrandReference() != "mrc-000482-b1" {
				t.Errorf("references %v, %v", paymentAccount, group)
			}
		})
	}
	profiles := s.same(&gatewayv1.ListPaymentProfilesRequest{}).(*gatewayv1.ListPaymentProfilesResponse).GetPaymentProfiles()
	if len(profiles) != 1 || !strings.HasPrefix(profiles[0].GetPaymentProfileId(), "krn:") || profiles[0].GetName() != "Standard" {
		t.Errorf("%v", profiles)
	}
}

// same makes a read over gRPC and REST, which have to answer alike.
func (f *face) same(req proto.Message) proto.Message {
	f.t.Helper()
	res, st := f.overGRPC(req)
	must(f.t, st.Err())
	_, body, st := f.overREST(req, nil)
	must(f.t, st.Err())
	again := res.ProtoReflect().New().Interface()
	must(f.t, protojson.Unmarshal(body, again))
	if !proto.Equal(res, again) {
		f.t.Errorf("gRPC answers %v, REST %v", res, again)
	}
	return res
}

func TestParts_OverRESTAreWritten(t *testing.T) {
	t.Parallel()
	for name, w := range partWrites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			p := s.ready(w)
			if status, body, _ := s.overREST(w.req(p), nil); status != http.StatusOK || !w.done(s.onRecord("mrc-1")) {
				t.Errorf("status %d: %s", status, body)
			}
		})
	}
}

func TestParts_ChangedShowOnWatches(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	watch := s.watchAccounts(&gatewayv1.WatchAccountStateRequest{From: &gatewayv1.WatchAccountStateRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_NOW}})
	watch.next() // it has begun
	for _, name := range []string{
		"UpdateStore", "CreatePaymentAccount", "UpdateStoreGroup", "CreateStore", "CreateStoreGroup", "UpdatePaymentAccount",
		"UpdateBusinessEntity", "CreateBusinessEntity", "CreateBrand",
	} {
		if _, st := s.overGRPC(partWrites[name].req(p)); st.Code() != codes.OK {
			t.Fatalf("%s: %v", name, st)
		}
		ev := watch.event().event.(*gatewayv1.AccountEvent)
		for ev.GetCause() != gatewayv1.EventCause_EVENT_CAUSE_CALL { // the account became operational a moment ago
			ev = watch.event().event.(*gatewayv1.AccountEvent)
		}
		if ev.GetKind() != gatewayv1.AccountEventKind_ACCOUNT_EVENT_KIND_UPDATED || !partWrites[name].done(ev.GetPartner()) {
			t.Errorf("%s: watchers got %v", name, ev)
		}
		if ev.GetPartner().GetContact() != nil {
			t.Errorf("%s: with the contact", name)
		}
	}
}

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

func TestLists_OfStoresFollowKlarnasCursor(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	for _, reference := range []string{"s1", "s2"} {
		_, err := s.partners.CreateStore(t.Context(), &gatewayv1.CreateStoreRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, StoreGroupId: p.group, Store: website(reference)})
		must(t, err)
	}
	for size := int32(0); size <= 6; size++ {
		got := pages(t, size, func(token string) (names []string, next string) {
			res, err := s.partners.ListStores(t.Context(), &gatewayv1.ListStoresRequest{PartnerAccountId: p.id, PageSize: size, PageToken: token})
			must(t, err)
			for _, store := range res.GetStores() {
				names = append(names, store.GetStoreReference())
			}
			return names, res.GetNextPageToken()
		})
		if want := []string{"web-de", "app-ios", "berlin-01", "s1", "s2"}; !slices.Equal(got, want) {
			t.Errorf("size %d: %v", size, got)
		}
	}
	first, err := s.partners.ListStores(t.Context(), &gatewayv1.ListStoresRequest{PartnerAccountId: p.id, PageSize: 1})
	must(t, err)
	token := first.GetNextPageToken()
	other := s.managed("mrc-2")
	for name, req := range map[string]proto.Message{
		"another partner": &gatewayv1.ListStoresRequest{PartnerAccountId: other.id, PageToken: token},
		"another list":    &gatewayv1.ListStoreGroupsRequest{PartnerAccountId: p.id, PageToken: token},
		"made up":         &gatewayv1.ListComplianceDecisionsRequest{PartnerAccountId: p.id, PageToken: p.store},
	} {
		if _, st := s.overGRPC(req); reasonOf(st.Err()) != "PAGE_TOKEN_INVALID" {
			t.Errorf("%s: %v", name, st)
		}
	}
}

func TestComplianceDecisions_AreShownAsKlarnaGivesThem(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	var ids []string
	for n := range 3 {
		decision, err := s.klarna.Decide(p.id, map[string]any{"verdict": "APPROVED", "score": n})
		must(t, err)
		ids = append(ids, decision)
	}
	got := pages(t, 2, func(token string) (names []string, next string) {
		res, err := s.partners.ListComplianceDecisions(t.Context(), &gatewayv1.ListComplianceDecisionsRequest{PartnerAccountId: p.id, PageSize: 2, PageToken: token})
		must(t, err)
		for _, d := range res.GetDecisions() {
			names = append(names, d.GetDecisionId())
		}
		return names, res.GetNextPageToken()
	})
	if !slices.Equal(got, ids) {
		t.Errorf("%v, want %v", got, ids)
	}
	one := s.same(&gatewayv1.GetComplianceDecisionRequest{PartnerAccountId: p.id, DecisionId: ids[2]}).(*gatewayv1.GetComplianceDecisionResponse).GetDecision()
	details := one.GetDetails().AsMap()
	if one.GetDecisionId() != ids[2] || details["verdict"] != "APPROVED" || details["score"] != 2.0 || details["decision_id"] != ids[2] {
		t.Errorf("%v", one)
	}
}

func TestParts_ThatKlarnaDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	none := partner{id: p.id, product: anotherID, paymentAccount: anotherID, entity: anotherID, group: anotherID, store: anotherID}
	reqs := []proto.Message{
		&gatewayv1.GetBusinessEntityRequest{PartnerAccountId: p.id, PartnerBusinessEntityId: anotherID},
		&gatewayv1.GetBrandRequest{PartnerAccountId: p.id, BrandId: anotherID},
		&gatewayv1.GetStoreGroupRequest{PartnerAccountId: p.id, StoreGroupId: anotherID},
		&gatewayv1.GetStoreRequest{PartnerAccountId: p.id, StoreId: anotherID},
		&gatewayv1.GetPaymentAccountRequest{PartnerAccountId: p.id, ProductId: p.product, PaymentAccountId: anotherID},
		&gatewayv1.GetComplianceDecisionRequest{PartnerAccountId: p.id, DecisionId: anotherID},
		&gatewayv1.UpdateBrandRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, BrandId: anotherID, DisplayName: text("N")},
	}
	for name, w := range partWrites {
		if name != "CreateBusinessEntity" && name != "CreateBrand" && name != "CreateStoreGroup" { // those name nothing
			reqs = append(reqs, w.req(none))
		}
	}
	for _, req := range reqs {
		s.refused(req, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND, nil)
	}
	nobody := partner{id: anotherID, product: anotherID}
	for _, req := range []proto.Message{
		&gatewayv1.ListBusinessEntitiesRequest{PartnerAccountId: anotherID}, &gatewayv1.ListBrandsRequest{PartnerAccountId: anotherID},
		&gatewayv1.ListStoreGroupsRequest{PartnerAccountId: anotherID}, &gatewayv1.ListStoresRequest{PartnerAccountId: anotherID},
		&gatewayv1.ListPaymentProductsRequest{PartnerAccountId: anotherID}, &gatewayv1.ListComplianceDecisionsRequest{PartnerAccountId: anotherID},
		partWrites["CreateBrand"].req(nobody), partWrites["EnablePaymentProduct"].req(nobody),
	} {
		s.refused(req, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_PARTNER_NOT_FOUND, nil)
	}
}

func TestParts_RefusedByKlarna(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	for name, w := range partWrites {
		conflict, code, status := gatewayv1.ErrorReason_ERROR_REASON_CONFLICT, codes.Aborted, http.StatusConflict
		forbidden := gatewayv1.ErrorReason_ERROR_REASON_KLARNA_FORBIDDEN
		switch {
		case w.create:
			conflict, code = gatewayv1.ErrorReason_ERROR_REASON_PARTNER_DIFFERS, codes.AlreadyExists
		case strings.HasSuffix(name, "PaymentProduct"):
			conflict, code, status = gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED, codes.FailedPrecondition, http.StatusBadRequest
			forbidden = conflict
		}
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, Status: 409, Times: 2}))
			s.refused(w.req(p), code, status, conflict, nil)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, Status: 403, Times: 2}))
			s.refused(w.req(p), codes.FailedPrecondition, http.StatusBadRequest, forbidden, nil)
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, Status: 404, Code: "NOT_FOUND", Times: 2}))
			s.refused(w.req(p), codes.Internal, http.StatusInternalServerError, gatewayv1.ErrorReason_ERROR_REASON_KLARNA_UNEXPECTED, nil)
		})
	}
	taken := partWrites["CreateBrand"].req(p).(*gatewayv1.CreateBrandRequest)
	taken.Brand.BrandReference = "mrc-000482-b1"
	s.refused(taken, codes.AlreadyExists, http.StatusConflict, gatewayv1.ErrorReason_ERROR_REASON_PARTNER_DIFFERS, nil)
	must(t, s.klarna.DisableProduct(p.id))
	s.refused(partWrites["EnablePaymentProduct"].req(p), codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED, nil)
}

func TestParts_NameOurFieldsForWhatKlarnaRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	for want, req := range map[string]proto.Message{
		"payment_account.default_store_group_reference": with(partWrites["CreatePaymentAccount"].req(p).(*gatewayv1.CreatePaymentAccountRequest), func(r *gatewayv1.CreatePaymentAccountRequest) {
			r.PaymentAccount.DefaultStoreGroupReference = "none"
		}),
		"store_group.brand_reference": with(partWrites["CreateStoreGroup"].req(p).(*gatewayv1.CreateStoreGroupRequest), func(r *gatewayv1.CreateStoreGroupRequest) {
			r.StoreGroup.BrandReference = "none"
		}),
		"brand.display_name": with(partWrites["CreateBrand"].req(p).(*gatewayv1.CreateBrandRequest), func(r *gatewayv1.CreateBrandRequest) {
			r.Brand.DisplayName = "Nord\nlicht"
		}),
		"store.type": with(partWrites["UpdateStore"].req(p).(*gatewayv1.UpdateStoreRequest), func(r *gatewayv1.UpdateStoreRequest) {
			r.Store = &gatewayv1.Store{StoreReference: "x", Type: gatewayv1.Store_TYPE_PHYSICAL_STORE, Address: &gatewayv1.Address{Country: "DE"}}
		}),
		"business_entity.supplementary_business_data.stakeholders[0].date_of_birth": with(partWrites["CreateBusinessEntity"].req(p).(*gatewayv1.CreateBusinessEntityRequest), func(r *gatewayv1.CreateBusinessEntityRequest) {
			r.BusinessEntity.SupplementaryBusinessData = &gatewayv1.SupplementaryBusinessData{Stakeholders: []*gatewayv1.Stakeholder{{DateOfBirth: "1984-13-01"}}}
		}),
		"support_contact.phone": &gatewayv1.UpdateStoreGroupRequest{
			RequestId: uuid.NewString(), PartnerAccountId: p.id, StoreGroupId: p.group, SupportContact: &gatewayv1.SupportContact{Phone: "0301"},
		},
		"reason": &gatewayv1.DisablePaymentProductRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, ProductId: p.product, Reason: "\a"},
	} {
		s.refused(req, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA, map[string]string{want: "Klarna refused this value"})
	}
	if got := ourPart("createStore", "store_group_id"); got != "store_group_id" {
		t.Error(got)
	}
}

func TestParts_ChangesOfNothingAreInvalid(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, req := range []proto.Message{
		&gatewayv1.UpdateBusinessEntityRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a", PartnerBusinessEntityId: "krn:e"},
		&gatewayv1.UpdateStoreGroupRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a", StoreGroupId: "krn:g"},
		&gatewayv1.UpdatePaymentAccountRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a", ProductId: "krn:p", PaymentAccountId: "krn:pa"},
	} {
		s.refused(req, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{"": "at least one of"})
	}
	for field, req := range map[string]proto.Message{
		"brand":              &gatewayv1.CreateBrandRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a"},
		"brand.display_name": &gatewayv1.CreateBrandRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a", Brand: &gatewayv1.Brand{BrandReference: "b"}},
		"store.url": &gatewayv1.CreateStoreRequest{
			RequestId: uuid.NewString(), PartnerAccountId: "krn:a", StoreGroupId: "krn:g", Store: with(website("x"), func(s *gatewayv1.Store) { s.Url = "no address" }),
		},
		"reason":    &gatewayv1.DisablePaymentProductRequest{RequestId: uuid.NewString(), PartnerAccountId: "krn:a", ProductId: "krn:p"},
		"page_size": &gatewayv1.ListStoresRequest{PartnerAccountId: "krn:a", PageSize: 101},
	} {
		s.refused(req, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{field: ""})
	}
	_, err := s.partners.ListPaymentProfiles(t.Context(), &gatewayv1.ListPaymentProfilesRequest{MerchantAccount: shop})
	wantStatus(t, err, codes.FailedPrecondition, "MERCHANT_ACCOUNT_UNSUITABLE")
}

func TestParts_AddedAtTheSameTimeAllShowOnRecord(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := s.managed("mrc-1")
	const n = 8
	done := make(chan error, n)
	for i := range n {
		go func() {
			_, err := s.partners.CreateBrand(t.Context(), &gatewayv1.CreateBrandRequest{
				RequestId: uuid.NewString(), PartnerAccountId: p.id, Brand: &gatewayv1.Brand{BrandReference: fmt.Sprint("b", i), DisplayName: "B"},
			})
			done <- err
		}()
	}
	for range n {
		must(t, <-done)
	}
	if brands := s.onRecord("mrc-1").GetBrands(); len(brands) != n+1 {
		t.Errorf("%d brands on record, want %d", len(brands), n+1)
	}
}
