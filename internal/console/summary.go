package console

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"

	"github.com/stagelog/stagelog/internal/lake/query"
)

// tile is a figure and its change.
type tile struct {
	Label, Value, Note string
	Delta              delta
}

// trend is the meaning of an increase.
type trend int

const (
	neutral trend = iota
	moreIsWorse
)

// delta is a change since the previous period.
type delta struct {
	Text  string // "" if there is nothing to compare with
	Class string // up, down, better, worse, flat
}

// newDelta returns a change as a ratio.
func newDelta(now, before float64, t trend) delta {
	switch {
	case math.IsNaN(now) || math.IsNaN(before) || now == 0 && before == 0:
		return delta{}
	case before == 0:
		return delta{"new", t.class(1)}
	case now == 0:
		return delta{"gone", t.class(-1)}
	}
	change := now/before - 1
	if math.Abs(change) < 0.0005 {
		return delta{"±0%", "flat"}
	}
	if change >= 9 {
		return delta{"×" + digits(now/before), t.class(1)}
	}
	return delta{sign(change) + digits(math.Abs(change)*100) + "%", t.class(change)}
}

// newPoints returns the change of a share in percentage points.
func newPoints(now, before float64, t trend) delta {
	if math.IsNaN(now) || math.IsNaN(before) {
		return delta{}
	}
	points := (now - before) * 100
	if math.Abs(points) < 0.005 {
		return delta{"±0 pt", "flat"}
	}
	return delta{sign(points) + digits(math.Abs(points)) + " pt", t.class(points)}
}

func (t trend) class(change float64) string {
	switch {
	case t == moreIsWorse && change > 0:
		return "worse"
	case t == moreIsWorse:
		return "better"
	case change > 0:
		return "up"
	}
	return "down"
}

func sign(v float64) string {
	if v < 0 {
		return "−"
	}
	return "+"
}

// summary returns the figures of the view's range, compared with the previous period.
func summary(ctx context.Context, db *sql.DB, v view) ([]tile, error) {
	now, err := measureOf(ctx, db, v.query())
	if err != nil {
		return nil, err
	}
	q := v.query()
	q.From, q.To = v.before()
	old, err := measureOf(ctx, db, q)
	if err != nil {
		return nil, err
	}
	oldRate := math.NaN() // undefined without requests
	if old.Requests > 0 {
		oldRate = old.ErrorRate()
	}
	p50, p95, p99 := orNaN(now.P50), orNaN(now.P95), orNaN(now.P99)
	tiles := []tile{
		{"Requests", short(float64(now.Requests)), perTime(now.Requests, v), newDelta(float64(now.Requests), nanIfZero(old.Requests), neutral)},
		{"Error rate", percent(now.ErrorRate()), count(now.Client) + " 4xx, " + count(now.Server) + " 5xx", newPoints(now.ErrorRate(), oldRate, moreIsWorse)},
		{"Latency p95", millis(p95), "p50 " + millis(p50) + ", p99 " + millis(p99), newDelta(p95, orNaN(old.P95), moreIsWorse)},
		{"Customers", short(float64(now.keys)), "API keys in use", newDelta(float64(now.keys), nanIfZero(old.keys), neutral)},
		{"Data out", byteSize(now.Bytes), byteSize(int64(float64(now.Bytes)/math.Max(1, float64(now.Requests)))) + " a request",
			newDelta(float64(now.Bytes), nanIfZero(old.Bytes), neutral)},
	}
	if v.value(query.Key) != "" { // the page is about one customer
		tiles = slices.DeleteFunc(tiles, func(t tile) bool { return t.Label == "Customers" })
	}
	return tiles, nil
}

func nanIfZero(n int64) float64 {
	if n == 0 {
		return math.NaN()
	}
	return float64(n)
}

// perTime returns a rate as text, in a unit that makes the number readable.
func perTime(n int64, v view) string {
	length := v.To.Sub(v.From)
	if v.now.Before(v.To) && v.now.After(v.From) {
		length = v.now.Sub(v.From)
	}
	switch rate := float64(n) / length.Seconds(); {
	case rate >= 1:
		return short(rate) + " a second"
	case rate >= 1.0/60:
		return short(rate*60) + " a minute"
	case rate >= 1.0/3600:
		return short(rate*3600) + " an hour"
	default:
		return short(rate*86400) + " a day"
	}
}

// measure holds the totals of one period.
type measure struct {
	query.Measures
	keys int64 // API keys in use
}

func measureOf(ctx context.Context, db *sql.DB, q query.Query) (measure, error) {
	q.CountsOnly = false
	r, err := query.Run(ctx, db, q)
	if err != nil {
		return measure{}, err
	}
	m := measure{Measures: r.Total.Measures}
	w, err := query.Where(ctx, db, q)
	if err != nil {
		return m, err
	}
	if err := db.QueryRowContext(ctx, `SELECT count(DISTINCT key_id) FROM requests WHERE `+w.SQL, w.Args...).Scan(&m.keys); err != nil {
		return m, fmt.Errorf("count API keys: %w", err)
	}
	return m, nil
}
