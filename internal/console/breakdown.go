package console

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	topGroups  = 8   // on a panel
	pageGroups = 200 // on a page of their own
)

// breakdown is the groups of a dimension, the largest first.
type breakdown struct {
	Dim    dimension
	Groups []group
	More   bool   // there are others
	All    string // the address of the page with more of them
}

// top is the largest groups, for a panel on the page at path.
func top(ctx context.Context, db *sql.DB, v view, d dimension, path string) (breakdown, error) {
	w := v.where()
	if d.Name == "causes" {
		w = w.and("error IS NOT NULL")
	}
	out := breakdown{Dim: d}
	named := "NULL"
	if d.named != "" {
		named = d.named
	}
	rows, err := db.QueryContext(ctx, `SELECT `+d.selected()+`, `+named+`, count(*) AS n,
			count(*) FILTER (status BETWEEN 400 AND 499), count(*) FILTER (status BETWEEN 500 AND 599), n / sum(n) OVER ()
		FROM requests WHERE `+w.sql+` GROUP BY `+d.grouped()+` ORDER BY n DESC, `+d.ordered()+` LIMIT ?`, append(w.args, topGroups+1)...)
	if err != nil {
		return out, fmt.Errorf("count %s: %w", d.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var g group
		var name sql.NullString
		keys := make([]sql.NullString, len(d.cols))
		if err := rows.Scan(append(pointers(keys), &name, &g.Requests, &g.ClientErrors, &g.ServerErrs, &g.Part)...); err != nil {
			return out, fmt.Errorf("count %s: %w", d.Name, err)
		}
		out.add(g, v, path, keys, name.String)
	}
	out.finish(topGroups, v)
	out.shorten()
	return out, rows.Err()
}

// selected is the columns of a group, as text.
func (d dimension) selected() string {
	all := make([]string, len(d.cols))
	for i, c := range d.cols {
		all[i] = c + "::VARCHAR"
	}
	return strings.Join(all, ", ")
}

func (d dimension) grouped() string { return strings.Join(d.cols, ", ") }

func (d dimension) ordered() string { return strings.Join(d.cols, " NULLS LAST, ") + " NULLS LAST" }

func pointers(keys []sql.NullString) []any {
	all := make([]any, len(keys))
	for i := range keys {
		all[i] = &keys[i]
	}
	return all
}

func (b *breakdown) add(g group, v view, path string, keys []sql.NullString, name string) {
	for _, k := range keys {
		if !k.Valid {
			k.String = none
		}
		g.Keys = append(g.Keys, k.String)
	}
	if b.Dim.Name == "statuses" {
		g.Status, _ = strconv.ParseInt(g.Keys[0], 10, 64) // 0 where there is none
	}
	b.Dim.identify(&g, v, path, name)
	b.Groups = append(b.Groups, g)
}

// finish cuts the groups to limit and measures their bars.
func (b *breakdown) finish(limit int, v view) {
	if len(b.Groups) > limit {
		b.Groups, b.More = b.Groups[:limit], true
	}
	if b.Dim.List != "" {
		b.All = v.URL(b.Dim.List)
	}
	most := int64(1)
	for _, g := range b.Groups {
		most = max(most, g.Requests)
	}
	for i := range b.Groups {
		g := &b.Groups[i]
		g.Share = round2(float64(g.Requests) / float64(most) * 100)
		if b.Dim.OfErrors {
			continue
		}
		g.ErrorShare = round2(float64(g.ClientErrors+g.ServerErrs) / float64(most) * 100)
	}
}

// shorten leaves notes out where names tell the groups apart: a panel has little room.
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
type order struct{ Name, Label, sql string }

// orders are the columns of a page of groups that one can sort by.
func orders() []order {
	return []order{
		{"requests", "Requests", "n DESC"}, {"change", "Change", "abs(n - before) DESC"}, {"errors", "Errors", "bad DESC"},
		{"latency", "p95", "p95 DESC NULLS LAST"}, {"bytes", "Data out", "bytes DESC NULLS LAST"},
	}
}

// listing is a page of all groups of a dimension.
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
		by := max(0, slices.IndexFunc(all, func(o order) bool { return o.Name == r.URL.Query().Get("sort") }))
		f := c.newFrame(r, d.Plural, d.List, &v)
		c.board(w, r, f, []panel{{Name: name + " by " + all[by].Name, Title: "By " + strings.ToLower(all[by].Label), Kind: "list", Class: "full",
			load: func(ctx context.Context, db *sql.DB) (any, error) {
				b, err := detailed(ctx, db, v, d, all[by])
				out := listing{breakdown: b}
				for i, o := range all {
					out.Sorts = append(out.Sorts, navItem{o.Label, v.URL(d.List, "sort", o.Name), i == by})
				}
				return out, err
			}}})
	}
}

// detailed is the groups with everything that is known of them, and how they were in the period before.
func detailed(ctx context.Context, db *sql.DB, v view, d dimension, by order) (breakdown, error) {
	out := breakdown{Dim: d}
	named := "NULL"
	if d.named != "" {
		named = d.named
	}
	from, to := v.before()
	w := v.filters().and("(time >= ?::TIMESTAMP AND time < ?::TIMESTAMP OR time >= ?::TIMESTAMP AND time < ?::TIMESTAMP)", from, to, v.From, v.To)
	rows, err := db.QueryContext(ctx, `SELECT `+d.selected()+`, `+named+`,
			count(*) FILTER (current) AS n, count(*) FILTER (NOT current) AS before,
			count(*) FILTER (current AND status BETWEEN 400 AND 499) AS client, count(*) FILTER (current AND status BETWEEN 500 AND 599) AS server,
			client + server AS bad, quantile_disc(latency, 0.95) FILTER (current)::DOUBLE AS p95, sum(bytes) FILTER (current)::BIGINT AS bytes
		FROM (SELECT *, time >= ?::TIMESTAMP AS current FROM requests WHERE `+w.sql+`) GROUP BY `+d.grouped()+`
		HAVING n > 0 ORDER BY `+by.sql+`, n DESC, `+d.ordered()+` LIMIT ?`, append(append([]any{v.From}, w.args...), pageGroups+1)...)
	if err != nil {
		return out, fmt.Errorf("list %s: %w", d.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var g group
		var name sql.NullString
		var bad int64
		var p95 sql.NullFloat64
		var size sql.NullInt64
		keys := make([]sql.NullString, len(d.cols))
		if err := rows.Scan(append(pointers(keys), &name, &g.Requests, &g.Before, &g.ClientErrors, &g.ServerErrs, &bad, &p95, &size)...); err != nil {
			return out, fmt.Errorf("list %s: %w", d.Name, err)
		}
		g.P95, g.Bytes = orNaN(p95), size.Int64
		out.add(g, v, "/", keys, name.String)
	}
	out.finish(pageGroups, v)
	return out, rows.Err()
}
