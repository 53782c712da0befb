package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
)

var (
	streamCount    = flag.Int("streams", 200, "how many watches are open on one gateway")
	streamsFigures = flag.String("streams-figures", "", "write what they took to this file, as a table")
)

// Many watches on one process, idle and under load: each gets every event of its own account once and in order, and none
// of another's. One of ten is over SSE on a connection of its own; a hundred over gRPC share one.
func TestStreams_EachGetsItsOwn(t *testing.T) {
	t.Parallel()
	const perConnection, each = 100, 20
	s := newStage(t, patience)
	var answered, failed countdown
	lanes := make([]*lane, 20)
	for i := range lanes {
		lanes[i] = &lane{name: fmt.Sprintf("acquirer-%d", i+1)}
		lanes[i].sim = s.acquirer(lanes[i].name, &witness{next: s.posts, lane: lanes[i], answered: &answered, failed: &failed})
	}
	p := s.start()
	for _, l := range lanes {
		l.onboard(t, p)
	}
	figures := []figures{p.figures(t, "before")}

	watchers := make([]*watcher, *streamCount)
	everybody := func() {
		for i, w := range watchers {
			l := lanes[i%len(lanes)]
			until(t, fmt.Sprintf("everything to come to stream %d", i), func() bool { return w.complete(l) })
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer leave()
	var conn *grpc.ClientConn
	for i := range watchers {
		if i%perConnection == 0 {
			conn = p.dial(t)
		}
		w := &watcher{account: lanes[i%len(lanes)].name, sse: i%10 == 9, conn: conn}
		watchers[i] = w
		watching.Go(func() { w.watch(ctx, p) })
	}
	everybody() // what was there before: all watches are open
	figures = append(figures, p.figures(t, "open, idle"))
	if open := p.openWatches(t); open != len(watchers) {
		t.Errorf("%d watches are open, want %d", open, len(watchers))
	}

	var loading sync.WaitGroup
	for _, l := range lanes {
		loading.Go(func() {
			for range each {
				l.post(t)
			}
		})
	}
	loading.Wait()
	figures = append(figures, p.figures(t, "webhooks answered"))
	everybody()
	figures = append(figures, p.figures(t, "all delivered"))

	leave()
	watching.Wait()
	until(t, "the gateway to let go of the watches", func() bool { return p.openWatches(t) == 0 })
	events := 0
	for i, w := range watchers {
		lanes[i%len(lanes)].check(t, w)
		if first := watchers[i%len(lanes)]; !w.same(first) {
			t.Errorf("stream %d of %s was told other events than another one", i, w.account)
		}
		events += len(w.events)
	}
	p.terminate(t)
	reportStreams(t, figures, len(watchers), events)
}

// More watches than there are file descriptors: those that find none wait, those that are open get everything, and as some
// leave, others come in. Klarna's posts are answered all the while, also over new connections: callers cannot take all.
func TestStreams_WaitForFileDescriptorsAndLoseNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, 10*time.Second)
	s.files = 128
	s.posts.DisableKeepAlives = true
	var answered, failed countdown
	l := &lane{name: "acquirer-1"}
	l.sim = s.acquirer(l.name, &witness{next: s.posts, lane: l, answered: &answered, failed: &failed})
	p := s.start()
	l.onboard(t, p)
	watchers := make([]*watcher, 200)
	for i := range watchers {
		watchers[i] = &watcher{account: l.name, sse: true}
		watchers[i].follow(t.Context(), func() *process { return p })
		defer watchers[i].goAway()
	}
	until(t, "watches to take what there is for them", func() bool { return p.openWatches(t) >= s.files/2-4 })
	for range 5 {
		if !l.post(t) {
			t.Error("a webhook was not answered")
		}
	}
	open := 0
	for _, w := range watchers {
		if w.count() > 0 {
			open++
			until(t, "everything to come to a watch that is open", func() bool { return w.complete(l) })
		}
	}
	if open == 0 || open > s.files/2 || p.openWatches(t) > s.files/2 {
		t.Errorf("%d watches were open, with descriptors for %d callers", open, s.files/2)
	}
	for _, w := range watchers[:150] {
		w.goAway()
	}
	for _, w := range watchers[150:] {
		until(t, "the others to come in", func() bool { return w.complete(l) })
		w.goAway()
		l.check(t, w)
	}
	if !strings.Contains(p.log.String(), "few files may be open") {
		t.Error("the log does not say that the limit is low")
	}
	p.terminate(t)
}

// figures are what a process takes at a moment.
type figures struct {
	when            string
	at              time.Time
	resident, files int // bytes; open file descriptors
}

func (p *process) figures(t *testing.T, when string) figures {
	t.Helper()
	own := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	pages := strings.Fields(string(must[[]byte](t)(os.ReadFile(own + "statm"))))
	resident := must[int](t)(strconv.Atoi(pages[1]))
	return figures{when, time.Now(), resident * os.Getpagesize(), len(must[[]os.DirEntry](t)(os.ReadDir(own + "fd")))}
}

var openWatchesLine = regexp.MustCompile(`(?m)^klarna_gateway_watch_open\{.*\} (\d+)$`)

// openWatches is what the gateway's metrics say.
func (p *process) openWatches(t *testing.T) (n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res := must[*http.Response](t)((&http.Transport{DisableKeepAlives: true}).RoundTrip(
		must[*http.Request](t)(http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/metrics", nil))))
	defer res.Body.Close()
	for _, line := range openWatchesLine.FindAllSubmatch(must[[]byte](t)(io.ReadAll(res.Body)), -1) {
		n += must[int](t)(strconv.Atoi(string(line[1])))
	}
	return n
}

func reportStreams(t *testing.T, f []figures, streams, events int) {
	t.Helper()
	var table strings.Builder
	fmt.Fprintf(&table, "%d streams, %d events delivered\n\n| When | After | Resident memory | of it per stream | File descriptors |\n|---|---|---|---|---|\n", streams, events)
	for _, at := range f {
		fmt.Fprintf(&table, "| %s | %.1f s | %d MB | %.1f KB | %d |\n", at.when, at.at.Sub(f[0].at).Seconds(), at.resident>>20,
			float64(at.resident-f[0].resident)/1024/float64(streams), at.files)
	}
	t.Log(table.String())
	if *streamsFigures == "" {
		return
	}
	if err := os.WriteFile(*streamsFigures, []byte(table.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
