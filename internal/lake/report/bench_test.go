//go:build cgo

package report

import (
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake/laketest"
	"github.com/stagelog/stagelog/internal/lake/query"
)

// BenchmarkRun is the time of one report over a million rows of a month, or over STAGELOG_BENCH_ROWS.
func BenchmarkRun(b *testing.B) {
	rows := 1_000_000
	if s := os.Getenv("STAGELOG_BENCH_ROWS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatalf("STAGELOG_BENCH_ROWS: %v", err)
		}
		rows = n
	}
	db := benchLake(b, rows)
	begin := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	filter, err := query.ParseFilter("route=/orders/*", "status=5xx")
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		query query.Query
	}{
		{"counts by customer", query.Query{By: []query.Dimension{query.Customer}, CountsOnly: true}},
		{"by customer", query.Query{By: []query.Dimension{query.Customer}}},
		{"by customer top 20", query.Query{By: []query.Dimension{query.Customer}, Top: 20}},
		{"by customer and route", query.Query{By: []query.Dimension{query.Customer, query.Route}, Top: 50}},
		{"by path top 50", query.Query{By: []query.Dimension{query.Path}, Top: 50}},
		{"by day in Berlin", query.Query{By: []query.Dimension{query.Day}, Zone: berlin}},
		{"by hour", query.Query{By: []query.Dimension{query.Hour}}},
		{"by status", query.Query{By: []query.Dimension{query.Status}}},
		{"by customer filtered", query.Query{By: []query.Dimension{query.Customer}, Filter: filter}},
		{"by customer compared", query.Query{By: []query.Dimension{query.Customer}, From: begin.AddDate(0, 0, 15), To: begin.AddDate(0, 0, 30), Compare: true, Top: 20}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Run(b.Context(), db, c.query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("page", func(b *testing.B) {
		for b.Loop() {
			if _, err := RunPage(b.Context(), db, query.Query{By: []query.Dimension{query.Customer}, Top: 20}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchLake is rows of 2,000 customers over 30 days, made by DuckDB itself, in a file as lakes are.
func benchLake(b *testing.B, rows int) *sql.DB {
	b.Helper()
	db := laketest.OpenAt(b, filepath.Join(b.TempDir(), "lake.db"))
	laketest.Exec(b, db, `INSERT INTO request_rows SELECT 1, i, false,
		TIMESTAMP '2026-10-01' + to_microseconds(CAST(i * (30 * 86400e6 / ?) AS BIGINT)), 'id' || i, 'shop', 'prod',
		'key' || (hash(i) % 2000), 'Customer ' || (hash(i) % 1500), 'Gold', 'plan' || (hash(i) % 7), 'GET', '/orders/{id}',
		'/orders/' || (hash(i * 7) % 100000), CASE WHEN hash(i * 3) % 20 = 0 THEN 500 ELSE 200 END,
		(hash(i * 5) % 1000) * (hash(i * 11) % 3) + 1, 5, hash(i * 13) % 10000, '10.0.0.' || (hash(i) % 250), 'curl', NULL, NULL, NULL
		FROM range(?) r(i)`, rows, rows)
	laketest.Exec(b, db, "CHECKPOINT")
	return db
}
