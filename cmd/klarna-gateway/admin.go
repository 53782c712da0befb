package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"
)

// admin is what operators and their machines look at: health, version, and profiles if wanted. It answers to the end of
// a shutdown.
type admin struct {
	mux *http.ServeMux
	// checks are what has to work for the gateway to be of use, by name.
	checks   map[string]func(context.Context) error
	draining atomic.Bool
}

var errDraining = errors.New("shutting down")

func newAdmin(withPprof bool, checks map[string]func(context.Context) error) *admin {
	a := &admin{mux: http.NewServeMux(), checks: checks}
	a.mux.HandleFunc("GET /healthz", a.alive)
	a.mux.HandleFunc("GET /readyz", a.ready)
	a.mux.HandleFunc("GET /version", a.version)
	if withPprof {
		a.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		a.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		a.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		a.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		a.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return a
}

// alive says that the process answers. Nothing else: a database that is away is no reason to start it again.
func (a *admin) alive(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ready says whether calls should come here, and what is in the way if not.
func (a *admin) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	status, found := http.StatusOK, map[string]string{}
	note := func(name string, err error) {
		if found[name] = "ok"; err != nil {
			status, found[name] = http.StatusServiceUnavailable, "failed" // why is in the log, not for strangers
		}
	}
	for name, check := range a.checks {
		note(name, check(ctx))
	}
	var serving error
	if a.draining.Load() {
		serving = errDraining
	}
	note("serving", serving)
	answer(w, status, map[string]any{"ready": status == http.StatusOK, "checks": found})
}

func (a *admin) version(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, buildInfo())
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if this fails
}
