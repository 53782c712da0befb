package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/server"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/sqlite"
)

// opened is a log in this process.
type opened struct {
	*store.Store
	engine *sqlite.Engine
}

// open opens the log of a gateway that does not run.
func (g gateway) open(ctx context.Context) (*opened, error) {
	if err := os.MkdirAll(g.data(), 0o700); err != nil {
		return nil, err
	}
	keys, err := store.OpenKeyring(filepath.Join(g.data(), "keys.json"))
	if err != nil {
		return nil, err
	}
	engine, err := sqlite.Open(ctx, filepath.Join(g.data(), "gateway.db"))
	if err != nil {
		return nil, err
	}
	s, err := store.New(ctx, store.Config{Engine: engine, Keys: keys, Heartbeat: time.Hour, Renderings: server.Renderings()})
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return &opened{s, engine}, nil
}

// makeKeys makes the key file of a gateway on PostgreSQL.
func (g gateway) makeKeys() error {
	_, err := store.OpenKeyring(filepath.Join(g.dir, "keys.json"))
	return err
}

func (o *opened) close() error {
	o.Close()
	return o.engine.Close()
}

// logOf is a gateway with at least n events in its log, made once and kept for later runs.
func (b *bench) logOf(ctx context.Context, n int64) (g gateway, err error) {
	g = gateway{dir: filepath.Join(b.cache, fmt.Sprintf("events-%d", n))}
	log, err := g.open(ctx)
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, log.close()) }()
	head, _, err := log.Head(ctx)
	if err != nil || int64(head) >= n {
		return g, errors.Join(err, log.Pack(ctx)) // as a gateway does behind its commits
	}
	fmt.Fprintf(b.out, "    making a log of %d events in %s …\n", n, g.dir)
	// As a gateway does at its first start: one that finds events of before would have all orders looked at within a day.
	if err := journal.New(journal.Config{Store: log.Store}).IndexMatters(ctx); err != nil {
		return g, err
	}
	const together = 2000
	for at := int64(head); at < n; at += together {
		if err := log.append(ctx, min(together, int(n-at))); err != nil {
			return g, err
		}
	}
	return g, log.Pack(ctx)
}

// append appends events in one commit.
func (o *opened) append(ctx context.Context, n int) error {
	events := make([]store.Event, n)
	for i := range events {
		var err error
		if events[i], err = paymentEvent(); err != nil {
			return err
		}
		events[i].Raw = nil // as retention leaves it
	}
	return o.Do(ctx, func(tx store.Tx) error {
		for _, ev := range events {
			if _, err := tx.Append(ctx, ev); err != nil {
				return err
			}
		}
		return nil
	})
}

// paymentEvent is an event as a webhook makes it, of a payment of its own.
func paymentEvent() (store.Event, error) {
	now := time.Now().UTC()
	id, order := uuid.Must(uuid.NewV7()).String(), uuid.NewString() // a payment's id is ours, others are Klarna's
	raw := notification(order, "SO-1", "UNPAID")
	transfer := []journal.Transfer{{Amount: 12995, Debtor: journal.Debtor{AccountHolderName: "Erika Beispiel", IBAN: "DE02120300000000202051", BankName: "Beispielbank"}}}
	payment := journal.Payment{
		ID: id, MerchantAccount: account, OrderID: order, Reference1: "SO-" + order[:8], State: journal.Ordered, Status: journal.StatusUnpaid,
		StatusAt: now, Currency: "EUR", OrderAmount: 12995, Expected: transfer, CreatedAt: now, UpdatedAt: now,
	}
	entry := journal.PaymentEntry{Payment: payment, Type: "non_guaranteed_payment.updated"}
	body, err := json.Marshal(entry)
	if err != nil {
		return store.Event{}, err
	}
	entry.Payment.Expected = []journal.Transfer{{Amount: transfer[0].Amount}} // what outlives an erasure
	lasting, err := json.Marshal(entry)
	return store.Event{
		ID: "payment-status:" + account + ":" + uuid.NewString(), Stream: store.Payments, MerchantAccount: account, Subject: id, New: true,
		Kind: string(journal.KindUnpaid), Cause: string(journal.Notification), State: string(payment.State), OccurredAt: now,
		Keys: []store.Key{{Kind: journal.KeyPayment, Value: id}, {Kind: journal.KeyOrder, Value: order}, {Kind: journal.KeyReference, Value: payment.Reference1}},
		Body: body, Lasting: lasting, Raw: raw,
	}, err
}

// appending is a load of appends, each a unit as a webhook's is.
func (b *bench) appending(ctx context.Context, o *opened) func() (sample, error) {
	return func() (sample, error) {
		return b.load(callers, nil, func(int) error {
			ev, err := paymentEvent()
			if err != nil {
				return err
			}
			return o.Do(ctx, func(tx store.Tx) error {
				if _, err := tx.EventByID(ctx, ev.ID); !errors.Is(err, store.ErrNotFound) {
					return fmt.Errorf("known: %w", err)
				}
				if _, err := tx.SubjectsByKeys(ctx, ev.Stream, ev.MerchantAccount, ev.Keys); err != nil {
					return err
				}
				_, err := tx.Append(ctx, ev)
				return err
			})
		})
	}
}

