package server

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// effects is how often Klarna may have done what one request asked for, when an answer was lost and it was repeated.
type effects int

const (
	exactly effects = iota // Klarna has a key, a token or a way to look: exactly once
	later                  // the same, and the gateway answers before Klarna does
	alike                  // no key, but the second time changes nothing more
	twice                  // no key and no way to look: the customer may be written to twice
	orphan                 // no key and no way to look: another one may exist, which the answer and the record say
)

// write is a write of this API, with a request that Klarna takes.
type write struct {
	fault   string // klarnatest's name of the operation
	effects effects
	req     func(s *stack) proto.Message // after everything it needs
}

// writes are all writes of this API by the name of their RPC.
func writes() map[string]write {
	all := map[string]write{
		"OnboardPartner": {"onboard", exactly, func(s *stack) proto.Message { return onboardRequest(s.t, "mrc-1") }},
		"UpdatePartner": {"updateAccount", exactly, func(s *stack) proto.Message {
			return &gatewayv1.UpdatePartnerRequest{RequestId: uuid.NewString(), PartnerAccountId: s.managed("mrc-1").id, PartnerAccountName: text("Nordlicht")}
		}},
		"UpdateBrand": {"updateBrand", exactly, func(s *stack) proto.Message {
			p := s.managed("mrc-1")
			return &gatewayv1.UpdateBrandRequest{RequestId: uuid.NewString(), PartnerAccountId: p.id, BrandId: p.brand, DisplayName: text("Nordlicht")}
		}},

		"CreateProgramEnablement": {"createEnablement", exactly, func(s *stack) proto.Message { return enablementRequest(s.managed("mrc-1").id) }},
		"DeleteProgramEnablement": {"deleteEnablement", exactly, func(s *stack) proto.Message {
			p := s.managed("mrc-1")
			made, err := s.partners.CreateProgramEnablement(s.t.Context(), enablementRequest(p.id))
			must(s.t, err)
			return &gatewayv1.DeleteProgramEnablementRequest{
				RequestId: uuid.NewString(), PartnerAccountId: p.id, ProgramEnablementId: made.GetProgramEnablement().GetProgramEnablementId(),
			}
		}},

		"CreatePaymentSession": {"createSession", orphan, func(*stack) proto.Message { return sessionRequest("SO-1") }},
		"UpdatePaymentSession": {"updateSession", alike, func(s *stack) proto.Message {
			made, err := s.payments.CreatePaymentSession(s.t.Context(), sessionRequest("SO-1"))
			must(s.t, err)
			return &gatewayv1.UpdatePaymentSessionRequest{
				RequestId: uuid.NewString(), SessionId: made.GetSession().GetSessionId(), PurchaseCountry: "DE", OrderAmount: eur(5000), OrderLines: lamp(5000),
			}
		}},
		"CancelAuthorization": {"cancelAuthorization", exactly, func(s *stack) proto.Message {
			session := s.authorized("buy")
			must(s.t, s.klarna.Idle(s.t.Context())) // Klarna has called back
			return &gatewayv1.CancelAuthorizationRequest{RequestId: uuid.NewString(), SessionId: session}
		}},
		"CreateCustomerToken": {"createCustomerToken", exactly, func(s *stack) proto.Message { return tokenRequest(s.authorized("tokenize")) }},
		"ChargeCustomerToken": {"chargeCustomerToken", exactly, func(s *stack) proto.Message { return chargeRequest(s.customerToken()) }},
		"CancelCustomerToken": {"cancelCustomerToken", alike, func(s *stack) proto.Message {
			return &gatewayv1.CancelCustomerTokenRequest{RequestId: uuid.NewString(), CustomerToken: s.customerToken()}
		}},
		"CreateHostedPage": {"createHostedPage", orphan, func(s *stack) proto.Message {
			made, err := s.payments.CreatePaymentSession(s.t.Context(), sessionRequest("SO-1"))
			must(s.t, err)
			return newPage(made.GetSession().GetSessionId())
		}},
		"DisableHostedPage": {"disableHostedPage", exactly, func(s *stack) proto.Message {
			_, page := s.paged(gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER, nil)
			return &gatewayv1.DisableHostedPageRequest{RequestId: uuid.NewString(), HostedPageId: page.GetHostedPageId()}
		}},
		"DistributeHostedPage": {"distributeHostedPage", twice, func(s *stack) proto.Message {
			_, page := s.paged(gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER, nil)
			return &gatewayv1.DistributeHostedPageRequest{RequestId: uuid.NewString(), HostedPageId: page.GetHostedPageId(), Email: "erika.beispiel@example.com"}
		}},

		"CreateOrder": {"placeOrder", exactly, func(s *stack) proto.Message {
			return &gatewayv1.CreateOrderRequest{RequestId: uuid.NewString(), SessionId: s.authorized("buy")}
		}},
		"AcknowledgeOrder": {"acknowledge", later, func(s *stack) proto.Message {
			return &gatewayv1.AcknowledgeOrderRequest{RequestId: uuid.NewString(), OrderId: s.order("SO-1")}
		}},
		"CancelOrder": {"cancelOrder", exactly, func(s *stack) proto.Message {
			return &gatewayv1.CancelOrderRequest{RequestId: uuid.NewString(), OrderId: s.order("SO-1")}
		}},
		"CaptureOrder": {"capture", exactly, func(s *stack) proto.Message {
			order, _ := s.capturedOrder(s.t)
			return &gatewayv1.CaptureOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(1000), Reference: "C-2"}
		}},
		"RefundOrder": {"refund", exactly, func(s *stack) proto.Message {
			order, _ := s.capturedOrder(s.t)
			return &gatewayv1.RefundOrderRequest{RequestId: uuid.NewString(), OrderId: order, Amount: eur(1000), Reference: "R-1"}
		}},
		"CreateCheckoutOrder": {"createCheckoutOrder", orphan, func(*stack) proto.Message { return checkoutRequest("SO-9") }},
		"UpdateCheckoutOrder": {"updateCheckoutOrder", alike, func(s *stack) proto.Message { return checkoutUpdate(s.checkedOut("SO-9").GetOrderId()) }},
		"AbortCheckoutOrder": {"abortCheckoutOrder", exactly, func(s *stack) proto.Message {
			return &gatewayv1.AbortCheckoutOrderRequest{RequestId: uuid.NewString(), OrderId: s.checkedOut("SO-9").GetOrderId()}
		}},
	}
	for name, w := range networkWrites {
		all[name] = w
	}
	for name, c := range changes {
		all[name] = write{c.fault, exactly, func(s *stack) proto.Message { return c.req(s.capturedOrder(s.t)) }}
	}
	for name, w := range partWrites {
		all[name] = write{w.fault, exactly, func(s *stack) proto.Message { return w.req(s.ready(w)) }}
	}
	maps.Copy(all, setUpWrites)
	return all
}

