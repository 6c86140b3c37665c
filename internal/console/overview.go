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
		panel{Name: "movers", Title: "What changed", Kind: "movers", Class: "full", load: func(ctx context.Context, db *sql.DB) (any, error) {
			return change(ctx, db, v)
		}},
		topPanel(v, "apis", "/", "third"), topPanel(v, "statuses", "/", "third"), topPanel(v, "causes", "/", "third"),
		panel{Name: "newest", Title: "Lake", Kind: "foot", Class: "full bare", load: func(ctx context.Context, db *sql.DB) (any, error) {
			return c.newest(ctx, db, v)
		}},
	)
	c.board(w, r, c.newFrame(r, "Overview", "/", &v), panels)
}

// trends returns the panels with figures and charts at the top of every board.
func (c *Console) trends(v view) []panel {
	counts := func(ctx context.Context, db *sql.DB) ([]chart.Series, error) {
		all, err := c.cached(ctx, v, "traffic", func(ctx context.Context) (any, error) { return traffic(ctx, db, v) })
		if err != nil {
			return nil, err
		}
		return all.([]chart.Series), nil
	}
	return []panel{
		{Name: "summary", Title: "Summary", Kind: "tiles", Class: "full bare", load: func(ctx context.Context, db *sql.DB) (any, error) {
			return summary(ctx, db, v)
		}},
		{Name: "requests", Title: "Requests", Kind: "chart", Class: "full", load: func(ctx context.Context, db *sql.DB) (any, error) {
			all, err := counts(ctx, db)
			if err != nil {
				return nil, err
			}
			return trafficChart(v, all), nil
		}},
		{Name: "errors", Title: "Error rate", Kind: "chart", Class: "half", load: func(ctx context.Context, db *sql.DB) (any, error) {
			all, err := counts(ctx, db)
			if err != nil {
				return nil, err
			}
			return errorChart(v, all), nil
		}},
		{Name: "latency", Title: "Latency", Kind: "chart", Class: "half", load: func(ctx context.Context, db *sql.DB) (any, error) {
			return latencyChart(ctx, db, v)
		}},
	}
}

// topPanel returns a panel with the largest groups of a dimension, for the page at path.
func topPanel(v view, name, path, class string) panel {
	d := dim(name)
	return panel{Name: name + path, Title: d.Plural, Kind: "top", Class: class, load: func(ctx context.Context, db *sql.DB) (any, error) {
		return top(ctx, db, v, d, path)
	}}
}
