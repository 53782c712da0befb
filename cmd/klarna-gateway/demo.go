package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"
)

// journeys are walked by the demo and, each as a test of its own, by the tests.
var journeys = []struct {
	name, title string
	walk        func(*traveller, context.Context) error
}{
	{"Onboarding", "A merchant is onboarded", (*traveller).onboarding},
	{"Webhooks", "The signing key of the webhooks is changed, and it is proven that they arrive", (*traveller).webhooks},
	{"PayNow", "A customer pays by bank; the money is captured and refunded", (*traveller).payNow},
	{"PayNowClosed", "A lost callback is recovered; the money never comes", (*traveller).payNowClosed},
	{"PayNowDisorder", "Klarna tells PAID before UNPAID, and twice", (*traveller).payNowDisorder},
	{"Push", "Orders of Klarna Checkout, told by push", (*traveller).push},
	{"Network", "A partner's customer pays on the Klarna Network", (*traveller).networkPayment},
	{"REST", "The same with plain HTTP and JSON", (*traveller).overREST},
}

// demo walks the journeys in a fresh folder and prints what happened on each side.
func demo(ctx context.Context, out, errOut io.Writer, verbose bool) (err error) {
	data, err := os.MkdirTemp("", "klarna-gateway-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	log := slog.New(slog.DiscardHandler)
	if verbose {
		log = newLogger(errOut, "info")
	}
	l, err := newLocal(ctx, anyPorts, data, -1, log) // the journeys say when accounts become operational
	if err != nil {
		return err
	}
	defer l.close()
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- l.gateway.run(serving) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	t, err := newTraveller(l)
	if err != nil {
		return err
	}
	defer t.close()
	started := time.Now()
	for i, j := range journeys {
		if _, err := fmt.Fprintf(out, "\n%d. %s\n", i+1, j.title); err != nil {
			return err
		}
		failed := j.walk(t, ctx)
		t.tell()
		if err := t.timeline.print(out); err != nil {
			return err
		}
		if failed != nil {
			return fmt.Errorf("journey %d, %s: %w", i+1, j.title, failed)
		}
	}
	_, err = fmt.Fprintf(out, "\nAll %d journeys went as they should, in %s.\n", len(journeys), time.Since(started).Truncate(time.Millisecond))
	return err
}
