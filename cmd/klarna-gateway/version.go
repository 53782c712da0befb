package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"payments.internal/klarna-gateway/store/postgres"
	"payments.internal/klarna-gateway/store/sqlite"
)

// release is the name of a release, put here by the linker: see the Makefile.
var release string

// build says what this binary was built from.
type build struct {
	// Version is the release, of anything else the commit, or "dev" if that is not known.
	Version string `json:"version"`
	// Commit is the whole hash of the commit; empty if it is not known, as in tests.
	Commit string `json:"commit,omitempty"`
	// CommitTime is when it was made.
	CommitTime *time.Time `json:"commit_time,omitempty"`
	// Modified: there were changes that are in no commit.
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// Schema is the newest version of each database's schema that it knows.
	Schema map[string]int `json:"schema"`
}

func buildInfo() build {
	b := build{
		Version: "dev", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Schema: map[string]int{"sqlite": sqlite.SchemaVersion(), "postgres": postgres.SchemaVersion()},
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value
			case "vcs.time":
				if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
					b.CommitTime = &at
				}
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	if len(b.Commit) >= 12 {
		b.Version = b.Commit[:12]
	}
	b.Version = orDefault(release, b.Version)
	return b
}

// version names the binary in a word.
func version() string { return buildInfo().Version }

func versionCommand() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "what this binary was built from", Args: cobra.NoArgs}
	output := wordFlag(c, c.Flags(), "output", "o", "table", "how to print", "table", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		b := buildInfo()
		if *output == "json" {
			return indented(c.OutOrStdout(), b)
		}
		commit := orDefault(b.Commit, "not known")
		if b.Modified {
			commit += ", with changes"
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "klarna-gateway %s\ncommit %s\nbuilt with %s for %s\nschema sqlite %d, postgres %d\n",
			b.Version, commit, b.Go, b.Platform, b.Schema["sqlite"], b.Schema["postgres"])
		return err
	}
	return c
}
