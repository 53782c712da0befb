package server

import (
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
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
