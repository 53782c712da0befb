package operation_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// paged opens a page for a session.
func paged(w *World, session string, in klarna.HostedPageRequest) klarna.HostedPage {
	w.T.Helper()
	page, err := w.Operations.CreateHostedPage(w.T.Context(), Request("page", session), session, in)
	w.Must(err)
	return page.HostedPage
}

func TestCreateHostedPage_IsOnRecordWithItsSession(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Callbacks: true})
	session := w.Session(journal.OrderByCaller)
	page := paged(w, session, klarna.HostedPageRequest{})
	if page.SessionID == "" || page.RedirectURL == "" || page.Status != klarna.PageWaiting || !page.ExpiresAt.Equal(Start.Add(47*time.Hour)) {
		t.Errorf("answer %+v", page)
	}
	if payment := w.Payment(journal.KeyHostedPage, page.SessionID); payment.SessionID != session || payment.State != journal.SessionCreated {
		t.Errorf("on record %+v", payment)
	}
	text := w.Store.Derive(journal.PurposeHostedPage, Shop+"|page")
	hash := sha256.Sum256([]byte(text))
	secret, err := w.Store.Secret(t.Context(), hash[:])
	if err != nil || secret.Purpose != journal.PurposeHostedPage || secret.MerchantAccount != Shop || secret.Key != session {
		t.Errorf("secret %+v, %v", secret, err)
	}
	w.Must(w.Klarna.OpenPage(page.SessionID))
	w.Must(w.Klarna.Idle(t.Context()))
	deliveries := w.Klarna.Deliveries()
	if len(deliveries) != 1 || deliveries[0].URL != "http://127.0.0.1:9/page/"+text {
		t.Errorf("updates went to %+v", deliveries)
	}
}

func TestCreateHostedPage_RepeatAfterALostAnswerGetsAPage(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Callbacks: true})
	session := w.Session(journal.OrderByCaller)
	create := func() (operation.HostedPageAnswer, error) {
		return w.Operations.CreateHostedPage(t.Context(), Request("page", session), session, klarna.HostedPageRequest{})
	}
	w.LoseAnswer("createHostedPage")
	_, err := create()
	w.Unknown(err)
	first, err := create()
	w.Must(err)
	again, err := create()
	w.Must(err)
	if first.SessionID != again.SessionID || again.RedirectURL == "" {
		t.Errorf("made %+v, then %+v", first, again)
	}
	if pages := w.Payment(journal.KeySession, session).HostedPages; len(pages) != 1 || pages[0] != first.SessionID {
		t.Errorf("on record %v", pages)
	}
}

func TestHostedPage_RecordsAnAuthorisationThatWasNotTold(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	id := paged(w, session, klarna.HostedPageRequest{}).SessionID
	token, err := w.Klarna.CompletePage(id)
	w.Must(err)
	for range 2 { // the second finds nothing new
		page, err := w.Operations.HostedPage(t.Context(), Shop, id, "")
		w.Must(err)
		if page.Status != klarna.PageCompleted || page.OrderID != "" {
			t.Errorf("page %+v", page)
		}
	}
	if payment := w.Payment(journal.KeySession, session); payment.State != journal.Authorized || payment.Token != token {
		t.Errorf("on record %+v", payment)
	}
	w.CalledTimes("readSession", 1)
}

func TestHostedPage_LinksTheOrderThatKlarnaPlaced(t *testing.T) {
	t.Parallel()
	for name, session := range map[string]func(string) string{
		"found by the page":    func(string) string { return "" },
		"found by the session": func(id string) string { return id },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			id := w.Session(journal.OrderByCaller)
			page := paged(w, id, klarna.HostedPageRequest{ProfileID: klarnatest.ProfilePlaceOrder})
			_, err := w.Klarna.CompletePage(page.SessionID)
			w.Must(err)
			read, err := w.Operations.HostedPage(t.Context(), Shop, page.SessionID, session(id))
			w.Must(err)
			payment := w.Payment(journal.KeyOrder, read.OrderID)
			if read.OrderID == "" || read.KlarnaReference == "" || payment.SessionID != id || payment.State != journal.Ordered {
				t.Errorf("page %+v, on record %+v", read, payment)
			}
			if jobs := w.Jobs(journal.JobReadOrder); len(jobs) != 1 || jobs[0].RunAt.After(w.Store.Now()) {
				t.Errorf("the order is to be read: %+v", jobs)
			}
			events := len(w.Events(store.Payments))
			_, err = w.Operations.HostedPage(t.Context(), Shop, page.SessionID, session(id))
			w.Must(err)
			if n := len(w.Events(store.Payments)); n != events {
				t.Errorf("%d events of a second reading", n-events)
			}
		})
	}
}

func TestHostedPage_OpenedPastUsIsReadAllTheSame(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := w.Session(journal.OrderByCaller)
	page, err := w.Client(Shop).CreateHostedPage(context.Background(), session, klarna.HostedPageRequest{})
	w.Must(err)
	if read, err := w.Operations.HostedPage(t.Context(), Shop, page.SessionID, ""); err != nil || read.Status != klarna.PageWaiting {
		t.Errorf("page %+v, %v", read, err)
	}
}

func TestDisableHostedPage_RepeatAfterALostAnswerSeesThatItIsDone(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := paged(w, w.Session(journal.OrderByCaller), klarna.HostedPageRequest{}).SessionID
	disable := func(request string) error {
		return w.Operations.DisableHostedPage(t.Context(), Request(request, "x"), id)
	}
	w.LoseAnswer("disableHostedPage")
	w.Unknown(disable("x-1"))
	w.Must(disable("x-1"))
	if page, _ := w.Klarna.HostedPage(id); page.Status != "DISABLED" {
		t.Errorf("page %+v", page)
	}
	if disable("x-2") == nil {
		t.Error("a new request was told that it disabled what was disabled before")
	}
}

func TestDisableHostedPage_CompletedOneIsRefusedEvenOnARepeat(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := paged(w, w.Session(journal.OrderByCaller), klarna.HostedPageRequest{}).SessionID
	w.Fail(klarnatest.Fault{Operation: "disableHostedPage", Cut: true})
	disable := func() error { return w.Operations.DisableHostedPage(t.Context(), Request("x-1", "x"), id) }
	w.Unknown(disable())
	_, err := w.Klarna.CompletePage(id)
	w.Must(err)
	if err := disable(); err == nil {
		t.Error("a completed page was said to be disabled")
	}
}

func TestDistributeHostedPage_SendsOncePerRequest(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := paged(w, w.Session(journal.OrderByCaller), klarna.HostedPageRequest{}).SessionID
	to := klarna.Distribution{Method: klarna.DistributeByEmail, Contact: klarna.DistributionContact{Email: "erika.beispiel@example.com"}}
	for range 2 {
		w.Must(w.Operations.DistributeHostedPage(t.Context(), Request("d-1", "x"), id, to))
	}
	if page, _ := w.Klarna.HostedPage(id); len(page.Sent) != 1 {
		t.Errorf("sent to %v", page.Sent)
	}
	w.LoseAnswer("distributeHostedPage")
	again := func() error { return w.Operations.DistributeHostedPage(t.Context(), Request("d-2", "x"), id, to) }
	w.Unknown(again())
	w.Must(again())
}
