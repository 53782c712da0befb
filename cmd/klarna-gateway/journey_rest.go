package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/klarna/klarnatest"
)

// overREST is the fourth journey: the same three with plain HTTP and JSON.
func (t *traveller) overREST(ctx context.Context) error {
	lines, stop, err := t.restWatch(ctx, "/v1/payments:watch?start=WATCH_START_NOW&merchantReferences=SO-88004&merchantReferences=KCO-5003&untilFinal=true")
	if err != nil {
		return err
	}
	defer stop()
	if err := t.restPayment(ctx, lines); err != nil {
		return err
	}
	return firstError(t.restPush(ctx), t.restPartner(ctx))
}

func (t *traveller) restPayment(ctx context.Context, lines <-chan restEvent) error {
	var made struct {
		Session struct{ SessionID string }
	}
	t.you("POST /v1/payments/sessions")
	if err := t.post(ctx, "/v1/payments/sessions", sessionRequest("SO-88004", gatewayv1.OrderPolicy_ORDER_POLICY_AUTOMATIC), &made); err != nil {
		return err
	}
	t.play("the customer authorises and pays")
	if _, err := t.local.sim.Authorize(made.Session.SessionID); err != nil {
		return err
	}
	ev, err := restSees(lines, "SESSION_CREATED", "AUTHORIZED", "ORDER_CREATED") // UNPAID may come before or behind the order
	if err != nil {
		return err
	}
	order := ev.Payment.OrderID
	if err := t.local.sim.Pay(order); err != nil {
		return err
	}
	if _, err := restSees(lines, "PAID"); err != nil {
		return err
	}
	t.you("POST /v1/orders/{order_id}:capture and :refund")
	if err := t.post(ctx, "/v1/orders/"+order+":capture", &gatewayv1.CaptureOrderRequest{RequestId: newRequestID(), Amount: eur(12995)}, nil); err != nil {
		return err
	}
	if err := t.post(ctx, "/v1/orders/"+order+":refund", &gatewayv1.RefundOrderRequest{RequestId: newRequestID(), Amount: eur(12995)}, nil); err != nil {
		return err
	}
	_, err = restSees(lines, "CAPTURED", "REFUNDED", "")
	return err
}

func (t *traveller) restPush(ctx context.Context) error {
	t.play("a customer completes a Klarna Checkout")
	order, err := t.local.sim.CompleteCheckout(klarnatest.CheckoutOrder{Amount: 5000, Currency: "EUR", Country: "DE", Reference: "KCO-5003"})
	if err != nil {
		return err
	}
	t.advance(2*time.Minute + time.Second)
	t.you("POST /v1/orders/{order_id}:acknowledge, once the push is on record")
	return eventually(func() error {
		var status struct {
			Payments []struct{ OrderID string }
		}
		if err := t.get(ctx, "/v1/payments:status?merchantReference=KCO-5003", &status); err != nil {
			return err
		}
		var ack struct{ Confirmed bool }
		err := t.post(ctx, "/v1/orders/"+order+":acknowledge", &gatewayv1.AcknowledgeOrderRequest{RequestId: newRequestID()}, &ack)
		return firstError(err, expected(ack.Confirmed, "want Klarna's confirmation"))
	})
}

func (t *traveller) restPartner(ctx context.Context) error {
	lines, stop, err := t.restWatch(ctx, "/v1/partners:watch?start=WATCH_START_NOW&partnerAccountReferences=mrc-000483&untilStates=STATE_OPERATIONAL")
	if err != nil {
		return err
	}
	defer stop()
	var made struct {
		Partner struct{ PartnerAccountID, State string }
	}
	t.you("POST /v1/partners:onboard")
	if err := t.post(ctx, "/v1/partners:onboard", onboardRequest("mrc-000483", "https://cdn.nordlicht.example/logo.png"), &made); err != nil {
		return err
	}
	id := made.Partner.PartnerAccountID
	t.play("set-up is finished")
	if err := t.local.sim.Operational(id); err != nil {
		return err
	}
	if _, err := restSees(lines, "ONBOARDED", "OPERATIONAL", ""); err != nil {
		return err
	}
	t.you("GET /v1/partners/{partner_account_id}")
	if err := t.get(ctx, "/v1/partners/"+id, &made); err != nil {
		return err
	}
	return expected(made.Partner.State == "STATE_OPERATIONAL", "want STATE_OPERATIONAL, got %s", made.Partner.State)
}

// restEvent is one line of a watch over HTTP; End is set on the last one.
type restEvent struct {
	Kind    string
	Payment struct{ OrderID string }
	End     string
	Err     error
}

// restWatch opens a watch over HTTP and returns when its headers and the first line are there.
func (t *traveller) restWatch(ctx context.Context, path string) (<-chan restEvent, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	t.you("GET %s", path)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.rest+path, nil)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	if res.StatusCode != http.StatusOK {
		cancel()
		return nil, nil, fmt.Errorf("step differs: watch answered %s", res.Status)
	}
	events := make(chan restEvent, 64)
	go func() {
		defer res.Body.Close()
		scanner := bufio.NewScanner(res.Body)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			if ev, some := readLine(scanner.Bytes()); some {
				t.timeline.add("watch (http)", "%s%s", ev.Kind, ev.End)
				events <- ev
			}
		}
	}()
	return events, cancel, nil
}

func readLine(line []byte) (ev restEvent, some bool) {
	var read struct {
		Result struct {
			Event     *restEvent
			StreamEnd *struct{ Reason string }
		}
		Error *struct{ Message string }
	}
	switch err := json.Unmarshal(line, &read); {
	case err != nil:
		return restEvent{Err: err}, true
	case read.Error != nil:
		return restEvent{Err: errors.New(read.Error.Message)}, true
	case read.Result.Event != nil:
		return *read.Result.Event, true
	case read.Result.StreamEnd != nil:
		return restEvent{End: read.Result.StreamEnd.Reason}, true
	}
	return ev, false // a bookmark
}

// restSees takes events until each kind was there, in this order; an empty kind is the end of the stream.
func restSees(events <-chan restEvent, kinds ...string) (ev restEvent, err error) {
	for _, want := range kinds {
		for there := false; !there; {
			select {
			case ev = <-events:
			case <-time.After(stepTime):
				return ev, fmt.Errorf("step differs: nothing came over http, want %q", want)
			}
			if ev.Err != nil {
				return ev, ev.Err
			}
			if want != "" && ev.End != "" {
				return ev, fmt.Errorf("step differs: the watch ended with %s, want %q", ev.End, want)
			}
			there = want == "" && ev.End != "" || ev.Kind == "PAYMENT_EVENT_KIND_"+want || ev.Kind == "ACCOUNT_EVENT_KIND_"+want
		}
	}
	return ev, nil
}

func (t *traveller) post(ctx context.Context, path string, body proto.Message, answer any) error {
	encoded, err := protojson.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.rest+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return answered(req, answer)
}

func (t *traveller) get(ctx context.Context, path string, answer any) error {
	u, err := url.Parse(t.rest + path)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	return answered(req, answer)
}

func answered(req *http.Request, answer any) error {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("step differs: %s %s answered %s: %s", req.Method, req.URL.Path, res.Status, body)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(body, answer)
}
