package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
	"payments.internal/klarna-gateway/store/sqlite"
)

// The five promises of a watch, where callers see them: over gRPC and as Server-Sent Events, on either engine and on
// several gateways over one database. Writers race, watchers drop, lag, and resume on any gateway from any token they had.
// Whatever they do, what each one saw in the end is the log: ordered, unique, reliable, resumable, and bookmarked (no
// token leads past an event that was not delivered). A watcher is done when a token leads past all that was written, so
// what got lost is noticed at once.

// telling is one response of a watch, whichever way it came.
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

// TestWatch_HoldsItsPromises races writers against watchers of both kinds, over all of the log and over a part. It has more
// threads than cores, and runs beside no other test, so that who reads, writes and waits is held up anywhere.
func TestWatch_HoldsItsPromises(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8 * runtime.NumCPU()))
	for name, start := range map[string]func(*testing.T) []*stack{
		"SQLite":        func(t *testing.T) []*stack { return replicas(t, 1, onSQLite(t)) },
		"PostgreSQL":    func(t *testing.T) []*stack { return replicas(t, 1, onPostgreSQL(t)) },
		"ThreeReplicas": func(t *testing.T) []*stack { return replicas(t, 3, onPostgreSQL(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			race(t, start(t))
		})
	}
}

// race runs writers and watchers spread over the gateways, and holds what each watcher saw against the log.
func race(t *testing.T, gateways []*stack) {
	const writers, each, most, openings, hasty = 3, 40, 100, 800, 12
	ctx, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	var writing, watching sync.WaitGroup
	var begun atomic.Int64
	for w := range writers {
		writing.Go(func() {
			for n := 0; n < each || n < most && begun.Load() < openings && !t.Failed(); n++ {
				fact := opened(fmt.Sprint("SO-", w))
				fact.EventID, fact.Session.OrderAmount, fact.Session.Updated = fmt.Sprintf("e-%d-%d", w, n), int64(1000+n), n > 0
				gateways[w%len(gateways)].record(fact)
			}
		})
	}
	var written atomic.Int64 // the last position; 0 while there may be more
	parts := map[string][]string{"all": nil, "one": {"SO-1"}, "two": {"SO-0", "SO-2"}}
	var watchers []*watcher
	for over, open := range map[string]func(*face) opening{
		"gRPC": func(f *face) opening { return f.overGRPCWatch }, "SSE": func(f *face) opening { return f.overSSEWatch },
	} {
		for name, part := range parts {
			w := &watcher{name: over + ", " + name, part: part, begun: &begun, written: &written, places: []passed{{}}}
			for _, gateway := range gateways {
				w.open = append(w.open, open(gateway.face))
			}
			watchers = append(watchers, w)
			watching.Go(func() { w.dropLagAndResume(ctx, t) })
		}
	}
	for n := range hasty {
		gateway := gateways[n%len(gateways)]
		w := &watcher{name: fmt.Sprint("hasty ", n), hasty: true, open: []opening{gateway.overGRPCWatch}, begun: &begun, written: &written, places: []passed{{}}}
		watchers = append(watchers, w)
		watching.Go(func() { w.dropLagAndResume(ctx, t) })
	}
	writing.Wait()
	head, _, err := gateways[0].store.Head(t.Context())
	must(t, err)
	written.Store(int64(head))
	watching.Wait()
	for _, w := range watchers {
		log, err := gateways[0].store.Events(t.Context(), store.Query{Stream: store.Payments, Keys: keys("merchant_reference", w.part...), Limit: 1 << 20})
		must(t, err)
		w.compare(t, log)
	}
	t.Logf("%d events, %d openings", head, begun.Load())
}

// watcher sees one part of the log, over and over.
type watcher struct {
	name    string
	hasty   bool      // leaves with each event, and comes again
	part    []string  // the references of what it watches; none for all
	open    []opening // on each gateway
	begun   *atomic.Int64
	written *atomic.Int64
	seen    []telling
	places  []passed
}

// passed is a token, and how many events its watcher was told of before.
type passed struct {
	token string
	at    store.Position
	seen  int
}

