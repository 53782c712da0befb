package operation_test

import (
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	. "payments.internal/klarna-gateway/operation/operationtest"
	"payments.internal/klarna-gateway/store"
)

// basket is a checkout order to be opened.
func basket() klarna.CheckoutOrder {
	cart := Cart()
	return klarna.CheckoutOrder{
		PurchaseCountry: cart.PurchaseCountry, PurchaseCurrency: cart.PurchaseCurrency, Locale: cart.Locale,
		OrderAmount: cart.OrderAmount, OrderTaxAmount: cart.OrderTaxAmount, OrderLines: cart.OrderLines, MerchantReference1: "SO-88003",
		MerchantURLs: &klarna.CheckoutURLs{
			Terms: "https://shop.nordlicht.example/terms", Checkout: "https://shop.nordlicht.example/checkout", Confirmation: "https://shop.nordlicht.example/thanks",
		},
	}
}

// checkedOut opens a checkout order.
func checkedOut(w *World) klarna.CheckoutOrder {
	w.T.Helper()
	order, err := w.Operations.CreateCheckoutOrder(w.T.Context(), Request("basket", "x"), basket())
	w.Must(err)
	return order.CheckoutOrder
}

func TestCreateCheckoutOrder_NeedsAPush(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	_, err := w.Operations.CreateCheckoutOrder(t.Context(), Request("basket", "x"), basket())
	w.Refused(err, "MERCHANT_ACCOUNT_UNSUITABLE", "")
	if !strings.Contains(err.Error(), "public_base_url") || !strings.Contains(err.Error(), "push_secrets") {
		t.Errorf("does not say what to configure: %v", err)
	}
	w.CalledTimes("createCheckoutOrder", 0)
}

func TestCreateCheckoutOrder_HasThePushOfTheGateway(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Callbacks: true})
	order := checkedOut(w)
	if order.OrderID == "" || order.HTMLSnippet == "" || order.Status != klarna.CheckoutIncomplete || order.MerchantURLs != nil {
		t.Errorf("answer %+v", order)
	}
	if n := len(w.Events(store.Payments)); n != 0 {
		t.Errorf("%d events before the customer has done anything", n)
	}
	_, err := w.Klarna.CompleteCheckout(klarnatest.CheckoutOrder{OrderID: order.OrderID})
	w.Must(err)
	w.Klarna.Advance(2 * time.Minute)
	deliveries := w.Klarna.Deliveries()
	if len(deliveries) == 0 || deliveries[0].URL != "http://127.0.0.1:9/push/secret/"+order.OrderID {
		t.Errorf("pushed to %+v", deliveries)
	}
}

func TestCreateCheckoutOrder_RepeatAfterALostAnswerGetsAnOrder(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Callbacks: true})
	w.LoseAnswer("createCheckoutOrder")
	_, err := w.Operations.CreateCheckoutOrder(t.Context(), Request("basket", "x"), basket())
	w.Unknown(err)
	first := checkedOut(w)
	if again := checkedOut(w); first.OrderID != again.OrderID || first.HTMLSnippet != again.HTMLSnippet {
		t.Errorf("made %+v, then %+v", first, again)
	}
	w.CalledTimes("createCheckoutOrder", 2)
}

func TestCheckoutOrder_CompleteOneIsTakenUpAsIfItHadBeenPushed(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Callbacks: true})
	id := checkedOut(w).OrderID
	read := func(status klarna.CheckoutStatus, jobs int) {
		t.Helper()
		order, err := w.Operations.CheckoutOrder(t.Context(), Shop, id)
		w.Must(err)
		if got := w.Jobs(journal.JobReadPushed); order.Status != status || len(got) != jobs {
			t.Errorf("%s with %d jobs, want %s with %d", order.Status, len(got), status, jobs)
		}
	}
	read(klarna.CheckoutIncomplete, 0)
	_, err := w.Klarna.CompleteCheckout(klarnatest.CheckoutOrder{OrderID: id})
	w.Must(err)
	read(klarna.CheckoutComplete, 1)
	for _, job := range w.Jobs(journal.JobReadPushed) {
		_, err := w.Operations.Order(t.Context(), Shop, job.Key, journal.Push)
		w.Must(err)
		w.Must(w.Store.Do(t.Context(), func(tx store.Tx) error { return tx.FinishJob(t.Context(), job.ID) }))
	}
	read(klarna.CheckoutComplete, 0)
	if payment := w.Payment(journal.KeyReference, "SO-88003"); !payment.Checkout || payment.OrderID != id {
		t.Errorf("on record %+v", payment)
	}
}

func TestCheckoutOrder_IsChangedAndAbortedOnce(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Callbacks: true})
	id := checkedOut(w).OrderID
	change := basket()
	change.MerchantURLs, change.MerchantReference1 = nil, "SO-88004"
	update := func() (klarna.CheckoutOrder, error) {
		return w.Operations.UpdateCheckoutOrder(t.Context(), Request("u-1", "x"), id, change)
	}
	w.LoseAnswer("updateCheckoutOrder")
	_, err := update()
	w.Unknown(err)
	changed, err := update()
	w.Must(err)
	if changed.MerchantReference1 != "SO-88004" || changed.MerchantURLs != nil {
		t.Errorf("changed to %+v", changed)
	}
	_, err = update()
	w.Must(err)
	w.CalledTimes("updateCheckoutOrder", 2)

	abort := func(request string) error {
		return w.Operations.AbortCheckoutOrder(t.Context(), Request(request, "x"), id)
	}
	w.LoseAnswer("abortCheckoutOrder")
	w.Unknown(abort("a-1"))
	w.Must(abort("a-1"))
	if abort("a-2") == nil {
		t.Error("a new request was told that it aborted what is gone")
	}
}
