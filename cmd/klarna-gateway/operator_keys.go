package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func keysCommand() *cobra.Command {
	return group("keys", "keys that Klarna signs its posts with: list, import, retire", keysListCommand(), keysImportCommand(), keysRetireCommand())
}

var signingKeyColumns = []column[*gatewayv1.SigningKey]{
	{"KEY", (*gatewayv1.SigningKey).GetSigningKeyId},
	{"SCHEME", func(k *gatewayv1.SigningKey) string { return word(k.GetScheme()) }},
	{"MERCHANT-ACCOUNT", (*gatewayv1.SigningKey).GetMerchantAccount},
	{"STATE", func(k *gatewayv1.SigningKey) string { return word(k.GetState()) }},
	{"ORIGIN", func(k *gatewayv1.SigningKey) string { return word(k.GetOrigin()) }},
	{"AT-KLARNA", func(k *gatewayv1.SigningKey) string { return word(k.GetAtKlarna()) }},
	{"LAST-USED", func(k *gatewayv1.SigningKey) string { return instant(k.GetLastUseTime()) }},
	{"RETIRES", func(k *gatewayv1.SigningKey) string { return instant(k.GetRetireTime()) }},
	{"OVERDUE", func(k *gatewayv1.SigningKey) string { return yes(k.GetUsedAfterRetirement()) }},
}

func keysListCommand() *cobra.Command {
	var ask bool
	c, _ := remoteCommand("list", "list signing keys, their use and their retirement", cobra.NoArgs, func(c *call, _ []string) error {
		ctx, cancel := c.in()
		defer cancel()
		res, err := gatewayv1.NewPartnerServiceClient(c.conn).ListSigningKeys(ctx, &gatewayv1.ListSigningKeysRequest{
			MerchantAccount: c.merchantAccount, AskKlarna: ask,
		})
		if err != nil {
			return err
		}
		return list(c.printer, res.GetSigningKeys(), signingKeyColumns)
	})
	c.Flags().BoolVar(&ask, "ask-klarna", false, "ask Klarna too which keys it has")
	return c
}

func keysImportCommand() *cobra.Command {
	var scheme *[]gatewayv1.SigningKey_Scheme
	var file string
	c, _ := writeCommand("import KEY", "take in a signing key that exists at Klarna, by its id or version", cobra.ExactArgs(1), func(c *call, args []string, requestID string) error {
		if file == "" {
			return errors.New("-secret-file: the file of the key's secret is required, or - for standard input")
		}
		value, err := secretInput(c.Command, file)
		if err != nil {
			return fmt.Errorf("-secret-file: %w", err)
		}
		ctx, cancel := c.in()
		defer cancel()
		res, err := gatewayv1.NewPartnerServiceClient(c.conn).ImportSigningKey(ctx, &gatewayv1.ImportSigningKeyRequest{
			MerchantAccount: c.merchantAccount, RequestId: requestID, SigningKeyId: args[0], Scheme: (*scheme)[0], Secret: value,
		})
		if err != nil {
			return err
		}
		return one(c.printer, res.GetSigningKey(), signingKeyColumns)
	})
	scheme = enumFlag(c, "scheme", "the way in which Klarna signs with it", true, gatewayv1.SigningKey_SCHEME_NETWORK)
	c.Flags().StringVar(&file, "secret-file", "", "`file` of the secret, whose last line end does not count; - for standard input")
	return c
}

func keysRetireCommand() *cobra.Command {
	var scheme *[]gatewayv1.SigningKey_Scheme
	var at string
	var in time.Duration
	var undo bool
	c, _ := writeCommand("retire KEY", "plan the end of a signing key; past it, use of the key needs attention", cobra.ExactArgs(1), func(c *call, args []string, requestID string) error {
		request := &gatewayv1.RetireSigningKeyRequest{
			MerchantAccount: c.merchantAccount, RequestId: requestID, SigningKeyId: args[0], Scheme: (*scheme)[0],
		}
		switch {
		case at != "":
			when, err := time.Parse(time.RFC3339, at)
			if err != nil {
				return fmt.Errorf("-at: %q is not a time such as 2026-03-31T00:00:00Z", at)
			}
			request.RetireTime = timestamppb.New(when)
		case !undo:
			request.RetireTime = timestamppb.New(time.Now().Add(in))
		}
		ctx, cancel := c.in()
		defer cancel()
		res, err := gatewayv1.NewPartnerServiceClient(c.conn).RetireSigningKey(ctx, request)
		if err != nil {
			return err
		}
		return one(c.printer, res.GetSigningKey(), signingKeyColumns)
	})
	scheme = enumFlag(c, "scheme", "the way in which Klarna signs with it", true, gatewayv1.SigningKey_SCHEME_NETWORK)
	c.Flags().StringVar(&at, "at", "", "`time` when it is to be out of use, such as 2026-03-31T00:00:00Z")
	c.Flags().DurationVar(&in, "in", 0, "… or how long from now")
	c.Flags().BoolVar(&undo, "undo", false, "take the plan back")
	c.MarkFlagsMutuallyExclusive("at", "in", "undo")
	c.MarkFlagsOneRequired("at", "in", "undo")
	return c
}
