package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// linesOf are what the gateway has logged of level warn and above, by request; the simulator's own are left out, and what
// OpenTelemetry has to say, which does so once for all gateways of a process.
func linesOf(t *testing.T, log string) map[string][]string {
	t.Helper()
	lines := map[string][]string{}
	for line := range strings.Lines(log) {
		var entry struct {
			Side      string `json:"side"`
			Msg       string `json:"msg"`
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if entry.Side != "klarna" && entry.Msg != "telemetry not exported" {
			lines[entry.RequestID] = append(lines[entry.RequestID], line)
		}
	}
	return lines
}

// Of many calls that fail at once, over gRPC and over REST, each is one line, whoever's fault it is but the caller's, whose
// are none; and there is no line beside them.
func TestLog_EachOfManyCallsThatFailIsOneLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cause func(*testing.T, *local)
		lines int // a call
	}{
		"refused, the caller's to mend": {failingSessions(klarnatest.Fault{Status: http.StatusBadRequest}), 0},
		"credential refused":            {failingSessions(klarnatest.Fault{Status: http.StatusUnauthorized}), 1},
		"forbidden":                     {failingSessions(klarnatest.Fault{Status: http.StatusForbidden}), 1},
		"too many":                      {failingSessions(klarnatest.Fault{Status: http.StatusTooManyRequests}), 1},
		"cut off, tried again":          {failingSessions(klarnatest.Fault{Cut: true}), 1},
		"a proxy's error page":          {failingSessions(klarnatest.Fault{Status: http.StatusBadGateway, Body: "<html>bad gateway</html>"}), 1},
		"the database is gone": {func(t *testing.T, l *local) {
			if err := l.gateway.data.engine.Close(); err != nil {
				t.Fatal(err)
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log output
			l := runLocalWith(t, -1, newLogger(&log, "warn"), parts{})
			traveller := travel(t, l)
			c.cause(t, l)
			var ids []string
			var calling sync.WaitGroup
			for i := range 4 { // below what opens the circuit, which has a line of its own
				request := sessionRequest("SO-1", gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)
				ids = append(ids, request.GetRequestId())
				body := must[[]byte](t)(protojson.Marshal(request))
				calling.Go(func() {
					if i%2 == 0 {
						if _, err := traveller.payments.CreatePaymentSession(t.Context(), request); err == nil {
							t.Error("it did not fail")
						}
						return
					}
					res, err := http.Post(traveller.rest+"/v1/payments/sessions", "application/json", bytes.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					if _ = res.Body.Close(); res.StatusCode < 400 {
						t.Errorf("over REST it was answered %d", res.StatusCode)
					}
				})
			}
			calling.Wait()
			lines := linesOf(t, log.String())
			for _, id := range ids {
				if len(lines[id]) != c.lines {
					t.Errorf("%d lines of a call, want %d: %q", len(lines[id]), c.lines, lines[id])
				}
				delete(lines, id)
			}
			if name == "the database is gone" {
				delete(lines, "") // the worker's, which looks for jobs
			}
			for _, more := range lines {
				t.Errorf("beside them: %q", more)
			}
		})
	}
}

func failingSessions(f klarnatest.Fault) func(*testing.T, *local) {
	return func(t *testing.T, l *local) {
		t.Helper()
		f.Operation, f.Times = "createSession", -1
		if err := l.sim.Fail(f); err != nil {
			t.Fatal(err)
		}
	}
}
