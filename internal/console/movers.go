package console

import (
	"context"
	"database/sql"
	"fmt"
	"sort"
)

// maxMovers bounds each list of movers.
const maxMovers = 6

// mover is a customer or a route that changed.
type mover struct {
	Kind          string // Customer, Route
	Group         group
	Now, Before   int64
	Delta         delta
	Width, Offset float64 // of its bar, in percent of the widest's half
	Up            bool
}

// movers is what changed most since the period before.
type movers struct {
	Comparable bool // there were requests in the period before
	Period     string
	Requests   []mover
	Errors     []mover
}

// change finds what changed most since the period before, among customers and routes.
func change(ctx context.Context, db *sql.DB, v view) (movers, error) {
	from, to := v.before()
	out := movers{Period: dates(from, to)}
	w := v.filters().and("time >= ?::TIMESTAMP AND time < ?::TIMESTAMP", from, to)
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (FROM requests WHERE `+w.sql+`)`, w.args...).Scan(&out.Comparable); err != nil {
		return out, fmt.Errorf("look at the period before: %w", err)
	}
	if !out.Comparable {
		return out, nil
	}
	for _, name := range []string{"customers", "routes"} {
		requests, errors, err := changed(ctx, db, v, dim(name))
		if err != nil {
			return out, err
		}
		out.Requests, out.Errors = append(out.Requests, requests...), append(out.Errors, errors...)
	}
	out.Requests, out.Errors = largest(out.Requests, plain), largest(out.Errors, moreIsWorse)
	return out, nil
}

// changed is the groups of one dimension whose requests or errors changed most.
func changed(ctx context.Context, db *sql.DB, v view, d dimension) (requests, errors []mover, err error) {
	from, to := v.before()
	named := "NULL"
	if d.named != "" {
		named = d.named
	}
	w := v.filters().and("(time >= ?::TIMESTAMP AND time < ?::TIMESTAMP OR time >= ?::TIMESTAMP AND time < ?::TIMESTAMP)", from, to, v.From, v.To)
	rows, err := db.QueryContext(ctx, `SELECT `+d.selected()+`, `+named+`, count(*) FILTER (current) AS n, count(*) FILTER (NOT current) AS old,
			count(*) FILTER (current AND status BETWEEN 400 AND 599) AS bad, count(*) FILTER (NOT current AND status BETWEEN 400 AND 599) AS oldBad
		FROM (SELECT *, time >= ?::TIMESTAMP AS current FROM requests WHERE `+w.sql+`) GROUP BY `+d.grouped()+`
		QUALIFY row_number() OVER (ORDER BY abs(n - old) DESC, `+d.ordered()+`) <= ? OR row_number() OVER (ORDER BY abs(bad - oldBad) DESC, `+d.ordered()+`) <= ?`,
		append(append([]any{v.From}, w.args...), maxMovers, maxMovers)...)
	if err != nil {
		return nil, nil, fmt.Errorf("compare %s: %w", d.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var now, before, bad, oldBad int64
		var name sql.NullString
		keys := make([]sql.NullString, len(d.cols))
		if err := rows.Scan(append(pointers(keys), &name, &now, &before, &bad, &oldBad)...); err != nil {
			return nil, nil, fmt.Errorf("compare %s: %w", d.Name, err)
		}
		b := breakdown{Dim: d}
		b.add(group{}, v, "/", keys, name.String)
		requests = append(requests, mover{Kind: d.Label, Group: b.Groups[0], Now: now, Before: before})
		errors = append(errors, mover{Kind: d.Label, Group: b.Groups[0], Now: bad, Before: oldBad})
	}
	return requests, errors, rows.Err()
}

// largest keeps the largest changes, and measures their bars.
func largest(all []mover, t taste) []mover {
	sort.SliceStable(all, func(i, j int) bool { return abs(all[i].Now-all[i].Before) > abs(all[j].Now-all[j].Before) })
	for i, m := range all {
		if i == maxMovers || m.Now == m.Before {
			all = all[:i]
			break
		}
	}
	named := map[string]int{}
	for _, m := range all {
		named[m.Kind+m.Group.Name]++
	}
	for i := range all {
		m := &all[i]
		if named[m.Kind+m.Group.Name] == 1 {
			m.Group.Note = ""
		}
		m.Delta = newDelta(float64(m.Now), float64(m.Before), t)
		m.Up = m.Now > m.Before
		m.Width = round2(float64(abs(m.Now-m.Before)) / float64(abs(all[0].Now-all[0].Before)) * 50)
		m.Offset = 50
		if !m.Up {
			m.Offset = 50 - m.Width
		}
	}
	return all
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

// moverTable is one of the two lists of movers.
type moverTable struct {
	Label, Class string
	All          []mover
}

func newMoverTable(label string, all []mover) moverTable {
	t := moverTable{Label: label, Class: "traffic", All: all}
	if label == "Errors" {
		t.Class = "errors"
	}
	return t
}
