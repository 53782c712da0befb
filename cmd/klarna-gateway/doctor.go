package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// severity is how bad a finding is.
type severity string

const (
	fine    severity = "ok"
	warning severity = "warning" // works, and should not stay as it is
	broken  severity = "error"   // does not work
)

// finding is one thing that was looked at.
type finding struct {
	Check    string   `json:"check"`             // such as "credentials"
	Subject  string   `json:"subject,omitempty"` // what of it, such as a merchant account
	Severity severity `json:"severity"`
	Message  string   `json:"message"`
	Remedy   string   `json:"remedy,omitempty"`
}

// patient is what the doctor looks at. Nothing of it is changed.
type patient struct {
	cfg      config
	now      time.Time
	offline  bool   // asks nobody
	sources  string // file of addresses that posts came from
	web      func(accountConfig) (*http.Client, error)
	public   *http.Client // to the webhooks' door from outside
	findings []finding
}

func (p *patient) note(check, subject string, how severity, remedy, message string, args ...any) {
	p.findings = append(p.findings, finding{check, subject, how, fmt.Sprintf(message, args...), remedy})
}

func doctorCommand() *cobra.Command {
	var asJSON bool
	var output *string
	p := &patient{now: time.Now(), public: &http.Client{Timeout: 10 * time.Second}}
	c := &cobra.Command{Use: "doctor", Short: "look for what is wrong with an installation, and say what to do", Args: cobra.NoArgs,
		Long: `Looks at the configuration, the credentials (by a harmless read of each merchant account), clocks, certificates and their
chains, how Klarna reaches the webhooks' door, signing keys, source addresses, tokens, policy and token issuers, the database,
its key file and its last backup. It changes nothing, and works while the gateway does; run it on the gateway's machine, as the
gateway's user and with its environment.

Ends with 0 if all is well, 2 if something should not stay as it is, 3 if something does not work.`}
	path := c.Flags().String("config", "", "YAML config `file`")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, as -o json does")
	output = wordFlag(c, c.Flags(), "output", "o", "table", "how to print", "table", "json")
	c.Flags().BoolVar(&p.offline, "offline", false, "ask neither Klarna nor anybody else")
	c.Flags().StringVar(&p.sources, "sources", "", "`file` of addresses that posts came from, one a line, or of the gateway's log: which would be refused?")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadConfig(*path, os.Getenv)
		if p.config(err); err == nil {
			p.cfg, p.web = cfg, func(a accountConfig) (*http.Client, error) { return a.http(newLogger(io.Discard, "error")) }
			p.examine(c.Context())
		}
		if err := printFindings(c.OutOrStdout(), p.findings, asJSON || *output == "json"); err != nil {
			return err
		}
		return verdict(p.findings)
	}
	return c
}

// config tells every mistake of the configuration by itself.
func (p *patient) config(err error) {
	if err == nil {
		p.note("config", "", fine, "", "no mistakes")
		return
	}
	for _, flaw := range strings.Split(strings.TrimPrefix(err.Error(), "config: "), "\n") {
		p.note("config", "", broken, "mend it; docs/configuration.md has every key", "%s", flaw)
	}
}

func (p *patient) examine(ctx context.Context) {
	p.dataDir()
	p.database(ctx)
	p.certificates()
	p.callers(ctx)
	p.signingKeys(ctx)
	p.sourceList()
	p.running(ctx)
	if p.offline {
		return
	}
	for _, a := range p.cfg.MerchantAccounts {
		for i, profile := range a.profiles() {
			name := a.Name
			if i > 0 {
				name += " from " + a.Changes[i-1].From.Format(time.RFC3339)
			}
			p.klarna(ctx, name, profile)
		}
	}
	p.reachable(ctx)
}

func printFindings(out io.Writer, all []finding, asJSON bool) error {
	if asJSON {
		text, err := json.MarshalIndent(all, "", "  ")
		if err == nil {
			_, err = fmt.Fprintln(out, string(text))
		}
		return err
	}
	for _, f := range all {
		about := f.Check
		if f.Subject != "" {
			about += " " + f.Subject
		}
		if _, err := fmt.Fprintf(out, "%-8s %s: %s\n", f.Severity, about, printable(f.Message)); err != nil {
			return err
		}
		if f.Remedy != "" {
			if _, err := fmt.Fprintf(out, "         → %s\n", f.Remedy); err != nil {
				return err
			}
		}
	}
	return nil
}

// verdict is how the command ends.
func verdict(all []finding) error {
	count := map[severity]int{}
	for _, f := range all {
		count[f.Severity]++
	}
	switch {
	case count[broken] > 0:
		return exitCode{fmt.Errorf("%d found that do not work, %d that should not stay as they are", count[broken], count[warning]), 3}
	case count[warning] > 0:
		return exitCode{errors.New(plural(count[warning], "thing") + " should not stay as it is"), 2}
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
