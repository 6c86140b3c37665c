package console

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"time"
)

// subject is what a page is about: one customer, one API, one route.
type subject struct {
	Facts []fact
}

// fact is one thing known of a subject.
type fact struct{ Label, Value string }

// one serves the page of one group of a dimension.
func (c *Console) one(name string, parts ...string) http.HandlerFunc {
	d := dim(name)
	return func(w http.ResponseWriter, r *http.Request) {
		v, ok := c.view(w, r, d.Path)
		if !ok {
			return
		}
		for _, param := range d.params {
			if v.Value(param) == "" { // the page is about nothing: the list has something to choose from
				http.Redirect(w, r, v.URL(d.List), http.StatusSeeOther)
				return
			}
		}
		f := c.newFrame(r, d.Label, d.Path, &v, d.params...)
		f.Up = navItem{Label: d.Plural, URL: v.without(d.params).URL(d.List)}
		g := group{}
		for _, param := range d.params {
			g.Keys = append(g.Keys, v.Value(param))
		}
		d.identify(&g, v, d.Path, c.nameOf(r.Context(), d, v))
		f.Heading, f.Note = g.Name, g.Note
		f.Title = g.Name
		panels := append([]panel{{Name: "about " + name, Title: "About", Kind: "facts", Class: "full bare",
			load: func(ctx context.Context, db *sql.DB) (any, error) { return about(ctx, db, v, d) }}}, c.trends(v)...)
		for i, part := range parts {
			class := "third"
			if i >= 3 {
				class = "half"
			}
			panels = append(panels, topPanel(v, part, d.Path, class))
		}
		panels = append(panels, latest(v))
		c.board(w, r, f, panels)
	}
}

// nameOf is what people call the group that the view is about, "" where it has no other name.
func (c *Console) nameOf(ctx context.Context, d dimension, v view) string {
	if d.named == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	db, err := c.db(ctx)
	if err != nil {
		return "" // the board says why
	}
	w := v.only(d.params).filters()
	name, err := c.cached(ctx, v, "name of "+d.Name, func(ctx context.Context) (any, error) {
		var name sql.NullString
		err := db.QueryRowContext(ctx, `SELECT `+d.named+` FROM requests WHERE `+w.sql, w.args...).Scan(&name)
		return name.String, err
	})
	if err != nil {
		return ""
	}
	return name.(string)
}

// about is what is known of a subject over all time, whatever else the view filters by.
func about(ctx context.Context, db *sql.DB, v view, d dimension) (subject, error) {
	w := v.only(d.params).filters()
	var first, last sql.NullTime
	var total int64
	var plans, apis, stages sql.NullString
	err := db.QueryRowContext(ctx, `SELECT min(time), max(time), count(*), string_agg(DISTINCT usage_plan, ', ' ORDER BY usage_plan),
			string_agg(DISTINCT api_id, ', ' ORDER BY api_id), string_agg(DISTINCT stage, ', ' ORDER BY stage)
		FROM requests WHERE `+w.sql, w.args...).Scan(&first, &last, &total, &plans, &apis, &stages)
	if err != nil {
		return subject{}, fmt.Errorf("read about %s: %w", d.Label, err)
	}
	out := subject{Facts: []fact{{"Requests in all", count(total)}}}
	if last.Valid {
		out.Facts = append(out.Facts, fact{"First", stamp(first.Time)}, fact{"Last", stamp(last.Time)})
	}
	for _, f := range []struct {
		label string
		value sql.NullString
	}{{"Plans", plans}, {"APIs", apis}, {"Stages", stages}} {
		if f.value.Valid && !(f.label == "APIs" && d.Name == "apis") {
			out.Facts = append(out.Facts, fact{f.label, f.value.String})
		}
	}
	return out, nil
}

// latest is the newest few requests of the view.
func latest(v view) panel {
	return panel{Name: "latest", Title: "Latest requests", Kind: "requests", Class: "full", load: func(ctx context.Context, db *sql.DB) (any, error) {
		list, err := readRequests(ctx, db, v, "")
		if len(list.Requests) > latestRequests {
			list.Requests, list.Older = list.Requests[:latestRequests], v.URL("/requests")
		}
		list.Short = true
		return list, err
	}}
}

// latestRequests is how many requests a subject's page ends with.
const latestRequests = 12