// answeredAnew are parts of a response that show how things stand now, also when it is repeated.
var answeredAnew = protocmp.IgnoreMessages(&gatewayv1.Payment{}, &gatewayv1.Partner{})

// effectsOf are the calls that did something: taken, and not an earlier answer given again.
func (s *stack) effectsOf(operation string) (calls []klarnatest.Call) {
	for _, c := range s.klarna.Calls() {
		if c.Operation == operation && c.Status/100 == 2 && !c.Replayed {
			calls = append(calls, c)
		}
	}
	return calls
}

// TestWrites_HaveTheirEffectThoughTheAnswerIsLost loses every answer to each write in turn, until the gateway says that it
// cannot know. The caller repeats the same request and gets the right answer; Klarna has done it as often as it had to.
func TestWrites_HaveTheirEffectThoughTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	for name, w := range writes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			req := w.req(s)
			before := len(s.effectsOf(w.fault))
			must(t, s.klarna.Fail(klarnatest.Fault{Operation: w.fault, LoseAnswer: true, Times: 1 + klarna.DefaultRetries}))
			_, st := s.overGRPC(req)
			if told := st.Code() == codes.Unavailable && reasonOf(st.Err()) == "OUTCOME_UNKNOWN"; !told && !(st.Code() == codes.OK && w.effects == later) {
				t.Fatalf("with a lost answer: %v", st)
			}
			s.klarna.Heal()
			first, st := s.overGRPC(req)
			must(t, st.Err())
			again, st := s.overGRPC(req)
			must(t, st.Err())
			if diff := cmp.Diff(part(first), part(again), protocmp.Transform(), answeredAnew); diff != "" {
				t.Errorf("a repeat of what is done is answered otherwise: %s", diff)
			}
			done := len(s.effectsOf(w.fault)) - before
			if want := map[effects]int{exactly: 1, later: 1, alike: 2, twice: 2, orphan: 2}[w.effects]; done != want {
				t.Errorf("Klarna has done it %d times, want %d: %+v", done, want, s.effectsOf(w.fault))
			}
			answer, tells := first.(interface{ GetOrphanPossible() bool })
			if tells != (w.effects == orphan) || tells && !answer.GetOrphanPossible() {
				t.Errorf("answered %v, of an orphan: %t", first, w.effects == orphan)
			}
		})
	}
}

