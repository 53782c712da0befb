package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// tlsFiles lets a listener serve TLS itself. The files are read again when they change, for connections made after that.
type tlsFiles struct {
	CertFile string `yaml:"cert_file"` // PEM, the chain behind the certificate
	KeyFile  string `yaml:"key_file"`  // PEM, its key
	// ClientCAFile: certificates of clients that these authorities have signed are taken as proof of who calls.
	ClientCAFile string `yaml:"client_ca_file"`
	// RequireClientCert turns clients without one away at the handshake.
	RequireClientCert bool `yaml:"require_client_cert"`
}

func (f tlsFiles) check() error {
	switch {
	case (f.CertFile == "") != (f.KeyFile == ""):
		return errors.New("cert_file and key_file belong together")
	case f.ClientCAFile != "" && f.CertFile == "":
		return errors.New("client_ca_file needs cert_file and key_file")
	case f.RequireClientCert && f.ClientCAFile == "":
		return errors.New("require_client_cert needs client_ca_file")
	}
	return nil
}

// serveTLS is the TLS of a listener, nil if it has none. The error is of files that cannot be used.
func (g *gatewayProcess) serveTLS(f tlsFiles, protocols []string) (*tls.Config, error) {
	if f.CertFile == "" {
		return nil, nil
	}
	r, err := reload(f, protocols, g.log)
	if err != nil {
		return nil, err
	}
	g.certs = append(g.certs, r)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.current(), nil },
	}, nil
}

// reloaded is a TLS configuration that follows its files. They are looked at as a client comes, no oftener than once a
// second: no watcher to run, and none to miss what a swapped link changes.
type reloaded struct {
	files     tlsFiles
	protocols []string
	log       *slog.Logger

	mu      sync.Mutex
	config  *tls.Config
	seen    [3]fileState // of the files, when they were loaded last, well or not
	checked time.Time
	flaw    error // why the files as they are were not loaded
}

// reload loads the files and follows them.
func reload(files tlsFiles, protocols []string, log *slog.Logger) (r *reloaded, err error) {
	r = &reloaded{files: files, protocols: protocols, log: log, seen: files.state()}
	if r.config, err = r.load(); err != nil {
		return nil, err
	}
	r.checked = time.Now()
	return r, nil
}

type fileState struct {
	modified time.Time
	size     int64
}

func (f tlsFiles) state() (all [3]fileState) {
	for i, path := range []string{f.CertFile, f.KeyFile, f.ClientCAFile} {
		if info, err := os.Stat(path); err == nil {
			all[i] = fileState{info.ModTime(), info.Size()}
		}
	}
	return all
}

func (r *reloaded) current() *tls.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < time.Second {
		return r.config
	}
	r.checked = time.Now()
	state := r.files.state()
	if state == r.seen {
		return r.config
	}
	r.seen = state
	config, err := r.load()
	if r.flaw = err; err != nil { // perhaps half of them is swapped: the other half makes another state
		r.log.Error("certificate not loaded again, the one before stays", "cert_file", r.files.CertFile, "error", err)
		return r.config
	}
	r.config = config
	r.log.Info("certificate loaded again", "cert_file", r.files.CertFile)
	return r.config
}

// refused is why the files as they are now are not loaded; nil if they are.
func (r *reloaded) refused() error {
	r.current()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flaw
}

func (r *reloaded) load() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(r.files.CertFile, r.files.KeyFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: r.protocols}
	if r.files.ClientCAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(r.files.ClientCAFile)
	if err != nil {
		return nil, err
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", r.files.ClientCAFile)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if r.files.RequireClientCert {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}
