package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// klarna answers at once, the same to everybody: what Klarna takes is not what is measured. It runs beside the load.
type klarna struct {
	url  string
	http *http.Server
}

func newKlarna() (*klarna, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /payments/v1/sessions", func(w http.ResponseWriter, r *http.Request) {
		id := uuid.NewString()
		answer(w, r, http.StatusOK, strings.ReplaceAll(sessionText, "SESSION", id))
	})
	mux.HandleFunc("GET /payments/v1/sessions/{id}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, http.StatusOK, `{"status":"incomplete"}`)
	})
	mux.HandleFunc("POST /ordermanagement/v1/orders/{id}/captures", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Capture-Id", uuid.NewString())
		answer(w, r, http.StatusCreated, "")
	})
	mux.HandleFunc("GET /ordermanagement/v1/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, http.StatusOK, strings.ReplaceAll(orderText, "ORDER", r.PathValue("id")))
	})
	k := &klarna{url: "http://" + listener.Addr().String(), http: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}}
	go func() { _ = k.http.Serve(listener) }()
	return k, nil
}

func (k *klarna) close() { _ = k.http.Close() }

func answer(w http.ResponseWriter, r *http.Request, status int, body string) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// Klarna's answers, as long as its own are. SESSION and ORDER stand for ids.
const sessionText = `{"session_id":"SESSION","client_token":"eyJhbGciOiJSUzI1NiIsImtpZCI6ImJlbmNoIn0.eyJzZXNzaW9uX2lkIjoiU0VTU0lPTiIsImJhc2VfdXJsIjoiaHR0cHM6Ly9leGFtcGxlLmNvbS9wYXltZW50cyIsImRlc2lnbiI6ImtsYXJuYSIsImxhbmd1YWdlIjoiZGUiLCJwdXJjaGFzZV9jb3VudHJ5IjoiREUifQ.c2lnbmF0dXJlLW9mLXRoZS1iZW5jaA",` +
	`"payment_method_categories":[{"identifier":"pay_now","name":"Sofort bezahlen.","asset_urls":{"descriptive":"https://x.example/pay_now/descriptive.svg","standard":"https://x.example/pay_now/standard.svg"}}]}`

var orderText = fmt.Sprintf(`{"order_id":"ORDER","status":"AUTHORIZED","fraud_status":"ACCEPTED","klarna_reference":"K4MADNY-1","purchase_currency":"EUR","purchase_country":"DE","locale":"de-DE",`+
	`"order_amount":%[1]d,"original_order_amount":%[1]d,"captured_amount":0,"refunded_amount":0,"remaining_authorized_amount":%[1]d,"merchant_reference1":"SO-ORDER",`+
	`"created_at":"2026-01-02T03:04:05.000Z","expires_at":"2099-01-30T03:04:05.000Z","order_lines":[`+
	`{"type":"physical","reference":"L-1","name":"Lamp","quantity":1,"unit_price":%[1]d,"tax_rate":1900,"total_amount":%[1]d,"total_tax_amount":15966387}],`+
	`"billing_address":{"given_name":"Testperson-de","family_name":"Approved","email":"customer@email.de","street_address":"Mustergasse 1","postal_code":"12345","city":"Musterstadt","country":"DE"},`+
	`"initial_payment_method":{"type":"PAY_NOW","description":"Pay now"},"captures":[],"refunds":[]}`, orderAmount)

// orderAmount is enough for all captures of a run.
const orderAmount = 100_000_000
