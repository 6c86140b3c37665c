package console

import (
	"context"
	"database/sql"
	"net/http"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/lake/query"
)

const (
	topGroups  = 8   // on a panel
	pageGroups = 200 // on a page of all groups
)

// breakdown holds groups of a dimension, largest first.
type breakdown struct {
	Dim    dimension
	Groups []group
	More   bool   // there are more groups
	All    string // URL of the page with all of them
}

// top returns the largest groups, for a panel on the page at path.
func top(ctx context.Context, db *sql.DB, v view, d dimension, path string) (breakdown, error) {
	q := v.query()
	q.By, q.Top, q.RowsOnly = d.by, topGroups, true
	if d.Name == "causes" {
		q.Filter = append(slices.Clone(q.Filter), query.Condition{Dimension: query.Error, Not: true, Pattern: none})
	}
	r, err := query.Run(ctx, db, q)
	if err != nil {
		return breakdown{Dim: d}, err
	}
	b := newBreakdown(r, v, d, path)
	b.shorten()
	return b, nil
}

// newBreakdown returns the groups of a result, with bars.
func newBreakdown(r *query.Result, v view, d dimension, path string) breakdown {
	b := breakdown{Dim: d, More: r.Others != nil}
	if d.List != "" {
		b.All = v.URL(d.List)
	}
	most := int64(1)
	for _, row := range r.Rows {
		most = max(most, row.Requests)
	}
	for _, row := range r.Rows {
		g := d.newGroup(row, v, path)
		g.Part = query.Share(row.Requests, r.Total.Requests)
		g.Share = round2(query.Share(row.Requests, most) * 100)
		if !d.OfErrors {
			g.ErrorShare = round2(query.Share(row.Errors, most) * 100)
		}
		b.Groups = append(b.Groups, g)
	}
	return b
}

// shorten removes the notes of groups whose names are unique, because a panel has little space.
func (b *breakdown) shorten() {
	seen := map[string]int{}
	for _, g := range b.Groups {
		seen[g.Name]++
	}
	for i, g := range b.Groups {
		if seen[g.Name] == 1 {
			b.Groups[i].Note = ""
		}
	}
}

// order is a way to sort a page of groups.
type order struct {
	Name  query.Order
	Label string
}

// orders returns the sort orders of a page of groups.
func orders() []order {
	return []order{{query.Requests, "Requests"}, {query.Change, "Change"}, {query.Errors, "Errors"}, {query.Latency, "p95"}, {query.Bytes, "Data out"}}
}

// listing is the data of a page of all groups of a dimension.
type listing struct {
	breakdown
	Sorts []navItem
}

// list serves a page of all groups of a dimension.
func (c *Console) list(name string) http.HandlerFunc {
	d := dim(name)
	return func(w http.ResponseWriter, r *http.Request) {
		v, ok := c.view(w, r, d.List)
		if !ok {
			return
		}
		all := orders()
		by := max(0, slices.IndexFunc(all, func(o order) bool { return string(o.Name) == r.URL.Query().Get("sort") }))
		f := c.newFrame(r, d.Plural, d.List, &v)
		c.board(w, r, f, []panel{{Name: name + " by " + all[by].Label, Title: "By " + strings.ToLower(all[by].Label), Kind: "list", Class: "full",
			load: func(ctx context.Context, db *sql.DB) (any, error) {
				b, err := detailed(ctx, db, v, d, all[by].Name)
				out := listing{breakdown: b}
				for i, o := range all {
					out.Sorts = append(out.Sorts, navItem{o.Label, v.URL(d.List, "sort", string(o.Name)), i == by})
				}
				return out, err
			}}})
	}
}

// detailed returns the groups with all figures, compared with the previous period.
func detailed(ctx context.Context, db *sql.DB, v view, d dimension, by query.Order) (breakdown, error) {
	q := v.compared()
	q.By, q.Top, q.Order, q.CountsOnly, q.RowsOnly = d.by, pageGroups, by, false, true
	r, err := query.Run(ctx, db, q)
	if err != nil {
		return breakdown{Dim: d}, err
	}
	b := newBreakdown(r, v, d, "/")
	if d.Name == "plans" {
		b.shorten()
	}
	return b, nil
}
