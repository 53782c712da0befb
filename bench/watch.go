package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

const watchMethod = gatewayv1.PaymentService_WatchPaymentStatus_FullMethodName

// everything is a watch of all payments from now on.
func everything() *gatewayv1.WatchPaymentStatusRequest {
	return &gatewayv1.WatchPaymentStatusRequest{From: &gatewayv1.WatchPaymentStatusRequest_Start{Start: gatewayv1.WatchStart_WATCH_START_NOW}}
}

// sizeOfEvent is how long an event is on the wire.
func sizeOfEvent(ctx context.Context, p *process) (int, error) {
	one, err := gather(ctx, p.address, watchMethod, everything(), 1)
	if err != nil {
		return 0, err
	}
	defer one.close()
	if err := newPoster(p.hooks, 1).post(ctx, notification(uuid.NewString(), "SO-1", "UNPAID")); err != nil {
		return 0, err
	}
	err = one.wait(ctx, 1)
	return int(one.size.Load()), err
}

// startBare starts the bare stream. Its second address is where events are made.
func (b *bench) startBare(ctx context.Context, size int) (p *process, events string, err error) {
	if p, err = b.baseline(ctx, "stream", fmt.Sprint(size)); err != nil {
		return nil, "", err
	}
	p.address, events, _ = strings.Cut(p.address, " ")
	return p, events, nil
}

func delivery(ctx context.Context, b *bench) ([]result, error) {
	g, err := b.newGateway("delivery", "")
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
	other, events, err := b.startBare(ctx, size)
	if err != nil {
		return nil, err
	}
	defer other.stop()
	watching, err := gather(ctx, p.address, watchMethod, everything(), b.streams)
	if err != nil {
		return nil, err
	}
	defer watching.close()
	bareOnes, err := gather(ctx, other.address, bareWatch, []byte("watch"), b.streams)
	if err != nil {
		return nil, err
	}
	defer bareOnes.close()
	idle := p.resident()
	door := newPoster(p.hooks, 1)
	b.profile(p, "delivery")
	all, err := b.alternate(
		func() (sample, error) {
			return b.deliver(ctx, p, watching, func() error { return door.post(ctx, notification(uuid.NewString(), "SO-1", "UNPAID")) })
		},
		func() (sample, error) {
			return b.deliver(ctx, other, bareOnes, func() error { return postTo(ctx, events) })
		},
	)
	if err != nil {
		return nil, err
	}
	said := func(s []sample) string {
		return fmt.Sprintf("%.0f messages/s of %d bytes, %.1f µs CPU each", medianOf(s, rate), size, medianOf(s, func(s sample) float64 { return float64(s.cpu.Nanoseconds()) / 1000 }))
	}
	return []result{{
		work: fmt.Sprintf("delivery of each event to %d streams", b.streams), baseline: "bare grpc-go stream, the same bytes, encoded before",
		ours: said(all[0]) + fmt.Sprintf("; process %d MiB idle, %d MiB after the load", idle>>20, p.resident()>>20), base: said(all[1]),
		figure: ratio(all[0], all[1], rate), unit: "×", goal: 0.8,
	}}, nil
}

