package contract

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// tally is what has passed all Taps of this process, by method and path template.
var tally = struct {
	mu   sync.Mutex
	seen map[string]Seen
}{seen: map[string]Seen{}}

func count(o *Operation, requestOK, answerOK bool, method string) {
	tally.mu.Lock()
	defer tally.mu.Unlock()
	s := tally.seen[o.Method+" "+o.Path]
	if requestOK {
		s.Requests++
	}
	if answerOK {
		s.Answers++
	}
	if method != "" && !slices.Contains(s.Methods, method) {
		s.Methods = append(s.Methods, method)
		slices.Sort(s.Methods)
	}
	tally.seen[o.Method+" "+o.Path] = s
}

// SamePath tells whether two path templates are the same but for the names of what stands in them.
func SamePath(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	return slices.EqualFunc(x, y, func(s, t string) bool {
		_, free := placeholder(s)
		_, also := placeholder(t)
		return free && also || s == t
	})
}

// WriteTable writes a row for each operation of Klarna's: which client method and which RPC, by rpcOf, reach it, and
// whether requests and answers that are right have passed the Taps of this process. It returns how many operations lack
// something. What no document describes cannot be called right, and its row says so.
func (d *Documents) WriteTable(w io.Writer, rpcOf func(method, path string) []string) (lacking int, err error) {
	tally.mu.Lock()
	defer tally.mu.Unlock()
	rows := [][]string{{"Operation", "Description", "Client", "RPC", "Request valid", "Response valid"}}
	for _, o := range d.Operations {
		s := tally.seen[o.Method+" "+o.Path]
		row := []string{
			o.Method + " " + o.Path, o.description(), strings.Join(s.Methods, ", "), strings.Join(rpcOf(o.Method, o.Path), ", "),
			o.verdict(s.Requests), o.verdict(s.Answers),
		}
		if slices.Contains(row, "") {
			lacking++
		}
		rows = append(rows, row)
	}
	for i, row := range rows {
		for k, cell := range row {
			row[k] = cmp.Or(cell, "MISSING")
		}
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | ")); err != nil {
			return lacking, err
		}
		if i == 0 {
			_, _ = fmt.Fprintf(w, "|%s\n", strings.Repeat(" --- |", len(row)))
		}
	}
	_, err = fmt.Fprintf(w, "\n%d of %d operations are reached, with requests and answers as described.\n", len(d.Operations)-lacking, len(d.Operations))
	return lacking, err
}

func (o *Operation) description() string {
	switch {
	case !o.Described():
		return "none, only named (" + o.Document + ")"
	case o.Own:
		return "Klarna's own (" + o.Document + ")"
	default:
		return "reconstructed (" + o.Document + ")"
	}
}

func (o *Operation) verdict(n int) string {
	switch {
	case n == 0:
		return ""
	case !o.Described():
		return "not described"
	default:
		return "yes"
	}
}
