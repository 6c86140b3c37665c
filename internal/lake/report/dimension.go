package report

import (
	"fmt"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog/nearest"
	"github.com/stagelog/stagelog/internal/lake/table"
)

// Dimension is what requests are told apart by.
type Dimension string

// The dimensions. Customer and Plan go by id, as names repeat and change: their rows show the newest name. Where a request
// has a name and no id, as when an authorizer named the customer, the name itself tells.
const (
	Customer  Dimension = "customer"
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
)

// Dimensions is every dimension.
func Dimensions() []Dimension {
	return []Dimension{Customer, Plan, API, Stage, Method, Route, Path, Status, Class, Hour, Day, Month, IP, UserAgent, Error}
}

// ParseDimension is the dimension of that name.
func ParseDimension(name string) (Dimension, error) {
	names := make([]string, 0, len(Dimensions()))
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

// named says whether rows of d show a name beside the id.
func (d Dimension) named() bool { return d == Customer || d == Plan }

// idName is what tables call the ids of a named dimension.
func (d Dimension) idName() string {
	if d == Customer {
		return "key_id"
	}
	return "plan_id"
}

// timed says whether d cuts time into pieces.
func (d Dimension) timed() bool { return d == Hour || d == Day || d == Month }

// column is the column of the view that holds d, or "" where d is computed.
func (d Dimension) column() string {
	switch d {
	case API:
		return "api_id"
	case Stage, Method, Route, Path, IP, UserAgent, Error:
		return string(d)
	}
	return ""
}

// identity is the columns that hold the id and the name of a named dimension.
func (d Dimension) identity() (id, name string) {
	if d == Customer {
		return "key_id", "customer"
	}
	return "usage_plan_id", "usage_plan"
}

// columns is the SQL expressions that the rows of d are made of. Those of a named dimension are id and name.
func (d Dimension) columns(z zone) []string {
	switch d {
	case Customer, Plan:
		id, name := d.identity()
		return []string{id, name}
	case Status:
		return []string{"status"}
	case Class:
		return []string{"status // 100"}
	case Hour:
		// The offset too: where clocks go back, two hours have the same name.
		return []string{"date_trunc('hour', " + z.local("t") + ")", z.offset("t")}
	case Day:
		return []string{"CAST(" + z.local("t") + " AS DATE)"}
	case Month:
		return []string{"date_trunc('month', " + z.local("t") + ")"}
	}
	return []string{d.column()}
}

// groups is the SQL expressions whose values tell the rows of d apart, over its columns: the name only where there is no id.
func (d Dimension) groups(columns []string) []string {
	if d.named() {
		return []string{columns[0], fmt.Sprintf("if(%s IS NULL, %s, NULL)", columns[0], columns[1])}
	}
	return columns
}

// text is the SQL expression for what a row of d shows, over the expressions that groups gives.
func (d Dimension) text(z zone, groups []string) string {
	g := groups[0]
	switch d {
	case Status:
		g = "CAST(" + g + " AS VARCHAR)"
	case Class:
		g += " || 'xx'"
	case Hour:
		g = fmt.Sprintf("strftime(%s, '%%Y-%%m-%%dT%%H:%%M') || %s", g, z.suffix(groups[1]))
	case Day:
		g = fmt.Sprintf("strftime(%s, '%%Y-%%m-%%d')", g)
	case Month:
		g = fmt.Sprintf("strftime(%s, '%%Y-%%m')", g)
	}
	return "coalesce(" + g + ", '-')"
}
