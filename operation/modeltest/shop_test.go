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

// shopping is what customers and callers of the shop know.
type shopping struct {
	wishes  []*wish
	asked   []*wish // in this step
	sales   []*sale
	met     map[string]bool // orders at Klarna that were looked at
	acting  string          // the action of this step
	stepped int
}

// sale is one purchase.
type sale struct {
	ref      string // merchant_reference1, its own
	session  string
	tokens   []string // the customer's authorisations, the newest last
	order    string   // at Klarna, known to the gateway or not
	checkout bool
	meddled  bool // money moved past the gateway
	untold   bool // a notification about it was lost for good
	buy      bool
}

func (w *world) books(s *sale) klarnatest.Order {
	order, _ := w.sim.Order(s.order)
	return order
}

// meet looks which orders have come to be.
func (w *world) meet() {
	w.meetTransactions()
	ids := w.sim.Orders()
	if len(ids) == len(w.met) {
		return
	}
	if w.met == nil {
		w.met = map[string]bool{}
	}
	for _, s := range w.sales { // in their order: Klarna's ids have none
		for _, id := range ids {
			if order, _ := w.sim.Order(id); w.met[id] || order.Reference != s.ref {
				continue
			}
			w.met[id] = true
			if s.order != "" {
				w.wrong("sale %s has a second order", s.ref)
			}
			s.order = id
			w.note("   klarna has order %s for %s", id, s.ref)
		}
	}
}

// a sale that fits, mostly one of the newest.
func (w *world) sale(fits func(*sale) bool) *sale {
	var list []*sale
	for _, s := range slices.Backward(w.sales) {
		if fits(s) {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[w.rng.IntN(min(len(list), 3))]
}

func ordered(s *sale) bool { return s.order != "" }

const amount = operationtest.Amount

func openSession(w *world) (string, func(context.Context)) {
	if len(w.sales) >= 4 && !w.chance(10) {
		return "", nil
	}
	s := &sale{ref: fmt.Sprintf("SO-%d-%d", w.seed, len(w.sales)+1), buy: w.chance(40)}
	w.sales = append(w.sales, s)
	in := operation.NewSession{Session: operationtest.Cart()}
	in.OrderPolicy = []journal.OrderPolicy{"", journal.OrderAutomatic, journal.OrderByCaller}[w.rng.IntN(3)]
	in.Session.MerchantReference1 = s.ref
	if in.Session.Intent = ""; s.buy {
		in.Session.Intent = klarna.IntentBuy
	}
	return w.wishing(&wish{
		op: "createSession", about: s.ref + " " + string(in.OrderPolicy), got: func(id string) { s.session = id },
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			made, err := p.ops.CreateSession(ctx, req, in)
			return made.Session.SessionID, err
		},
	})
}

func customer(w *world) (string, func(context.Context)) {
	s := w.sale(func(s *sale) bool { return s.session != "" && s.order == "" && (len(s.tokens) < 2 || w.chance(20)) })
	if s == nil {
		return "", nil
	}
	return "the customer of " + s.ref + " authorises", func(context.Context) {
		token, err := w.sim.Authorize(s.session)
		if err != nil {
			w.note("   %v", err)
			return
		}
		s.tokens = append(s.tokens, token)
		_ = w.sim.Idle(w.ctx)
	}
}

func createOrder(w *world) (string, func(context.Context)) {
	s := w.sale(func(s *sale) bool { return s.session != "" && (len(s.tokens) > 0 || w.chance(10)) })
	if s == nil {
		return "", nil
	}
	in := operation.NewOrder{SessionID: s.session}
	about := s.ref
	if len(s.tokens) > 0 && w.chance(30) { // the browser brings it
		n := w.rng.IntN(len(s.tokens))
		in.Token = s.tokens[n]
		about = fmt.Sprintf("%s by authorisation %d", s.ref, n+1)
	}
	return w.wishing(&wish{
		op: "createOrder", about: about,
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			made, err := p.ops.CreateOrder(ctx, req, in)
			return made.OrderID, err
		},
		holds: func(answer string) string {
			if order, ok := w.sim.Order(answer); !ok || order.Reference != s.ref {
				return fmt.Sprintf("order %s is not the sale's", answer)
			}
			return ""
		},
	})
}

