package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

var logEventColumns = []column[*gatewayv1.LogEvent]{
	{"ID", func(e *gatewayv1.LogEvent) string { return e.GetSummary().GetEventId() }},
	{"POSITION", func(e *gatewayv1.LogEvent) string { return fmt.Sprint(e.GetSummary().GetPosition()) }},
	{"STREAM", (*gatewayv1.LogEvent).GetStream},
	{"EVENT", func(e *gatewayv1.LogEvent) string {
		return strings.ToLower(e.GetSummary().GetKind()) + late(e.GetSummary().GetSuperseded())
	}},
	{"STATE", func(e *gatewayv1.LogEvent) string { return strings.ToLower(e.GetSummary().GetState()) }},
	{"BEFORE", func(e *gatewayv1.LogEvent) string { return strings.ToLower(e.GetPreviousState()) }},
	{"MERCHANT-ACCOUNT", (*gatewayv1.LogEvent).GetMerchantAccount},
	{"SUBJECT", (*gatewayv1.LogEvent).GetSubject},
	{"CAUSE", func(e *gatewayv1.LogEvent) string { return word(e.GetSummary().GetCause()) }},
	{"OCCURRED", func(e *gatewayv1.LogEvent) string { return instant(e.GetSummary().GetOccurTime()) }},
	{"RECORDED", func(e *gatewayv1.LogEvent) string { return instant(e.GetSummary().GetRecordTime()) }},
	{"KEYS", func(e *gatewayv1.LogEvent) string {
		var all []string
		for _, k := range e.GetKeys() {
			all = append(all, k.GetKind()+" "+k.GetValue())
		}
		return strings.Join(all, "\n\t")
	}},
	{"TRACE", (*gatewayv1.LogEvent).GetTraceParent},
}

func eventsGetCommand() *cobra.Command {
	var raw bool
	c, _ := remoteCommand("get EVENT", "read one event of the log, by its id or its position", cobra.ExactArgs(1), func(c *call, args []string) error {
		request := &gatewayv1.GetEventRequest{MerchantAccount: c.merchantAccount, EventId: args[0], IncludeRaw: raw}
		if position, err := strconv.ParseInt(args[0], 10, 64); err == nil {
			request.EventId, request.Position = "", position
		}
		ctx, cancel := c.in()
		defer cancel()
		res, err := gatewayv1.NewOperatorServiceClient(c.conn).GetEvent(ctx, request)
		if err != nil {
			return err
		}
		if raw && !c.json { // as it came: for a file, or for verify-signature
			_, err := c.out.Write(res.GetEvent().GetRaw())
			return err
		}
		return one(c.printer, res.GetEvent(), logEventColumns)
	})
	c.Flags().BoolVar(&raw, "raw", false, "Klarna's bytes as they came instead, which may hold personal data: needs the permission for it")
	return c
}

var quarantinedColumns = []column[*gatewayv1.QuarantinedNotification]{
	{"ID", (*gatewayv1.QuarantinedNotification).GetQuarantineId},
	{"RECEIVED", func(q *gatewayv1.QuarantinedNotification) string { return instant(q.GetReceiveTime()) }},
	{"MERCHANT-ACCOUNT", (*gatewayv1.QuarantinedNotification).GetMerchantAccount},
	{"EVENT", (*gatewayv1.QuarantinedNotification).GetEventId},
	{"BYTES", func(q *gatewayv1.QuarantinedNotification) string { return fmt.Sprint(q.GetSize()) }},
	{"ATTENTION", (*gatewayv1.QuarantinedNotification).GetAttentionId},
	{"REASON", (*gatewayv1.QuarantinedNotification).GetReason},
}

