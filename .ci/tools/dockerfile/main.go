// Command dockerfile checks a Dockerfile where no image can be built: BuildKit's own parser and lint rules, and what
// this project asks of an image that faces money: a pinned base, a last stage without a shell's worth of attack surface
// that runs as a numbered user, and an entry point without a shell.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func main() {
	for _, path := range os.Args[1:] {
		flaws, err := check(path)
		if err != nil {
			flaws = append(flaws, err.Error())
		}
		for _, flaw := range flaws {
			fmt.Fprintf(os.Stderr, "%s: %s\n", path, flaw)
		}
		if len(flaws) > 0 {
			os.Exit(1)
		}
		fmt.Printf("dockerfile: %s is sound\n", path)
	}
}

func check(path string) (flaws []string, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	for _, w := range file.Warnings {
		flaws = append(flaws, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		flaws = append(flaws, rule+": "+message)
	}})
	stages, _, err := instructions.Parse(file.AST, lint)
	if err != nil {
		return flaws, err
	}
	return append(flaws, ours(stages)...), nil
}

func ours(stages []instructions.Stage) (flaws []string) {
	built := map[string]bool{}
	for _, s := range stages {
		if tag := s.BaseName[strings.LastIndex(s.BaseName, "/")+1:]; !built[s.BaseName] && !strings.ContainsAny(tag, ":@") {
			flaws = append(flaws, fmt.Sprintf("base %s names no version", s.BaseName))
		}
		if strings.HasSuffix(s.BaseName, ":latest") {
			flaws = append(flaws, fmt.Sprintf("base %s is whatever is newest", s.BaseName))
		}
		built[s.Name] = true
	}
	last := stages[len(stages)-1]
	user, entry := "", false
	for _, command := range last.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.EntrypointCommand:
			entry = !c.PrependShell
		case *instructions.RunCommand:
			flaws = append(flaws, "the last stage runs commands: do that in the stage before")
		}
	}
	if name, _, _ := strings.Cut(user, ":"); name == "" || name == "0" || strings.Trim(name, "0123456789") != "" {
		flaws = append(flaws, fmt.Sprintf("the last stage's USER is %q: a number other than 0 is needed, so that runAsNonRoot can be checked", user))
	}
	if !entry {
		flaws = append(flaws, "ENTRYPOINT has to be a list: with a shell in between, SIGTERM would not reach the gateway")
	}
	return flaws
}
