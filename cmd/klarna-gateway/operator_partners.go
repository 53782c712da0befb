package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"payments.internal/klarna-gateway/client"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func partnersCommand() *cobra.Command {
	return group("partners", "partner accounts: list, look at, watch", partnersListCommand(), partnersGetCommand(), partnersWatchCommand())
}

var partnerColumns = []column[*gatewayv1.Partner]{
	{"ACCOUNT", (*gatewayv1.Partner).GetPartnerAccountId},
	{"REFERENCE", (*gatewayv1.Partner).GetPartnerAccountReference},
	{"STATE", func(p *gatewayv1.Partner) string { return orDefault(word(p.GetState()), p.GetStateText()) }},
	{"TRANSACTS", func(p *gatewayv1.Partner) string { return yes(p.GetCanTransact()) }},
	{"MANAGED", func(p *gatewayv1.Partner) string { return yes(p.GetCanManage()) }},
	{"MERCHANT-ACCOUNT", (*gatewayv1.Partner).GetMerchantAccount},
	{"UPDATED", func(p *gatewayv1.Partner) string { return instant(p.GetUpdateTime()) }},
}

// partnerDetails are what a partner shows alone. Contacts are personal data: -o json has them.
var partnerDetails = append(partnerColumns[:len(partnerColumns):len(partnerColumns)],
	column[*gatewayv1.Partner]{"CREATED", func(p *gatewayv1.Partner) string { return instant(p.GetCreateTime()) }},
	column[*gatewayv1.Partner]{"PRODUCTS", func(p *gatewayv1.Partner) string {
		var all []string
		for _, product := range p.GetProducts() {
			all = append(all, product.GetType()+" "+word(product.GetState()))
		}
		return strings.Join(all, ", ")
	}},
	column[*gatewayv1.Partner]{"WARNINGS", func(p *gatewayv1.Partner) string {
		var all []string
		for _, warning := range p.GetWarnings() {
			all = append(all, strings.Join(append([]string{warning.GetType()}, warning.GetIncompleteFields()...), " "))
		}
		return strings.Join(all, ", ")
	}},
)

func partnersListCommand() *cobra.Command {
	var limit *int
	var states *[]gatewayv1.Partner_State
	var reference string
	c, _ := remoteCommand("list", "list partner accounts, newest change first", cobra.NoArgs, func(c *call, _ []string) error {
		partners := gatewayv1.NewPartnerServiceClient(c.conn)
		all, err := pages(c, *limit, func(token string, size int32) ([]*gatewayv1.Partner, string, error) {
			ctx, cancel := c.in()
			defer cancel()
			res, err := partners.ListPartners(ctx, &gatewayv1.ListPartnersRequest{
				MerchantAccount: c.merchantAccount, PageSize: size, PageToken: token, States: *states, PartnerAccountReference: reference,
			})
			return res.GetPartners(), res.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		return list(c.printer, all, partnerColumns)
	})
	limit = limitFlag(c)
	states = enumFlag[gatewayv1.Partner_State](c, "state", "only accounts in one of these states", false)
	c.Flags().StringVar(&reference, "reference", "", "only the account with this `reference`")
	return c
}

func partnersGetCommand() *cobra.Command {
	c, _ := remoteCommand("get ACCOUNT", "read a partner account, by Klarna's id", cobra.ExactArgs(1), func(c *call, args []string) error {
		ctx, cancel := c.in()
		defer cancel()
		res, err := gatewayv1.NewPartnerServiceClient(c.conn).GetPartner(ctx, &gatewayv1.GetPartnerRequest{
			MerchantAccount: c.merchantAccount, PartnerAccountId: args[0],
		})
		if err != nil {
			return err
		}
		return one(c.printer, res.GetPartner(), partnerDetails)
	})
	return c
}

var accountEventColumns = []column[*gatewayv1.AccountEvent]{
	{"RECORDED", func(e *gatewayv1.AccountEvent) string { return instant(e.GetRecordTime()) }},
	{"POSITION", func(e *gatewayv1.AccountEvent) string { return fmt.Sprint(e.GetPosition()) }},
	{"EVENT", func(e *gatewayv1.AccountEvent) string { return word(e.GetKind()) + late(e.GetSuperseded()) }},
	{"STATE", func(e *gatewayv1.AccountEvent) string { return word(e.GetPartner().GetState()) }},
	{"ACCOUNT", func(e *gatewayv1.AccountEvent) string { return e.GetPartner().GetPartnerAccountId() }},
	{"REFERENCE", func(e *gatewayv1.AccountEvent) string { return e.GetPartner().GetPartnerAccountReference() }},
	{"CAUSE", func(e *gatewayv1.AccountEvent) string { return word(e.GetCause()) }},
	{"ID", (*gatewayv1.AccountEvent).GetEventId},
}

// late marks what came too late to move a state.
func late(superseded bool) string {
	if superseded {
		return " (superseded)"
	}
	return ""
}

// watchFlags say where a watch begins.
type watchFlags struct {
	start  *[]gatewayv1.WatchStart
	resume string
}

func newWatchFlags(c *cobra.Command, start gatewayv1.WatchStart) *watchFlags {
	w := &watchFlags{start: enumFlag(c, "start", "where to begin", true, start)}
	c.Flags().StringVar(&w.resume, "resume", "", "`token` to go on from instead, with everything else as it was")
	return w
}

// resumable says how to go on from the last event told, once the watch is over.
func (c *call) resumable(token string) {
	if token != "" && !c.json {
		c.PrintErrf("To go on from here: -resume %s\n", token)
	}
}

func partnersWatchCommand() *cobra.Command {
	var from *watchFlags
	var accounts, references []string
	var states, until *[]gatewayv1.Partner_State
	c, _ := remoteCommand("watch", "follow what becomes of partner accounts, through restarts and broken connections", cobra.NoArgs, func(c *call, _ []string) error {
		return c.watchAccounts(&gatewayv1.WatchAccountStateRequest{
			MerchantAccount: c.merchantAccount, PartnerAccountIds: accounts, PartnerAccountReferences: references, States: *states, UntilStates: *until,
		}, from)
	})
	from = newWatchFlags(c, gatewayv1.WatchStart_WATCH_START_SNAPSHOT)
	c.Flags().StringSliceVar(&accounts, "account", nil, "only these `accounts`, by Klarna's id")
	c.Flags().StringSliceVar(&references, "reference", nil, "… or these `references`")
	states = enumFlag[gatewayv1.Partner_State](c, "state", "only events after which the account is in one of these states", false)
	until = enumFlag[gatewayv1.Partner_State](c, "until", "end with an event after which an account is in one of these states", false)
	return c
}

// watchAccounts follows partner accounts by a watch.
func (c *call) watchAccounts(request *gatewayv1.WatchAccountStateRequest, from *watchFlags) error {
	request.From = &gatewayv1.WatchAccountStateRequest_Start{Start: (*from.start)[0]}
	if from.resume != "" {
		request.From = &gatewayv1.WatchAccountStateRequest_ResumeToken{ResumeToken: from.resume}
	}
	var token string
	defer func() { c.resumable(token) }()
	for event, err := range client.New(c.conn, client.Options{}).WatchAccounts(c.Context(), request) {
		if err != nil {
			return c.unlessStopped(err)
		}
		token = event.ResumeToken
		if err := line(c.printer, event.AccountEvent, accountEventColumns); err != nil {
			return err
		}
	}
	return nil
}

// unlessStopped is the error of a watch that did not end because somebody stopped the command.
func (c *call) unlessStopped(err error) error {
	if c.Context().Err() != nil {
		return nil
	}
	return err
}
