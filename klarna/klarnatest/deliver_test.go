package klarnatest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"
)

// offsets are when attempts were made, counted from the first moment.
func offsets(deliveries []Delivery, kind string) (list []time.Duration) {
	for _, d := range deliveries {
		if d.Kind == kind {
			list = append(list, d.At.Sub(start))
		}
	}
	return list
}

func TestDelivery_FailedNotificationFollowsKlarnasSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	w.inbox.answering(func(int) int { return http.StatusNonAuthoritativeInfo }) // 203 is not among Klarna's four
	id := w.onboarded()
	w.must(w.klarna.Operational(id))
	w.klarna.Advance(72 * time.Hour)
	var want []time.Duration
	total := time.Duration(0)
	for _, wait := range []time.Duration{0, 10 * time.Second, 2 * time.Minute, 15 * time.Minute, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour} {
		total += wait
		want = append(want, total)
	}
	if got := offsets(w.klarna.Deliveries(), KindNetwork); !slices.Equal(got, want) {
		t.Errorf("attempts at %v, want %v", got, want)
	}
	posts := w.inbox.received()
	if string(posts[0].body) != string(posts[6].body) {
		t.Error("a retry has another body")
	}
}

func TestDelivery_StopsAtSuccess(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202, 204} {
		w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
		w.inbox.answering(func(n int) int {
			return map[bool]int{true: http.StatusFound, false: status}[n == 1]
		})
		w.must(w.klarna.Operational(w.onboarded()))
		w.klarna.Advance(24 * time.Hour)
		got := w.klarna.Deliveries()
		if len(got) != 2 || got[0].Status != http.StatusFound || got[1].Status != status || got[1].Attempt != 2 {
			t.Errorf("deliveries %+v, want 302 and then %d", got, status)
		}
	}
}

func TestDelivery_ReceiverThatIsDownIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1; c.NetworkURL = "http://127.0.0.1:1/down" })
	w.must(w.klarna.Operational(w.onboarded()))
	w.klarna.Advance(10 * time.Second)
	if got := w.klarna.Deliveries(); len(got) != 2 || got[1].Status != 0 {
		t.Errorf("deliveries %+v, want two without a status", got)
	}
}

func TestCallback_ThreeAttemptsInTotal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inbox.answering(func(int) int { return 500 })
	id := w.session(doc{})
	token, err := w.klarna.Authorize(id)
	w.must(err)
	w.klarna.Advance(time.Hour)
	if got := offsets(w.klarna.Deliveries(), KindAuthorization); !slices.Equal(got, []time.Duration{0, time.Second, 3 * time.Second}) {
		t.Errorf("attempts at %v", got)
	}
	p := w.inbox.received()[0]
	if p.path != "/callback?secret=s3cr3t" || p.json.str("authorization_token") != token || p.json.str("session_id") != id ||
		p.json.str("merchant_reference1") != "SO-88001" || p.json.has("merchant_reference2") {
		t.Errorf("callback to %s: %s", p.path, p.body)
	}
	if p.header.Get("Klarna-Signature") != "" || p.header.Get("Payload-Signature") != "" {
		t.Error("the callback is signed")
	}
}

func TestCallback_Any2xxStopsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inbox.answering(func(int) int { return 299 })
	_, err := w.klarna.Authorize(w.session(doc{}))
	w.must(err)
	w.klarna.Advance(time.Hour)
	if got := w.klarna.Deliveries(); len(got) != 1 {
		t.Errorf("%d attempts, want 1", len(got))
	}
}

func TestPush_RepeatsUntilAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, err := w.klarna.CompleteCheckout(CheckoutOrder{Amount: 9900, Currency: "EUR", Country: "DE", Reference: "N-1"})
	w.must(err)
	w.klarna.Advance(2 * time.Hour)
	want := []time.Duration{2 * time.Minute, 7 * time.Minute, 22 * time.Minute, 52 * time.Minute, 112 * time.Minute}
	if got := offsets(w.klarna.Deliveries(), KindPush); !slices.Equal(got, want) {
		t.Fatalf("pushes at %v, want %v", got, want)
	}
	p := w.inbox.received()[0]
	if p.path != "/push?order="+id || len(p.body) != 0 {
		t.Errorf("push to %s with body %q", p.path, p.body)
	}
	w.want(204, "POST", "/ordermanagement/v1/orders/"+id+"/acknowledge", nil)
	w.klarna.Advance(72 * time.Hour)
	if got := len(w.inbox.received()); got != 5 {
		t.Errorf("%d pushes, want none after the acknowledgement", got)
	}
}

