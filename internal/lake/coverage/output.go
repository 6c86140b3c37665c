package coverage

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/stagelog/stagelog/internal/lake/table"
)

// Summary is the result in one sentence.
func (r *Report) Summary() string {
	t := r.Total
	return fmt.Sprintf("backed by %s of %s counted calls (%s); %s missing, %s not counted, %s twice, %s of no customer",
		table.Thousands(t.Backed), table.Thousands(t.Counted), table.Percent(t.Backed, t.Counted),
		table.Thousands(t.Missing), table.Thousands(t.Extra), table.Thousands(t.Double), table.Thousands(t.Unattributed))
}

// WriteTable writes the report for people, in lines of at most width cells as far as that goes. 0 is no limit. Where only
// gaps is asked for, rows are left out in which nothing is missing, extra, double or unattributed.
func (r *Report) WriteTable(w io.Writer, width int, gaps bool) error {
	out := bufio.NewWriter(w)
	for _, line := range table.Wrap(fmt.Sprintf("%s to %s (UTC): %s", r.First.Format(time.DateOnly), r.Last.Format(time.DateOnly), r.Summary()), width) {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out)
	var rows []Row
	for _, row := range r.Rows {
		if !gaps || row.Missing+row.Extra+row.Double+row.Unattributed > 0 {
			rows = append(rows, row)
		}
	}
	var columns []table.Column
	text := func(head, total string, cell func(Row) string) {
		c := table.Column{Head: head}
		for _, row := range rows {
			c.Cells = append(c.Cells, cell(row))
		}
		c.Cells = append(c.Cells, total)
		columns = append(columns, c)
	}
	text("day", "total", func(r Row) string { return r.Day.Format(time.DateOnly) })
	text("customer", "", func(r Row) string { return table.Shown(r.Customer) })
	text("key id", "", func(r Row) string { return table.Shown(r.KeyID) })
	for _, f := range r.figures() {
		c := table.Column{Head: f.head, Right: true, Spare: f.spare}
		for _, row := range rows {
			c.Cells = append(c.Cells, table.Thousands(f.of(row.Figures)))
		}
		c.Cells = append(c.Cells, table.Thousands(f.of(r.Total)))
		columns = append(columns, c)
	}
	if err := table.Write(out, columns, width); err != nil {
		return err
	}
	for _, note := range []struct {
		n    int64
		text string
	}{{r.Keyless, "without a key: API Gateway counts them for nobody."}, {r.Undated, "without a time: on no day."}} {
		if note.n > 0 {
			fmt.Fprintf(out, "\n%s %s\n", table.Plural(note.n, "request"), note.text)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write coverage: %w", err)
	}
	return nil
}

// figure is one column of figures.
type figure struct {
	head, name string
	spare      int
	of         func(Figures) int64
}

func (r *Report) figures() []figure {
	return []figure{
		{"counted", "counted", 0, func(f Figures) int64 { return f.Counted }},
		{"in the lake", "lake", 2, func(f Figures) int64 { return f.Lake }},
		{"backed", "backed", 3, func(f Figures) int64 { return f.Backed }},
		{"missing", "missing", 0, func(f Figures) int64 { return f.Missing }},
		{"extra", "extra", 0, func(f Figures) int64 { return f.Extra }},
		{"double", "double", 4, func(f Figures) int64 { return f.Double }},
		{"of no customer", "unattributed", 1, func(f Figures) int64 { return f.Unattributed }},
	}
}

// WriteCSV writes every row and no total. Texts are written as table.Cell does.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	record := []string{"day", "customer", "key_id"}
	for _, f := range r.figures() {
		record = append(record, f.name)
	}
	out.Write(record) // the error stays until Flush
	for _, row := range r.Rows {
		record := []string{row.Day.Format(time.DateOnly), table.Cell(row.Customer), table.Cell(row.KeyID)}
		for _, f := range r.figures() {
			record = append(record, strconv.FormatInt(f.of(row.Figures), 10))
		}
		out.Write(record)
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
	Total   jsonFigures `json:"total"`
	Keyless int64       `json:"keyless"`
	Undated int64       `json:"undated"`
}

type jsonRow struct {
	Day      string `json:"day"`
	Customer string `json:"customer"`
	KeyID    string `json:"key_id"`
	jsonFigures
}

type jsonFigures struct {
	Counted      int64 `json:"counted"`
	Lake         int64 `json:"lake"`
	Backed       int64 `json:"backed"`
	Missing      int64 `json:"missing"`
	Extra        int64 `json:"extra"`
	Double       int64 `json:"double"`
	Unattributed int64 `json:"unattributed"`
}

// WriteJSON writes the report. Fields may be added, and stay as they are.
func (r *Report) WriteJSON(w io.Writer) error {
	out := jsonReport{r.First.Format(time.DateOnly), r.Last.Format(time.DateOnly), make([]jsonRow, len(r.Rows)), jsonFigures(r.Total), r.Keyless, r.Undated}
	for i, row := range r.Rows {
		out.Rows[i] = jsonRow{row.Day.Format(time.DateOnly), row.Customer, row.KeyID, jsonFigures(row.Figures)}
	}
	data, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return fmt.Errorf("write coverage: %w", err)
	}
	if _, err := w.Write(append(table.JSON(data), '\n')); err != nil {
		return fmt.Errorf("write coverage: %w", err)
	}
	return nil
}