func cancelAuthorization(w *world) (string, func(context.Context)) {
	s := w.sale(func(s *sale) bool { return len(s.tokens) > 0 && (s.order == "" || w.chance(20)) })
	if s == nil {
		return "", nil
	}
	return w.wishing(&wish{
		op: "cancelAuthorization", about: s.ref,
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			return "", p.ops.CancelAuthorization(ctx, req, s.session, "")
		},
	})
}

// part is what to capture or refund: what is left, a part of that, or something that takes no notice of what is gone.
func (w *world) part(left int64) int64 {
	switch n := w.rng.IntN(10); {
	case n < 3 && left > 0:
		return left
	case n < 6 && left > 1:
		return 1 + w.rng.Int64N(left)
	default:
		return 1 + w.rng.Int64N(amount+1)
	}
}

func capture(w *world) (string, func(context.Context)) {
	s := w.sale(ordered)
	if s == nil {
		return "", nil
	}
	x := &wish{op: "captureOrder"}
	in := klarna.CaptureRequest{CapturedAmount: w.part(w.books(s).Remaining)}
	x.about = fmt.Sprintf("%s %d", s.ref, in.CapturedAmount)
	x.do = func(ctx context.Context, p *process, req operation.Request) (string, error) {
		made, err := p.ops.Capture(ctx, req, s.order, "EUR", in)
		return made.ID, err
	}
	x.effects = func() (n int) {
		for _, c := range w.order(s).Captures {
			if c.Reference == x.id {
				n++
			}
		}
		return n
	}
	return w.wishing(x)
}

func refund(w *world) (string, func(context.Context)) {
	s := w.sale(func(s *sale) bool { return ordered(s) && (w.books(s).Captured > 0 || w.chance(10)) })
	if s == nil {
		return "", nil
	}
	x := &wish{op: "refundOrder"}
	book := w.books(s)
	in := klarna.RefundRequest{RefundedAmount: w.part(book.Captured - book.Refunded)}
	x.about = fmt.Sprintf("%s %d", s.ref, in.RefundedAmount)
	x.do = func(ctx context.Context, p *process, req operation.Request) (string, error) {
		made, err := p.ops.Refund(ctx, req, s.order, "EUR", in)
		return made.ID, err
	}
	x.effects = func() (n int) {
		for _, r := range w.order(s).Refunds {
			if r.Reference == x.id {
				n++
			}
		}
		return n
	}
	return w.wishing(x)
}

func cancelOrder(w *world) (string, func(context.Context)) {
	s := w.sale(ordered)
	if s == nil {
		return "", nil
	}
	return w.wishing(&wish{
		op: "cancelOrder", about: s.ref,
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			return "", p.ops.CancelOrder(ctx, req, s.order)
		},
		holds: func(string) string {
			if status := w.books(s).Status; status != "CANCELLED" {
				return "the order is " + status
			}
			return ""
		},
	})
}

func releaseRest(w *world) (string, func(context.Context)) {
	s := w.sale(func(s *sale) bool { return ordered(s) && w.books(s).Captured > 0 })
	if s == nil {
		return "", nil
	}
	return w.wishing(&wish{
		op: "releaseRemaining", about: s.ref,
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			return "", p.ops.ReleaseRemainingAuthorization(ctx, req, s.order)
		},
		holds: func(string) string {
			if left := w.books(s).Remaining; left != 0 {
				return fmt.Sprintf("%d are left", left)
			}
			return ""
		},
	})
}

func extend(w *world) (string, func(context.Context)) {
	s := w.sale(ordered)
	if s == nil {
		return "", nil
	}
	return w.wishing(&wish{
		op: "extendAuthorization", about: s.ref,
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			return "", p.ops.ExtendAuthorization(ctx, req, s.order)
		},
	})
}

func readOrder(w *world) (string, func(context.Context)) {
	s := w.sale(ordered)
	if s == nil {
		return "", nil
	}
	p := w.process()
	return "caller reads the order of " + s.ref, func(ctx context.Context) {
		_, err := p.ops.Order(ctx, shop, s.order, journal.Reconciled)
		w.note("   caller: %v", err)
	}
}

