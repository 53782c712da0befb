package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
)

// guarded is a gateway in this process, behind TLS of the test's authority on all of its listeners.
func guarded(t *testing.T, change func(*config)) (g *gatewayProcess, stop func() error) {
	t.Helper()
	any := "127.0.0.1:0"
	cfg := config{
		GRPCAddress: any, RESTAddress: any, WebhookAddress: any, DataDir: t.TempDir(), ShutdownGrace: 5 * time.Second,
		MerchantAccounts: []accountConfig{{Name: "shop", API: "regional", Default: true, BaseURL: "http://127.0.0.1:1", Username: "u", Password: secret{klarna.Secret("p")}}},
	}
	cfg.AdminAddress = any
	change(&cfg)
	cfg.defaults()
	g, err := newGateway(t.Context(), cfg, parts{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.run(ctx) }()
	stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return g, stop
}

// serial is the serial number of the certificate that a listener shows now.
func serial(t *testing.T, address string, client *tls.Config) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", address, client)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestListeners_TakeNewCertificatesWhileTheyServe(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	files := map[string]tlsFiles{}
	for _, name := range []string{"grpc", "rest", "webhook", "admin"} {
		files[name], _ = a.issue(name, "")
	}
	g, _ := guarded(t, func(c *config) {
		c.GRPCTLS, c.RESTTLS, c.WebhookTLS, c.AdminTLS = files["grpc"], files["rest"], files["webhook"], files["admin"]
	})
	client := a.client(tlsFiles{})
	client.NextProtos = []string{"h2", "http/1.1"}
	seen := map[int64]string{}
	for name, address := range map[string]string{
		"grpc": g.grpcListener.Addr().String(), "rest": g.restListener.Addr().String(), "webhook": g.hookListener.Addr().String(), "admin": g.adminListener.Addr().String(),
	} {
		before := serial(t, address, client)
		if other := seen[before]; other != "" {
			t.Errorf("%s has the certificate of %s", name, other)
		}
		seen[before] = name
		if err := os.WriteFile(files[name].KeyFile, []byte("half a swap"), 0o600); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(1100 * time.Millisecond); time.Now().Before(end); { // past the time in which files are not looked at
			if now := serial(t, address, client); now != before {
				t.Fatalf("%s: a key that is none changed the certificate", name)
			}
		}
		_, want := a.issue(name, "")
		comesToHold(t, name+" shows the new certificate", func() bool { return serial(t, address, client) == want })
	}
}

