package klarnatest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const pagesPath = "/hpp/v1/sessions"

// page opens a page for a session; changes are laid over the request.
func (w *world) page(sessionID string, changes doc) string {
	w.t.Helper()
	request := doc{
		"payment_session_url": w.api.URL + "/payments/v1/sessions/" + sessionID,
		"merchant_urls": doc{
			"success":       "https://shop.nordlicht.example/ok?p={{session_id}}",
			"status_update": w.inbox.server.URL + "/page?p={{session_id}}&t={{authorization_token}}&o={{order_id}}",
		},
	}.with(changes)
	return w.want(201, "POST", pagesPath, request).json.str("session_id")
}

func TestHostedPage_AuthorizesItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.session(doc{"merchant_urls": doc{"confirmation": "https://shop.nordlicht.example/thanks"}})
	id := w.page(session, nil)
	path := pagesPath + "/" + id
	if got := w.want(200, "GET", path, nil).json; got.str("status") != "WAITING" || got.has("authorization_token") {
		t.Errorf("page %v", got)
	}
	w.must(w.klarna.OpenPage(id))
	w.must(w.klarna.LeavePage(id, "BACK"))
	token, err := w.klarna.CompletePage(id)
	w.must(err)
	w.settle()
	got := w.want(200, "GET", path, nil).json
	if got.str("status") != "COMPLETED" || got.str("authorization_token") != token || got.has("order_id") {
		t.Errorf("page %v", got)
	}
	var told []string
	for _, p := range w.inbox.received() {
		told = append(told, p.json.object("session").str("status"))
		if p.json.str("event_id") == "" || p.json.object("session").str("session_id") != id {
			t.Errorf("told %s", p.body)
		}
	}
	if strings.Join(told, " ") != "IN_PROGRESS BACK COMPLETED" {
		t.Errorf("told %v", told)
	}
	if last := w.inbox.received()[2]; last.path != "/page?p="+id+"&t="+token+"&o=" {
		t.Errorf("told at %s", last.path)
	}
	w.want(200, "POST", orderPath(token), purchase(t))
	if _, err := w.klarna.CompletePage(id); err == nil {
		t.Error("completed twice")
	}
	w.refused(400, "BAD_REQUEST", "DELETE", path, nil)
}

func TestHostedPage_MayPlaceTheOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		changes doc
		status  string
	}{
		"place":   {doc{"options": doc{"place_order_mode": "PLACE_ORDER"}}, "AUTHORIZED"},
		"capture": {doc{"options": doc{"place_order_mode": "CAPTURE_ORDER"}}, "CAPTURED"},
		"profile": {doc{"profile_id": ProfilePlaceOrder}, "AUTHORIZED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			session := w.session(doc{})
			id := w.page(session, c.changes)
			token, err := w.klarna.CompletePage(id)
			w.must(err)
			got := w.want(200, "GET", pagesPath+"/"+id, nil).json
			state, _ := w.klarna.Order(got.str("order_id"))
			if token != "" || got.has("authorization_token") || got.str("klarna_reference") == "" || state.Status != c.status || state.Amount != 12995 {
				t.Errorf("page %v, order %+v", got, state)
			}
			if got := w.want(200, "GET", "/payments/v1/sessions/"+session, nil).json.str("status"); got != "complete" {
				t.Errorf("session %s", got)
			}
		})
	}
}

func TestHostedPage_UpdateIsTriedFourTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inbox.answering(func(int) int { return http.StatusInternalServerError })
	w.must(w.klarna.OpenPage(w.page(w.session(doc{}), nil)))
	w.klarna.Advance(time.Hour)
	if n := len(w.inbox.received()); n != 4 {
		t.Errorf("%d posts, want 4", n)
	}
}

