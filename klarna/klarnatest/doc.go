// Package klarnatest is a Klarna to test against: an http.Handler that plays Klarna Network onboarding and
// payments with their webhooks, signing keys and credentials, Klarna Payments, customer tokens, hosted pages, Checkout,
// Order Management and Settlements on the wire, keeps state, and sends signed notifications, unsigned callbacks and Checkout pushes by
// itself. It refuses what Klarna would refuse, with Klarna's statuses and error bodies.
//
// It shares no wire types with the klarna client, so that the two check each other; it borrows only the signing
// functions. Where Klarna's documents are silent a comment beside the code says what was chosen.
//
// # Time
//
// Everything runs on a simulated clock: Config.Now plus what Advance added. Advance stops at every moment something
// is due, lets it happen, and returns when all is done, so a day of retries plays in its right order in milliseconds.
//
// # Faults
//
// Fail makes an operation slow, refused, cut off before its effect, or cut off after it; FailHook drops, doubles, delays
// or lets be overtaken what is posted; Arrange does both by a Plan, which ReadPlan reads from YAML. A Go client repeats a GET
// by itself when a reused connection breaks, and so may use up two cuts.
//
// # Admin
//
// Everything a test does by a method can be done over HTTP. Only peers on the loopback interface are answered; no
// credentials are needed. Bodies and answers are JSON, an error is {"error": "..."} with 400, 404 or 409. Durations
// are Go's ("90s"), amounts minor units.
//
//	POST /admin/advance                                  {"duration": "2h"}
//	POST /admin/idle                                     waits until nothing due is undelivered
//	POST /admin/sessions/{session_id}/authorize          answers {"authorization_token": "..."}
//	POST /admin/orders/{order_id}/pay                    {} or {"amount": 9000}
//	POST /admin/orders/{order_id}/lapse
//	POST /admin/orders/pend-next                         {"count": 1}: the next orders are PENDING
//	POST /admin/orders/{order_id}/decide                 {"accepted": true}
//	POST /admin/hosted-pages/{page_id}/open
//	POST /admin/hosted-pages/{page_id}/complete          answers {"authorization_token": "..."}
//	POST /admin/hosted-pages/{page_id}/leave             {"status": "CANCELLED"}
//	POST /admin/customer-tokens/{token}/suspend
//	POST /admin/customer-tokens/{token}/decline-next     the next charge
//	POST /admin/payment-requests/{request_id}/open       the customer begins
//	POST /admin/payment-requests/{request_id}/complete   answers {"session_token": "..."}
//	POST /admin/payment-requests/{request_id}/leave
//	POST /admin/payment-requests/{request_id}/decline
//	POST /admin/transactions/decline-next                {"count": 1}: the next authorizations
//	POST /admin/transactions/pend-funding                {"count": 1}: the money of the next transactions has still to come
//	POST /admin/transactions/{transaction_id}/fund
//	POST /admin/transactions/{transaction_id}/lapse-funding
//	POST /admin/transactions/{transaction_id}/charge-back {"amount": 500} answers {"chargeback_id": "..."}
//	POST /admin/transactions/{transaction_id}/dispute    {"status": "merchant-evidence-pending"} answers
//	                                                     {"dispute_id": "..."}, to be given with the next status
//	POST /admin/payouts                                  answers a list of Payout
//	POST /admin/checkout-orders                          CheckoutOrder, or {"order_id": "..."} of one that was created over
//	                                                     the API; answers {"order_id": "..."}
//	POST /admin/accounts/{account_id}/operational
//	POST /admin/accounts/{account_id}/disable            the account and its product
//	POST /admin/accounts/{account_id}/enable
//	POST /admin/accounts/{account_id}/product/disable
//	POST /admin/accounts/{account_id}/product/enable
//	POST /admin/accounts/{account_id}/brand-incomplete   {"brand_reference": "..."}
//	POST /admin/accounts/{account_id}/decide             {"details": {...}} is a compliance decision; answers
//	                                                     {"decision_id": "..."}
//	POST /admin/allowed-ips                              {"mode": "REPORTING", "ranges": ["192.0.2.0/24"]}: where calls may
//	                                                     come from; ENFORCED, or no mode for anywhere
//	POST /admin/assume-certificate                       calls are taken to show a valid client certificate
//	POST /admin/hooks/hold
//	POST /admin/hooks/release                            {} or {"reversed": true}
//	POST /admin/hooks/duplicate-next                     {"count": 1}
//	POST /admin/hooks/drop-next                          {"count": 1}
//	POST /admin/hooks/drop-callbacks                     {"count": 1}
//	POST /admin/hooks/resend                             {"event_id": "..."}
//	POST /admin/faults                                   {"operation", "times", "after", "status", "code", "messages", "parameters", "body",
//	                                                     "no_body", "truncate", "delay", "cut", "lose_answer"}
//	POST /admin/hooks/faults                             {"kind", "type", "operation", "times", "drop", "duplicate", "overtaken", "late"}
//	POST /admin/faults/plan                              {"faults": [...], "hooks": [...]}
//	POST /admin/faults/heal
//	GET  /admin/operations                               the names of operations
//	GET  /admin/calls, /admin/deliveries                 lists of Call, Delivery
//	GET  /admin/orders/{order_id}, /admin/accounts/{account_id}, /admin/hosted-pages/{page_id},
//	     /admin/payment-requests/{request_id}, /admin/transactions/{transaction_id}   Order, Account, HostedPage,
//	                                                     PaymentRequest, Transaction
package klarnatest
