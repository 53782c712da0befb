package modeltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

// wish is something that a caller wants done once.
type wish struct {
	op, id  string
	account string
	about   string // for people
	at      time.Time
	do      func(ctx context.Context, p *process, req operation.Request) (answer string, err error)
	// got is told the answer once; nil where nobody needs it.
	got func(answer string)
	// effects counts in Klarna's books what was done; nil where a second time has no second effect.
	effects func() int
	// holds tells what is not so although the wish was granted; nil where nothing can be looked at.
	holds func(answer string) string

	last    claim
	answer  string // once it was granted
	granted bool
	tried   int
}

// claim is what an answer says about the wish.
type claim string

const (
	done    claim = "done"
	refused claim = "refused" // it was not done, and will not be
	nothing claim = "nothing" // this attempt did nothing
	unknown claim = "unknown"
	gone    claim = "gone" // what it is about is not there
	lost    claim = "lost" // no answer
)

func claimOf(err error) claim {
	var ours *operation.Refusal
	var theirs *klarna.Error
	errors.As(err, &theirs)
	switch {
	case err == nil:
		return done
	case errors.As(err, &ours) && ours.Reason() == "REQUEST_IN_PROGRESS":
		return lost
	case errors.As(err, &ours):
		return refused
	case errors.Is(err, klarna.ErrOutcomeUnknown):
		return unknown
	case errors.Is(err, klarna.ErrUnavailable), errors.Is(err, klarna.ErrRateLimited):
		return nothing
	case theirs != nil && theirs.Read && theirs.Status == 404:
		return gone
	case theirs != nil && (theirs.Read || strings.HasPrefix(theirs.Code, "HTTP_") || theirs.Status == 401 || theirs.Status == 429 || theirs.Status == 409):
		return nothing
	case theirs != nil:
		return refused
	}
	return lost
}

// caller asks for all wishes of the model.
const caller = "checkout-service"

func (w *world) request(x *wish, by string, content string) operation.Request {
	return operation.Request{MerchantAccount: x.account, ID: x.id, Caller: by, Content: []byte(content)}
}

// ask has a caller ask for a wish. Whether the answer is true is judged once all who act in this step are done.
func (w *world) ask(ctx context.Context, p *process, x *wish) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	answer, err := x.do(ctx, p, w.request(x, caller, x.about))
	said := claimOf(err)
	if p.dead.Load() {
		said = lost
	}
	w.note("   caller: %s %s %s: %s %s %v", x.op, x.id, x.about, said, answer, err)
	w.mu.Lock()
	x.tried++
	x.last = said
	granted, before := x.granted, x.answer
	if said == done && !granted {
		x.granted, x.answer = true, answer
		if x.got != nil {
			x.got(answer)
		}
	}
	w.asked = append(w.asked, x)
	w.mu.Unlock()
	switch {
	case granted && said == done && before != answer:
		w.wrong("%s %s was answered %q before and %q now", x.op, x.id, before, answer)
	case granted && said == refused:
		w.wrong("%s %s was granted and then refused", x.op, x.id)
	}
}

// judge looks in Klarna's books whether the answers of this step were true.
func (w *world) judge() {
	for _, x := range w.asked {
		n := 0
		if x.effects != nil {
			n = x.effects()
		}
		switch {
		case n > 1:
			w.wrong("%s %s has %d effects", x.op, x.id, n)
		case n == 1 && x.last == refused:
			w.wrong("%s %s was refused and is done", x.op, x.id)
		case n == 0 && x.granted && x.effects != nil:
			w.wrong("%s %s was granted and is not done", x.op, x.id)
		}
		if x.granted && x.holds != nil {
			if flaw := x.holds(x.answer); flaw != "" {
				w.wrong("%s %s was granted, but %s", x.op, x.id, flaw)
			}
		}
	}
	w.asked = nil
}

// wishing makes a wish and plans to ask for it.
func (w *world) wishing(x *wish) (string, func(context.Context)) {
	x.id = fmt.Sprintf("00000000-0000-4000-8000-%012d", len(w.wishes)+1)
	x.at = w.sim.Now()
	if x.account == "" {
		x.account = shop
	}
	w.wishes = append(w.wishes, x)
	p := w.process()
	return fmt.Sprintf("caller asks process %d: %s %s %s", p.n, x.op, x.id, x.about), func(ctx context.Context) { w.ask(ctx, p, x) }
}

// fresh lists the wishes whose answers are still kept, the newest first.
func (w *world) fresh() (list []*wish) {
	for _, x := range slices.Backward(w.wishes) {
		if w.sim.Now().Sub(x.at) < 20*24*time.Hour && x.tried > 0 {
			list = append(list, x)
		}
	}
	return list
}

// retry repeats a wish, mostly one that was not granted.
func retry(w *world) (string, func(context.Context)) {
	list := w.fresh()
	if w.chance(70) {
		list = slices.DeleteFunc(list, func(x *wish) bool { return x.granted })
	}
	if len(list) == 0 {
		return "", nil
	}
	x, p := list[w.rng.IntN(min(len(list), 4))], w.process()
	return fmt.Sprintf("caller repeats at process %d: %s %s %s", p.n, x.op, x.id, x.about), func(ctx context.Context) { w.ask(ctx, p, x) }
}

// retryLate repeats what was not answered once Klarna has forgotten its key, and before the worker came to it.
func retryLate(w *world) (string, func(context.Context)) {
	list := slices.DeleteFunc(w.fresh(), func(x *wish) bool { return x.last != unknown && x.last != lost })
	if len(list) == 0 {
		return "", nil
	}
	x, p, d := list[w.rng.IntN(len(list))], w.process(), time.Duration(24*60+w.rng.IntN(600))*time.Minute
	return fmt.Sprintf("%v pass, then the caller repeats at process %d: %s %s %s", d, p.n, x.op, x.id, x.about), func(ctx context.Context) {
		w.advance(d)
		w.ask(ctx, p, x)
	}
}

// intrude asks for another caller's wish, or for something else under the same id.
func intrude(w *world) (string, func(context.Context)) {
	list := slices.DeleteFunc(w.fresh(), func(x *wish) bool { return !x.granted })
	if len(list) == 0 {
		return "", nil
	}
	x, p := list[w.rng.IntN(len(list))], w.process()
	by, content, reason := "another-service", x.about, "REQUEST_ID_OF_ANOTHER_CALLER"
	if w.chance(50) {
		by, content, reason = caller, x.about+" and more", "REQUEST_ID_REUSED"
	}
	return fmt.Sprintf("%s asks process %d: %s %s %s", by, p.n, x.op, x.id, content), func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := x.do(ctx, p, w.request(x, by, content))
		w.note("   %s: %v", by, err)
		var refusal *operation.Refusal
		switch {
		case p.dead.Load():
		case err == nil:
			w.wrong("%s %s was granted to %s, who asked for %q", x.op, x.id, by, content)
		case errors.As(err, &refusal) && refusal.Reason() != reason && refusal.Reason() != "REQUEST_IN_PROGRESS":
			w.wrong("%s %s is refused to %s with %s", x.op, x.id, by, refusal.Reason())
		}
	}
}
