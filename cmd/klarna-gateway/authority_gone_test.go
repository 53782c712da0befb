package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// An authority that is taken out of its file proves nobody any more, on connections that are open neither: their watches end
// with the reason, over gRPC and as an event stream, and their calls are refused. One that is added lets its callers in.
func TestListeners_AnAuthorityThatIsTakenOutEndsTheWatchesOfItsCallers(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	both := filepath.Join(t.TempDir(), "authorities.pem")
	trust := func(all ...*authority) {
		t.Helper()
		var text []byte
		for _, a := range all {
			text = append(text, must[[]byte](t)(os.ReadFile(a.file))...)
		}
		if err := os.WriteFile(both, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust(ours, theirs)
	serves, _ := ours.issue("server", "")
	serves.ClientCAFile = both
	leaving, _ := theirs.issue("leaving", "spiffe://corp.example/leaving")
	staying, _ := ours.issue("staying", "spiffe://corp.example/staying")
	g, _ := guarded(t, func(c *config) { c.GRPCTLS, c.RESTTLS = serves, serves })

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	type caller struct {
		payments gatewayv1.PaymentServiceClient
		watch    grpc.ServerStreamingClient[gatewayv1.WatchPaymentStatusResponse]
		events   *http.Response
	}
	call := func(shows tlsFiles) (c caller) {
		conn := must[*grpc.ClientConn](t)(grpc.NewClient(g.grpcListener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(ours.client(shows)))))
		transport := &http.Transport{TLSClientConfig: ours.client(shows)}
		t.Cleanup(func() { _ = conn.Close(); transport.CloseIdleConnections() })
		c.payments = gatewayv1.NewPaymentServiceClient(conn)
		c.watch = must[grpc.ServerStreamingClient[gatewayv1.WatchPaymentStatusResponse]](t)(c.payments.WatchPaymentStatus(ctx,
			&gatewayv1.WatchPaymentStatusRequest{From: &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_NOW}}))
		must[*gatewayv1.WatchPaymentStatusResponse](t)(c.watch.Recv()) // it is open
		req := must[*http.Request](t)(http.NewRequestWithContext(ctx, http.MethodGet, "https://"+g.restListener.Addr().String()+"/v1/payments:watch?start=WATCH_START_NOW", nil))
		req.Header.Set("Accept", "text/event-stream")
		if c.events = must[*http.Response](t)((&http.Client{Transport: transport}).Do(req)); c.events.StatusCode != http.StatusOK {
			t.Fatalf("the event stream: HTTP %d", c.events.StatusCode)
		}
		t.Cleanup(func() { _ = c.events.Body.Close() })
		return c
	}
	gone, stays := call(leaving), call(staying)
	trust(ours)
	for {
		res := must[*gatewayv1.WatchPaymentStatusResponse](t)(gone.watch.Recv())
		if end := res.GetStreamEnd(); end != nil {
			if end.GetReason() != gatewayv1.StreamEnd_REASON_PERMISSION_REVOKED {
				t.Errorf("over gRPC the watch ended with %v", end)
			}
			break
		}
	}
	told := ""
	for lines := bufio.NewScanner(gone.events.Body); lines.Scan(); {
		told += lines.Text() + "\n"
	}
	if !strings.Contains(told, "REASON_PERMISSION_REVOKED") {
		t.Errorf("the event stream ended with %s", told)
	}
	if _, err := gone.payments.ListPayments(ctx, &gatewayv1.ListPaymentsRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a call on the open connection: %v", err)
	}
	if _, err := stays.payments.ListPayments(ctx, &gatewayv1.ListPaymentsRequest{}); err != nil {
		t.Errorf("a caller of the other authority: %v", err)
	}
	trust(ours, theirs)
	until(t, "the authority to be taken again", func() bool {
		_, err := gone.payments.ListPayments(ctx, &gatewayv1.ListPaymentsRequest{})
		return err == nil
	})
	if watches := g.api.Watches()["payment"].Open; watches != 2 {
		t.Errorf("%d watches are open, 2 of the caller who stays", watches)
	}
}

// What REST hands on to gRPC of its client's certificate cannot be made up from outside: a certificate is no secret, and who
// shows the bytes of another's has not proven anything.
func TestListeners_ACertificateInAHeaderProvesNobody(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	serves, _ := a.issue("server", "")
	serves.ClientCAFile = a.file
	victim, _ := a.issue("victim", "spiffe://corp.example/victim")
	g, _ := guarded(t, func(c *config) { c.GRPCTLS, c.RESTTLS = serves, serves })
	block, _ := pem.Decode(must[[]byte](t)(os.ReadFile(victim.CertFile)))
	for _, name := range []string{"Grpc-Metadata-Gateway-Peer-Certificate-Bin", "Gateway-Peer-Certificate-Bin", "Grpcgateway-Gateway-Peer-Certificate-Bin"} {
		transport := &http.Transport{TLSClientConfig: a.client(tlsFiles{})}
		t.Cleanup(transport.CloseIdleConnections)
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.restListener.Addr().String()+"/v1/payments", nil))
		req.Header.Set(name, base64.StdEncoding.EncodeToString(block.Bytes))
		res := must[*http.Response](t)((&http.Client{Transport: transport}).Do(req))
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: HTTP %d", name, res.StatusCode)
		}
	}
}
