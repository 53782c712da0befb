package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// generatedFrom begins the part of docs/commands.md that is made from the code.
const generatedFrom = "\n## Reference\n"

// TestDocument_CommandsAreWhatTheCodeHas holds docs/commands.md to the commands, their flags and examples.
func TestDocument_CommandsAreWhatTheCodeHas(t *testing.T) {
	t.Parallel()
	const path = "../../docs/commands.md"
	now := string(must[[]byte](t)(os.ReadFile(path)))
	byHand, _, found := strings.Cut(now, generatedFrom)
	if !found {
		t.Fatalf("%s has no reference", path)
	}
	made := byHand + generatedFrom + commandReference(newRoot())
	if *update {
		if err := os.WriteFile(path, []byte(made), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if now != made {
		t.Error("docs/commands.md is not what the code says: go test ./cmd/klarna-gateway -run Document -update")
	}
}

func commandReference(root *cobra.Command) string {
	var b bytes.Buffer
	b.WriteString("\nMade from the code; do not edit below. `go test ./cmd/klarna-gateway -run Document -update` makes it anew.\n")
	for _, g := range root.Groups() {
		fmt.Fprintf(&b, "\n### %s\n", strings.TrimSuffix(g.Title, ":"))
		for _, c := range root.Commands() {
			if c.GroupID == g.ID {
				eachCommand(c, func(c *cobra.Command) { describe(&b, root, c) })
			}
		}
	}
	attention, _, _ := root.Find([]string{"attention", "list"})
	b.WriteString("\n### Flags of the connection\n\nOf every command that works by the API.\n\n")
	flagRows(&b, attention, connects)
	return b.String()
}

// describe tells of one command what its -h tells.
func describe(b *bytes.Buffer, root, c *cobra.Command) {
	name := strings.TrimPrefix(c.CommandPath(), root.Name()+" ")
	if c.HasSubCommands() && !c.Flags().HasFlags() {
		return // a group
	}
	fmt.Fprintf(b, "\n#### %s\n\n", name)
	long, _, _ := strings.Cut(c.Long, remoteHelp)
	_, after, _ := strings.Cut(c.Long, remoteHelp)
	text := strings.TrimSpace(strings.TrimSpace(long) + "\n\n" + strings.TrimSpace(after))
	if text == "" {
		text = strings.ToUpper(c.Short[:1]) + c.Short[1:] + "."
	}
	fmt.Fprintf(b, "%s\n\n```\n%s\n", text, c.UseLine())
	for line := range strings.Lines(c.Example) {
		fmt.Fprintf(b, "%s", strings.TrimPrefix(line, "  "))
	}
	b.WriteString("\n```\n\n")
	flagRows(b, c, func(f *pflag.Flag) bool { return !connects(f) && f.Name != "help" })
}

func flagRows(b *bytes.Buffer, c *cobra.Command, of func(*pflag.Flag) bool) {
	first := true
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !of(f) {
			return
		}
		if first {
			b.WriteString("| Flag | What | Default |\n|---|---|---|\n")
			first = false
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "-" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		otherwise := f.DefValue
		if otherwise == "false" || otherwise == "[]" || otherwise == "0" || otherwise == "0s" {
			otherwise = ""
		}
		if otherwise != "" {
			otherwise = "`" + otherwise + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", strings.ReplaceAll(strings.TrimSpace(name+" "+kind), "|", `\|`), strings.ReplaceAll(usage, "|", `\|`), otherwise)
	})
}

// Every command has examples, each of which its flags and arguments take, and what is a secret is the value of none.
func TestCommand_ExamplesAreTaken(t *testing.T) {
	t.Parallel()
	eachCommand(newRoot(), func(c *cobra.Command) {
		if c.HasSubCommands() && !c.Flags().HasFlags() || c.Name() == "help" || strings.Contains(c.CommandPath(), "completion") {
			return
		}
		if !c.HasExample() {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for line := range strings.SplitSeq(c.Example, "\n") {
			_, call, found := strings.Cut(line, "klarna-gateway ")
			call, _, _ = strings.Cut(call, " >")
			call = strings.ReplaceAll(call, "$(date +%F)", "today")
			if !found {
				t.Errorf("%s: %q is no call", c.CommandPath(), line)
				continue
			}
			words := shellWords(call)
			root := newRoot()
			at, args, err := root.Find(longFlags(root, words))
			if err != nil || at.CommandPath() != c.CommandPath() {
				t.Errorf("%q calls %v: %v", line, at.CommandPath(), err)
				continue
			}
			if err := at.ParseFlags(args); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			if err := at.ValidateArgs(at.Flags().Args()); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if slices.Contains([]string{"token", "secret", "password", "key", "api-key"}, f.Name) {
				t.Errorf("%s: a secret would be on the command line as -%s", c.CommandPath(), f.Name)
			}
		})
	})
}

// shellWords are the words of a call as a shell sees them, as far as examples go: with single quotes.
func shellWords(call string) (words []string) {
	for i, part := range strings.Split(call, "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

// calledIn finds calls of this program in a page: in lines of code, and in code within a line.
var calledIn = regexp.MustCompile("(?m)(?:^|`|\\| |\\$ )klarna-gateway ([a-z][^`\n]*)")

// What the pages tell people to run is a command that there is, with flags that it has.
func TestDocument_CallsInPagesAreTaken(t *testing.T) {
	t.Parallel()
	pages := must[[]string](t)(filepath.Glob("../../docs/*.md"))
	pages = append(pages, "../../README.md", "../../SECURITY.md", "../../deploy/README.md", "../../deploy/systemd/klarna-gateway.service", "local.go")
	count := 0
	for _, page := range pages {
		for _, found := range calledIn.FindAllStringSubmatch(string(must[[]byte](t)(os.ReadFile(page))), -1) {
			count++
			call := regexp.MustCompile(`\s#.*| [|>;&] .*|[|)].*|…`).ReplaceAllString(strings.ReplaceAll(found[1], "$(date +%F)", "today"), "")
			root := newRoot()
			root.InitDefaultCompletionCmd("completion")
			words := longFlags(root, shellWords(strings.ReplaceAll(call, `\|`, "|")))
			at, args, err := root.Find(words)
			if err != nil || at == root || at.HasSubCommands() && !at.Flags().HasFlags() && len(args) > 0 && args[0] != "list" {
				t.Errorf("%s: klarna-gateway %s: no such command (%v)", filepath.Base(page), call, err)
				continue
			}
			for _, word := range args {
				name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
				known := at.Flags().Lookup(name) != nil || len(name) == 1 && at.Flags().ShorthandLookup(name) != nil || name == "h" || name == "help"
				if strings.HasPrefix(word, "-") && len(word) > 1 && !known {
					t.Errorf("%s: klarna-gateway %s: %s has no flag %s", filepath.Base(page), call, at.CommandPath(), word)
				}
			}
		}
	}
	if count < 60 {
		t.Errorf("only %d calls are found", count)
	}
}
