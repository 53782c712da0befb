package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
)

// serveVariable makes the test binary a gateway with the config file that it names.
const serveVariable = "KLARNA_GATEWAY_TEST_SERVE"

// stage is a gateway in a process of its own, which can be killed and started again over the same data, and what it needs
// from outside. Klarna is played in this process and finds the gateway wherever it listens.
type stage struct {
	t      *testing.T
	dir    string
	env    []string
	config strings.Builder
	now    atomic.Pointer[process] // the one that runs, or the last one
	pick   func() *process         // whom Klarna posts to
	posts  *http.Transport         // to the webhook listener
	files  int                     // limit of open files; 0 leaves it as it is
	quota  string                  // more of the configuration of the shop's account
}

// publicURL is how Klarna knows the gateway; the certificate is for it.
const publicURL = "https://localhost:8443"

func newStage(t *testing.T, grace time.Duration) *stage {
	t.Helper()
	s := &stage{t: t, dir: t.TempDir()}
	s.pick = s.now.Load
	serverTLS, clientTLS, err := throwawayCA()
	if err != nil {
		t.Fatal(err)
	}
	s.posts = &http.Transport{TLSClientConfig: clientTLS, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		p := s.pick()
		if p == nil {
			return nil, errors.New("no gateway yet")
		}
		var d net.Dialer
		return d.DialContext(ctx, network, p.hooks)
	}}
	t.Cleanup(s.posts.CloseIdleConnections)
	fmt.Fprintf(&s.config, "grpc_address: 127.0.0.1:0\nrest_address: 127.0.0.1:0\nwebhook_address: 127.0.0.1:0\nadmin_address: 127.0.0.1:0\n"+
		"public_base_url: %s\ndata_dir: %s\nshutdown_grace: %s\nwebhook_tls: {cert_file: %s, key_file: %s}\nmerchant_accounts:\n",
		publicURL, filepath.Join(s.dir, "data"), grace, s.write("cert.pem", certificate(t, serverTLS)), s.write("key.pem", privateKey(t, serverTLS)))
	return s
}

// shop adds a merchant account for orders, and returns its Klarna behind a handler of the test's choice.
func (s *stage) shop(before func(klarna http.Handler) http.Handler) *klarnatest.Server {
	const password, pushSecret = "shop-password", "push-secret-of-the-shop"
	sim := s.play(klarnatest.Config{
		Username: localUsername, Password: password, HTTPClient: &http.Client{Transport: s.posts},
		PushURL: publicURL + "/klarna/push/" + pushSecret + "/{checkout.order.id}",
	})
	web := httptest.NewServer(before(sim))
	s.t.Cleanup(web.Close)
	s.env = append(s.env, "SHOP_PASSWORD="+password)
	fmt.Fprintf(&s.config, "  - {name: %s, api: regional, default: true, base_url: '%s', username: %s, password: env:SHOP_PASSWORD, push_secrets: [%s]%s}\n",
		localShop, web.URL, localUsername, pushSecret, s.quota)
	return sim
}

// acquirer adds a merchant account for partners, and returns its Klarna, which posts through the given transport.
func (s *stage) acquirer(name string, posts http.RoundTripper) *klarnatest.Server {
	const apiKey = "klarna_test_api_of-this-test"
	keyID, key := "krn:partner:global:notification:signing-key:"+name, "signing-key-of-"+name
	sim := s.play(klarnatest.Config{
		APIKey: apiKey, NetworkURL: publicURL + "/klarna/network", NetworkKeyID: keyID, NetworkKey: key,
		HTTPClient: &http.Client{Transport: posts}, OperationalAfter: -1,
	})
	web := httptest.NewServer(sim)
	s.t.Cleanup(web.Close)
	s.env = append(s.env, "API_KEY="+apiKey)
	fmt.Fprintf(&s.config, "  - {name: %s, api: network, base_url: '%s', api_key: env:API_KEY, signing_keys: {'%s': 'file:%s'}}\n",
		name, web.URL, keyID, s.write(name+".key", []byte(key+"\n")))
	return sim
}

func (s *stage) play(cfg klarnatest.Config) *klarnatest.Server {
	sim := klarnatest.New(cfg)
	s.t.Cleanup(sim.Close)
	return sim
}

// write puts a file beside the data and returns its path.
func (s *stage) write(name string, content []byte) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	whole := must[*os.File](s.t)(os.CreateTemp(s.dir, name)) // gateways that start at the same time read the one they find
	_, err := whole.Write(content)
	if err := errors.Join(err, whole.Close(), os.Rename(whole.Name(), path)); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// start starts the gateway, with more in its environment, and returns when it serves.
func (s *stage) start(env ...string) *process {
	s.t.Helper()
	p := &process{ended: make(chan struct{}), cmd: exec.Command(must[string](s.t)(os.Executable()))}
	if s.files > 0 {
		p.cmd = exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0"`, s.files), p.cmd.Path)
	}
	// The race detector would wait a second before the process ends.
	p.cmd.Env = append(os.Environ(), append(slices.Concat(s.env, env), "GORACE=atexit_sleep_ms=0", serveVariable+"="+s.write("config.yaml", []byte(s.config.String())))...)
	log := must[io.ReadCloser](s.t)(p.cmd.StderrPipe())
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { p.signal(syscall.SIGKILL); <-p.ended })
	serving := make(chan struct{})
	go p.run(log, serving)
	select {
	case <-serving:
	case <-p.ended:
		s.t.Fatalf("the gateway ended at once: %v\n%s", p.err, p.log.String())
	case <-time.After(patience):
		s.t.Fatalf("the gateway does not serve\n%s", p.log.String())
	}
	s.posts.CloseIdleConnections() // those to the process before
	s.now.Store(p)
	return p
}

// process is one run of the gateway.
type process struct {
	cmd                      *exec.Cmd
	grpc, rest, hooks, admin string // where it listens
	log                      output
	ended                    chan struct{} // closed when it is gone
	err                      error         // how it ended
}

// run reads the log until the process is gone.
func (p *process) run(log io.Reader, serving chan<- struct{}) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Msg, GRPC, Rest, Webhooks, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			p.grpc, p.rest, p.hooks, p.admin = line.GRPC, line.Rest, line.Webhooks, line.Admin
			close(serving)
		}
		fmt.Fprintln(&p.log, lines.Text())
	}
	p.err = p.cmd.Wait()
	planted.Look("what a gateway's process wrote", []byte(p.log.String()))
	close(p.ended)
}

// signal sends a signal; to a process that is gone it does nothing.
func (p *process) signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }

// kill ends it as a power cut would, and returns when it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// terminate asks it to end and expects that it does, in good order and in time.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("the gateway does not end\n%s", p.log.String())
	}
	if p.err != nil {
		t.Fatalf("the gateway ended with %v\n%s", p.err, p.log.String())
	}
}

// connect connects to the gateway's API.
func (p *process) connect() *grpc.ClientConn {
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil { // only of options that do not go together
		panic(err)
	}
	return conn
}

// dial connects to the gateway's API until the test is over.
func (p *process) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn := p.connect()
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func certificate(t *testing.T, c *tls.Config) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificates[0].Certificate[0]})
}

func privateKey(t *testing.T, c *tls.Config) []byte {
	t.Helper()
	der := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(c.Certificates[0].PrivateKey))
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