func eventsQuarantinedCommand() *cobra.Command {
	var limit *int
	c, _ := remoteCommand("quarantined", "list well-signed posts of Klarna's that could not be applied", cobra.NoArgs, func(c *call, _ []string) error {
		operator := gatewayv1.NewOperatorServiceClient(c.conn)
		all, err := pages(c, *limit, func(token string, size int32) ([]*gatewayv1.QuarantinedNotification, string, error) {
			ctx, cancel := c.in()
			defer cancel()
			res, err := operator.ListQuarantined(ctx, &gatewayv1.ListQuarantinedRequest{MerchantAccount: c.merchantAccount, PageSize: size, PageToken: token})
			return res.GetQuarantined(), res.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		return list(c.printer, all, quarantinedColumns)
	})
	limit = limitFlag(c)
	return c
}

func eventsReplayCommand() *cobra.Command {
	var note string
	var ids []string
	var from, until int64
	c, _ := writeCommand("replay [QUARANTINED]", "take posts of Klarna's in again, as if they had just arrived", cobra.MaximumNArgs(1), func(c *call, args []string, requestID string) error {
		switch stored := len(ids) > 0 || from > 0; {
		case len(args) == 1 && !stored && until == 0:
			return c.redrive(args[0], requestID, note)
		case len(args) == 0 && stored:
			return c.retake(&gatewayv1.RetakeEventsRequest{
				MerchantAccount: c.merchantAccount, RequestId: requestID, EventIds: ids, FromPosition: from, UntilPosition: until, Note: note,
			})
		}
		return errors.New("name a quarantined post (see events quarantined), or stored ones by -event or -from")
	})
	c.Long += `
QUARANTINED is the id of a post that could not be applied; once its cause is mended, it takes effect. Stored posts are named by
-event or by -from and -until: the door takes their bytes in once more. What is on record is known as that, so nothing is done
twice, and the answer proves it for each; what an older version could not read, or read as something else, is told.`
	c.Example = `  klarna-gateway events replay 17 -note 'the environment was wrong'
  klarna-gateway events replay -event payment-status:shop:0f1e2d3c-4b5a-4968-8776-554433221100
  klarna-gateway events replay -from 4711 -until 4790`
	f := c.Flags()
	f.StringVar(&note, "note", "", "why, for whoever reads it later; no personal data")
	f.StringSliceVar(&ids, "event", nil, "`ids` of events whose posts are taken in again")
	f.Int64Var(&from, "from", 0, "… or the first `position` of a part of the log")
	f.Int64Var(&until, "until", 0, "and its last `position`; the newest if it is left out")
	c.MarkFlagsMutuallyExclusive("event", "from")
	return c
}

// redrive acts on the matter that a quarantined post has raised.
func (c *call) redrive(quarantined, requestID, note string) error {
	operator := gatewayv1.NewOperatorServiceClient(c.conn)
	ctx, cancel := c.in()
	defer cancel()
	row, err := operator.GetQuarantined(ctx, &gatewayv1.GetQuarantinedRequest{MerchantAccount: c.merchantAccount, QuarantineId: quarantined})
	if err != nil {
		return err
	}
	matter := row.GetQuarantined().GetAttentionId()
	if matter == "" {
		return fmt.Errorf("%s was quarantined by a version before there were matters of attention, and has none to act on", quarantined)
	}
	res, err := operator.ActOnAttention(ctx, &gatewayv1.ActOnAttentionRequest{
		MerchantAccount: c.merchantAccount, RequestId: requestID, AttentionId: matter,
		Action: gatewayv1.AttentionAction_ATTENTION_ACTION_REDRIVE, Note: note,
	})
	if err != nil {
		return err
	}
	return one(c.printer, res.GetItem(), attentionDetails)
}

var retakenColumns = []column[*gatewayv1.RetakenEvent]{
	{"POSITION", func(e *gatewayv1.RetakenEvent) string { return fmt.Sprint(e.GetPosition()) }},
	{"OUTCOME", func(e *gatewayv1.RetakenEvent) string { return word(e.GetOutcome()) }},
	{"MESSAGE", (*gatewayv1.RetakenEvent).GetMessage},
	{"ID", (*gatewayv1.RetakenEvent).GetEventId},
}

// retake has stored posts taken in again, all of a part of the log.
func (c *call) retake(request *gatewayv1.RetakeEventsRequest) error {
	operator := gatewayv1.NewOperatorServiceClient(c.conn)
	var all []*gatewayv1.RetakenEvent
	for more := true; more; {
		ctx, cancel := c.in()
		res, err := operator.RetakeEvents(ctx, request)
		cancel()
		if err != nil {
			return err
		}
		all = append(all, res.GetEvents()...)
		request.FromPosition = res.GetNextPosition()
		more = request.FromPosition > 0
	}
	return list(c.printer, all, retakenColumns)
}

var verdictColumns = []column[*gatewayv1.VerifySignatureResponse]{
	{"VALID", func(v *gatewayv1.VerifySignatureResponse) string { return orDefault(yes(v.GetValid()), "no") }},
	{"SCHEME", func(v *gatewayv1.VerifySignatureResponse) string { return word(v.GetScheme()) }},
	{"KEY", (*gatewayv1.VerifySignatureResponse).GetSigningKeyId},
	{"MERCHANT-ACCOUNT", (*gatewayv1.VerifySignatureResponse).GetMerchantAccount},
	{"FLAW", func(v *gatewayv1.VerifySignatureResponse) string { return word(v.GetFlaw()) }},
	{"MESSAGE", (*gatewayv1.VerifySignatureResponse).GetMessage},
	{"KEY-RETIRES", func(v *gatewayv1.VerifySignatureResponse) string { return instant(v.GetRetireTime()) }},
}

func eventsVerifyCommand() *cobra.Command {
	var headers []string
	c, _ := remoteCommand("verify-signature BODY-FILE", "tell whether the webhooks' door takes a post for Klarna's, by which key, or why not", cobra.ExactArgs(1), func(c *call, args []string) error {
		body, err := bodyInput(c.Command, args[0])
		if err != nil {
			return err
		}
		request := &gatewayv1.VerifySignatureRequest{MerchantAccount: c.merchantAccount, Body: body, Headers: map[string]string{}}
		for _, header := range headers {
			name, value, ok := strings.Cut(header, ":")
			if !ok {
				return fmt.Errorf("-header: %q is not NAME: VALUE", header)
			}
			request.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
		ctx, cancel := c.in()
		defer cancel()
		res, err := gatewayv1.NewOperatorServiceClient(c.conn).VerifySignature(ctx, request)
		if err != nil {
			return err
		}
		if err := one(c.printer, res, verdictColumns); err != nil || res.GetValid() {
			return err
		}
		return exitCode{errors.New("the signature is not taken"), 2}
	})
	c.Long = strings.Replace(c.Long, ".\n", ". The file holds the bytes as they came, - is standard input.\nEnds with code 2 if the signature is not taken.\n", 1)
	c.Flags().StringArrayVarP(&headers, "header", "H", nil, "a `header` of the post, NAME: VALUE; all that begin with Klarna- or end in Signature")
	return c
}

// bodyInput reads a file, or standard input, as it is.
func bodyInput(c *cobra.Command, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(c.InOrStdin(), 2<<20))
	}
	return os.ReadFile(path)
}
