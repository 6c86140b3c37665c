package console

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/lake/query"
)

// none is the pattern that selects requests without a value.
const none = query.Missing

// inputs returns the dimensions with a field in the filter form. Other conditions are entered in its field "where".
func inputs() []query.Dimension {
	return []query.Dimension{query.Customer, query.Key, query.Plan, query.API, query.Stage, query.Method, query.Route, query.Path,
		query.Status, query.IP, query.UserAgent, query.Error}
}

// view is the period and filter of a URL.
type view struct {
	period
	filter query.Filter
}

// parseView parses the filters of a URL: customer=Acme, customer!=Acme and, sent by the form, where=customer=Acme.
func parseView(v url.Values, p period) (view, error) {
	out := view{period: p}
	for _, d := range query.Dimensions() {
		for _, name := range []string{string(d), string(d) + "!"} {
			for _, pattern := range v[name] {
				if pattern = strings.TrimSpace(pattern); pattern == "" {
					continue
				}
				c, err := query.ParseCondition(name, pattern)
				if err != nil {
					return out, err
				}
				out.filter = append(out.filter, c)
			}
		}
	}
	for _, text := range v["where"] {
		also, err := query.ParseFilter(strings.TrimSpace(text))
		if err != nil {
			return out, err
		}
		out.filter = append(out.filter, also...)
	}
	return out, nil
}

// value returns the only value of d that the filter selects, or "" if it selects several or all.
func (v view) value(d query.Dimension) string {
	value := ""
	for _, c := range v.filter {
		if c.Dimension != d {
			continue
		}
		one, ok := c.Value()
		if !ok || value != "" {
			return ""
		}
		value = one
	}
	return value
}

// chip is one filter of a view and the URL that removes it.
type chip struct{ Label, Value, Remove string }

// chips returns the filters of the view, except on the fixed dimensions. names holds the display names of values.
func (v view) chips(path string, fixed []query.Dimension, names map[query.Condition]string) []chip {
	var all []chip
	for i, c := range v.filter {
		if slices.Contains(fixed, c.Dimension) {
			continue
		}
		rest := v
		rest.filter = slices.Delete(slices.Clone(v.filter), i, i+1)
		shown := chip{Label: c.Dimension.Label(), Value: c.Pattern, Remove: rest.URL(path)}
		if name := names[c]; name != "" {
			shown.Value = name
		}
		if c.Pattern == none {
			shown.Value = "none"
		}
		if c.Not {
			shown.Label += " not"
		}
		all = append(all, shown)
	}
	return all
}

// URL returns the URL of a page with this view, changed by pairs of parameter and value; "" removes a parameter.
func (v view) URL(path string, change ...string) string {
	q := url.Values{}
	if v.Name == "custom" {
		q.Set("from", v.inAddress(v.From))
		q.Set("to", v.inAddress(v.To))
	} else if v.Name != defaultSpan && v.Name != "" {
		q.Set("range", v.Name)
	}
	if zone := v.ZoneName(); zone != utc {
		q.Set("zone", zone)
	}
	for _, c := range v.filter {
		q.Add(c.Name(), c.Pattern)
	}
	for i := 0; i+1 < len(change); i += 2 {
		if change[i] == "range" {
			q.Del("from")
			q.Del("to")
			q.Del("range")
		}
		if change[i+1] == "" || change[i] == "range" && change[i+1] == defaultSpan {
			q.Del(change[i])
		} else {
			q.Set(change[i], change[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// with returns the view with these conditions, which replace its own on the same dimensions.
func (v view) with(conditions ...query.Condition) view {
	v = v.keep(func(d query.Dimension) bool {
		return !slices.ContainsFunc(conditions, func(c query.Condition) bool { return c.Dimension == d })
	})
	v.filter = append(v.filter, conditions...)
	return v
}

// without returns the view without its filters on some dimensions.
func (v view) without(dimensions []query.Dimension) view {
	return v.keep(func(d query.Dimension) bool { return !slices.Contains(dimensions, d) })
}

// only returns the view with only its filters on some dimensions.
func (v view) only(dimensions []query.Dimension) view {
	return v.keep(func(d query.Dimension) bool { return slices.Contains(dimensions, d) })
}

func (v view) keep(wanted func(query.Dimension) bool) view {
	v.filter = slices.DeleteFunc(slices.Clone(v.filter), func(c query.Condition) bool { return !wanted(c.Dimension) })
	return v
}

// query returns the query for the view's requests, without dimensions.
func (v view) query() query.Query {
	return query.Query{From: v.From, To: v.To, Filter: v.filter, Zone: v.zone, CountsOnly: true}
}

// compared returns the view's query, with the previous period for each row.
func (v view) compared() query.Query {
	q := v.query()
	_, until := v.before()
	q.Compare, q.CompareUntil, q.Current = true, until, true
	return q
}

// ever returns the view's query without its range.
func (v view) ever() query.Query {
	return query.Query{Filter: v.filter, Zone: v.zone}
}

// key returns the view's cache key.
func (v view) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d-%d %s", v.From.Unix(), v.To.Unix(), v.ZoneName())
	for _, c := range v.filter {
		fmt.Fprintf(&b, " %q", c)
	}
	return b.String()
}

// exists reports whether a query selects any request.
func exists(ctx context.Context, db *sql.DB, q query.Query) (found bool, err error) {
	w, err := query.Where(ctx, db, q)
	if err != nil {
		return false, err
	}
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (FROM requests WHERE `+w.SQL+`)`, w.Args...).Scan(&found); err != nil {
		return false, fmt.Errorf("find requests: %w", err)
	}
	return found, nil
}
