package server

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// Why the gateway ends a watch by itself. The first two come with a last response.
var (
	errDraining = errors.New("the gateway is shutting down")
	errMaxAge   = errors.New("the watch reached its age")
	errUnread   = errors.New("the client has not read for too long")
)

// keeper ends watches: when the gateway drains, at their age, and where the client does not read. One timer serves any
// number of them, and runs while there are any.
type keeper struct {
	age, unread time.Duration // longest life of a watch, and of a response that the client does not take
	born        time.Time

	mu       sync.Mutex
	watches  map[*watch]struct{}
	timer    *time.Timer // nil while there are no watches
	draining bool
	opened   int         // watches since what their opening left behind was collected
	settles  *time.Timer // collects it; nil until it is worth it
	free     func()      // gives memory back
}

// What the opening of many watches leaves behind is more than what they keep. Once so many were opened and no more come for
// a while, it is given back to the system: else it would stand there for minutes, as idle watches make no garbage to speak of.
const (
	settleCount = 256
	settlePause = 500 * time.Millisecond
)

func newKeeper(age, unread time.Duration) *keeper {
	return &keeper{age: age, unread: unread, born: time.Now(), watches: make(map[*watch]struct{}), free: debug.FreeOSMemory}
}

// kept is what a watch and its keeper share.
type kept struct {
	end     store.End    // says why the watch shall end, with a last response
	since   int64        // when it began, on the keeper's clock
	sending atomic.Int64 // since when a response waits for the client; 0 for none
	cut     func()       // ends the stream though a send waits

	undelivered atomic.Int64 // since when an event waits for the client, in microseconds since 1970; 0 for none
}

// clock is a time since the keeper was made, in nanoseconds and never 0.
func (k *keeper) clock(at time.Time) int64 { return int64(at.Sub(k.born)) + 1 }

// keep looks after a watch until drop.
func (k *keeper) keep(w *watch) {
	w.since = k.clock(time.Now())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watches[w] = struct{}{}
	if k.draining {
		w.stop(errDraining)
	}
	if k.timer == nil {
		k.timer = time.AfterFunc(k.tick(), k.look)
	}
	switch k.opened++; {
	case k.opened < settleCount:
	case k.settles == nil:
		k.settles = time.AfterFunc(settlePause, k.settle)
	default:
		k.settles.Reset(settlePause)
	}
}

func (k *keeper) settle() {
	k.mu.Lock()
	k.opened, k.settles = 0, nil
	k.mu.Unlock()
	k.free()
}

func (k *keeper) drop(w *watch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.watches, w)
	if len(k.watches) == 0 {
		k.timer.Stop()
		k.timer = nil
	}
}

// tick is how often watches are looked at: often enough for the shorter limit.
func (k *keeper) tick() time.Duration {
	return min(max(min(k.age, k.unread)/8, time.Millisecond), time.Second)
}

func (k *keeper) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.timer == nil {
		return
	}
	now := k.clock(time.Now())
	for w := range k.watches {
		if now-w.since >= int64(k.age) {
			w.stop(errMaxAge)
		}
		if began := w.sending.Load(); began != 0 && now-began >= int64(k.unread) {
			w.cut()
		}
	}
	k.timer.Reset(k.tick())
}

// drain ends all watches, also those that are still to begin.
func (k *keeper) drain() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.draining = true
	for w := range k.watches {
		w.stop(errDraining)
	}
}

// stop asks a watch to end; the first reason counts.
func (k *kept) stop(why error) { k.end.Now(why) }

// leash is the context of a watch's stream with the means to cut it. gRPC frees a send that waits for the client when
// the stream's context ends, and only then.
type leash struct {
	context.Context
	cut context.CancelCauseFunc
}

type leashKey struct{}

func (l *leash) Value(key any) any {
	if _, mine := key.(leashKey); mine {
		return l
	}
	return l.Context.Value(key)
}

// leashWatches gives the streams of watches a context that their keeper can end. It runs as each stream comes in, before
// gRPC takes its context for good.
func leashWatches(ctx context.Context, info *tap.Info) (context.Context, error) {
	switch info.FullMethodName {
	case gatewayv1.PaymentService_WatchPaymentStatus_FullMethodName, gatewayv1.PartnerService_WatchAccountState_FullMethodName:
		ctx, cut := context.WithCancelCause(ctx)
		return &leash{ctx, cut}, nil
	}
	return ctx, nil
}

// cutter cuts a stream whose client does not read. gRPC then sends a status of its own, CANCELLED; why is told in the
// details beside it.
func cutter(stream grpc.ServerStream) func() {
	l, _ := stream.Context().Value(leashKey{}).(*leash)
	return func() {
		if l == nil {
			return
		}
		if details, err := proto.Marshal(status.Convert(toStatus(errUnread)).Proto()); err == nil {
			stream.SetTrailer(metadata.Pairs("grpc-status-details-bin", string(details)))
		}
		l.cut(errUnread)
	}
}
