package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// from is where a watch is opened; the zero value leaves that to the request.
type from struct {
	token    string
	snapshot bool
}

type receiver[R any] interface{ Recv() (R, error) }

// response is what both watch responses share.
type response interface {
	GetResumeToken() string
	GetBookmark() *gatewayv1.Bookmark
	GetStreamEnd() *gatewayv1.StreamEnd
}

// source is one of the two watches.
type source[E any, R response] struct {
	open  func(context.Context, from) (receiver[R], error)
	event func(R) (event E, position int64, ok bool)
}

// watcher is one watch on its way through as many streams as it takes.
type watcher[E any, R response] struct {
	options Options
	source  source[E, R]
	yield   func(E, error) bool

	at    from
	last  int64 // position of the last event yielded: what is not behind it was told
	tries int   // streams in a row that told nothing
}

// errStop says that the consumer has had enough, or that the watch is over.
var errStop = errors.New("stop")

// errSilence is why a stream is given up that says nothing.
var errSilence = errors.New("nothing came for too long")

// again asks for another stream after a pause.
type again struct {
	delay time.Duration // 0 leaves it to the backoff
	cause error
}

func (a *again) Error() string { return "open the watch again: " + a.cause.Error() }

func watch[E any, R response](ctx context.Context, options Options, source source[E, R]) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		w := &watcher[E, R]{options: options, source: source, yield: yield}
		for {
			err := w.stream(ctx)
			var retry *again
			if ctx.Err() == nil && errors.As(err, &retry) && w.pause(ctx, retry.delay) {
				continue
			}
			if ctx.Err() != nil && !errors.Is(err, errStop) {
				err = context.Cause(ctx)
			}
			if !errors.Is(err, errStop) {
				var none E
				yield(none, err)
			}
			return
		}
	}
}

// stream opens a stream and tells what comes, until it ends.
func (w *watcher[E, R]) stream(ctx context.Context) error {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	silence := time.AfterFunc(w.options.Silence, func() { leave(errSilence) })
	defer silence.Stop()
	stream, err := w.source.open(ctx, w.at)
	if err != nil {
		return w.broken(err)
	}
	for {
		res, err := stream.Recv()
		if err != nil {
			return w.broken(err)
		}
		silence.Stop() // the consumer may take its time
		w.tries = 0
		if err := w.tell(res); err != nil {
			return err
		}
		silence.Reset(w.options.Silence)
	}
}

// tell hands one response to the consumer. The watch has come to its token once that has returned.
func (w *watcher[E, R]) tell(res R) error {
	if event, position, ok := w.source.event(res); ok && position > w.last {
		w.last = position
		if !w.yield(event, nil) {
			return errStop
		}
	}
	if token := res.GetResumeToken(); token != "" {
		w.at = from{token: token}
		if w.options.Progress != nil {
			w.options.Progress(Progress{ResumeToken: token, HeadPosition: res.GetBookmark().GetHeadPosition()})
		}
	}
	if end := res.GetStreamEnd(); end != nil {
		return ended(end)
	}
	return nil
}

func ended(end *gatewayv1.StreamEnd) error {
	switch end.GetReason() {
	case gatewayv1.StreamEnd_REASON_UNTIL_REACHED, gatewayv1.StreamEnd_REASON_FINAL:
		return errStop
	case gatewayv1.StreamEnd_REASON_DRAINING, gatewayv1.StreamEnd_REASON_MAX_AGE:
		return &again{delay: max(end.GetRetryDelay().AsDuration(), time.Millisecond), cause: errors.New(end.GetReason().String())}
	default:
		return &EndedError{end.GetReason()}
	}
}

// broken tells what follows from a stream that ended without saying so.
func (w *watcher[E, R]) broken(err error) error {
	if errors.Is(err, io.EOF) { // cut by something in between
		return &again{cause: err}
	}
	st := status.Convert(err)
	info, retry := details(st)
	switch st.Code() {
	case codes.OutOfRange:
		if w.options.SnapshotIfTrimmed {
			w.at = from{snapshot: true}
			return &again{cause: err}
		}
		oldest, _ := strconv.ParseInt(info.GetMetadata()["oldest_position"], 10, 64) // 0 if it is not told
		return &TrimmedError{OldestPosition: oldest, status: err}
	case codes.InvalidArgument, codes.Unauthenticated, codes.PermissionDenied, codes.NotFound, codes.FailedPrecondition,
		codes.Unimplemented, codes.AlreadyExists, codes.DataLoss:
		return err
	default:
		return &again{delay: retry, cause: err}
	}
}

func details(st *status.Status) (info *errdetails.ErrorInfo, retry time.Duration) {
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d.GetRetryDelay().AsDuration()
		}
	}
	return info, retry
}

// pause waits before the next stream, and tells whether ctx goes on.
func (w *watcher[E, R]) pause(ctx context.Context, delay time.Duration) bool {
	if delay <= 0 {
		delay = min(w.options.FirstDelay<<min(w.tries, 20), w.options.LongestDelay)
		w.tries++
		delay = delay/2 + rand.N(delay/2+1)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
