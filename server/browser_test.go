package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
)

// pageOfWatch watches a payment as docs/watching.md says, and keeps what it was told.
const pageOfWatch = `<!doctype html><title>watch</title><script>
const seen = [], ends = []; let opened = 0;
const watch = new EventSource("/v1/payments:watch?start=WATCH_START_EARLIEST&merchantReferences=SO-1");
watch.onopen = () => opened++;
watch.addEventListener("event", e => seen.push(JSON.parse(e.data).event.eventId));
watch.addEventListener("streamEnd", e => ends.push(JSON.parse(e.data).streamEnd.reason));
watch.addEventListener("streamError", e => ends.push(e.data));
</script>`

// TestBrowser_ComesBackWhereADrainedGatewayLeftIt has a page in a real browser watch a payment through a load balancer
// while the gateway behind it is drained and another one takes over.
func TestBrowser_ComesBackWhereADrainedGatewayLeftIt(t *testing.T) {
	t.Parallel()
	binary := chromium(t)
	s := start(t, nil)
	other := s.serve(nil)
	var behind atomic.Pointer[face]
	behind.Store(s.face)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, pageOfWatch)
			return
		}
		to, err := url.Parse(behind.Load().rest.URL)
		must(t, err)
		httputil.NewSingleHostReverseProxy(to).ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	ctx := browse(t, binary, front.URL)

	want := s.recordMany("SO-1", 3)
	eventually(t, "the page was told of the first events", func() bool { return slices.Equal(inPage(ctx, t, "seen"), want) })
	behind.Store(other)
	s.server.Drain()
	eventually(t, "the page was told of the end", func() bool { return slices.Equal(inPage(ctx, t, "ends"), []string{"REASON_DRAINING"}) })
	for n := range 3 { // while the page is away, and after
		fact := captured("SO-1", int64(n+1))
		fact.SessionID, fact.OrderID, fact.EventID = id("session SO-1"), id("order SO-1"), id(fmt.Sprint("later ", n))
		s.record(fact)
		want = append(want, fact.EventID)
	}
	eventually(t, "the page came back and missed nothing", func() bool { return len(inPage(ctx, t, "seen")) >= len(want) })
	if got := inPage(ctx, t, "seen"); !slices.Equal(got, want) {
		t.Errorf("the page was told %v, want %v", got, want)
	}
	if opened := inPage(ctx, t, "['' + opened]"); !slices.Equal(opened, []string{"2"}) {
		t.Errorf("the page opened its watch %v times", opened)
	}
}

// pageWithTicket runs what docs/watching.md shows, which needs a backend for tickets and somebody to show things to.
const pageWithTicket = `<!doctype html><title>watch</title><script>
const gateway = '', seen = [], ends = [];
const show = payment => seen.push(payment.position);
const over = reason => ends.push(reason);
%s
watch();
</script>`

// TestBrowser_ComesBackWithItsTicketUntilItsTimeIsOver has a page watch with a ticket while gateways are drained: it comes
// back by itself with the ticket's cookie, and with another ticket once that has run out. It misses nothing.
func TestBrowser_ComesBackWithItsTicketUntilItsTimeIsOver(t *testing.T) {
	t.Parallel()
	binary := chromium(t)
	set := policed(t, ticketMakers, "seller")
	s := start(t, set)
	gateways := []*face{s.face, s.serve(set), s.serve(set)}
	var behind atomic.Pointer[face]
	behind.Store(s.face)
	var tickets, watches, refused atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, pageWithTicket, documented(t, "CreateWatchTicket"))
		case "/my-backend/ticket":
			tickets.Add(1)
			_, _ = fmt.Fprintf(w, `{"watchPath": %q}`, s.ticket("SO-1").GetWatchPath())
		case watchPath:
			to, err := url.Parse(behind.Load().rest.URL)
			must(t, err)
			proxy := httputil.NewSingleHostReverseProxy(to)
			proxy.ModifyResponse = func(res *http.Response) error {
				if watches.Add(1); res.StatusCode == http.StatusUnauthorized {
					refused.Add(1)
				}
				return nil
			}
			proxy.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(front.Close)
	s.record(opened("SO-1"))
	ctx := browse(t, binary, front.URL)

	want := []string{"1"}
	told := func(what string) {
		t.Helper()
		eventually(t, what, func() bool { return slices.Equal(inPage(ctx, t, "seen"), want) })
	}
	next := func(n int) { // another gateway takes over, and something happens while the page is away
		behind.Store(gateways[n])
		gateways[n-1].server.Drain()
		fact := captured("SO-1", int64(n))
		fact.SessionID, fact.OrderID = id("session SO-1"), id("order SO-1")
		s.record(fact)
		want = append(want, fmt.Sprint(n+1))
	}
	told("the page was told what there is")
	next(1)
	told("the page came back")
	if tickets.Load() != 1 || watches.Load() != 2 || refused.Load() != 0 {
		t.Errorf("it took %d tickets and %d watches, %d refused; want the same ticket and another watch", tickets.Load(), watches.Load(), refused.Load())
	}
	s.klarna.Advance(returnLife)
	next(2)
	told("the page came back with another ticket")
	if ended := inPage(ctx, t, "ends"); len(ended) != 0 {
		t.Errorf("the page took %v for the end", ended)
	}
	if tickets.Load() != 2 || watches.Load() != 4 || refused.Load() != 1 {
		t.Errorf("it took %d tickets and %d watches, %d refused; want a refusal, and then another ticket", tickets.Load(), watches.Load(), refused.Load())
	}
}

// documented is the JavaScript of docs/watching.md that holds a word.
func documented(t *testing.T, word string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/watching.md")
	must(t, err)
	for _, block := range strings.Split(string(page), "```js\n")[1:] {
		if code, _, _ := strings.Cut(block, "```"); strings.Contains(code, word) {
			return code
		}
	}
	t.Fatalf("docs/watching.md shows no JavaScript with %s", word)
	return ""
}

// chromium finds the browser; CI demands one.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no Chromium is installed")
	}
	t.Skip("no Chromium is installed (apt-get install chromium)")
	return ""
}

// browse opens a page in a browser of its own.
func browse(t *testing.T, binary, address string) context.Context {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(binary), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true))
	bounded, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	allocator, end := chromedp.NewExecAllocator(bounded, options...)
	t.Cleanup(end)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); leave() })
	must(t, chromedp.Do(ctx, chromedp.Navigate(address)))
	return ctx
}

// inPage reads a list of texts in the page.
func inPage(ctx context.Context, t *testing.T, expression string) []string {
	t.Helper()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression+".join('|')"))
	must(t, err)
	if text == "" {
		return nil
	}
	return strings.Split(text, "|")
}
