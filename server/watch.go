package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// watchRequest is what both watch requests share.
type watchRequest interface {
	proto.Message
	GetResumeToken() string
	GetStart() gatewayv1.WatchStart
	GetHeartbeatSeconds() int32
	GetCheckpoint() string
}

// watchSend hands one response to the client, with the token that continues behind it. Exactly one is set. Events have a
// way of their own.
type watchSend func(token string, step watchStep) error

type watchStep struct {
	bookmark    *gatewayv1.Bookmark
	snapshotEnd *gatewayv1.SnapshotEnd
	streamEnd   *gatewayv1.StreamEnd
}

// watch is one watch being served. The log is pulled: a slow client only reads later, nothing is kept for it.
type watch struct {
	kept
	shift
	server  *Server
	cursors cursors
	query   store.Query
	send    watchSend
	// encode makes of an event what is sent of it: see frame.
	encode func(*store.Event) ([]byte, error)
	stream *admitted
	// matches drops events that the query does not; nil keeps all.
	matches func(*store.Event) bool
	// ends tells whether the watch is over after an event, shown or not, that leaves its subject like this.
	ends func(*store.Event) gatewayv1.StreamEnd_Reason
	// ending is the query for subjects whose state may end the watch; nil if none does.
	ending *store.Query

	began int64 // in microseconds since 1970, by the store's clock
	sent  int64 // when the last response was begun that went out, on the keeper's clock
	at    place // everything up to here was sent, or does not match

	release  func()          // of what ends the watch with its grant
	follower *store.Follower // nil until the watch has come to where there is something to follow
	failed   error           // why the follower shall go no further
	ended    chan error      // the outcome
}

// watchPage is how many subjects are read at a time.
const watchPage = 256

// filterOf is the part of a watch request that a resume token is bound to.
func filterOf(req watchRequest, loose ...string) proto.Message {
	filter := proto.Clone(req)
	m := filter.ProtoReflect()
	for _, name := range slices.Concat([]string{"merchant_account", "resume_token", "start", "heartbeat_seconds", "checkpoint"}, loose) {
		m.Clear(m.Descriptor().Fields().ByName(protoName(name)))
	}
	return filter
}

// show restricts the watch to events in these states. If it can be ended, what ends it counts even where it is not
// shown; endStates are the states of subjects that may end it, none means that any may.
func (w *watch) show(states []string, endable bool, endStates []string) {
	if !endable {
		w.query.States = states
		return
	}
	if len(states) > 0 {
		w.matches = func(ev *store.Event) bool { return slices.Contains(states, ev.State) }
	}
	if len(w.query.Keys) > 0 { // of all subjects, some have always ended
		ending := w.query
		ending.States = endStates
		w.ending = &ending
	}
}

// run hands the watch to the crew, which serves it when the handler has returned: until the client leaves, an end is reached,
// or the gateway ends it.
func (w *watch) run(stream grpc.ServerStream) error {
	w.stream = admittedOf(stream)
	w.narrow(w.stream.ctx)
	w.began, w.ended = w.server.store.Now().UnixMicro(), make(chan error, 1)
	w.turn, w.cut = w.takeTurn, cutter(w.stream)
	w.release = w.server.whileGranted(w.stream.ctx, w.stop)
	w.server.keeper.keep(w)
	w.stream.watch = w
	return nil
}

// wait has the crew begin, and returns once the watch is over.
func (w *watch) wait() error {
	w.server.crew.call(&w.shift)
	select {
	case err := <-w.ended:
		return err
	case <-w.stream.ctx.Done():
		w.stop(context.Cause(w.stream.ctx))
		return <-w.ended
	}
}

// takeTurn does what there is to do; more is false once the watch is over.
func (w *watch) takeTurn() (more bool) {
	var err error
	defer func() {
		if panicked := recover(); panicked != nil {
			more, err = false, errPanic(panicked)
		}
		if !more {
			w.close(err)
		}
	}()
	more, err = w.goOn(w.stream.ctx)
	return more
}

func (w *watch) close(err error) {
	if w.follower != nil {
		w.follower.Close()
	}
	w.server.keeper.drop(w)
	w.release()
	w.ended <- err
}