func postTo(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// deliver makes events, one behind the other, until each stream has got all of them.
func (b *bench) deliver(ctx context.Context, p *process, c *crowd, event func() error) (s sample, err error) {
	messages := int64(b.events) * int64(b.streams)
	before, cpu, began := c.events.Load(), p.cpu(), time.Now()
	for range b.events {
		if err := event(); err != nil {
			return s, err
		}
	}
	if err := c.wait(ctx, before+messages); err != nil {
		return s, err
	}
	elapsed := time.Since(began)
	return sample{perSecond: float64(messages) / elapsed.Seconds(), cpu: (p.cpu() - cpu) / time.Duration(messages)}, nil
}

// memory compares what a process holds for idle streams, each round with processes of its own.
func memory(ctx context.Context, b *bench) ([]result, error) {
	g, err := b.newGateway("memory", "")
	if err != nil {
		return nil, err
	}
	perStream := func(p *process, method string, request any) (float64, error) {
		warm, err := gather(ctx, p.address, method, request, 1)
		if err != nil {
			return 0, err
		}
		defer warm.close()
		before := p.resident()
		c, err := gather(ctx, p.address, method, request, b.streams)
		if err != nil {
			return 0, err
		}
		defer c.close()
		time.Sleep(b.round)
		defer b.heap(p, "memory")
		return float64(p.resident()-before) / float64(b.streams) / 1024, nil
	}
	var ours, base, ratios []float64
	for range b.rounds {
		p, err := b.startGateway(ctx, g)
		if err != nil {
			return nil, err
		}
		us, err := perStream(p, watchMethod, everything())
		p.stop()
		if err != nil {
			return nil, err
		}
		other, _, err := b.startBare(ctx, 1000)
		if err != nil {
			return nil, err
		}
		them, err := perStream(other, bareWatch, []byte("watch"))
		other.stop()
		if err != nil {
			return nil, err
		}
		ours, base, ratios = append(ours, us), append(base, them), append(ratios, us/them)
	}
	return []result{{
		work: fmt.Sprintf("memory of an idle watch, of %d", b.streams), baseline: "bare grpc-go stream",
		ours: spreadOf(ours).String() + " KiB", base: spreadOf(base).String() + " KiB", figure: spreadOf(ratios), unit: "×", goal: 1.3, atMost: true,
	}}, nil
}

// latency is the time from where an event gets its record_time, just before its commit, to where its watcher has it.
func latency(ctx context.Context, b *bench) ([]result, error) {
	g, err := b.newGateway("latency", "")
	if err != nil {
		return nil, err
	}
	p, err := b.startGateway(ctx, g)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	l, err := dial(p.address, max(1, b.watchers/100))
	if err != nil {
		return nil, err
	}
	defer l.close()
	watching, stop := context.WithCancel(known(ctx))
	var open sync.WaitGroup
	defer open.Wait()
	defer stop()
	got := make(chan time.Duration, 4096)
	for i := range b.watchers {
		stream, err := watchReference(watching, l.to(i), reference(i))
		if err != nil {
			return nil, err
		}
		open.Go(func() {
			for {
				res, err := stream.Recv()
				if err != nil {
					return
				}
				if ev := res.GetEvent(); ev != nil {
					got <- time.Since(ev.GetRecordTime().AsTime())
				}
			}
		})
	}
	door := newPoster(p.hooks, callers)
	b.profile(p, "latency")
	var p99s, p50s []float64
	for range b.rounds + 1 {
		took, err := b.steadily(ctx, door, got)
		if err != nil {
			return nil, err
		}
		p50s, p99s = append(p50s, 1000*quantile(took, 0.5).Seconds()), append(p99s, 1000*quantile(took, 0.99).Seconds())
	}
	return []result{{
		work: fmt.Sprintf("commit to received, %d events/s, %d watchers, p99", b.rate, b.watchers), baseline: "–",
		ours: "p50 " + spreadOf(p50s[1:]).String() + " ms", base: "–", figure: spreadOf(p99s[1:]), unit: "ms", goal: 20, atMost: true,
	}}, nil
}

func reference(watcher int) string { return fmt.Sprint("R-", watcher) }

func watchReference(ctx context.Context, conn *grpc.ClientConn, reference string) (grpc.ServerStreamingClient[gatewayv1.WatchPaymentStatusResponse], error) {
	req := everything()
	req.MerchantReferences = []string{reference}
	stream, err := gatewayv1.NewPaymentServiceClient(conn).WatchPaymentStatus(ctx, req)
	if err != nil {
		return nil, err
	}
	_, err = stream.Recv()
	return stream, err
}

// steadily posts events at the rate, whatever becomes of those before, and returns how long each took, sorted.
func (b *bench) steadily(ctx context.Context, door *poster, got <-chan time.Duration) ([]time.Duration, error) {
	n := int(b.round.Seconds() * float64(b.rate))
	failed := make(chan error, n)
	began := time.Now()
	go func() {
		for i := range n {
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(b.rate))))
			go func() { failed <- door.post(ctx, notification(uuid.NewString(), reference(i%b.watchers), "UNPAID")) }()
		}
	}()
	took := make([]time.Duration, 0, n)
	late := time.After(patience)
	for posted := 0; len(took) < n || posted < n; {
		select {
		case d := <-got:
			took = append(took, d)
		case err := <-failed:
			if posted++; err != nil {
				return nil, err
			}
		case <-late:
			return nil, fmt.Errorf("%d of %d events came", len(took), n)
		}
	}
	slices.Sort(took)
	return took, nil
}
