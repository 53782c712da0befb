package server

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
)

// klarnaLine is how a proto comment names the Klarna operation behind an RPC.
var klarnaLine = regexp.MustCompile(`^// Klarna: (GET|POST|PATCH|PUT|DELETE) (/\S+?)\.?$`)

var (
	serviceLine = regexp.MustCompile(`^service (\w+) \{`)
	rpcLine     = regexp.MustCompile(`^rpc (\w+)\(`)
)

// coverage is one RPC and the Klarna operation it reaches.
type coverage struct{ method, path, rpc string }

// covered is readCoverage for a test.
func covered(t *testing.T) (reached []coverage, own []string) {
	t.Helper()
	reached, own, err := readCoverage()
	if err != nil {
		t.Fatal(err)
	}
	return reached, own
}

// readCoverage reads the protos: an RPC without a Klarna operation is answered from our own record.
func readCoverage() (reached []coverage, own []string, err error) {
	files, err := filepath.Glob("../proto/gateway/v1/*_service.proto")
	if err != nil || len(files) == 0 {
		return nil, nil, fmt.Errorf("no service protos: %w", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, err
		}
		service, pending := "", [][]string(nil)
		for line := range strings.Lines(string(content)) {
			line = strings.TrimSpace(line)
			if m := serviceLine.FindStringSubmatch(line); m != nil {
				service = m[1]
			}
			if m := klarnaLine.FindStringSubmatch(line); m != nil {
				pending = append(pending, m)
			}
			m := rpcLine.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			name := service + "." + m[1]
			if pending == nil {
				own = append(own, name)
			}
			for _, p := range pending {
				reached = append(reached, coverage{method: p[1], path: p[2], rpc: name})
			}
			pending = nil
		}
	}
	slices.SortFunc(reached, func(a, b coverage) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.method, b.method)) })
	slices.Sort(own)
	return reached, own, nil
}

// TestDocument_CoverageIsWhatTheProtosSay holds docs/coverage.md to the protos.
func TestDocument_CoverageIsWhatTheProtosSay(t *testing.T) {
	t.Parallel()
	reached, own := covered(t)
	callers := map[string]bool{}
	for _, c := range reached {
		callers[c.rpc] = true
	}
	var doc bytes.Buffer
	fmt.Fprintf(&doc, "# Which RPC reaches which operation of Klarna's\n\nGenerated from the protos by `go test ./server -run Document -update`.\n\n")
	fmt.Fprintf(&doc, "%d RPCs call Klarna, %d are answered from the gateway's own record.\n\n| Klarna | RPC |\n| --- | --- |\n", len(callers), len(own))
	for _, c := range reached {
		fmt.Fprintf(&doc, "| `%s %s` | %s |\n", c.method, c.path, c.rpc)
	}
	fmt.Fprintf(&doc, "\nFrom the record: %s.\n", strings.Join(own, ", "))
	holds(t, "../docs/coverage.md", doc.Bytes())
}

// holds compares a generated document with the one that is kept, and replaces it with -update.
func holds(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(kept, want) {
		t.Errorf("%s is not what the code says: run go test ./server -run Document -update (%v)", path, err)
	}
}

// TestDocument_ErrorsAreWhatTheTablesSay holds docs/errors.md to the error tables.
func TestDocument_ErrorsAreWhatTheTablesSay(t *testing.T) {
	t.Parallel()
	var doc bytes.Buffer
	fmt.Fprint(&doc, "# Errors\n\nGenerated from the code by `go test ./server -run Document -update`.\n\n"+
		"Every error is a google.rpc.Status with an ErrorInfo (domain `"+errorDomain+"`). The code says what kind of thing\n"+
		"went wrong, the reason what exactly; where a field is at fault, BadRequest names it, and where a repeat makes\n"+
		"sense, RetryInfo says when. Over REST the code becomes an HTTP status.\n\n"+
		"## Reasons\n\n| Reason | Code | HTTP | Meaning |\n| --- | --- | --- | --- |\n")
	for _, r := range slices.Sorted(maps.Keys(verdicts)) {
		v := verdicts[r]
		fmt.Fprintf(&doc, "| %s | %s | %d | %s |\n", reasonName(r), codeName(v.code), runtime.HTTPStatusFromCode(v.code), v.message)
	}
	fmt.Fprint(&doc, "\n## What Klarna's answers become\n\nThe most exact row counts. An empty cell means any. Besides: a write whose effect cannot be\n"+
		"known is OUTCOME_UNKNOWN, a call that had none is KLARNA_UNAVAILABLE, whatever the status; Klarna Payments' 409\n"+
		"BAD_VALUE is ORDER_EXISTS if the authorisation became another order; anything else is KLARNA_UNEXPECTED.\n\n"+
		"| API | HTTP | Klarna's code | Operation | Reason |\n| --- | --- | --- | --- | --- |\n")
	rows := slices.SortedFunc(maps.Keys(refusals), func(a, b refusal) int {
		return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.status, b.status), cmp.Compare(a.code, b.code), cmp.Compare(a.operation, b.operation))
	})
	for _, k := range rows {
		http := ""
		if k.status != 0 {
			http = strconv.Itoa(k.status)
		}
		fmt.Fprintf(&doc, "| %s | %s | %s | %s | %s |\n", k.family, http, k.code, k.operation, reasonName(refusals[k]))
	}
	holds(t, "../docs/errors.md", doc.Bytes())
}

// codeName is a code as the API guides write it.
func codeName(c codes.Code) string {
	var name strings.Builder
	for i, r := range c.String() {
		if i > 0 && unicode.IsUpper(r) {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToUpper(r))
	}
	return name.String()
}
