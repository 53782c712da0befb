package server

import (
	"errors"
	"fmt"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// misdirectedStatus is the status of a call that the merchant account's profile is not for. Nothing was sent, so there is
// nothing of Klarna's to tell but the name of the operation.
func misdirectedStatus(m *klarna.MisdirectedError) error {
	r, field := gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_OFFERED, "merchant_account"
	message := fmt.Sprintf("%s: %s (%s)", verdicts[r].message, m.Operation, m.Path)
	if errors.Is(m, klarna.ErrOtherRegion) {
		r, field = gatewayv1.ErrorReason_ERROR_REASON_MERCHANT_ACCOUNT_OF_OTHER_REGION, "purchase_country"
		message = fmt.Sprintf("%s: %s is not served in region %s", verdicts[r].message, m.Country, m.Region)
	}
	return withInfo(verdicts[r].code, r, message, map[string]string{"klarna_operation": m.Operation}, violated(field, message, reasonName(r)))
}
