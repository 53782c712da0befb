package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// connection marks the flags by which a command reaches a gateway: they are the same for each, and told apart.
const connection = "connection"

func connects(f *pflag.Flag) bool { return f.Annotations[connection] != nil }

// usage tells how a command is used: what is its own before what all of its kind have.
func usage(c *cobra.Command) error {
	var b strings.Builder
	if c.Runnable() && !c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "Usage:\n  %s\n", c.UseLine())
	} else {
		fmt.Fprintf(&b, "Usage:\n  %s COMMAND [flags]\n", c.CommandPath())
	}
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
	}
	below := func(title, group string) {
		var lines strings.Builder
		for _, sub := range c.Commands() {
			if sub.GroupID == group && sub.IsAvailableCommand() {
				fmt.Fprintf(&lines, "  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
		if lines.Len() > 0 {
			fmt.Fprintf(&b, "\n%s\n%s", title, lines.String())
		}
	}
	for _, g := range c.Groups() {
		below(g.Title, g.ID)
	}
	below("Commands:", "")
	own, shared := pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if connects(f) {
			shared.AddFlag(f)
		} else {
			own.AddFlag(f)
		}
	})
	for _, set := range []struct {
		title string
		flags *pflag.FlagSet
	}{{"Flags", own}, {"Flags of the connection", shared}} {
		if set.flags.HasAvailableFlags() {
			fmt.Fprintf(&b, "\n%s:\n%s", set.title, set.flags.FlagUsages())
		}
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n\"%s COMMAND -h\" tells more of a command.\n", c.CommandPath())
	}
	_, err := fmt.Fprint(c.OutOrStderr(), b.String())
	return err
}

// examples are put to the commands that have none of their own, by what stands behind the program's name.
var examples = map[string]string{
	"serve":                   "serve -config gateway.yaml",
	"dev":                     "dev\ndev -data /tmp/gateway -rest 127.0.0.1:18080",
	"demo":                    "demo",
	"sim":                     "sim -webhooks https://127.0.0.1:8443 -insecure",
	"doctor":                  "doctor -config gateway.yaml\ndoctor -config gateway.yaml -offline -o json",
	"keyring":                 "keyring -out keys.json\nkeyring -add keys.json",
	"keyring status":          "keyring status -config gateway.yaml",
	"keyring reseal":          "keyring reseal",
	"keyring remove":          "keyring remove -config gateway.yaml",
	"backup":                  "backup -config gateway.yaml -out /backup/gateway/$(date +%F) -keys /elsewhere/keys",
	"restore":                 "restore -config gateway.yaml -from /backup/gateway/2026-03-31 -keys /elsewhere/keys/keys.json",
	"restored":                "restored -config gateway.yaml",
	"erasures":                "erasures -config gateway.yaml -list /backup/erasures.jsonl",
	"version":                 "version\nversion -o json",
	"attention list":          "attention list -older 1h\nattention list -reason conflict,outcome_unknown -o json",
	"attention get":           "attention get 0b6e5d1c-5d0e-4f5b-9c55-0a8f4f6f2a11",
	"attention act":           "attention act 0b6e5d1c-5d0e-4f5b-9c55-0a8f4f6f2a11 retry\nattention act 0b6e5d1c-5d0e-4f5b-9c55-0a8f4f6f2a11 dismiss -note 'refunded by hand, case 4711'",
	"events get":              "events get 4711\nevents get payment-status:shop:0f1e2d3c-4b5a-4968-8776-554433221100 -raw > body.json",
	"events quarantined":      "events quarantined",
	"events verify-signature": "events verify-signature body.json -H 'Payload-Signature: ts=1764000000,sig=0a1b,v=1' -m shop",
	"jobs list":               "jobs list\njobs list -kind resolve_request -o json",
	"partners list":           "partners list -state partially_operational",
	"partners get":            "partners get krn:partner:global:account:test:MKPMV6MS",
	"partners watch":          "partners watch\npartners watch -reference mrc-000482 -until operational",
	"keys list":               "keys list",
	"keys import":             "pass klarna/signing-key | klarna-gateway keys import krn:partner:global:notification:signing-key:0f1e2d3c-4b5a-4968-8776-554433221100 -secret-file -",
	"keys retire":             "keys retire krn:partner:global:notification:signing-key:0f1e2d3c-4b5a-4968-8776-554433221100 -in 48h",
}

// exemplify gives each command its examples, and the way in which it is used to all of them.
func exemplify(root *cobra.Command) {
	root.SetUsageFunc(usage)
	eachCommand(root, func(c *cobra.Command) {
		of, has := examples[strings.TrimPrefix(c.CommandPath(), root.Name()+" ")]
		if c.HasExample() || !has {
			return
		}
		for line := range strings.SplitSeq(of, "\n") {
			if !strings.Contains(line, root.Name()+" ") {
				line = root.Name() + " " + line
			}
			c.Example += "  " + line + "\n"
		}
		c.Example = strings.TrimRight(c.Example, "\n")
	})
}

// eachCommand walks the commands, parents first.
func eachCommand(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, below := range c.Commands() {
		eachCommand(below, do)
	}
}