func TestPush_EndsAfter48Hours(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.klarna.CompleteCheckout(CheckoutOrder{Amount: 9900, Currency: "EUR", Country: "DE"})
	w.must(err)
	w.klarna.Advance(7 * 24 * time.Hour)
	got := offsets(w.klarna.Deliveries(), KindPush)
	last := got[len(got)-1]
	if len(got) != 16 || last > 48*time.Hour+2*time.Minute || last < 44*time.Hour {
		t.Errorf("%d pushes, the last after %v", len(got), last)
	}
}

func TestHold_ReleasesInOrderOrReversed(t *testing.T) {
	t.Parallel()
	for name, reversed := range map[string]bool{"in order": false, "reversed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
			id := w.onboarded()
			w.klarna.Hold()
			w.must(w.klarna.Operational(id))
			w.must(w.klarna.DisableProduct(id))
			w.must(w.klarna.EnableProduct(id))
			w.settle()
			if got := w.inbox.received(); len(got) != 0 {
				t.Fatalf("%d posts came through", len(got))
			}
			want := []string{EventOperational, EventProductDisabled, EventProductEnabled}
			if reversed {
				slices.Reverse(want)
				w.klarna.ReleaseReversed()
			} else {
				w.klarna.Release()
			}
			w.settle()
			if got := types(w.inbox.received()); !slices.Equal(got, want) {
				t.Errorf("events %v, want %v", got, want)
			}
		})
	}
}

func TestDuplicateNext_SendsTheSameEventTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	id := w.onboarded()
	w.klarna.DuplicateNext(1)
	w.must(w.klarna.Operational(id))
	w.must(w.klarna.DisableProduct(id))
	w.settle()
	posts := w.inbox.received()
	if got := types(posts); !slices.Equal(got, []string{EventOperational, EventOperational, EventProductDisabled}) {
		t.Fatalf("events %v", got)
	}
	if string(posts[0].body) != string(posts[1].body) {
		t.Error("the duplicate differs")
	}
}

func TestDropNext_LosesForGoodButResendBringsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	id := w.onboarded()
	w.klarna.DropNext(1)
	w.must(w.klarna.Operational(id))
	w.klarna.Advance(48 * time.Hour)
	got := w.klarna.Deliveries()
	if len(got) != 1 || !got[0].Dropped || len(w.inbox.received()) != 0 {
		t.Fatalf("deliveries %+v, want one dropped", got)
	}
	w.must(w.klarna.Resend(got[0].EventID))
	w.settle()
	if got := types(w.inbox.received()); !slices.Equal(got, []string{EventOperational}) {
		t.Errorf("events %v", got)
	}
	if err := w.klarna.Resend("none"); !errors.Is(err, errUnknown) {
		t.Errorf("unknown event: %v", err)
	}
}

func TestDropCallbacks_LosesOnlyCallbacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.klarna.DropCallbacks(1)
	w.onboarded()
	w.klarna.Advance(time.Second)
	_, err := w.klarna.Authorize(w.session(doc{}))
	w.must(err)
	w.klarna.Advance(time.Hour)
	if got := w.inbox.received(); len(got) != 1 || got[0].path != "/network" {
		t.Errorf("%d posts, want the notification alone", len(got))
	}
}

func TestIdle_EndsWithItsContextOrTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.OperationalAfter = -1 })
	entered, leave := make(chan struct{}), make(chan struct{})
	w.inbox.answering(func(int) int { close(entered); <-leave; return 200 })
	w.must(w.klarna.Operational(w.onboarded()))
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.klarna.Idle(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Idle: %v, want the context's end", err)
	}
	w.klarna.Close()
	close(leave)
	w.must(w.klarna.Operational(w.want(201, "POST", onboardPath, merchant(t).with(doc{
		"partner_account_reference": "late", "products": []any{map[string]any{
			"type": "PAYMENT", "payment_profile_id": "krn:profile", "payment_accounts": []any{map[string]any{
				"payment_account_reference": "late", "payment_acquiring_account_id": "krn:acquiring",
				"default_merchant_category_code": "5941", "partner_business_entity_reference": "mrc-000482-le1",
				"default_store_group_reference": "mrc-000482-sg1"}}}}})).json.str("partner_account_id")))
	if err := w.klarna.Idle(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("Idle after Close: %v", err)
	}
	w.klarna.Advance(time.Hour) // must not hang
}

func TestServer_RunsOnTheWallClockToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Now = nil; c.OperationalAfter = 20 * time.Millisecond })
	arrived := make(chan struct{})
	w.inbox.answering(func(int) int { close(arrived); return 200 })
	w.onboarded()
	select {
	case <-arrived:
	case <-time.After(10 * time.Second):
		t.Fatal("the account did not become operational by itself")
	}
}
