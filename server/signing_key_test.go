package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// signingKeys are those of the acquirer by id, as Klarna was asked.
func (s *stack) signingKeys() map[string]*gatewayv1.SigningKey {
	s.t.Helper()
	res, err := s.partners.ListSigningKeys(s.t.Context(), &gatewayv1.ListSigningKeysRequest{AskKlarna: true})
	must(s.t, err)
	all := map[string]*gatewayv1.SigningKey{}
	for _, k := range res.GetSigningKeys() {
		all[k.GetSigningKeyId()] = k
	}
	return all
}

// newKey makes a signing key.
func (s *stack) newKey() *gatewayv1.SigningKey {
	s.t.Helper()
	made, err := s.partners.CreateSigningKey(s.t.Context(), &gatewayv1.CreateSigningKeyRequest{RequestId: uuid.NewString()})
	must(s.t, err)
	return made.GetSigningKey()
}

func TestSigningKeys_OneThatSignsPastItsRetirementIsTold(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, err := s.partners.RetireSigningKey(t.Context(), &gatewayv1.RetireSigningKeyRequest{
		RequestId: uuid.NewString(), SigningKeyId: configuredKeyID, RetireTime: timestamppb.New(s.klarna.Now().Add(time.Hour)),
	})
	must(t, err)
	s.klarna.Advance(2 * time.Hour)
	must(t, s.klarna.Operational(s.onboarded("mrc-1").id))
	must(t, s.klarna.Idle(t.Context()))
	if got := s.signingKeys()[configuredKeyID]; !got.GetUsedAfterRetirement() || got.GetState() != gatewayv1.SigningKey_STATE_RETIRED || got.GetOrigin() != gatewayv1.SigningKey_ORIGIN_CONFIGURED {
		t.Errorf("the key is %v", got)
	}
	if s.onRecord("mrc-1").GetState() != gatewayv1.Partner_STATE_OPERATIONAL {
		t.Error("what it signed is lost")
	}
	_, err = s.partners.RetireSigningKey(t.Context(), &gatewayv1.RetireSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: configuredKeyID})
	must(t, err)
	if got := s.signingKeys()[configuredKeyID]; got.GetUsedAfterRetirement() || got.GetState() != gatewayv1.SigningKey_STATE_ACTIVE {
		t.Errorf("with the plan taken back it is %v", got)
	}
}

func TestSigningKeys_AreListedReadAndRefused(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	key := s.newKey()
	hook, err := s.partners.CreateWebhook(t.Context(), hookRequest(key.GetSigningKeyId()))
	must(t, err)
	s.refused(&gatewayv1.DeleteSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: key.GetSigningKeyId()},
		codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_SIGNING_KEY_IN_USE, nil)
	s.refused(&gatewayv1.DeleteSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: configuredKeyID, Force: true},
		codes.FailedPrecondition, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_SIGNING_KEY_IN_USE, nil)
	for _, req := range []proto.Message{
		&gatewayv1.DeleteSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: "krn:none"},
		&gatewayv1.DeleteSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: "9", Scheme: gatewayv1.SigningKey_SCHEME_PAYMENT_STATUS},
		&gatewayv1.GetSigningKeyRequest{SigningKeyId: "krn:none"},
		&gatewayv1.RetireSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: "krn:none"},
	} {
		s.refused(req, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_SIGNING_KEY_NOT_FOUND, nil)
	}
	again := hookRequest(key.GetSigningKeyId())
	s.refused(again, codes.AlreadyExists, http.StatusConflict, gatewayv1.ErrorReason_ERROR_REASON_ALREADY_EXISTS, nil)
	for _, req := range []proto.Message{
		&gatewayv1.GetWebhookRequest{WebhookId: "krn:none"}, &gatewayv1.DeleteWebhookRequest{RequestId: uuid.NewString(), WebhookId: "krn:none"},
		&gatewayv1.UpdateWebhookRequest{RequestId: uuid.NewString(), WebhookId: "krn:none", Status: gatewayv1.Webhook_STATUS_DISABLED},
		&gatewayv1.SimulateWebhookRequest{RequestId: uuid.NewString(), WebhookId: "krn:none", EventType: "partner.account.change.created"},
	} {
		s.refused(req, codes.NotFound, http.StatusNotFound, gatewayv1.ErrorReason_ERROR_REASON_WEBHOOK_NOT_FOUND, nil)
	}
	for _, address := range []string{"https://gw.nordlicht.example:9443/x"} {
		bad := hookRequest(key.GetSigningKeyId())
		bad.Url = address
		s.refused(bad, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{"url": "443 or 8443"})
		s.refused(&gatewayv1.SetUpWebhooksRequest{RequestId: uuid.NewString(), Url: address}, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{"url": "443 or 8443"})
	}
	s.refused(&gatewayv1.UpdateWebhookRequest{RequestId: uuid.NewString(), WebhookId: hook.GetWebhook().GetWebhookId()},
		codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{"url": "at least one of"})
	odd := setUpRequest()
	odd.EventTypes = []string{"oddity.*"}
	s.refused(odd, codes.InvalidArgument, http.StatusBadRequest, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, map[string]string{"sample_event_type": ""})
}

