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

	"github.com/stagelog/stagelog/internal/lake/table"
)

// topCustomers is how many customers a page draws.
const topCustomers = 10

// Page is a report with charts around it.
type Page struct {
	Title     string  // "" is "API usage"
	Main      *Report // the rows of the table
	Times     *Report // by hour, day or month
	Customers *Report // the largest
}

// RunPage answers a query, and with it what the charts show of the same requests.
func RunPage(ctx context.Context, db *sql.DB, q Query) (*Page, error) {
	var p Page
	var err error
	if p.Main, err = Run(ctx, db, q); err != nil {
		return nil, err
	}
	charts := p.Main.Query
	charts.Top, charts.Compare = 0, false
	from, to := p.Main.span()
	charts.By = []Dimension{piece(to.Sub(from))}
	if p.Times, err = Run(ctx, db, charts); err != nil {
		return nil, err
	}
	charts.By, charts.Top = []Dimension{Customer}, topCustomers
	if p.Customers, err = Run(ctx, db, charts); err != nil {
		return nil, err
	}
	return &p, nil
}

// span is the period of the report, as far as the query or the requests bound it.
func (r *Report) span() (from, to time.Time) {
	from, to = r.Query.From, r.Query.To
	if from.IsZero() {
		from = r.Total.First
	}
	if to.IsZero() && !r.Total.Last.IsZero() {
		to = r.Total.Last.Add(time.Microsecond)
	}
	return from, to
}

// piece is what a chart of so long a period has points for.
func piece(length time.Duration) Dimension {
	const day = 24 * time.Hour
	switch {
	case length <= 4*day:
		return Hour
	case length <= 400*day:
		return Day
	}
	return Month
}

//go:embed page.html
var pageHTML string

// WriteHTML writes the page as one file that needs no other: charts are SVG inside of it, and nothing is fetched.
func (p *Page) WriteHTML(w io.Writer) error {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		panic("BUG: page.html: " + err.Error())
	}
	r := p.Main
	columns := r.columns()
	view := pageView{Title: cmp.Or(table.Printable(p.Title), "API usage"), Heading: r.heading(), Total: r.tiles(), Charts: p.charts(), Columns: columns}
	for i := range columns[0].Cells {
		row := pageRow{Sum: i >= len(r.Rows)}
		for _, c := range columns {
			row.Cells = append(row.Cells, pageCell{c.Cells[i], c.Right})
		}
		view.Rows = append(view.Rows, row)
	}
	if r.Undated > 0 {
		view.Undated = table.Plural(r.Undated, "request")
	}
	if err := t.Execute(w, view); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// pageView is what page.html reads. All texts in it are printable already; the template escapes them.
type pageView struct {
	Title   string
	Heading []string
	Total   []tile
	Charts  []chart
	Columns []table.Column
	Rows    []pageRow
	Undated string
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

// tiles is the figures that stand first.
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
