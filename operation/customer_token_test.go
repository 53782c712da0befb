package operation_test

import (
	"bytes"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// subscription is what a token is for.
func subscription() klarna.CustomerTokenRequest {
	return klarna.CustomerTokenRequest{
		Description: "Zeltpflege, jährlich", IntendedUse: klarna.UseSubscription, Locale: "de-DE", PurchaseCountry: "DE", PurchaseCurrency: "EUR",
	}
}

// tokenizing opens a session with an intent.
func tokenizing(w *World, intent string) (sessionID string) {
	w.T.Helper()
	cart := Cart()
	cart.Intent = intent
	made, err := w.Operations.CreateSession(w.T.Context(), Request("open", intent), operation.NewSession{Session: cart})
	w.Must(err)
	return made.Session.SessionID
}

// tokenized makes a customer token.
func tokenized(w *World) (token string) {
	w.T.Helper()
	session := tokenizing(w, klarna.IntentTokenize)
	w.Authorize(session)
	made, err := w.Operations.CreateCustomerToken(w.T.Context(), Request("token", session), session, "", subscription())
	w.Must(err)
	return made.Token
}

// charging is a purchase by a token.
func charging() klarna.TokenOrderRequest {
	cart := Cart()
	return klarna.TokenOrderRequest{
		PurchaseCurrency: cart.PurchaseCurrency, OrderAmount: cart.OrderAmount, OrderTaxAmount: cart.OrderTaxAmount, OrderLines: cart.OrderLines,
		MerchantReference1: "ABO-7", MerchantReference2: "2026-02",
	}
}

func TestCreateCustomerToken_TakesTheAuthorisationFromWhereItIsKnown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		given func(w *World, session, token string) string
		reads int
	}{
		"given":         {func(_ *World, _, token string) string { return token }, 0},
		"told":          {func(w *World, session, token string) string { w.Tell(session, token); return "" }, 0},
		"shown on read": {func(*World, string, string) string { return "" }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			session := tokenizing(w, klarna.IntentTokenize)
			given := c.given(w, session, w.Authorize(session))
			made, err := w.Operations.CreateCustomerToken(t.Context(), Request("t-1", session), session, given, subscription())
			w.Must(err)
			if made.Token == "" || made.PaymentMethodReference == "" || made.RedirectURL == "" {
				t.Errorf("made %+v", made)
			}
			w.CalledTimes("readSession", c.reads)
		})
	}
}

func TestCreateCustomerToken_NeedsAnAuthorisation(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := tokenizing(w, klarna.IntentTokenize)
	create := func(id string) error {
		_, err := w.Operations.CreateCustomerToken(t.Context(), Request(id, session), session, "", subscription())
		return err
	}
	w.Refused(create("t-1"), "NOT_AUTHORIZED", "")
	token := w.Authorize(session)
	w.Tell(session, token)
	w.Must(w.Operations.CancelAuthorization(t.Context(), Request("c-1", session), session, ""))
	w.Refused(create("t-2"), "NOT_AUTHORIZED", "")
	_, err := w.Operations.CreateCustomerToken(t.Context(), Request("t-3", session), session, token, subscription())
	w.Refused(err, "AUTHORIZATION_TOKEN_INVALID", "")
	w.CalledTimes("createCustomerToken", 0)
}

func TestCreateCustomerToken_LeavesTheAuthorisationForAnOrder(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := tokenizing(w, "buy_and_tokenize")
	w.Tell(session, w.Authorize(session))
	_, err := w.Operations.CreateCustomerToken(t.Context(), Request("t-1", session), session, "", subscription())
	w.Must(err)
	if payment := w.Payment(journal.KeySession, session); payment.State != journal.Authorized {
		t.Errorf("on record as %s", payment.State)
	}
	_, err = w.Operations.CreateOrder(t.Context(), Request("o-1", session), operation.NewOrder{SessionID: session})
	w.Must(err)
}

