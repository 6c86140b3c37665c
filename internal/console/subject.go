package console

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stagelog/stagelog/internal/lake/query"
)

// fact is a labelled value.
type fact struct{ Label, Value string }

// one serves the page of one group of a dimension.
func (c *Console) one(name string, parts ...string) http.HandlerFunc {
	d := dim(name)
	return func(w http.ResponseWriter, r *http.Request) {
		v, ok := c.view(w, r, d.Path)
		if !ok {
			return
		}
		keys := make([]query.Value, len(d.params))
		for i, param := range d.params {
			if keys[i].Value = v.value(param); keys[i].Value == "" { // no subject: redirect to the list
				http.Redirect(w, r, v.URL(d.List), http.StatusSeeOther)
				return
			}
		}
		fixed := d.about(v)
		keys[0].Name = c.nameOf(r.Context(), d.by[0], v.only(fixed))
		g := group{Row: query.Row{Keys: keys}}
		d.name(&g)
		f := c.newFrame(r, d.Label, d.Path, &v, fixed...)
		f.Up = navItem{Label: d.Plural, URL: v.without(fixed).URL(d.List)}
		f.Heading, f.Note = g.Name, g.Note
		f.Title = g.Name
		panels := append([]panel{{Name: "about " + name, Title: "About", Kind: "facts", Class: "full bare",
			load: func(ctx context.Context, db *sql.DB) (any, error) { return about(ctx, db, v.only(fixed), d) }}}, c.trends(v)...)
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

// nameOf returns the newest name of the view's requests in a named dimension, or "" if there is none.
func (c *Console) nameOf(ctx context.Context, d query.Dimension, v view) string {
	if !d.Named() {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	db, err := c.db(ctx)
	if err != nil {
		return "" // board reports the error
	}
	name, err := c.cached(ctx, v, "name of "+string(d), func(ctx context.Context) (any, error) {
		w, err := query.Where(ctx, db, v.ever())
		if err != nil {
			return "", err
		}
		w = w.And(d.Column() + " IS NOT NULL")
		var name string
		err = db.QueryRowContext(ctx, `SELECT `+d.Column()+` FROM requests WHERE `+w.SQL+` ORDER BY time DESC NULLS LAST LIMIT 1`, w.Args...).Scan(&name)
		if errors.Is(err, sql.ErrNoRows) {
			return "", nil
		}
		return name, err
	})
	if err != nil {
		return ""
	}
	return name.(string)
}

// about returns facts about the group that the view selects, over all times.
func about(ctx context.Context, db *sql.DB, v view, d dimension) ([]fact, error) {
	w, err := query.Where(ctx, db, v.ever())
	if err != nil {
		return nil, err
	}
	var first, last sql.NullTime
	var total int64
	var plans, apis, stages sql.NullString
	err = db.QueryRowContext(ctx, `SELECT min(time), max(time), count(*), string_agg(DISTINCT usage_plan, ', ' ORDER BY usage_plan),
			string_agg(DISTINCT api_id, ', ' ORDER BY api_id), string_agg(DISTINCT stage, ', ' ORDER BY stage)
		FROM requests WHERE `+w.SQL, w.Args...).Scan(&first, &last, &total, &plans, &apis, &stages)
	if err != nil {
		return nil, fmt.Errorf("read the facts of %s: %w", d.Label, err)
	}
	all := []fact{{"Total requests", count(total)}}
	if last.Valid {
		all = append(all, fact{"First", stamp(first.Time.In(v.zone))}, fact{"Last", stamp(last.Time.In(v.zone))})
	}
	for _, f := range []struct {
		label string
		value sql.NullString
	}{{"Plans", plans}, {"APIs", apis}, {"Stages", stages}} {
		if f.value.Valid && !(f.label == "APIs" && d.Name == "apis") {
			all = append(all, fact{f.label, f.value.String})
		}
	}
	return all, nil
}

// latest returns the panel of the view's newest requests.
func latest(v view) panel {
	return panel{Name: "latest", Title: "Latest requests", Kind: "requests", Class: "full", load: func(ctx context.Context, db *sql.DB) (any, error) {
		list, err := readRequests(ctx, db, v, nil)
		if len(list.Requests) > latestRequests {
			list.Requests, list.Older = list.Requests[:latestRequests], v.URL("/requests")
		}
		list.Short = true
		return list, err
	}}
}

// latestRequests is the number of requests at the end of a subject's page.
const latestRequests = 12
