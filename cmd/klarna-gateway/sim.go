package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// simCommand runs the simulated Klarna alone, for a gateway that is configured to talk to it.
func simCommand() *cobra.Command {
	c := &cobra.Command{Use: "sim", Short: "the simulated Klarna alone", Args: cobra.NoArgs}
	flags := c.Flags()
	address := flags.String("address", "127.0.0.1:8082", "`address` to listen on")
	username := flags.String("username", localUsername, "classic `user`")
	secrets := flags.String("secrets", "data/sim-secrets", "`folder` of the files password, api_key, payment_status_key and network_key; made if missing")
	hooks := flags.String("webhooks", "", "base `URL` of the gateway's webhook listener")
	account := flags.String("merchant-account", localShop, "merchant account in the payment-status `path`")
	push := flags.String("push-secret-file", "", "`file` with the secret of push URLs")
	insecure := flags.Bool("insecure", false, "do not check the certificate of the webhook listener")
	faults := flags.String("faults", "", "`file` in YAML that says what goes wrong, see docs/simulator.md")
	rates := flags.Bool("rates", false, "answer 429 above Klarna's quotas")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg := klarnatest.Config{Username: *username, NetworkKeyID: localKeyID, Logger: newLogger(c.ErrOrStderr(), "debug"), EnforceRates: *rates}
		plan, err := faultPlan(*faults)
		if err != nil {
			return err
		}
		for name, field := range map[string]*string{
			"password": &cfg.Password, "api_key": &cfg.APIKey, "payment_status_key": &cfg.PaymentStatusKey, "network_key": &cfg.NetworkKey,
		} {
			value, err := keptSecret(filepath.Join(*secrets, name))
			if err != nil {
				return err
			}
			*field = value
		}
		if base := strings.TrimRight(*hooks, "/"); base != "" {
			cfg.PaymentStatusURL, cfg.NetworkURL = base+"/klarna/payment-status/"+*account, base+"/klarna/network"
			if *push != "" {
				value, err := resolve("file:" + *push)
				if err != nil {
					return err
				}
				cfg.PushURL = base + "/klarna/push/" + value + "/{checkout.order.id}"
			}
		}
		cfg.HTTPClient = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: *insecure, MinVersion: tls.VersionTLS12}}}
		return serveSim(c.Context(), *address, cfg, plan, *secrets, c.OutOrStdout())
	}
	return c
}

// faultPlan reads what shall go wrong; nothing without a file.
func faultPlan(file string) (klarnatest.Plan, error) {
	if file == "" {
		return klarnatest.Plan{}, nil
	}
	text, err := os.Open(file)
	if err != nil {
		return klarnatest.Plan{}, fmt.Errorf("faults: %w", err)
	}
	defer func() { _ = text.Close() }()
	return klarnatest.ReadPlan(text)
}

func serveSim(ctx context.Context, address string, cfg klarnatest.Config, plan klarnatest.Plan, secrets string, out io.Writer) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	simulated := klarnatest.New(cfg)
	defer simulated.Close()
	if err := simulated.Arrange(plan); err != nil {
		return err
	}
	tenants := klarnatest.NewTenants(simulated)
	defer tenants.Close()
	web := &http.Server{Handler: tenants, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = web.Close() })()
	if _, err := fmt.Fprintf(out, "simulated Klarna on http://%s, secrets in %s, signing key id %s\n", listener.Addr(), secrets, localKeyID); err != nil {
		return err
	}
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// keptSecret reads a secret's file, or makes it.
func keptSecret(path string) (string, error) {
	value, err := resolve("file:" + path)
	if !errors.Is(err, os.ErrNotExist) {
		return value, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("secrets: %w", err)
	}
	value = randomText()
	if filepath.Base(path) == "api_key" {
		value = "klarna_test_api_" + value
	}
	return value, os.WriteFile(path, []byte(value+"\n"), 0o600)
}
