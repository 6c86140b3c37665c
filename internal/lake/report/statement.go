package report

import (
	"fmt"
	"strings"
	"time"
)

// statement writes the SQL of a query. The parts are:
//
//	s: the requests of the period, with t, the time that decides where a row belongs, and now, whether it is this period
//	r: those that the filter takes, with the groups g0, g1, ...
type statement struct {
	query Query
	zone  zone
}

// source is the WITH clause of r, and its parameters.
func (s statement) source() (string, []any) {
	q := s.query
	t, now := "time", "true"
	var bounds []string
	var args []any
	switch {
	case q.Compare:
		// The parameters of the SELECT list come before those of WHERE.
		length := q.To.Sub(q.From).Microseconds()
		t, now = fmt.Sprintf("if(time < ?, time + to_microseconds(%d), time)", length), "time >= ?"
		bounds = []string{"time >= ?", "time < ?"}
		args = []any{q.From.UTC(), q.From.UTC(), s.begin().UTC(), q.To.UTC()}
	default:
		if !q.From.IsZero() {
			bounds, args = append(bounds, "time >= ?"), append(args, q.From.UTC())
		}
		if !q.To.IsZero() {
			bounds, args = append(bounds, "time < ?"), append(args, q.To.UTC())
		}
	}
	if len(bounds) == 0 {
		bounds = []string{"true"}
	}
	where, more := q.Filter.where(s.zone)
	var groups strings.Builder
	for i, g := range s.groups() {
		fmt.Fprintf(&groups, ", %s AS g%d", g, i)
	}
	return fmt.Sprintf(`WITH s AS (SELECT *, %s AS t, %s AS now FROM requests WHERE %s),
r AS (SELECT * EXCLUDE (extra)%s FROM s WHERE %s)`, t, now, strings.Join(bounds, " AND "), groups.String(), where), append(args, more...)
}

// begin is the first instant that is read.
func (s statement) begin() time.Time {
	if s.query.Compare {
		return s.query.From.Add(-s.query.To.Sub(s.query.From))
	}
	return s.query.From
}

// groups is the expressions of all dimensions.
func (s statement) groups() []string {
	var all []string
	for _, d := range s.query.By {
		all = append(all, d.groups(s.zone)...)
	}
	return all
}

// names is the columns g0, g1, ... of all dimensions.
func (s statement) names() []string {
	names := s.groups()
	for i := range names {
		names[i] = fmt.Sprintf("g%d", i)
	}
	return names
}

// measures is the aggregates of one row, in the order in which scan reads them.
func (s statement) measures() string {
	now, before := "", "0, 0"
	if s.query.Compare {
		now = " FILTER (now)"
		before = "count(*) FILTER (NOT now), count(*) FILTER (NOT now AND status >= 400)"
	}
	only := func(condition string) string {
		if s.query.Compare {
			return "count(*) FILTER (now AND " + condition + ")"
		}
		return "count(*) FILTER (" + condition + ")"
	}
	latencies := "NULL"
	if !s.query.CountsOnly {
		latencies = "quantile_disc(latency, [0.5, 0.95, 0.99])" + now
	}
	return strings.Join([]string{
		"count(*)" + now + " AS requests",
		only("status >= 400"),
		only("status BETWEEN 400 AND 499"),
		only("status BETWEEN 500 AND 599"),
		"CAST(least(coalesce(sum(bytes)" + now + ", 0), 9223372036854775807) AS BIGINT)",
		latencies,
		"min(time)" + now + " AS first",
		"max(time)" + now,
		before,
	}, ", ")
}

// keys is what the rows show of each dimension, value and name.
func (s statement) keys() string {
	var b strings.Builder
	names := s.names()
	for _, d := range s.query.By {
		n := len(d.groups(s.zone))
		fmt.Fprintf(&b, "%s, ", d.text(s.zone, names))
		if d.named() {
			_, name := d.identity()
			// Rows without a time have the least say about the newest name.
			fmt.Fprintf(&b, "coalesce(arg_max(%s, coalesce(time, make_timestamp(0))), '-'), ", name)
		}
		names = names[n:]
	}
	return b.String()
}

// rows is the statement for the rows. Its first column is how many there are without the limit.
func (s statement) rows() (string, []any) {
	source, args := s.source()
	sql := fmt.Sprintf("%s\nSELECT count(*) OVER (), %s%s FROM r GROUP BY %s ORDER BY %s",
		source, s.keys(), s.measures(), strings.Join(s.names(), ", "), s.busiest())
	if s.query.Top > 0 {
		sql += fmt.Sprintf(" LIMIT %d", s.query.Top)
	}
	return sql, args
}

// busiest orders groups: by requests, and where those are equal by what makes the order certain.
func (s statement) busiest() string {
	order := []string{"count(*) DESC"}
	if s.query.Compare {
		order = []string{"count(*) FILTER (now) DESC", "count(*) DESC"}
	}
	for _, name := range s.names() {
		order = append(order, name+" ASC NULLS LAST")
	}
	return strings.Join(order, ", ")
}

// total is the statement for the row of everything.
func (s statement) total() (string, []any) {
	source, args := s.source()
	return fmt.Sprintf("%s\nSELECT %s FROM r", source, s.measures()), args
}

// others is the statement for the row of what rows leaves out.
func (s statement) others() (string, []any) {
	source, args := s.source()
	same := s.names()
	for i, name := range same {
		same[i] = fmt.Sprintf("r.%s IS NOT DISTINCT FROM top.%s", name, name)
	}
	names := strings.Join(s.names(), ", ")
	return fmt.Sprintf("%s,\ntop AS (SELECT %s FROM r GROUP BY %s ORDER BY %s LIMIT %d)\nSELECT %s FROM r ANTI JOIN top ON %s",
		source, names, names, s.busiest(), s.query.Top, s.measures(), strings.Join(same, " AND ")), args
}

// undated is the statement for how many requests have no time.
func (s statement) undated() (string, []any) {
	where, args := s.query.Filter.where(s.zone)
	return "WITH s AS (SELECT *, time AS t FROM requests WHERE time IS NULL) SELECT count(*) FROM s WHERE " + where, args
}
