package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/query"
	"github.com/stagelog/stagelog/internal/lake/report"
)

type reportFlags struct {
	lake     lakeFlags
	by       []string
	where    []string
	from, to when
	zone     string
	top      int
	compare  bool
	csv      bool
	html     string
}

func newReport(e *env) *cobra.Command {
	flags := reportFlags{from: when{now: time.Now}, to: when{now: time.Now}}
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Report usage by customer, plan, route, status or day",
		Long: `Reports requests, errors, bytes and latencies from the delivered logs, by any of
  ` + dimensions() + `.

` + lakeHelp,
		Example: `  stagelog report                                          by customer, the last 30 days
  stagelog report --by plan,route --top 20 --where status=5xx
  stagelog report --by day --where 'customer=Acme*' --from 2026-11-01 --to 2026-12-01 --compare
  stagelog report --html usage.html
  stagelog report --bucket s3://acme-api-logs/logs/ --profile partner --csv`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.lake.run(e, func() error { return runReport(cmd.Context(), e, &flags) })
		},
	}
	flags.lake.bind(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&flags.by, "by", []string{"customer"}, "dimensions to group by, from the list above")
	f.StringArrayVar(&flags.where, "where", nil, whereHelp)
	f.Var(&flags.from, "from", "requests from this time on (default 30 days ago): "+whenHelp)
	f.Var(&flags.to, "to", "requests before this time")
	f.StringVar(&flags.zone, "zone", "UTC", "time zone of the days and of --from and --to, like Europe/Berlin")
	f.IntVar(&flags.top, "top", 50, "maximum number of rows; the remaining ones are summed in one row; 0 shows all")
	f.BoolVar(&flags.compare, "compare", false, "compare with the preceding period of the same length")
	f.BoolVar(&flags.csv, "csv", false, "print CSV")
	f.StringVar(&flags.html, "html", "", "write a page with charts to this file")
	cmd.MarkFlagsMutuallyExclusive("csv", "html")
	cmd.AddCommand(newInvoice(e), newCoverage(e), newReattribute(e))
	return cmd
}

func dimensions() string {
	var names []string
	for _, d := range query.Dimensions() {
		names = append(names, string(d))
	}
	return strings.Join(names, ", ")
}

// whereHelp describes --where, which takes query.ParseFilter's conditions.
const whereHelp = "only requests with dimension=value, or dimension!=value; * matches any text; may be repeated"

// recent is the default time range.
const recent = 30 * 24 * time.Hour

func (f *reportFlags) query() (q query.Query, err error) {
	if q.Zone, err = query.ParseZone(f.zone); err != nil {
		return q, usageError{fmt.Errorf("--%w", err)}
	}
	for _, name := range f.by {
		d, err := query.ParseDimension(name)
		if err != nil {
			return q, usageError{fmt.Errorf("--by: %w", err)}
		}
		q.By = append(q.By, d)
	}
	if f.top < 0 {
		return q, usageError{fmt.Errorf("--top %d: expected 0 for all rows, or how many", f.top)}
	}
	if q.Filter, err = query.ParseFilter(f.where...); err != nil {
		return q, usageError{fmt.Errorf("--where: %w", err)}
	}
	q.To, q.Top, q.Compare = f.to.in(q.Zone).or(time.Now().UTC()), f.top, f.compare
	q.From = f.from.in(q.Zone).or(q.To.Add(-recent))
	if !q.From.Before(q.To) {
		return q, usageError{fmt.Errorf("--from %s is not before --to %s", q.From.Format(time.RFC3339), q.To.Format(time.RFC3339))}
	}
	return q, nil
}

func runReport(ctx context.Context, e *env, flags *reportFlags) error {
	q, err := flags.query()
	if err != nil {
		return err
	}
	from := q.From
	if q.Compare {
		from = from.Add(-q.To.Sub(q.From))
	}
	var r *report.Report
	var page *report.Page
	err = flags.lake.read(ctx, e, from, q.To, func(l *lake.Lake, _ *logs) (err error) {
		if flags.html != "" {
			page, err = report.RunPage(ctx, l.DB(), q)
		} else {
			r, err = report.Run(ctx, l.DB(), q)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case page != nil:
		if err := writeTo(flags.html, page.WriteHTML); err != nil {
			return err
		}
		fmt.Fprintf(e.stderr, "wrote %s; open it in a browser\n", flags.html)
		return nil
	case e.json:
		return r.WriteJSON(e.stdout)
	case flags.csv:
		return r.WriteCSV(e.stdout)
	}
	return r.WriteTable(e.stdout, width(e.stdout))
}

// width returns the columns of a terminal, or 0, which means no limit, for any other writer.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	columns, _, _ := term.GetSize(int(f.Fd())) // 0 unless it is a terminal
	return columns
}

// writeTo writes a file that only its owner can read, as it may name customers.
func writeTo(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Close()
}
