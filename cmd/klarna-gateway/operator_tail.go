package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"payments.internal/klarna-gateway/client"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// bound is one end of a part of the log: a position, a time, or a time ago.
type bound struct {
	position int64
	time     time.Time
}

func (b *bound) String() string {
	switch {
	case b == nil || b.none():
		return ""
	case b.position > 0:
		return strconv.FormatInt(b.position, 10)
	}
	return b.time.Format(time.RFC3339)
}

// Type implements pflag.Value.
func (b *bound) Type() string { return "position|time" }

// Set implements pflag.Value.
func (b *bound) Set(text string) error {
	if position, err := strconv.ParseInt(text, 10, 64); err == nil && position > 0 {
		*b = bound{position: position}
		return nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		*b = bound{time: at}
		return nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		*b = bound{time: time.Now().Add(-ago)}
		return nil
	}
	return fmt.Errorf("%q is no position (4711), no time (2026-03-31T09:00:00Z) and no time ago (90m)", text)
}

func (b *bound) none() bool { return b.position == 0 && b.time.IsZero() }

// part puts a part of the log into a request for it.
func part(request *gatewayv1.ListEventsRequest, from, until bound) {
	request.FromPosition, request.UntilPosition = from.position, until.position
	request.FromTime, request.UntilTime = nil, nil
	if !from.time.IsZero() {
		request.FromTime = timestamppb.New(from.time)
	}
	if !until.time.IsZero() {
		request.UntilTime = timestamppb.New(until.time)
	}
}

// tail is what "events tail" was asked for.
type tail struct {
	stream         *string
	start          *watchFlags
	from, until    bound
	untilStates    []gatewayv1.Payment_State
	watch          gatewayv1.WatchPaymentStatusRequest // filters are kept in it, whichever way is taken
	states         *[]gatewayv1.Payment_State
	statuses, ends *[]gatewayv1.PaymentStatus
}

// tailUntil is the value of -until: where the log is left off, or the states that end it.
type tailUntil struct{ *tail }

func (u tailUntil) String() string { return "" }

// Type implements pflag.Value.
func (u tailUntil) Type() string { return "position|time|state" }

// Set implements pflag.Value.
func (u tailUntil) Set(text string) error {
	if err := (enums[gatewayv1.Payment_State]{chosen: &u.untilStates}).Set(text); err == nil {
		return nil
	}
	if err := u.tail.until.Set(text); err != nil {
		return fmt.Errorf("%w, and no state of a payment", err)
	}
	return nil
}

