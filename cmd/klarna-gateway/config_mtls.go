package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
)

// certificateConfig is the certificate that a merchant account shows Klarna. Klarna: one that it has issued itself, for a
// key of ours. The files are read again when they change, for connections made after that.
type certificateConfig struct {
	CertFile string `yaml:"cert_file"` // PEM
	KeyFile  string `yaml:"key_file"`  // PEM
}

func (c certificateConfig) check() error {
	switch {
	case c == certificateConfig{}:
		return nil
	case c.CertFile == "" || c.KeyFile == "":
		return errors.New("client_certificate: cert_file and key_file belong together")
	}
	if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
		return fmt.Errorf("client_certificate: %w", err)
	}
	return nil
}

// http is a client for calls to Klarna that shows the account's certificate, if it has one.
func (a accountConfig) http(log *slog.Logger) (*http.Client, error) {
	client := klarnaHTTP()
	if a.ClientCertificate == (certificateConfig{}) {
		return client, nil
	}
	files, err := reload(tlsFiles{CertFile: a.ClientCertificate.CertFile, KeyFile: a.ClientCertificate.KeyFile}, nil, log.With("merchant_account", a.Name))
	if err != nil {
		return nil, fmt.Errorf("client_certificate: %w", err)
	}
	transport := client.Transport.(*http.Transport)
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &files.current().Certificates[0], nil
	}
	return client, nil
}
