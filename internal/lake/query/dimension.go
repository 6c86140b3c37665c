package query

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog/nearest"
	"github.com/stagelog/stagelog/internal/lake/table"
)

// Dimension is a property that requests are grouped and filtered by.
type Dimension string

// The dimensions. Customer and Plan group by id, as names repeat and change, and show the newest name. A request that
// has a name and no id, as when an authorizer named the customer, is grouped by the name.
const (
	Customer  Dimension = "customer"
	Key       Dimension = "key" // id of the API key
	Plan      Dimension = "plan"
	API       Dimension = "api"
	Stage     Dimension = "stage"
	Method    Dimension = "method"
	Route     Dimension = "route"
	Path      Dimension = "path"
	Status    Dimension = "status"
	Class     Dimension = "class" // of the status: 2xx, 4xx, 5xx
	Hour      Dimension = "hour"
	Day       Dimension = "day"
	Month     Dimension = "month"
	IP        Dimension = "ip"
	UserAgent Dimension = "user_agent"
	Error     Dimension = "error"

	// Step divides the period into columns of Query.Every, numbered from 0. Filters cannot use it.
	Step Dimension = "step"
)

// property describes a dimension.
type property struct {
	dimension Dimension
	label     string
	column    string // of the view requests; "" where SQL computes the value
	id        string // column of the id, if column holds a name
	idName    string // name of that id in tables and JSON
}

var properties = []property{
	{Customer, "Customer", "customer", "key_id", "key_id"},
	{Key, "Key", "key_id", "", ""},
	{Plan, "Plan", "usage_plan", "usage_plan_id", "plan_id"},
	{API, "API", "api_id", "", ""},
	{Stage, "Stage", "stage", "", ""},
	{Method, "Method", "method", "", ""},
	{Route, "Route", "route", "", ""},
	{Path, "Path", "path", "", ""},
	{Status, "Status", "", "", ""},
	{Class, "Class", "", "", ""},
	{Hour, "Hour", "", "", ""},
	{Day, "Day", "", "", ""},
	{Month, "Month", "", "", ""},
	{IP, "IP", "ip", "", ""},
	{UserAgent, "User agent", "user_agent", "", ""},
	{Error, "Error", "error", "", ""},
}

// Dimensions returns all dimensions that users can name.
func Dimensions() []Dimension {
	all := make([]Dimension, len(properties))
	for i, p := range properties {
		all[i] = p.dimension
	}
	return all
}

// ParseDimension returns the dimension of that name.
func ParseDimension(name string) (Dimension, error) {
	names := make([]string, 0, len(properties))
	for _, d := range Dimensions() {
		if string(d) == name {
			return d, nil
		}
		names = append(names, string(d))
	}
	if like, ok := nearest.Name(name, names); ok {
		return "", fmt.Errorf("unknown dimension %s: did you mean %s?", table.Printable(name), like)
	}
	return "", fmt.Errorf("unknown dimension %s: expected one of %s", table.Printable(name), strings.Join(names, ", "))
}

func (d Dimension) property() property {
	i := slices.IndexFunc(properties, func(p property) bool { return p.dimension == d })
	if i < 0 {
		return property{dimension: d}
	}
	return properties[i]
}

// Label returns the dimension's name for people.
func (d Dimension) Label() string { return d.property().label }

// Named reports whether rows of d show a name beside an id.
func (d Dimension) Named() bool { return d == Customer || d == Plan }

// Column returns the column of the view requests that has the values of d, and the names where d is named; "" where the
// values are computed.
func (d Dimension) Column() string { return d.property().column }

// IDName returns what tables call the ids of a named dimension.
func (d Dimension) IDName() string { return d.property().idName }

// Timed reports whether d divides time into hours, days or months.
func (d Dimension) Timed() bool { return d == Hour || d == Day || d == Month }

// scope holds what the SQL of dimensions depends on.
type scope struct {
	zone  zone
	time  string // the expression for a request's time
	steps string // the expression for its column of the chart
}

// columns returns the SQL expressions of d: id and name of a named dimension, one or two expressions of another.
func (s scope) columns(d Dimension) []string {
	switch d {
	case Customer, Plan:
		p := d.property()
		return []string{p.id, p.column}
	case Status:
		return []string{"status"}
	case Class:
		return []string{"status // 100"}
	case Hour:
		// With the offset, because two hours have the same name when clocks go back.
		return []string{"date_trunc('hour', " + s.zone.local(s.time) + ")", s.zone.offset(s.time)}
	case Day:
		return []string{"CAST(" + s.zone.local(s.time) + " AS DATE)"}
	case Month:
		return []string{"date_trunc('month', " + s.zone.local(s.time) + ")"}
	case Step:
		return []string{s.steps}
	}
	return []string{d.property().column}
}

// groups returns the SQL expressions, over the columns of d, that distinguish its rows. A name is used only if there is no id.
func (d Dimension) groups(columns []string) []string {
	if d.Named() {
		return []string{columns[0], fmt.Sprintf("if(%s IS NULL, %s, NULL)", columns[0], columns[1])}
	}
	return columns
}

// text returns the SQL expression of the text that a row of d shows, over the expressions of groups.
func (s scope) text(d Dimension, groups []string) string {
	g := groups[0]
	switch d {
	case Status, Step:
		g = "CAST(" + g + " AS VARCHAR)"
	case Class:
		g += " || 'xx'"
	case Hour:
		g = fmt.Sprintf("strftime(%s, '%%Y-%%m-%%dT%%H:%%M') || %s", g, s.zone.suffix(groups[1]))
	case Day:
		g = fmt.Sprintf("strftime(%s, '%%Y-%%m-%%d')", g)
	case Month:
		g = fmt.Sprintf("strftime(%s, '%%Y-%%m')", g)
	}
	return "coalesce(" + g + ", '-')"
}