func (w *watch) goOn(ctx context.Context) (more bool, err error) {
	if w.follower == nil {
		err = w.open(ctx)
	}
	if err == nil {
		if w.follower.Go(ctx) {
			return true, nil
		}
		err = w.failed
	}
	switch {
	case errors.Is(err, errDraining):
		err = w.finish(gatewayv1.StreamEnd_REASON_DRAINING, time.Second)
	case errors.Is(err, errMaxAge):
		err = w.finish(gatewayv1.StreamEnd_REASON_MAX_AGE, 0)
	case errors.Is(err, errRevoked):
		err = w.finish(gatewayv1.StreamEnd_REASON_PERMISSION_REVOKED, 0)
	case errors.Is(err, errExpired):
		err = w.finish(gatewayv1.StreamEnd_REASON_CREDENTIALS_EXPIRED, 0)
	}
	if errors.Is(err, errEnded) {
		return false, nil
	}
	return false, err
}

// begin finds the place where the watch starts, and fails before anything is sent if there is none.
func (w *watch) begin(ctx context.Context, req watchRequest) (at place, err error) {
	head, trimmed := w.cursors.head, w.cursors.trimmed
	token, field := req.GetResumeToken(), "resume_token"
	if token == "" && req.GetCheckpoint() != "" {
		if token, err = w.server.checkpointed(ctx, req.GetCheckpoint()); err != nil {
			return at, err
		}
		field = "checkpoint"
	}
	if token != "" {
		at, err = w.cursors.read(token, field, gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_INVALID)
		if follows := max(at.After, at.UpTo); err == nil && follows < trimmed { // behind a snapshot lies what came since
			err = &store.TrimmedError{After: follows, UpTo: trimmed}
		}
		return at, err
	}
	switch req.GetStart() {
	case gatewayv1.WatchStart_WATCH_START_SNAPSHOT:
		return place{Snapshot: true, UpTo: head}, nil
	case gatewayv1.WatchStart_WATCH_START_EARLIEST:
		return place{After: trimmed}, nil
	default:
		return place{After: head}, nil
	}
}

// errEnded says that a stream end was sent.
var errEnded = errors.New("watch ended")

// open sends the opening bookmark and the snapshot if one is wanted. What happens is told from then on.
func (w *watch) open(ctx context.Context) error {
	if err := w.stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	if err := w.bookmark(w.at); err != nil {
		return err
	}
	if w.at.Snapshot {
		if err := w.snapshot(ctx); err != nil {
			return err
		}
	}
	w.query.After, w.query.Head, w.query.End = w.at.After, w.cursors.head, &w.end
	w.follower = w.server.store.Follower(w.query, func() { w.server.crew.call(&w.shift) }, func(ev *store.Event, err error) bool {
		if err == nil {
			err = w.come(ctx, ev)
		}
		w.failed = err
		return err == nil
	})
	return nil
}

// come tells of what the follower has come to.
func (w *watch) come(ctx context.Context, ev *store.Event) error {
	at := place{After: ev.Position}
	if ev.ID != "" {
		return w.event(ctx, ev, at)
	}
	if err := w.bookmark(at); err != nil || w.ending == nil {
		return err
	}
	ending := *w.ending
	w.ending = nil
	return w.endIfReached(ctx, ending) // an end from before the token: nobody would tell of it again
}

// snapshot sends the newest event of every matching subject as of UpTo. A subject that moves on meanwhile falls out of
// it and comes as an event behind it, so there is no gap.
func (w *watch) snapshot(ctx context.Context) error {
	q := w.query
	q.UpTo, q.Limit = w.at.UpTo, watchPage
	for more := q.UpTo > 0; more; {
		q.After = w.at.After
		if why := w.end.Why(); why != nil {
			return why
		}
		subjects, err := w.server.store.Subjects(ctx, q)
		if err != nil {
			return err
		}
		for _, subject := range subjects {
			if err := w.current(ctx, subject); err != nil {
				return err
			}
		}
		more = len(subjects) == q.Limit
	}
	return w.tell(place{After: w.at.UpTo}, watchStep{snapshotEnd: &gatewayv1.SnapshotEnd{Position: int64(w.at.UpTo)}})
}

