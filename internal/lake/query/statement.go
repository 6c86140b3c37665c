package query

import (
	"fmt"
	"math"
	"strings"
)

// statement generates the SQL of a query as one statement. Planning costs it more than reading a hundred thousand requests
// does, so it computes only what the query asks for. Its parts are
//
//	r      the requests of the period that the filter selects, with x0, x1, ...: the columns of the dimensions
//	sums   the figures by group, with g0, g1, ..., which distinguish the groups
//	ranks  the sums with their place, from 1, in the query's order; all places after Top are Top + 1, and 0 is left out
//	rows   the sums by place, and of all places with NULL as place
//	times  the latencies by place
type statement struct {
	query Query
	scope scope
}

// quantiles is exact: quantile_disc sorts and returns the value at ceil(n × share).
const quantiles = "quantile_disc(latency, [0.5, 0.95, 0.99])"

// figure is a column of the result.
type figure struct {
	name      string
	requests  string // the aggregate over the requests of a group
	groups    string // the aggregate over groups
	kind      string // the type of the result
	requested bool   // the query asks for it; else it is NULL
}

func (s statement) figures() []figure {
	q := s.query
	count := func(condition string) string { return "count(*)" + s.only(condition) }
	return []figure{
		{"requests", count(""), "sum", "BIGINT", true},
		{"errors", count("status >= 400"), "sum", "BIGINT", true},
		{"client", count("status BETWEEN 400 AND 499"), "sum", "BIGINT", true},
		{"server", count("status BETWEEN 500 AND 599"), "sum", "BIGINT", true},
		{"bytes", "sum(bytes)" + s.only(""), "sum", "BIGINT", !q.RowsOnly || !q.CountsOnly || q.Order == Bytes},
		{"first", "min(time)" + s.only(""), "min", "TIMESTAMP", !q.RowsOnly},
		{"last", "max(time)" + s.only(""), "max", "TIMESTAMP", !q.RowsOnly},
		{"before", "count(*) FILTER (NOT now)", "sum", "BIGINT", q.Compare},
		{"errors_before", "count(*) FILTER (NOT now AND status >= 400)", "sum", "BIGINT", q.Compare},
	}
}

// only returns the FILTER of an aggregate over the current period's requests with a condition; "" is all of them.
func (s statement) only(condition string) string {
	switch {
	case !s.query.Compare && condition == "":
		return ""
	case !s.query.Compare:
		return " FILTER (" + condition + ")"
	case condition == "":
		return " FILTER (now)"
	}
	return " FILTER (now AND " + condition + ")"
}

// sql returns the statement and its parameters. Columns of the result are the place, the number of groups, the texts of the
// keys, the latencies, and the figures.
func (s statement) sql() (string, []any) {
	source, args := s.source()
	parts := []string{source, s.sums()}
	if len(s.query.By) == 0 {
		parts = append(parts, "rows AS (SELECT NULL::BIGINT AS place, 1 AS n, * FROM sums)")
	} else {
		parts = append(parts, s.ranks(), s.rows())
	}
	latencies, join := "NULL", ""
	switch {
	case s.query.CountsOnly:
	case s.query.RowsOnly:
		if s.groupLatencies() {
			latencies = "q"
		}
	default:
		parts = append(parts, s.times())
		latencies, join = "times.q", " LEFT JOIN times ON times.place IS NOT DISTINCT FROM rows.place"
		if s.groupLatencies() {
			latencies = "coalesce(times.q, rows.q)"
		}
	}
	columns := append(append([]string{"rows.place", "n"}, s.shown()...), latencies)
	for _, f := range s.figures() {
		switch {
		case !f.requested:
			columns = append(columns, "NULL")
		case f.name == "bytes":
			columns = append(columns, fmt.Sprintf("CAST(least(coalesce(bytes, 0), %d) AS BIGINT)", int64(math.MaxInt64)))
		default:
			columns = append(columns, "CAST("+f.name+" AS "+f.kind+")")
		}
	}
	return fmt.Sprintf("WITH %s\nSELECT %s FROM rows%s ORDER BY rows.place", strings.Join(parts, ",\n"), strings.Join(columns, ", "), join), args
}

