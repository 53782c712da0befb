package server

import (
	"strconv"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

const (
	actionPrefix = "ATTENTION_ACTION_"
	flawPrefix   = "FLAW_"
)

// attentionItem shows a matter as it stands at a time.
func attentionItem(m journal.Matter, position store.Position, now time.Time) *gatewayv1.AttentionItem {
	return &gatewayv1.AttentionItem{
		AttentionId:      m.ID,
		Reason:           attentionFromWord(string(m.Reason)),
		State:            enumOf[gatewayv1.AttentionItem_State](gatewayv1.AttentionItem_State_value, statePrefix, string(m.State)),
		Message:          m.Message,
		MerchantAccount:  m.MerchantAccount,
		SinceTime:        timestampOf(m.Since),
		EndTime:          timestampOf(m.EndedAt),
		PaymentId:        m.About.PaymentID,
		SessionId:        m.About.SessionID,
		OrderId:          m.About.OrderID,
		PartnerAccountId: m.About.PartnerAccountID,
		QuarantineId:     rowID(m.About.QuarantineID),
		SigningKeyId:     m.About.SigningKey.ID,
		CauseEventId:     m.CauseEventID,
		AllowedActions:   convertAll(m.Allowed(now), actionFromJournal),
		Actions:          convertAll(m.Actions, actionTaken),
		Position:         int64(position),
	}
}

// rowID names a row of the quarantine; empty for none.
func rowID(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

func actionFromJournal(a journal.Action) gatewayv1.AttentionAction {
	return enumOf[gatewayv1.AttentionAction](gatewayv1.AttentionAction_value, actionPrefix, string(a))
}

func actionTaken(a journal.MatterAction) *gatewayv1.AttentionActionTaken {
	return &gatewayv1.AttentionActionTaken{
		Action: actionFromJournal(a.Action), Caller: a.Caller, Note: a.Note, Result: a.Result, CreateTime: timestampOf(a.At),
	}
}

func eventSummary(ev store.Event) *gatewayv1.EventSummary {
	return &gatewayv1.EventSummary{
		EventId: ev.ID, Position: int64(ev.Position), Kind: ev.Kind, Cause: eventCauseFromWord(ev.Cause), State: ev.State,
		Superseded: ev.Superseded, OccurTime: timestampOf(ev.OccurredAt), RecordTime: timestampOf(ev.RecordedAt),
	}
}

func jobFromStore(j store.Job) *gatewayv1.Job {
	return &gatewayv1.Job{
		JobId: j.ID, Kind: j.Kind, MerchantAccount: j.MerchantAccount, Key: j.Key, DueTime: timestampOf(j.RunAt),
		DeadlineTime: timestampOf(j.Deadline), Attempts: int32(j.Attempt), LeasedUntilTime: timestampOf(j.LeasedUntil),
		LastError: j.LastError, CreateTime: timestampOf(j.CreatedAt),
	}
}

// flaws say for people why a signature is not taken.
var flaws = map[journal.SignatureFlaw]string{
	"":                       "the door takes it for Klarna's",
	journal.HeaderMissing:    "there is neither Klarna-Signing-Key-Id with Klarna-Signature nor Payload-Signature, once each",
	journal.HeaderMalformed:  "the signature header cannot be read",
	journal.KeyUnknown:       "no key of this name is known for the merchant account; import it or look for a misspelt one",
	journal.SigningKeyGone:   "the key's secret is destroyed",
	journal.SignatureDiffers: "the key gives another signature: its secret is another one, or the bytes are not those that were sent",
}

func signatureCheckFromJournal(c journal.SignatureCheck) *gatewayv1.VerifySignatureResponse {
	out := &gatewayv1.VerifySignatureResponse{
		Valid: c.Flaw == "", SigningKeyId: c.KeyID, MerchantAccount: c.MerchantAccount, Message: flaws[c.Flaw], RetireTime: timestampOf(c.RetireAt),
		Flaw: enumOf[gatewayv1.VerifySignatureResponse_Flaw](gatewayv1.VerifySignatureResponse_Flaw_value, flawPrefix, string(c.Flaw)),
	}
	for scheme, word := range schemes {
		if word == c.Scheme && c.Scheme != "" {
			out.Scheme = scheme
		}
	}
	return out
}
