package console

import (
	"context"
	"database/sql"
	"sort"

	"github.com/stagelog/stagelog/internal/lake/query"
)

// maxMovers bounds each list of movers.
const maxMovers = 6

// mover is a customer or a route that changed.
type mover struct {
	Kind          string // Customer, Route
	Group         group
	Now, Before   int64
	Delta         delta
	Width, Offset float64 // of its bar, in percent; the widest bar is 50 wide
	Up            bool
}

// movers holds the largest changes since the previous period.
type movers struct {
	Comparable bool // the previous period has requests
	Period     string
	Tables     []moverTable
}

// moverTable is a list of movers.
type moverTable struct {
	Label, Class string
	All          []mover
}

// change returns the customers and routes that changed most since the previous period.
func change(ctx context.Context, db *sql.DB, v view) (movers, error) {
	from, to := v.before()
	out := movers{Period: dates(from, to) + " " + v.ZoneName()}
	before := v.query()
	before.From, before.To = from, to
	var err error
	if out.Comparable, err = exists(ctx, db, before); err != nil || !out.Comparable {
		return out, err
	}
	var requests, errors []mover
	for _, name := range []string{"customers", "routes"} {
		ofRequests, ofErrors, err := changed(ctx, db, v, dim(name))
		if err != nil {
			return out, err
		}
		requests, errors = append(requests, ofRequests...), append(errors, ofErrors...)
	}
	out.Tables = []moverTable{{"Requests", "traffic", largest(requests, neutral)}, {"Errors", "errors", largest(errors, moreIsWorse)}}
	return out, nil
}

// changed returns the groups of one dimension whose requests or errors changed most.
func changed(ctx context.Context, db *sql.DB, v view, d dimension) (requests, errors []mover, err error) {
	q := v.compared()
	q.By, q.Order, q.Top, q.Current, q.RowsOnly = d.by, query.Changes, 2*maxMovers, false, true // enough for both lists
	r, err := query.Run(ctx, db, q)
	if err != nil {
		return nil, nil, err
	}
	for _, row := range r.Rows {
		g := d.newGroup(row, v, "/")
		requests = append(requests, mover{Kind: d.Label, Group: g, Now: row.Requests, Before: row.Before.Requests})
		errors = append(errors, mover{Kind: d.Label, Group: g, Now: row.Errors, Before: row.Before.Errors})
	}
	return requests, errors, nil
}

// largest returns the largest changes and sets the sizes of their bars.
func largest(all []mover, t trend) []mover {
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
