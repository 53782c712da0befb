package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func attentionCommand() *cobra.Command {
	return group("attention", "what needs a person: list, look at, act", attentionListCommand(), attentionGetCommand(), attentionActCommand())
}

var attentionColumns = []column[*gatewayv1.AttentionItem]{
	{"ID", (*gatewayv1.AttentionItem).GetAttentionId},
	{"SINCE", func(i *gatewayv1.AttentionItem) string { return instant(i.GetSinceTime()) }},
	{"REASON", func(i *gatewayv1.AttentionItem) string { return word(i.GetReason()) }},
	{"MERCHANT-ACCOUNT", (*gatewayv1.AttentionItem).GetMerchantAccount},
	{"ABOUT", about},
	{"ACTIONS", func(i *gatewayv1.AttentionItem) string {
		var all []string
		for _, action := range i.GetAllowedActions() {
			all = append(all, word(action))
		}
		return strings.Join(all, ",")
	}},
	{"MESSAGE", (*gatewayv1.AttentionItem).GetMessage},
}

// about names what a matter is about by the id that it is found with at Klarna, if it has one.
func about(i *gatewayv1.AttentionItem) string {
	for _, id := range [][2]string{
		{"order ", i.GetOrderId()}, {"session ", i.GetSessionId()}, {"payment ", i.GetPaymentId()}, {"quarantined ", i.GetQuarantineId()},
		{"key ", i.GetSigningKeyId()}, {"account ", i.GetPartnerAccountId()},
	} {
		if id[1] != "" {
			return id[0] + id[1]
		}
	}
	return ""
}

var attentionDetails = append(attentionColumns[:len(attentionColumns):len(attentionColumns)],
	column[*gatewayv1.AttentionItem]{"STATE", func(i *gatewayv1.AttentionItem) string { return word(i.GetState()) }},
	column[*gatewayv1.AttentionItem]{"ENDED", func(i *gatewayv1.AttentionItem) string { return instant(i.GetEndTime()) }},
	column[*gatewayv1.AttentionItem]{"CAUSE", (*gatewayv1.AttentionItem).GetCauseEventId},
	column[*gatewayv1.AttentionItem]{"DONE", func(i *gatewayv1.AttentionItem) string {
		var all []string
		for _, a := range i.GetActions() {
			all = append(all, fmt.Sprintf("%s %s by %s: %s", instant(a.GetCreateTime()), word(a.GetAction()), orDefault(a.GetCaller(), "somebody"), strings.Join(texts(a.GetNote(), a.GetResult()), "; ")))
		}
		return strings.Join(all, "\n\t")
	}},
	column[*gatewayv1.AttentionItem]{"HISTORY", func(i *gatewayv1.AttentionItem) string {
		var all []string
		for _, e := range i.GetHistory() {
			all = append(all, fmt.Sprintf("%s %d %s %s", instant(e.GetRecordTime()), e.GetPosition(), strings.ToLower(e.GetKind()), strings.ToLower(e.GetState())))
		}
		return strings.Join(all, "\n\t")
	}},
)

// texts are those that are there.
func texts(all ...string) (some []string) {
	for _, text := range all {
		if text != "" {
			some = append(some, text)
		}
	}
	return some
}

func attentionListCommand() *cobra.Command {
	var limit *int
	var reasons *[]gatewayv1.AttentionReason
	var age time.Duration
	request := &gatewayv1.ListAttentionRequest{}
	c, _ := remoteCommand("list", "list what needs a person, longest open first", cobra.NoArgs, func(c *call, _ []string) error {
		request.MerchantAccount, request.Reasons = c.merchantAccount, *reasons
		if age > 0 {
			request.MinAge = durationpb.New(age)
		}
		operator := gatewayv1.NewOperatorServiceClient(c.conn)
		all, err := pages(c, *limit, func(token string, size int32) ([]*gatewayv1.AttentionItem, string, error) {
			ctx, cancel := c.in()
			defer cancel()
			request.PageToken, request.PageSize = token, size
			res, err := operator.ListAttention(ctx, request)
			return res.GetItems(), res.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		return list(c.printer, all, attentionColumns)
	})
	limit = limitFlag(c)
	reasons = enumFlag[gatewayv1.AttentionReason](c, "reason", "only for one of these reasons", false)
	c.Flags().StringVar(&request.PartnerAccountId, "partner", "", "only about this partner `account`")
	c.Flags().DurationVar(&age, "older", 0, "only what has been open for at least this long")
	c.Flags().BoolVar(&request.Ended, "ended", false, "what has ended instead, newest first")
	return c
}

func attentionGetCommand() *cobra.Command {
	c, _ := remoteCommand("get ID", "show one matter with its history", cobra.ExactArgs(1), func(c *call, args []string) error {
		ctx, cancel := c.in()
		defer cancel()
		res, err := gatewayv1.NewOperatorServiceClient(c.conn).GetAttention(ctx, &gatewayv1.GetAttentionRequest{
			MerchantAccount: c.merchantAccount, AttentionId: args[0],
		})
		if err != nil {
			return err
		}
		return one(c.printer, res.GetItem(), attentionDetails)
	})
	return c
}

func attentionActCommand() *cobra.Command {
	var note string
	actions := enums[gatewayv1.AttentionAction]{}
	c, _ := writeCommand("act ID "+strings.Join(actions.words(), "|"), "do something about a matter; who, what and why go into the log", cobra.ExactArgs(2), func(c *call, args []string, requestID string) error {
		var action []gatewayv1.AttentionAction
		if err := (enums[gatewayv1.AttentionAction]{&action, true}).Set(args[1]); err != nil {
			return err
		}
		ctx, cancel := c.in()
		defer cancel()
		res, err := gatewayv1.NewOperatorServiceClient(c.conn).ActOnAttention(ctx, &gatewayv1.ActOnAttentionRequest{
			MerchantAccount: c.merchantAccount, RequestId: requestID, AttentionId: args[0], Action: action[0], Note: note,
		})
		if err != nil {
			return err
		}
		return one(c.printer, res.GetItem(), attentionDetails)
	})
	c.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return actions.words(), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c.Flags().StringVar(&note, "note", "", "why, for whoever reads it later; no personal data")
	return c
}
