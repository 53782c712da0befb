package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// listOf are tokens as a configuration or a token file has them; each is its name twice.
func listOf(names ...string) string {
	text := "tokens:\n"
	for _, name := range names {
		sum := sha256.Sum256([]byte(name + name))
		text += fmt.Sprintf("  - {name: %s, sha256: %s}\n", name, hex.EncodeToString(sum[:]))
	}
	return text
}

// Tokens of the configuration and of the token file come and go while the gateway runs; a file that is not sound is said to
// be so in the log, in the metrics and by the doctor, and what held before holds.
func TestFiles_AreFollowedWhileTheGatewayRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	basics := `
grpc_address: 127.0.0.1:0
rest_address: 127.0.0.1:0
webhook_address: 127.0.0.1:0
admin_address: 127.0.0.1:0
data_dir: ` + dir + `/data
token_file: ` + dir + `/tokens.yaml
merchant_accounts: [{name: shop, api: regional, default: true, base_url: "http://127.0.0.1:1", username: u, password: p}]
`
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("gateway.yaml", basics+listOf("first"))
	write("tokens.yaml", listOf("second"))
	cfg := must[config](t)(loadConfig(dir+"/gateway.yaml", noEnvironment))
	var logs output
	g := must[*gatewayProcess](t)(newGateway(t.Context(), cfg, parts{}, slog.New(slog.NewTextHandler(&logs, nil))))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- g.run(ctx) }()
	t.Cleanup(func() { stop(); <-done })

	works := func(name string) bool {
		_, _, err := operates(t, name+name, "events", "list", "-address", g.grpcListener.Addr().String(), "-token-file", "-")
		return err == nil
	}
	refused := func() bool {
		return scraped(t, &local{gateway: g}).sum("klarna_gateway_file_refused") > 0
	}
	if !works("first") || !works("second") || works("third") || refused() {
		t.Fatalf("at start: %v, %v, %v, refused %v", works("first"), works("second"), works("third"), refused())
	}
	write("gateway.yaml", basics+listOf("first", "third"))
	until(t, "a token that was added to the configuration", func() bool { return works("third") })
	write("tokens.yaml", listOf("fourth"))
	until(t, "a token that was put in another's place", func() bool { return works("fourth") && !works("second") })

	write("tokens.yaml", "tokens: [{name: fourth}]")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil { // it is listened to: files were read again above
		t.Fatal(err)
	}
	until(t, "the flaw to be told", func() bool { return refused() && strings.Contains(logs.String(), "token file not taken") })
	until(t, "the signal to be heard", func() bool { return strings.Contains(logs.String(), "told to read files again") })
	if !works("fourth") {
		t.Error("a file with a mistake has an effect")
	}
	out, _, err := operates(t, "", "doctor", "-offline", "-config", dir+"/gateway.yaml")
	if err == nil || !strings.Contains(out, "tokens[0]: a name and the sha256") {
		t.Errorf("the doctor: %v\n%s", err, out)
	}
	write("tokens.yaml", listOf("fourth"))
	until(t, "the mended file to be taken", func() bool { return !refused() })

	kept := basics + listOf("first", "third")
	for name, flawed := range map[string]string{
		"empty":               "",
		"cut off":             kept[:strings.Index(kept, "token_file")],
		"cut off in its list": listOf("third") + basics[:strings.Index(basics, "merchant_accounts")],
		"without its list":    basics,
		"with another key":    strings.Replace(kept, "tokens:", "token:", 1),
		"with a slipped list": strings.Replace(kept, "\ntokens:", "\ntelemetry:\n tokens:", 1),
		"with one for two":    strings.Replace(kept, "name: third", "name: other", 1) + strings.TrimPrefix(listOf("third"), "tokens:\n"),
	} {
		write("gateway.yaml", flawed)
		until(t, name+": the flaw to be told", refused)
		if !works("first") || !works("third") {
			t.Errorf("a configuration %s takes tokens away", name)
		}
		write("gateway.yaml", kept)
		until(t, name+": the mended one to be taken", func() bool { return !refused() })
	}
	write("gateway.yaml", basics+"tokens: []\n")
	until(t, "an empty list to be taken", func() bool { return !works("first") && !works("third") && works("fourth") && !refused() })
}

// A terminal that closes ends what was begun in it.
func TestDev_EndsWithItsTerminal(t *testing.T) {
	t.Parallel()
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP) // or the process would not heed it either where the tests run under nohup
	defer signal.Stop(caught)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveVariable+"=dev:"+t.TempDir())
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	until(t, "it to serve", func() bool { return strings.Contains(out.String(), "serving") })
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-done
		t.Errorf("it goes on:\n%s", out.String())
	}
}
