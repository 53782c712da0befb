package server

import (
	"time"

	"google.golang.org/grpc/codes"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// verdict is what the caller gets for a reason.
type verdict struct {
	code    codes.Code
	message string
	retry   time.Duration // RetryInfo, unless whoever refused knows better; 0 means none
}

// verdicts has an entry for every ErrorReason but UNSPECIFIED. The codes are those that error_reason.proto promises.
var verdicts = map[gatewayv1.ErrorReason]verdict{
	gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD:               {code: codes.InvalidArgument, message: "the request breaks rules of this API; see the field violations"},
	gatewayv1.ErrorReason_ERROR_REASON_AMOUNTS_DO_NOT_MATCH:        {code: codes.InvalidArgument, message: "the amounts do not add up; see the field violations"},
	gatewayv1.ErrorReason_ERROR_REASON_REFUSED_BY_KLARNA:           {code: codes.InvalidArgument, message: "Klarna refused a value of the request"},
	gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_INVALID:        {code: codes.InvalidArgument, message: "the resume token is not one of this gateway's"},
	gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_FOREIGN:        {code: codes.InvalidArgument, message: "the resume token belongs to another watch"},
	gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_TOO_OLD:        {code: codes.OutOfRange, message: "the log no longer reaches back to the token; start again with a snapshot"},
	gatewayv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID:          {code: codes.InvalidArgument, message: "the page token is not one of this list's"},
	gatewayv1.ErrorReason_ERROR_REASON_MERCHANT_ACCOUNT_UNKNOWN:    {code: codes.NotFound, message: "no such merchant account is configured"},
	gatewayv1.ErrorReason_ERROR_REASON_MERCHANT_ACCOUNT_UNSUITABLE: {code: codes.FailedPrecondition, message: "the merchant account is for other APIs of Klarna's"},

	gatewayv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED:            {code: codes.FailedPrecondition, message: "the request_id was used with other content before"},
	gatewayv1.ErrorReason_ERROR_REASON_PERSONAL_DATA_ERASED:         {code: codes.FailedPrecondition, message: "what is on record of the request was erased; it is not done again"},
	gatewayv1.ErrorReason_ERROR_REASON_REQUEST_IN_PROGRESS:          {code: codes.Aborted, message: "the same request is being worked on; repeat it after the delay", retry: time.Second},
	gatewayv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN:              {code: codes.Unavailable, message: "it cannot be known now whether Klarna did it; repeat with the same request_id", retry: time.Second},
	gatewayv1.ErrorReason_ERROR_REASON_REQUEST_ID_OF_ANOTHER_CALLER: {code: codes.PermissionDenied, message: "the request_id is in use"},

	gatewayv1.ErrorReason_ERROR_REASON_NOT_FOUND:                   {code: codes.NotFound, message: "nothing is known under this id"},
	gatewayv1.ErrorReason_ERROR_REASON_SESSION_NOT_FOUND:           {code: codes.NotFound, message: "Klarna knows no such session; it may have expired"},
	gatewayv1.ErrorReason_ERROR_REASON_SESSION_COMPLETED:           {code: codes.FailedPrecondition, message: "the session led to an order already"},
	gatewayv1.ErrorReason_ERROR_REASON_NOT_AUTHORIZED:              {code: codes.FailedPrecondition, message: "the customer has not authorised, or the authorisation was cancelled"},
	gatewayv1.ErrorReason_ERROR_REASON_AUTHORIZATION_TOKEN_INVALID: {code: codes.FailedPrecondition, message: "the authorisation is spent, superseded or too old; the customer has to authorise again"},
	gatewayv1.ErrorReason_ERROR_REASON_PURCHASE_REJECTED:           {code: codes.FailedPrecondition, message: "Klarna did not approve the purchase"},
	gatewayv1.ErrorReason_ERROR_REASON_DIFFERS_FROM_AUTHORIZATION:  {code: codes.FailedPrecondition, message: "what was asked for differs from what the customer authorised"},
	gatewayv1.ErrorReason_ERROR_REASON_AUTO_CAPTURE_NOT_ALLOWED:    {code: codes.FailedPrecondition, message: "the contract does not allow capturing with the order"},
	gatewayv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND:             {code: codes.NotFound, message: "Klarna knows no such order under this merchant account"},
	gatewayv1.ErrorReason_ERROR_REASON_CAPTURE_NOT_ALLOWED:         {code: codes.FailedPrecondition, message: "not enough is left to capture, or the order is cancelled or expired"},
	gatewayv1.ErrorReason_ERROR_REASON_REFUND_NOT_ALLOWED:          {code: codes.FailedPrecondition, message: "not enough is captured that could be refunded"},
	gatewayv1.ErrorReason_ERROR_REASON_CANCEL_NOT_ALLOWED:          {code: codes.FailedPrecondition, message: "the order has captures or is closed"},
	gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_ALLOWED:       {code: codes.FailedPrecondition, message: "Klarna does not allow this in the present state"},
	gatewayv1.ErrorReason_ERROR_REASON_CONFLICT:                    {code: codes.Aborted, message: "it changed at Klarna at the same time; read and try again"},
	gatewayv1.ErrorReason_ERROR_REASON_ORDER_EXISTS:                {code: codes.AlreadyExists, message: "the authorisation became another order before"},

	gatewayv1.ErrorReason_ERROR_REASON_CAPTURE_NOT_FOUND:        {code: codes.NotFound, message: "the order has no such capture"},
	gatewayv1.ErrorReason_ERROR_REASON_REFUND_NOT_FOUND:         {code: codes.NotFound, message: "the order has no such refund"},
	gatewayv1.ErrorReason_ERROR_REASON_PAYOUT_NOT_FOUND:         {code: codes.NotFound, message: "Klarna knows no such payout or report"},
	gatewayv1.ErrorReason_ERROR_REASON_CUSTOMER_TOKEN_NOT_FOUND: {code: codes.NotFound, message: "Klarna knows no such customer token"},
	gatewayv1.ErrorReason_ERROR_REASON_CUSTOMER_TOKEN_UNUSABLE:  {code: codes.FailedPrecondition, message: "the customer token is cancelled or suspended, or its way to pay is not available"},
	gatewayv1.ErrorReason_ERROR_REASON_REFERENCE_IN_USE:         {code: codes.AlreadyExists, message: "another capture or refund of the order has the same reference"},
	gatewayv1.ErrorReason_ERROR_REASON_HOSTED_PAGE_NOT_FOUND:    {code: codes.NotFound, message: "Klarna knows no such hosted page, or it has expired"},

	gatewayv1.ErrorReason_ERROR_REASON_ACCOUNT_NOT_OPERATIONAL:    {code: codes.FailedPrecondition, message: "the account is not OPERATIONAL yet; wait for that state on WatchAccountState"},
	gatewayv1.ErrorReason_ERROR_REASON_PARTNER_NOT_FOUND:          {code: codes.NotFound, message: "Klarna knows no such partner account"},
	gatewayv1.ErrorReason_ERROR_REASON_PARTNER_DIFFERS:            {code: codes.AlreadyExists, message: "something with a reference of the request exists at Klarna with other data; onboarding never changes it"},
	gatewayv1.ErrorReason_ERROR_REASON_ACCOUNT_DISABLED:           {code: codes.FailedPrecondition, message: "the account is disabled by Klarna"},
	gatewayv1.ErrorReason_ERROR_REASON_PARTNER_RESOURCE_NOT_FOUND: {code: codes.NotFound, message: "the partner account has no such part"},

	gatewayv1.ErrorReason_ERROR_REASON_PAYMENT_REQUEST_NOT_FOUND: {code: codes.NotFound, message: "Klarna knows no such payment request"},
	gatewayv1.ErrorReason_ERROR_REASON_PAYMENT_REQUEST_NOT_OPEN:  {code: codes.FailedPrecondition, message: "the payment request is not open to this any more"},
	gatewayv1.ErrorReason_ERROR_REASON_TRANSACTION_NOT_FOUND:     {code: codes.NotFound, message: "Klarna knows no such transaction"},
	gatewayv1.ErrorReason_ERROR_REASON_CHARGEBACK_NOT_FOUND:      {code: codes.NotFound, message: "Klarna knows no such chargeback"},
	gatewayv1.ErrorReason_ERROR_REASON_PAYMENT_TOKEN_NOT_FOUND:   {code: codes.NotFound, message: "Klarna knows no such payment token; it may have been spent or have run out"},

	gatewayv1.ErrorReason_ERROR_REASON_KLARNA_CREDENTIALS_REFUSED: {code: codes.FailedPrecondition, message: "Klarna refused the gateway's credentials for this merchant account; the operator has to act"},
	gatewayv1.ErrorReason_ERROR_REASON_KLARNA_FORBIDDEN:           {code: codes.FailedPrecondition, message: "Klarna does not permit this to the merchant account, or the account is not active"},
	gatewayv1.ErrorReason_ERROR_REASON_KLARNA_RATE_LIMITED:        {code: codes.ResourceExhausted, message: "Klarna's rate limit is reached", retry: time.Second},
	gatewayv1.ErrorReason_ERROR_REASON_KLARNA_UNAVAILABLE:         {code: codes.Unavailable, message: "Klarna could not be reached or failed; nothing happened there", retry: 5 * time.Second},
	gatewayv1.ErrorReason_ERROR_REASON_KLARNA_UNEXPECTED:          {code: codes.Internal, message: "Klarna answered in a way this gateway does not understand"},

	gatewayv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED:           {code: codes.Unauthenticated, message: "neither a good bearer token nor a trusted certificate"},
	gatewayv1.ErrorReason_ERROR_REASON_DEBTOR_DATA_NOT_PERMITTED: {code: codes.PermissionDenied, message: "debtors' names and account numbers are not for this caller"},
	gatewayv1.ErrorReason_ERROR_REASON_WATCH_NOT_READ:            {code: codes.Canceled, message: "the client did not read for too long; go on with the last resume token"},
	gatewayv1.ErrorReason_ERROR_REASON_TOO_MANY_CHECKPOINTS:      {code: codes.ResourceExhausted, message: "the caller has 1000 checkpoints; delete those that nobody uses"},
	gatewayv1.ErrorReason_ERROR_REASON_DRAINING:                  {code: codes.Unavailable, message: "the gateway is shutting down; go on with another instance"},
	gatewayv1.ErrorReason_ERROR_REASON_INTERNAL:                  {code: codes.Internal, message: "internal error"},

	gatewayv1.ErrorReason_ERROR_REASON_ATTENTION_NOT_FOUND:          {code: codes.NotFound, message: "there is no matter of this id"},
	gatewayv1.ErrorReason_ERROR_REASON_ATTENTION_ACTION_NOT_ALLOWED: {code: codes.FailedPrecondition, message: "the matter does not take this action now"},
	gatewayv1.ErrorReason_ERROR_REASON_EVENT_NOT_FOUND:              {code: codes.NotFound, message: "the log has no such event, or it was trimmed"},
	gatewayv1.ErrorReason_ERROR_REASON_QUARANTINED_NOT_FOUND:        {code: codes.NotFound, message: "the quarantine has no such row"},
	gatewayv1.ErrorReason_ERROR_REASON_REDRIVE_FAILED:               {code: codes.Unavailable, message: "the notification could not be taken in; repeat with the same request_id", retry: time.Second},

	gatewayv1.ErrorReason_ERROR_REASON_OPERATION_NOT_OFFERED:            {code: codes.FailedPrecondition, message: "the merchant account's profile, as it is now, does not offer this operation of Klarna's"},
	gatewayv1.ErrorReason_ERROR_REASON_MERCHANT_ACCOUNT_OF_OTHER_REGION: {code: codes.FailedPrecondition, message: "the merchant account's credential is of another region than the purchase"},

	gatewayv1.ErrorReason_ERROR_REASON_PERMISSION_MISSING:  {code: codes.PermissionDenied, message: "the caller has no role for this; see permission, merchant_account, partner_account and scope in the metadata"},
	gatewayv1.ErrorReason_ERROR_REASON_CREDENTIALS_REVOKED: {code: codes.Unauthenticated, message: "the caller, its certificate or its token is revoked"},
	gatewayv1.ErrorReason_ERROR_REASON_TICKET_INVALID:      {code: codes.Unauthenticated, message: "the watch ticket is unknown, spent or has run out; get another one"},

	gatewayv1.ErrorReason_ERROR_REASON_SIGNING_KEY_NOT_FOUND: {code: codes.NotFound, message: "neither the key ring nor Klarna has such a signing key"},
	gatewayv1.ErrorReason_ERROR_REASON_WEBHOOK_NOT_FOUND:     {code: codes.NotFound, message: "Klarna has no such webhook"},
	gatewayv1.ErrorReason_ERROR_REASON_SIGNING_KEY_IN_USE:    {code: codes.FailedPrecondition, message: "a webhook or the configuration uses the signing key, or it has signed within a day"},
	gatewayv1.ErrorReason_ERROR_REASON_ALREADY_EXISTS:        {code: codes.AlreadyExists, message: "the same webhook, or another signing key of this id, is there"},
	gatewayv1.ErrorReason_ERROR_REASON_WEBHOOK_NOT_PROVEN:    {code: codes.FailedPrecondition, message: "webhooks are set up, but the simulated event did not arrive as it should"},
}
