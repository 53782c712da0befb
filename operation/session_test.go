package operation_test

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

func TestCreateSession_IsRecordedWithItsAnswer(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	in := operation.NewSession{Session: Cart(), OrderPolicy: journal.OrderByCaller}
	first, err := w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), in)
	w.Must(err)
	w.Reopen()
	again, err := w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), in)
	w.Must(err)
	if first.Session.ClientToken == "" || again.Session.ClientToken != first.Session.ClientToken || again.Session.SessionID != first.Session.SessionID {
		t.Errorf("answers %+v and %+v", first, again)
	}
	w.CalledTimes("createSession", 1)
	payment := w.Payment(journal.KeySession, first.Session.SessionID)
	if payment.State != journal.SessionCreated || payment.OrderAmount != Amount || payment.Currency != "EUR" || payment.Reference1 != "SO-88001" ||
		payment.OrderPolicy != journal.OrderByCaller || !payment.ExpiresAt.Equal(Start.Add(48*time.Hour)) {
		t.Errorf("on record %+v", payment)
	}
}

// Klarna takes no idempotency key for sessions.
func TestCreateSession_AfterALostAnswerOpensAnother(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	w.LoseAnswer("createSession")
	in := operation.NewSession{Session: Cart()}
	_, err := w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), in)
	w.Unknown(err)
	made, err := w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), in)
	w.Must(err)
	w.CalledTimes("createSession", 2)
	if kinds := w.Kinds(store.Payments); len(kinds) != 1 {
		t.Errorf("events %v", kinds)
	}
	w.Payment(journal.KeySession, made.Session.SessionID)
}

func TestCreateSession_ItsCallbackSecretIsOnRecordBeforeKlarnaHearsOfIt(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Callbacks: true})
	w.Fail(klarnatest.Fault{Operation: "createSession", Status: 503})
	in := operation.NewSession{Session: Cart()}
	_, err := w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), in)
	w.Unknown(err)
	secret := sha256.Sum256([]byte(w.Store.Derive(journal.PurposeAuthorization, Shop+"|s-1")))
	got, err := w.Store.Secret(t.Context(), secret[:])
	if err != nil || got.MerchantAccount != Shop || got.Purpose != journal.PurposeAuthorization || got.ExpiresAt.Before(Start.Add(48*time.Hour)) {
		t.Errorf("secret %+v, %v", got, err)
	}
	made, err := w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), in)
	w.Must(err)
	if made.Session.MerchantURLs != nil {
		t.Error("the answer shows the callback's address")
	}
	w.Klarna.Hold()
	w.Authorize(made.Session.SessionID)
	w.Klarna.Release()
	w.Must(w.Klarna.Idle(t.Context()))
	posts := w.Klarna.Deliveries()
	if len(posts) == 0 || !strings.HasSuffix(posts[0].URL, "/"+w.Store.Derive(journal.PurposeAuthorization, Shop+"|s-1")) {
		t.Errorf("called back at %+v", posts)
	}
}

func TestCreateSession_ItsCallbackSecretProvesNothingAboutAnotherSession(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Callbacks: true})
	made, err := w.Operations.CreateSession(t.Context(), Request("s-1", "cart"), operation.NewSession{Session: Cart()})
	w.Must(err)
	hash := sha256.Sum256([]byte(w.Store.Derive(journal.PurposeAuthorization, Request("", "").MerchantAccount+"|s-1")))
	secret, err := w.Store.Secret(t.Context(), hash[:])
	w.Must(err)
	if secret.Key != made.Session.SessionID {
		t.Errorf("bound to %q", secret.Key)
	}
}

func TestUpdateSession_KeepsWhatItDoesNotName(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := w.Session(journal.OrderByCaller)
	cart := Cart()
	cart.OrderLines[0].UnitPrice, cart.OrderLines[0].TotalAmount, cart.OrderLines[0].TotalTaxAmount = 9995, 9995, 1596
	cart.OrderAmount, cart.OrderTaxAmount, cart.MerchantReference1 = 9995, 1596, ""
	w.Must(w.Operations.UpdateSession(t.Context(), Request("u-1", "smaller"), id, cart))
	payment := w.Payment(journal.KeySession, id)
	if payment.OrderAmount != 9995 || payment.Reference1 != "SO-88001" || payment.OrderPolicy != journal.OrderByCaller {
		t.Errorf("on record %+v", payment)
	}
	read, err := w.Operations.Session(t.Context(), Shop, id)
	if err != nil || read.OrderAmount != 9995 || read.MerchantReference1 != "SO-88001" {
		t.Errorf("Klarna has %+v, %v", read, err)
	}
	w.Must(w.Operations.UpdateSession(t.Context(), Request("u-1", "smaller"), id, cart))
	w.CalledTimes("updateSession", 1)
}

