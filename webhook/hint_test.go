package webhook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

const (
	hostedPage     = "9cbc9884-1fdb-45a8-9694-9340340d0436"
	hostedPagePath = "/klarna/hosted-page/" + callbackText
	pageUpdate     = `{"event_id":"e-1","session":{"session_id":"` + hostedPage + `","status":"COMPLETED","authorization_token":"` + token + `","more":[1]}}`
	pending        = `{"order_id":"` + order + `","event_type":"FRAUD_RISK_ACCEPTED"}`
)

// pageSecret makes the secret of the session's page known.
func (g *gateway) pageSecret(change func(*store.Secret)) {
	g.t.Helper()
	g.secret(func(s *store.Secret) {
		s.Purpose, s.Key = journal.PurposeHostedPage, session
		if change != nil {
			change(s)
		}
	})
}

// pendingPath is where Klarna tells of a merchant account's pending orders.
func (g *gateway) pendingPath(account string) string {
	return "/klarna/notification/" + g.store.Derive(journal.PurposeNotification, account)
}

func TestReceiver_MakesOneJobOfHostedPageUpdates(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.pageSecret(nil)
	for _, status := range []string{"IN_PROGRESS", "COMPLETED", "TIMEOUT"} {
		g.want(http.StatusNoContent, hostedPagePath, strings.Replace(pageUpdate, "COMPLETED", status, 1))
	}
	work := g.jobs("")
	if len(work) != 1 || work[0].Kind != journal.JobReadHostedPage || work[0].MerchantAccount != merchant || work[0].Key != hostedPage ||
		string(work[0].Payload) != session || !work[0].RunAt.Equal(now) {
		t.Fatalf("jobs %+v, want one", work)
	}
	if n := len(g.events(store.Payments)); n != 0 {
		t.Errorf("%d events of an update that proves nothing", n)
	}
	if n := g.counted(DoorHostedPage, Stored); n != 3 {
		t.Errorf("%d counted as stored, want 3", n)
	}
}

func TestReceiver_RefusesHostedPageUpdatesWithoutAGoodSecret(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*store.Secret){
		"unknown":         func(s *store.Secret) { s.Hash = make([]byte, 32) },
		"run out":         func(s *store.Secret) { s.ExpiresAt = now },
		"of another door": func(s *store.Secret) { s.Purpose = journal.PurposeAuthorization },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, nil)
			g.pageSecret(change)
			g.want(http.StatusNotFound, hostedPagePath, pageUpdate)
			g.untouched()
		})
	}
	t.Run("nor the other way round", func(t *testing.T) {
		t.Parallel()
		g := start(t, nil)
		g.pageSecret(nil)
		g.want(http.StatusNotFound, callbackPath, callback)
		g.untouched()
	})
}

func TestReceiver_MakesOneJobOfPendingOrderNotifications(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for range 2 {
		if status, answer := g.post(g.pendingPath(merchant), pending, "Traceparent", trace); status != http.StatusOK || answer != "" {
			t.Fatalf("answered %d %q; Klarna stops at exactly 200", status, answer)
		}
	}
	work := g.jobs("")
	if len(work) != 1 || work[0].Kind != journal.JobReadOrder || work[0].MerchantAccount != merchant || work[0].Key != order ||
		!work[0].RunAt.Equal(now) || work[0].TraceParent != trace {
		t.Fatalf("jobs %+v, want one", work)
	}
	g.want(http.StatusOK, g.pendingPath(otherAccount), pending)
	if work := g.jobs(""); len(work) != 2 {
		t.Errorf("%d jobs, want one per merchant account", len(work))
	}
}

func TestReceiver_BringsAReadingOfThePendingOrderForward(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	later := store.Job{Kind: journal.JobReadOrder, MerchantAccount: merchant, Key: order, RunAt: now.Add(28 * 24 * time.Hour)}
	if err := g.store.Do(t.Context(), func(tx store.Tx) error { return tx.AddJob(t.Context(), later) }); err != nil {
		t.Fatal(err)
	}
	g.want(http.StatusOK, g.pendingPath(merchant), pending)
	if work := g.jobs(""); len(work) != 1 || !work[0].RunAt.Equal(now) {
		t.Errorf("jobs %+v, want one that is due", work)
	}
}

func TestReceiver_RefusesPendingOrderNotificationsThatAreNotKlarnas(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	for _, path := range []string{"/klarna/notification/guessed", "/klarna/notification/" + pushText, g.pendingPath("nobody"), g.pendingPath(merchant) + "x"} {
		g.want(http.StatusNotFound, path, pending)
	}
	for _, body := range []string{``, `[]`, `{"order_id":"` + order + `"}`, `{"order_id":"K4MADNY1","event_type":"x"}`, `{"order_id":"{` + order[2:] + `}","event_type":"x"}`} {
		g.want(http.StatusBadRequest, g.pendingPath(merchant), body)
	}
	g.pageSecret(nil)
	for _, body := range []string{``, `{"event_id":"e"}`, `{"session":{"session_id":"` + strings.Repeat("x", 256) + `"}}`} {
		g.want(http.StatusBadRequest, hostedPagePath, body)
	}
	g.untouched()
	if n := g.counted(DoorPendingOrder, Rejected); n != 9 {
		t.Errorf("%d counted as rejected, want 9", n)
	}
}

func TestReceiver_AcknowledgesNoHintItCannotKeep(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.pageSecret(nil)
	g.broken.Store(true)
	g.want(http.StatusServiceUnavailable, hostedPagePath, pageUpdate)
	g.want(http.StatusServiceUnavailable, g.pendingPath(merchant), pending)
	g.untouched()
	g.broken.Store(false)
	g.want(http.StatusNoContent, hostedPagePath, pageUpdate)
	g.want(http.StatusOK, g.pendingPath(merchant), pending)
	if strings.Contains(g.logged(), callbackText) || strings.Contains(g.logged(), g.store.Derive(journal.PurposeNotification, merchant)) {
		t.Error("the log tells a secret")
	}
}
