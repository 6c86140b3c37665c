package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/coverage"
	"github.com/stagelog/stagelog/internal/lake/lend"
	"github.com/stagelog/stagelog/internal/lake/table"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
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
		Short: "Reconcile logs with AWS usage counts",
		Long: `Compares the requests in the logs with API Gateway's own counts for each API key and day (GetUsage), to
find missing, duplicate and unattributed requests. Needs credentials of the API's account with
apigateway:GET on its usage plans.

Also compares the requests of each API, stage and day, with and without a key, with the CloudWatch
metric Count of AWS/ApiGateway. It covers the stages in the logs and in stagelog.yaml. This needs
cloudwatch:GetMetricData, and apigateway:GET on /restapis for the names of APIs; without these
permissions the report omits the stages and gives the reason. API Gateway does not log every request
(no 413, and not every 429), a request at midnight may be counted on the next day, and CloudWatch keeps
metrics for 15 months.

In CSV, the rows for keys precede those for stages, which have api, api_id, stage and young instead of
customer and key_id; young is true while a day is incomplete. Do not add up both: that counts requests
twice. In JSON, the stages are in "stages".

` + lakeHelp,
		Example: `  stagelog report coverage --from 2026-11-01 --to 2026-12-01
  stagelog report coverage --all --csv`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.lake.run(e, func() error { return runCoverage(cmd.Context(), e, &flags) })
		},
	}
	flags.lake.bind(cmd)
	f := cmd.Flags()
	f.Var(&flags.from, "from", "first day (default 30 days ago): "+whenHelp)
	f.Var(&flags.to, "to", "day after the last day (default today)")
	f.BoolVar(&flags.all, "all", false, "include days without differences")
	f.BoolVar(&flags.csv, "csv", false, "print CSV")
	return cmd
}

func runCoverage(ctx context.Context, e *env, flags *coverageFlags) error {
	const day = 24 * time.Hour
	to := flags.to.or(time.Now().UTC()).Truncate(day)
	from := flags.from.or(to.Add(-recent)).Truncate(day)
	if !from.Before(to) {
		return usageError{fmt.Errorf("--from %s is not a day before --to %s", from.Format(time.DateOnly), to.Format(time.DateOnly))}
	}
	var r *coverage.Report
	err := flags.lake.read(ctx, e, from, to, func(l *lake.Lake, at *logs) (err error) {
		if r, err = coverage.Compare(ctx, l.DB(), coverage.GetUsage{Gateway: at.clients.APIGateway}, from, to.Add(-day)); err != nil {
			return provision.Explain(err)
		}
		var asked []record.StageRef
		if at.pipeline != nil {
			asked = at.pipeline.Stages
		}
		counts := coverage.CloudWatch{Gateway: at.clients.APIGateway, Metric: at.clients.CloudWatch, Explain: provision.Explain}
		r.Stages, err = coverage.CompareStages(ctx, l.DB(), counts, coverage.StagesOf{Asked: asked, First: from, Last: to.Add(-day), Now: time.Now()})
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case e.json:
		return r.WriteJSON(e.stdout)
	case flags.csv:
		if r.Stages.Without != nil {
			fmt.Fprintf(e.stderr, "stages were not compared with CloudWatch: %s\n", table.Printable(r.Stages.Without.Error()))
		}
		return r.WriteCSV(e.stdout)
	}
	return r.WriteTable(e.stdout, width(e.stdout), !flags.all)
}

func newReattribute(e *env) *cobra.Command {
	var flags lakeFlags
	cmd := &cobra.Command{
		Use:   "reattribute",
		Short: "Attribute imported requests without a customer",
		Long: `Requests that were delivered while their key was unknown have no customer. reattribute sets their customer
and usage plan in the database that reports read. It takes them from other requests with the same key at
that time, or else from API Gateway or the snapshot of the pipeline's functions. It does not change the
objects; ` + "`stagelog replay`" + ` does that.

` + lakeHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.run(e, func() error { return runReattribute(cmd.Context(), e, &flags) })
		},
	}
	flags.bind(cmd)
	return cmd
}

func runReattribute(ctx context.Context, e *env, flags *lakeFlags) error {
	at, err := flags.find(ctx, e)
	if err != nil {
		return err
	}
	at.From = time.Now().Add(-recent)
	lent, err := flags.locate(ctx, at)
	if err != nil {
		return err
	}
	var reattributed []coverage.Reattribution
	if lent {
		reply, err := flags.borrow(ctx, e, at, lend.Request{Reattribute: true})
		if err != nil {
			return err
		}
		defer reply.Close()
		reattributed = reply.Reattributed
	} else {
		l, err := flags.open(ctx, e, at)
		if err != nil {
			return err
		}
		defer l.Close()
		known, err := customers(ctx, at)
		if err != nil {
			return err
		}
		if reattributed, err = coverage.Reattribute(ctx, l.DB(), coverage.LakeHistory{DB: l.DB(), Else: known}); err != nil {
			return err
		}
	}
	if e.json {
		return printJSON(e.stdout, reattributed)
	}
	var rows, left int64
	for _, m := range reattributed {
		rows, left = rows+m.Attributed, left+m.Left
	}
	fmt.Fprintf(e.stdout, "Attributed %s of %s; %s with an unknown key remain.\n",
		table.Plural(rows, "request"), table.Plural(int64(len(reattributed)), "key"), table.Thousands(left))
	return nil
}

// customers returns what API Gateway and the snapshot of the pipeline's functions know of keys.
func customers(ctx context.Context, at *logs) (coverage.History, error) {
	known, err := provision.Customers(ctx, at.clients, at.bucket.Bucket(), desired.SnapshotKey(at.pipeline))
	if err != nil {
		return nil, provision.Explain(err)
	}
	return coverage.Known{Index: known}, nil
}
