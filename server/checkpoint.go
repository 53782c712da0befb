package server

import (
	"bytes"
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// watchService implements WatchService.
type watchService struct {
	gatewayv1.UnimplementedWatchServiceServer
	*Server
}

// mostCheckpoints is how many a caller may have.
const mostCheckpoints = 1000

func (s *watchService) AckWatch(ctx context.Context, req *gatewayv1.AckWatchRequest) (*gatewayv1.AckWatchResponse, error) {
	rpc, at, err := s.acknowledged(ctx, req.GetResumeToken())
	if err != nil {
		return nil, err
	}
	next := store.Checkpoint{
		Caller: callerOf(ctx).Name, Name: req.GetCheckpoint(), Watch: rpc, Token: req.GetResumeToken(), Position: at.reached(), UpdatedAt: s.store.Now(),
	}
	var now store.Checkpoint
	if _, err := s.store.Checkpoint(ctx, next.Caller, next.Name); errors.Is(err, store.ErrNotFound) {
		if list, err := s.store.Checkpoints(ctx, next.Caller, "", mostCheckpoints); err != nil || len(list) == mostCheckpoints {
			return nil, errors.Join(err, reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_TOO_MANY_CHECKPOINTS, nil))
		}
	}
	err = s.store.Do(ctx, func(tx store.Tx) error {
		before, err := tx.Checkpoint(ctx, next.Caller, next.Name)
		switch {
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return err
		case err == nil && behind(next.Token, before.Token):
			now = before
			return nil
		}
		now = next
		return tx.PutCheckpoint(ctx, next)
	})
	return &gatewayv1.AckWatchResponse{Checkpoint: checkpointFromStore(now)}, err
}

// acknowledged reads a token of whichever watch.
func (s *Server) acknowledged(ctx context.Context, token string) (rpc string, at place, err error) {
	raw, err := tokenText.DecodeString(token)
	if err != nil || !s.tokens.signed(raw) {
		return "", at, badToken(gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_INVALID, "resume_token", "is not a token of this gateway's, or was altered")
	}
	// Its own filter and RPC: what is left to check is that it is of this log and not too old.
	_, rpc, filter, _, ok := apart(raw[digestSize:])
	if !ok || !s.watched(rpc) {
		return "", at, badToken(gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_INVALID, "resume_token", "is not of a watch")
	}
	id, epoch, err := s.store.Log(ctx)
	if err != nil {
		return "", at, err
	}
	head, trimmed, err := s.store.Head(ctx)
	if err != nil {
		return "", at, err
	}
	c := cursors{signer: s.tokens, bound: bind(s.digestOfLog(id, epoch), rpc, filter), head: head, trimmed: trimmed}
	at, err = c.read(token, "resume_token", gatewayv1.ErrorReason_ERROR_REASON_RESUME_TOKEN_INVALID)
	if err == nil && at.reached() < trimmed {
		err = &store.TrimmedError{After: at.reached(), UpTo: trimmed}
	}
	return rpc, at, err
}

func (s *Server) watched(rpc string) bool {
	return rpc == "WatchPaymentStatus" || rpc == "WatchAccountState"
}

// reached is the position that a place goes on from: behind a snapshot lies what came since.
func (at place) reached() store.Position { return max(at.After, at.UpTo) }

// behind tells whether a token is of the same watch as another one and not further on.
func behind(token, other string) bool {
	read := func(token string) (bound []byte, at place, ok bool) {
		raw, err := tokenText.DecodeString(token)
		if err != nil || len(raw) <= digestSize {
			return nil, at, false
		}
		log, rpc, filter, at, ok := apart(raw[digestSize:])
		return bind(log, rpc, filter), at, ok
	}
	bound, at, ok := read(token)
	otherBound, otherAt, otherOK := read(other)
	if !ok || !otherOK || !bytes.Equal(bound, otherBound) || at.reached() > otherAt.reached() {
		return false
	}
	if at.Snapshot != otherAt.Snapshot {
		return at.Snapshot || at.reached() < otherAt.reached()
	}
	return at.After <= otherAt.After
}

// checkpointed is the token of a caller's checkpoint; empty without one.
func (s *Server) checkpointed(ctx context.Context, name string) (token string, err error) {
	c, err := s.store.Checkpoint(ctx, callerOf(ctx).Name, name)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return c.Token, err
}

func (s *watchService) ListCheckpoints(ctx context.Context, _ *gatewayv1.ListCheckpointsRequest) (*gatewayv1.ListCheckpointsResponse, error) {
	found, err := s.store.Checkpoints(ctx, callerOf(ctx).Name, "", mostCheckpoints)
	if err != nil {
		return nil, err
	}
	res := &gatewayv1.ListCheckpointsResponse{}
	for _, c := range found {
		res.Checkpoints = append(res.Checkpoints, checkpointFromStore(c))
	}
	return res, nil
}

func (s *watchService) DeleteCheckpoint(ctx context.Context, req *gatewayv1.DeleteCheckpointRequest) (*gatewayv1.DeleteCheckpointResponse, error) {
	err := s.store.Do(ctx, func(tx store.Tx) error {
		return tx.DeleteCheckpoint(ctx, callerOf(ctx).Name, req.GetCheckpoint())
	})
	return &gatewayv1.DeleteCheckpointResponse{}, err
}

func checkpointFromStore(c store.Checkpoint) *gatewayv1.Checkpoint {
	return &gatewayv1.Checkpoint{
		Checkpoint: c.Name, Watch: c.Watch, ResumeToken: c.Token, Position: int64(c.Position), UpdateTime: timestamppb.New(c.UpdatedAt),
	}
}
