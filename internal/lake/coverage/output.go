package coverage

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/stagelog/stagelog/internal/lake/table"
)

// Summary returns the result as one sentence.
func (r *Report) Summary() string {
	t := r.Total
	return fmt.Sprintf("%s of %s counted requests are in the logs (%s); %s missing, %s not counted, %s duplicate, %s without a customer",
		table.Thousands(t.Backed), table.Thousands(t.Counted), table.Percent(t.Backed, t.Counted),
		table.Thousands(t.Missing), table.Thousands(t.Extra), table.Thousands(t.Double), table.Thousands(t.Unattributed))
}

// WriteTable writes the report as a table that fits into width cells if possible. 0 is no limit. With gaps it leaves out rows
// without missing, extra, duplicate or unattributed requests.
func (r *Report) WriteTable(w io.Writer, width int, gaps bool) error {
	out := bufio.NewWriter(w)
	for _, line := range table.Wrap(fmt.Sprintf("%s to %s (UTC): %s", r.First.Format(time.DateOnly), r.Last.Format(time.DateOnly), r.Summary()), width) {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out)
	names, figures := []table.Column{{Head: "day"}, {Head: "customer"}, {Head: "key id"}}, []Figures(nil)
	for _, row := range r.Rows {
		if !gaps || row.Missing+row.Extra+row.Double+row.Unattributed > 0 {
			figures = append(figures, row.Figures)
			addCells(names, row.Day.Format(time.DateOnly), table.Shown(row.Customer), table.Shown(row.KeyID))
		}
	}
	if err := writeFigures(out, names, figures, r.Total, width); err != nil {
		return err
	}
	for _, note := range []struct {
		n    int64
		text string
	}{{r.Keyless, "without an API key, which API Gateway's counts exclude."}, {r.Undated, "without a time, and so not on any day."}} {
		if note.n > 0 {
			fmt.Fprintf(out, "\n%s %s\n", table.Plural(note.n, "request"), note.text)
		}
	}
	if r.Stages != nil {
		if err := r.Stages.writeTable(out, width, gaps); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write coverage: %w", err)
	}
	return nil
}

func addCells(columns []table.Column, cells ...string) {
	for i, cell := range cells {
		columns[i].Cells = append(columns[i].Cells, cell)
	}
}

// writeFigures writes a table of named figures and their total.
func writeFigures(out io.Writer, columns []table.Column, rows []Figures, total Figures, width int) error {
	addCells(columns, append([]string{"total"}, make([]string, len(columns)-1)...)...)
	for _, f := range figureColumns() {
		c := table.Column{Head: f.head, Right: true, Spare: f.spare}
		for _, row := range append(rows, total) {
			c.Cells = append(c.Cells, table.Thousands(f.of(row)))
		}
		columns = append(columns, c)
	}
	return table.Write(out, columns, width)
}

// figure is one column of figures.
type figure struct {
	head, name string
	spare      int
	of         func(Figures) int64
}

func figureColumns() []figure {
	return []figure{
		{"counted", "counted", 0, func(f Figures) int64 { return f.Counted }},
		{"in the lake", "lake", 2, func(f Figures) int64 { return f.Lake }},
		{"backed", "backed", 3, func(f Figures) int64 { return f.Backed }},
		{"missing", "missing", 0, func(f Figures) int64 { return f.Missing }},
		{"extra", "extra", 0, func(f Figures) int64 { return f.Extra }},
		{"duplicate", "double", 4, func(f Figures) int64 { return f.Double }},
		{"no customer", "unattributed", 1, func(f Figures) int64 { return f.Unattributed }},
	}
}

// WriteCSV writes all rows without a total: those of keys, then those of stages, which have no customer and key id. Texts are
// escaped by table.Cell.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	record := []string{"day", "customer", "key_id"}
	for _, f := range figureColumns() {
		record = append(record, f.name)
	}
	out.Write(append(record, "api", "api_id", "stage", "young")) // the error stays until Flush
	write := func(day time.Time, customer, key string, of Figures, stage ...string) {
		record := []string{day.Format(time.DateOnly), table.Cell(customer), table.Cell(key)}
		for _, f := range figureColumns() {
			record = append(record, strconv.FormatInt(f.of(of), 10))
		}
		out.Write(append(record, stage...))
	}
	for _, row := range r.Rows {
		write(row.Day, row.Customer, row.KeyID, row.Figures, "", "", "", "")
	}
	if r.Stages != nil {
		for _, row := range r.Stages.Rows {
			write(row.Day, "", "", row.Figures, table.Cell(row.apiName()), table.Cell(row.APIID), table.Cell(row.Metric.Stage), strconv.FormatBool(row.Young))
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write coverage: %w", err)
	}
	return nil
}

type jsonReport struct {
	First   string      `json:"first"`
	Last    string      `json:"last"`
	Rows    []jsonRow   `json:"rows"`
	Total   Figures     `json:"total"`
	Keyless int64       `json:"keyless"`
	Undated int64       `json:"undated"`
	Stages  *jsonStages `json:"stages,omitempty"`
}

type jsonRow struct {
	Day      string `json:"day"`
	Customer string `json:"customer"`
	KeyID    string `json:"key_id"`
	Figures
}

// WriteJSON writes the report as JSON. Fields may be added but are never changed.
func (r *Report) WriteJSON(w io.Writer) error {
	out := jsonReport{r.First.Format(time.DateOnly), r.Last.Format(time.DateOnly), make([]jsonRow, len(r.Rows)), r.Total, r.Keyless, r.Undated, r.Stages.json()}
	for i, row := range r.Rows {
		out.Rows[i] = jsonRow{row.Day.Format(time.DateOnly), row.Customer, row.KeyID, row.Figures}
	}
	return table.WriteJSON(w, out)
}