// TestWrites_AreTakenAtOnce makes the writes of which no other test has an answer that arrives.
func TestWrites_AreTakenAtOnce(t *testing.T) {
	t.Parallel()
	all := writes()
	for _, name := range []string{
		"CancelAuthorization", "DisableHostedPage", "AbortCheckoutOrder", "CancelPaymentRequest", "CancelPaymentToken", "RefundTransaction",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			req := all[name].req(s)
			if _, st := s.overGRPC(req); st.Code() != codes.OK || len(s.effectsOf(all[name].fault)) != 1 {
				t.Errorf("%v, Klarna has done %+v", st, s.effectsOf(all[name].fault))
			}
		})
	}
}

// triedElsewhere are writes that the table cannot hold, with the test that tries them.
var triedElsewhere = map[string]string{
	"SetUpWebhooks": "TestSetUpWebhooks_HasOneEffectThoughAnyAnswerIsLost",
	"EnforceMtls":   "TestMTLS_FromTheFirstCertificateToItsEnforcement",
}

// TestWrites_AreAllTried finds the writes by the request_id of their requests. One that does nothing at Klarna has no
// answer of Klarna's to lose.
func TestWrites_AreAllTried(t *testing.T) {
	t.Parallel()
	all := writes()
	reached, _ := covered(t)
	for _, m := range methods() {
		name := string(m.Name())
		atKlarna := slices.ContainsFunc(reached, func(c coverage) bool { return strings.HasSuffix(c.rpc, "."+name) })
		if m.Input().Fields().ByName("request_id") == nil || !atKlarna {
			continue
		}
		if _, tried := all[name]; !tried && triedElsewhere[name] == "" {
			t.Errorf("%s is a write, and no test loses its answer", name)
		}
	}
}

// TestWrites_AnswerWithThePaymentAsTheirCommitLeftIt compares the payment in each answer with the log's event at its
// position, and that with the newest event that a call has caused.
func TestWrites_AnswerWithThePaymentAsTheirCommitLeftIt(t *testing.T) {
	t.Parallel()
	for name, w := range writes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			res, st := s.overGRPC(w.req(s))
			must(t, st.Err())
			answer, has := res.(interface{ GetPayment() *gatewayv1.Payment })
			if !has || answer.GetPayment() == nil {
				return
			}
			payment := answer.GetPayment()
			log, err := s.payments.ListPaymentEvents(t.Context(), &gatewayv1.ListPaymentEventsRequest{
				MerchantAccount: payment.GetMerchantAccount(), PaymentId: payment.GetPaymentId(), PageSize: 100,
			})
			must(t, err)
			for _, ev := range log.GetEvents() {
				switch diff := cmp.Diff(ev.GetPayment(), payment, protocmp.Transform()); {
				case ev.GetPosition() == payment.GetPosition() && diff != "":
					t.Errorf("the answer differs from the log: %s", diff)
				case ev.GetPosition() > payment.GetPosition() && ev.GetCause() == gatewayv1.EventCause_EVENT_CAUSE_CALL:
					t.Errorf("answered with position %d, though the call has caused %s at %d", payment.GetPosition(), ev.GetKind(), ev.GetPosition())
				}
			}
		})
	}
}
