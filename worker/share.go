package worker

import (
	"context"
	"log/slog"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// How often a replica asks for its part of the rate budgets, and how long it has it. A replica that is gone leaves its part
// to the others after that.
const (
	shareEvery = time.Second
	shareLife  = 4 * time.Second
)

// Sharer shares out Klarna's quotas among replicas, by what each wants: one question to the store a second, whatever is
// called. A replica that cannot ask keeps the part it had; it cannot write anything down either, so it calls little.
type Sharer struct {
	Store   *store.Store
	Budgets *klarna.Budgets
	Replica string // names this process among those that share the store
	Logger  *slog.Logger
}

// Ask asks once, before the first call is made.
func (s *Sharer) Ask(ctx context.Context) error {
	demands := s.Budgets.Demands()
	if len(demands) == 0 {
		return nil
	}
	shares, err := s.Store.Share(ctx, s.Replica, demands, shareLife)
	if err != nil {
		return err
	}
	s.Budgets.Share(shares)
	return nil
}

// Run asks again and again until ctx ends.
func (s *Sharer) Run(ctx context.Context) {
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.Ask(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "rate budgets cannot be shared; this replica keeps its part", "error", err)
		}
		failing = err != nil
	}
}