func TestSigningKeys_OfWhichKlarnaKeepsTheSecretAreShownAsUnknown(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	req := &gatewayv1.CreateSigningKeyRequest{RequestId: uuid.NewString()}
	must(t, s.klarna.Fail(klarnatest.Fault{Operation: "createSigningKey", LoseAnswer: true, Times: 1 + klarna.DefaultRetries}))
	if _, st := s.overGRPC(req); st.Code() != codes.Unavailable {
		t.Fatalf("with a lost answer: %v", st)
	}
	s.klarna.Advance(25 * time.Hour) // Klarna forgets the idempotency key
	made, err := s.partners.CreateSigningKey(t.Context(), req)
	must(t, err)
	keys := s.signingKeys()
	for id, key := range keys {
		want := gatewayv1.SigningKey_STATE_SECRET_UNKNOWN
		if id == made.GetSigningKey().GetSigningKeyId() || id == configuredKeyID {
			want = gatewayv1.SigningKey_STATE_ACTIVE
		}
		if key.GetState() != want || key.GetAtKlarna() != gatewayv1.SigningKey_PRESENCE_PRESENT {
			t.Errorf("%v, want %v", key, want)
		}
	}
	here, err := s.partners.ListSigningKeys(t.Context(), &gatewayv1.ListSigningKeysRequest{})
	must(t, err)
	if len(keys) != 3 || len(here.GetSigningKeys()) != 2 {
		t.Errorf("%d keys at Klarna, %d here", len(keys), len(here.GetSigningKeys()))
	}
}

func importRequest(scheme gatewayv1.SigningKey_Scheme, id, secret string) *gatewayv1.ImportSigningKeyRequest {
	return &gatewayv1.ImportSigningKeyRequest{RequestId: uuid.NewString(), Scheme: scheme, SigningKeyId: id, Secret: secret}
}

func TestImportSigningKey_VerifiesAtOnceAndIsNeverShown(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const secret = "imported-secret-of-version-2"
	req := importRequest(gatewayv1.SigningKey_SCHEME_PAYMENT_STATUS, "2", secret)
	res, err := s.partners.ImportSigningKey(t.Context(), req)
	must(t, err)
	if k := res.GetSigningKey(); k.GetMerchantAccount() != shop || k.GetOrigin() != gatewayv1.SigningKey_ORIGIN_IMPORTED || k.GetState() != gatewayv1.SigningKey_STATE_ACTIVE {
		t.Errorf("answered %v", k)
	}
	rows, err := s.store.SigningKeys(t.Context())
	must(t, err)
	if len(rows) != 1 || string(rows[0].Key) != secret {
		t.Errorf("on record %d keys", len(rows))
	}
	list, err := s.partners.ListSigningKeys(t.Context(), &gatewayv1.ListSigningKeysRequest{MerchantAccount: shop})
	must(t, err)
	if n := len(list.GetSigningKeys()); n != 2 {
		t.Errorf("%d keys of the shop: %v", n, list)
	}
	same := importRequest(gatewayv1.SigningKey_SCHEME_PAYMENT_STATUS, "2", secret)
	_, err = s.partners.ImportSigningKey(t.Context(), same)
	must(t, err)
	s.refused(importRequest(gatewayv1.SigningKey_SCHEME_PAYMENT_STATUS, "2", "another-secret-altogether"),
		codes.AlreadyExists, http.StatusConflict, gatewayv1.ErrorReason_ERROR_REASON_ALREADY_EXISTS, map[string]string{"signing_key_id": ""})
	s.refused(importRequest(gatewayv1.SigningKey_SCHEME_PAYMENT_STATUS, "1", "another-secret-altogether"),
		codes.AlreadyExists, http.StatusConflict, gatewayv1.ErrorReason_ERROR_REASON_ALREADY_EXISTS, map[string]string{"signing_key_id": ""})
	_, err = s.partners.DeleteSigningKey(t.Context(), &gatewayv1.DeleteSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: "2", Scheme: gatewayv1.SigningKey_SCHEME_PAYMENT_STATUS})
	must(t, err)
	rows, err = s.store.SigningKeys(t.Context())
	must(t, err)
	if len(rows) != 1 || rows[0].Key != nil || rows[0].RevokedAt.IsZero() {
		t.Errorf("deleted, on record is %+v", rows)
	}
	if strings.Contains(s.logs.String(), secret) {
		t.Error("the secret was logged")
	}
}
