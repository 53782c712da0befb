package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/store"
)

const configuredKeyID = "krn:signing-key:1"

func setUpRequest() *gatewayv1.SetUpWebhooksRequest {
	return &gatewayv1.SetUpWebhooksRequest{RequestId: uuid.NewString()}
}

func hookRequest(keyID string) *gatewayv1.CreateWebhookRequest {
	return &gatewayv1.CreateWebhookRequest{
		RequestId: uuid.NewString(), Url: "https://gw.nordlicht.example/klarna/network", EventTypes: []string{"partner.*"}, SigningKeyId: keyID,
	}
}

// newHook subscribes an address that is not ours.
func (s *stack) newHook() *gatewayv1.Webhook {
	s.t.Helper()
	made, err := s.partners.CreateWebhook(s.t.Context(), hookRequest(s.newKey().GetSigningKeyId()))
	must(s.t, err)
	return made.GetWebhook()
}

func TestSetUpWebhooks_ProvesThatASignedEventArrives(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	req := setUpRequest()
	res, err := s.partners.SetUpWebhooks(t.Context(), req)
	must(t, err)
	key, hook := res.GetSigningKey(), res.GetWebhook()
	if key.GetState() != gatewayv1.SigningKey_STATE_ACTIVE || key.GetOrigin() != gatewayv1.SigningKey_ORIGIN_CREATED || hook.GetSigningKeyId() != key.GetSigningKeyId() ||
		hook.GetStatus() != gatewayv1.Webhook_STATUS_ENABLED || res.GetCreated() {
		t.Errorf("answered %v", res)
	}
	if retiring := res.GetRetiringKeys(); len(retiring) != 1 || retiring[0].GetSigningKeyId() != configuredKeyID ||
		!retiring[0].GetRetireTime().AsTime().Equal(s.klarna.Now().Truncate(time.Microsecond).Add(24*time.Hour)) && retiring[0].GetRetireTime().AsTime().Before(s.klarna.Now().Add(23*time.Hour)) {
		t.Errorf("retiring %v", retiring)
	}
	probe, err := s.store.Probe(t.Context(), acquirer, hook.GetWebhookId(), res.GetProof().GetEventType())
	must(t, err)
	if res.GetProof().GetEventId() == "" || probe.EventID != res.GetProof().GetEventId() || probe.SigningKey != key.GetSigningKeyId() || res.GetProof().GetReceiveTime() == nil {
		t.Errorf("proof %v, on record %+v", res.GetProof(), probe)
	}
	calls := len(s.klarna.Calls())
	again, err := s.partners.SetUpWebhooks(t.Context(), req)
	must(t, err)
	if !proto.Equal(again.GetProof(), res.GetProof()) || len(s.klarna.Calls()) != calls {
		t.Errorf("a repeat answered %v and asked Klarna %d times more", again, len(s.klarna.Calls())-calls)
	}
	if n := len(s.events(store.Accounts)); n != 0 {
		t.Errorf("%d events of accounts: the sample is in the log", n)
	}
	p := s.onboarded("mrc-1") // what is real goes on, under the new key
	must(t, s.klarna.Operational(p.id))
	must(t, s.klarna.Idle(t.Context()))
	if used := s.signingKeys()[key.GetSigningKeyId()]; used.GetLastUseTime() == nil || used.GetAtKlarna() != gatewayv1.SigningKey_PRESENCE_PRESENT {
		t.Errorf("the new key is %v", used)
	}
	for _, line := range []string{"network-key", "sim-"} {
		if strings.Contains(s.logs.String(), line) {
			t.Errorf("a secret was logged: %s", s.logs.String())
		}
	}
}

// events are all of a stream.
func (s *stack) events(stream store.Stream) []store.Event {
	s.t.Helper()
	all, err := s.store.Events(s.t.Context(), store.Query{Stream: stream, Limit: 1000})
	must(s.t, err)
	return all
}

