package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"payments.internal/klarna-gateway/access"
)

// openTokens puts the callers' tokens in: of the configuration's file, if it has any, and of the token file. Both may change.
func (g *gatewayProcess) openTokens(callers *access.Callers) error {
	add := func(path string, parse func([]byte) ([]access.Token, error)) error {
		file, err := access.OpenTokens(path, parse, g.log)
		if err == nil {
			g.tokens = append(g.tokens, file)
		}
		return err
	}
	switch {
	case len(g.cfg.Tokens) == 0:
	case g.cfg.path != "":
		if err := add(g.cfg.path, g.cfg.tokensIn); err != nil {
			return err
		}
	default: // of a test's configuration
		var err error
		if callers.Tokens, err = g.cfg.tokens(); err != nil {
			return err
		}
	}
	if g.cfg.TokenFile != "" {
		if err := add(g.cfg.TokenFile, access.ParseTokens); err != nil {
			return err
		}
	}
	callers.TokenFiles = g.tokens
	return nil
}

// tokensIn are the tokens in the file of a configuration as it is now. All of it has to be sound, as at the start: half a
// file, or one whose list has slipped under another key, must not take everybody's token away. An empty list may.
func (c *config) tokensIn(content []byte) (all []access.Token, err error) {
	var none bool
	now, err := parseConfig(c.path, content, c.env, func(now *config) {
		if none = now.Tokens != nil && len(now.Tokens) == 0; none {
			now.Tokens = c.Tokens // that callers have to prove who they are was decided at the start, and stays
		}
	})
	switch {
	case now.Tokens == nil:
		return nil, errors.Join(err, access.ErrNoTokens)
	case err != nil || none:
		return nil, err
	}
	return now.tokens()
}

// tokens are the callers' tokens. The error names every flaw.
func (c *config) tokens() (all []access.Token, err error) {
	var flaws []error
	for i, t := range c.Tokens {
		token, err := access.NewToken(t.Name, t.SHA256, t.DebtorData)
		if err != nil {
			flaws = append(flaws, fmt.Errorf("tokens[%d]: %w", i, err))
		}
		all = append(all, token)
	}
	return all, errors.Join(append(flaws, access.Distinct(all))...)
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
	if !g.terminal {
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
	}
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