func eventsTailCommand() *cobra.Command {
	t := &tail{}
	c, _ := remoteCommand("tail", "follow what becomes of payments or partner accounts, through restarts and broken connections", cobra.NoArgs, func(c *call, _ []string) error {
		t.watch.MerchantAccount = c.merchantAccount
		t.watch.States, t.watch.UntilStates, t.watch.PaymentStatuses, t.watch.UntilPaymentStatuses = *t.states, t.untilStates, *t.statuses, *t.ends
		if err := t.check(); err != nil {
			return err
		}
		switch {
		case !t.from.none():
			return t.stored(c)
		case *t.stream == "account":
			return c.watchAccounts(&gatewayv1.WatchAccountStateRequest{
				MerchantAccount: c.merchantAccount, PartnerAccountIds: t.watch.PartnerAccountIds, PartnerAccountReferences: t.watch.MerchantReferences,
			}, t.start)
		}
		return t.live(c)
	})
	c.Long += `
With -from it reads the log again from there, with what was recorded since, and goes on; -until a position or time ends it. A
consumer that lost something is repaired with what -o json prints: each line is the event as a watch would have told it.
It needs OperatorService/ListEvents, without -from PaymentService/WatchPaymentStatus or PartnerService/WatchAccountState.`
	c.Example = `  klarna-gateway events tail -start earliest
  klarna-gateway events tail -from 4711 -until 4790 -o json >> consumer.ndjson
  klarna-gateway events tail -stream account -from 2026-03-31T09:00:00Z -o json
  klarna-gateway events tail -from 2h -order 7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417`
	t.stream = wordFlag(c, c.Flags(), "stream", "", "payment", "whose events", "payment", "account")
	t.start = newWatchFlags(c, gatewayv1.WatchStart_WATCH_START_NOW)
	f := c.Flags()
	f.Var(&t.from, "from", "read the log from a position (4711), a time (2026-03-31T09:00:00Z), or a time ago (90m)")
	f.Var(tailUntil{t}, "until", "end at a position or time, or with an event after which a payment is in one of these states")
	f.StringSliceVar(&t.watch.PaymentIds, "payment", nil, "only payments with these `ids` of the gateway's")
	f.StringSliceVar(&t.watch.SessionIds, "session", nil, "… or of these Klarna `sessions`")
	f.StringSliceVar(&t.watch.OrderIds, "order", nil, "… or these Klarna `orders`")
	f.StringSliceVar(&t.watch.MerchantReferences, "reference", nil, "… or these `references`, of accounts theirs")
	f.StringSliceVar(&t.watch.PartnerAccountIds, "partner", nil, "… or for these partner `accounts`")
	t.states = enumFlag[gatewayv1.Payment_State](c, "state", "only events after which the payment is in one of these states", false)
	t.statuses = enumFlag[gatewayv1.PaymentStatus](c, "status", "only events after which the payment status is one of these", false)
	t.ends = enumFlag[gatewayv1.PaymentStatus](c, "until-status", "end with an event after which the payment status is one of these", false)
	f.BoolVar(&t.watch.UntilFinal, "until-final", false, "end with an event after which nothing more can come to the payment")
	_ = c.RegisterFlagCompletionFunc("until", cobra.FixedCompletions(enums[gatewayv1.Payment_State]{}.words(), cobra.ShellCompDirectiveNoFileComp))
	c.MarkFlagsMutuallyExclusive("from", "resume")
	c.MarkFlagsMutuallyExclusive("from", "start")
	return c
}

// check refuses flags that would be without effect.
func (t *tail) check() error {
	w := &t.watch
	ofPayments := len(w.PaymentIds)+len(w.SessionIds)+len(w.OrderIds)+len(w.States)+len(w.PaymentStatuses)+len(w.UntilStates)+len(w.UntilPaymentStatuses) > 0 || w.UntilFinal
	switch {
	case *t.stream == "account" && ofPayments:
		return errors.New("-stream account: -payment, -session, -order and states are of payments; -partner and -reference select accounts, partners watch has states")
	case t.from.none() && !t.until.none():
		return errors.New("-until a position or a time goes with -from")
	case !t.from.none() && w.UntilFinal:
		return errors.New("-until-final goes with a watch, not with -from")
	}
	return nil
}

// live follows payments by a watch.
func (t *tail) live(c *call) error {
	t.watch.From = &gatewayv1.WatchPaymentStatusRequest_Start{Start: (*t.start.start)[0]}
	if t.start.resume != "" {
		t.watch.From = &gatewayv1.WatchPaymentStatusRequest_ResumeToken{ResumeToken: t.start.resume}
	}
	var token string
	defer func() { c.resumable(token) }()
	for event, err := range client.New(c.conn, client.Options{}).WatchPayments(c.Context(), &t.watch) {
		if err != nil {
			return c.unlessStopped(err)
		}
		token = event.ResumeToken
		if err := line(c.printer, event.PaymentEvent, paymentEventColumns); err != nil {
			return err
		}
	}
	return nil
}

// stored reads the log from a place and goes on with what is recorded since, until the other end is reached.
func (t *tail) stored(c *call) error {
	request := &gatewayv1.ListEventsRequest{MerchantAccount: c.merchantAccount, Stream: *t.stream, PageSize: 500}
	if err := t.about(request); err != nil {
		return err
	}
	part(request, t.from, t.until)
	var next int64 // position that is to be read next; 0 until the log has said
	var last bool  // nothing more is to come before the end
	for {
		if request.PageToken == "" {
			last = !t.until.time.IsZero() && time.Since(t.until.time) > settled
		}
		res, err := t.page(c, request)
		switch {
		case c.Context().Err() != nil:
			return nil
		case status.Code(err) == codes.Unavailable && next > 0: // it restarts, or the way to it is broken
		case err != nil:
			return err
		default:
			if err := gap(&next, request.GetPageToken() == "", res); err != nil {
				return err
			}
			done, err := t.show(c, res.GetEvents())
			if err != nil || done {
				return err
			}
			if request.PageToken = res.GetNextPageToken(); request.PageToken != "" {
				continue
			}
			if last || t.until.position > 0 && res.GetHeadPosition() >= t.until.position {
				return nil
			}
			part(request, bound{position: max(res.GetHeadPosition()+1, res.GetFromPosition())}, t.until)
		}
		select {
		case <-c.Context().Done():
			return nil
		case <-time.After(again):
		}
	}
}

