package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// report is what is written.
type report struct {
	size    size
	results []result
	took    time.Duration
	machine string
}

func (r report) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "# Performance\n\nWritten by `make bench`. Figures are ratios of the gateway to a baseline that ran in the same run, in turns with it: "+
		"the median of %d rounds, and in brackets the lowest and the highest. Goals are not tests: nothing fails where one is missed.\n\n", r.size.rounds)
	fmt.Fprintf(&text, "%s; size `%s`; took %.0f s.\n\n![ratios](performance.svg)\n\n", r.machine, r.size.name, r.took.Seconds())
	text.WriteString("| Work | Baseline | Figure | Goal | |\n|---|---|---|---|---|\n")
	for _, one := range r.results {
		fmt.Fprintf(&text, "| %s | %s | %s %s | %s | %s |\n", one.work, one.baseline, one.figure, one.unit, one.goalText(), one.verdict())
	}
	text.WriteString("\n## In figures\n\n| Work | Gateway | Baseline |\n|---|---|---|\n")
	for _, one := range r.results {
		fmt.Fprintf(&text, "| %s / %s | %s | %s |\n", one.work, one.baseline, one.ours, one.base)
	}
	text.WriteString(notes)
	return text.String()
}

// byHand is what somebody has written at the end of the page, of where the time goes. It stays.
func byHand(page string) string {
	if at := strings.Index(page, "\n## Where the time goes\n"); at >= 0 {
		return page[at:]
	}
	return ""
}

// machine is what the run ran on.
func machine(dir string) string {
	cpu := "unknown CPU"
	if file, err := os.Open("/proc/cpuinfo"); err == nil {
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if name, found := strings.CutPrefix(lines.Text(), "model name"); found {
				cpu = strings.TrimLeft(name, " \t:")
				break
			}
		}
	}
	return fmt.Sprintf("%d × %s, %s/%s, %s, one fsync of 4 KiB takes %s", runtime.NumCPU(), cpu, runtime.GOOS, runtime.GOARCH, runtime.Version(), fsync(dir))
}

// fsync is how long the disk takes: the median of a few.
func fsync(dir string) string {
	file, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return "unknown"
	}
	defer file.Close()
	var took []float64
	for range 51 {
		began := time.Now()
		if _, err := file.Write(make([]byte, 4096)); err != nil {
			return "unknown"
		}
		if err := syscall.Fsync(int(file.Fd())); err != nil {
			return "unknown"
		}
		took = append(took, time.Since(began).Seconds())
	}
	return millis(spreadOf(took).median)
}

// plot draws each ratio with its spread on a logarithmic scale, and its goal.
func (r report) plot() string {
	const (
		line, top, left, right = 34, 46, 430, 1080
		lowest, highest        = 0.1, 10.0
	)
	at := func(f float64) float64 {
		f = min(max(f, lowest), highest)
		return left + (right-left)*math.Log10(f/lowest)/math.Log10(highest/lowest)
	}
	var drawn []result
	for _, one := range r.results {
		if one.unit == "×" {
			drawn = append(drawn, one)
		}
	}
	var svg strings.Builder
	height := top + line*len(drawn) + 20
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1120 %d" font-family="sans-serif" font-size="13"><rect width="100%%" height="100%%" fill="white"/>`+"\n", height)
	fmt.Fprintf(&svg, `<text x="10" y="18" font-weight="bold">The gateway against each baseline (dot: median; bar: all rounds; triangle: goal, which the dot should be %s of)</text>`+"\n", "on the pointed side")
	for _, tick := range []float64{0.1, 0.2, 0.5, 1, 2, 5, 10} {
		fmt.Fprintf(&svg, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle" fill="#666">%g ×</text>`+"\n",
			at(tick), at(tick), top-8, height-14, at(tick), top-12, tick)
	}
	for i, one := range drawn {
		y := top + line*i + 14
		colour := "#2a7"
		if one.goal != 0 && !one.met() {
			colour = "#c33"
		}
		if one.goal == 0 {
			colour = "#777"
		}
		fmt.Fprintf(&svg, `<text x="10" y="%d">%s</text><text x="10" y="%d" font-size="11" fill="#666">%s</text>`+"\n", y, escaped(one.work), y+14, escaped("against: "+one.baseline))
		fmt.Fprintf(&svg, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="%s" stroke-width="3"/><circle cx="%.1f" cy="%d" r="5" fill="%s"/><text x="%.1f" y="%d" fill="%s">%s</text>`+"\n",
			at(one.figure.low), at(one.figure.high), y, y, colour, at(one.figure.median), y, colour, at(one.figure.high)+9, y+4, colour, figure(one.figure.median))
		if one.goal != 0 {
			x, tip := at(one.goal), 9.0
			if one.atMost {
				tip = -9
			}
			fmt.Fprintf(&svg, `<path d="M%.1f %d L%.1f %d L%.1f %d Z" fill="#444"/>`+"\n", x, y+6, x, y+16, x+tip, y+11)
		}
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

func escaped(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

// notes say how the figures come about.
const notes = `
## How it is measured

**What shares the machine.** Everything: the load, the simulated Klarna and the side under test run on the same cores. Load and Klarna are one process, the gateway (the
released program, ` + "`klarna-gateway serve`" + `) and each baseline are processes of their own; only one of them is under load at a time. What the load itself
costs is in both sides of a ratio and pulls it towards 1; the CPU time in the figures is the side's own.

**What is on.** Bearer tokens, validation, the request ledger, the audit log's default, one-time callbacks, tracing hooks (no exporter), sealing at rest. SQLite: WAL,
` + "`synchronous=FULL`" + `, on both sides; the file baseline: one ` + "`fsync`" + ` a group. PostgreSQL: a private server, ` + "`fsync=on`" + `, ` + "`synchronous_commit=on`" + `,
32 MiB of shared buffers, reached by its socket; the gateway has 8 + 3 connections, the baseline 64. All plaintext on loopback.

**Load.** Unary calls and webhooks: 64 callers, each of which makes its next call when the last one is answered. Every call is a new request, every webhook a new event; a payment is told
as unpaid and then as paid. The handler by hand checks the token and the ids, writes one row in a ledger (group commit) before it calls Klarna, and converts by hand.
It keeps no events and has no answer to a repeat or a crash.

**Streams.** 100 streams share a connection. A delivery round is 20 events, posted one behind the other, and ends when every stream has all of them. The bare stream
sends bytes that were encoded beforehand, of the same length; the gateway's messages carry a signed resume token of their own. The client reads lengths, not messages. Memory is the
growth of the process's resident set. The watchers that do not match follow the log inside the measuring process, since over gRPC their bookmarks would be measured instead.
Commit to received is counted from the event's record_time, which is taken before its commit: the wait for the disk is in it.

**Logs.** Made once by appends, kept in ` + "`.build/bench`" + `. ` + "`make bench BENCH_FLAGS=-full`" + ` takes the 5 million events that the goals speak of and resumes a
million of them in each round; they take about 4 KB each on disk. The default takes 250 000 and resumes 100 000, so that a run stays under ten minutes.

` + "`make bench BENCH=webhook,capture`" + ` runs rows by name and writes nothing. ` + "`BENCH_FLAGS=-quick`" + ` is a smoke, ` + "`-profiles DIR`" + ` keeps CPU profiles of the gateway.
`
