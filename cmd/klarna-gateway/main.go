// Command klarna-gateway serves Klarna's APIs and notifications as one gRPC and REST API, and is the tool of those who
// run it. `klarna-gateway help` lists its commands; command.go has them all.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "klarna-gateway:", newRedaction().text(err.Error()))
		stop()
		code := 1
		if found := (exitCode{}); errors.As(err, &found) {
			code = found.code
		}
		os.Exit(code)
	}
}

// exitCode is an error that ends the process with a code of its own.
type exitCode struct {
	error
	code int
}

func serve(ctx context.Context, cfg config, errOut io.Writer) error {
	collectSeldom()
	g, err := newGateway(ctx, cfg, parts{}, cfg.logger(errOut))
	if err != nil {
		return err
	}
	return g.run(ctx)
}
