package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/lake/query"
	"github.com/stagelog/stagelog/internal/lake/table"
)

// WriteTable writes the report as a table. To fit into width cells, it leaves out less important columns and then shortens
// texts. 0 is no limit.
func (r *Report) WriteTable(w io.Writer, width int) error {
	out := bufio.NewWriter(w)
	for _, line := range r.heading() {
		for _, part := range table.Wrap(line, width) {
			fmt.Fprintln(out, part)
		}
	}
	fmt.Fprintln(out)
	if err := table.Write(out, r.columns(), width); err != nil {
		return err
	}
	for _, note := range r.notes() {
		fmt.Fprintln(out)
		for _, part := range table.Wrap(note, width) {
			fmt.Fprintln(out, part)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// notes returns what the figures do not include.
func (r *Report) notes() (notes []string) {
	if r.Undated > 0 {
		notes = append(notes, fmt.Sprintf("Not included: %s without a time.", table.Plural(r.Undated, "request")))
	}
	if n := r.RepeatedIDs + r.RepeatedLines; n > 0 {
		notes = append(notes, fmt.Sprintf("Counted once: %s that repeat another one, %d with the same extended request id and %d that are the same in every field.",
			table.Plural(n, "row"), r.RepeatedIDs, r.RepeatedLines))
	}
	if unread := r.Unread.String(); unread != "" {
		notes = append(notes, "Not requests: the lake's objects also have "+unread+"; `stagelog query \"FROM objects WHERE bad + other > 0\"` lists them.")
	}
	return notes
}

// heading returns the lines that describe the query.
func (r *Report) heading() []string {
	q := r.Query
	lines := []string{fmt.Sprintf("Requests %s (%s)", period(q.From, q.To, q.Zone), q.Zone)}
	if q.Compare {
		lines = append(lines, "compared with those "+period(q.From.Add(-q.To.Sub(q.From)), q.From, q.Zone))
	}
	if len(q.Filter) > 0 {
		conditions := make([]string, len(q.Filter))
		for i, c := range q.Filter {
			conditions[i] = table.Printable(c.String())
		}
		lines = append(lines, "where "+strings.Join(conditions, ", "))
	}
	return lines
}

// period returns a period in words.
func period(from, to time.Time, zone *time.Location) string {
	from, to = inZone(from, zone), inZone(to, zone)
	layout := "2006-01-02"
	if !isMidnight(from) || !isMidnight(to) {
		layout = "2006-01-02 15:04:05"
	}
	switch {
	case from.IsZero() && to.IsZero():
		return "of the whole lake"
	case from.IsZero():
		return "before " + to.Format(layout)
	case to.IsZero():
		return "since " + from.Format(layout)
	}
	return "from " + from.Format(layout) + " until before " + to.Format(layout)
}

// inZone returns t in a zone. It keeps the zero time.
func inZone(t time.Time, zone *time.Location) time.Time {
	if t.IsZero() {
		return t
	}
	return t.In(zone)
}

func isMidnight(t time.Time) bool {
	hour, minute, second := t.Clock()
	return hour == 0 && minute == 0 && second == 0 && t.Nanosecond() == 0
}

// columns returns all columns of the report, with the rows, the others and the total.
func (r *Report) columns() []table.Column {
	all := slices.Clone(r.Rows)
	if r.Others != nil {
		all = append(all, *r.Others)
	}
	all = append(all, r.Total)
	var columns []table.Column
	for i, d := range r.Query.By {
		var values, names []string
		for _, row := range all {
			value, name := "", ""
			if len(row.Keys) > 0 {
				value, name = table.Shown(row.Keys[i].Value), table.Shown(row.Keys[i].Name)
			}
			values, names = append(values, value), append(names, name)
		}
		if !d.Named() {
			columns = append(columns, table.Column{Head: string(d), Cells: values})
			continue
		}
		columns = append(columns, table.Column{Head: string(d), Cells: names}, table.Column{Head: strings.ReplaceAll(d.IDName(), "_", " "), Cells: values})
	}
	if len(columns) == 0 {
		columns = []table.Column{{Cells: []string{""}}}
	}
	if r.Others != nil {
		columns[0].Cells[len(r.Rows)] = table.Plural(r.OtherRows, "other")
	}
	columns[0].Cells[len(all)-1] = "total"
	add := func(head string, spare int, cell func(query.Row) string) {
		c := table.Column{Head: head, Right: true, Spare: spare}
		for _, row := range all {
			c.Cells = append(c.Cells, cell(row))
		}
		columns = append(columns, c)
	}
	add("requests", 0, func(r query.Row) string { return table.Thousands(r.Requests) })
	if r.Query.Compare {
		add("before", 7, func(r query.Row) string { return table.Thousands(r.Before.Requests) })
		add("change", 2, func(r query.Row) string { return table.Signed(r.MoreRequests()) })
	}
	add("errors", 0, func(r query.Row) string { return table.Thousands(r.Errors) })
	add("error rate", 1, func(r query.Row) string { return table.Percent(r.Errors, r.Requests) })
	if r.Query.Compare {
		add("rate change", 5, func(r query.Row) string { return fmt.Sprintf("%+.2f pp", 100*r.MoreErrors()) })
	}
	add("4xx", 8, func(r query.Row) string { return table.Thousands(r.Client) })
	add("5xx", 6, func(r query.Row) string { return table.Thousands(r.Server) })
	add("bytes", 4, func(r query.Row) string { return table.Size(r.Bytes) })
	if !r.Query.CountsOnly {
		add("p50", 9, func(r query.Row) string { return table.Latency(r.P50) })
		add("p95", 3, func(r query.Row) string { return table.Latency(r.P95) })
		add("p99", 10, func(r query.Row) string { return table.Latency(r.P99) })
	}
	moment := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.In(r.Query.Zone).Format("2006-01-02 15:04:05")
	}
	add("first", 12, func(r query.Row) string { return moment(r.First) })
	add("last", 11, func(r query.Row) string { return moment(r.Last) })
	return columns
}