func TestListeners_CertificatesNameCallersAndTheirWatchesEndWhenRevoked(t *testing.T) {
	t.Parallel()
	a, stranger := newAuthority(t), newAuthority(t)
	serves, _ := a.issue("server", "")
	serves.ClientCAFile = a.file
	billing, _ := a.issue("billing", "spiffe://corp.example/billing")
	other, _ := a.issue("other", "spiffe://corp.example/other")
	nobody, _ := a.issue("nobody", "")
	foreign, _ := stranger.issue("foreign", "spiffe://corp.example/billing")
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(revoked string) {
		err := os.WriteFile(policy, []byte(`
roles: {watcher: {rpcs: [PaymentService/WatchPaymentStatus, PaymentService/ListPayments], merchant_accounts: [shop]}}
bindings: [{callers: ["spiffe://corp.example/billing"], roles: [watcher]}]
revoked: {certificates_sha256: [`+revoked+`]}`), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	write("")
	g, _ := guarded(t, func(c *config) { c.GRPCTLS, c.RESTTLS, c.PolicyFile = serves, serves, policy })
	client := func(shows tlsFiles) (gatewayv1.PaymentServiceClient, *http.Client) {
		conn, err := grpc.NewClient(g.grpcListener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(a.client(shows))))
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: a.client(shows)}
		t.Cleanup(func() { _ = conn.Close(); transport.CloseIdleConnections() })
		return gatewayv1.NewPaymentServiceClient(conn), &http.Client{Transport: transport}
	}
	base := "https://" + g.restListener.Addr().String()
	for name, c := range map[string]struct {
		shows tlsFiles
		want  codes.Code
	}{
		"its certificate": {billing, codes.OK}, "another one": {other, codes.PermissionDenied},
		"none": {tlsFiles{}, codes.Unauthenticated}, "one that names nobody": {nobody, codes.Unauthenticated},
		"one of another authority": {foreign, codes.Unavailable}, // the handshake fails
	} {
		over, web := client(c.shows)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, err := over.ListPayments(ctx, &gatewayv1.ListPaymentsRequest{})
		if status.Code(err) != c.want {
			t.Errorf("with %s: %v, want %v", name, err, c.want)
		}
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/payments", nil)
		// What REST hands on to gRPC cannot be made up from outside.
		req.Header.Set("Grpc-Metadata-Gateway-Peer-Certificate-Bin", "x")
		res, err := web.Do(req)
		want := map[codes.Code]int{codes.OK: 200, codes.PermissionDenied: 403, codes.Unauthenticated: 401}[c.want]
		if got := 0; err == nil {
			if got = res.StatusCode; got != want {
				t.Errorf("with %s over REST: %d, want %d", name, got, want)
			}
			_ = res.Body.Close()
		} else if want != 0 {
			t.Errorf("with %s over REST: %v", name, err)
		}
		cancel()
	}
	over, web := client(billing)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := over.WatchPaymentStatus(ctx, &gatewayv1.WatchPaymentStatusRequest{From: &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_NOW}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/payments:watch?start=WATCH_START_NOW", nil)
	res, err := web.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := os.ReadFile(billing.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	digest := sha256.Sum256(block.Bytes)
	write(hex.EncodeToString(digest[:]))
	for {
		got, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if end := got.GetStreamEnd(); end != nil {
			if end.GetReason() != gatewayv1.StreamEnd_REASON_PERMISSION_REVOKED {
				t.Errorf("the watch ended with %v", end)
			}
			break
		}
	}
	told := ""
	for scan := bufio.NewScanner(res.Body); scan.Scan(); {
		told = scan.Text()
	}
	if !strings.Contains(told, "REASON_PERMISSION_REVOKED") {
		t.Errorf("over REST the last line was %s", told)
	}
	if _, err := over.ListPayments(ctx, &gatewayv1.ListPaymentsRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a call with a revoked certificate: %v", err)
	}
}

func TestListeners_MayDemandCertificates(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	serves, _ := a.issue("server", "")
	serves.ClientCAFile, serves.RequireClientCert = a.file, true
	prometheus, _ := a.issue("prometheus", "spiffe://corp.example/prometheus")
	g, _ := guarded(t, func(c *config) { c.AdminTLS = serves })
	for name, c := range map[string]struct {
		shows tlsFiles
		lets  bool
	}{"with": {prometheus, true}, "without": {tlsFiles{}, false}} {
		transport := &http.Transport{TLSClientConfig: a.client(c.shows)}
		t.Cleanup(transport.CloseIdleConnections)
		res, err := (&http.Client{Transport: transport}).Get("https://" + g.adminAddress() + "/healthz")
		if (err == nil) != c.lets {
			t.Errorf("%s a certificate: %v", name, err)
		}
		if err == nil {
			_ = res.Body.Close()
		}
	}
}

func TestAdmin_TellsHealthApartFromReadinessAndNoProfilesUnasked(t *testing.T) {
	t.Parallel()
	get := func(g *gatewayProcess, path string) (int, map[string]any) {
		res, err := http.Get("http://" + g.adminAddress() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		content, _ := io.ReadAll(res.Body)
		body := map[string]any{}
		_ = json.Unmarshal(content, &body)
		return res.StatusCode, body
	}
	g, _ := guarded(t, func(*config) {})
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/version": 200, "/debug/pprof/": 404, "/v1/payments": 404, "/klarna/network": 404} {
		if got, body := get(g, path); got != want {
			t.Errorf("%s: %d %v", path, got, body)
		}
	}
	g.admin.draining.Store(true)
	if got, body := get(g, "/readyz"); got != http.StatusServiceUnavailable || body["ready"] != false {
		t.Errorf("ready while draining: %d %v", got, body)
	}
	if got, _ := get(g, "/healthz"); got != http.StatusOK {
		t.Errorf("alive while draining: %d", got)
	}
	g.admin.draining.Store(false)
	g.admin.checks["store"] = func(context.Context) error { return io.ErrUnexpectedEOF }
	if got, body := get(g, "/readyz"); got != http.StatusServiceUnavailable || body["checks"].(map[string]any)["store"] != "failed" {
		t.Errorf("ready without its store: %d %v", got, body)
	}
	profiled, _ := guarded(t, func(c *config) { c.AdminPprof = true })
	if got, _ := get(profiled, "/debug/pprof/"); got != http.StatusOK {
		t.Errorf("profiles that are asked for: %d", got)
	}
	off, stop := guarded(t, func(c *config) { c.AdminAddress = "off" })
	if off.adminListener != nil {
		t.Error("an admin listener that is off listens")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// comesToHold polls until what is said holds.
func comesToHold(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not in a minute: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
