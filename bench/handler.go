package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	klarnaapi "payments.internal/klarna-gateway/klarna"
)

// handler is what a team would write by hand instead of the gateway: gRPC in, one row in a ledger, made durable by group
// commit before Klarna is called, JSON over HTTP out. It checks the token and what would hurt. It keeps no events,
// answers no repeats and survives no crash between Klarna and the answer.
type handler struct {
	gatewayv1.UnimplementedPaymentServiceServer
	gatewayv1.UnimplementedOrderServiceServer
	klarna string
	http   *http.Client
	ledger *group[ledgerRow] // nil without one
}

type ledgerRow struct{ request, operation, about string }

// serveHandler takes Klarna's URL and the ledger's file, if there shall be one.
func serveHandler(argument string) (string, error) {
	klarnaURL, ledger, _ := strings.Cut(argument, " ")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	h := &handler{klarna: klarnaURL, http: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
	if ledger != "" {
		db, err := openSQLite(ledger, `CREATE TABLE IF NOT EXISTS ledger (request TEXT PRIMARY KEY, operation TEXT NOT NULL, about TEXT NOT NULL, at INTEGER NOT NULL)`)
		if err != nil {
			return "", err
		}
		insert, err := db.Prepare(`INSERT INTO ledger (request, operation, about, at) VALUES (?, ?, ?, ?)`)
		if err != nil {
			return "", err
		}
		h.ledger = newGroup(func(rows []ledgerRow) error { return insertRows(db, insert, rows) })
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := grpc.NewServer()
	gatewayv1.RegisterPaymentServiceServer(s, h)
	gatewayv1.RegisterOrderServiceServer(s, h)
	go func() { _ = s.Serve(listener) }()
	return listener.Addr().String(), nil
}

func insertRows(db *sql.DB, insert *sql.Stmt, rows []ledgerRow) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	st, now := tx.Stmt(insert), time.Now().UnixMicro()
	for _, r := range rows {
		if _, err := st.Exec(r.request, r.operation, r.about, now); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// begin checks the caller and puts the request on record.
func (h *handler) begin(ctx context.Context, request, operation, about string) error {
	if err := authenticated(ctx); err != nil {
		return err
	}
	if _, err := uuid.Parse(request); err != nil {
		return status.Error(codes.InvalidArgument, "request_id is not a UUID")
	}
	if h.ledger == nil {
		return nil
	}
	if err := h.ledger.add(ledgerRow{request, operation, about}); err != nil {
		return status.Error(codes.Unavailable, "the ledger failed")
	}
	return nil
}

func authenticated(ctx context.Context) error {
	if got := metadata.ValueFromIncomingContext(ctx, "authorization"); len(got) != 1 || got[0] != "Bearer "+token {
		return status.Error(codes.Unauthenticated, "a token is required")
	}
	return nil
}

// call sends JSON and reads JSON.
func (h *handler) call(ctx context.Context, method, path, key string, body, into any) (http.Header, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, h.klarna+path, content)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth("PK00000_bench", "password")
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Klarna-Idempotency-Key", key)
	}
	res, err := h.http.Do(req)
	if err != nil {
		return nil, status.Error(codes.Unavailable, "Klarna does not answer")
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode >= 300:
		return nil, status.Error(codes.FailedPrecondition, fmt.Sprintf("Klarna refused with %d", res.StatusCode))
	case into != nil:
		return res.Header, json.Unmarshal(answer, into)
	}
	return res.Header, nil
}

func (h *handler) CreatePaymentSession(ctx context.Context, req *gatewayv1.CreatePaymentSessionRequest) (*gatewayv1.CreatePaymentSessionResponse, error) {
	if req.GetOrderAmount().GetAmountMinor() < 0 || len(req.GetOrderLines()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "an amount and lines are required")
	}
	if err := h.begin(ctx, req.GetRequestId(), "createSession", req.GetMerchantReference1()); err != nil {
		return nil, err
	}
	session := klarnaapi.Session{
		PurchaseCountry: req.GetPurchaseCountry(), PurchaseCurrency: req.GetOrderAmount().GetCurrencyCode(), Locale: req.GetLocale(),
		OrderAmount: req.GetOrderAmount().GetAmountMinor(), OrderTaxAmount: req.GetOrderTaxAmountMinor(), Intent: req.GetIntent(), MerchantReference1: req.GetMerchantReference1(),
	}
	for _, l := range req.GetOrderLines() {
		session.OrderLines = append(session.OrderLines, klarnaapi.OrderLine{
			Type: l.GetType(), Reference: l.GetReference(), Name: l.GetName(), Quantity: l.GetQuantity(), UnitPrice: l.GetUnitPriceMinor(),
			TaxRate: l.GetTaxRateBasisPoints(), TotalAmount: l.GetTotalAmountMinor(), TotalTaxAmount: l.GetTotalTaxAmountMinor(),
		})
	}
	var made klarnaapi.Session
	if _, err := h.call(ctx, http.MethodPost, "/payments/v1/sessions", "", session, &made); err != nil {
		return nil, err
	}
	answer := &gatewayv1.PaymentSession{
		SessionId: made.SessionID, ClientToken: made.ClientToken, OrderAmount: req.GetOrderAmount(), OrderTaxAmountMinor: req.GetOrderTaxAmountMinor(),
		PurchaseCountry: req.GetPurchaseCountry(), OrderLines: req.GetOrderLines(), Locale: req.GetLocale(), MerchantReference1: req.GetMerchantReference1(),
	}
	for _, c := range made.PaymentMethodCategories {
		answer.PaymentMethodCategories = append(answer.PaymentMethodCategories, &gatewayv1.PaymentMethodCategory{
			Identifier: c.Identifier, Name: c.Name, DescriptiveAssetUrl: c.AssetURLs.Descriptive, StandardAssetUrl: c.AssetURLs.Standard,
		})
	}
	return &gatewayv1.CreatePaymentSessionResponse{Session: answer}, nil
}

