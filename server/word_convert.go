package server

import (
	"fmt"
	"strings"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
)

// The API's enums are named after Klarna's and the journal's words, behind a prefix: STATE_OPERATIONAL is OPERATIONAL.
const (
	statePrefix         = "STATE_"
	statusPrefix        = "STATUS_"
	typePrefix          = "TYPE_"
	fraudStatusPrefix   = "FRAUD_STATUS_"
	paymentStatusPrefix = "PAYMENT_STATUS_"
	orderPolicyPrefix   = "ORDER_POLICY_"
	eventCausePrefix    = "EVENT_CAUSE_"
	paymentKindPrefix   = "PAYMENT_EVENT_KIND_"
	accountKindPrefix   = "ACCOUNT_EVENT_KIND_"
	attentionPrefix     = "ATTENTION_REASON_"
	resultPrefix        = "RESULT_"
)

// enumOf is the value of an enum that is named after a word, UNSPECIFIED for words the enum does not have.
func enumOf[E ~int32](values map[string]int32, prefix string, word string) E {
	return E(values[prefix+word])
}

// wordOf is the word an enum's value is named after; empty for UNSPECIFIED, as is a state that was never told.
func wordOf(value fmt.Stringer, prefix string) string {
	if word := strings.TrimPrefix(value.String(), prefix); word != "UNSPECIFIED" {
		return word
	}
	return ""
}

func wordsOf[E fmt.Stringer](values []E, prefix string) []string {
	return convertAll(values, func(v E) string { return wordOf(v, prefix) })
}

// partnerStateToWords are the states as the log has them, for filters.
func partnerStateToWords(states []gatewayv1.Partner_State) []string {
	return wordsOf(states, statePrefix)
}

// paymentStateToWords are the states as the log has them, for filters.
func paymentStateToWords(states []gatewayv1.Payment_State) []string {
	return wordsOf(states, statePrefix)
}

func partnerStateFromWord(word string) gatewayv1.Partner_State {
	return enumOf[gatewayv1.Partner_State](gatewayv1.Partner_State_value, statePrefix, word)
}

func productStateFromWord(word string) gatewayv1.Product_State {
	return enumOf[gatewayv1.Product_State](gatewayv1.Product_State_value, statePrefix, word)
}

func storeTypeFromWord(word string) gatewayv1.Store_Type {
	return enumOf[gatewayv1.Store_Type](gatewayv1.Store_Type_value, typePrefix, word)
}

func accountKindFromWord(word string) gatewayv1.AccountEventKind {
	return enumOf[gatewayv1.AccountEventKind](gatewayv1.AccountEventKind_value, accountKindPrefix, word)
}

func paymentStateFromWord(word string) gatewayv1.Payment_State {
	return enumOf[gatewayv1.Payment_State](gatewayv1.Payment_State_value, statePrefix, word)
}

func paymentStatusFromWord(word string) gatewayv1.PaymentStatus {
	return enumOf[gatewayv1.PaymentStatus](gatewayv1.PaymentStatus_value, paymentStatusPrefix, word)
}

func paymentKindFromWord(word string) gatewayv1.PaymentEventKind {
	return enumOf[gatewayv1.PaymentEventKind](gatewayv1.PaymentEventKind_value, paymentKindPrefix, word)
}

func orderStatusFromWord(word string) gatewayv1.Order_Status {
	return enumOf[gatewayv1.Order_Status](gatewayv1.Order_Status_value, statusPrefix, word)
}

func fraudStatusFromWord(word string) gatewayv1.Payment_FraudStatus {
	return enumOf[gatewayv1.Payment_FraudStatus](gatewayv1.Payment_FraudStatus_value, fraudStatusPrefix, word)
}

func eventCauseFromWord(word string) gatewayv1.EventCause {
	return enumOf[gatewayv1.EventCause](gatewayv1.EventCause_value, eventCausePrefix, word)
}

func attentionFromWord(word string) gatewayv1.AttentionReason {
	return enumOf[gatewayv1.AttentionReason](gatewayv1.AttentionReason_value, attentionPrefix, word)
}

func orderPolicyFromWord(word string) gatewayv1.OrderPolicy {
	return enumOf[gatewayv1.OrderPolicy](gatewayv1.OrderPolicy_value, orderPolicyPrefix, word)
}

// orderPolicyToJournal is empty for UNSPECIFIED: the merchant account's policy.
func orderPolicyToJournal(p gatewayv1.OrderPolicy) journal.OrderPolicy {
	return journal.OrderPolicy(wordOf(p, orderPolicyPrefix))
}
