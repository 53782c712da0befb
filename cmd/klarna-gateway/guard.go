package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"time"

	"payments.internal/klarna-gateway/access"
	"payments.internal/klarna-gateway/server"
	"payments.internal/klarna-gateway/webhook"
)

// guard puts into the API's configuration how its callers prove who they are, and what they may do.
func (g *gatewayProcess) guard(ctx context.Context, api *server.Config) (err error) {
	callers := access.Callers{}
	if err := g.openTokens(&callers); err != nil {
		return err
	}
	fetching, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.stopIssuers = stop
	for _, issuer := range g.cfg.TokenIssuers {
		with := issuer.access()
		with.Logger = g.log
		made, err := access.NewIssuer(fetching, with)
		if err != nil {
			return fmt.Errorf("token issuer %q: %w", issuer.Name, err)
		}
		callers.Issuers = append(callers.Issuers, made)
		g.issuers = append(g.issuers, made)
	}
	if g.cfg.GRPCTLS.ClientCAFile != "" || g.cfg.RESTTLS.ClientCAFile != "" {
		callers.Certificates = g.cfg.CertificateNames
		for _, path := range slices.Compact([]string{g.cfg.GRPCTLS.ClientCAFile, g.cfg.RESTTLS.ClientCAFile}) {
			if path == "" {
				continue
			}
			file, err := access.OpenAuthorities(path, g.log)
			if err != nil {
				return err
			}
			g.authorities = append(g.authorities, file)
		}
		callers.Authorities = g.authorities
	}
	if g.cfg.PolicyFile != "" {
		if g.policy, err = access.OpenPolicy(g.cfg.PolicyFile, server.RPCs(), g.log); err != nil {
			return err
		}
	}
	if api.TLS, err = g.serveTLS(g.cfg.GRPCTLS, []string{"h2"}); err != nil {
		return fmt.Errorf("grpc certificate: %w", err)
	}
	api.Callers, api.Policy, api.Audit = callers, g.policy, g.cfg.AuditLog
	api.CORS = server.CORS{Origins: g.cfg.CORSOrigins, Credentials: g.cfg.CORSCredentials}
	g.warn(callers)
	return nil
}

// warn says what is configured as it may be, and should perhaps not be.
func (g *gatewayProcess) warn(callers access.Callers) {
	if !callers.Required() && (!loopback(g.cfg.GRPCAddress) || !loopback(g.cfg.RESTAddress)) {
		g.log.Warn("callers need not prove who they are: whoever reaches the API can move money")
	}
	for _, l := range []struct {
		name, address string
		tls           tlsFiles
	}{{"grpc", g.cfg.GRPCAddress, g.cfg.GRPCTLS}, {"rest", g.cfg.RESTAddress, g.cfg.RESTTLS}} {
		if callers.Required() && !loopback(l.address) && l.tls.CertFile == "" {
			g.log.Warn("tokens come in clear unless a proxy ends TLS", "listener", l.name)
		}
	}
}

// listenAdmin makes the admin listener's server, none if it is off.
func (g *gatewayProcess) listenAdmin(errors *log.Logger) (err error) {
	g.admin = newAdmin(g.cfg.AdminPprof, map[string]func(context.Context) error{"store": func(ctx context.Context) error {
		_, _, err := g.store.Head(ctx)
		return err
	}})
	if g.adminListener == nil {
		return nil
	}
	g.admin.mux.Handle("GET /metrics", g.telemetry.scraped)
	g.admin.mux.HandleFunc("GET /sources", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, g.door.ProvenSources()) })
	g.adminHTTP = &http.Server{Handler: g.admin.mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, ErrorLog: errors}
	if g.adminHTTP.TLSConfig, err = g.serveTLS(g.cfg.AdminTLS, []string{"h2", "http/1.1"}); err != nil {
		return fmt.Errorf("admin certificate: %w", err)
	}
	return nil
}

func (g *gatewayProcess) adminAddress() string {
	if g.adminListener == nil {
		return "off"
	}
	return g.adminListener.Addr().String()
}

// serveHTTP serves with TLS if the server has it.
func serveHTTP(web *http.Server, l net.Listener) error {
	if web.TLSConfig != nil {
		return web.ServeTLS(l, "", "")
	}
	return web.Serve(l)
}

// sources says where Klarna's posts may come from.
func (c *config) sources() webhook.Sources {
	return webhook.Sources{
		Mode: c.WebhookSources.Mode, Doors: c.WebhookSources.Doors, Proxies: c.TrustedProxies, Hops: c.TrustedProxyHops,
		RejectsPerSecond: c.WebhookRejects,
	}
}
