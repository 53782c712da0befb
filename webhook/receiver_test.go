package webhook

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

func TestReceiver_AcknowledgesNothingItCannotKeep(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.secret(nil)
	broken := []struct {
		door    Door
		status  int // once it works again
		path    string
		body    string
		headers []string
	}{
		{DoorPaymentStatus, http.StatusOK, statusPath, vectorStatus, []string{"Payload-Signature", vectorStatusSignature}},
		{DoorPaymentStatus, http.StatusOK, statusPath, "not json", signed("not json")},
		{DoorNetwork, http.StatusOK, networkPath, vectorNetwork, networkSigned(vectorNetwork)},
		{DoorAuthorization, http.StatusNoContent, callbackPath, callback, nil},
		{DoorPush, http.StatusOK, pushPath + order, "", nil},
	}
	g.broken.Store(true)
	for _, c := range broken {
		if status, answer := g.post(c.path, c.body, c.headers...); status != http.StatusServiceUnavailable || answer != "" {
			t.Errorf("%s: %d %q while nothing can be kept", c.door, status, answer)
		}
	}
	g.untouched()
	g.broken.Store(false)
	for _, c := range broken {
		g.want(c.status, c.path, c.body, c.headers...)
	}
	if payments, accounts := len(g.events(store.Payments)), len(g.events(store.Accounts)); payments != 2 || accounts != 1 {
		t.Errorf("%d payment events and %d account events after Klarna sent them again", payments, accounts)
	}
	if n := g.counted(DoorPaymentStatus, Failed); n != 2 {
		t.Errorf("%d counted as failed, want 2", n)
	}
	if !strings.Contains(g.logged(), "disk full") {
		t.Error("the log does not say why")
	}
}

func TestReceiver_AcceptsBodiesUpToItsLimitOnly(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	large := strings.Repeat(" ", 2<<20)
	for _, path := range []string{statusPath, networkPath, callbackPath, pushPath + order} {
		g.want(http.StatusRequestEntityTooLarge, path, large, signed(large)...)
	}
	g.untouched()
	full := paymentStatus("n1", "UNPAID", 0)
	full += strings.Repeat(" ", 1<<20-len(full))
	g.status(http.StatusOK, full)
	g.status(http.StatusRequestEntityTooLarge, full+" ")
}

