package console

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
)

// tile is one figure, and how it changed.
type tile struct {
	Label, Value, Note string
	Delta              delta
}

// measure is what the figures are made of, for one period.
type measure struct {
	Requests, Client, Server, Bytes, Customers int64
	P50, P95, P99                              float64 // milliseconds
}

// ErrorRate is the share of requests that were errors.
func (m measure) ErrorRate() float64 { return ratio(float64(m.Client+m.Server), float64(m.Requests)) }

// taste is whether more of something is good, bad or neither.
type taste int

const (
	plain taste = iota
	moreIsWorse
)

// delta is a change since the period before.
type delta struct {
	Text  string // "" where there is nothing to compare with
	Class string // up, down, better, worse, flat
}

// newDelta compares by ratio.
func newDelta(now, before float64, t taste) delta {
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

// newPoints compares shares by the difference of their percentages.
func newPoints(now, before float64, t taste) delta {
	if math.IsNaN(now) || math.IsNaN(before) {
		return delta{}
	}
	points := (now - before) * 100
	if math.Abs(points) < 0.005 {
		return delta{"±0 pt", "flat"}
	}
	return delta{sign(points) + digits(math.Abs(points)) + " pt", t.class(points)}
}

func (t taste) class(change float64) string {
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

// summary is the figures of the view's range, compared with the period before.
func summary(ctx context.Context, db *sql.DB, v view) ([]tile, error) {
	now, err := measureOf(ctx, db, v.where())
	if err != nil {
		return nil, err
	}
	from, to := v.before()
	old, err := measureOf(ctx, db, v.filters().and("time >= ?::TIMESTAMP AND time < ?::TIMESTAMP", from, to))
	if err != nil {
		return nil, err
	}
	if old.Requests == 0 { // nothing to compare with: everything new would say nothing
		old = measure{P50: math.NaN(), P95: math.NaN(), P99: math.NaN()}
	}
	tiles := []tile{
		{"Requests", short(float64(now.Requests)), perTime(now.Requests, v), newDelta(float64(now.Requests), nanIfZero(old.Requests), plain)},
		{"Error rate", percent(now.ErrorRate()), count(now.Client) + " 4xx, " + count(now.Server) + " 5xx", newPoints(now.ErrorRate(), old.ErrorRate(), moreIsWorse)},
		{"Latency p95", millis(now.P95), "p50 " + millis(now.P50) + ", p99 " + millis(now.P99), newDelta(now.P95, old.P95, moreIsWorse)},
		{"Customers", short(float64(now.Customers)), "API keys in use", newDelta(float64(now.Customers), nanIfZero(old.Customers), plain)},
		{"Data out", byteSize(now.Bytes), byteSize(int64(float64(now.Bytes)/math.Max(1, float64(now.Requests)))) + " a request",
			newDelta(float64(now.Bytes), nanIfZero(old.Bytes), plain)},
	}
	if v.Value("key") != "" { // the one customer
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

// perTime says how often something happened, in the unit that makes a readable number.
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

func measureOf(ctx context.Context, db *sql.DB, w clause) (measure, error) {
	var m measure
	err := db.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (status BETWEEN 400 AND 499), count(*) FILTER (status BETWEEN 500 AND 599),
			coalesce(sum(bytes), 0)::BIGINT, count(DISTINCT key_id)
		FROM requests WHERE `+w.sql, w.args...).Scan(&m.Requests, &m.Client, &m.Server, &m.Bytes, &m.Customers)
	if err != nil {
		return m, fmt.Errorf("count requests: %w", err)
	}
	m.P50, m.P95, m.P99, err = percentiles(ctx, db, w)
	return m, err
}

// percentiles are exact: the smallest latency that so large a share of requests does not exceed. Counting each latency is
// several times quicker than sorting them all.
func percentiles(ctx context.Context, db *sql.DB, w clause) (p50, p95, p99 float64, err error) {
	p50, p95, p99 = math.NaN(), math.NaN(), math.NaN()
	rows, err := db.QueryContext(ctx, `SELECT latency, count(*) FROM requests WHERE `+w.sql+` AND latency IS NOT NULL GROUP BY latency ORDER BY latency`, w.args...)
	if err != nil {
		return p50, p95, p99, fmt.Errorf("compute percentiles: %w", err)
	}
	defer rows.Close()
	var values []float64
	var upTo []int64 // how many requests took at most values[i]
	total := int64(0)
	for rows.Next() {
		var ms float64
		var n int64
		if err := rows.Scan(&ms, &n); err != nil {
			return p50, p95, p99, fmt.Errorf("compute percentiles: %w", err)
		}
		total += n
		values, upTo = append(values, ms), append(upTo, total)
	}
	at := func(permille int64) float64 {
		for i, n := range upTo {
			if n*1000 >= total*permille {
				return values[i]
			}
		}
		return math.NaN()
	}
	return at(500), at(950), at(990), rows.Err()
}

func orNaN(v sql.NullFloat64) float64 {
	if !v.Valid {
		return math.NaN()
	}
	return v.Float64
}
