package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// canary is no valid value of any field with a rule, and nothing that stands anywhere by chance.
const canary = "C4n4ry of nobody"

// plant puts the canary into every field of a message that holds personal data and, if wanted, a secret; it returns in
// how many.
func plant(t *testing.T, m protoreflect.Message, secrets bool) (planted int) {
	eachHeld(m, secrets, func(in protoreflect.Message, field protoreflect.FieldDescriptor, _ gatewayv1.PersonalData) {
		planted++
		switch {
		case field.Kind() == protoreflect.BytesKind:
			in.Set(field, protoreflect.ValueOfBytes([]byte(canary)))
		case field.Message() == nil:
			in.Set(field, protoreflect.ValueOfString(canary))
		case field.Message().FullName() == "google.protobuf.Struct":
			in.Clear(field)
			var object protoreflect.Message
			if field.IsList() {
				object = in.Mutable(field).List().AppendMutable().Message()
			} else {
				object = in.Mutable(field).Message()
			}
			must(t, protojson.Unmarshal([]byte(`{"x": "`+canary+`"}`), object.Interface()))
		default:
			planted += plant(t, in.Mutable(field).Message(), secrets)
		}
	})
	return planted
}

// canaries is how often a message holds the canary.
func canaries(t *testing.T, m proto.Message) int {
	text, err := protojson.Marshal(m)
	must(t, err)
	return strings.Count(string(text), canary) + strings.Count(string(text), base64.StdEncoding.EncodeToString([]byte(canary)))
}

func TestPersonalData_IsLeftOutOfEveryResponseAndKeptForThoseWhoMaySeeIt(t *testing.T) {
	t.Parallel()
	responses := 0
	for _, method := range methods() {
		for _, full := range whole(t, method.Output()) {
			if plant(t, full.ProtoReflect(), false) == 0 {
				continue
			}
			responses++
			planted := canaries(t, full)
			shown, hidden := proto.Clone(full), proto.Clone(full)
			if withhold(shown, wishAll) || canaries(t, shown) != planted || planted == 0 {
				t.Errorf("%s: %d of %d are shown to who may see all", method.Name(), canaries(t, shown), planted)
			}
			if !withhold(hidden, wishNothing) || canaries(t, hidden) != 0 {
				t.Errorf("%s shows personal data to everybody: %v", method.Name(), hidden)
			}
		}
	}
	if responses < 10 {
		t.Errorf("only %d responses have personal data", responses)
	}
}

func TestPersonalData_IsNotInWhatIsLogged(t *testing.T) {
	t.Parallel()
	for _, method := range methods() {
		for _, d := range []protoreflect.MessageDescriptor{method.Input(), method.Output()} {
			for _, m := range whole(t, d) {
				if plant(t, m.ProtoReflect(), true) == 0 {
					continue
				}
				var out bytes.Buffer
				log := slog.New(slog.NewJSONHandler(&out, nil))
				log.Info("x", "lazy", redacted{m}, "now", Loggable(m))
				if strings.Contains(out.String(), "C4n4ry") {
					t.Fatalf("%s: %s", d.Name(), out.String())
				}
				if canaries(t, m) == 0 {
					t.Errorf("%s: logging it has changed it", d.Name())
				}
			}
		}
	}
}

func TestPersonalData_IsNotQuotedByErrors(t *testing.T) {
	t.Parallel()
	validator, err := protovalidate.New()
	must(t, err)
	flawed := 0
	for _, method := range methods() {
		for _, m := range whole(t, method.Input()) {
			plant(t, m.ProtoReflect(), true)
			err := toStatus(validate(validator, m))
			if err == nil {
				continue
			}
			flawed++
			st, _ := status.FromError(err)
			if text := protojson.Format(st.Proto()); strings.Contains(text, "C4n4ry") {
				t.Errorf("%s quotes: %s", method.Name(), text)
			}
		}
	}
	if flawed < 20 {
		t.Errorf("only %d requests were refused", flawed)
	}
	s := start(t, nil)
	for _, body := range []string{
		`{"customer": {"dateOfBirth": 19840517}}`, `{"customer": {"nationalIdentificationNumber": 19840517}}`,
		`{"billingAddress": {"givenName": ["19840517"]}}`, `{"billingAddress": "19840517"}`, `{"billingAddress": {"19840517": 1}}`,
		`{"customer": 19840517}`, `{"billingAddress": {"givenName": "\ud800 19840517"}}`,
		`{"purchaseCountry": 19840517`, `19840517`, `{"billingAddress": {"givenName": 19840517 "x"}}`,
	} {
		res := s.do(http.MethodPost, "/v1/payments/sessions", strings.NewReader(body), nil)
		answer, err := io.ReadAll(res.Body)
		must(t, err)
		if res.StatusCode != http.StatusBadRequest || strings.Contains(string(answer), "19840517") {
			t.Errorf("%s: %d %s", body, res.StatusCode, answer)
		}
	}
}

func TestPersonalData_OfAnOrderIsForThoseWithTheScope(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) {
		c.Callers = access.Callers{Tokens: []access.Token{
			{Name: "care", SHA256: sha256.Sum256([]byte("care-token")), DebtorData: true},
			{Name: "billing", SHA256: sha256.Sum256([]byte("billing-token"))},
		}}
	})
	ctx := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	}
	session, err := s.payments.CreatePaymentSession(ctx("billing-token"), with(sessionRequest("SO-1"), func(r *gatewayv1.CreatePaymentSessionRequest) {
		r.OrderPolicy = gatewayv1.OrderPolicy_ORDER_POLICY_AUTOMATIC
		r.BillingAddress = &gatewayv1.Address{GivenName: "Erika", FamilyName: "Beispiel", Email: "erika@beispiel.example", StreetAddress: "Heidestr. 17", PostalCode: "50667", City: "Köln", Country: "DE"}
	}))
	must(t, err)
	w := s.watchPaymentsIn(ctx("billing-token"), &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest), SessionIds: []string{session.GetSession().GetSessionId()}})
	_, err = s.klarna.Authorize(session.GetSession().GetSessionId())
	must(t, err)
	order := ""
	for order == "" {
		order = w.event().payment().GetOrderId()
	}
	for token, sees := range map[string]bool{"care-token": true, "billing-token": false} {
		var header metadata.MD
		read, err := s.orders.GetOrder(ctx(token), &gatewayv1.GetOrderRequest{OrderId: order}, grpc.Header(&header))
		must(t, err)
		address := read.GetOrder().GetBillingAddress()
		if said := len(header.Get(withheldKey)) == 1; (address.GetFamilyName() != "") != sees || said == sees {
			t.Errorf("%s: %v, withheld %v", token, address, said)
		}
		if address.GetCountry() != "DE" {
			t.Errorf("%s: what is not personal is missing: %v", token, read)
		}
		code, body, _ := s.overREST(&gatewayv1.GetOrderRequest{OrderId: order}, bearer(token))
		if code != http.StatusOK || strings.Contains(string(body), "Beispiel") != sees {
			t.Errorf("REST, %s: %d %s", token, code, body)
		}
	}
}