func TestReceiver_CutsOffABodyThatTricklesIn(t *testing.T) {
	t.Parallel()
	g := start(t, func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil { // for a test that fails
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100\r\n\r\n{", statusPath); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("answered %d, want 400", res.StatusCode)
	}
	g.untouched()
}

func TestReceiver_KnowsItsPathsAndNoOthers(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	for _, path := range []string{"/", "/klarna", "/klarna/payment-status", "/klarna/network/x", "/klarna/authorization", pushPath, "/healthz"} {
		g.want(http.StatusNotFound, path, "")
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodHead} {
		for _, path := range []string{statusPath, networkPath, callbackPath, pushPath + order} {
			if status, _ := g.send(method, path, ""); status != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d, want 405", method, path, status)
			}
		}
	}
	g.untouched()
}

func TestReceiver_CountsEveryDeliveryOnce(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.status(http.StatusOK, paymentStatus("n2", "PAID", 2))
	g.status(http.StatusOK, paymentStatus("n1", "UNPAID", 1)) // superseded, yet stored
	g.status(http.StatusOK, paymentStatus("n1", "UNPAID", 1))
	g.status(http.StatusOK, paymentStatus("n1", "CLOSED", 1))
	g.status(http.StatusOK, "not json")
	g.want(http.StatusBadRequest, statusPath, vectorStatus)
	g.want(http.StatusRequestEntityTooLarge, statusPath, strings.Repeat(" ", 2<<20))
	g.broken.Store(true)
	g.status(http.StatusServiceUnavailable, paymentStatus("n3", "PAID", 3))
	g.broken.Store(false)

	want := map[Outcome]int{Stored: 2, Duplicate: 1, Quarantined: 2, Rejected: 2, Failed: 1}
	for outcome, n := range want {
		if got := g.counted(DoorPaymentStatus, outcome); got != n {
			t.Errorf("%d counted as %s, want %d", got, outcome, n)
		}
	}
	if n := len(g.events(store.Payments)); n != g.counted(DoorPaymentStatus, Stored) {
		t.Errorf("%d events, %d counted as stored", n, g.counted(DoorPaymentStatus, Stored))
	}
	if n := len(g.quarantined()); n != g.counted(DoorPaymentStatus, Quarantined) {
		t.Errorf("%d quarantined, %d counted as such", n, g.counted(DoorPaymentStatus, Quarantined))
	}
}

func TestReceiver_LogsNeitherSecretsNorContents(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	paid := paymentStatus("n1", "PAID", 0)
	g.status(http.StatusOK, paid)
	g.status(http.StatusOK, strings.Replace(paid, "PAID", "CLOSED", 1))
	g.status(http.StatusOK, strings.Replace(paid, `"order_amount":12995`, `"order_amount":12995.5`, 1))
	g.want(http.StatusBadRequest, statusPath, paid, "Payload-Signature", vectorStatusSignature)
	g.want(http.StatusNotFound, callbackPath, callback)
	g.want(http.StatusNotFound, pushPath+"x", "")
	g.secret(func(s *store.Secret) { s.Key = "another" })
	g.want(http.StatusNotFound, callbackPath, callback)
	g.broken.Store(true)
	g.want(http.StatusServiceUnavailable, pushPath+order, "")
	logged := g.logged()
	if n := strings.Count(logged, `"delivery rejected"`); n != 4 {
		t.Errorf("%d lines about rejections, want 4:\n%s", n, logged)
	}
	for _, hidden := range []string{statusKey, networkKey, pushText, callbackText, token, "9375f3a0", "DE0212", "Beispiel", "12995"} {
		if strings.Contains(logged, hidden) {
			t.Errorf("the log holds %q:\n%s", hidden, logged)
		}
	}
}

func TestReceiver_IgnoresTraceContextThatIsNone(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	for i, trace := range []string{"", "x", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"} {
		body := paymentStatus(fmt.Sprint(i), "UNPAID", i)
		g.want(http.StatusOK, statusPath, body, append(signed(body), "Traceparent", trace)...)
	}
	for _, ev := range g.events(store.Payments) {
		if ev.TraceParent != "" {
			t.Errorf("kept %q", ev.TraceParent)
		}
	}
}

func TestNew_NamesEveryFlaw(t *testing.T) {
	t.Parallel()
	_, err := New(Config{
		MaxBody: -1, Timeout: -1,
		Accounts: map[string]Account{
			"":  {},
			"a": {PaymentStatusKeys: map[string]klarna.Secret{"": "key", "1": ""}, PushSecrets: []klarna.Secret{"short", "long enough to be kept"}},
			"b": {PushSecrets: []klarna.Secret{"long enough to be kept"}},
		},
		NetworkKeys: map[string]NetworkKey{"": {MerchantAccount: "a", Key: "key"}, "k": {MerchantAccount: "c", Key: "key"}},
	})
	if err == nil {
		t.Fatal("taken")
	}
	for _, flaw := range []string{
		"a journal is needed", "max body is negative", "timeout is negative", "a merchant account has no name",
		`merchant account "a": payment status key ""`, `merchant account "a": payment status key "1"`,
		`merchant account "a": push secret 1 is shorter than 16 characters`,
		`merchant account "b": push secret 1 is in use by "a" already`,
		`network key "": id or key is empty`, `network key "k": merchant account "c" is not configured`,
	} {
		if !strings.Contains(err.Error(), flaw) {
			t.Errorf("%q is not named in:\n%v", flaw, err)
		}
	}
	if strings.Contains(err.Error(), "long enough") || errors.Unwrap(err) == nil {
		t.Errorf("a secret is named, or the flaws cannot be unwrapped: %v", err)
	}
}
