package modeltest

import (
	"context"
	"fmt"
	"slices"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/operation/operationtest"
)

// networking is what is known of payments on the Klarna Network.
type networking struct {
	partner string
	deals   []*deal
}

// deal is one purchase there.
type deal struct {
	request, transaction string
	completed            bool // the customer agreed
}

func (w *world) deal(fits func(*deal) bool) *deal {
	var list []*deal
	for _, d := range slices.Backward(w.deals) {
		if fits(d) {
			list = append(list, d)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[w.rng.IntN(min(len(list), 3))]
}

func transacted(d *deal) bool { return d.transaction != "" }

func (w *world) transaction(d *deal) klarnatest.Transaction {
	t, _ := w.sim.Transaction(d.transaction)
	return t
}

// shown is a transaction as Klarna shows it.
func (w *world) shown(id string) klarna.Transaction {
	t, err := w.beyond.Transaction(w.ctx, w.partner, id)
	if err != nil {
		w.wrong("Klarna does not show transaction %s: %v", id, err)
	}
	return t
}

func onboard(w *world) (string, func(context.Context)) {
	if !w.network || w.partner != "" {
		return "", nil
	}
	return w.wishing(&wish{
		op: "onboardPartner", account: acquirer, about: "mrc-000482", got: func(id string) { w.partner = id },
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			made, err := p.ops.Onboard(ctx, req, operationtest.Onboarding("mrc-000482"))
			return made.AccountID, err
		},
		holds: func(id string) string {
			if account, ok := w.sim.Account(id); !ok || account.Reference != "mrc-000482" {
				return "there is no such account"
			}
			return ""
		},
	})
}

func changePartner(w *world) (string, func(context.Context)) {
	if w.partner == "" {
		return "", nil
	}
	n := w.rng.IntN(4)
	return fmt.Sprintf("klarna changes the partner: %d", n), func(context.Context) {
		w.note("   %v", []func(string) error{w.sim.Operational, w.sim.DisableAccount, w.sim.EnableAccount, w.sim.EnableAccount}[n](w.partner))
		_ = w.sim.Idle(w.ctx)
	}
}

func askForPayment(w *world) (string, func(context.Context)) {
	if w.partner == "" || len(w.deals) >= 3 {
		return "", nil
	}
	d := &deal{}
	w.deals = append(w.deals, d)
	n := len(w.deals)
	return w.wishing(&wish{
		op: "createPaymentRequest", account: acquirer, about: fmt.Sprintf("deal %d", n), got: func(id string) { d.request = id },
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			made, err := p.ops.CreatePaymentRequest(ctx, req, w.partner, "", operationtest.Ask())
			return made.PaymentRequestID, err
		},
		holds: func(id string) string {
			if _, ok := w.sim.PaymentRequest(id); !ok {
				return "there is no such payment request"
			}
			return ""
		},
	})
}

func networkCustomer(w *world) (string, func(context.Context)) {
	d := w.deal(func(d *deal) bool { return d.request != "" && !d.completed })
	if d == nil {
		return "", nil
	}
	n := w.rng.IntN(8)
	return fmt.Sprintf("the customer of %s: %d", d.request, n), func(context.Context) {
		var err error
		switch n {
		case 0:
			err = w.sim.OpenRequest(d.request)
		case 1:
			err = w.sim.LeaveRequest(d.request)
		case 2:
			err = w.sim.DeclineRequest(d.request)
		default:
			_, err = w.sim.CompleteRequest(d.request)
			d.completed = err == nil
		}
		w.note("   %v", err)
		_ = w.sim.Idle(w.ctx)
	}
}

func cancelRequest(w *world) (string, func(context.Context)) {
	d := w.deal(func(d *deal) bool { return d.request != "" })
	if d == nil {
		return "", nil
	}
	return w.wishing(&wish{
		op: "cancelPaymentRequest", account: acquirer, about: d.request,
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			return "", p.ops.CancelPaymentRequest(ctx, req, w.partner, d.request)
		},
		holds: func(string) string {
			if r, _ := w.sim.PaymentRequest(d.request); r.State != "CANCELED" {
				return "the payment request is " + r.State
			}
			return ""
		},
	})
}

func authorize(w *world) (string, func(context.Context)) {
	d := w.deal(func(d *deal) bool { return d.request != "" && (d.completed || w.chance(10)) })
	if d == nil {
		return "", nil
	}
	decline := w.chance(10)
	if decline {
		w.sim.DeclineNextAuthorizations(1)
	}
	x := &wish{op: "authorizePayment", account: acquirer, about: d.request}
	x.do = func(ctx context.Context, p *process, req operation.Request) (string, error) {
		made, err := p.ops.Authorize(ctx, req, operationtest.ByRequest(w.partner, d.request))
		if err != nil || made.Transaction == nil {
			return made.Result, err
		}
		return made.Transaction.PaymentTransactionID, err
	}
	x.holds = func(answer string) string {
		if _, ok := w.sim.Transaction(answer); !ok && answer != "DECLINED" {
			return "there is no such transaction"
		}
		return ""
	}
	return w.wishing(x)
}

