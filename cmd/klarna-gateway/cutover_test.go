package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// cutOver is a running gateway whose shop goes from Klarna to Kustom at a moment of the simulator's clock.
type cutOver struct {
	t              *testing.T
	klarna, kustom *klarnatest.Server
	rest           string
	orders         gatewayv1.OrderServiceClient
	payments       gatewayv1.PaymentServiceClient
}

func newCutOver(t *testing.T) *cutOver {
	t.Helper()
	forgetConnections(t)
	start := time.Date(2026, 3, 30, 23, 0, 0, 0, time.UTC)
	c := &cutOver{t: t, klarna: klarnatest.New(klarnatest.Config{Now: func() time.Time { return start }, Username: "PK1_a", Password: "p"})}
	c.kustom = klarnatest.New(klarnatest.Config{Now: c.klarna.Now, Username: "PK9_b", Password: "q"})
	klarna, kustom := httptest.NewServer(c.klarna), httptest.NewServer(c.kustom)
	for _, end := range []func(){klarna.Close, kustom.Close, c.klarna.Close, c.kustom.Close} {
		t.Cleanup(end)
	}
	cfg, err := loadConfig(configFile(t, fmt.Sprintf(`
grpc_address: 127.0.0.1:0
rest_address: 127.0.0.1:0
webhook_address: 127.0.0.1:0
admin_address: "off"
public_base_url: https://gateway.merchant.example
data_dir: %s
merchant_accounts:
  - name: shop
    api: regional
    default: true
    region: eu
    base_url: %s
    username: PK1_a
    password: p
    push_secrets: [push-secret-of-the-shop]
    changes:
      - from: 2026-03-31T00:00:00Z
        api: kustom
        base_url: %s
        username: PK9_b
        password: q
        withdrawn: ["POST /ordermanagement/v1/orders/{order_id}/extend-authorization-time"]
`, t.TempDir(), klarna.URL, kustom.URL)), noEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGateway(t.Context(), cfg, parts{now: c.klarna.Now}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- g.run(running) }()
	conn := must[*grpc.ClientConn](t)(grpc.NewClient(g.grpcListener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())))
	c.orders, c.payments = gatewayv1.NewOrderServiceClient(conn), gatewayv1.NewPaymentServiceClient(conn)
	c.rest = "http://" + g.restListener.Addr().String()
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *cutOver) session(country, currency string) (*gatewayv1.CreatePaymentSessionResponse, error) {
	return c.payments.CreatePaymentSession(c.t.Context(), &gatewayv1.CreatePaymentSessionRequest{
		RequestId: uuid.NewString(), PurchaseCountry: country, Locale: "de-DE", OrderAmount: &gatewayv1.Money{AmountMinor: 500, CurrencyCode: currency},
		OrderLines: []*gatewayv1.OrderLine{{Name: "Lampe", Quantity: 1, UnitPriceMinor: 500, TotalAmountMinor: 500}},
	})
}

func (c *cutOver) checkout() string {
	c.t.Helper()
	made := must[*gatewayv1.CreateCheckoutOrderResponse](c.t)(c.orders.CreateCheckoutOrder(c.t.Context(), &gatewayv1.CreateCheckoutOrderRequest{
		RequestId: uuid.NewString(), PurchaseCountry: "DE", Locale: "de-DE", OrderAmount: &gatewayv1.Money{AmountMinor: 500, CurrencyCode: "EUR"},
		OrderLines: []*gatewayv1.OrderLine{{Name: "Lampe", Quantity: 1, UnitPriceMinor: 500, TotalAmountMinor: 500}},
		TermsUrl:   "https://shop.example/terms", CheckoutUrl: "https://shop.example/checkout", ConfirmationUrl: "https://shop.example/thanks",
	}))
	return made.GetCheckoutOrder().GetOrderId()
}