func TestSession_ReadingRecordsAnAuthorisationOnce(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := w.Session(journal.OrderByCaller)
	token := w.Authorize(id)
	for range 3 {
		_, err := w.Operations.Session(t.Context(), Shop, id)
		w.Must(err)
	}
	w.Tell(id, token) // the callback, late
	events := w.Events(store.Payments)
	if len(events) != 2 || events[1].Kind != string(journal.KindAuthorized) || events[1].Cause != string(journal.Reconciled) {
		t.Errorf("events %v", w.Kinds(store.Payments))
	}
}

func TestCancelAuthorization_GivesBackWhatIsOnRecord(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := w.Session(journal.OrderByCaller)
	cancel := func(request string) error {
		return w.Operations.CancelAuthorization(t.Context(), Request(request, "x"), id, "")
	}
	w.Refused(cancel("x-1"), "NOT_AUTHORIZED", "")
	w.Tell(id, w.Authorize(id))
	w.Must(cancel("x-1"))
	w.Must(cancel("x-1"))
	w.CalledTimes("cancelAuthorization", 1)
	if got := w.Payment(journal.KeySession, id).State; got != journal.AuthorizationCancelled {
		t.Errorf("state %s", got)
	}
	w.Refused(cancel("x-2"), "NOT_AUTHORIZED", "")
	_, err := create(w, "o-1", operation.NewOrder{SessionID: id})
	w.Refused(err, "NOT_AUTHORIZED", "")
}

func TestCancelAuthorization_AfterALostAnswerSucceedsOnARepeat(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := w.Session(journal.OrderByCaller)
	w.Tell(id, w.Authorize(id))
	w.LoseAnswer("cancelAuthorization")
	w.Unknown(w.Operations.CancelAuthorization(t.Context(), Request("x-1", "x"), id, ""))
	w.Must(w.Operations.CancelAuthorization(t.Context(), Request("x-1", "x"), id, ""))
	if got := w.Payment(journal.KeySession, id).State; got != journal.AuthorizationCancelled {
		t.Errorf("state %s", got)
	}
}

// A refusal is a refusal when it is repeated, too: only after an unknown outcome does "gone" mean that we did it.
func TestCancelAuthorization_ThatWasRefusedIsNotDoneByARepeat(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := w.Session(journal.OrderByCaller)
	w.Tell(id, w.Authorize(id))
	for range 3 {
		w.Fail(klarnatest.Fault{Operation: "cancelAuthorization", Status: 404})
		var refused *klarna.Error
		if err := w.Operations.CancelAuthorization(t.Context(), Request("x-1", "x"), id, ""); !errors.As(err, &refused) || refused.Status != 404 {
			t.Errorf("want Klarna's 404, got %v", err)
		}
	}
	if got := w.Payment(journal.KeySession, id).State; got != journal.Authorized {
		t.Errorf("state %s", got)
	}
}

func TestCancelAuthorization_OfAnOlderTokenLeavesTheNewerOne(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	id := w.Session(journal.OrderByCaller)
	old := w.Authorize(id)
	w.Tell(id, old)
	w.Tell(id, w.Authorize(id))
	err := w.Operations.CancelAuthorization(t.Context(), Request("x-1", "x"), id, old)
	var refused *klarna.Error
	if !errors.As(err, &refused) || refused.Status != 404 { // the newer one has replaced it
		t.Errorf("got %v", err)
	}
	w.Fail(klarnatest.Fault{Operation: "cancelAuthorization", Cut: true})
	w.Unknown(w.Operations.CancelAuthorization(t.Context(), Request("x-2", "x"), id, old))
	w.Must(w.Operations.CancelAuthorization(t.Context(), Request("x-2", "x"), id, old))
	if got := w.Payment(journal.KeySession, id).State; got != journal.Authorized {
		t.Errorf("state %s", got)
	}
}

func TestCancelAuthorization_IsTooLateOnceThereIsAnOrder(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	id := w.Payment(journal.KeyOrder, order).SessionID
	w.Refused(w.Operations.CancelAuthorization(t.Context(), Request("x-1", "x"), id, ""), "SESSION_COMPLETED", "")
	w.CalledTimes("cancelAuthorization", 0)
}

func TestReleaseToken_IsFineWithOneThatIsGone(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	token := w.Authorize(w.Session(journal.OrderByCaller))
	w.Must(w.Operations.ReleaseToken(t.Context(), Shop, token))
	w.Must(w.Operations.ReleaseToken(t.Context(), Shop, token))
	calls := w.Calls("cancelAuthorization")
	if len(calls) != 2 || calls[0].Status != 204 || calls[1].Status != 404 {
		t.Errorf("calls %+v", calls)
	}
}

func TestExpireSession_NeverExpiresAnOrder(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Placed()
	w.Must(w.Operations.ExpireSession(t.Context(), Shop, w.Payment(journal.KeyOrder, order).SessionID))
	if got := w.Payment(journal.KeyOrder, order).State; got != journal.Ordered {
		t.Errorf("state %s", got)
	}
}
