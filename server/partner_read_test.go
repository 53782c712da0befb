package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

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
	s := start(t, func(c *Config) { c.DebtorData = true })
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
