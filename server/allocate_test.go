package server

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func TestAllocateAmount_AnswersLinesThatAddUp(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	tent := &gatewayv1.OrderLine{Reference: "T-1", Name: "Zelt", Quantity: 3, UnitPriceMinor: 3333, TaxRateBasisPoints: 2500, TotalAmountMinor: 9999, TotalTaxAmountMinor: 2000}
	shipping := &gatewayv1.OrderLine{Type: "shipping_fee", Reference: "S-1", Name: "Versand", Quantity: 1, UnitPriceMinor: 500, TaxRateBasisPoints: 700, TotalAmountMinor: 500, TotalTaxAmountMinor: 33}
	change := func(l *gatewayv1.OrderLine, quantity, price, discount, total, tax int64) *gatewayv1.OrderLine {
		changed := proto.CloneOf(l)
		changed.Quantity, changed.UnitPriceMinor, changed.TotalDiscountAmountMinor, changed.TotalAmountMinor, changed.TotalTaxAmountMinor = quantity, price, discount, total, tax
		return changed
	}
	for name, c := range map[string]struct {
		req  *gatewayv1.AllocateAmountRequest
		want *gatewayv1.AllocateAmountResponse
	}{
		"a part": {
			&gatewayv1.AllocateAmountRequest{Amount: eur(1000), OrderLines: []*gatewayv1.OrderLine{tent, shipping}},
			&gatewayv1.AllocateAmountResponse{ // 952.37… and 47.62…
				OrderLines:  []*gatewayv1.OrderLine{change(tent, 1, 952, 0, 952, 190), change(shipping, 1, 48, 0, 48, 3)},
				OrderAmount: eur(1000), OrderTaxAmountMinor: 193,
			},
		},
		"a discount": {
			&gatewayv1.AllocateAmountRequest{Amount: eur(1000), OrderLines: []*gatewayv1.OrderLine{tent, shipping}, Discount: true},
			&gatewayv1.AllocateAmountResponse{
				OrderLines:  []*gatewayv1.OrderLine{change(tent, 3, 3333, 952, 9047, 1809), change(shipping, 1, 500, 48, 452, 30)},
				OrderAmount: eur(9499), OrderTaxAmountMinor: 1839,
			},
		},
	} {
		if diff := cmp.Diff(c.want, s.same(c.req), protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	invalid := gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD
	for _, c := range []struct {
		req  *gatewayv1.AllocateAmountRequest
		want map[string]string
	}{
		{&gatewayv1.AllocateAmountRequest{Amount: eur(1), OrderLines: []*gatewayv1.OrderLine{{Name: "Probe"}}}, map[string]string{"order_lines": "no sum"}},
		{&gatewayv1.AllocateAmountRequest{Amount: eur(501), OrderLines: []*gatewayv1.OrderLine{shipping}, Discount: true}, map[string]string{"amount.amount_minor": "above what the lines sell for"}},
		{&gatewayv1.AllocateAmountRequest{Amount: eur(1)}, map[string]string{"order_lines": "1"}},
		{&gatewayv1.AllocateAmountRequest{OrderLines: []*gatewayv1.OrderLine{shipping}}, map[string]string{"amount": "required"}},
	} {
		s.refused(c.req, codes.InvalidArgument, http.StatusBadRequest, invalid, c.want)
	}
	if calls := s.klarna.Calls(); len(calls) > 0 {
		t.Errorf("Klarna was called: %v", calls)
	}
}
