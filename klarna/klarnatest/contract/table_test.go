package contract

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// operationTables are the sections of the fact sheets that list operations, and what their paths begin with.
var operationTables = []struct{ sheet, from, to, prefix string }{
	{"network.md", "## 3. Onboarding", "### 3.1", "/v2/distribution"},
	{"network.md", "## 4. Management operations", "## 5.", "/v2/"},
	{"network.md", "### 7.1 Operations", "### 7.2", "/v2/notification"},
	{"network.md", "## 10. Payment requests", "## 11.", "/v2/accounts/"},
	{"classic.md", "## 6. Klarna Payments", "## 7.", "/payments/v1"},
	{"classic.md", "## 7. Customer token", "## 8.", "/customer-token/v1"},
	{"classic.md", "## 8. Hosted Payment Page", "## 9.", "/hpp/v1"},
	{"classic.md", "## 9. Order management", "### 9.1", "/ordermanagement/v1"},
	{"classic.md", "## 13. Klarna Checkout", "## 14.", "/checkout/v3"},
	{"classic.md", "## 14. Settlements", "## 15.", "/settlements/v1"},
}

// TestTables_NameNoOperationThatIsMissing looks up the operations of the fact sheets' tables among those that are known
// here. A row names methods and then a path, or the end of one.
func TestTables_NameNoOperationThatIsMissing(t *testing.T) {
	t.Parallel()
	docs, folder := Open(t), Folder(t)
	named := 0
	for _, table := range operationTables {
		content, err := os.ReadFile(filepath.Join(folder, "..", table.sheet))
		if err != nil {
			t.Fatalf("the fact sheets lie beside the documents: %v", err)
		}
		_, section, begins := strings.Cut(string(content), table.from)
		section, _, ends := strings.Cut(section, table.to)
		if !begins || !ends {
			t.Fatalf("%s has no section %s", table.sheet, table.from)
		}
		for line := range strings.Lines(table.from + section) {
			if !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "## 3. Onboarding") {
				continue
			}
			for _, call := range callsIn(line) {
				named++
				if !docs.has(call, table.prefix) {
					t.Errorf("%s, %s: no operation %s …%s", table.sheet, table.from, call.method, call.end)
				}
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d operations are found in the tables: they read otherwise than this test expects", named)
	}
}

// tableCall is a method, empty for any, and the end of a path.
type tableCall struct{ method, end string }

var (
	tableCell = regexp.MustCompile("(GET|POST|PATCH|PUT|DELETE)|`([^`]*)`")
	methodRow = regexp.MustCompile(`\b(GET|POST|PATCH|PUT|DELETE)\b`)
	optional  = regexp.MustCompile(`\[(/[^\]]*)\]`)
	choice    = regexp.MustCompile(`\{([a-z]+(?:,[a-z]+)+)\}`)
)

// callsIn are the calls that a row names: `GET, PATCH `{A}/brands/{id}“ are two.
func callsIn(line string) (calls []tableCall) {
	if !methodRow.MatchString(line) {
		return nil
	}
	var methods []string
	fresh := true
	for _, m := range tableCell.FindAllStringSubmatch(line, -1) {
		if m[1] != "" {
			if fresh {
				methods, fresh = nil, false
			}
			methods = append(methods, m[1])
			continue
		}
		for _, method := range cmpOr(methods, "") {
			for _, end := range endsOf(m[2]) {
				calls = append(calls, tableCall{method, end})
			}
		}
		fresh = true
	}
	return calls
}

func cmpOr(methods []string, other string) []string {
	if len(methods) == 0 {
		return []string{other}
	}
	return methods
}

// endsOf are the paths that a token stands for; none if it is no path.
func endsOf(token string) (ends []string) {
	method, path, spaced := strings.Cut(token, " ")
	if spaced && methodRow.MatchString(method) {
		token = path
	}
	token, _, _ = strings.Cut(token, "?")
	token = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(token, "{A}"), "..."), "…")
	if !strings.HasPrefix(token, "/") || strings.ContainsAny(token, " *<") || strings.Contains(token, "://") {
		return nil
	}
	if m := choice.FindStringSubmatch(token); m != nil {
		for _, one := range strings.Split(m[1], ",") {
			ends = append(ends, endsOf(strings.Replace(token, m[0], one, 1))...)
		}
		return ends
	}
	if m := optional.FindStringSubmatch(token); m != nil {
		return append(endsOf(strings.Replace(token, m[0], "", 1)), endsOf(strings.Replace(token, m[0], m[1], 1))...)
	}
	return []string{strings.TrimSuffix(token, "/")}
}

func (d *Documents) has(call tableCall, prefix string) bool {
	for _, o := range d.Operations {
		if (call.method == "" || call.method == o.Method) && strings.HasPrefix(o.Path, prefix[:min(len(prefix), len(o.Path))]) && endsLike(o.Path, call.end) {
			return true
		}
	}
	return false
}

func endsLike(path, end string) bool {
	segments, last := strings.Split(path, "/"), strings.Split(strings.TrimPrefix(end, "/"), "/")
	if len(last) > len(segments) {
		return false
	}
	return SamePath(strings.Join(segments[len(segments)-len(last):], "/"), strings.Join(last, "/"))
}