func appendLarge(ctx context.Context, b *bench) (results []result, err error) {
	var logs [2]*opened
	for i, n := range []int64{b.log, b.small} {
		g, err := b.logOf(ctx, n)
		if err != nil {
			return nil, err
		}
		if i == 1 { // a copy, or it would not stay small
			if g, err = b.copied(g, "small"); err != nil {
				return nil, err
			}
		}
		if logs[i], err = g.open(ctx); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, logs[i].close()) }()
	}
	all, err := b.alternate(b.appending(ctx, logs[0]), b.appending(ctx, logs[1]))
	if err != nil {
		return nil, err
	}
	return []result{{
		work: fmt.Sprintf("time of an append, %s events in the log", grouped(b.log)), baseline: fmt.Sprintf("%s events", grouped(b.small)),
		ours: calls(all[0], "events"), base: calls(all[1], "events"), figure: ratio(all[0], all[1], seconds), unit: "×", goal: 1.2, atMost: true,
	}}, nil
}

// copied is a gateway with the files of another one.
func (b *bench) copied(from gateway, name string) (gateway, error) {
	to := gateway{dir: filepath.Join(b.dir, name)}
	return to, os.CopyFS(to.data(), os.DirFS(from.data()))
}

// strangers is what an event costs beside watchers that it does not concern. They follow in this process: over gRPC, the
// bookmarks of so many would be measured, not the event.
func strangers(ctx context.Context, b *bench) (results []result, err error) {
	few := min(100, b.strangers)
	watching, stop := context.WithCancel(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer stop()
	var logs [2]*opened
	for i, n := range []int{b.strangers, few} {
		g, err := b.newGateway(fmt.Sprint("strangers-", n), "")
		if err != nil {
			return nil, err
		}
		if logs[i], err = g.open(ctx); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, logs[i].close()) }()
		var begun sync.WaitGroup
		for w := range n {
			begun.Add(1)
			following.Go(func() {
				first := true
				for range logs[i].Follow(watching, store.Query{Stream: store.Payments, Keys: []store.Key{{Kind: journal.KeyOrder, Value: fmt.Sprint("stranger-", w)}}}) {
					if first {
						begun.Done()
						first = false
					}
				}
			})
		}
		begun.Wait()
	}
	defer stop()
	all, err := b.alternate(b.appending(ctx, logs[0]), b.appending(ctx, logs[1]))
	stop()
	following.Wait()
	if err != nil {
		return nil, err
	}
	return []result{{
		work: fmt.Sprintf("time of an event beside %s watchers that do not match", grouped(int64(b.strangers))), baseline: fmt.Sprintf("%d watchers", few),
		ours: calls(all[0], "events"), base: calls(all[1], "events"), figure: ratio(all[0], all[1], seconds), unit: "×", goal: 1.2, atMost: true,
	}}, nil
}

func resume(ctx context.Context, b *bench) ([]result, error) {
	g, err := b.logOf(ctx, b.log)
	if err != nil {
		return nil, err
	}
	p, err := b.startGateway(ctx, g)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	size, err := sizeOfEvent(ctx, p)
	if err != nil {
		return nil, err
	}
	other, _, err := b.startBare(ctx, size)
	if err != nil {
		return nil, err
	}
	defer other.stop()
	earliest := &gatewayv1.WatchPaymentStatusRequest{From: &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_EARLIEST}}
	read := func(p *process, method string, request any) func() (sample, error) {
		return func() (s sample, err error) {
			cpu, began := p.cpu(), time.Now()
			c, err := gather(ctx, p.address, method, request, 1)
			if err != nil {
				return s, err
			}
			defer c.close()
			if err := c.wait(ctx, int64(b.backlog)); err != nil {
				return s, err
			}
			elapsed := time.Since(began)
			n := c.events.Load() // a few more than were waited for
			return sample{perSecond: float64(n) / elapsed.Seconds(), cpu: (p.cpu() - cpu) / time.Duration(n)}, nil
		}
	}
	b.profile(p, "resume")
	all, err := b.alternate(read(p, watchMethod, earliest), read(other, bareBacklog, fmt.Append(nil, b.backlog)))
	if err != nil {
		return nil, err
	}
	said := func(s []sample) string {
		return fmt.Sprintf("%.0f messages/s of %d bytes, %.1f µs CPU each", medianOf(s, rate), size, medianOf(s, func(s sample) float64 { return float64(s.cpu.Nanoseconds()) / 1000 }))
	}
	return []result{{
		work:     fmt.Sprintf("resume of a backlog of %s events, one stream (%s read a round)", grouped(b.log), grouped(int64(b.backlog))),
		baseline: "bare grpc-go stream, the same bytes, encoded before", ours: said(all[0]), base: said(all[1]),
		figure: ratio(all[0], all[1], rate), unit: "×", goal: 0.5,
	}}, nil
}

// start compares the time from the start of the process until it is ready.
func start(ctx context.Context, b *bench) ([]result, error) {
	large, err := b.logOf(ctx, b.log)
	if err != nil {
		return nil, err
	}
	empty, err := b.newGateway("empty", "")
	if err != nil {
		return nil, err
	}
	until := func(g gateway) func() (sample, error) {
		return func() (s sample, err error) {
			began := time.Now()
			p, err := b.startGateway(ctx, g)
			if err != nil {
				return s, err
			}
			defer p.stop()
			took := time.Since(began)
			return sample{perSecond: 1 / took.Seconds()}, nil
		}
	}
	for _, g := range []gateway{large, empty} { // the first start makes the schema and reads the files
		if _, err := until(g)(); err != nil {
			return nil, err
		}
	}
	all, err := b.alternate(until(large), until(empty))
	if err != nil {
		return nil, err
	}
	return []result{{
		work: fmt.Sprintf("start to ready, %s events in the log", grouped(b.log)), baseline: "an empty log",
		ours: millis(medianOf(all[0], seconds)), base: millis(medianOf(all[1], seconds)), figure: ratio(all[0], all[1], seconds), unit: "×", goal: 1.2, atMost: true,
	}}, nil
}

// grouped writes a number with its thousands apart.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
