package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// The accounts and the password of a local Klarna. Its keys are made anew each time.
const (
	localShop     = "shop"
	localAcquirer = "acquirer"
	localUsername = "PK00000_demo"
	localKeyID    = "krn:partner:global:notification:signing-key:00000000-0000-4000-8000-000000000001"
)

// local is a gateway with a simulated Klarna, on loopback, joined by real sockets, real TLS and real signatures.
type local struct {
	sim     *klarnatest.Server
	simHTTP *http.Server
	simURL  string
	gateway *gatewayProcess
}

// localAddresses says where a local set-up listens; port 0 takes any free one.
type localAddresses struct{ grpc, rest, webhook, sim, admin string }

var anyPorts = localAddresses{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"}

// newLocal starts a local set-up over a data folder. Onboarded accounts become operational after the given time, by
// themselves; never if it is negative. Callers run gateway.run and then close.
func newLocal(ctx context.Context, at localAddresses, data string, operational time.Duration, log *slog.Logger) (*local, error) {
	return newLocalWith(ctx, at, data, operational, log, parts{})
}

// newLocalWith is newLocal with parts of the gateway replaced.
func newLocalWith(ctx context.Context, at localAddresses, data string, operational time.Duration, log *slog.Logger, with parts) (l *local, err error) {
	l = &local{}
	hooks, err := net.Listen("tcp", at.webhook) // before the gateway does: Klarna is told its address
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	defer func() {
		if err != nil {
			_ = hooks.Close()
		}
	}()
	serverTLS, clientTLS, err := throwawayCA()
	if err != nil {
		return nil, err
	}
	public := "https://" + hooks.Addr().String()
	password, apiKey := randomText(), "klarna_test_api_"+randomText()
	statusKey, networkKey, pushSecret := randomText(), randomText(), randomText()
	l.sim = klarnatest.New(klarnatest.Config{
		Username: localUsername, Password: password, APIKey: apiKey,
		PaymentStatusURL: public + "/klarna/payment-status/" + localShop, PaymentStatusKey: statusKey, PaymentStatusKeyVersion: "1",
		NetworkURL: public + "/klarna/network", NetworkKeyID: localKeyID, NetworkKey: networkKey,
		PushURL:          public + "/klarna/push/" + pushSecret + "/{checkout.order.id}",
		HTTPClient:       &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS}, Timeout: 5 * time.Second},
		OperationalAfter: operational,
		Logger:           log.With("side", "klarna"),
	})
	simListener, err := net.Listen("tcp", at.sim)
	if err != nil {
		l.sim.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	l.simHTTP = &http.Server{Handler: l.sim, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = l.simHTTP.Serve(simListener) }()
	l.simURL = "http://" + simListener.Addr().String()
	cfg := config{
		GRPCAddress: at.grpc, RESTAddress: at.rest, WebhookAddress: hooks.Addr().String(), PublicBaseURL: public, DataDir: data,
		Reflection: true, DebtorData: true, LogLevel: "info", ShutdownGrace: 5 * time.Second,
		MerchantAccounts: []accountConfig{
			{
				Name: localShop, API: "regional", Default: true, BaseURL: l.simURL, Username: localUsername, Password: secret{klarna.Secret(password)},
				PaymentStatusKeys: map[string]secret{"1": {klarna.Secret(statusKey)}}, PushSecrets: []secret{{klarna.Secret(pushSecret)}},
			},
			{
				Name: localAcquirer, API: "network", Default: true, BaseURL: l.simURL, APIKey: secret{klarna.Secret(apiKey)},
				SigningKeys: map[string]secret{localKeyID: {klarna.Secret(networkKey)}},
			},
		},
	}
	cfg.AdminAddress = at.admin
	if with.change != nil {
		with.change(&cfg)
	}
	cfg.defaults()
	// The simulator's clock drives the gateway too, so that moving it moves both.
	with.terminal = true
	with.now, with.webhookListener, with.webhookTLS, with.poll = l.sim.Now, hooks, serverTLS, 20*time.Millisecond
	l.gateway, err = newGateway(ctx, cfg, with, log)
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// close ends the simulated Klarna; the gateway ends with its run.
func (l *local) close() {
	_ = l.simHTTP.Close()
	l.sim.Close()
}

// throwawayCA makes a certificate for loopback and the CA that signed it, both gone when the process ends.
func throwawayCA() (serverTLS, clientTLS *tls.Config, err error) {
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "throwaway CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &leafKey.PublicKey, caKey)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParseCertificate(caDER)
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	serverTLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}}, MinVersion: tls.VersionTLS12}
	return serverTLS, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

