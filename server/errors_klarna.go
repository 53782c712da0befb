package server

import (
	"net/http"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/protoadapt"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// refusal names answers of Klarna's; a zero field means any.
type refusal struct {
	family    klarna.Family
	status    int
	code      string
	operation string // the klarna package's, such as "updateCreditSession"
}

// refusals says what Klarna's answers mean. The most exact entry counts, see refusalReason.
// Klarna: Order Management refuses with 403 what the caller can mend, while 401 and an unknown 403 are about our key.
var refusals = map[refusal]gatewayv1.ErrorReason{
	// Klarna Payments. One 404 NOT_FOUND stands for sessions and tokens alike; what was called tells which.
	{family: klarna.Payments, status: 403, code: "INVALID_OPERATION"}:                                   gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,
	{family: klarna.Payments, status: 403, code: "INVALID_OPERATION", operation: "createOrder"}:         gatewayv1.ErrorReason_ERROR_REASON_AUTHORIZATION_TOKEN_INVALID,
	{family: klarna.Payments, status: 403, code: "INVALID_OPERATION", operation: "cancelAuthorization"}: gatewayv1.ErrorReason_ERROR_REASON_AUTHORIZATION_TOKEN_INVALID,
	{family: klarna.Payments, status: 403, code: "MERCHANT_INACTIVE"}:                                   gatewayv1.ErrorReason_ERROR_REASON_KLARNA_FORBIDDEN,
	{family: klarna.Payments, status: 403, code: "REJECTED"}:                                            gatewayv1.ErrorReason_ERROR_REASON_PURCHASE_REJECTED,
	{family: klarna.Payments, status: 404, operation: "updateCreditSession"}:                            gatewayv1.ErrorReason_ERROR_REASON_SESSION_NOT_FOUND,
	{family: klarna.Payments, status: 404, operation: "readCreditSession"}:                              gatewayv1.ErrorReason_ERROR_REASON_SESSION_NOT_FOUND,
	{family: klarna.Payments, status: 404, operation: "createOrder"}:                                    gatewayv1.ErrorReason_ERROR_REASON_AUTHORIZATION_TOKEN_INVALID,
	{family: klarna.Payments, status: 404, operation: "cancelAuthorization"}:                            gatewayv1.ErrorReason_ERROR_REASON_AUTHORIZATION_TOKEN_INVALID,
	{family: klarna.Payments, status: 404, code: "SESSION_COMPLETED"}:                                   gatewayv1.ErrorReason_ERROR_REASON_SESSION_COMPLETED,
	{family: klarna.Payments, status: 404, operation: "purchaseToken"}:                                  gatewayv1.ErrorReason_ERROR_REASON_AUTHORIZATION_TOKEN_INVALID,
	{family: klarna.Payments, status: 409, operation: "purchaseToken"}:                                  gatewayv1.ErrorReason_ERROR_REASON_DIFFERS_FROM_AUTHORIZATION,
	{family: klarna.Payments, status: 409, code: "BAD_VALUE"}:                                           gatewayv1.ErrorReason_ERROR_REASON_DIFFERS_FROM_AUTHORIZATION,

	// Order Management.
	{family: klarna.OrderManagement, code: "INVALID_ORDER_ID"}:                               gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA, // status not documented
	{family: klarna.OrderManagement, code: "NOT_FOUND"}:                                      gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND,
	{family: klarna.OrderManagement, status: 400, code: "NOT_FOUND", operation: "getRefund"}: gatewayv1.ErrorReason_ERROR_REASON_REFUND_NOT_FOUND, // Klarna has both
	{family: klarna.OrderManagement, status: 404, code: "NOT_FOUND", operation: "getRefund"}: gatewayv1.ErrorReason_ERROR_REASON_REFUND_NOT_FOUND,
	{family: klarna.OrderManagement, code: "NO_SUCH_CAPTURE"}:                                gatewayv1.ErrorReason_ERROR_REASON_CAPTURE_NOT_FOUND,
	{family: klarna.OrderManagement, code: "NO_SUCH_ORDER"}:                                  gatewayv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND,
	{family: klarna.OrderManagement, status: 404}:                                            gatewayv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND,
	{family: klarna.OrderManagement, status: 403, code: "CAPTURE_NOT_ALLOWED"}:               gatewayv1.ErrorReason_ERROR_REASON_CAPTURE_NOT_ALLOWED,
	{family: klarna.OrderManagement, status: 403, code: "REFUND_NOT_ALLOWED"}:                gatewayv1.ErrorReason_ERROR_REASON_REFUND_NOT_ALLOWED,
	{family: klarna.OrderManagement, status: 403, code: "CANCEL_NOT_ALLOWED"}:                gatewayv1.ErrorReason_ERROR_REASON_CANCEL_NOT_ALLOWED,
	{family: klarna.OrderManagement, status: 403, code: "UPDATE_NOT_ALLOWED"}:                gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,
	{family: klarna.OrderManagement, status: 403, code: "NOT_ALLOWED"}:                       gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,

	// Klarna Network. A 404 of onboarding is about an id inside the request (a profile, an acquiring account), and
	// NOT_FOUND, unlike RESOURCE_NOT_FOUND, about the route.
	{family: klarna.Network, status: 400, code: "INVALID_CONTENT_TYPE"}:                     gatewayv1.ErrorReason_ERROR_REASON_KLARNA_UNEXPECTED,
	{family: klarna.Network, status: 404, code: "NOT_FOUND"}:                                gatewayv1.ErrorReason_ERROR_REASON_KLARNA_UNEXPECTED,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND"}:                       gatewayv1.ErrorReason_ERROR_REASON_PARTNER_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "onboard"}: gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA,
	{family: klarna.Network, status: 409, operation: "onboard"}:                             gatewayv1.ErrorReason_ERROR_REASON_PARTNER_DIFFERS,

	// Parts of a partner account. What names a part may also name an account that is not there. Which refusal tells that a
	// product may not be moved is not documented: 403 or 409.
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readPartnerBusinessEntity"}:      gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "updatePartnerBusinessEntity"}:    gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readBrand"}:                      gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "updateBrand"}:                    gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readStoreGroup"}:                 gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "updateStoreGroup"}:               gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "createStore"}:                    gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readStore"}:                      gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "updateStore"}:                    gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "disablePaymentProduct"}:          gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "enablePaymentProduct"}:           gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "createPaymentAccount"}:           gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readPaymentAccount"}:             gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "updatePaymentAccount"}:           gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readComplianceDecision"}:         gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readPricePlan"}:                  gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readPaymentProgramPlan"}:         gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readPaymentProgram"}:             gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readPaymentProgramEnablement"}:   gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "deletePaymentProgramEnablement"}: gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 409, operation: "createPartnerBusinessEntity"}:                                gatewayv1.ErrorReason_ERROR_REASON_PARTNER_DIFFERS,
	{family: klarna.Network, status: 409, operation: "createBrand"}:                                                gatewayv1.ErrorReason_ERROR_REASON_PARTNER_DIFFERS,
	{family: klarna.Network, status: 409, operation: "createStoreGroup"}:                                           gatewayv1.ErrorReason_ERROR_REASON_PARTNER_DIFFERS,
	{family: klarna.Network, status: 409, operation: "createStore"}:                                                gatewayv1.ErrorReason_ERROR_REASON_PARTNER_DIFFERS,
	{family: klarna.Network, status: 409, operation: "createPaymentAccount"}:                                       gatewayv1.ErrorReason_ERROR_REASON_PARTNER_DIFFERS,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "disablePaymentProduct"}:         gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,
	{family: klarna.Network, status: 409, operation: "disablePaymentProduct"}:                                      gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "enablePaymentProduct"}:          gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,
	{family: klarna.Network, status: 409, operation: "enablePaymentProduct"}:                                       gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,

	// Our own set-up at the Network: signing keys, webhooks, credentials.
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "getSigningKey"}:           gatewayv1.ErrorReason_ERROR_REASON_SIGNING_KEY_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "deleteSigningKey"}:        gatewayv1.ErrorReason_ERROR_REASON_SIGNING_KEY_NOT_FOUND,
	{family: klarna.Network, status: 409, operation: "createSigningKey"}:                                    gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,
	{family: klarna.Network, status: 409, operation: "deleteSigningKey"}:                                    gatewayv1.ErrorReason_ERROR_REASON_SIGNING_KEY_IN_USE,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "getWebhook"}:              gatewayv1.ErrorReason_ERROR_REASON_WEBHOOK_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "updateWebhook"}:           gatewayv1.ErrorReason_ERROR_REASON_WEBHOOK_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "deleteWebhook"}:           gatewayv1.ErrorReason_ERROR_REASON_WEBHOOK_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "simulateWebhook"}:         gatewayv1.ErrorReason_ERROR_REASON_WEBHOOK_NOT_FOUND,
	{family: klarna.Network, status: 409, operation: "createWebhook"}:                                       gatewayv1.ErrorReason_ERROR_REASON_ALREADY_EXISTS,
	{family: klarna.Network, status: 409, operation: "updateWebhook"}:                                       gatewayv1.ErrorReason_ERROR_REASON_ALREADY_EXISTS,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readApiKey"}:              gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "updateApiKey"}:            gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "disableApiKey"}:           gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readClientCertificate"}:   gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "updateClientCertificate"}: gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "revokeClientCertificate"}: gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND,

	// Payments on the Network, whose refusals are not documented: those of the state are taken for 403, and where nothing
	// else can conflict, for 409. What an authorisation does not find is its token, as a rule.
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readPaymentRequest"}:         gatewayv1.ErrorReason_ERROR_REASON_PAYMENT_REQUEST_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "updatePaymentRequest"}:       gatewayv1.ErrorReason_ERROR_REASON_PAYMENT_REQUEST_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "cancelPaymentRequest"}:       gatewayv1.ErrorReason_ERROR_REASON_PAYMENT_REQUEST_NOT_FOUND,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "updatePaymentRequest"}:      gatewayv1.ErrorReason_ERROR_REASON_PAYMENT_REQUEST_NOT_OPEN,
	{family: klarna.Network, status: 409, operation: "updatePaymentRequest"}:                                   gatewayv1.ErrorReason_ERROR_REASON_PAYMENT_REQUEST_NOT_OPEN,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "cancelPaymentRequest"}:      gatewayv1.ErrorReason_ERROR_REASON_PAYMENT_REQUEST_NOT_OPEN,
	{family: klarna.Network, status: 409, operation: "cancelPaymentRequest"}:                                   gatewayv1.ErrorReason_ERROR_REASON_PAYMENT_REQUEST_NOT_OPEN,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "createPaymentRequest"}:       gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "createPaymentRequest"}:      gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "authorizePayment"}:           gatewayv1.ErrorReason_ERROR_REASON_AUTHORIZATION_TOKEN_INVALID,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "authorizePayment"}:          gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,
	{family: klarna.Network, status: 409, operation: "authorizePayment"}:                                       gatewayv1.ErrorReason_ERROR_REASON_ORDER_EXISTS,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readPaymentTransaction"}:     gatewayv1.ErrorReason_ERROR_REASON_TRANSACTION_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "updatePaymentTransaction"}:   gatewayv1.ErrorReason_ERROR_REASON_TRANSACTION_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "capturePaymentTransaction"}:  gatewayv1.ErrorReason_ERROR_REASON_TRANSACTION_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "refundPaymentTransaction"}:   gatewayv1.ErrorReason_ERROR_REASON_TRANSACTION_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "voidPaymentTransaction"}:     gatewayv1.ErrorReason_ERROR_REASON_TRANSACTION_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "extendPaymentTransaction"}:   gatewayv1.ErrorReason_ERROR_REASON_TRANSACTION_NOT_FOUND,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "capturePaymentTransaction"}: gatewayv1.ErrorReason_ERROR_REASON_CAPTURE_NOT_ALLOWED,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "refundPaymentTransaction"}:  gatewayv1.ErrorReason_ERROR_REASON_REFUND_NOT_ALLOWED,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "refundPaymentCapture"}:      gatewayv1.ErrorReason_ERROR_REASON_REFUND_NOT_ALLOWED,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "voidPaymentTransaction"}:    gatewayv1.ErrorReason_ERROR_REASON_CANCEL_NOT_ALLOWED,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "updatePaymentTransaction"}:  gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,
	{family: klarna.Network, status: 403, code: "OPERATION_FORBIDDEN", operation: "extendPaymentTransaction"}:  gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readPaymentCapture"}:         gatewayv1.ErrorReason_ERROR_REASON_CAPTURE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "refundPaymentCapture"}:       gatewayv1.ErrorReason_ERROR_REASON_CAPTURE_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readPaymentRefund"}:          gatewayv1.ErrorReason_ERROR_REASON_REFUND_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "readPaymentChargeback"}:      gatewayv1.ErrorReason_ERROR_REASON_CHARGEBACK_NOT_FOUND,
	{family: klarna.Network, status: 404, code: "RESOURCE_NOT_FOUND", operation: "cancelPaymentToken"}:         gatewayv1.ErrorReason_ERROR_REASON_PAYMENT_TOKEN_NOT_FOUND,

	// Customer tokens. A refused charge that lets the customer step up is about the purchase, whatever else it says.
	{family: klarna.CustomerTokens, status: 403, code: "TOKEN_SUSPENDED"}:            gatewayv1.ErrorReason_ERROR_REASON_CUSTOMER_TOKEN_UNUSABLE,
	{family: klarna.CustomerTokens, status: 403, code: "TOKEN_CANCELED"}:             gatewayv1.ErrorReason_ERROR_REASON_CUSTOMER_TOKEN_UNUSABLE,
	{family: klarna.CustomerTokens, status: 403, code: "UNAVAILABLE_PAYMENT_METHOD"}: gatewayv1.ErrorReason_ERROR_REASON_CUSTOMER_TOKEN_UNUSABLE,
	{family: klarna.CustomerTokens, status: 403, code: "PAYMENT_METHOD_FAILED"}:      gatewayv1.ErrorReason_ERROR_REASON_PURCHASE_REJECTED,
	{family: klarna.CustomerTokens, status: 404}:                                     gatewayv1.ErrorReason_ERROR_REASON_CUSTOMER_TOKEN_NOT_FOUND,

	// Hosted pages, whose codes are not documented.
	{family: klarna.HostedPages, status: 400, operation: "disableHppSession"}: gatewayv1.ErrorReason_ERROR_REASON_SESSION_COMPLETED,
	{family: klarna.HostedPages, status: 404}:                                 gatewayv1.ErrorReason_ERROR_REASON_HOSTED_PAGE_NOT_FOUND,
	{family: klarna.HostedPages, status: 404, operation: "createHppSession"}:  gatewayv1.ErrorReason_ERROR_REASON_SESSION_NOT_FOUND,

	// Checkout.
	{family: klarna.Checkout, status: 403, code: "READ_ONLY_ORDER"}: gatewayv1.ErrorReason_ERROR_REASON_SESSION_COMPLETED,
	{family: klarna.Checkout, status: 404}:                          gatewayv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND,

	// Settlements.
	{family: klarna.Settlement, status: 404}: gatewayv1.ErrorReason_ERROR_REASON_PAYOUT_NOT_FOUND,

	// What every family answers alike.
	{status: 400}: gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA,
	{status: 401}: gatewayv1.ErrorReason_ERROR_REASON_KLARNA_CREDENTIALS_REFUSED,
	{status: 403}: gatewayv1.ErrorReason_ERROR_REASON_KLARNA_FORBIDDEN,
	{status: 409}: gatewayv1.ErrorReason_ERROR_REASON_CONFLICT,
	{status: 413}: gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA,
	{status: 422}: gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA,
	{status: 429}: gatewayv1.ErrorReason_ERROR_REASON_KLARNA_RATE_LIMITED,
}

