package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/stagelog/stagelog/internal/lake/query"
	"github.com/stagelog/stagelog/internal/lake/table"
)

// WriteCSV writes the report as CSV (RFC 4180) with a header line: times in RFC 3339, rates from 0 to 1, latencies in
// milliseconds. The column "row" is row, others or total; to compute sums, use row and others.
//
// Values are escaped by table.Cell, which changes hostile ones. JSON keeps them unchanged.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	record := []string{"row"}
	for _, d := range r.Query.By {
		record = append(record, string(d))
		if d.Named() {
			record = append(record, d.IDName())
		}
	}
	record = append(record, "requests", "errors", "client_errors", "server_errors", "error_rate", "bytes",
		"p50_ms", "p95_ms", "p99_ms", "first", "last")
	if r.Query.Compare {
		record = append(record, "requests_before", "errors_before", "error_rate_before")
	}
	out.Write(record) // the error stays until Flush
	for _, row := range r.Rows {
		out.Write(r.record("row", row))
	}
	if r.Others != nil {
		out.Write(r.record("others", *r.Others))
	}
	out.Write(r.record("total", r.Total))
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (r *Report) record(kind string, row query.Row) []string {
	record := []string{kind}
	for i, d := range r.Query.By {
		key := query.Value{}
		if len(row.Keys) > 0 {
			key = row.Keys[i]
		}
		if d.Named() {
			record = append(record, table.Cell(key.Name))
		}
		record = append(record, table.Cell(key.Value))
	}
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	share := func(f float64) string { return strconv.FormatFloat(f, 'f', 6, 64) }
	optional := func(n *int64) string {
		if n == nil {
			return ""
		}
		return whole(*n)
	}
	moment := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.In(r.Query.Zone).Format(time.RFC3339Nano)
	}
	record = append(record, whole(row.Requests), whole(row.Errors), whole(row.Client), whole(row.Server), share(row.ErrorRate()),
		whole(row.Bytes), optional(row.P50), optional(row.P95), optional(row.P99), moment(row.First), moment(row.Last))
	if b := row.Before; b != nil {
		record = append(record, whole(b.Requests), whole(b.Errors), share(b.ErrorRate()))
	}
	return record
}
