package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"payments.internal/klarna-gateway/client"
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

func eventsTailCommand() *cobra.Command {
	var from *watchFlags
	request := &gatewayv1.WatchPaymentStatusRequest{}
	var states, until *[]gatewayv1.Payment_State
	var statuses, untilStatuses *[]gatewayv1.PaymentStatus
	c, _ := remoteCommand("tail", "follow what becomes of payments, through restarts and broken connections", cobra.NoArgs, func(c *call, _ []string) error {
		request.MerchantAccount = c.merchantAccount
		request.States, request.UntilStates = *states, *until
		request.PaymentStatuses, request.UntilPaymentStatuses = *statuses, *untilStatuses
		request.From = &gatewayv1.WatchPaymentStatusRequest_Start{Start: (*from.start)[0]}
		if from.resume != "" {
			request.From = &gatewayv1.WatchPaymentStatusRequest_ResumeToken{ResumeToken: from.resume}
		}
		var token string
		defer func() { c.resumable(token) }()
		for event, err := range client.New(c.conn, client.Options{}).WatchPayments(c.Context(), request) {
			if err != nil {
				return c.unlessStopped(err)
			}
			token = event.ResumeToken
			if err := line(c.printer, event.PaymentEvent, paymentEventColumns); err != nil {
				return err
			}
		}
		return nil
	})
	from = newWatchFlags(c, gatewayv1.WatchStart_WATCH_START_NOW)
	f := c.Flags()
	f.StringSliceVar(&request.PaymentIds, "payment", nil, "only payments with these `ids` of the gateway's")
	f.StringSliceVar(&request.SessionIds, "session", nil, "… or of these Klarna `sessions`")
	f.StringSliceVar(&request.OrderIds, "order", nil, "… or these Klarna `orders`")
	f.StringSliceVar(&request.MerchantReferences, "reference", nil, "… or these `references`")
	f.StringSliceVar(&request.PartnerAccountIds, "partner", nil, "… or for these partner `accounts`")
	states = enumFlag[gatewayv1.Payment_State](c, "state", "only events after which the payment is in one of these states", false)
	statuses = enumFlag[gatewayv1.PaymentStatus](c, "status", "only events after which the payment status is one of these", false)
	until = enumFlag[gatewayv1.Payment_State](c, "until", "end with an event after which a payment is in one of these states", false)
	untilStatuses = enumFlag[gatewayv1.PaymentStatus](c, "until-status", "end with an event after which the payment status is one of these", false)
	f.BoolVar(&request.UntilFinal, "until-final", false, "end with an event after which nothing more can come to the payment")
	return c
}

func eventsListCommand() *cobra.Command {
	var limit *int
	request := &gatewayv1.ListPaymentEventsRequest{}
	c, _ := remoteCommand("list", "list events of payments, oldest first", cobra.NoArgs, func(c *call, _ []string) error {
		payments := gatewayv1.NewPaymentServiceClient(c.conn)
		request.MerchantAccount = c.merchantAccount
		all, err := pages(*limit, func(token string, size int32) ([]*gatewayv1.PaymentEvent, string, error) {
			ctx, cancel := c.in()
			defer cancel()
			request.PageToken, request.PageSize = token, size
			res, err := payments.ListPaymentEvents(ctx, request)
			return res.GetEvents(), res.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		return list(c.printer, all, paymentEventColumns)
	})
	limit = limitFlag(c)
	f := c.Flags()
	f.StringVar(&request.PaymentId, "payment", "", "only of the payment with this `id` of the gateway's")
	f.StringVar(&request.SessionId, "session", "", "… or of this Klarna `session`")
	f.StringVar(&request.OrderId, "order", "", "… or this Klarna `order`")
	f.StringVar(&request.MerchantReference, "reference", "", "… or with this `reference`")
	return c
}
