package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"
)

// checkClientCertificate tells what is wrong with the certificate that the account shows Klarna. Klarna: one that it has
// issued itself, for a key of ours.
func (a accountConfig) checkClientCertificate() error {
	files := a.ClientCertificate
	switch {
	case files == tlsFiles{}:
		return nil
	case files.CertFile == "" || files.KeyFile == "":
		return errors.New("client_certificate: cert_file and key_file belong together")
	}
	if _, err := newCertificateFiles(files, nil); err != nil {
		return fmt.Errorf("client_certificate: %w", err)
	}
	return nil
}

// http is a client for calls to Klarna that shows the account's certificate, if it has one.
func (a accountConfig) http(log *slog.Logger) (*http.Client, error) {
	client := klarnaHTTP()
	if a.ClientCertificate == (tlsFiles{}) {
		return client, nil
	}
	files, err := newCertificateFiles(a.ClientCertificate, log.With("merchant_account", a.Name))
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	transport := client.Transport.(*http.Transport)
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return files.current(), nil }
	return client, nil
}

// certificateFiles is a certificate that may be replaced on disk: the next handshake takes the new one. Connections that
// stand keep the old one, for as long as Klarna lets them.
type certificateFiles struct {
	files tlsFiles
	log   *slog.Logger

	mu      sync.Mutex
	loaded  tls.Certificate
	changed [2]time.Time // of the files, as loaded or as tried last
}

func newCertificateFiles(files tlsFiles, log *slog.Logger) (*certificateFiles, error) {
	c := &certificateFiles{files: files, log: log, changed: changeTimes(files)}
	var err error
	c.loaded, err = tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	return c, err
}

func changeTimes(files tlsFiles) (times [2]time.Time) {
	for i, path := range []string{files.CertFile, files.KeyFile} {
		if info, err := os.Stat(path); err == nil {
			times[i] = info.ModTime()
		}
	}
	return times
}

// current is the newest certificate that could be loaded. Between the writing of two files they do not fit each other:
// the old pair goes on until the new one does.
func (c *certificateFiles) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := changeTimes(c.files); now != c.changed {
		c.changed = now
		loaded, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
		if err != nil {
			c.log.Warn("client certificate not reloaded", "error", err)
		} else {
			c.loaded = loaded
			c.log.Info("client certificate reloaded", "not_after", loaded.Leaf.NotAfter)
		}
	}
	certificate := c.loaded
	return &certificate
}