func TestHostedPage_EndsBeforeItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.session(doc{})
	id := w.page(session, nil)
	w.klarna.Advance(47 * time.Hour)
	w.refused(404, "NOT_FOUND", "GET", pagesPath+"/"+id, nil)
	w.want(200, "GET", "/payments/v1/sessions/"+session, nil)
	w.refused(404, "NOT_FOUND", "POST", pagesPath, doc{"payment_session_url": w.api.URL + "/payments/v1/sessions/" + session})
	if w.klarna.OpenPage(id) == nil {
		t.Error("an expired page was opened")
	}
}

func TestHostedPage_IsTakenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.page(w.session(doc{}), nil)
	w.want(204, "DELETE", pagesPath+"/"+id, nil)
	w.refused(400, "BAD_REQUEST", "DELETE", pagesPath+"/"+id, nil)
	if state, _ := w.klarna.HostedPage(id); state.Status != "DISABLED" {
		t.Errorf("page %+v", state)
	}
	if w.klarna.LeavePage(id, "CANCELLED") == nil {
		t.Error("a disabled page was left")
	}
	w.refused(400, "BAD_REQUEST", "POST", pagesPath+"/"+id+"/distribution", doc{"method": "email", "contact_information": doc{"email": "a@b.example"}})
}

func TestHostedPage_LinkIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.page(w.session(doc{}), nil)
	send := pagesPath + "/" + id + "/distribution"
	w.want(204, "POST", send, doc{"method": "email", "contact_information": doc{"email": "erika.beispiel@example.com"}})
	w.want(204, "POST", send, doc{"method": "sms", "contact_information": doc{"phone": "+4930901820", "phone_country": "DE"}})
	for field, bad := range map[string]doc{
		"method":                            {"method": "fax"},
		"contact_information.email":         {"method": "email", "contact_information": doc{"phone": "+4930901820"}},
		"contact_information.phone_country": {"method": "sms", "contact_information": doc{"phone": "+4930901820"}},
	} {
		if res := w.refused(400, "BAD_VALUE", "POST", send, bad); res.message() != "Bad value: "+field {
			t.Errorf("message %q", res.message())
		}
	}
	if state, _ := w.klarna.HostedPage(id); strings.Join(state.Sent, " ") != "erika.beispiel@example.com +4930901820" {
		t.Errorf("page %+v", state)
	}
}

func TestContract_HostedPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := underContract(t, w, "hpp-v1.yaml")
	session := w.session(doc{"merchant_urls": doc{"confirmation": "https://shop.nordlicht.example/thanks"}})
	id := w.page(session, doc{"options": doc{"payment_method_category": "PAY_NOW", "page_title": "Zelt"}})
	w.want(200, "GET", pagesPath+"/"+id, nil)
	w.want(204, "POST", pagesPath+"/"+id+"/distribution", doc{"method": "email", "contact_information": doc{"email": "erika.beispiel@example.com"}})
	w.want(400, "POST", pagesPath+"/"+id+"/distribution", doc{"method": "fax"})
	_, err := w.klarna.CompletePage(id)
	w.must(err)
	w.want(200, "GET", pagesPath+"/"+id, nil)
	w.want(400, "DELETE", pagesPath+"/"+id, nil)
	w.want(204, "DELETE", pagesPath+"/"+w.page(session, nil), nil)
	w.want(400, "POST", pagesPath, doc{"payment_session_url": "https://elsewhere.example"})
	w.want(401, "GET", pagesPath+"/"+id, nil, "Authorization", "Basic wrong")
	for _, call := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"POST", "/distribution"}} {
		var body any
		if call[0] == "POST" {
			body = doc{"method": "email", "contact_information": doc{"email": "erika.beispiel@example.com"}}
		}
		w.want(404, call[0], pagesPath+"/none"+call[1], body)
	}
	w.want(404, "POST", pagesPath, doc{"payment_session_url": w.api.URL + "/payments/v1/sessions/none"})
	c.saw("createHppSession 201", "createHppSession 400", "createHppSession 404", "getSessionById 200", "getSessionById 401",
		"getSessionById 404", "disableHppSession 204", "disableHppSession 400", "disableHppSession 404",
		"distributeHppSession 204", "distributeHppSession 400", "distributeHppSession 404")
}