// gap tells of events that were trimmed before they could be read, and moves next behind what a page holds.
func gap(next *int64, begins bool, res *gatewayv1.ListEventsResponse) error {
	first := *next == 0
	if begins {
		*next = res.GetFromPosition()
	}
	switch trimmed := res.GetTrimmedPosition(); {
	case trimmed < *next:
	case first:
		return fmt.Errorf("-from: the log was trimmed up to %d: begin behind it, or with a snapshot (events tail -start snapshot)", trimmed)
	default:
		return fmt.Errorf("the log was trimmed as it was read: what had the positions %d to %d is missing here", *next, trimmed)
	}
	if events := res.GetEvents(); len(events) > 0 {
		*next = events[len(events)-1].GetSummary().GetPosition() + 1
	}
	return nil
}

// The log is looked at anew after a second, and what was recorded before a time has been committed a little later.
const (
	again   = time.Second
	settled = 2 * time.Second
)

func (t *tail) page(c *call, request *gatewayv1.ListEventsRequest) (*gatewayv1.ListEventsResponse, error) {
	ctx, cancel := context.WithTimeout(c.Context(), c.timeout)
	defer cancel()
	return gatewayv1.NewOperatorServiceClient(c.conn).ListEvents(ctx, request)
}

// about says what the log is read for: one payment or account, or all.
func (t *tail) about(request *gatewayv1.ListEventsRequest) error {
	w, count := &t.watch, 0
	for _, of := range []struct {
		ids []string
		set func(string)
	}{
		{w.PaymentIds, func(id string) { request.Subject = &gatewayv1.ListEventsRequest_PaymentId{PaymentId: id} }},
		{w.SessionIds, func(id string) { request.Subject = &gatewayv1.ListEventsRequest_SessionId{SessionId: id} }},
		{w.OrderIds, func(id string) { request.Subject = &gatewayv1.ListEventsRequest_OrderId{OrderId: id} }},
		{w.PartnerAccountIds, func(id string) {
			request.Subject = &gatewayv1.ListEventsRequest_PartnerAccountId{PartnerAccountId: id}
		}},
		{w.MerchantReferences, func(id string) {
			request.Subject = &gatewayv1.ListEventsRequest_MerchantReference{MerchantReference: id}
			if *t.stream == "account" {
				request.Subject = &gatewayv1.ListEventsRequest_PartnerAccountReference{PartnerAccountReference: id}
			}
		}},
	} {
		for _, id := range of.ids {
			of.set(id)
			count++
		}
	}
	if count > 1 {
		return errors.New("-from: the log is read for one payment or account at a time, or for all")
	}
	return nil
}

// show prints those events that are wanted, and tells whether one of them is the end.
func (t *tail) show(c *call, events []*gatewayv1.LogEvent) (done bool, err error) {
	for _, event := range events {
		if account := event.GetAccount(); account != nil {
			if err := line(c.printer, account, accountEventColumns); err != nil {
				return false, err
			}
			continue
		}
		payment := event.GetPayment()
		state, paid := payment.GetPayment().GetState(), payment.GetPayment().GetPaymentStatus()
		if chosen(t.watch.States, state) && chosen(t.watch.PaymentStatuses, paid) {
			if err := line(c.printer, payment, paymentEventColumns); err != nil {
				return false, err
			}
		}
		if slices.Contains(t.watch.UntilStates, state) || slices.Contains(t.watch.UntilPaymentStatuses, paid) {
			return true, nil
		}
	}
	return false, nil
}

func chosen[E comparable](all []E, one E) bool { return len(all) == 0 || slices.Contains(all, one) }
