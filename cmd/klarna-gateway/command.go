package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// command runs one command line.
func command(ctx context.Context, args []string, out, errOut io.Writer) error {
	root := newRoot()
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetArgs(longFlags(root, append([]string{}, args...)))
	return root.ExecuteContext(ctx)
}

// The groups that the list of commands has.
const (
	groupRun      = "run"
	groupHost     = "host"
	groupOperator = "operator"
)

func newRoot() *cobra.Command {
	root := group("klarna-gateway", "Klarna's APIs and notifications as one gRPC and REST API")
	root.Long = `Serves Klarna's APIs and notifications as one gRPC and REST API, and is the tool of those who run it.

Flags may be written with one dash or two.`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run it:"},
		&cobra.Group{ID: groupHost, Title: "Look after it, where its configuration and its data are:"},
		&cobra.Group{ID: groupOperator, Title: "Operate it, from anywhere, by its API:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupRun, serveCommand(), devCommand(), demoCommand(), simCommand())
	add(groupHost, doctorCommand(), keyringCommand(), backupCommand(), restoreCommand(), restoredCommand(), erasuresCommand(), versionCommand())
	add(groupOperator, attentionCommand(), eventsCommand(), jobsCommand(), partnersCommand(), keysCommand())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; %s -h has them all", err, c.CommandPath())
	})
	exemplify(root)
	return root
}

// group is a command that has nothing but others below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, RunE: func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("no command\n%s", strings.TrimSpace(c.UsageString()))
		}
		meant := ""
		c.SuggestionsMinimumDistance = 2
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			meant = ", did you mean " + strings.Join(near, " or ") + "?"
		}
		return fmt.Errorf("unknown command %q for %q%s", args[0], c.CommandPath(), meant)
	}}
	c.Args = cobra.ArbitraryArgs // so that the error is ours
	c.AddCommand(below...)
	return c
}

// longFlags lets flags of more than one letter be written with one dash, as they were before there were short ones:
// -config is --config, while -v stays what it is.
func longFlags(root *cobra.Command, args []string) []string {
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return args // what stands there is not finished
	}
	long, short := map[string]bool{"help": true}, map[string]bool{}
	var learn func(*cobra.Command)
	learn = func(c *cobra.Command) {
		note := func(f *pflag.Flag) { long[f.Name], short[f.Shorthand] = true, true }
		c.Flags().VisitAll(note)
		c.PersistentFlags().VisitAll(note)
		for _, below := range c.Commands() {
			learn(below)
		}
	}
	learn(root)
	for i, arg := range args {
		if arg == "--" {
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || len(name) < 2 || name[0] == '-' || name[0] >= '0' && name[0] <= '9' {
			continue
		}
		if long[name] || !short[name[:1]] { // -ojson is -o json
			args[i] = "-" + arg
		}
	}
	return args
}

// configFlag adds -config, and gives what it names with the environment on top.
func configFlag(c *cobra.Command) (load func() (config, error)) {
	path := c.Flags().String("config", "", "YAML config `file`")
	_ = c.MarkFlagFilename("config", "yaml", "yml") // fails only for a flag that is not there
	return func() (config, error) { return loadConfig(*path, os.Getenv) }
}

func serveCommand() *cobra.Command {
	c := &cobra.Command{Use: "serve", Short: "the gateway, from a config file and the environment", Args: cobra.NoArgs}
	load := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		return serve(c.Context(), cfg, c.ErrOrStderr())
	}
	return c
}

func devCommand() *cobra.Command {
	c := &cobra.Command{Use: "dev", Short: "gateway and simulated Klarna together on loopback, with calls to paste", Args: cobra.NoArgs}
	at := devAddresses
	data := c.Flags().String("data", "data/dev", "`folder` of the database")
	c.Flags().StringVar(&at.grpc, "grpc", at.grpc, "`address` of the gateway's gRPC")
	c.Flags().StringVar(&at.rest, "rest", at.rest, "`address` of the gateway's REST")
	c.Flags().StringVar(&at.webhook, "webhooks", at.webhook, "`address` of the gateway's webhooks")
	c.Flags().StringVar(&at.admin, "admin", at.admin, "`address` of the gateway's health and version")
	c.Flags().StringVar(&at.sim, "sim", at.sim, "`address` of the simulated Klarna")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return dev(c.Context(), at, *data, c.OutOrStdout(), c.ErrOrStderr())
	}
	return c
}

func demoCommand() *cobra.Command {
	c := &cobra.Command{Use: "demo", Short: "run the journeys against a simulated Klarna and tell what happened", Args: cobra.NoArgs}
	verbose := c.Flags().BoolP("verbose", "v", false, "show the gateway's log")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return demo(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), *verbose)
	}
	return c
}

func restoredCommand() *cobra.Command {
	c := &cobra.Command{Use: "restored", Args: cobra.NoArgs,
		Short: "say that the database was brought back from a backup: older resume tokens are refused",
		Long: `Raises the log's epoch after the database was brought back from a backup by its own tools, or moved to a standby that may
lack the last commits. Resume tokens from before are refused then, so that watchers begin anew instead of missing what
the backup lacks. Stop every gateway on the database before. Of the embedded database, "restore" does it by itself.`}
	load := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		return restored(c.Context(), cfg, c.OutOrStdout(), cfg.logger(c.ErrOrStderr()))
	}
	return c
}

// oneOf is the value of a flag that takes one of a few words.
type oneOf struct {
	value *string
	words []string
}

func (o oneOf) String() string {
	if o.value == nil {
		return ""
	}
	return *o.value
}

func (o oneOf) Type() string { return strings.Join(o.words, "|") }

func (o oneOf) Set(word string) error {
	if !slices.Contains(o.words, word) {
		return errors.New("one of " + strings.Join(o.words, ", ") + " is wanted")
	}
	*o.value = word
	return nil
}

// wordFlag adds a flag that takes one of a few words, and completes it.
func wordFlag(c *cobra.Command, flags *pflag.FlagSet, name, short, value, usage string, words ...string) *string {
	flags.VarP(oneOf{&value, words}, name, short, usage)
	_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return &value
}
