package query

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// statement generates the SQL of a query as one statement, which reads the requests once for the counts, and once or twice
// more only for latencies. Its parts are
//
//	s      the requests of the period, with t, the time used for grouping, and now, true for the current period
//	r      those that the filter selects, with x0, x1, ...: the columns of the dimensions
//	cells  counts per combination of x0, x1, ... and status; few enough to be read repeatedly
//	sums   the cells by group, with g0, g1, ..., which distinguish the groups
//	ranks  the sums with their place, from 1, in the query's order
//	times  the latencies of each place, of the others at place Top + 1, and of all at 0
//
// r is marked NOT MATERIALIZED, because DuckDB would materialize a part that is used twice, and r can be the whole lake.
type statement struct {
	query Query
	scope scope
}

// The kinds of rows that the statement returns, in their order.
const (
	kindRow = iota
	kindOthers
	kindTotal
)

// quantiles is exact: quantile_disc sorts and returns the value at ceil(n × share).
const quantiles = "quantile_disc(latency, [0.5, 0.95, 0.99])"

// sql returns the statement and its parameters.
func (s statement) sql() (string, []any) {
	source, args := s.source()
	top := int64(math.MaxInt32)
	if s.query.Top > 0 {
		top = int64(s.query.Top)
	}
	parts := append([]string{source, s.cells(), s.sums()}, s.ranks()...)
	quantile, join := "NULL", ""
	if !s.query.CountsOnly {
		parts = append(parts, s.times(top))
		quantile, join = "q", " LEFT JOIN times USING (place)"
	}
	sum := func(column string) string { return "coalesce(sum(" + column + "), 0)" } // 0 for no rows
	sums := strings.Join([]string{sum("requests"), sum("errors"), sum("client"), sum("server"), sum("bytes"), "min(first)", "max(last)", sum("before"), sum("errors_before")}, ", ")
	var blank strings.Builder
	for i := range s.shown() {
		fmt.Fprintf(&blank, " '' AS k%d,", i)
	}
	answers := []string{fmt.Sprintf("SELECT %d AS kind, 0 AS place, count(*) AS n,%s %s FROM sums", kindTotal, blank.String(), sums)}
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

// list returns prefix0, prefix1, ..., each with a comma after it.
func (s statement) list(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " %s%d,", prefix, i)
	}
	return b.String()
}

// byGroup returns g0, g1, ... as the last criteria of an order, each with a comma before it.
func (s statement) byGroup() string {
	var b strings.Builder
	for i := range s.groups() {
		fmt.Fprintf(&b, ", g%d ASC NULLS LAST", i)
	}
	return b.String()
}

// source returns s and r, and their parameters.
func (s statement) source() (string, []any) {
	q := s.query
	t, now := "time", "true"
	var bounds Clause
	var args []any
	if q.Compare {
		// The parameters of the SELECT list come before those of WHERE.
		t, now = fmt.Sprintf("if(time < ?::TIMESTAMP, time + to_microseconds(%d), time)", q.To.Sub(q.From).Microseconds()), "time >= ?::TIMESTAMP"
		args = []any{q.From.UTC(), q.From.UTC()}
	}
	if from := q.begin(); !from.IsZero() {
		bounds = bounds.And("time >= ?::TIMESTAMP", from.UTC())
	}
	if !q.To.IsZero() {
		bounds = bounds.And("time < ?::TIMESTAMP", q.To.UTC())
	}
	if q.Compare && !q.CompareUntil.IsZero() {
		bounds = bounds.And("(time < ?::TIMESTAMP OR time >= ?::TIMESTAMP)", q.CompareUntil.UTC(), q.From.UTC())
	}
	where := q.Filter.where(s.scope)
	var columns strings.Builder
	for i, c := range s.columns() {
		fmt.Fprintf(&columns, "%s AS x%d, ", c, i)
	}
	return fmt.Sprintf(`WITH s AS NOT MATERIALIZED (SELECT *, %s AS t, %s AS now FROM requests WHERE %s),
r AS NOT MATERIALIZED (SELECT %sstatus, now, bytes, time, latency FROM s WHERE %s)`,
		t, now, bounds.text(), columns.String(), where.text()), append(append(args, bounds.Args...), where.Args...)
}

