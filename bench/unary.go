package main

import (
	"context"
	"path/filepath"
	"sync/atomic"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// Callers of the unary rows: as many calls are on their way at any time, over a few connections.
const (
	callers     = 64
	connections = 4
)

// lines is a few connections to one server.
type lines struct{ conns []*grpc.ClientConn }

func dial(address string, n int, opts ...grpc.DialOption) (l lines, err error) {
	for range n {
		conn, err := grpc.NewClient("passthrough:///"+address, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			l.close()
			return l, err
		}
		l.conns = append(l.conns, conn)
	}
	return l, nil
}

func (l lines) to(caller int) *grpc.ClientConn { return l.conns[caller%len(l.conns)] }

func (l lines) close() {
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// known is a context with the caller's token.
func known(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// unary is one call, made over and over.
type unary func(ctx context.Context, conn *grpc.ClientConn) error

// compareCalls lets the gateway and the handler without and with a ledger take turns.
func (b *bench) compareCalls(ctx context.Context, name string, before func(ctx context.Context, l lines) error, call unary) (ours, ledger, bare []sample, err error) {
	g, err := b.newGateway(name, "")
	if err != nil {
		return nil, nil, nil, err
	}
	gatewayProcess, err := b.startGateway(ctx, g)
	if err != nil {
		return nil, nil, nil, err
	}
	defer gatewayProcess.stop()
	withLedger, err := b.baseline(ctx, "handler", b.klarna.url, filepath.Join(b.dir, name+"-ledger", "ledger.db"))
	if err != nil {
		return nil, nil, nil, err
	}
	defer withLedger.stop()
	without, err := b.baseline(ctx, "handler", b.klarna.url)
	if err != nil {
		return nil, nil, nil, err
	}
	defer without.stop()
	var contestants []func() (sample, error)
	for i, p := range []*process{gatewayProcess, withLedger, without} {
		l, err := dial(p.address, connections)
		if err != nil {
			return nil, nil, nil, err
		}
		defer l.close()
		if i == 0 && before != nil {
			if err := before(known(ctx), l); err != nil {
				return nil, nil, nil, err
			}
		}
		contestants = append(contestants, func() (sample, error) {
			return b.load(callers, p, func(caller int) error { return call(known(ctx), l.to(caller)) })
		})
	}
	b.profile(gatewayProcess, name)
	all, err := b.alternate(contestants...)
	if err != nil {
		return nil, nil, nil, err
	}
	return all[0], all[1], all[2], nil
}

func createSession(ctx context.Context, b *bench) ([]result, error) {
	ours, ledger, bare, err := b.compareCalls(ctx, "session", nil, func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := gatewayv1.NewPaymentServiceClient(conn).CreatePaymentSession(ctx, cart())
		return err
	})
	if err != nil {
		return nil, err
	}
	return writeResults("CreatePaymentSession", ours, ledger, bare), nil
}

// writeResults are the lines of a write.
func writeResults(name string, ours, ledger, bare []sample) []result {
	us, them, without := calls(ours, "calls"), calls(ledger, "calls"), calls(bare, "calls")
	return []result{
		{work: name + ", calls/s", baseline: "handler by hand with a ledger row", ours: us, base: them, figure: ratio(ours, ledger, rate), unit: "×", goal: 0.7},
		{work: name + ", p99", baseline: "the same", ours: us, base: them, figure: ratio(ours, ledger, tail), unit: "×", goal: 1.5, atMost: true},
		{work: name + ", calls/s", baseline: "handler by hand without the row", ours: us, base: without, figure: ratio(ours, bare, rate), unit: "×"},
	}
}

func cart() *gatewayv1.CreatePaymentSessionRequest {
	id := uuid.NewString()
	return &gatewayv1.CreatePaymentSessionRequest{
		RequestId: id, PurchaseCountry: "DE", OrderAmount: &gatewayv1.Money{AmountMinor: 15990, CurrencyCode: "EUR"}, OrderTaxAmountMinor: 2553,
		Locale: "de-DE", Intent: "buy", MerchantReference1: "SO-" + id[:8],
		OrderLines: []*gatewayv1.OrderLine{
			{Type: "physical", Reference: "L-1", Name: "Lamp", Quantity: 1, UnitPriceMinor: 12995, TaxRateBasisPoints: 1900, TotalAmountMinor: 12995, TotalTaxAmountMinor: 2075},
			{Type: "physical", Reference: "B-1", Name: "Bulb", Quantity: 1, UnitPriceMinor: 2995, TaxRateBasisPoints: 1900, TotalAmountMinor: 2995, TotalTaxAmountMinor: 478},
		},
	}
}

// orderIDs are those that are on record before captures and reads begin.
func orderIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = uuid.NewString()
	}
	return ids
}

// readAll has the gateway read the orders, so that it knows them as it would from their payments.
func readAll(ids []string) func(context.Context, lines) error {
	return func(ctx context.Context, l lines) error {
		reading, ctx := errgroup.WithContext(ctx)
		reading.SetLimit(callers)
		for i, id := range ids {
			reading.Go(func() error {
				_, err := gatewayv1.NewOrderServiceClient(l.to(i)).GetOrder(ctx, &gatewayv1.GetOrderRequest{OrderId: id})
				return err
			})
		}
		return reading.Wait()
	}
}

func captureOrder(ctx context.Context, b *bench) ([]result, error) {
	ids := orderIDs(b.orders)
	var next atomic.Int64
	ours, ledger, bare, err := b.compareCalls(ctx, "capture", readAll(ids), func(ctx context.Context, conn *grpc.ClientConn) error {
		id := uuid.NewString()
		_, err := gatewayv1.NewOrderServiceClient(conn).CaptureOrder(ctx, &gatewayv1.CaptureOrderRequest{
			RequestId: id, OrderId: ids[int(next.Add(1))%len(ids)], Amount: &gatewayv1.Money{AmountMinor: 100, CurrencyCode: "EUR"}, Reference: id,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return writeResults("CaptureOrder", ours, ledger, bare), nil
}

func getOrder(ctx context.Context, b *bench) ([]result, error) {
	ids := orderIDs(b.orders)
	var next atomic.Int64
	ours, _, bare, err := b.compareCalls(ctx, "read", readAll(ids), func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := gatewayv1.NewOrderServiceClient(conn).GetOrder(ctx, &gatewayv1.GetOrderRequest{OrderId: ids[int(next.Add(1))%len(ids)]})
		return err
	})
	if err != nil {
		return nil, err
	}
	return []result{{
		work: "GetOrder, calls/s", baseline: "handler by hand", ours: calls(ours, "calls"), base: calls(bare, "calls"),
		figure: ratio(ours, bare, rate), unit: "×", goal: 0.7,
	}}, nil
}
