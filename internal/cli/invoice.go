package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/invoice"
	"github.com/stagelog/stagelog/internal/lake/query"
	"github.com/stagelog/stagelog/internal/lake/table"
)

type invoiceFlags struct {
	lake     lakeFlags
	month    string
	prices   string
	zone     string
	lateDays int
	csv      bool
	out      string
	again    string
	meter    string
}

func newInvoice(e *env) *cobra.Command {
	var flags invoiceFlags
	cmd := &cobra.Command{
		Use:   "invoice --month 2026-11 --prices prices.yaml",
		Short: "Compute an invoice for each API key and month",
		Long: `Counts each request of the month once, by API key id and usage plan, and applies the prices in a file.
Objects that are delivered up to --late-days after the month count; later ones are listed. An object was
delivered when it was last modified, or, if it was copied days later, at the time in the name that Firehose
gave it. Amounts are exact: each line is rounded once, and the total is the sum of the lines.

--out writes the invoice as CSV and JSON, meter events for Stripe and OpenMeter, and a manifest of its
objects and requests. --again recomputes the invoice from the manifest, byte for byte, or lists the
differences.

` + lakeHelp,
		Example: `  stagelog report invoice --month 2026-11 --prices prices.yaml
  stagelog report invoice --month 2026-11 --prices prices.yaml --out 2026-11/
  stagelog report invoice --again 2026-11/manifest.json --prices prices.yaml --csv`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.lake.run(e, func() error { return runInvoice(cmd.Context(), e, &flags) })
		},
	}
	flags.lake.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.month, "month", "", "month to invoice, like 2026-11")
	f.StringVar(&flags.prices, "prices", "", "price file (YAML)")
	f.StringVar(&flags.zone, "zone", "UTC", "time zone of the month, like Europe/Berlin")
	f.IntVar(&flags.lateDays, "late-days", 3, "include objects delivered up to this many days after the month")
	f.BoolVar(&flags.csv, "csv", false, "print CSV")
	f.StringVar(&flags.out, "out", "", "directory for the invoice, its manifest and meter events")
	f.StringVar(&flags.again, "again", "", "recompute the invoice of this manifest")
	f.StringVar(&flags.meter, "meter", "api_requests", "event name in the meter events")
	cmd.MarkFlagsMutuallyExclusive("month", "again")
	cmd.MarkFlagsOneRequired("month", "again")
	return cmd
}

func runInvoice(ctx context.Context, e *env, flags *invoiceFlags) error {
	if flags.prices == "" {
		return usageError{errors.New("--prices is required: the price file")}
	}
	prices, err := invoice.LoadPrices(flags.prices)
	if err != nil {
		return err
	}
	zone, err := query.ParseZone(flags.zone)
	if err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	var bill *invoice.Invoice
	if flags.again != "" {
		bill, err = flags.rebuild(ctx, e, prices)
	} else {
		bill, err = flags.build(ctx, e, prices, zone)
	}
	if err != nil {
		return err
	}
	if flags.out != "" {
		if err := flags.write(e, bill); err != nil {
			return err
		}
	}
	switch {
	case e.json:
		err = bill.WriteJSON(e.stdout)
	case flags.csv:
		err = bill.WriteCSV(e.stdout)
	default:
		err = bill.WriteTable(e.stdout, width(e.stdout))
	}
	for _, p := range bill.Problems {
		fmt.Fprintln(e.stderr, table.Printable(p))
	}
	return err
}

func (f *invoiceFlags) build(ctx context.Context, e *env, prices *invoice.PriceFile, zone *time.Location) (bill *invoice.Invoice, err error) {
	month, err := invoice.ParseMonth(f.month)
	if err != nil {
		return nil, usageError{err}
	}
	f.lake.complete = true
	late := f.lateDays
	if late <= 0 {
		late = -1 // none
	}
	err = f.lake.read(ctx, e, month.Begin(zone), month.End(zone).AddDate(0, 0, max(0, f.lateDays)), func(l *lake.Lake, _ *logs) (err error) {
		bill, err = invoice.Build(ctx, l.DB(), prices, month, invoice.Options{Zone: zone, LateDays: late})
		return err
	})
	return bill, err
}

func (f *invoiceFlags) rebuild(ctx context.Context, e *env, prices *invoice.PriceFile) (bill *invoice.Invoice, err error) {
	file, err := os.Open(f.again)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	frozen, err := invoice.ReadManifest(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.again, err)
	}
	err = f.lake.read(ctx, e, frozen.From, frozen.Closed, func(l *lake.Lake, _ *logs) (err error) {
		bill, err = invoice.Rebuild(ctx, l.DB(), prices, frozen)
		return err
	})
	return bill, err
}

// write writes the invoice, its manifest and, for a closed month, the meter events.
func (f *invoiceFlags) write(e *env, bill *invoice.Invoice) error {
	if err := os.MkdirAll(f.out, 0o700); err != nil {
		return err
	}
	unmapped := map[string]int{}
	events := func(kind string, write func(io.Writer, string) ([]invoice.Line, error)) func(io.Writer) error {
		return func(w io.Writer) error {
			lines, err := write(w, f.meter)
			unmapped[kind] = len(lines)
			return err
		}
	}
	type file struct {
		name  string
		write func(io.Writer) error
	}
	files := []file{{"invoice.csv", bill.WriteCSV}, {"invoice.json", bill.WriteJSON}, {"manifest.json", bill.Manifest.Write}}
	if bill.Manifest.Preliminary {
		fmt.Fprintf(e.stderr, "the month is open until %s: the invoice is preliminary and has no meter events yet\n", bill.Manifest.Closed.Format(time.RFC3339))
	} else {
		files = append(files, file{"stripe.jsonl", events("Stripe", bill.WriteStripe)}, file{"openmeter.jsonl", events("OpenMeter", bill.WriteOpenMeter)})
	}
	for _, file := range files {
		path := filepath.Join(f.out, file.name)
		if err := writeTo(path, file.write); err != nil {
			return err
		}
		fmt.Fprintf(e.stderr, "wrote %s\n", path)
	}
	for kind, n := range unmapped {
		if n > 0 {
			fmt.Fprintf(e.stderr, "  %d lines have no customer at %s: add them to customers: in %s\n", n, kind, f.prices)
		}
	}
	return nil
}