// meetTransactions looks which transactions have come to be.
func (w *world) meetTransactions() {
	if w.partner == "" {
		return
	}
	for _, d := range w.deals {
		r, ok := w.sim.PaymentRequest(d.request)
		if !ok || r.TransactionID == "" || r.TransactionID == d.transaction {
			continue
		}
		if d.transaction != "" {
			w.wrong("payment request %s has a second transaction", d.request)
		}
		d.transaction = r.TransactionID
		w.note("   klarna has transaction %s for %s", d.transaction, d.request)
	}
	if n, most := len(w.sim.Transactions(w.partner)), len(slices.DeleteFunc(slices.Clone(w.deals), func(d *deal) bool { return d.transaction == "" })); n > most {
		w.wrong("klarna has %d transactions for %d payment requests", n, most)
	}
}

func captureTransaction(w *world) (string, func(context.Context)) {
	d := w.deal(transacted)
	if d == nil {
		return "", nil
	}
	t := w.transaction(d)
	x := &wish{op: "captureTransaction", account: acquirer}
	sum := w.part(t.Amount - t.Captured)
	x.about = fmt.Sprintf("%s %d", d.transaction, sum)
	x.do = func(ctx context.Context, p *process, req operation.Request) (string, error) {
		made, err := p.ops.CaptureTransaction(ctx, req, w.partner, d.transaction, "EUR", klarna.NetworkCaptureRequest{CaptureAmount: sum})
		return made.ID, err
	}
	x.effects = func() (n int) {
		for _, c := range w.shown(d.transaction).Captures {
			if c.PaymentCaptureReference == x.id {
				n++
			}
		}
		return n
	}
	return w.wishing(x)
}

func refundTransaction(w *world) (string, func(context.Context)) {
	d := w.deal(func(d *deal) bool { return transacted(d) && (w.transaction(d).Captured > 0 || w.chance(10)) })
	if d == nil {
		return "", nil
	}
	t := w.transaction(d)
	x := &wish{op: "refundTransaction", account: acquirer}
	sum := w.part(t.Captured - t.Refunded)
	x.about = fmt.Sprintf("%s %d", d.transaction, sum)
	x.do = func(ctx context.Context, p *process, req operation.Request) (string, error) {
		made, err := p.ops.RefundTransaction(ctx, req, w.partner, d.transaction, "", "EUR", klarna.NetworkRefundRequest{RefundAmount: sum})
		return made.ID, err
	}
	x.effects = func() (n int) {
		for _, r := range w.shown(d.transaction).Refunds {
			if r.PaymentRefundReference == x.id || r.PlainReference == x.id {
				n++
			}
		}
		return n
	}
	return w.wishing(x)
}

func voidTransaction(w *world) (string, func(context.Context)) {
	d := w.deal(transacted)
	if d == nil {
		return "", nil
	}
	return w.wishing(&wish{
		op: "voidTransaction", account: acquirer, about: d.transaction,
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			return "", p.ops.VoidTransaction(ctx, req, w.partner, d.transaction)
		},
		holds: func(string) string {
			if state := w.transaction(d).State; state != "CLOSED" && state != "COMPLETED" {
				return "the transaction is " + state
			}
			return ""
		},
	})
}

func extendTransaction(w *world) (string, func(context.Context)) {
	d := w.deal(transacted)
	if d == nil {
		return "", nil
	}
	return w.wishing(&wish{
		op: "extendTransaction", account: acquirer, about: d.transaction,
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			return "", p.ops.ExtendTransaction(ctx, req, w.partner, d.transaction, "", klarna.ExtendRequest{})
		},
	})
}

// networkRecordIsTrue compares what is on record of payments on the Network with Klarna's books.
func (w *world) networkRecordIsTrue() {
	j := w.living().journal
	for _, d := range w.deals {
		if d.request == "" {
			continue
		}
		r, _ := w.sim.PaymentRequest(d.request)
		payment, err := j.PaymentBy(w.ctx, acquirer, journal.KeyRequest, d.request)
		if err != nil {
			w.wrong("payment request %s is not on record: %v", d.request, err)
			continue
		}
		if payment.Network.RequestState != r.State {
			w.wrong("payment request %s is %s, on record %s", d.request, r.State, payment.Network.RequestState)
		}
		for _, a := range payment.Attentions {
			if a.Reason == journal.OutcomeUnknown && !w.inDoubt(a.Message) {
				w.wrong("what became of it is known, and still an open matter: %s", a.Message)
			}
		}
		switch {
		case d.transaction == "" && !payment.State.Final() && len(payment.Attentions) == 0:
			w.wrong("payment request %s is over, but on record as %s, and nobody was told", d.request, payment.State)
		case d.transaction != "" && payment.Network.TransactionID != d.transaction && len(payment.Attentions) == 0:
			w.wrong("transaction %s is not on record, and nobody was told", d.transaction)
		case d.transaction != "" && payment.Network.TransactionID == d.transaction:
			t := w.transaction(d)
			want := fmt.Sprintf("%s authorised %d captured %d refunded %d", t.State, t.Amount, t.Captured, t.Refunded)
			got := fmt.Sprintf("%s authorised %d captured %d refunded %d", payment.OrderStatus, payment.OrderAmount, payment.CapturedAmount, payment.RefundedAmount)
			if got != want {
				w.wrong("transaction %s is on record as %s; Klarna has %s", d.transaction, got, want)
			}
		}
	}
}
