package server

import (
	"net/http"

	"github.com/rs/cors"
)

// CORS says which pages may use REST from a browser. The zero value lets none.
type CORS struct {
	Origins     []string // such as "https://shop.example"; "*" for all, then without credentials
	Credentials bool     // lets pages send cookies
}

// wrap answers preflights and marks responses for the origins. Without origins nothing is said, and browsers refuse.
func (c CORS) wrap(next http.Handler) http.Handler {
	if len(c.Origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: c.Origins, AllowCredentials: c.Credentials,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Accept", "Last-Event-ID", "Traceparent"},
		MaxAge:         600,
	}).Handler(next)
}