func (c *cutOver) capture(order string) error {
	_, err := c.orders.CaptureOrder(c.t.Context(), &gatewayv1.CaptureOrderRequest{
		RequestId: uuid.NewString(), OrderId: order, Amount: &gatewayv1.Money{AmountMinor: 500, CurrencyCode: "EUR"},
	})
	return err
}

// post sends JSON over REST and returns the reason of the error.
func (c *cutOver) post(path, body string) (httpStatus int, reason, message string) {
	c.t.Helper()
	res := must[*http.Response](c.t)(http.Post(c.rest+path, "application/json", strings.NewReader(body)))
	defer func() { _ = res.Body.Close() }()
	var st struct {
		Message string
		Details []struct{ Reason string }
	}
	if err := json.Unmarshal(must[[]byte](c.t)(io.ReadAll(res.Body)), &st); err != nil || len(st.Details) == 0 {
		c.t.Fatalf("%d: %v", res.StatusCode, err)
	}
	return res.StatusCode, st.Details[0].Reason, st.Message
}

func wantReason(t *testing.T, err error, reason string) {
	t.Helper()
	var info *errdetails.ErrorInfo
	for _, detail := range status.Convert(err).Details() {
		if d, is := detail.(*errdetails.ErrorInfo); is {
			info = d
		}
	}
	if status.Code(err) != codes.FailedPrecondition || info.GetReason() != reason {
		t.Errorf("%v (%s), want %s", err, info.GetReason(), reason)
	}
}

// A shop goes from Klarna to Kustom while the gateway runs: new orders are Kustom's, old ones stay where they are, and
// what Kustom does not offer is refused here.
func TestCutOver_HappensWhileTheGatewayRuns(t *testing.T) {
	t.Parallel()
	c := newCutOver(t)
	old := c.checkout()
	if _, err := c.klarna.CompleteCheckout(klarnatest.CheckoutOrder{OrderID: old}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.session("DE", "EUR"); err != nil {
		t.Fatal(err)
	}
	_, err := c.session("US", "USD") // Klarna would answer with 401
	wantReason(t, err, "MERCHANT_ACCOUNT_OF_OTHER_REGION")

	c.klarna.Advance(time.Hour)
	moved := c.checkout()
	if _, err := c.kustom.CompleteCheckout(klarnatest.CheckoutOrder{OrderID: moved}); err != nil {
		t.Fatal(err)
	}
	for _, order := range []string{old, moved} { // neither was told of by a push
		if err := c.capture(order); err != nil {
			t.Fatal(err)
		}
	}
	if at, _ := c.klarna.Order(old); at.Captured != 500 {
		t.Errorf("the order from before: %+v", at)
	}
	if at, _ := c.kustom.Order(moved); at.Captured != 500 {
		t.Errorf("the order from after: %+v", at)
	}

	_, err = c.session("DE", "EUR")
	wantReason(t, err, "OPERATION_NOT_OFFERED")
	_, err = c.orders.ExtendAuthorization(t.Context(), &gatewayv1.ExtendAuthorizationRequest{RequestId: uuid.NewString(), OrderId: moved})
	wantReason(t, err, "OPERATION_NOT_OFFERED")
	_, reason, message := c.post("/v1/orders/"+moved+":extendAuthorization", `{"requestId":"`+uuid.NewString()+`"}`)
	if reason != "OPERATION_NOT_OFFERED" || !strings.Contains(message, "extendAuthorizationTime (/ordermanagement/v1/orders/{order_id}/extend-authorization-time)") {
		t.Errorf("over REST: %s %s", reason, message)
	}
	if c.klarna.CallCount("createSession") != 1 || c.kustom.CallCount("createSession")+c.kustom.CallCount("extendAuthorization") != 0 {
		t.Error("something that is not offered was sent")
	}
	if c.klarna.CallCount("createCheckoutOrder") != 1 || c.kustom.CallCount("createCheckoutOrder") != 1 {
		t.Error("a checkout order went to the wrong place")
	}
}
