package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait for a process.
const patience = 90 * time.Second

// process is a contestant in a process of its own. With two cores it shares them with the load and with Klarna.
type process struct {
	cmd     *exec.Cmd
	input   io.Closer // its end ends a baseline
	address string    // where a baseline listens; of a gateway, gRPC
	hooks   string    // a gateway's webhooks
	admin   string    // and its health
	log     *bytes.Buffer
}

// roleVariable makes this program a baseline.
const roleVariable = "GATEWAY_BENCH_ROLE"

// play is a baseline's whole life: it says where it listens and ends with its input.
func play(role string) error {
	name, argument, _ := strings.Cut(role, ":")
	serve, known := baselines[name]
	if !known {
		return fmt.Errorf("no baseline is named %q", name)
	}
	address, err := serve(argument)
	if err != nil {
		return err
	}
	fmt.Println(address)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// baselines serve, each with an argument of its own, and return where.
var baselines = map[string]func(argument string) (address string, err error){
	"handler": serveHandler, // argument: Klarna's URL and the ledger's file, if any
	"door":    serveDoor,    // argument: what an event is made durable by, and where
	"stream":  serveStream,  // argument: bytes of a message
}

// baseline starts one.
func (b *bench) baseline(ctx context.Context, name string, arguments ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, self), log: &bytes.Buffer{}}
	p.cmd.Env = append(os.Environ(), roleVariable+"="+name+":"+strings.Join(arguments, " "))
	p.cmd.Stderr = p.log
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("baseline %s: %w\n%s", name, err, p.log)
	}
	p.address = strings.TrimSpace(line)
	return p, nil
}

// The gateway's accounts and secrets. Nobody but this run knows them, and they open nothing else.
const (
	account   = "shop"
	statusKey = "status-key-of-the-bench"
	token     = "token-of-the-bench"
)

// gateway is a running gateway: what serves in production, with authentication, callbacks and the audit log on.
type gateway struct {
	dir      string // data and configuration
	database string // URL; empty for SQLite
}

func (b *bench) newGateway(name, database string) (gateway, error) {
	g := gateway{dir: filepath.Join(b.dir, name), database: database}
	return g, os.MkdirAll(filepath.Join(g.dir, "data"), 0o700)
}

func (g gateway) data() string { return filepath.Join(g.dir, "data") }

// configure writes the configuration.
func (g gateway) configure(klarnaURL string) (string, error) {
	var c strings.Builder
	fmt.Fprintf(&c, "grpc_address: 127.0.0.1:0\nrest_address: 127.0.0.1:0\nwebhook_address: 127.0.0.1:0\nadmin_address: 127.0.0.1:0\nadmin_pprof: true\n"+
		"public_base_url: https://gateway.example\ndata_dir: %s\nlog_level: info\n", g.data())
	if g.database != "" {
		fmt.Fprintf(&c, "database: env:BENCH_DATABASE\nkey_file: %s\n", filepath.Join(g.dir, "keys.json"))
	}
	fmt.Fprintf(&c, "tokens:\n  - {name: bench, sha256: %x}\nmerchant_accounts:\n"+
		"  - {name: %s, api: regional, default: true, base_url: '%s', username: PK00000_bench, password: env:BENCH_PASSWORD, payment_status_keys: {'1': env:BENCH_STATUS_KEY}}\n",
		sha256.Sum256([]byte(token)), account, klarnaURL)
	path := filepath.Join(g.dir, "config.yaml")
	return path, os.WriteFile(path, []byte(c.String()), 0o600)
}

// startGateway starts it and returns when it is ready.
func (b *bench) startGateway(ctx context.Context, g gateway) (*process, error) {
	config, err := g.configure(b.klarna.url)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, b.gateway, "serve", "-config", config), log: &bytes.Buffer{}}
	p.cmd.Env = append(os.Environ(), "BENCH_PASSWORD=password", "BENCH_STATUS_KEY="+statusKey, "BENCH_DATABASE="+g.database)
	log, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the gateway: %w", err)
	}
	if err := p.serving(log); err != nil {
		p.stop()
		return nil, err
	}
	return p, p.ready(ctx)
}

// serving reads the log until it says where the gateway listens, and drops what follows.
func (p *process) serving(log io.Reader) error {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct{ Msg, GRPC, Webhooks, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			p.address, p.hooks, p.admin = line.GRPC, line.Webhooks, line.Admin
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return nil
		}
		p.log.WriteString(lines.Text() + "\n")
	}
	return fmt.Errorf("the gateway ended at once:\n%s", p.log)
}

func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/readyz", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if ctx.Err() != nil {
			return errors.New("the gateway does not become ready")
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// stop ends the process in good order.
func (p *process) stop() {
	if p == nil {
		return
	}
	if p.input != nil {
		_ = p.input.Close()
	} else {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	impatient := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer impatient.Stop()
	_ = p.cmd.Wait() // of a process that was told to end
}

// cpu is the time that the process had on a core; nil is this one.
func (p *process) cpu() time.Duration {
	const tick = 10 * time.Millisecond // what Linux tells everybody
	pid := os.Getpid()
	if p != nil {
		pid = p.cmd.Process.Pid
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, found := bytes.Cut(text, []byte(") "))
	fields := strings.Fields(string(after))
	if err != nil || !found || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick
}

// resident is the memory that the process has, in bytes.
func (p *process) resident() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// profile takes a CPU profile of a gateway while a row is run, if profiles are wanted.
func (b *bench) profile(p *process, name string) {
	if b.profiles == "" || p.admin == "" {
		return
	}
	seconds := max(1, int((b.round+b.warm).Seconds()*float64(b.rounds)))
	go b.fetch(p, fmt.Sprintf("profile?seconds=%d", seconds), name+".pprof")
}

// heap keeps what a gateway has on its heap, if profiles are wanted.
func (b *bench) heap(p *process, name string) {
	if b.profiles != "" && p.admin != "" {
		b.fetch(p, "heap?gc=1", name+".heap.pprof")
		b.fetch(p, "heap?debug=1", name+".heap.txt")
	}
}

func (b *bench) fetch(p *process, profile, file string) {
	res, err := http.Get("http://" + p.admin + "/debug/pprof/" + profile)
	if err != nil {
		return
	}
	defer res.Body.Close()
	if content, err := io.ReadAll(res.Body); err == nil {
		_ = os.WriteFile(filepath.Join(b.profiles, file), content, 0o600)
	}
}
