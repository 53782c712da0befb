package main

import (
	"net/http"
	"net/http/httptrace"

	"payments.internal/klarna-gateway/operation"
)

// failpoint is called at the named points of every write to Klarna, with Klarna's path or the name of the operation. It
// is nil, and the points are nothing, in every gateway but those that tests start: only a file of this package's tests
// assigns it, and no flag, variable or configuration leads here. A build tag would do too, but then the gateway that is
// killed in tests would not be the one that is shipped.
var failpoint func(at operation.Point, what string)

// failing lets failpoint see what goes to Klarna through a client.
func failing(client *http.Client) *http.Client {
	if failpoint == nil {
		return client
	}
	return &http.Client{Transport: failingTransport{client.Transport}, Timeout: client.Timeout}
}

type failingTransport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t failingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		return t.next.RoundTrip(r)
	}
	failpoint(operation.BeforeSend, r.URL.Path)
	traced := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { failpoint(operation.AfterSend, r.URL.Path) },
	})
	return t.next.RoundTrip(r.WithContext(traced))
}