// source returns r and its parameters.
func (s statement) source() (string, []any) {
	q := s.query
	requests := "requests"
	columns := s.columns()
	for i := range columns {
		columns[i] += fmt.Sprintf(" AS x%d", i)
	}
	columns = append(columns, "status", "bytes", "time", "latency")
	var where Clause
	var args []any
	if q.Compare {
		// Parameters of the inner SELECT come before those of WHERE.
		requests = fmt.Sprintf("(SELECT *, if(time < ?::TIMESTAMP, time + to_microseconds(%d), time) AS t, time >= ?::TIMESTAMP AS now FROM requests)",
			q.To.Sub(q.From).Microseconds())
		args = []any{q.From.UTC(), q.From.UTC()}
		columns = append(columns, "now")
	}
	if from := q.begin(); !from.IsZero() {
		where = where.And("time >= ?::TIMESTAMP", from.UTC())
	}
	if !q.To.IsZero() {
		where = where.And("time < ?::TIMESTAMP", q.To.UTC())
	}
	if q.Compare && !q.CompareUntil.IsZero() {
		where = where.And("(time < ?::TIMESTAMP OR time >= ?::TIMESTAMP)", q.CompareUntil.UTC(), q.From.UTC())
	}
	if selected := q.Filter.where(s.scope); selected.SQL != "" {
		where = where.And(selected.SQL, selected.Args...)
	}
	// r can be the whole lake, and DuckDB would materialize a part that is used twice.
	return fmt.Sprintf("r AS NOT MATERIALIZED (SELECT %s FROM %s WHERE %s)", strings.Join(columns, ", "), requests, where.text()), append(args, where.Args...)
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

// sums returns the figures by group. Where a customer or plan has several names, the newest is taken; rows without a time
// count as the oldest.
func (s statement) sums() string {
	var columns, ids []string
	for i, g := range s.groups() {
		columns, ids = append(columns, fmt.Sprintf("%s AS g%d", g, i)), append(ids, fmt.Sprintf("g%d", i))
	}
	x := 0
	for i, d := range s.query.By {
		if d.Named() {
			columns = append(columns, fmt.Sprintf("arg_max(x%d, coalesce(time, make_timestamp(0))) AS n%d", x+1, i))
		}
		x += len(s.scope.columns(d))
	}
	if s.groupLatencies() {
		columns = append(columns, quantiles+s.only("")+" AS q")
	}
	for _, f := range s.figures() {
		if f.requested {
			columns = append(columns, f.requests+" AS "+f.name)
		}
	}
	by := ""
	if len(ids) > 0 {
		by = " GROUP BY " + strings.Join(ids, ", ")
	}
	return fmt.Sprintf("sums AS (SELECT %s FROM r%s)", strings.Join(columns, ", "), by)
}

// groupLatencies reports whether sums has the latencies of each group. Otherwise only those that are shown get them.
func (s statement) groupLatencies() bool {
	q := s.query
	return q.Order == Latency || !q.CountsOnly && len(q.By) > 0 && (q.RowsOnly || q.Top == 0)
}

// ranks returns the sums with their place.
func (s statement) ranks() string {
	var byGroup strings.Builder
	for i := range s.groups() {
		fmt.Fprintf(&byGroup, ", g%d ASC NULLS LAST", i)
	}
	before := "0"
	if s.query.Compare {
		before = "before"
	}
	var order []string
	from := "sums"
	switch s.query.Order {
	case Change:
		order = append(order, "abs(requests - "+before+") DESC")
	case Errors:
		order = append(order, "errors DESC")
	case Changes:
		errorsBefore := "0"
		if s.query.Compare {
			errorsBefore = "errors_before"
		}
		rank := func(change string) string {
			return "row_number() OVER (ORDER BY abs(" + change + ") DESC" + byGroup.String() + ")"
		}
		from = fmt.Sprintf("(SELECT *, least(%s, %s) AS higher FROM sums)", rank("requests - "+before), rank("errors - "+errorsBefore))
		order = append(order, "higher")
	case Bytes:
		order = append(order, "coalesce(bytes, 0) DESC")
	case Latency:
		order = append(order, "q[2] DESC NULLS LAST")
	}
	order = append(order, "requests DESC", before+" DESC"+byGroup.String())
	place := "row_number() OVER (ORDER BY " + strings.Join(order, ", ") + ")"
	if s.query.Current {
		place = "if(requests = 0, 0, row_number() OVER (ORDER BY requests = 0, " + strings.Join(order, ", ") + "))"
	}
	if s.query.Top > 0 {
		place = fmt.Sprintf("least(%s, %d)", place, s.query.Top+1)
	}
	return fmt.Sprintf("ranks AS (SELECT *, %s AS place FROM %s)", place, from)
}

// rows returns the sums of each place and the total.
func (s statement) rows() string {
	columns := []string{"place", "count(*) AS n"}
	one := func(column string) { columns = append(columns, fmt.Sprintf("any_value(%[1]s) AS %[1]s", column)) }
	for i := range s.groups() {
		one(fmt.Sprintf("g%d", i))
	}
	for i, d := range s.query.By {
		if d.Named() {
			one(fmt.Sprintf("n%d", i))
		}
	}
	if s.groupLatencies() {
		one("q")
	}
	for _, f := range s.figures() {
		if f.requested {
			columns = append(columns, fmt.Sprintf("%s(%s) AS %s", f.groups, f.name, f.name))
		}
	}
	return "rows AS (SELECT " + strings.Join(columns, ", ") + " FROM ranks GROUP BY GROUPING SETS ((place), ()))"
}

// times returns the latencies of the total and, unless sums has those of each group, of all places. Counting each latency is
// several times faster than sorting them all.
func (s statement) times() string {
	now, join := "true", ""
	if s.query.Compare {
		now = "now"
	}
	if len(s.query.By) > 0 && s.query.Top > 0 {
		var same []string
		for i, g := range s.groups() {
			same = append(same, fmt.Sprintf("%s IS NOT DISTINCT FROM g%d", g, i))
		}
		join = fmt.Sprintf("\n\tUNION ALL SELECT place, %s FROM r JOIN ranks ON %s WHERE %s GROUP BY place", quantiles, strings.Join(same, " AND "), now)
	}
	return fmt.Sprintf(`histogram AS (SELECT latency, count(*) AS n FROM r WHERE %s AND latency IS NOT NULL GROUP BY latency),
heights AS (SELECT latency, sum(n) OVER (ORDER BY latency) AS upto, sum(n) OVER () AS whole FROM histogram),
times AS (SELECT NULL::BIGINT AS place, [min(latency) FILTER (upto * 100 >= whole * 50), min(latency) FILTER (upto * 100 >= whole * 95),
	min(latency) FILTER (upto * 100 >= whole * 99)] AS q FROM heights%s)`, now, join)
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

// undated returns the statement that counts the requests without a time.
func (s statement) undated() (string, []any) {
	where := s.query.Filter.where(s.scope)
	return "SELECT count(*) FROM (SELECT *, time AS t FROM requests WHERE time IS NULL) WHERE " + where.text(), where.Args
}