func TestCreateSession_ToTokenizeIsNeverTurnedIntoAnOrderByItself(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Policy: journal.Policy{PlaceOrders: true}})
	for intent, jobs := range map[string]int{klarna.IntentTokenize: 0, "buy_and_tokenize": 1} {
		cart := Cart()
		cart.Intent = intent
		made, err := w.Operations.CreateSession(t.Context(), Request("open-"+intent, intent), operation.NewSession{Session: cart})
		w.Must(err)
		w.Tell(made.Session.SessionID, w.Authorize(made.Session.SessionID))
		if got := w.Jobs(journal.JobPlaceOrder); len(got) != jobs {
			t.Errorf("%s: %d jobs to place an order, want %d", intent, len(got), jobs)
		}
		for _, job := range w.Jobs(journal.JobPlaceOrder) {
			w.Must(w.Store.Do(t.Context(), func(tx store.Tx) error { return tx.FinishJob(t.Context(), job.ID) }))
		}
	}
}

func TestCreateCustomerToken_RepeatAfterALostAnswerGetsTheToken(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	session := tokenizing(w, klarna.IntentTokenize)
	token := w.Authorize(session)
	create := func() (operation.CustomerTokenAnswer, error) {
		return w.Operations.CreateCustomerToken(t.Context(), Request("t-1", session), session, token, subscription())
	}
	w.LoseAnswer("createCustomerToken")
	_, err := create()
	w.Unknown(err)
	first, err := create()
	w.Must(err)
	again, err := create()
	w.Must(err)
	if first != again || first.Token == "" {
		t.Errorf("made %+v, then %+v", first, again)
	}
	w.CalledTimes("createCustomerToken", 2)
}

func TestChargeCustomerToken_IsAPaymentLikeAnyOther(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	made, err := w.Operations.ChargeCustomerToken(t.Context(), Request("c-1", "x"), tokenized(w), charging())
	w.Must(err)
	p := w.Payment(journal.KeyReference, "2026-02")
	if p.OrderID != made.OrderID || p.State != journal.Ordered || p.Currency != "EUR" || p.OrderAmount != Amount || p.RemainingAmount != Amount ||
		p.Reference1 != "ABO-7" || p.FraudStatus != "ACCEPTED" || p.RedirectURL != made.RedirectURL || p.SessionID != "" {
		t.Errorf("answer %+v, on record %+v", made, p)
	}
	_, err = capture(w, Request("c-2", "x"), made.OrderID)
	w.Must(err)
	w.CalledTimes("readOrder", 0) // nothing had to be asked for
}

func TestChargeCustomerToken_RepeatAfterALostAnswerChargesOnce(t *testing.T) {
	t.Parallel()
	w := New(t, Options{AutoCapture: true})
	token, in := tokenized(w), charging()
	in.AutoCapture = true
	w.LoseAnswer("chargeCustomerToken")
	charge := func() (operation.OrderAnswer, error) {
		return w.Operations.ChargeCustomerToken(t.Context(), Request("c-1", "x"), token, in)
	}
	_, err := charge()
	w.Unknown(err)
	w.Reopen()
	first, err := charge()
	w.Must(err)
	again, err := charge()
	w.Must(err)
	if first != again {
		t.Errorf("made %+v, then %+v", first, again)
	}
	w.CalledTimes("chargeCustomerToken", 2)
	w.SameKey("chargeCustomerToken")
	if order := w.Order(first.OrderID); order.Status != "CAPTURED" {
		t.Errorf("order %+v", order)
	}
	if jobs := w.Jobs(journal.JobReadOrder); len(jobs) != 1 || jobs[0].RunAt.After(w.Store.Now()) {
		t.Errorf("what was captured with it is to be read: %+v", jobs)
	}
}

func TestChargeCustomerToken_NeverChargesAgainOnceKlarnaMayHaveForgottenTheKey(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	token := tokenized(w)
	charge := func() error {
		_, err := w.Operations.ChargeCustomerToken(t.Context(), Request("c-1", "x"), token, charging())
		return err
	}
	w.LoseAnswer("chargeCustomerToken")
	w.Unknown(charge())
	w.Klarna.Advance(25 * time.Hour)
	w.Refused(charge(), "OPERATION_NOT_ALLOWED", "")
	w.CalledTimes("chargeCustomerToken", 1)
}

