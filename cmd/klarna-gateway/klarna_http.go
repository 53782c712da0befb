package main

import (
	"net/http"
	"time"
)

// klarnaHTTP is a client for calls to Klarna: connections are kept, but not longer than Klarna's idle limit of 59 s, and
// one whose other end has gone silent is found out by pings rather than by the call's deadline. It is not instrumented
// as a whole: paths to Klarna hold authorisation tokens, which a span would tell.
func klarnaHTTP() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	transport.IdleConnTimeout = 50 * time.Second
	transport.ResponseHeaderTimeout = 60 * time.Second
	transport.MaxResponseHeaderBytes = 64 << 10 // bodies are bounded by the client
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second}
	return &http.Client{Transport: transport}
}
