package report

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// statement writes the SQL of a query: one statement for everything, so that the requests are read once for the counts, and
// once or twice more only where latencies are asked for. Its parts are
//
//	s      the requests of the period, with t, the time that decides where a row belongs, and now: whether it is this period
//	r      those that the filter takes, with x0, x1, ...: the columns of the dimensions
//	cells  counts for each combination of those and the status, few enough to be looked at again and again
//	ranks  the rows of the report from the cells, with g0, g1, ..., which tell them apart, and place, the busiest first
//	times  the latencies of each place, of the others at place Top + 1, and of all at 0
//
// r is never materialized, which DuckDB would do with what is named twice: it can be all of the lake.
type statement struct {
	query Query
	zone  zone
}

// The kinds of rows that the statement answers with, in their order.
const (
	kindRow = iota
	kindOthers
	kindTotal
)

// quantiles is exact: quantile_disc sorts, and takes the value at ceil(n × share).
const quantiles = "quantile_disc(latency, [0.5, 0.95, 0.99])"

// sql is the statement, and its parameters.
func (s statement) sql() (string, []any) {
	source, args := s.source()
	top := int64(math.MaxInt32)
	if s.query.Top > 0 {
		top = int64(s.query.Top)
	}
	parts := []string{source, s.cells(), s.ranks()}
	quantile, join := "NULL", ""
	if !s.query.CountsOnly {
		parts = append(parts, s.times(top))
		quantile, join = "q", " LEFT JOIN times USING (place)"
	}
	sum := func(column string) string { return "coalesce(sum(" + column + "), 0)" } // of no rows it is 0
	sums := strings.Join([]string{sum("requests"), sum("errors"), sum("client"), sum("server"), sum("bytes"), "min(first)", "max(last)", sum("before"), sum("errors_before")}, ", ")
	var blank strings.Builder
	for i := range s.shown() {
		fmt.Fprintf(&blank, " '' AS k%d,", i)
	}
	answers := []string{fmt.Sprintf("SELECT %d AS kind, 0 AS place, count(*) AS n,%s %s FROM ranks", kindTotal, blank.String(), sums)}
	if len(s.query.By) > 0 {
		answers = append(answers,
			fmt.Sprintf("SELECT %d, place, 1,%s requests, errors, client, server, bytes, first, last, before, errors_before FROM ranks WHERE place <= %d", kindRow, s.keys(), top),
			fmt.Sprintf("SELECT %d, %d, count(*),%s %s FROM ranks WHERE place > %d HAVING count(*) > 0", kindOthers, top+1, blank.String(), sums, top))
	}
	return fmt.Sprintf(`%s,
answers (kind, place, n,%s requests, errors, client, server, bytes, first, last, before, errors_before) AS (%s)
SELECT kind, n,%s CAST(requests AS BIGINT), CAST(errors AS BIGINT), CAST(client AS BIGINT), CAST(server AS BIGINT),
	CAST(least(bytes, %d) AS BIGINT), %s, first, last, CAST(before AS BIGINT), CAST(errors_before AS BIGINT)
FROM answers%s ORDER BY kind, place`, strings.Join(parts, ",\n"), s.list("k", len(s.shown())), strings.Join(answers, " UNION ALL "),
		s.list("k", len(s.shown())), int64(math.MaxInt64), quantile, join), args
}

// list is prefix0, prefix1, ..., each with a comma after it.
func (s statement) list(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " %s%d,", prefix, i)
	}
	return b.String()
}

// source is s and r, and their parameters.
func (s statement) source() (string, []any) {
	q := s.query
	t, now := "time", "true"
	var bounds []string
	var args []any
	if q.Compare {
		// The parameters of the SELECT list come before those of WHERE.
		t, now = fmt.Sprintf("if(time < ?, time + to_microseconds(%d), time)", q.To.Sub(q.From).Microseconds()), "time >= ?"
		args = []any{q.From.UTC(), q.From.UTC()}
	}
	if from := s.begin(); !from.IsZero() {
		bounds, args = append(bounds, "time >= ?"), append(args, from.UTC())
	}
	if !q.To.IsZero() {
		bounds, args = append(bounds, "time < ?"), append(args, q.To.UTC())
	}
	if len(bounds) == 0 {
		bounds = []string{"true"}
	}
	where, more := q.Filter.where(s.zone)
	var columns strings.Builder
	for i, c := range s.columns() {
		fmt.Fprintf(&columns, "%s AS x%d, ", c, i)
	}
	return fmt.Sprintf(`WITH s AS NOT MATERIALIZED (SELECT *, %s AS t, %s AS now FROM requests WHERE %s),
r AS NOT MATERIALIZED (SELECT %sstatus, now, bytes, time, latency FROM s WHERE %s)`,
		t, now, strings.Join(bounds, " AND "), columns.String(), where), append(args, more...)
}