// What Klarna says about the token or the customer's way to pay stands for its request; what comes before that does not.
func TestChargeCustomerToken_KlarnasRefusalIsKept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault klarnatest.Fault
		kept  bool
	}{
		{klarnatest.Fault{Status: 403, Code: "PAYMENT_METHOD_FAILED"}, true},
		{klarnatest.Fault{Status: 403, Code: "TOKEN_SUSPENDED"}, true},
		{klarnatest.Fault{Status: 404, Code: "TOKEN_NOT_FOUND"}, true},
		{klarnatest.Fault{Status: 403, Code: "FORBIDDEN"}, false},
		{klarnatest.Fault{Status: 403, Body: blocked}, false},
		{klarnatest.Fault{Status: 404, Body: blocked}, false},
	} {
		w := New(t, Options{})
		token := tokenized(w)
		charge := func() error {
			_, err := w.Operations.ChargeCustomerToken(t.Context(), Request("c-1", "x"), token, charging())
			return err
		}
		c.fault.Operation = "chargeCustomerToken"
		w.Fail(c.fault)
		if charge() == nil {
			t.Fatalf("%+v was taken for an order", c.fault)
		}
		if err := charge(); (err != nil) != c.kept {
			t.Errorf("after %+v a repeat gets %v", c.fault, err)
		}
		w.SameKey("chargeCustomerToken")
	}
}

func TestChargeCustomerToken_NeedsTheContractToCapture(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	in := charging()
	in.AutoCapture = true
	_, err := w.Operations.ChargeCustomerToken(t.Context(), Request("c-1", "x"), "token", in)
	w.Refused(err, "AUTO_CAPTURE_NOT_ALLOWED", "auto_capture")
	w.CalledTimes("chargeCustomerToken", 0)
}

func TestCancelCustomerToken_RepeatAfterALostAnswerSeesThatItIsDone(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	token := tokenized(w)
	cancel := func(id string) error { return w.Operations.CancelCustomerToken(t.Context(), Request(id, "x"), token) }
	w.LoseAnswer("cancelCustomerToken")
	w.Unknown(cancel("x-1"))
	w.Klarna.Advance(time.Minute)
	w.Must(cancel("x-1"))
	if read, err := w.Operations.CustomerToken(t.Context(), Shop, token); err != nil || read.Status != klarna.TokenCancelled {
		t.Errorf("token %+v, %v", read, err)
	}
	if err := cancel("x-2"); err == nil {
		t.Error("a new request was told that it cancelled what was cancelled before")
	}
}

// A cancellation has no key at Klarna that a refusal could stand under.
func TestCancelCustomerToken_ARefusalIsNotKept(t *testing.T) {
	t.Parallel()
	for _, fault := range []klarnatest.Fault{{Status: 403, Code: "TOKEN_SUSPENDED"}, {Status: 404, Code: "TOKEN_NOT_FOUND"}} {
		w := New(t, Options{})
		token := tokenized(w)
		cancel := func() error { return w.Operations.CancelCustomerToken(t.Context(), Request("x-1", "x"), token) }
		fault.Operation = "cancelCustomerToken"
		w.Fail(fault)
		if cancel() == nil {
			t.Fatalf("%+v was taken for a cancellation", fault)
		}
		if err := cancel(); err != nil {
			t.Errorf("after %+v a repeat gets %v", fault, err)
		}
		w.CalledTimes("cancelCustomerToken", 2)
	}
}

func TestCustomerTokens_AreNeverOnDiskInClear(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	token := tokenized(w)
	_, err := w.Operations.ChargeCustomerToken(t.Context(), Request("c-1", token), token, charging())
	w.Must(err)
	w.Fail(klarnatest.Fault{Operation: "cancelCustomerToken", Cut: true})
	w.Unknown(w.Operations.CancelCustomerToken(t.Context(), Request("x-1", token), token))
	disk := w.OnDisk()
	if !bytes.Contains(disk, []byte("chargeCustomerToken")) {
		t.Fatal("the database was not found")
	}
	if bytes.Contains(disk, []byte(token)) {
		t.Error("the token stands in the database")
	}
}
