package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"payments.internal/klarna-gateway/access"
)

// openTokens puts the callers' tokens in: of the configuration's file, if it has any, and of the token file. Both may change.
func (g *gatewayProcess) openTokens(callers *access.Callers) error {
	add := func(path string, whole bool) error {
		file, err := access.OpenTokens(path, whole, g.log)
		if err == nil {
			g.tokens = append(g.tokens, file)
		}
		return err
	}
	switch {
	case len(g.cfg.Tokens) == 0:
	case g.cfg.path != "":
		if err := add(g.cfg.path, false); err != nil {
			return err
		}
	default: // of a test's configuration
		for _, t := range g.cfg.Tokens {
			token, err := access.NewToken(t.Name, t.SHA256, t.DebtorData)
			if err != nil {
				return err
			}
			callers.Tokens = append(callers.Tokens, token)
		}
	}
	if g.cfg.TokenFile != "" {
		if err := add(g.cfg.TokenFile, true); err != nil {
			return err
		}
	}
	callers.TokenFiles = g.tokens
	return nil
}

// following is a file that is read again when it changes.
type following interface {
	What() string
	Flaw() error
	Watch(ctx context.Context, now <-chan struct{}) error
}

func (g *gatewayProcess) followed() (all []following) {
	if g.policy != nil {
		all = append(all, g.policy)
	}
	for _, f := range g.tokens {
		all = append(all, f)
	}
	for _, f := range g.authorities {
		all = append(all, f)
	}
	for _, i := range g.issuers {
		all = append(all, i)
	}
	return all
}

// refusedFiles tells of each kind of file that is in use whether one of them, as it is now, is not taken: what it said before
// holds then.
func (g *gatewayProcess) refusedFiles() map[string]bool {
	refused := map[string]bool{}
	for _, f := range g.followed() {
		refused[f.What()] = refused[f.What()] || f.Flaw() != nil
	}
	for _, c := range g.certs {
		refused["certificate"] = refused["certificate"] || c.refused() != nil
	}
	return refused
}

// followFiles has files read again when they change, and at once with SIGHUP, until ctx ends.
func (g *gatewayProcess) followFiles(ctx context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	group, ctx := errgroup.WithContext(ctx)
	var bells []chan struct{}
	for _, file := range g.followed() {
		bell := make(chan struct{}, 1)
		bells = append(bells, bell)
		group.Go(func() error { return file.Watch(ctx, bell) })
	}
	for {
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-hangup:
			g.log.InfoContext(ctx, "told to read files again")
			for _, bell := range bells {
				select {
				case bell <- struct{}{}:
				default:
				}
			}
		}
	}
}
