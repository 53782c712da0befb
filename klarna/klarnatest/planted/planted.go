// Package planted watches over a whole test run of a package that what the simulator's people are called, their accounts
// and the secrets of the test set-ups stand nowhere but where they belong: not in logs, spans, metrics, the bodies of
// errors, what commands print, or the files and tables of databases. Tests.Run fails the run if anything was found.
package planted

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
)

// Texts are what is looked for: the simulated customer and contact persons, and secrets.
var Texts = []string{
	"DE02120300000000202051", "0000202051", "Erika", "Beispiel", "TESTDEFFXXX", "DE89370400440532013000",
	"mira.sand@nordlicht.example", "erika@beispiel.example", "erika.beispiel@example.com", "+4930901820",
	"klarna_test_api_key", "push-secret-of-the-shop", "klarna_test_api_c2FtcGxl",
}

// forms are the texts in every form in which they might be written down.
var forms = func() (all []form) {
	for _, text := range Texts {
		seen := map[string]bool{}
		for _, written := range append(encoded(text), text, hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text))),
			url.QueryEscape(text), url.PathEscape(text)) {
			if !seen[written] {
				seen[written] = true
				all = append(all, form{text, []byte(written)})
			}
		}
	}
	return all
}()

type form struct {
	text    string
	written []byte
}

// encoded is what base64 makes of a text inside a longer one, wherever it begins, without the letters at either end that
// its neighbours have a part in. What is short has none that is telling.
func encoded(text string) (all []string) {
	const telling = 6
	for before := range 3 {
		from := (before*8 + 5) / 6
		bits := (before + len(text)) * 8
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if written := alphabet.EncodeToString([]byte("\x00\x00"[:before] + text)); bits/6-from >= telling {
				all = append(all, written[from:bits/6])
			}
		}
	}
	return all
}

// finder looks for the texts and remembers what stood where it must not.
type finder struct {
	mu  sync.Mutex
	all []string
}

var found finder

// Look looks through what was written somewhere; where says what it is. The texts are found as they are, in hex, in base64
// and in URLs.
func Look(where string, written []byte) { found.look(where, written) }

func (f *finder) look(where string, written []byte) {
	for _, planted := range forms {
		at := bytes.Index(written, planted.written)
		if at < 0 {
			continue
		}
		f.mu.Lock()
		f.all = append(f.all, fmt.Sprintf("%s: …%q…", where, written[max(at-120, 0):min(at+60, len(written))]))
		f.mu.Unlock()
	}
}

// report says what was found, and tells how many places that are.
func (f *finder) report(to io.Writer) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(f.all)
	f.all = slices.Compact(f.all)
	for _, where := range f.all {
		fmt.Fprintln(to, "planted data was found in", where)
	}
	return len(f.all)
}

// Tests are the tests of a package, for its TestMain.
type Tests struct {
	M interface{ Run() int }
}

// Run runs them, and fails if anything was found.
func (t Tests) Run() int {
	code := t.M.Run()
	if found.report(os.Stderr) > 0 {
		return max(code, 1)
	}
	return code
}

// Handler takes everything that is logged, at whatever level.
func Handler() slog.Handler {
	return slog.NewJSONHandler(log{}, &slog.HandlerOptions{Level: slog.LevelDebug})
}

// Logger has what another handler takes looked through, too.
func Logger(handlers ...slog.Handler) *slog.Logger {
	return slog.New(slog.NewMultiHandler(append(handlers, Handler())...))
}

type log struct{}

func (log) Write(line []byte) (int, error) {
	Look("a log", line)
	return len(line), nil
}

// Spans takes every span.
func Spans() sdktrace.SpanProcessor { return spans{} }

type spans struct{}

func (spans) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (spans) Shutdown(context.Context) error                  { return nil }
func (spans) ForceFlush(context.Context) error                { return nil }

func (spans) OnEnd(s sdktrace.ReadOnlySpan) {
	var text strings.Builder
	fmt.Fprintln(&text, s.Name(), s.Status())
	for _, a := range s.Attributes() {
		fmt.Fprintln(&text, a.Key, a.Value.String())
	}
	for _, e := range s.Events() {
		fmt.Fprintln(&text, e.Name)
		for _, a := range e.Attributes {
			fmt.Fprintln(&text, a.Key, a.Value.String())
		}
	}
	for _, l := range s.Links() {
		fmt.Fprintln(&text, l.Attributes)
	}
	Look("span "+s.Name(), []byte(text.String()))
}

// Files looks through the files of a database once the test is over, and what was registered after this call with it.
func Files(t testing.TB, pattern string) {
	t.Cleanup(func() {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Errorf("no files of %s: %v", filepath.Base(pattern), err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				continue // a write-ahead log that went with the last connection
			}
			Look("file "+filepath.Base(file), content)
		}
	})
}

// DialOptions look through the errors of calls and streams.
func DialOptions() []grpc.DialOption {
	look := func(method string, err error) error {
		if err != nil && err != io.EOF {
			text, _ := prototext.Marshal(status.Convert(err).Proto())
			Look("an error of "+method, text)
			for _, detail := range status.Convert(err).Details() {
				Look("an error of "+method, fmt.Append(nil, detail))
			}
		}
		return err
	}
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, res any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return look(method, invoke(ctx, method, req, res, cc, opts...))
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			stream, err := open(ctx, desc, cc, method, opts...)
			return watched{stream, func(err error) error { return look(method, err) }}, look(method, err)
		}),
	}
}

type watched struct {
	grpc.ClientStream
	look func(error) error
}

func (w watched) RecvMsg(m any) error { return w.look(w.ClientStream.RecvMsg(m)) }

// Errors looks through the bodies of refusals that a handler writes.
func Errors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&refusals{ResponseWriter: w, path: r.URL.Path}, r)
	})
}

type refusals struct {
	http.ResponseWriter
	path   string
	status int
}

func (w *refusals) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *refusals) Write(body []byte) (int, error) {
	if w.status >= http.StatusBadRequest {
		Look("an error of REST", body)
	}
	return w.ResponseWriter.Write(body)
}

// Unwrap is for http.ResponseController.
func (w *refusals) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher.
func (w *refusals) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }
