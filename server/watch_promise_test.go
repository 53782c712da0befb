package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// The five promises of a watch, where callers see them: over gRPC and as Server-Sent Events. Writers race, watchers drop,
// lag and resume from any token they had, and whatever they do, what each one saw in the end is the log: ordered, unique,
// reliable, resumable, and bookmarked (a bookmark's token leads past no event that was not delivered).

// told is one response of a watch, whichever way it came.
type telling struct {
	token, event string
	position     int64
}

// opening opens a watch behind a token, or at the beginning.
type opening func(ctx context.Context, token string, references []string) (next func() (telling, error), err error)

func (f *face) overGRPCWatch(ctx context.Context, token string, references []string) (func() (telling, error), error) {
	req := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest), MerchantReferences: references, HeartbeatSeconds: 1}
	if token != "" {
		req.From = fromToken(token)
	}
	stream, err := f.payments.WatchPaymentStatus(ctx, req)
	if err != nil {
		return nil, err
	}
	return func() (telling, error) {
		res, err := stream.Recv()
		return tellingOf(res), err
	}, nil
}

func (f *face) overSSEWatch(ctx context.Context, token string, references []string) (func() (telling, error), error) {
	query := url.Values{"start": {"WATCH_START_EARLIEST"}, "heartbeatSeconds": {"1"}, "merchantReferences": references}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.rest.URL+"/v1/payments:watch?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if token != "" {
		req.Header.Set("Last-Event-ID", token)
	}
	res, err := f.rest.Client().Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		return nil, fmt.Errorf("%d: %s", res.StatusCode, body)
	}
	context.AfterFunc(ctx, func() { _ = res.Body.Close() })
	lines := bufio.NewReader(res.Body)
	return func() (telling, error) {
		e, err := readSSE(lines)
		if err != nil {
			return telling{}, err
		}
		one := &gatewayv1.WatchPaymentStatusResponse{}
		if err := protojson.Unmarshal(e.data, one); err != nil {
			return telling{}, err
		}
		if e.id != one.GetResumeToken() {
			return telling{}, errors.New("the id is not the token")
		}
		return tellingOf(one), nil
	}, nil
}

func tellingOf(res *gatewayv1.WatchPaymentStatusResponse) telling {
	return telling{token: res.GetResumeToken(), event: res.GetEvent().GetEventId(), position: res.GetEvent().GetPosition()}
}

// TestWatch_HoldsItsPromises races writers against watchers of both kinds, over all of the log and over a part.
func TestWatch_HoldsItsPromises(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const writers, each = 3, 40
	ctx, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	var working sync.WaitGroup
	for w := range writers {
		working.Go(func() {
			for n := range each {
				fact := opened(fmt.Sprint("SO-", w))
				fact.EventID, fact.Session.OrderAmount, fact.Session.Updated = fmt.Sprintf("e-%d-%d", w, n), int64(1000+n), n > 0
				s.record(fact)
			}
		})
	}
	watches := map[string]opening{"gRPC": s.overGRPCWatch, "SSE": s.overSSEWatch}
	parts := map[string][]string{"all": nil, "one": {"SO-1"}, "two": {"SO-0", "SO-2"}}
	var mu sync.Mutex
	seen := map[string][]telling{}
	for over, open := range watches {
		for part, references := range parts {
			want := writers * each
			if references != nil {
				want = each * len(references)
			}
			working.Go(func() {
				got := dropLagAndResume(ctx, t, open, references, want)
				mu.Lock()
				defer mu.Unlock()
				seen[over+", "+part] = got
			})
		}
	}
	working.Wait()
	for name, got := range seen {
		_, part, _ := strings.Cut(name, ", ")
		want, err := s.store.Events(t.Context(), store.Query{Stream: store.Payments, Keys: keys("merchant_reference", parts[part]...), Limit: 1000})
		must(t, err)
		if len(got) != len(want) {
			t.Errorf("%s: %d events came, want %d", name, len(got), len(want))
			continue
		}
		for i, ev := range want {
			if got[i].event != ev.ID || got[i].position != int64(ev.Position) {
				t.Fatalf("%s: as number %d came %+v, want %s at %d", name, i, got[i], ev.ID, ev.Position)
			}
		}
	}
}

// dropLagAndResume watches until it has seen all. It drops the watch now and then, is slow at times, and goes back to an
// earlier token, as a caller does that lost what it had; what came behind that token is then taken as unseen.
func dropLagAndResume(ctx context.Context, t *testing.T, open opening, references []string, want int) (seen []telling) {
	type place struct {
		token string
		seen  int
	}
	places := []place{{}}
	for len(seen) < want && ctx.Err() == nil && !t.Failed() {
		at := places[len(places)-1]
		if rand.IntN(3) == 0 {
			at = places[rand.IntN(len(places))]
		}
		seen = seen[:at.seen]
		once, drop := context.WithCancel(ctx)
		next, err := open(once, at.token, references)
		if err != nil {
			drop()
			t.Errorf("open: %v", err)
			return seen
		}
		for left := 1 + rand.IntN(40); left > 0 && len(seen) < want; left-- {
			got, err := next()
			if err != nil {
				t.Errorf("watch: %v", err)
				break
			}
			if got.event != "" {
				seen = append(seen, got)
			}
			places = append(places, place{got.token, len(seen)})
			if rand.IntN(30) == 0 {
				lag := time.NewTimer(time.Duration(rand.IntN(20)) * time.Millisecond)
				<-lag.C
			}
		}
		drop()
	}
	return seen
}
