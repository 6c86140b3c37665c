package console

import (
	"context"
	"database/sql"
	"net/http"
)

func (c *Console) overview(w http.ResponseWriter, r *http.Request) {
	v, ok := c.view(w, r, "/")
	if !ok {
		return
	}
	f := c.newFrame(r, "Overview", "/", &v)
	c.board(w, r, f, c.trends(v))
}

// trends are the charts that every board begins with.
func (c *Console) trends(v view) []panel {
	counts := func(ctx context.Context, db *sql.DB) ([]series, error) {
		all, err := c.cached(ctx, v, "traffic", func(ctx context.Context) (any, error) { return traffic(ctx, db, v) })
		if err != nil {
			return nil, err
		}
		return all.([]series), nil
	}
	return []panel{
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
