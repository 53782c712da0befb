// Command bench measures the gateway against what it could be instead: the handler that a team would write by hand, a
// bare gRPC stream, a plain file. Baseline and gateway take turns in the same run, so what is told are ratios. It writes
// docs/performance.md and a plot beside it. Nothing fails because a goal is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		fail(play(role))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &bench{out: os.Stdout}
	only := flag.String("only", "", "`rows` to run, by comma; all if empty")
	write := flag.String("write", "", "`folder` for performance.md and performance.svg; written when all rows ran, and not quickly")
	flag.StringVar(&b.gateway, "gateway", "bin/klarna-gateway", "the gateway's `program`")
	flag.StringVar(&b.cache, "cache", ".build/bench", "`folder` for logs that are used again")
	flag.StringVar(&b.profiles, "profiles", "", "`folder` for CPU profiles of the gateway; with them the figures are worth less")
	quick := flag.Bool("quick", false, "a smoke: everything small and short, figures mean nothing")
	full := flag.Bool("full", false, "logs of 5 million events instead of 250 000, and a million of the backlog in each round")
	flag.Parse()
	switch {
	case *quick:
		b.size = quickSize
	case *full:
		b.size = fullSize
	default:
		b.size = usualSize
	}
	fail(b.main(ctx, *only, *write))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// size is how much a run does.
type size struct {
	name      string
	rounds    int           // of each contestant
	round     time.Duration // of load
	warm      time.Duration // of load before it counts
	orders    int           // that are captured and read in turn
	streams   int           // open at the same time
	events    int           // to each stream in a round
	strangers int           // watchers that do not match
	log       int64         // events in the large log
	small     int64         // events in the small log
	backlog   int           // events that are resumed in a round
	watchers  int           // of the latency row
	rate      int           // events a second there
}

var (
	quickSize = size{
		name: "quick", rounds: 1, round: 100 * time.Millisecond, warm: 20 * time.Millisecond, orders: 100, streams: 50, events: 3, strangers: 500,
		log: 3000, small: 300, backlog: 1000, watchers: 20, rate: 100,
	}
	usualSize = size{
		name: "usual", rounds: 5, round: 1500 * time.Millisecond, warm: 300 * time.Millisecond, orders: 8000, streams: 10_000, events: 20, strangers: 50_000,
		log: 250_000, small: 10_000, backlog: 100_000, watchers: 1000, rate: 1000,
	}
	fullSize = func() size {
		s := usualSize
		s.name, s.log, s.backlog = "full", 5_000_000, 1_000_000
		return s
	}()
)

// bench is one run.
type bench struct {
	size
	out                      *os.File
	gateway, cache, profiles string
	dir                      string // of what is gone after the run
	klarna                   *klarna
}

// main runs the rows. A row that fails is told at the end, the others are run.
func (b *bench) main(ctx context.Context, only, write string) (err error) {
	if b.dir, err = os.MkdirTemp("", "gateway-bench-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.klarna, err = newKlarna(); err != nil {
		return err
	}
	defer b.klarna.close()
	if err := os.MkdirAll(b.cache, 0o700); err != nil {
		return err
	}
	wanted := func(name string) bool {
		return only == "" || strings.Contains(","+only+",", ","+name+",")
	}
	var results []result
	began := time.Now()
	for _, r := range rows {
		if !wanted(r.name) {
			continue
		}
		started := time.Now()
		found, failed := r.run(ctx, b)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", r.name, failed))
			fmt.Fprintf(b.out, "%s: %v\n", r.name, failed)
		}
		for _, one := range found {
			fmt.Fprintln(b.out, one)
			results = append(results, one)
		}
		fmt.Fprintf(b.out, "    (%s took %.0f s)\n", r.name, time.Since(started).Seconds())
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if len(results) == 0 && err == nil {
		return fmt.Errorf("no row is named %q; there are %s", only, strings.Join(names(), ", "))
	}
	if only != "" || write == "" || b.name == quickSize.name {
		return err
	}
	r := report{size: b.size, results: results, took: time.Since(began), machine: machine(b.dir)}
	page := filepath.Join(write, "performance.md")
	before, _ := os.ReadFile(page) // there may be none
	return errors.Join(err,
		os.WriteFile(page, []byte(r.markdown()+byHand(string(before))), 0o644),
		os.WriteFile(filepath.Join(write, "performance.svg"), []byte(r.plot()), 0o644),
	)
}
