package server

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func TestPrefersEvents(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"text/event-stream":                                        true,
		"text/event-stream, */*":                                   true,
		"application/json;q=0.5, text/event-stream;q=0.9":          true,
		"Text/Event-Stream; charset=utf-8":                         true,
		"application/json, text/event-stream":                      true,
		"application/json, text/event-stream;q=0.9":                false,
		"application/x-ndjson;q=0.8, text/event-stream;q=0.1, */*": false,
		"text/event-stream;q=0":                                    false,
		"*/*":                                                      false,
		"":                                                         false,
		"text/event-stream;q=x, application/json;q=0.4, ,;;broken/": true,
	} {
		if got := prefersEvents([]string{accept}); got != want {
			t.Errorf("%q: got %v", accept, got)
		}
	}
	if !prefersEvents([]string{"text/html", "text/event-stream"}) {
		t.Error("the second header line does not count")
	}
}

// sse is one Server-Sent Event.
type sse struct {
	id, kind, retry string
	data            []byte
}

// response is the event's data as the response that it stands for.
func (e sse) response(t *testing.T) *gatewayv1.WatchPaymentStatusResponse {
	t.Helper()
	res := &gatewayv1.WatchPaymentStatusResponse{}
	must(t, protojson.Unmarshal(e.data, res))
	return res
}

// readSSE reads the next event as a browser does; io.EOF at the end.
func readSSE(lines *bufio.Reader) (e sse, err error) {
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "":
			return e, nil
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "retry":
			e.retry = value
		case "data":
			e.data = append(e.data, value...)
		}
	}
}

func (f *face) eventSource(query string, header http.Header) (*http.Response, func() sse) {
	f.t.Helper()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Accept", "text/event-stream")
	res := f.do(http.MethodGet, "/v1/payments:watch?"+query, nil, header)
	lines := bufio.NewReader(res.Body)
	return res, func() sse {
		f.t.Helper()
		e, err := readSSE(lines)
		must(f.t, err)
		return e
	}
}

func TestSSE_TellsAWatchAsItGoesAndComesBackWithTheLastID(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	res, next := s.eventSource("start=WATCH_START_NOW&heartbeatSeconds=1", nil)
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if first := next(); first.kind != "bookmark" || first.id == "" || first.id != first.response(t).GetResumeToken() {
		t.Fatalf("the first event is %+v, want a bookmark at once", first)
	}
	next()
	s.record(opened("SO-1"))
	seen := next()
	for seen.kind == "bookmark" {
		seen = next()
	}
	if seen.kind != "event" || seen.response(t).GetEvent().GetPayment().GetMerchantReference1() != "SO-1" {
		t.Fatalf("got %+v", seen)
	}
	if beat := next(); beat.kind != "bookmark" || len(beat.data) == 0 {
		t.Errorf("the heartbeat is %+v, want data", beat)
	}
	_ = res.Body.Close()
	s.record(opened("SO-2"))
	_, next = s.eventSource("start=WATCH_START_NOW&heartbeatSeconds=1", http.Header{"Last-Event-Id": {seen.id}})
	back := next()
	for back.kind == "bookmark" {
		back = next()
	}
	if got := back.response(t).GetEvent().GetPayment().GetMerchantReference1(); got != "SO-2" {
		t.Errorf("after the reconnect came %q, want SO-2 that happened meanwhile", got)
	}
}

func TestSSE_EndsWithATypedFrame(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	res, next := s.eventSource("start=WATCH_START_NOW", nil)
	next()
	next()
	s.server.Drain()
	end := next()
	if end.kind != "streamEnd" || end.retry != "1000" || end.response(t).GetStreamEnd().GetReason() != gatewayv1.StreamEnd_REASON_DRAINING {
		t.Errorf("the last event is %+v", end)
	}
	if rest, err := io.ReadAll(res.Body); len(rest) != 0 || err != nil {
		t.Errorf("behind the end came %q, %v", rest, err)
	}
}

func TestSSE_FailsWithATypedFrameInTheMiddleAndWithAStatusBefore(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	reasonIn := func(e sse) string {
		st := &status.Status{}
		must(t, protojson.Unmarshal(e.data, st))
		return string(e.data)
	}
	res, next := s.eventSource("resumeToken=nonsense", nil)
	if e := next(); res.StatusCode != http.StatusBadRequest || e.kind != "streamError" || !strings.Contains(reasonIn(e), "RESUME_TOKEN_INVALID") {
		t.Errorf("before the first event: %d, %+v", res.StatusCode, e)
	}
	if got := res.Header.Get("Content-Type"); got != eventStreamType {
		t.Errorf("a failed stream is of type %s", got)
	}
	res, next = s.eventSource("start=WATCH_START_NOW", nil)
	next()
	next()
	s.server.grpc.Stop() // the connection behind REST breaks
	if e := next(); res.StatusCode != http.StatusOK || e.kind != "streamError" || !strings.Contains(reasonIn(e), `"code"`) {
		t.Errorf("in the middle: %d, %+v", res.StatusCode, e)
	}
}

func TestREST_AClientThatLeavesFreesTheWatch(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, accept := range []string{"text/event-stream", "application/json"} {
		res := s.do(http.MethodGet, "/v1/payments:watch?start=WATCH_START_NOW", nil, http.Header{"Accept": {accept}})
		_, err := io.ReadFull(res.Body, make([]byte, 10))
		must(t, err)
		_ = res.Body.Close()
		eventually(t, accept+": the watch is freed", func() bool { return s.server.keeper.open() == 0 })
	}
}

// TestREST_WatchesPassABufferingProxy stands behind a proxy that collects what it gets, as nginx does, unless the
// response says otherwise.
func TestREST_WatchesPassABufferingProxy(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	proxy := httptest.NewServer(bufferingProxy(s.rest.URL))
	t.Cleanup(proxy.Close)
	for _, accept := range []string{"text/event-stream", "application/json"} {
		ctx, leave := context.WithTimeout(t.Context(), patience)
		defer leave()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, proxy.URL+"/v1/payments:watch?start=WATCH_START_NOW", nil)
		must(t, err)
		req.Header.Set("Accept", accept)
		res, err := proxy.Client().Do(req)
		must(t, err)
		line, err := bufio.NewReader(res.Body).ReadString('\n')
		if err != nil || line == "" {
			t.Errorf("%s: through the proxy came %q, %v", accept, line, err)
		}
		_ = res.Body.Close()
	}
}

func bufferingProxy(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), r.Method, to+r.URL.RequestURI(), r.Body)
		if err != nil {
			panic(err)
		}
		req.Header = r.Header
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		for name, values := range res.Header {
			w.Header()[name] = slices.Clone(values)
		}
		collected, piece := []byte{}, make([]byte, 1024)
		for {
			n, err := res.Body.Read(piece)
			collected = append(collected, piece[:n]...)
			if res.Header.Get("X-Accel-Buffering") == "no" || len(collected) > 1<<20 || err != nil {
				_, _ = w.Write(collected)
				collected = collected[:0]
				_ = http.NewResponseController(w).Flush()
			}
			if err != nil {
				return
			}
		}
	}
}
