package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// background runs a command until it is stopped, and gives how it ended.
func background(t *testing.T, out, errOut *output, args ...string) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- command(ctx, args, out, errOut) }()
	t.Cleanup(cancel)
	return func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			t.Fatalf("%v does not end", args)
			return nil
		}
	}
}

// dev is ready for the calls that it tells people to paste, and ends cleanly.
func TestDev_ServesWhatItsHintsSay(t *testing.T) {
	t.Parallel()
	forgetConnections(t)
	var out, errOut output
	stop := background(t, &out, &errOut, "dev", "-data", t.TempDir(), "-grpc", "127.0.0.1:0", "-rest", "127.0.0.1:0", "-webhooks", "127.0.0.1:0", "-sim", "127.0.0.1:0", "-admin", "127.0.0.1:0")
	until(t, "the hints", func() bool { return strings.Contains(out.String(), "/admin/advance") })
	rest, _ := out.after("REST ")
	sim, _ := out.after("simulated: ")
	at := &traveller{rest: "http://" + rest}
	var made struct {
		Session struct{ SessionID string }
	}
	if err := at.post(t.Context(), "/v1/payments/sessions", sessionRequest("SO-1", gatewayv1.OrderPolicy_ORDER_POLICY_AUTOMATIC), &made); err != nil {
		t.Fatal(err)
	}
	var authorized struct {
		Token string `json:"authorization_token"`
	}
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+sim+"/admin/sessions/"+made.Session.SessionID+"/authorize", nil))
	if err := answered(req, &authorized); err != nil || authorized.Token == "" {
		t.Fatalf("authorize: %v", err)
	}
	until(t, "the order", func() bool {
		var status struct {
			Payments []struct{ OrderID string }
		}
		err := at.get(t.Context(), "/v1/payments:status?merchantReference=SO-1", &status)
		return err == nil && len(status.Payments) == 1 && status.Payments[0].OrderID != ""
	})
	if err := stop(); err != nil {
		t.Errorf("dev ended with %v\n%s", err, errOut.String())
	}
}

// sim is a Klarna by itself. Its secrets are made once, for nobody else to read, and kept.
func TestSim_KeepsItsSecrets(t *testing.T) {
	t.Parallel()
	forgetConnections(t)
	secrets := filepath.Join(t.TempDir(), "secrets")
	args := []string{"sim", "-address", "127.0.0.1:0", "-secrets", secrets}
	var kept []string
	for range 2 {
		var out, errOut output
		stop := background(t, &out, &errOut, args...)
		until(t, "the address", func() bool { _, there := out.after("http://"); return there })
		address, _ := out.after("http://")
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/admin/calls", nil))
		var calls []json.RawMessage
		if err := answered(req, &calls); err != nil || len(calls) != 0 {
			t.Errorf("calls: %v, %v", calls, err)
		}
		http.DefaultClient.CloseIdleConnections()
		if err := stop(); err != nil {
			t.Errorf("sim ended with %v", err)
		}
		var all []string
		for _, name := range []string{"password", "api_key", "payment_status_key", "network_key"} {
			path := filepath.Join(secrets, name)
			all = append(all, string(must[[]byte](t)(os.ReadFile(path))))
			if mode := must[os.FileInfo](t)(os.Stat(path)).Mode().Perm(); mode != 0o600 {
				t.Errorf("%s may be read by others: %v", name, mode)
			}
			if strings.Contains(out.String()+errOut.String(), strings.TrimSpace(all[len(all)-1])) {
				t.Errorf("%s is printed", name)
			}
		}
		if kept == nil {
			kept = all
		} else if strings.Join(kept, "") != strings.Join(all, "") {
			t.Error("the secrets were made anew")
		}
	}
}

func TestCommand_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "no command"},
		{[]string{"serv"}, `unknown command "serv"`},
		{[]string{"serve", "-conf", "x"}, "unknown flag: --conf"},
		{[]string{"serve", "-config", "none.yaml"}, "none.yaml"},
		{[]string{"dev", "-sim", "nowhere", "-webhooks", "127.0.0.1:0", "-data", t.TempDir()}, "listen"},
		{[]string{"sim", "-address", "nowhere", "-secrets", t.TempDir()}, "listen"},
	} {
		var out, errOut output
		if err := command(t.Context(), tc.args, &out, &errOut); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: got %v, want an error with %q", tc.args, err, tc.want)
		}
	}
}

func TestVersion_IsPrinted(t *testing.T) {
	t.Parallel()
	var out output
	if err := command(t.Context(), []string{"version"}, &out, &out); err != nil || strings.TrimSpace(out.String()) == "" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}