func randomText() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// devAddresses are those that the hints name.
var devAddresses = localAddresses{"127.0.0.1:9090", "127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:9091"}

// dev runs a local set-up and says what to try.
func dev(ctx context.Context, at localAddresses, data string, out, errOut io.Writer) error {
	l, err := newLocal(ctx, at, data, 3*time.Second, newLogger(errOut, "info"))
	if err != nil {
		return err
	}
	defer l.close()
	hints := strings.NewReplacer(
		devAddresses.grpc, l.gateway.grpcListener.Addr().String(), devAddresses.rest, l.gateway.restListener.Addr().String(),
		devAddresses.webhook, l.gateway.hookListener.Addr().String(), devAddresses.sim, strings.TrimPrefix(l.simURL, "http://"),
	)
	if _, err := hints.WriteString(out, devHints); err != nil {
		l.gateway.close()
		return err
	}
	return l.gateway.run(ctx)
}

const devHints = `
Gateway: gRPC 127.0.0.1:9090, REST 127.0.0.1:8080, webhooks 127.0.0.1:8081 (https). Klarna, simulated: 127.0.0.1:8082.
Stop with Ctrl-C. Try, in other terminals:

# watch payments live (leave it running)
curl -sN '127.0.0.1:8080/v1/payments:watch?start=WATCH_START_SNAPSHOT'

# open a payment session; the gateway will place the order once the customer has authorised
curl -s 127.0.0.1:8080/v1/payments/sessions -d '{"requestId":"'$(cat /proc/sys/kernel/random/uuid)'","purchaseCountry":"DE",
  "orderAmount":{"amountMinor":"12995","currencyCode":"EUR"},"orderTaxAmountMinor":"2075","intent":"buy","locale":"de-DE",
  "orderLines":[{"name":"Lamp","reference":"L-1","quantity":"1","unitPriceMinor":"12995","taxRateBasisPoints":"1900",
  "totalAmountMinor":"12995","totalTaxAmountMinor":"2075"}],"merchantReference1":"SO-1","orderPolicy":"ORDER_POLICY_AUTOMATIC"}'

# play the customer at the simulated Klarna: authorise, then pay (ids from the answers and the watch)
curl -s -X POST 127.0.0.1:8082/admin/sessions/SESSION_ID/authorize
curl -s -X POST 127.0.0.1:8082/admin/orders/ORDER_ID/pay -d '{}'

# capture and see what is on record
curl -s 127.0.0.1:8080/v1/orders/ORDER_ID:capture -d '{"requestId":"'$(cat /proc/sys/kernel/random/uuid)'","amount":{"amountMinor":"12995","currencyCode":"EUR"}}'
curl -s '127.0.0.1:8080/v1/payments:status?merchantReference=SO-1'

# the same over gRPC
grpcurl -plaintext 127.0.0.1:9090 list gateway.v1.PaymentService
grpcurl -plaintext -d '{"start":"WATCH_START_EARLIEST"}' 127.0.0.1:9090 gateway.v1.PaymentService/WatchPaymentStatus

# what has happened, what needs a person, what is still to be done
klarna-gateway events tail -start earliest -address 127.0.0.1:9090
klarna-gateway attention list -address 127.0.0.1:9090
klarna-gateway jobs list -address 127.0.0.1:9090

# move the clock of both sides
curl -s -X POST 127.0.0.1:8082/admin/advance -d '{"duration":"2h"}'

`