// refusedStatus is the status of Klarna's refusal. Klarna's free text stays here.
func refusedStatus(refused *klarna.Error) error {
	r := refusalReason(refused)
	var details []protoadapt.MessageV1
	if violations := klarnaViolations(refused, r); len(violations) > 0 {
		details = append(details, badRequest(violations))
	}
	return reasonStatus(r, refused, details...)
}

// refusalReason finds the most exact entry of the table, from operation and code down to the status alone.
func refusalReason(e *klarna.Error) gatewayv1.ErrorReason {
	if e.Family == klarna.Payments && e.Status == http.StatusConflict && e.Code == "BAD_VALUE" && completedBefore(e.Messages) {
		return gatewayv1.ErrorReason_ERROR_REASON_ORDER_EXISTS
	}
	for _, key := range []refusal{
		{e.Family, e.Status, e.Code, e.Operation},
		{e.Family, e.Status, e.Code, ""},
		{e.Family, 0, e.Code, ""},
		{e.Family, e.Status, "", e.Operation},
		{e.Family, e.Status, "", ""},
		{"", e.Status, "", ""},
	} {
		if r, known := refusals[key]; known && (e.StepUpID == "" || key.code != "") {
			return r
		}
	}
	if e.StepUpID != "" {
		return gatewayv1.ErrorReason_ERROR_REASON_PURCHASE_REJECTED
	}
	if e.Status >= 500 { // without the client's word on what became of the call
		return gatewayv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN
	}
	return gatewayv1.ErrorReason_ERROR_REASON_KLARNA_UNEXPECTED
}

