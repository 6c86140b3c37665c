package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// column is one column of a table.
type column struct {
	head  string
	right bool // numbers end at the same place
	spare int  // where the terminal is narrow, the highest go first; 0 always stays
	cells []string
}

const (
	gap          = 2  // spaces between columns
	shortestText = 8  // what a narrow terminal leaves of a text
	longestText  = 60 // and a wide one
)

// WriteTable writes the report for people, in lines of at most width characters as far as that goes: columns of less
// interest are left out, then texts are cut. 0 is no limit.
func (r *Report) WriteTable(w io.Writer, width int) error {
	columns := r.columns()
	for _, c := range columns {
		c.cut(longestText)
	}
	if width > 0 {
		columns = fit(columns, width)
	}
	out := bufio.NewWriter(w)
	for _, line := range r.heading() {
		for _, part := range wrap(line, width) {
			fmt.Fprintln(out, part)
		}
	}
	fmt.Fprintln(out)
	writeColumns(out, columns)
	if r.Undated > 0 {
		fmt.Fprintf(out, "\n%s without a time: in no period, and not counted here.\n", plural(r.Undated, "request"))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func writeColumns(out *bufio.Writer, columns []column) {
	widths := make([]int, len(columns))
	rows := 0
	for i, c := range columns {
		widths[i], rows = c.width(), len(c.cells)
	}
	line := func(cell func(column) string) {
		var b strings.Builder
		for i, c := range columns {
			if i > 0 {
				b.WriteString(strings.Repeat(" ", gap))
			}
			text := cell(c)
			pad := strings.Repeat(" ", widths[i]-cellWidth(text))
			if c.right {
				b.WriteString(pad + text)
			} else {
				b.WriteString(text + pad)
			}
		}
		fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
	}
	line(func(c column) string { return c.head })
	for i := range rows {
		line(func(c column) string { return c.cells[i] })
	}
}

func (c column) width() int {
	width := cellWidth(c.head)
	for _, cell := range c.cells {
		width = max(width, cellWidth(cell))
	}
	return width
}

// cut shortens the texts of a column.
func (c column) cut(most int) {
	if c.right {
		return
	}
	for i, cell := range c.cells {
		c.cells[i] = shorten(cell, most)
	}
}

// fit makes columns as wide as the terminal.
func fit(columns []column, width int) []column {
	total := func() int {
		sum := -gap
		for _, c := range columns {
			sum += c.width() + gap
		}
		return sum
	}
	for total() > width {
		spare := slices.MaxFunc(columns, func(a, b column) int { return a.spare - b.spare })
		if spare.spare == 0 {
			break
		}
		columns = slices.DeleteFunc(columns, func(c column) bool { return c.spare == spare.spare })
	}
	for total() > width {
		widest := column{}
		for _, c := range columns {
			if !c.right && c.width() > widest.width() {
				widest = c
			}
		}
		if widest.width() <= max(shortestText, cellWidth(widest.head)) {
			break
		}
		widest.cut(widest.width() - 1)
	}
	return columns
}

// heading says what the report is about.
func (r *Report) heading() []string {
	q := r.Query
	lines := []string{fmt.Sprintf("Requests %s (%s)", period(q.From, q.To, q.Zone), q.Zone)}
	if q.Compare {
		lines = append(lines, "compared with those "+period(q.From.Add(-q.To.Sub(q.From)), q.From, q.Zone))
	}
	if len(q.Filter) > 0 {
		conditions := make([]string, len(q.Filter))
		for i, c := range q.Filter {
			conditions[i] = printable(c.String())
		}
		lines = append(lines, "where "+strings.Join(conditions, ", "))
	}
	return lines
}

// period is a period in words.
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

// inZone is t in a zone. A time that is not given stays so.
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

// columns is all columns of the report, with the rows, the others and the total.
func (r *Report) columns() []column {
	all := slices.Clone(r.Rows)
	if r.Others != nil {
		all = append(all, *r.Others)
	}
	all = append(all, r.Total)
	var columns []column
	for i, d := range r.Query.By {
		var values, names []string
		for _, row := range all {
			value, name := "", ""
			if len(row.Keys) > 0 {
				value, name = shown(row.Keys[i].Value), shown(row.Keys[i].Name)
			}
			values, names = append(values, value), append(names, name)
		}
		if !d.named() {
			columns = append(columns, column{head: string(d), cells: values})
			continue
		}
		columns = append(columns, column{head: string(d), cells: names}, column{head: strings.ReplaceAll(d.idName(), "_", " "), cells: values})
	}
	if len(columns) == 0 {
		columns = []column{{cells: []string{""}}}
	}
	if r.Others != nil {
		columns[0].cells[len(r.Rows)] = plural(r.OtherRows, "other")
	}
	columns[0].cells[len(all)-1] = "total"
	add := func(head string, spare int, cell func(Row) string) {
		c := column{head: head, right: true, spare: spare}
		for _, row := range all {
			c.cells = append(c.cells, cell(row))
		}
		columns = append(columns, c)
	}
	add("requests", 0, func(r Row) string { return thousands(r.Requests) })
	if r.Query.Compare {
		add("before", 7, func(r Row) string { return thousands(r.Before.Requests) })
		add("change", 2, func(r Row) string { return signed(r.MoreRequests()) })
	}
	add("errors", 0, func(r Row) string { return thousands(r.Errors) })
	add("error rate", 1, func(r Row) string { return percent(r.Measures) })
	if r.Query.Compare {
		add("rate change", 5, func(r Row) string { return fmt.Sprintf("%+.2f pp", 100*r.MoreErrors()) })
	}
	add("4xx", 8, func(r Row) string { return thousands(r.Client) })
	add("5xx", 6, func(r Row) string { return thousands(r.Server) })
	add("bytes", 4, func(r Row) string { return size(r.Bytes) })
	if !r.Query.CountsOnly {
		add("p50", 9, func(r Row) string { return latency(r.P50) })
		add("p95", 3, func(r Row) string { return latency(r.P95) })
		add("p99", 10, func(r Row) string { return latency(r.P99) })
	}
	moment := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.In(r.Query.Zone).Format("2006-01-02 15:04:05")
	}
	add("first", 12, func(r Row) string { return moment(r.First) })
	add("last", 11, func(r Row) string { return moment(r.Last) })
	return columns
}

// shown is a value of a log in a table. One that is empty is not missing, and so not left blank.
func shown(value string) string {
	if value == "" {
		return `""`
	}
	return printable(value)
}
