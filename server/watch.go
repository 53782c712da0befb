package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// Why the gateway ends a watch by itself; the cause of the watch's context.
var (
	errDraining = errors.New("the gateway is shutting down")
	errMaxAge   = errors.New("the watch reached its age")
)

// watchRequest is what both watch requests share.
type watchRequest interface {
	proto.Message
	GetResumeToken() string
	GetStart() gatewayv1.WatchStart
	GetHeartbeatSeconds() int32
}

// watchSend hands one response to the client, with the token that continues behind it. Exactly one is set.
type watchSend func(token string, step watchStep) error

type watchStep struct {
	event       *store.Event
	bookmark    *gatewayv1.Bookmark
	snapshotEnd *gatewayv1.SnapshotEnd
	streamEnd   *gatewayv1.StreamEnd
}

// watch is one watch being served. The log is pulled: a slow client only reads later, nothing is kept for it.
type watch struct {
	server  *Server
	cursors cursors
	query   store.Query
	send    watchSend
	// matches drops events that the query cannot; nil keeps all.
	matches func(store.Event) bool
	// ends tells whether the watch is over after an event of this kind of state.
	ends func(store.Event) gatewayv1.StreamEnd_Reason
	// ending is the query for subjects whose state ends the watch; nil if nothing does.
	ending *store.Query
}

// filterOf is the part of a watch request that a resume token is bound to.
func filterOf(req watchRequest, loose ...string) proto.Message {
	filter := proto.Clone(req)
	m := filter.ProtoReflect()
	for _, name := range slices.Concat([]string{"merchant_account", "resume_token", "start", "heartbeat_seconds"}, loose) {
		m.Clear(m.Descriptor().Fields().ByName(protoName(name)))
	}
	return filter
}

// run serves the watch until the client leaves, an end is reached, or the gateway ends it.
func (w *watch) run(ctx context.Context, req watchRequest, header func(metadata.MD) error) error {
	from, err := w.begin(ctx, req)
	if err != nil {
		return err
	}
	if err := header(metadata.MD{}); err != nil {
		return err
	}
	ctx, cancel := w.server.watchContext(ctx)
	defer cancel(nil)
	last := from // everything up to here is sent
	err = w.follow(ctx, &last)
	switch cause := context.Cause(ctx); {
	case errors.Is(err, errEnded):
		return nil
	case err != nil && errors.Is(cause, errDraining):
		return w.end(last, gatewayv1.StreamEnd_REASON_DRAINING, time.Second)
	case err != nil && errors.Is(cause, errMaxAge):
		return w.end(last, gatewayv1.StreamEnd_REASON_MAX_AGE, 0)
	}
	return err
}

// begin finds the place where the watch starts, and fails before anything is sent if there is none.
func (w *watch) begin(ctx context.Context, req watchRequest) (place cursor, err error) {
	head, trimmed, err := w.server.store.Head(ctx)
	if err != nil {
		return place, err
	}
	if token := req.GetResumeToken(); token != "" {
		place, err = w.cursors.read(token, "resume_token", gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_INVALID)
		if err == nil && place.UpTo == 0 && place.After < trimmed {
			err = store.ErrTrimmed
		}
		return place, err
	}
	switch req.GetStart() {
	case gatewayv1.WatchStart_WATCH_START_SNAPSHOT:
		place.UpTo = head
		if head == 0 { // nothing to show, and 0 means no snapshot
			place.UpTo = -1
		}
	case gatewayv1.WatchStart_WATCH_START_EARLIEST:
		place.After = trimmed
	default:
		place.After = head
	}
	return place, nil
}

// errEnded says that a stream end was sent.
var errEnded = errors.New("watch ended")