func (h *handler) CaptureOrder(ctx context.Context, req *gatewayv1.CaptureOrderRequest) (*gatewayv1.CaptureOrderResponse, error) {
	if req.GetAmount().GetAmountMinor() <= 0 {
		return nil, status.Error(codes.InvalidArgument, "amount must be positive")
	}
	if err := h.begin(ctx, req.GetRequestId(), "captureOrder", req.GetOrderId()); err != nil {
		return nil, err
	}
	header, err := h.call(ctx, http.MethodPost, "/ordermanagement/v1/orders/"+req.GetOrderId()+"/captures", req.GetRequestId(),
		klarnaapi.CaptureRequest{CapturedAmount: req.GetAmount().GetAmountMinor(), Reference: req.GetReference()}, nil)
	if err != nil {
		return nil, err
	}
	id := header.Get("Capture-Id")
	if id == "" {
		return nil, errors.New("no capture id")
	}
	return &gatewayv1.CaptureOrderResponse{Capture: &gatewayv1.Capture{
		CaptureId: id, Amount: req.GetAmount(), Reference: req.GetReference(), CaptureTime: timestamppb.Now(),
	}}, nil
}

func (h *handler) GetOrder(ctx context.Context, req *gatewayv1.GetOrderRequest) (*gatewayv1.GetOrderResponse, error) {
	if err := authenticated(ctx); err != nil {
		return nil, err
	}
	var o klarnaapi.Order
	if _, err := h.call(ctx, http.MethodGet, "/ordermanagement/v1/orders/"+req.GetOrderId(), "", nil, &o); err != nil {
		return nil, err
	}
	money := func(amount int64) *gatewayv1.Money {
		return &gatewayv1.Money{AmountMinor: amount, CurrencyCode: o.PurchaseCurrency}
	}
	order := &gatewayv1.Order{
		OrderId: o.OrderID, StatusText: string(o.Status), FraudStatusText: string(o.FraudStatus), KlarnaReference: o.KlarnaReference,
		MerchantReference1: o.MerchantReference1, OrderAmount: money(o.OrderAmount), OriginalOrderAmount: money(o.OriginalOrderAmount),
		CapturedAmount: money(o.CapturedAmount), RefundedAmount: money(o.RefundedAmount), RemainingAuthorizedAmount: money(o.RemainingAuthorizedAmount),
		PurchaseCountry: o.PurchaseCountry, Locale: o.Locale,
	}
	for _, l := range o.OrderLines {
		order.OrderLines = append(order.OrderLines, &gatewayv1.OrderLine{
			Type: l.Type, Reference: l.Reference, Name: l.Name, Quantity: l.Quantity, UnitPriceMinor: l.UnitPrice,
			TaxRateBasisPoints: l.TaxRate, TotalAmountMinor: l.TotalAmount, TotalTaxAmountMinor: l.TotalTaxAmount,
		})
	}
	return &gatewayv1.GetOrderResponse{Order: order}, nil
}