// dropLagAndResume watches until a token leads past all that was written. It drops the watch with the first event after it
// has caught up, because around there events get lost, or before. A watcher that is not hasty is slow at times, and goes
// back to an earlier token, as a caller does that lost what it had; what came behind that token is then taken as unseen.
func (w *watcher) dropLagAndResume(ctx context.Context, t *testing.T) {
	for done := false; !done && ctx.Err() == nil && !t.Failed(); {
		at := w.places[len(w.places)-1]
		if !w.hasty && rand.IntN(4) == 0 {
			at = w.places[max(0, len(w.places)-1-rand.IntN(20))]
		}
		w.seen = w.seen[:at.seen]
		once, drop := context.WithCancel(ctx)
		next, err := w.open[rand.IntN(len(w.open))](once, at.token, w.part)
		w.begun.Add(1)
		if err != nil {
			t.Errorf("%s: open: %v", w.name, err)
		}
		bookmarks := 0 // one opens the watch, the next says that it has caught up
		for left := 1 + rand.IntN(200); err == nil && left > 0 && !done; left-- {
			var event bool
			if event, done, err = w.take(next); err != nil {
				t.Errorf("%s: %v", w.name, err)
			}
			switch {
			case !event:
				bookmarks++
			case bookmarks > 1:
				left = 0
			}
			if !w.hasty && rand.IntN(200) == 0 {
				lag := time.NewTimer(time.Duration(rand.IntN(20)) * time.Millisecond)
				<-lag.C
			}
		}
		drop()
	}
	if ctx.Err() != nil {
		t.Errorf("%s: no token led past what was written", w.name)
	}
}

// take takes one response, and tells whether it is an event, and whether its token leads past all that was written.
func (w *watcher) take(next func() (telling, error)) (event, done bool, err error) {
	written := w.written.Load()
	got, err := next()
	if err != nil {
		return false, false, err
	}
	if got.event != "" {
		w.seen = append(w.seen, got)
	}
	raw, err := tokenText.DecodeString(got.token)
	if err != nil {
		return false, false, err
	}
	_, _, _, at, ok := apart(raw[digestSize:])
	if !ok {
		return false, false, errors.New("a token without a place")
	}
	w.places = append(w.places, passed{got.token, at.After, len(w.seen)})
	return got.event != "", written > 0 && int64(at.After) >= written, nil
}

// compare holds what was seen, and what each token has led past, against the log.
func (w *watcher) compare(t *testing.T, log []store.Event) {
	t.Helper()
	if len(w.seen) != len(log) {
		t.Errorf("%s: %d events came, want %d", w.name, len(w.seen), len(log))
	}
	for i := range min(len(w.seen), len(log)) {
		if got, want := w.seen[i], log[i]; got.event != want.ID || got.position != int64(want.Position) {
			t.Errorf("%s: as number %d came %+v, want %s at %d", w.name, i, got, want.ID, want.Position)
			break
		}
	}
	for _, p := range w.places {
		before := slices.IndexFunc(log, func(ev store.Event) bool { return ev.Position > p.at })
		if before < 0 {
			before = len(log)
		}
		if p.seen != before {
			t.Errorf("%s: a token leads past position %d, where %d events are, after %d were told", w.name, p.at, before, p.seen)
			break
		}
	}
}

// replicas runs gateways over one log.
func replicas(t *testing.T, count int, open func() (store.Engine, error)) (all []*stack) {
	t.Helper()
	keys, err := store.OpenKeyring(filepath.Join(t.TempDir(), "keys.json"))
	must(t, err)
	for range count {
		s := &stack{t: t, logs: &logs{}}
		log := slog.New(slog.NewJSONHandler(s.logs, nil))
		engine, err := open()
		must(t, err)
		t.Cleanup(func() { _ = engine.Close() })
		s.store, err = store.New(t.Context(), store.Config{Engine: engine, Keys: keys, PageSize: 7, TailCount: 64, Logger: log, Renderings: Renderings()})
		must(t, err)
		t.Cleanup(s.store.Close)
		s.journal = journal.New(journal.Config{Store: s.store, Logger: log})
		s.face = s.serve(nil)
		all = append(all, s)
	}
	return all
}

func onSQLite(t *testing.T) func() (store.Engine, error) {
	path := filepath.Join(t.TempDir(), "gateway.db")
	return func() (store.Engine, error) { return sqlite.Open(context.Background(), path) }
}

func onPostgreSQL(t *testing.T) func() (store.Engine, error) {
	url := postgrestest.URL(t)
	return func() (store.Engine, error) { return postgres.Open(context.Background(), url) }
}