// current sends the newest event of a subject. It is gone only if the subject has moved on and the log was trimmed.
func (w *watch) current(ctx context.Context, subject store.Subject) error {
	at := w.at
	at.After = subject.Latest
	events, err := w.server.store.Events(ctx, store.Query{Stream: w.query.Stream, After: at.After - 1, UpTo: at.After, Limit: 1})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case len(events) == 0:
		w.at = at
		return nil
	}
	return w.event(ctx, &events[0], at)
}

// event shows an event, if it matches, and ends the watch if it does. Where nothing matches for long, a bookmark goes
// out instead: the way through a long log must not look like a dead connection.
func (w *watch) event(ctx context.Context, ev *store.Event, at place) (err error) {
	switch {
	case w.matches == nil || w.matches(ev):
		err = w.tellEvent(ctx, ev, at)
	case w.server.keeper.clock(time.Now())-w.sent >= int64(cmp.Or(w.query.Heartbeat, longestSilence)):
		err = w.bookmark(at)
	default:
		w.at = at
	}
	if err != nil {
		return err
	}
	if why := w.ends(ev); why != gatewayv1.StreamEnd_REASON_UNSPECIFIED {
		return w.finish(why, 0)
	}
	return nil
}

// longestSilence is the time between two responses, unless the request asks for less.
const longestSilence = 15 * time.Second

// endIfReached ends the watch if what it waits for has happened already to a subject that q selects.
func (w *watch) endIfReached(ctx context.Context, q store.Query) error {
	q.UpTo, q.Limit = w.at.After, watchPage
	for more := q.UpTo > 0; more; {
		subjects, err := w.server.store.Subjects(ctx, q)
		if err != nil {
			return err
		}
		for _, subject := range subjects {
			if why := w.ends(&store.Event{State: subject.State, Body: subject.Body}); why != gatewayv1.StreamEnd_REASON_UNSPECIFIED {
				return w.finish(why, 0)
			}
			q.After = subject.Latest
		}
		more = len(subjects) == q.Limit
	}
	return nil
}

func (w *watch) bookmark(at place) error {
	head := max(w.server.store.Reached(), w.cursors.head)
	return w.tell(at, watchStep{bookmark: &gatewayv1.Bookmark{
		HeadPosition: int64(head), ServerTime: timestamppb.New(w.server.store.Now()),
	}})
}

// finish sends the last response; errEnded if it went out.
func (w *watch) finish(why gatewayv1.StreamEnd_Reason, retry time.Duration) error {
	err := w.tell(w.at, watchStep{streamEnd: &gatewayv1.StreamEnd{Reason: why, RetryDelay: durationpb.New(retry)}})
	if err != nil {
		return err
	}
	return errEnded
}

// tell sends a response that is not of an event. The watch has come to the place once it is out, and not before.
func (w *watch) tell(at place, step watchStep) error {
	now := w.server.keeper.clock(time.Now())
	w.sending.Store(now)
	err := w.send(w.cursors.token(at), step)
	w.sending.Store(0)
	if err != nil {
		return err
	}
	w.at, w.sent = at, now
	return nil
}

// tellEvent is tell for an event. It runs for each event on each watch.
func (w *watch) tellEvent(ctx context.Context, ev *store.Event, at place) error {
	encoded, err := w.encode(ev)
	if err != nil {
		return err
	}
	now, recorded := w.server.keeper.clock(time.Now()), ev.RecordedAt.UnixMicro()
	f := w.cursors.frame(ev, at, encoded)
	w.undelivered.Store(max(recorded, w.began))
	w.sending.Store(now)
	err = w.server.spanned(ctx, ev, func() error { return w.stream.ServerStream.SendMsg(f) })
	w.sending.Store(0)
	w.undelivered.Store(0)
	if err != nil {
		return err
	}
	w.at, w.sent = at, now
	if w.server.sent != nil && recorded >= w.began {
		w.server.sent(ctx, ev.Stream, w.server.store.Now().Sub(ev.RecordedAt))
	}
	return nil
}
