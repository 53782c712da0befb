package klarnatest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// sharing is a world whose Klarna is one of several behind an address.
func (w *world) sharing(t *testing.T, api *httptest.Server, s *Server) *world {
	t.Helper()
	return &world{t: t, klarna: s, api: api, inbox: w.inbox}
}

func (w *world) as(s *Server, method, path string, body any) response {
	w.t.Helper()
	req := httptest.NewRequest(method, path, nil)
	req.SetBasicAuth(s.cfg.Username, s.cfg.Password)
	return w.do(method, path, body, "Authorization", req.Header.Get("Authorization"))
}

func TestTenants_DoNotSeeOneAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenants := NewTenants(w.klarna)
	t.Cleanup(tenants.Close)
	api := httptest.NewServer(tenants)
	t.Cleanup(api.Close)
	w = w.sharing(t, api, w.klarna)
	var all []*Server
	for i := range 3 {
		s, err := tenants.Add(fmt.Sprint("test-", i), Config{Now: func() time.Time { return start }})
		w.must(err)
		all = append(all, s)
	}
	path := "/payments/v1/sessions/" + w.as(all[0], "POST", "/payments/v1/sessions", cart(t)).json.str("session_id")
	w.must(all[1].Fail(Fault{Operation: "createSession", Status: 503, Times: -1}))
	all[2].Advance(49 * time.Hour)
	for i, want := range []int{200, 404, 404} {
		if res := w.as(all[i], "GET", path, nil); res.status != want {
			t.Errorf("tenant %d reads the session of tenant 0: %d, want %d", i, res.status, want)
		}
	}
	for i, want := range []int{200, 503, 200} {
		if res := w.as(all[i], "POST", "/payments/v1/sessions", cart(t)); res.status != want {
			t.Errorf("tenant %d opens a session: %d, want %d", i, res.status, want)
		}
	}
	w.want(200, "POST", "/payments/v1/sessions", cart(t)) // of the first one
	w.want(404, "GET", path, nil)
	w.want(401, "GET", path, nil, "Authorization", "Basic nobody")
	if all[0].CallCount("createSession") != 2 || w.klarna.CallCount("createSession") != 1 || !all[2].Now().Equal(start.Add(49*time.Hour)) || !all[0].Now().Equal(start) {
		t.Error("calls or clocks are shared")
	}
}

func TestTenants_AreMadeAndDrivenByAdminCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenants := NewTenants(w.klarna)
	t.Cleanup(tenants.Close)
	api := httptest.NewServer(tenants)
	t.Cleanup(api.Close)
	w = w.sharing(t, api, w.klarna)
	made := w.want(200, "POST", "/admin/tenants", doc{"name": "ci-7"}, "Authorization", "").json
	req := httptest.NewRequest("GET", "/", nil)
	req.SetBasicAuth(made.str("username"), made.str("password"))
	auth := req.Header.Get("Authorization")
	session := w.want(200, "POST", "/payments/v1/sessions", cart(t), "Authorization", auth).json.str("session_id")
	w.want(404, "GET", "/v2/accounts/krn:none", nil, "Authorization", "Basic "+made.str("api_key"))
	w.want(404, "POST", "/admin/sessions/"+session+"/authorize", nil)
	w.want(200, "POST", "/admin/tenants/ci-7/sessions/"+session+"/authorize", nil)
	w.want(409, "POST", "/admin/tenants", doc{"name": "ci-7"})
	w.want(409, "POST", "/admin/tenants", doc{"name": "ci-8", "username": username, "password": password})
	w.want(400, "POST", "/admin/tenants", doc{"name": "a/b"})
	w.want(404, "POST", "/admin/tenants/none/idle", nil)
	w.want(200, "DELETE", "/admin/tenants/ci-7", nil)
	w.want(404, "DELETE", "/admin/tenants/ci-7", nil)
	w.want(401, "GET", "/payments/v1/sessions/"+session, nil, "Authorization", auth)

	remote := httptest.NewRequest("POST", "/admin/tenants", nil)
	remote.RemoteAddr = "203.0.113.24:5000"
	for _, target := range []string{"/admin/tenants", "/admin/tenants/ci-7/idle"} {
		remote.URL.Path = target
		res := httptest.NewRecorder()
		if tenants.ServeHTTP(res, remote); res.Code != http.StatusForbidden {
			t.Errorf("%s from afar: %d", target, res.Code)
		}
	}
}
