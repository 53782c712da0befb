package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// After a restore from backup the log may lack what watchers have seen. Once the operator has said so, their tokens are
// refused on either engine, and not before.
func TestRestored_OlderTokensAreRefused(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(*testing.T) string{
		"sqlite": func(*testing.T) string { return "" }, "postgres": func(t *testing.T) string { return postgrestest.URL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 10*time.Second)
			s.shop(func(next http.Handler) http.Handler { return next })
			cfg := config{DataDir: filepath.Join(s.dir, "data")}
			if url := database(t); url != "" {
				cfg.Database, cfg.KeyFile = secret{klarna.Secret(url)}, filepath.Join(s.dir, "keys.json")
				if err := makeKeyring(cfg.KeyFile, &output{}); err != nil {
					t.Fatal(err)
				}
				s.env = append(s.env, "KLARNA_GATEWAY_DATABASE="+url, "KLARNA_GATEWAY_KEY_FILE="+cfg.KeyFile)
			}
			p := s.start()
			token, err := watchFrom(t, p, "")
			if err != nil {
				t.Fatal(err)
			}
			p.terminate(t)
			p = s.start()
			if _, err := watchFrom(t, p, token); err != nil {
				t.Errorf("after a restart: %v", err)
			}
			p.terminate(t)
			var said output
			if err := restored(t.Context(), cfg, &said, newLogger(&output{}, "error")); err != nil || !strings.Contains(said.String(), "in epoch 1") {
				t.Fatalf("restored: %v, said %q", err, said.String())
			}
			p = s.start()
			if _, err := watchFrom(t, p, token); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "belongs to another log") {
				t.Errorf("a token from before the restore: %v", err)
			}
			if _, err := watchFrom(t, p, ""); err != nil {
				t.Errorf("a new watch: %v", err)
			}
			p.terminate(t)
		})
	}
}

// watchFrom opens a watch and returns the token of its first response.
func watchFrom(t *testing.T, p *process, token string) (string, error) {
	t.Helper()
	request := &gatewayv1.WatchPaymentStatusRequest{From: &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_NOW}}
	if token != "" {
		request.From = &gatewayv1.WatchPaymentStatusRequest_ResumeToken{ResumeToken: token}
	}
	watch, err := gatewayv1.NewPaymentServiceClient(p.dial(t)).WatchPaymentStatus(t.Context(), request)
	if err != nil {
		return "", err
	}
	res, err := watch.Recv()
	return res.GetResumeToken(), err
}
