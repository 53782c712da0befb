// Command klarna-gateway serves Klarna's APIs and notifications as one gRPC and REST API.
//
//	klarna-gateway serve [-config FILE]   the gateway
//	klarna-gateway dev [-data DIR]        gateway and simulated Klarna together, with what to paste next
//	klarna-gateway demo                   the journeys of a payment and a partner, told as a timeline
//	klarna-gateway sim [-address ADDR]    the simulated Klarna alone
//	klarna-gateway keyring -out FILE      the key file that replicas share
//	klarna-gateway restored [-config FILE]   after the database was restored from a backup
//	klarna-gateway version
package main

import (
	"context"
	"flag"
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
		fmt.Fprintln(os.Stderr, "klarna-gateway:", err)
		stop()
		os.Exit(1)
	}
}

const usage = `usage: klarna-gateway COMMAND [FLAGS]

  serve     the gateway, from a config file (-config) and the environment
  dev       gateway and simulated Klarna together on loopback, with calls to paste
  demo      run the journeys against a simulated Klarna and tell what happened
  sim       the simulated Klarna alone
  keyring   make the key file (-out) that replicas on one database share
  restored  say that the database (-config) was restored from a backup: older resume tokens are refused
  version   print the version`

func command(ctx context.Context, args []string, out, errOut io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("no command\n%s", usage)
	}
	name, args := args[0], args[1:]
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(errOut)
	switch name {
	case "serve":
		path := flags.String("config", "", "YAML config `file`")
		if err := flags.Parse(args); err != nil {
			return err
		}
		cfg, err := loadConfig(*path, os.Getenv)
		if err != nil {
			return err
		}
		return serve(ctx, cfg, errOut)
	case "dev":
		data, at := flags.String("data", "data/dev", "`folder` of the database"), devAddresses
		flags.StringVar(&at.grpc, "grpc", at.grpc, "`address` of the gateway's gRPC")
		flags.StringVar(&at.rest, "rest", at.rest, "`address` of the gateway's REST")
		flags.StringVar(&at.webhook, "webhooks", at.webhook, "`address` of the gateway's webhooks")
		flags.StringVar(&at.admin, "admin", at.admin, "`address` of the gateway's health and version")
		flags.StringVar(&at.sim, "sim", at.sim, "`address` of the simulated Klarna")
		if err := flags.Parse(args); err != nil {
			return err
		}
		return dev(ctx, at, *data, out, errOut)
	case "demo":
		verbose := flags.Bool("v", false, "show the gateway's log")
		if err := flags.Parse(args); err != nil {
			return err
		}
		return demo(ctx, out, errOut, *verbose)
	case "sim":
		return sim(ctx, flags, args, out, errOut)
	case "keyring":
		path := flags.String("out", "", "key `file` to make")
		if err := flags.Parse(args); err != nil {
			return err
		}
		return makeKeyring(*path, out)
	case "restored":
		path := flags.String("config", "", "YAML config `file`")
		if err := flags.Parse(args); err != nil {
			return err
		}
		cfg, err := loadConfig(*path, os.Getenv)
		if err != nil {
			return err
		}
		return restored(ctx, cfg, out, newLogger(errOut, cfg.LogLevel))
	case "version":
		_, err := fmt.Fprintln(out, version())
		return err
	default:
		return fmt.Errorf("unknown command %q\n%s", name, usage)
	}
}

func serve(ctx context.Context, cfg config, errOut io.Writer) error {
	g, err := newGateway(ctx, cfg, parts{}, newLogger(errOut, cfg.LogLevel))
	if err != nil {
		return err
	}
	return g.run(ctx)
}
