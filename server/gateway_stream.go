package server

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// eventStreamType is the media type of Server-Sent Events.
const eventStreamType = "text/event-stream"

// eventStream writes streams as Server-Sent Events: one per response, with its resume token as id, the name of what it
// tells as type, and the response as JSON as data. An error is an event of the type streamError. Whatever is no stream is
// JSON.
type eventStream struct{ runtime.JSONPb }

// Delimiter ends an event.
func (*eventStream) Delimiter() []byte { return []byte("\n") }

// StreamContentType is the content type of streams.
func (*eventStream) StreamContentType(any) string { return eventStreamType }

// ContentType is that of an answer; a stream that fails before its first response is an event too.
func (e *eventStream) ContentType(v any) string {
	if _, failed := v.(map[string]proto.Message); failed {
		return eventStreamType
	}
	return e.JSONPb.ContentType(v)
}

// Marshal implements runtime.Marshaler. The gateway wraps responses of a stream as "result" and failures as "error".
func (e *eventStream) Marshal(v any) ([]byte, error) {
	switch v := v.(type) {
	case map[string]proto.Message:
		return e.event("streamError", "", 0, v["error"])
	case map[string]any:
		if res, ok := v["result"].(proto.Message); ok {
			kind, token, retry := stepOf(res)
			return e.event(kind, token, retry, res)
		}
	}
	return e.JSONPb.Marshal(v)
}

func (e *eventStream) event(kind, id string, retry time.Duration, data proto.Message) ([]byte, error) {
	encoded, err := e.JSONPb.Marshal(data)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	if kind != "" {
		fmt.Fprintf(&b, "event: %s\n", kind)
	}
	if retry > 0 {
		fmt.Fprintf(&b, "retry: %d\n", retry.Milliseconds())
	}
	fmt.Fprintf(&b, "data: %s\n", encoded)
	return b.Bytes(), nil
}

// stepOf reads what a watch response tells, its token, and how long to wait before going on.
func stepOf(res proto.Message) (kind, token string, retry time.Duration) {
	m := res.ProtoReflect()
	if field := m.Descriptor().Fields().ByName("resume_token"); field != nil {
		token = m.Get(field).String()
	}
	if steps := m.Descriptor().Oneofs().ByName("message"); steps != nil {
		if field := m.WhichOneof(steps); field != nil {
			kind = field.JSONName()
		}
	}
	if ending, ok := res.(interface{ GetStreamEnd() *gatewayv1.StreamEnd }); ok {
		retry = ending.GetStreamEnd().GetRetryDelay().AsDuration()
	}
	return kind, token, retry
}

// watches prepares requests and responses of watches over REST: which form they have, where they go on, that no proxy
// holds them back, and that a client which does not read is cut off.
func (s *Server) watches(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ":watch") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-cache, no-transform")
		w.Header().Set("X-Accel-Buffering", "no")
		r = r.Clone(r.Context())
		if prefersEvents(r.Header.Values("Accept")) {
			r.Header.Set("Accept", eventStreamType) // the gateway compares it as a whole
		} else {
			r.Header.Del("Accept")
		}
		if last := r.Header.Get("Last-Event-ID"); last != "" { // a browser that comes back: on from there
			query := r.URL.Query()
			for _, name := range []string{"start", "resumeToken", "resume_token"} {
				query.Del(name)
			}
			query.Set("resumeToken", last)
			r.URL.RawQuery = query.Encode()
		}
		bounded := &boundedWriter{ResponseWriter: w, control: http.NewResponseController(w), limit: s.keeper.unread}
		defer bounded.release()
		next.ServeHTTP(bounded, r)
	})
}

// prefersEvents tells whether a client asks for Server-Sent Events, and for nothing else more.
func prefersEvents(accept []string) bool {
	var events, others float64
	for _, one := range strings.Split(strings.Join(accept, ","), ",") {
		kind, params, err := mime.ParseMediaType(one)
		if err != nil {
			continue
		}
		quality, err := strconv.ParseFloat(params["q"], 64)
		if err != nil {
			quality = 1
		}
		switch kind {
		case eventStreamType:
			events = max(events, quality)
		case "application/json", "application/x-ndjson":
			others = max(others, quality)
		}
	}
	return events > 0 && events >= others
}

// boundedWriter gives every write of a stream the time that a client may take to read.
type boundedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	_ = b.control.SetWriteDeadline(time.Now().Add(b.limit)) // a writer without deadlines has none to exceed
	return b.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (b *boundedWriter) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// release lifts the deadline for the connection's next request.
func (b *boundedWriter) release() { _ = b.control.SetWriteDeadline(time.Time{}) }
