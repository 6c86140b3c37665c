package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/lake/coverage"
	"github.com/stagelog/stagelog/internal/lake/table"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/usageplan"
)

type coverageFlags struct {
	lake     lakeFlags
	from, to when
	all, csv bool
}

func newCoverage(e *env) *cobra.Command {
	flags := coverageFlags{from: when{now: time.Now}, to: when{now: time.Now}}
	cmd := &cobra.Command{
		Use:   "coverage",
		Short: "The logs beside what AWS counted itself: missing, double, of no customer",
		Long: `Compares the requests in the logs with API Gateway's own counts for each API key and day
(GetUsage), so that an invoice can say how much of it is backed. Needs the credentials of the
account that has the API, with apigateway:GET on its usage plans.

What CloudWatch counted of whole stages (the metric Count of AWS/ApiGateway) is set beside them
as well, for each API, stage and day: it has the requests without a key too. The stages are those
in the logs and in stagelog.yaml. It needs cloudwatch:GetMetricData, and apigateway:GET on
/restapis for the names of APIs; without them the report says so and goes on. API Gateway does
not log every request (no 413, and not every 429), a request at midnight may be counted on the
next day, and CloudWatch forgets after 15 months.

In CSV, rows of keys come first; rows of stages have no customer and key_id, but api, api_id,
stage and young, which is true while a day is incomplete. Adding up both counts requests twice.
In JSON, what is said of stages is in "stages".

` + lakeHelp,
		Example: `  stagelog report coverage --from 2026-11-01 --to 2026-12-01
  stagelog report coverage --all --csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCoverage(cmd.Context(), e, &flags) },
	}
	flags.lake.bind(cmd)
	f := cmd.Flags()
	f.Var(&flags.from, "from", "the first day (default 30 days ago): "+whenHelp)
	f.Var(&flags.to, "to", "the day after the last (default today)")
	f.BoolVar(&flags.all, "all", false, "also days on which nothing is missing")
	f.BoolVar(&flags.csv, "csv", false, "print CSV")
	return cmd
}

func runCoverage(ctx context.Context, e *env, flags *coverageFlags) error {
	const day = 24 * time.Hour
	from, to := flags.from.Time, flags.to.Time
	if to.IsZero() {
		to = time.Now().UTC().Truncate(day)
	}
	if from.IsZero() {
		from = to.Add(-recent)
	}
	if from, to = from.Truncate(day), to.Truncate(day); !from.Before(to) {
		return usageError{fmt.Errorf("--from %s is not a day before --to %s", from.Format(time.DateOnly), to.Format(time.DateOnly))}
	}
	at, err := flags.lake.find(ctx, e)
	if err != nil {
		return err
	}
	l, err := flags.lake.open(ctx, e, from, to)
	if err != nil {
		return err
	}
	defer l.Close()
	clients, err := flags.lake.clients(ctx, e)
	if err != nil {
		return err
	}
	r, err := coverage.Compare(ctx, l.DB(), gatewayCounts{clients.APIGateway}, from, to.Add(-day))
	if err != nil {
		return provision.Explain(err)
	}
	var asked []record.StageRef
	if at.pipeline != nil {
		for _, s := range at.pipeline.Stages {
			asked = append(asked, record.StageRef{API: s.API, Stage: s.Stage})
		}
	}
	counts := stageCounts{clients.APIGateway, clients.CloudWatch}
	if r.Stages, err = coverage.CompareStages(ctx, l.DB(), counts, asked, from, to.Add(-day), time.Now()); err != nil {
		return err
	}
	switch {
	case e.json:
		return r.WriteJSON(e.stdout)
	case flags.csv:
		if r.Stages.Without != nil {
			fmt.Fprintf(e.stderr, "whole stages are not compared: %s\n", table.Printable(r.Stages.Without.Error()))
		}
		return r.WriteCSV(e.stdout)
	}
	return r.WriteTable(e.stdout, width(e.stdout), !flags.all)
}

// gatewayCounts is what API Gateway counted.
type gatewayCounts struct{ gateway *apigateway.Client }

// usageLimit is the most that GetUsage and GetUsagePlans answer at once.
const usageLimit = 500

// Counts implements coverage.Counter.
func (g gatewayCounts) Counts(ctx context.Context, first, last time.Time, fn func(coverage.Count) error) error {
	plans := apigateway.NewGetUsagePlansPaginator(g.gateway, &apigateway.GetUsagePlansInput{Limit: aws.Int32(usageLimit)})
	for plans.HasMorePages() {
		page, err := plans.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list the usage plans: %w", err)
		}
		for _, plan := range page.Items {
			if err := g.plan(ctx, aws.ToString(plan.Id), first, last, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g gatewayCounts) plan(ctx context.Context, id string, first, last time.Time, fn func(coverage.Count) error) error {
	in := &apigateway.GetUsageInput{
		UsagePlanId: &id, StartDate: aws.String(first.Format(time.DateOnly)), EndDate: aws.String(last.Format(time.DateOnly)), Limit: aws.Int32(usageLimit),
	}
	for {
		page, err := g.gateway.GetUsage(ctx, in)
		if err != nil {
			return fmt.Errorf("ask for the usage of plan %s: %w", id, err)
		}
		for key, days := range page.Items {
			for i, used := range days { // used and remaining, a day each
				if len(used) == 0 {
					continue
				}
				if err := fn(coverage.Count{PlanID: id, KeyID: key, Day: first.AddDate(0, 0, i), Calls: used[0]}); err != nil {
					return err
				}
			}
		}
		if aws.ToString(page.Position) == "" || aws.ToString(page.Position) == aws.ToString(in.Position) {
			return nil
		}
		in.Position = page.Position
	}
}

func newReattribute(e *env) *cobra.Command {
	var flags lakeFlags
	cmd := &cobra.Command{
		Use:   "reattribute",
		Short: "Give requests of no customer the one that their key belongs to",
		Long: `Requests that were delivered while their key was unknown have no customer. This gives them, in the
database that reports read, the customer and usage plan that other requests of the same key had at
their time, or else those that API Gateway, or what the pipeline's functions remember, knows for the
key. The objects stay as they are: for them there is
` + "`stagelog replay`" + `.

` + lakeHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runReattribute(cmd.Context(), e, &flags) },
	}
	flags.bind(cmd)
	return cmd
}

func runReattribute(ctx context.Context, e *env, flags *lakeFlags) error {
	at, err := flags.find(ctx, e)
	if err != nil {
		return err
	}
	clients, err := flags.clients(ctx, e)
	if err != nil {
		return err
	}
	l, err := flags.open(ctx, e, time.Now().Add(-recent), time.Time{})
	if err != nil {
		return err
	}
	defer l.Close()
	known, err := customers(ctx, clients, at.bucket)
	if err != nil {
		return provision.Explain(err)
	}
	mended, err := coverage.Reattribute(ctx, l.DB(), coverage.LakeHistory{DB: l.DB(), Else: keyHistory{known}})
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdout, mended)
	}
	var rows, left int64
	for _, m := range mended {
		rows, left = rows+m.Attributed, left+m.Left
	}
	fmt.Fprintf(e.stdout, "%s of %s got a customer; %s are of keys that nobody knows.\n",
		table.Plural(rows, "request"), table.Plural(int64(len(mended)), "key"), table.Thousands(left))
	return nil
}

// keyHistory is what is known of keys now, for those that no request in the lake is attributed by.
type keyHistory struct{ known *usageplan.Snapshot }

// Periods implements coverage.History.
func (h keyHistory) Periods(_ context.Context, keyID, apiID, stage string) ([]coverage.Period, error) {
	plan, planID, customer, known := h.known.Lookup([]byte(keyID), []byte(apiID), []byte(stage))
	if !known {
		return nil, nil
	}
	return []coverage.Period{{Customer: customer, Plan: plan, PlanID: planID}}, nil
}
