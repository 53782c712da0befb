package server

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/metadata"
)

// tracedREST makes spans of REST requests, if there are traces. Their metrics are not taken: a client names any host.
func (s *Server) tracedREST(next http.Handler) http.Handler {
	if s.traces == nil {
		return next
	}
	return otelhttp.NewHandler(next, "rest", otelhttp.WithTracerProvider(s.traces), otelhttp.WithMeterProvider(noop.NewMeterProvider()),
		otelhttp.WithPropagators(propagation.TraceContext{}))
}

// carryCaller hands on what REST knows of its client: the verified certificate, a ticket, and the trace context.
func carryCaller(ctx context.Context, r *http.Request) metadata.MD {
	md := metadata.MD{}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		for _, cert := range r.TLS.VerifiedChains[0] {
			md.Append(peerCertificateKey, string(cert.Raw))
		}
	}
	if what, ok := ctx.Value(ticketText{}).(presented); ok {
		md.Set(ticketKey, what.ticket)
		md.Set(returnKey, what.back)
		md.Set(newReturnKey, what.fresh)
	}
	traced := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, traced)
	if traced[traceParentKey] == "" {
		traced[traceParentKey] = r.Header.Get(traceParentKey)
	}
	if traced[traceParentKey] != "" {
		md.Set(traceParentKey, traced[traceParentKey])
	}
	return md
}

type ticketText struct{}

const (
	watchPath    = "/v1/payments:watch"
	ticketCookie = "klarna_gateway_ticket"
)

// takeTicket takes a watch ticket out of the request, before anything could note the URL down: from the query, or from
// the cookie where no other credentials came along. EventSource can send nothing else. A watch with a ticket begins with
// what there is, unless the request says where.
func takeTicket(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != watchPath {
			next.ServeHTTP(w, r)
			return
		}
		query := r.URL.Query()
		text := query.Get("ticket")
		if cookie, err := r.Cookie(ticketCookie); err == nil && text == "" && r.Header.Get("Authorization") == "" {
			text = cookie.Value
		}
		if text == "" {
			next.ServeHTTP(w, r)
			return
		}
		query.Del("ticket")
		if !query.Has("start") && !query.Has("resume_token") && !query.Has("resumeToken") && r.Header.Get("Last-Event-ID") == "" {
			query.Set("start", "WATCH_START_SNAPSHOT")
		}
		what := presented{ticket: text}
		if cookie, err := r.Cookie(returnCookie(text)); err == nil {
			what.back = cookie.Value
		} else {
			what.fresh = newSecret()
			w = newWelcome(w, r, what)
		}
		taken := r.Clone(context.WithValue(r.Context(), ticketText{}, what))
		taken.Header.Del("Cookie")
		taken.URL.RawQuery = query.Encode()
		taken.RequestURI = strings.TrimSuffix(taken.URL.Path+"?"+taken.URL.RawQuery, "?")
		next.ServeHTTP(w, taken)
	})
}