func checkout(w *world) (string, func(context.Context)) {
	if len(w.sales) >= 4 && !w.chance(10) {
		return "", nil
	}
	s := &sale{ref: fmt.Sprintf("SO-%d-%d", w.seed, len(w.sales)+1), checkout: true}
	w.sales = append(w.sales, s)
	return "a customer completes checkout order " + s.ref, func(context.Context) {
		id, err := w.sim.CompleteCheckout(klarnatest.CheckoutOrder{Amount: amount, Currency: "EUR", Country: "DE", Reference: s.ref})
		w.note("   order %s %v", id, err)
	}
}

func acknowledge(w *world) (string, func(context.Context)) {
	s := w.sale(func(s *sale) bool { return ordered(s) && s.checkout })
	if s == nil {
		return "", nil
	}
	return w.wishing(&wish{
		op: "requestAcknowledgement", about: s.ref,
		do: func(ctx context.Context, p *process, req operation.Request) (string, error) {
			confirmed, err := p.ops.RequestAcknowledgement(ctx, req, s.order)
			if confirmed && !p.dead.Load() && !w.books(s).Acknowledged {
				w.wrong("the acknowledgement of %s is confirmed and Klarna has none", s.ref)
			}
			return "", err
		},
	})
}

func risk(w *world) (string, func(context.Context)) {
	s := w.sale(func(s *sale) bool { return ordered(s) && w.books(s).FraudStatus == "PENDING" })
	if s == nil || w.chance(20) {
		return "klarna has to think about the next order", func(context.Context) { w.sim.PendNext(1) }
	}
	accepted := w.chance(60)
	return fmt.Sprintf("klarna decides on %s: accepted %t", s.ref, accepted), func(context.Context) {
		w.note("   %v", w.sim.DecideFraud(s.order, accepted))
		_ = w.sim.Idle(w.ctx)
	}
}

func money(w *world) (string, func(context.Context)) {
	s := w.sale(func(s *sale) bool { return ordered(s) && s.buy })
	if s == nil {
		return "", nil
	}
	lapse := w.chance(40)
	return fmt.Sprintf("the money of %s arrives: %t", s.ref, !lapse), func(context.Context) {
		var err error
		if lapse {
			if err = w.sim.Lapse(s.order); err == nil {
				s.meddled = true
			}
		} else {
			err = w.sim.Pay(s.order)
		}
		w.note("   %v", err)
		_ = w.sim.Idle(w.ctx)
	}
}

// portal is the merchant at work in Klarna's portal, past the gateway, while the order is read again some day.
func portal(w *world) (string, func(context.Context)) {
	s := w.sale(func(s *sale) bool {
		status := w.books(s).Status
		return ordered(s) && (status == "AUTHORIZED" || status == "PART_CAPTURED")
	})
	if s == nil {
		return "", nil
	}
	book := w.books(s)
	what := w.rng.IntN(3)
	amount := 1 + w.rng.Int64N(max(book.Remaining, 1))
	return fmt.Sprintf("somebody uses klarna's portal on %s: %d", s.ref, what), func(ctx context.Context) {
		s.meddled = true
		var err error
		key := fmt.Sprintf("portal-%d", w.stepped)
		switch what {
		case 0:
			_, err = w.truth.CaptureOrder(ctx, key, s.order, klarna.CaptureRequest{CapturedAmount: amount, Reference: key})
		case 1:
			err = w.truth.CancelOrder(ctx, key, s.order)
		case 2:
			if back := book.Captured - book.Refunded; back > 0 {
				_, err = w.truth.RefundOrder(ctx, key, s.order, klarna.RefundRequest{RefundedAmount: min(back, amount), Reference: key})
			}
		}
		w.note("   %v", err)
	}
}

// order is an order as Klarna shows it.
func (w *world) order(s *sale) klarna.Order {
	order, err := w.truth.Order(w.ctx, s.order)
	if err != nil {
		w.wrong("Klarna does not show order %s: %v", s.order, err)
	}
	return order
}
