package server

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// tokensOf is a token file for callers whose tokens are "NAME-token".
func tokensOf(names ...string) []byte {
	text := "tokens:\n"
	for _, name := range names {
		sum := sha256.Sum256([]byte(name + "-token"))
		text += "  - {name: " + name + ", sha256: " + hex.EncodeToString(sum[:]) + "}\n"
	}
	return []byte(text)
}

// A token that is taken out of its file ends the watches that were opened with it, over gRPC and as an event stream, and
// lets nobody in again; one that is added lets its caller in. No restart is needed for either.
func TestTokenFile_ATokenThatIsTakenOutEndsItsWatches(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	must(t, os.WriteFile(path, tokensOf("leaving", "staying"), 0o600))
	file, err := access.OpenTokens(path, access.ParseTokens, slog.New(slog.DiscardHandler))
	must(t, err)
	s := start(t, func(c *Config) { c.Callers.TokenFiles = []*access.TokenFile{file} })
	earliestOn := &gatewayv1.WatchPaymentStatusRequest{From: fromStart(earliest), HeartbeatSeconds: 1}
	leaving, staying := s.watchAs("leaving", earliestOn), s.watchAs("staying", earliestOn)
	leaving.next()
	staying.next()
	events := func(caller string) *http.Response {
		header := bearer(caller + "-token")
		header.Set("Accept", "text/event-stream")
		return s.do(http.MethodGet, "/v1/payments:watch?start=WATCH_START_SNAPSHOT", nil, header)
	}
	stream, open := events("leaving"), events("staying")
	lines(t, stream, "snapshotEnd")
	lines(t, open, "snapshotEnd")
	if _, st := s.overGRPC(&gatewayv1.ListPaymentsRequest{}, "authorization", "Bearer coming-token"); reasonOf(st.Err()) != "UNAUTHENTICATED" {
		t.Errorf("before it is there: %v", st)
	}

	must(t, os.WriteFile(path, []byte("tokens: ["), 0o600))
	if _, err := file.Reload(); err == nil {
		t.Fatal("half a file is taken")
	}
	s.record(opened("SO-1"))
	leaving.event() // what is no token file ends nothing

	must(t, os.WriteFile(path, tokensOf("coming", "staying"), 0o600))
	_, err = file.Reload()
	must(t, err)
	all := leaving.ending()
	if last := all[len(all)-1]; last.mark != "PERMISSION_REVOKED" || last.token == "" {
		t.Errorf("over gRPC the watch ended with %v", last.whole)
	}
	rest, err := io.ReadAll(stream.Body)
	if err != nil || !strings.Contains(string(rest), "REASON_PERMISSION_REVOKED") {
		t.Errorf("the event stream ended with %s, %v", rest, err)
	}
	if _, st := s.overGRPC(&gatewayv1.ListPaymentsRequest{}, "authorization", "Bearer leaving-token"); reasonOf(st.Err()) != "UNAUTHENTICATED" {
		t.Errorf("a call with the token: %v", st)
	}
	if res := events("leaving"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("an event stream with the token: HTTP %d", res.StatusCode)
	}
	if _, st := s.overGRPC(&gatewayv1.ListPaymentsRequest{}, "authorization", "Bearer coming-token"); st.Code() != codes.OK {
		t.Errorf("with the new token: %v", st)
	}
	s.record(opened("SO-2"))
	staying.event()
	staying.event()
	lines(t, open, "SO-2")
	// The same caller under a new token goes on where it was.
	must(t, os.WriteFile(path, append(tokensOf("staying"), []byte("  - {name: leaving, sha256: "+hexOf("another-token")+"}\n")...), 0o600))
	_, err = file.Reload()
	must(t, err)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer another-token")
	again := s.watchPaymentsIn(ctx, &gatewayv1.WatchPaymentStatusRequest{From: &gatewayv1.WatchPaymentStatusRequest_ResumeToken{ResumeToken: all[len(all)-1].token}})
	if ev := again.event().payment(); ev.GetMerchantReference1() != "SO-2" {
		t.Errorf("under a new token: %v", ev)
	}
}

// What is watched with tickets ends with the token of their maker, too, however it was opened.
func TestTokenFile_TicketsEndWithTheTokenOfTheirMaker(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	must(t, os.WriteFile(path, tokensOf("seller", "other"), 0o600))
	file, err := access.OpenTokens(path, access.ParseTokens, slog.New(slog.DiscardHandler))
	must(t, err)
	s := start(t, func(c *Config) { c.Callers.TokenFiles = []*access.TokenFile{file} })
	s.record(opened("SO-1"))
	unused, used := s.ticket("SO-1").GetWatchPath(), s.ticket("SO-1").GetWatchPath()
	open := s.get(used)
	lines(t, open, "snapshotEnd")
	cookie := open.Cookies()[0]
	back := s.do(http.MethodGet, used, nil, comingBack(cookie))
	lines(t, back, "snapshotEnd")
	must(t, os.WriteFile(path, tokensOf("other"), 0o600))
	_, err = file.Reload()
	must(t, err)
	lines(t, open, "REASON_PERMISSION_REVOKED")
	lines(t, back, "REASON_PERMISSION_REVOKED")
	for name, res := range map[string]*http.Response{"a ticket": s.get(unused), "coming back": s.do(http.MethodGet, used, nil, comingBack(cookie))} {
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s from before: HTTP status %d", name, res.StatusCode)
		}
	}
}

func hexOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