func TestSetUpWebhooks_MakesAWebhookWhereThereIsNone(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	all, err := s.partners.ListWebhooks(t.Context(), &gatewayv1.ListWebhooksRequest{})
	must(t, err)
	_, err = s.partners.DeleteWebhook(t.Context(), &gatewayv1.DeleteWebhookRequest{RequestId: uuid.NewString(), WebhookId: all.GetWebhooks()[0].GetWebhookId()})
	must(t, err)
	req := setUpRequest()
	req.EventTypes = []string{"partner.account.*", "payment.request.state-change.expired"}
	res, err := s.partners.SetUpWebhooks(t.Context(), req)
	must(t, err)
	if !res.GetCreated() || !slices.Equal(res.GetWebhook().GetEventTypes(), req.GetEventTypes()) || res.GetWebhook().GetEventVersion() != "v2" ||
		len(res.GetRetiringKeys()) != 0 || res.GetProof().GetEventType() != klarna.EventAccountChangeCreated {
		t.Errorf("answered %v", res)
	}
	read, err := s.partners.GetWebhook(t.Context(), &gatewayv1.GetWebhookRequest{WebhookId: res.GetWebhook().GetWebhookId()})
	must(t, err)
	if !proto.Equal(read.GetWebhook(), res.GetWebhook()) {
		t.Errorf("Klarna has %v, answered %v", read.GetWebhook(), res.GetWebhook())
	}
}

func TestSetUpWebhooks_SaysWhatIsNotProvenAndGoesOnFromThere(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.klarna.DropNext(1) // the sample is lost on the way
	req := setUpRequest()
	req.Wait = durationpb.New(300 * time.Millisecond)
	_, st := s.overGRPC(req)
	if st.Code() != codes.FailedPrecondition || reasonOf(st.Err()) != "WEBHOOK_NOT_PROVEN" || !strings.Contains(st.Message(), "did not come to https://127.0.0.1:") {
		t.Fatalf("without the sample: %v", st)
	}
	made := s.klarna.CallCount("createSigningKey")
	res, err := s.partners.SetUpWebhooks(t.Context(), req)
	must(t, err)
	if s.klarna.CallCount("createSigningKey") != made || s.klarna.CallCount("updateWebhook") != 1 || s.klarna.CallCount("simulateWebhook") != 2 {
		t.Errorf("asked for %d keys, %d changes, %d samples", s.klarna.CallCount("createSigningKey"), s.klarna.CallCount("updateWebhook"), s.klarna.CallCount("simulateWebhook"))
	}
	if res.GetProof().GetEventId() == "" || len(res.GetRetiringKeys()) != 1 {
		t.Errorf("answered %v", res)
	}
}

func TestSetUpWebhooks_ASampleUnderAnotherKeyProvesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.klarna.Hold()
	req := setUpRequest()
	req.Wait = durationpb.New(200 * time.Millisecond)
	if _, st := s.overGRPC(req); reasonOf(st.Err()) != "WEBHOOK_NOT_PROVEN" {
		t.Fatalf("held back: %v", st)
	}
	// Somebody brings the webhook back to the old key; the next sample is signed with that one.
	hook, err := s.partners.ListWebhooks(t.Context(), &gatewayv1.ListWebhooksRequest{})
	must(t, err)
	must(t, s.store.Do(t.Context(), func(tx store.Tx) error {
		probe, err := tx.Probe(t.Context(), acquirer, hook.GetWebhooks()[0].GetWebhookId(), klarna.EventAccountChangeCreated)
		probe.ReceivedAt, probe.EventID, probe.SigningKey = s.klarna.Now(), "other", configuredKeyID
		return firstErr(err, tx.PutProbe(t.Context(), probe))
	}))
	s.klarna.DropNext(1)
	s.klarna.Release()
	must(t, s.klarna.Idle(t.Context()))
	if _, st := s.overGRPC(req); reasonOf(st.Err()) != "WEBHOOK_NOT_PROVEN" {
		t.Errorf("with a sample under another key: %v", st)
	}
	if _, err := s.partners.SetUpWebhooks(t.Context(), req); err != nil {
		t.Errorf("with its own: %v", err)
	}
}

