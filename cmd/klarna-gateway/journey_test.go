package main

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
)

// Each journey holds by itself, over a gateway and a Klarna of its own.
func TestJourneys(t *testing.T) {
	t.Parallel()
	for _, j := range journeys {
		t.Run(j.name, func(t *testing.T) {
			t.Parallel()
			var told bytes.Buffer
			traveller := travel(t, runLocal(t, -1))
			err := j.walk(traveller, t.Context())
			traveller.tell()
			if print := traveller.timeline.print(&told); print != nil {
				t.Fatal(print)
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, told.String())
			}
		})
	}
}

func TestDemo_TellsEveryJourney(t *testing.T) {
	t.Parallel()
	forgetConnections(t)
	var out, errOut output
	if err := command(t.Context(), []string{"demo", "-v"}, &out, &errOut); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, j := range journeys {
		if !strings.Contains(out.String(), j.title) {
			t.Errorf("journey %q is not told", j.title)
		}
	}
	if !strings.Contains(out.String(), "went as they should") || !strings.Contains(errOut.String(), `"msg":"serving"`) {
		t.Errorf("got:\n%s\nand the log:\n%s", out.String(), errOut.String())
	}
}

// runLocal runs a local set-up until the test is over, and then expects a clean end.
func runLocal(t *testing.T, operational time.Duration) *local {
	t.Helper()
	return runLocalWith(t, operational, planted.Logger(), parts{spans: planted.Spans()})
}

// runLocalWith is runLocal with a log and parts of the gateway replaced.
func runLocalWith(t *testing.T, operational time.Duration, log *slog.Logger, with parts) *local {
	t.Helper()
	return runLocalOver(t, t.TempDir(), operational, log, with)
}

// runLocalOver is runLocalWith over a folder.
func runLocalOver(t *testing.T, data string, operational time.Duration, log *slog.Logger, with parts) *local {
	t.Helper()
	l, _ := runLocalUntil(t, data, operational, log, with)
	return l
}

// runLocalUntil is runLocalOver, ended before the test is over if need be.
func runLocalUntil(t *testing.T, data string, operational time.Duration, log *slog.Logger, with parts) (l *local, end func()) {
	t.Helper()
	l = must[*local](t)(newLocalWith(t.Context(), anyPorts, data, operational, log, with))
	if !l.gateway.cfg.replicas() {
		planted.Files(t, filepath.Join(data, "*.db*"))
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- l.gateway.run(ctx) }()
	end = sync.OnceFunc(func() {
		lookThroughMetrics(l)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("gateway: %v", err)
		}
		l.close()
	})
	t.Cleanup(end)
	forgetConnections(t)
	return l, end
}

func travel(t *testing.T, l *local) *traveller {
	t.Helper()
	traveller := must[*traveller](t)(newTraveller(l))
	t.Cleanup(traveller.close)
	return traveller
}
