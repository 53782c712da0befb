package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func eventsCommand() *cobra.Command {
	return group("events", "what happened: follow, list, look at, take in again, check signatures", eventsTailCommand(), eventsListCommand(),
		eventsGetCommand(), eventsQuarantinedCommand(), eventsReplayCommand(), eventsVerifyCommand())
}

var paymentEventColumns = []column[*gatewayv1.PaymentEvent]{
	{"RECORDED", func(e *gatewayv1.PaymentEvent) string { return instant(e.GetRecordTime()) }},
	{"POSITION", func(e *gatewayv1.PaymentEvent) string { return fmt.Sprint(e.GetPosition()) }},
	{"EVENT", func(e *gatewayv1.PaymentEvent) string { return word(e.GetKind()) + late(e.GetSuperseded()) }},
	{"STATE", func(e *gatewayv1.PaymentEvent) string { return word(e.GetPayment().GetState()) }},
	{"STATUS", func(e *gatewayv1.PaymentEvent) string { return word(e.GetPayment().GetPaymentStatus()) }},
	{"PAYMENT", func(e *gatewayv1.PaymentEvent) string { return e.GetPayment().GetPaymentId() }},
	{"ORDER", func(e *gatewayv1.PaymentEvent) string { return e.GetPayment().GetOrderId() }},
	{"REFERENCE", func(e *gatewayv1.PaymentEvent) string { return e.GetPayment().GetMerchantReference1() }},
	{"CAUSE", func(e *gatewayv1.PaymentEvent) string { return word(e.GetCause()) }},
	{"ID", (*gatewayv1.PaymentEvent).GetEventId},
}

// recordColumns show an event of any stream on a line.
var recordColumns = []column[*gatewayv1.LogEvent]{
	{"RECORDED", func(e *gatewayv1.LogEvent) string { return instant(e.GetSummary().GetRecordTime()) }},
	{"POSITION", func(e *gatewayv1.LogEvent) string { return fmt.Sprint(e.GetSummary().GetPosition()) }},
	{"STREAM", (*gatewayv1.LogEvent).GetStream},
	{"EVENT", func(e *gatewayv1.LogEvent) string {
		return strings.ToLower(e.GetSummary().GetKind()) + late(e.GetSummary().GetSuperseded())
	}},
	{"STATE", func(e *gatewayv1.LogEvent) string { return strings.ToLower(e.GetSummary().GetState()) }},
	{"MERCHANT-ACCOUNT", (*gatewayv1.LogEvent).GetMerchantAccount},
	{"SUBJECT", (*gatewayv1.LogEvent).GetSubject},
	{"CAUSE", func(e *gatewayv1.LogEvent) string { return word(e.GetSummary().GetCause()) }},
	{"ID", func(e *gatewayv1.LogEvent) string { return e.GetSummary().GetEventId() }},
}

func eventsListCommand() *cobra.Command {
	var limit *int
	var from, until bound
	var about subjectFlags
	request := &gatewayv1.ListEventsRequest{}
	var stream *string
	c, _ := remoteCommand("list", "list the log: events of payments, partner accounts and matters of attention, oldest first", cobra.NoArgs, func(c *call, _ []string) error {
		request.MerchantAccount, request.Stream = c.merchantAccount, strings.TrimPrefix(*stream, "all")
		part(request, from, until)
		about.put(request)
		operator := gatewayv1.NewOperatorServiceClient(c.conn)
		all, err := pages(c, *limit, func(token string, size int32) ([]*gatewayv1.LogEvent, string, error) {
			ctx, cancel := c.in()
			defer cancel()
			request.PageToken, request.PageSize = token, size
			res, err := operator.ListEvents(ctx, request)
			return res.GetEvents(), res.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		return list(c.printer, all, recordColumns)
	})
	c.Example = `  klarna-gateway events list -newest -limit 20
  klarna-gateway events list -stream account -from 24h -o json
  klarna-gateway events list -order 7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417
  klarna-gateway events list -kind paid,closed -from 2026-03-31T00:00:00Z -until 2026-04-01T00:00:00Z`
	limit = limitFlag(c)
	stream = wordFlag(c, c.Flags(), "stream", "", "all", "only of one stream", "all", "payment", "account", "attention")
	f := c.Flags()
	f.Var(&from, "from", "from a position (4711), a time (2026-03-31T09:00:00Z), or a time ago (90m)")
	f.Var(&until, "until", "up to a position, or before a time")
	f.Var(upperWords{&request.Kinds}, "kind", "only events of these `kinds`, such as paid or operational")
	f.BoolVar(&request.NewestFirst, "newest", false, "newest first")
	about.add(c)
	return c
}

// upperWords are words that the API writes in capitals.
type upperWords struct{ all *[]string }

func (w upperWords) String() string {
	if w.all == nil {
		return ""
	}
	return strings.ToLower(strings.Join(*w.all, ","))
}

// Type implements pflag.Value.
func (w upperWords) Type() string { return "word" }

// Set implements pflag.Value.
func (w upperWords) Set(text string) error {
	*w.all = append(*w.all, strings.Split(strings.ToUpper(strings.ReplaceAll(text, "-", "_")), ",")...)
	return nil
}

// subjectFlags name one payment or partner account.
type subjectFlags struct {
	payment, session, order, reference, partner, partnerReference string
}

func (s *subjectFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.payment, "payment", "", "only of the payment with this `id` of the gateway's")
	f.StringVar(&s.session, "session", "", "… or of this Klarna `session`")
	f.StringVar(&s.order, "order", "", "… or this Klarna `order`")
	f.StringVar(&s.reference, "reference", "", "… or with this `reference`")
	f.StringVar(&s.partner, "partner", "", "only of this partner `account`, by Klarna's id, and of payments for it")
	f.StringVar(&s.partnerReference, "partner-reference", "", "… or of the partner account with this `reference`")
	c.MarkFlagsMutuallyExclusive("payment", "session", "order", "reference", "partner", "partner-reference")
}

func (s *subjectFlags) put(request *gatewayv1.ListEventsRequest) {
	switch {
	case s.payment != "":
		request.Subject = &gatewayv1.ListEventsRequest_PaymentId{PaymentId: s.payment}
	case s.session != "":
		request.Subject = &gatewayv1.ListEventsRequest_SessionId{SessionId: s.session}
	case s.order != "":
		request.Subject = &gatewayv1.ListEventsRequest_OrderId{OrderId: s.order}
	case s.reference != "":
		request.Subject = &gatewayv1.ListEventsRequest_MerchantReference{MerchantReference: s.reference}
	case s.partner != "":
		request.Subject = &gatewayv1.ListEventsRequest_PartnerAccountId{PartnerAccountId: s.partner}
	case s.partnerReference != "":
		request.Subject = &gatewayv1.ListEventsRequest_PartnerAccountReference{PartnerAccountReference: s.partnerReference}
	}
}