func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestSetUpWebhooks_HasOneEffectThoughAnyAnswerIsLost loses the answer to each of its calls in turn.
func TestSetUpWebhooks_HasOneEffectThoughAnyAnswerIsLost(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"createSigningKey", "updateWebhook", "createWebhook", "simulateWebhook"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			if call == "createWebhook" {
				all, err := s.partners.ListWebhooks(t.Context(), &gatewayv1.ListWebhooksRequest{})
				must(t, err)
				_, err = s.partners.DeleteWebhook(t.Context(), &gatewayv1.DeleteWebhookRequest{RequestId: uuid.NewString(), WebhookId: all.GetWebhooks()[0].GetWebhookId()})
				must(t, err)
			}
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: call, LoseAnswer: true, Times: 1 + klarna.DefaultRetries}))
			req := setUpRequest()
			if _, st := s.overGRPC(req); st.Code() != codes.Unavailable {
				t.Fatalf("with a lost answer: %v", st)
			}
			s.klarna.Heal()
			res, err := s.partners.SetUpWebhooks(t.Context(), req)
			must(t, err)
			keys := s.signingKeys()
			if len(keys) != 2 || keys[res.GetSigningKey().GetSigningKeyId()].GetState() != gatewayv1.SigningKey_STATE_ACTIVE {
				t.Errorf("the keys are %v", keys)
			}
			hooks, err := s.partners.ListWebhooks(t.Context(), &gatewayv1.ListWebhooksRequest{})
			must(t, err)
			if len(hooks.GetWebhooks()) != 1 || hooks.GetWebhooks()[0].GetSigningKeyId() != res.GetSigningKey().GetSigningKeyId() || res.GetCreated() != (call == "createWebhook") {
				t.Errorf("the webhooks are %v, answered %v", hooks.GetWebhooks(), res)
			}
		})
	}
}

func TestSetUpWebhooks_CalledAgainChangesTheKeyAndTheOldOneRetires(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	first, err := s.partners.SetUpWebhooks(t.Context(), setUpRequest())
	must(t, err)
	req := setUpRequest()
	req.Overlap = durationpb.New(48 * time.Hour)
	second, err := s.partners.SetUpWebhooks(t.Context(), req)
	must(t, err)
	old := first.GetSigningKey().GetSigningKeyId()
	if second.GetWebhook().GetWebhookId() != first.GetWebhook().GetWebhookId() || second.GetSigningKey().GetSigningKeyId() == old ||
		len(second.GetRetiringKeys()) != 1 || second.GetRetiringKeys()[0].GetSigningKeyId() != old ||
		second.GetRetiringKeys()[0].GetState() != gatewayv1.SigningKey_STATE_RETIRING {
		t.Fatalf("answered %v", second)
	}
	s.klarna.Advance(49 * time.Hour)
	if got := s.signingKeys()[old]; got.GetState() != gatewayv1.SigningKey_STATE_RETIRED || got.GetUsedAfterRetirement() {
		t.Errorf("49 h later the old key is %v", got)
	}
	if _, st := s.overGRPC(&gatewayv1.DeleteSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: second.GetSigningKey().GetSigningKeyId()}); reasonOf(st.Err()) != "SIGNING_KEY_IN_USE" {
		t.Errorf("deleting the key in use: %v", st)
	}
	_, err = s.partners.DeleteSigningKey(t.Context(), &gatewayv1.DeleteSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: old})
	must(t, err)
	if got := s.signingKeys()[old]; got.GetState() != gatewayv1.SigningKey_STATE_REVOKED || got.GetAtKlarna() != gatewayv1.SigningKey_PRESENCE_ABSENT || got.GetRevokeTime() == nil {
		t.Errorf("deleted, the old key is %v", got)
	}
}

func TestWebhooks_AreChangedOverREST(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	hook := s.newHook()
	for _, req := range []proto.Message{
		&gatewayv1.UpdateWebhookRequest{RequestId: uuid.NewString(), WebhookId: hook.GetWebhookId(), EventTypes: []string{"partner.*", "payment.*"}},
		&gatewayv1.GetWebhookRequest{WebhookId: hook.GetWebhookId()}, &gatewayv1.ListWebhooksRequest{}, &gatewayv1.ListSigningKeysRequest{AskKlarna: true},
		&gatewayv1.GetSigningKeyRequest{SigningKeyId: hook.GetSigningKeyId()}, setUpRequest(),
		&gatewayv1.SimulateWebhookRequest{RequestId: uuid.NewString(), WebhookId: hook.GetWebhookId(), EventType: "payment.request.updated"},
		&gatewayv1.DeleteWebhookRequest{RequestId: uuid.NewString(), WebhookId: hook.GetWebhookId()},
		&gatewayv1.RetireSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: hook.GetSigningKeyId(), RetireTime: timestamppb.Now()},
		&gatewayv1.DeleteSigningKeyRequest{RequestId: uuid.NewString(), SigningKeyId: hook.GetSigningKeyId()},
		importRequest(gatewayv1.SigningKey_SCHEME_NETWORK, "krn:imported", "imported-secret"),
	} {
		if status, body, _ := s.overREST(req, nil); status != http.StatusOK {
			t.Errorf("%T: status %d: %s", req, status, body)
		}
	}
}