// begin is the first instant that is read.
func (s statement) begin() time.Time {
	if s.query.Compare {
		return s.query.From.Add(-s.query.To.Sub(s.query.From))
	}
	return s.query.From
}

// columns is the expressions behind x0, x1, ...
func (s statement) columns() []string {
	var all []string
	for _, d := range s.query.By {
		all = append(all, d.columns(s.zone)...)
	}
	return all
}

// groups is the expressions behind g0, g1, ..., over x0, x1, ...
func (s statement) groups() []string {
	var all []string
	i := 0
	for _, d := range s.query.By {
		n := len(d.columns(s.zone))
		x := make([]string, n)
		for j := range x {
			x[j] = fmt.Sprintf("x%d", i+j)
		}
		all = append(all, d.groups(x)...)
		i += n
	}
	return all
}

func (s statement) cells() string {
	return fmt.Sprintf("cells AS MATERIALIZED (SELECT%s status, now, count(*) AS n, sum(bytes) AS b, min(time) AS f, max(time) AS l FROM r GROUP BY ALL)",
		s.list("x", len(s.columns())))
}

func (s statement) ranks() string {
	count := func(condition string) string { return "coalesce(sum(n) FILTER (" + condition + "), 0)" }
	var groups, names, ids []string
	for i, g := range s.groups() {
		groups, ids = append(groups, fmt.Sprintf("%s AS g%d", g, i)), append(ids, fmt.Sprintf("g%d", i))
	}
	order := []string{"requests DESC", "sum(n) DESC"}
	for _, id := range ids {
		order = append(order, id+" ASC NULLS LAST")
	}
	x := 0
	for i, d := range s.query.By {
		if d.named() {
			// Rows without a time have the least say about the newest name.
			names = append(names, fmt.Sprintf("arg_max(x%d, coalesce(l, make_timestamp(0))) AS n%d", x+1, i))
		}
		x += len(d.columns(s.zone))
	}
	columns := append(append(groups, names...),
		count("now")+" AS requests", count("now AND status >= 400")+" AS errors", count("now AND status BETWEEN 400 AND 499")+" AS client",
		count("now AND status BETWEEN 500 AND 599")+" AS server", "coalesce(sum(b) FILTER (now), 0) AS bytes",
		"min(f) FILTER (now) AS first", "max(l) FILTER (now) AS last", count("NOT now")+" AS before", count("NOT now AND status >= 400")+" AS errors_before",
		"row_number() OVER (ORDER BY "+strings.Join(order, ", ")+") AS place")
	by := ""
	if len(ids) > 0 {
		by = " GROUP BY " + strings.Join(ids, ", ")
	}
	return fmt.Sprintf("ranks AS MATERIALIZED (SELECT %s FROM cells%s)", strings.Join(columns, ", "), by)
}

func (s statement) times(top int64) string {
	all := fmt.Sprintf("SELECT 0 AS place, %s AS q FROM r WHERE now", quantiles)
	if len(s.query.By) == 0 {
		return "times AS (" + all + ")"
	}
	var groups, same, grouped []string
	for i, g := range s.groups() {
		groups, same = append(groups, fmt.Sprintf("%s AS y%d", g, i)), append(same, fmt.Sprintf("%s IS NOT DISTINCT FROM g%d", g, i))
		grouped = append(grouped, fmt.Sprintf("y%d IS NOT DISTINCT FROM g%d", i, i))
	}
	if s.query.Top == 0 {
		return fmt.Sprintf("times AS (%s UNION ALL SELECT place, q FROM (SELECT %s, %s AS q FROM r WHERE now GROUP BY ALL) JOIN ranks ON %s)",
			all, strings.Join(groups, ", "), quantiles, strings.Join(grouped, " AND "))
	}
	return fmt.Sprintf("times AS (%s UNION ALL SELECT least(place, %d), %s FROM r JOIN ranks ON %s WHERE now GROUP BY 1)",
		all, top+1, quantiles, strings.Join(same, " AND "))
}

// shown is what rows show of all dimensions, over g0, g1, ... and the names.
func (s statement) shown() []string {
	var all []string
	g := 0
	for i, d := range s.query.By {
		n := len(d.columns(s.zone))
		groups := make([]string, n)
		for j := range groups {
			groups[j] = fmt.Sprintf("g%d", g+j)
		}
		all = append(all, d.text(s.zone, groups))
		if d.named() {
			all = append(all, fmt.Sprintf("coalesce(n%d, '-')", i))
		}
		g += n
	}
	return all
}

// keys is shown, each with a comma after it.
func (s statement) keys() string {
	var b strings.Builder
	for _, k := range s.shown() {
		b.WriteString(" " + k + ",")
	}
	return b.String()
}

// undated is the statement for how many requests have no time.
func (s statement) undated() (string, []any) {
	where, args := s.query.Filter.where(s.zone)
	return "WITH s AS (SELECT *, time AS t FROM requests WHERE time IS NULL) SELECT count(*) FROM s WHERE " + where, args
}