// completedBefore tells the two 409 BAD_VALUE of placing an order apart: "The order has been already completed with
// different request body", and "Not matching fields: […]". Klarna gives nothing but the text to do it by. Should the
// text change, the answer is that the content differs, which holds for both.
func completedBefore(messages []string) bool {
	return slices.ContainsFunc(messages, func(m string) bool {
		return strings.HasPrefix(m, "The order has been already completed")
	})
}

// klarnaViolations names our fields for the parameters that Klarna named. What Klarna says about them is not passed on.
func klarnaViolations(e *klarna.Error, r gatewayv1.ErrorReason) []*errdetails.BadRequest_FieldViolation {
	description := "Klarna refused this value"
	if r == gatewayv1.ErrorReason_ERROR_REASON_DIFFERS_FROM_AUTHORIZATION {
		description = "differs from what the customer authorised"
	}
	parameters := make([]string, 0, len(e.Violations)+1)
	for _, v := range e.Violations {
		parameters = append(parameters, v.Parameter)
	}
	switch e.Code {
	case "INVALID_ORDER_ID":
		parameters = append(parameters, "order_id")
	case "INVALID_ADDRESS": // the only one that a change of an order sends
		parameters = append(parameters, "shipping_address")
	}
	var violations []*errdetails.BadRequest_FieldViolation
	for _, parameter := range parameters {
		field := ourPart(e.Operation, ourField(parameter))
		if e.Operation == "purchaseToken" && parameter == "purchase_currency" { // there is no amount that would have it
			field = parameter
		}
		if field != "" {
			violations = append(violations, &errdetails.BadRequest_FieldViolation{
				Field: field, Description: description, Reason: reasonName(r),
			})
		}
	}
	return violations
}
