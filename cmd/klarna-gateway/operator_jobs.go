package main

import (
	"fmt"

	"github.com/spf13/cobra"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

func jobsCommand() *cobra.Command {
	return group("jobs", "work that waits or is being done", jobsListCommand())
}

var jobColumns = []column[*gatewayv1.Job]{
	{"JOB", func(j *gatewayv1.Job) string { return fmt.Sprint(j.GetJobId()) }},
	{"KIND", (*gatewayv1.Job).GetKind},
	{"MERCHANT-ACCOUNT", (*gatewayv1.Job).GetMerchantAccount},
	{"KEY", (*gatewayv1.Job).GetKey},
	{"DUE", func(j *gatewayv1.Job) string { return instant(j.GetDueTime()) }},
	{"ATTEMPTS", func(j *gatewayv1.Job) string { return fmt.Sprint(j.GetAttempts()) }},
	{"LEASED-UNTIL", func(j *gatewayv1.Job) string { return instant(j.GetLeasedUntilTime()) }},
	{"GIVEN-UP", func(j *gatewayv1.Job) string { return instant(j.GetDeadlineTime()) }},
	{"LAST-ERROR", (*gatewayv1.Job).GetLastError},
}

func jobsListCommand() *cobra.Command {
	var limit int
	var kind string
	c, _ := remoteCommand("list", "list work that waits or is being done, by when it is due", cobra.NoArgs, func(c *call, _ []string) error {
		ctx, cancel := c.in()
		defer cancel()
		res, err := gatewayv1.NewOperatorServiceClient(c.conn).ListJobs(ctx, &gatewayv1.ListJobsRequest{
			MerchantAccount: c.merchantAccount, Kind: kind, Limit: int32(limit),
		})
		if err != nil {
			return err
		}
		if err := list(c.printer, res.GetJobs(), jobColumns); err != nil {
			return err
		}
		if res.GetMore() {
			c.PrintErrln("There are more: -limit, -kind or -merchant-account shows others.")
		}
		return nil
	})
	c.Flags().IntVar(&limit, "limit", 100, "largest `number` of results, at most 1000")
	c.Flags().StringVar(&kind, "kind", "", "only of this `kind`")
	return c
}
