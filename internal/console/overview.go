package console

import (
	"context"
	"database/sql"
	"net/http"

	"github.com/stagelog/stagelog/internal/lake/chart"
)

// overview serves the first page.
func (c *Console) overview(w http.ResponseWriter, r *http.Request) {
	v, ok := c.view(w, r, "/")
	if !ok {
		return
	}
	panels := c.trends(v)
	panels = append(panels,
		topPanel(v, "customers", "/", "third"), topPanel(v, "plans", "/", "third"), topPanel(v, "routes", "/", "third"),
		panel{Name: "movers", Title: "What changed", Kind: "movers", Class: "full", load: loader(v, change)},
		topPanel(v, "apis", "/", "third"), topPanel(v, "statuses", "/", "third"), topPanel(v, "causes", "/", "third"),
		panel{Name: "newest", Title: "Lake", Kind: "foot", Class: "full bare", load: loader(v, c.newest)},
	)
	c.board(w, r, c.newFrame(r, "Overview", "/", &v), panels)
}

// trends returns the panels with figures and charts at the top of every board.
func (c *Console) trends(v view) []panel {
	counts := func(draw func(view, []chart.Series) chart.Chart) func(context.Context, *sql.DB) (any, error) {
		return func(ctx context.Context, db *sql.DB) (any, error) {
			all, err := c.cached(ctx, v, "traffic", func(ctx context.Context) (any, error) { return traffic(ctx, db, v) })
			if err != nil {
				return nil, err
			}
			return draw(v, all.([]chart.Series)), nil
		}
	}
	return []panel{
		{Name: "summary", Title: "Summary", Kind: "tiles", Class: "full bare", load: loader(v, summary)},
		{Name: "requests", Title: "Requests", Kind: "chart", Class: "full", load: counts(trafficChart)},
		{Name: "errors", Title: "Error rate", Kind: "chart", Class: "half", load: counts(errorChart)},
		{Name: "latency", Title: "Latency", Kind: "chart", Class: "half", load: loader(v, latencyChart)},
	}
}

// loader returns a panel's load, which calls fn for the view of the page.
func loader[T any](v view, fn func(context.Context, *sql.DB, view) (T, error)) func(context.Context, *sql.DB) (any, error) {
	return func(ctx context.Context, db *sql.DB) (any, error) { return fn(ctx, db, v) }
}

// topPanel returns a panel with the largest groups of a dimension, for the page at path.
func topPanel(v view, name, path, class string) panel {
	d := dim(name)
	return panel{Name: name + path, Title: d.Plural, Kind: "top", Class: class, load: func(ctx context.Context, db *sql.DB) (any, error) {
		return top(ctx, db, v, d, path)
	}}
}
