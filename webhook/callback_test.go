package webhook

import (
	"net/http"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

const (
	callbackPath = "/klarna/authorization/" + callbackText
	callback     = `{"authorization_token":"` + token + `","session_id":"` + session + `","merchant_reference1":"SO-88001","extra":[1]}`
	pushPath     = "/klarna/push/" + pushText + "/"
)

func TestReceiver_RecordsAnAuthorisationOnce(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.secret(nil)
	for range 3 {
		g.want(http.StatusNoContent, callbackPath, callback)
	}
	ev := g.events(store.Payments)
	if len(ev) != 1 || ev[0].ID != "callback:nordlicht-de:"+session+":"+journal.TokenKey(token) || ev[0].Cause != "CALLBACK" || string(ev[0].Raw) != callback {
		t.Fatalf("recorded %+v", ev)
	}
	if p := g.payment(); p.SessionID != session || p.Token != token || !p.TokenAt.Equal(now) || p.State != journal.Authorized {
		t.Errorf("recorded %+v", p)
	}
	if stored, again := g.counted(DoorAuthorization, Stored), g.counted(DoorAuthorization, Duplicate); stored != 1 || again != 2 {
		t.Errorf("%d counted as stored, %d as duplicate", stored, again)
	}
	if work := g.jobs(journal.JobPlaceOrder); len(work) != 0 {
		t.Errorf("an order of an unknown session is placed: %+v", work)
	}
}

func TestReceiver_TakesANewTokenForTheSession(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.secret(func(s *store.Secret) { s.Key = session })
	g.want(http.StatusNoContent, callbackPath, callback)
	g.want(http.StatusNoContent, callbackPath, `{"authorization_token":"c5a1","session_id":"`+session+`"}`)
	if p := g.payment(); p.Token != "c5a1" || len(g.events(store.Payments)) != 2 {
		t.Errorf("token of %+v after %d events", p, len(g.events(store.Payments)))
	}
}

func TestReceiver_RefusesCallbacksWithoutAGoodSecret(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*store.Secret){
		"unknown":              func(s *store.Secret) { s.Hash = make([]byte, 32) },
		"run out":              func(s *store.Secret) { s.ExpiresAt = now },
		"of another purpose":   func(s *store.Secret) { s.Purpose = "push" },
		"of another session":   func(s *store.Secret) { s.Key = "another" },
		"the digest by itself": func(s *store.Secret) { s.Hash = []byte(callbackText) },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, nil)
			g.secret(change)
			if status, answer := g.post(callbackPath, callback); status != http.StatusNotFound || answer != "" {
				t.Errorf("%d %q, want 404 and no word", status, answer)
			}
			g.untouched()
		})
	}
}

func TestReceiver_RefusesCallbacksThatCannotBeRead(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.secret(nil)
	long := string(make([]byte, 300))
	for _, body := range []string{
		``, `{`, `{"session_id":"` + session + `"}`, `{"authorization_token":"` + token + `"}`,
		text(t, object{"session_id": long, "authorization_token": token}), text(t, object{"session_id": session, "authorization_token": long}),
	} {
		g.want(http.StatusBadRequest, callbackPath, body)
	}
	g.untouched()
}

func TestReceiver_MakesOneJobOfAPush(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	for range 3 {
		g.want(http.StatusOK, pushPath+order, "", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	}
	g.want(http.StatusOK, "/klarna/push/push-secret-of-last-year/"+order, `{"ignored":true}`)
	work := g.jobs("")
	if len(work) != 1 || work[0].Kind != journal.JobReadPushed || work[0].MerchantAccount != merchant || work[0].Key != order || !work[0].RunAt.Equal(now) {
		t.Fatalf("jobs %+v, want one", work)
	}
	g.want(http.StatusOK, "/klarna/push/push-secret-of-nordlicht-se/"+order, "", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	for _, job := range g.jobs("") {
		if job.MerchantAccount == otherAccount && job.TraceParent != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" {
			t.Errorf("trace context %q", job.TraceParent)
		}
	}
	if n := len(g.jobs("")); n != 2 {
		t.Errorf("%d jobs, want one per merchant account", n)
	}
}

func TestReceiver_MakesTheNextJobOfAPushThatComesDuringTheWork(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.want(http.StatusOK, pushPath+order, "")
	if leased, err := g.store.Lease(t.Context(), now, now.Add(time.Minute), 1); err != nil || len(leased) != 1 {
		t.Fatalf("leased %+v, %v", leased, err)
	}
	g.want(http.StatusOK, pushPath+order, "")
	if n := len(g.jobs("")); n != 2 {
		t.Errorf("%d jobs, want the one at work and the next", n)
	}
}

func TestReceiver_RefusesPushesThatAreNotKlarnas(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	for _, path := range []string{
		"/klarna/push/guessed/" + order, pushPath + "K4MADNY1", pushPath + "{" + order[1:35] + "}", pushPath + "urn:uuid:" + order,
		pushPath + "7d3c1b520e4f4a8e9c612f5b8a90d417", "/klarna/push/" + pushText + "x/" + order,
	} {
		g.want(http.StatusNotFound, path, "")
	}
	g.untouched()
	if n := g.counted(DoorPush, Rejected); n != 6 {
		t.Errorf("%d counted as rejected, want 6", n)
	}
}