// columns returns the expressions behind x0, x1, ...
func (s statement) columns() []string {
	var all []string
	for _, d := range s.query.By {
		all = append(all, s.scope.columns(d)...)
	}
	return all
}

// groups returns the expressions behind g0, g1, ..., over x0, x1, ...
func (s statement) groups() []string {
	var all []string
	i := 0
	for _, d := range s.query.By {
		n := len(s.scope.columns(d))
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
	figures := "sum(bytes) AS b, min(time) AS f, max(time) AS l"
	if s.query.RowsOnly {
		bytes, last := "sum(bytes)", "NULL::TIMESTAMP"
		if s.query.CountsOnly {
			bytes = "NULL::HUGEINT"
		}
		if slices.ContainsFunc(s.query.By, Dimension.Named) {
			last = "max(time)" // the newest name depends on it
		}
		figures = bytes + " AS b, NULL::TIMESTAMP AS f, " + last + " AS l"
	}
	return fmt.Sprintf("cells AS MATERIALIZED (SELECT%s status, now, count(*) AS n, %s FROM r GROUP BY ALL)",
		s.list("x", len(s.columns())), figures)
}

func (s statement) sums() string {
	count := func(condition string) string { return "coalesce(sum(n) FILTER (" + condition + "), 0)" }
	var groups, names, ids []string
	for i, g := range s.groups() {
		groups, ids = append(groups, fmt.Sprintf("%s AS g%d", g, i)), append(ids, fmt.Sprintf("g%d", i))
	}
	x := 0
	for i, d := range s.query.By {
		if d.Named() {
			// For the newest name, a row without a time counts as the oldest.
			names = append(names, fmt.Sprintf("arg_max(x%d, coalesce(l, make_timestamp(0))) AS n%d", x+1, i))
		}
		x += len(s.scope.columns(d))
	}
	columns := append(append(groups, names...),
		count("now")+" AS requests", count("now AND status >= 400")+" AS errors", count("now AND status BETWEEN 400 AND 499")+" AS client",
		count("now AND status BETWEEN 500 AND 599")+" AS server", "coalesce(sum(b) FILTER (now), 0) AS bytes",
		"min(f) FILTER (now) AS first", "max(l) FILTER (now) AS last", count("NOT now")+" AS before", count("NOT now AND status >= 400")+" AS errors_before",
		"sum(n) AS either")
	by := ""
	if len(ids) > 0 {
		by = " GROUP BY " + strings.Join(ids, ", ")
	}
	return fmt.Sprintf("sums AS MATERIALIZED (SELECT %s FROM cells%s)", strings.Join(columns, ", "), by)
}

// ranks returns the part ranks, preceded by parts that its order needs.
func (s statement) ranks() []string {
	var parts []string
	groups := s.groups()
	order, from, where := []string{}, "sums", ""
	switch s.query.Order {
	case Change:
		order = append(order, "abs(requests - before) DESC")
	case Errors:
		order = append(order, "errors DESC")
	case Changes:
		rank := func(change string) string {
			return "row_number() OVER (ORDER BY abs(" + change + ") DESC" + s.byGroup() + ")"
		}
		from = fmt.Sprintf("(SELECT *, least(%s, %s) AS higher FROM sums) AS sums", rank("requests - before"), rank("errors - errors_before"))
		order = append(order, "higher")
	case Bytes:
		order = append(order, "bytes DESC")
	case Latency:
		as, grouped := s.grouped(groups)
		parts = append(parts, fmt.Sprintf("p95s AS (SELECT %s quantile_disc(latency, 0.95) AS p95 FROM r WHERE now GROUP BY ALL)", as))
		order, from = append(order, "p95 DESC NULLS LAST"), "sums LEFT JOIN p95s ON "+grouped
	}
	order = append(order, "requests DESC", "either DESC"+s.byGroup())
	if s.query.Current {
		where = " WHERE requests > 0"
	}
	return append(parts, fmt.Sprintf("ranks AS MATERIALIZED (SELECT sums.*, row_number() OVER (ORDER BY %s) AS place FROM %s%s)", strings.Join(order, ", "), from, where))
}

// grouped returns the groups as columns y0, y1, ..., each with a comma after it, and the condition that they are g0, g1, ...
func (s statement) grouped(groups []string) (columns, same string) {
	var as, is []string
	for i, g := range groups {
		as = append(as, fmt.Sprintf("%s AS y%d,", g, i))
		is = append(is, fmt.Sprintf("y%d IS NOT DISTINCT FROM g%d", i, i))
	}
	if len(is) == 0 {
		is = []string{"true"}
	}
	return strings.Join(as, " "), strings.Join(is, " AND ")
}

// total computes the percentiles of all requests. Counting each latency is several times faster than sorting them all.
const total = `histogram AS (SELECT latency, count(*) AS n FROM r WHERE now AND latency IS NOT NULL GROUP BY latency),
heights AS (SELECT latency, sum(n) OVER (ORDER BY latency) AS upto, sum(n) OVER () AS whole FROM histogram)`

const ofTotal = `SELECT 0 AS place, [min(latency) FILTER (upto * 100 >= whole * 50), min(latency) FILTER (upto * 100 >= whole * 95),
	min(latency) FILTER (upto * 100 >= whole * 99)] AS q FROM heights`

func (s statement) times(top int64) string {
	if s.query.RowsOnly {
		as, grouped := s.grouped(s.groups())
		return fmt.Sprintf("times AS (SELECT place, q FROM (SELECT %s %s AS q FROM r WHERE now GROUP BY ALL) JOIN ranks ON %s WHERE place <= %d)", as, quantiles, grouped, top)
	}
	if len(s.query.By) == 0 {
		return total + ",\ntimes AS (" + ofTotal + ")"
	}
	groups := s.groups()
	if s.query.Top == 0 {
		as, grouped := s.grouped(groups)
		return fmt.Sprintf("%s,\ntimes AS (%s UNION ALL SELECT place, q FROM (SELECT %s %s AS q FROM r WHERE now GROUP BY ALL) JOIN ranks ON %s)",
			total, ofTotal, as, quantiles, grouped)
	}
	var same []string
	for i, g := range groups {
		same = append(same, fmt.Sprintf("%s IS NOT DISTINCT FROM g%d", g, i))
	}
	return fmt.Sprintf("%s,\ntimes AS (%s UNION ALL SELECT least(place, %d), %s FROM r JOIN ranks ON %s WHERE now GROUP BY 1)",
		total, ofTotal, top+1, quantiles, strings.Join(same, " AND "))
}

// shown returns the expressions of the texts that rows show, over g0, g1, ... and the names.
func (s statement) shown() []string {
	var all []string
	g := 0
	for i, d := range s.query.By {
		n := len(s.scope.columns(d))
		groups := make([]string, n)
		for j := range groups {
			groups[j] = fmt.Sprintf("g%d", g+j)
		}
		all = append(all, s.scope.text(d, groups))
		if d.Named() {
			all = append(all, fmt.Sprintf("coalesce(n%d, '-')", i))
		}
		g += n
	}
	return all
}

// keys returns shown, each with a comma after it.
func (s statement) keys() string {
	var b strings.Builder
	for _, k := range s.shown() {
		b.WriteString(" " + k + ",")
	}
	return b.String()
}

// undated returns the statement that counts the requests without a time.
func (s statement) undated() (string, []any) {
	where := s.query.Filter.where(s.scope)
	return "WITH s AS (SELECT *, time AS t FROM requests WHERE time IS NULL) SELECT count(*) FROM s WHERE " + where.text(), where.Args
}
