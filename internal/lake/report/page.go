// Package report writes the result of a query as a table, CSV, JSON or an HTML page.
//
// Logs contain text that clients chose: control and bidirectional characters are escaped, and a CSV cell cannot be a
// spreadsheet formula.
package report

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/stagelog/stagelog/internal/lake/chart"
	"github.com/stagelog/stagelog/internal/lake/query"
	"github.com/stagelog/stagelog/internal/lake/table"
)

// topCustomers is the number of customers that a page draws.
const topCustomers = 10

// Page is a report with charts.
type Page struct {
	Title     string  // "" is "API usage"
	Main      *Report // the rows of the table
	Times     *Report // by hour, day or month
	Customers *Report // the largest
}

// Report is the result of a query, to be written as a table, CSV, JSON or an HTML page.
type Report struct{ query.Result }

// Run runs a query.
func Run(ctx context.Context, db *sql.DB, q query.Query) (*Report, error) {
	r, err := query.Run(ctx, db, q)
	if err != nil {
		return nil, err
	}
	return &Report{*r}, nil
}

// RunPage runs a query, and the queries for charts of the same requests.
func RunPage(ctx context.Context, db *sql.DB, q query.Query) (*Page, error) {
	var p Page
	var err error
	if p.Main, err = Run(ctx, db, q); err != nil {
		return nil, err
	}
	charts := p.Main.Query
	charts.Top, charts.Compare = 0, false
	from, to := p.Main.Span()
	charts.By = []query.Dimension{piece(to.Sub(from))}
	if p.Times, err = Run(ctx, db, charts); err != nil {
		return nil, err
	}
	charts.By, charts.Top = []query.Dimension{query.Customer}, topCustomers
	if p.Customers, err = Run(ctx, db, charts); err != nil {
		return nil, err
	}
	return &p, nil
}

// piece returns the dimension of the points in a chart over a period of the given length.
func piece(length time.Duration) query.Dimension {
	const day = 24 * time.Hour
	switch {
	case length <= 4*day:
		return query.Hour
	case length <= 400*day:
		return query.Day
	}
	return query.Month
}

//go:embed page.html
var pageHTML string

// WriteHTML writes the page as one file with inline SVG charts. It loads no other files.
func (p *Page) WriteHTML(w io.Writer) error {
	t := template.Must(chart.Define(template.New("page")).Parse(pageHTML))
	r := p.Main
	columns := r.columns()
	view := pageView{Title: cmp.Or(table.Printable(p.Title), "API usage"), Heading: r.heading(), Total: r.tiles(), Style: template.CSS(chart.CSS), Charts: p.charts(), Bars: p.bars(), Columns: columns} //nolint:gosec // our own style
	for i := range columns[0].Cells {
		row := pageRow{Sum: i >= len(r.Rows)}
		for _, c := range columns {
			row.Cells = append(row.Cells, pageCell{c.Cells[i], c.Right})
		}
		view.Rows = append(view.Rows, row)
	}
	view.Notes = r.notes()
	if err := t.Execute(w, view); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// pageView is the data of page.html. Its texts are already printable; the template escapes them.
type pageView struct {
	Title   string
	Heading []string
	Total   []tile
	Style   template.CSS
	Charts  []chart.Chart
	Bars    chart.Bars
	Columns []table.Column
	Rows    []pageRow
	Notes   []string
}

type pageRow struct {
	Sum   bool // the others, or the total
	Cells []pageCell
}

type pageCell struct {
	Text  string
	Right bool
}

type tile struct{ Name, Value string }

// tiles returns the figures at the top of the page.
func (r *Report) tiles() []tile {
	t := r.Total
	tiles := []tile{
		{"requests", table.Thousands(t.Requests)}, {"error rate", table.Percent(t.Errors, t.Requests)},
		{"client errors", table.Thousands(t.Client)}, {"server errors", table.Thousands(t.Server)}, {"sent", table.Size(t.Bytes)},
	}
	if !r.Query.CountsOnly {
		tiles = append(tiles, tile{"p50", table.Latency(t.P50)}, tile{"p95", table.Latency(t.P95)}, tile{"p99", table.Latency(t.P99)})
	}
	return tiles
}
