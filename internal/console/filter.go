package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// none is the value of a filter that wants rows without a value. A lake has NULL where a log line has "-".
const none = "-"

// field is a column that a view can be filtered by.
type field struct {
	Param  string // in an address
	Label  string
	column string
}

// fields are the columns that a view can be filtered by, in the order of their chips.
func fields() []field {
	return []field{
		{"customer", "Customer", "customer"},
		{"key", "Key", "key_id"},
		{"plan", "Plan", "usage_plan"},
		{"api", "API", "api_id"},
		{"stage", "Stage", "stage"},
		{"method", "Method", "method"},
		{"route", "Route", "route"},
		{"status", "Status", "status"},
	}
}

// view is what an address asks to see.
type view struct {
	period
	filter map[string]string // by field.Param
}

func parseView(v url.Values, p period) (view, error) {
	out := view{period: p, filter: map[string]string{}}
	for _, f := range fields() {
		if value := strings.TrimSpace(v.Get(f.Param)); value != "" {
			out.filter[f.Param] = value
		}
	}
	if s, ok := out.filter["status"]; ok {
		if _, _, err := statusRange(s); err != nil {
			return out, err
		}
	}
	return out, nil
}

// statusRange is the statuses that a filter wants: 404, 5xx, or errors.
func statusRange(s string) (low, high int, err error) {
	if s == none {
		return 0, 0, nil
	}
	if s == "errors" {
		return 400, 599, nil
	}
	if len(s) == 3 && s[0] >= '1' && s[0] <= '5' && strings.EqualFold(s[1:], "xx") {
		low = int(s[0]-'0') * 100
		return low, low + 99, nil
	}
	if n, err := strconv.Atoi(s); err == nil && n >= 100 && n <= 599 {
		return n, n, nil
	}
	return 0, 0, fmt.Errorf("status=%s is no status: use one like 404, a class like 5xx, or errors", s)
}

// Value is what the filter wants of a field, "" is everything.
func (v view) Value(param string) string { return v.filter[param] }

// chip is one filter of a view, and the address without it.
type chip struct{ Param, Label, Value, Remove string }

// chips are the filters of the view, but for those that the page is about.
func (v view) chips(path string, fixed []string) []chip {
	var all []chip
	for _, f := range fields() {
		if value, ok := v.filter[f.Param]; ok && !slices.Contains(fixed, f.Param) {
			if value == none {
				value = "none"
			}
			all = append(all, chip{f.Param, f.Label, value, v.URL(path, f.Param, "")})
		}
	}
	return all
}

// URL is the address of a page with this view, changed by pairs of name and value; "" removes.
func (v view) URL(path string, change ...string) string {
	q := url.Values{}
	if v.Name == "custom" {
		q.Set("from", v.From.Format(timeLayout))
		q.Set("to", v.To.Format(timeLayout))
	} else if v.Name != defaultSpan && v.Name != "" {
		q.Set("range", v.Name)
	}
	for param, value := range v.filter {
		q.Set(param, value)
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

// without is the view without some of its filters.
func (v view) without(params []string) view {
	return v.keep(func(param string) bool { return !slices.Contains(params, param) })
}

// only is the view with some of its filters.
func (v view) only(params []string) view {
	return v.keep(func(param string) bool { return slices.Contains(params, param) })
}

func (v view) keep(wanted func(param string) bool) view {
	filter := map[string]string{}
	for param, value := range v.filter {
		if wanted(param) {
			filter[param] = value
		}
	}
	v.filter = filter
	return v
}

// clause is a condition in SQL and the values to bind.
type clause struct {
	sql  string
	args []any
}

// where is the condition of the view's range and filters.
func (v view) where() clause {
	return v.filters().and("time >= ?::TIMESTAMP AND time < ?::TIMESTAMP", v.From, v.To)
}

// filters is the condition of the view's filters, over all time.
func (v view) filters() clause {
	c := clause{sql: "true"}
	for _, f := range fields() {
		value, ok := v.filter[f.Param]
		switch {
		case !ok:
		case value == none:
			c = c.and(f.column + " IS NULL")
		case f.Param == "status":
			low, high, _ := statusRange(value) // parseView has checked it
			c = c.and("status BETWEEN ? AND ?", low, high)
		default:
			c = c.and(f.column+" = ?", value)
		}
	}
	return c
}

// and adds a condition.
func (c clause) and(sql string, args ...any) clause {
	out := clause{sql: sql, args: append(append([]any{}, c.args...), args...)}
	if c.sql != "true" {
		out.sql = c.sql + " AND " + sql
	}
	return out
}

// key names the view among cached results.
func (v view) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d-%d", v.From.Unix(), v.To.Unix())
	for _, f := range fields() {
		if value, ok := v.filter[f.Param]; ok {
			fmt.Fprintf(&b, " %s=%q", f.Param, value)
		}
	}
	return b.String()
}