// follow sends the opening bookmark, the snapshot if one is wanted, and then what happens.
func (w *watch) follow(ctx context.Context, last *cursor) error {
	if err := w.bookmark(ctx, *last); err != nil {
		return err
	}
	if last.UpTo != 0 {
		if err := w.snapshot(ctx, last); err != nil {
			return err
		}
	}
	settled := w.ending == nil
	w.query.After = last.After
	for ev, err := range w.server.store.Follow(ctx, w.query) {
		switch {
		case err != nil:
			return err
		case ev.ID == "":
			last.After = ev.Position
			if err := w.bookmark(ctx, *last); err != nil {
				return err
			}
			if !settled { // an end that was reached before the token was made: nobody would tell of it again
				settled = true
				if err := w.endIfReached(ctx, *last); err != nil {
					return err
				}
			}
		default:
			last.After = ev.Position
			if err := w.event(ev, *last); err != nil {
				return err
			}
		}
	}
	return nil
}

// snapshot sends the newest event of every matching subject as of last.UpTo. A subject that moves on meanwhile falls
// out of it and comes as an event behind it, so there is no gap.
func (w *watch) snapshot(ctx context.Context, last *cursor) error {
	upTo := max(last.UpTo, 0)
	for upTo > 0 {
		q := w.query
		q.After, q.UpTo, q.Limit = last.After, upTo, 256
		subjects, err := w.server.store.Subjects(ctx, q)
		if err != nil {
			return err
		}
		for _, subject := range subjects {
			events, err := w.server.store.Events(ctx, store.Query{Stream: q.Stream, After: subject.Latest - 1, UpTo: subject.Latest, Limit: 1})
			if err != nil {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			last.After = subject.Latest
			for _, ev := range events {
				if err := w.event(ev, *last); err != nil {
					return err
				}
			}
		}
		if len(subjects) < q.Limit {
			break
		}
	}
	last.After, last.UpTo = upTo, 0
	return w.send(w.token(*last), watchStep{snapshotEnd: &gatewayv1.SnapshotEnd{Position: int64(upTo)}})
}

func (w *watch) event(ev store.Event, last cursor) error {
	if w.matches != nil && !w.matches(ev) {
		return nil
	}
	if err := w.send(w.token(last), watchStep{event: &ev}); err != nil {
		return err
	}
	if why := w.ends(ev); why != gatewayv1.StreamEnd_REASON_UNSPECIFIED {
		return errors.Join(w.end(last, why, 0), errEnded)
	}
	return nil
}

// endIfReached ends the watch if what it waits for has happened already.
func (w *watch) endIfReached(ctx context.Context, last cursor) error {
	q := *w.ending
	q.UpTo, q.Limit = last.After, 1
	if q.UpTo == 0 {
		return nil
	}
	reached, err := w.server.store.Subjects(ctx, q)
	if err != nil || len(reached) == 0 {
		return err
	}
	events, err := w.server.store.Events(ctx, store.Query{Stream: q.Stream, After: reached[0].Latest - 1, UpTo: reached[0].Latest, Limit: 1})
	if err != nil || len(events) == 0 {
		return err
	}
	if why := w.ends(events[0]); why != gatewayv1.StreamEnd_REASON_UNSPECIFIED {
		return errors.Join(w.end(last, why, 0), errEnded)
	}
	return nil
}

func (w *watch) bookmark(ctx context.Context, last cursor) error {
	head, _, err := w.server.store.Head(ctx)
	if err != nil {
		return err
	}
	return w.send(w.token(last), watchStep{bookmark: &gatewayv1.Bookmark{
		HeadPosition: int64(head), ServerTime: timestamppb.New(w.server.store.Now()),
	}})
}

func (w *watch) end(last cursor, why gatewayv1.StreamEnd_Reason, retry time.Duration) error {
	return w.send(w.token(last), watchStep{streamEnd: &gatewayv1.StreamEnd{Reason: why, RetryDelay: durationpb.New(retry)}})
}

func (w *watch) token(last cursor) string { return w.cursors.token(last.After, last.UpTo) }

// watchContext ends a watch when the client leaves, the gateway drains, or the watch reaches its age.
func (s *Server) watchContext(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	age := time.AfterFunc(s.streamAge, func() { cancel(errMaxAge) })
	go func() {
		defer age.Stop()
		select {
		case <-s.draining:
			cancel(errDraining)
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
