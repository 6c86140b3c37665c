package console

import (
	"slices"
	"strconv"
	"strings"

	"github.com/stagelog/stagelog/internal/lake/query"
)

// dimension is a way to divide requests into groups that has panels and pages.
type dimension struct {
	Name   string // id, also in cache keys
	Plural string
	Label  string
	List   string            // path of the page of all groups; "" if none
	Path   string            // path of the page of one group; if "", links filter the current page
	by     []query.Dimension // that groups are formed by
	params []query.Dimension // filters that identify a group

	OfErrors bool // each group consists of errors only, or of none: its error rate is meaningless
}

func dimensions() []dimension {
	return []dimension{
		{Name: "customers", Plural: "Customers", Label: "Customer", List: "/customers", Path: "/customer",
			by: []query.Dimension{query.Customer}, params: []query.Dimension{query.Key}},
		{Name: "plans", Plural: "Plans", Label: "Plan", List: "/plans", by: []query.Dimension{query.Plan}, params: []query.Dimension{query.Plan}},
		{Name: "apis", Plural: "APIs", Label: "API", List: "/apis", Path: "/api", by: []query.Dimension{query.API}, params: []query.Dimension{query.API}},
		{Name: "stages", Plural: "Stages", Label: "Stage", by: []query.Dimension{query.API, query.Stage}, params: []query.Dimension{query.API, query.Stage}},
		{Name: "routes", Plural: "Routes", Label: "Route", List: "/routes", Path: "/route",
			by: []query.Dimension{query.Method, query.Route}, params: []query.Dimension{query.Method, query.Route}},
		{Name: "statuses", Plural: "Statuses", Label: "Status", by: []query.Dimension{query.Status}, params: []query.Dimension{query.Status}, OfErrors: true},
		{Name: "causes", Plural: "Errors", Label: "Message", by: []query.Dimension{query.Error}, params: []query.Dimension{query.Error}, OfErrors: true},
	}
}

// All returns the name of the groups within a sentence.
func (d dimension) All() string {
	if d.Name == "apis" {
		return d.Plural
	}
	return strings.ToLower(d.Plural)
}

// dim returns the dimension with a name.
func dim(name string) dimension {
	all := dimensions()
	i := slices.IndexFunc(all, func(d dimension) bool { return d.Name == name })
	if i < 0 {
		panic("BUG: no dimension " + name)
	}
	return all[i]
}

// about returns the dimensions whose filters identify the group of a page. Requests without a key may have a customer from an
// authorizer.
func (d dimension) about(v view) []query.Dimension {
	if d.Name == "customers" && v.value(query.Key) == none && v.value(query.Customer) != "" {
		return []query.Dimension{query.Key, query.Customer}
	}
	return d.params
}

// group is one group of a dimension.
type group struct {
	query.Row
	Name   string // for display
	Lead   string // shown before the name
	Note   string // distinguishes groups with the same name
	URL    string
	Status int64 // if the group is a status, else 0

	Part              float64 // of all requests
	Share, ErrorShare float64 // lengths of bars, in percent of the largest group's requests
}

// Nameless reports whether the group consists of requests without a value.
func (g group) Nameless() bool {
	last := g.Keys[len(g.Keys)-1]
	return last.Value == none && (last.Name == "" || last.Name == none)
}

// Change returns the change of requests since the previous period.
func (g group) Change() delta {
	return newDelta(float64(g.Requests), float64(g.Row.Before.Requests), neutral)
}

// LatencyP95 returns the 95th percentile in milliseconds, or NaN if there is none.
func (g group) LatencyP95() float64 { return orNaN(g.P95) }

// newGroup returns the group of a row, with its name and its URL for a page at path.
func (d dimension) newGroup(row query.Row, v view, path string) group {
	g := group{Row: row}
	if d.Name == "statuses" {
		g.Status, _ = strconv.ParseInt(row.Keys[0].Value, 10, 64) // 0 if missing
	}
	d.name(&g)
	to := path
	if d.Path != "" {
		to = d.Path
	}
	g.URL = v.with(d.conditions(row.Keys)...).URL(to)
	return g
}

// name sets the group's display name.
func (d dimension) name(g *group) {
	first, last := g.Keys[0], g.Keys[len(g.Keys)-1]
	switch d.Name {
	case "customers", "plans":
		g.Name, g.Note = first.Name, first.Value
		switch {
		case g.Nameless() && d.Name == "customers":
			g.Name, g.Note = "No API key", ""
		case g.Nameless():
			g.Name, g.Note = "none", ""
		case first.Name == none || first.Name == "":
			g.Name, g.Note = first.Value, ""
		case first.Value == none:
			g.Note = ""
		}
	default:
		g.Name = orMissing(last.Value)
		if len(g.Keys) > 1 {
			g.Lead = orMissing(first.Value)
		}
	}
}

func orMissing(value string) string {
	if value == none {
		return "none"
	}
	return value
}

// conditions returns the filter that selects exactly the requests of a group.
func (d dimension) conditions(keys []query.Value) []query.Condition {
	switch d.Name {
	case "customers":
		all := []query.Condition{query.Is(query.Key, keys[0].Value)}
		if keys[0].Value == none {
			all = append(all, query.Is(query.Customer, keys[0].Name))
		}
		return all
	case "plans":
		if keys[0].Value == none {
			return []query.Condition{query.Is(query.Plan, keys[0].Name)}
		}
	}
	all := make([]query.Condition, len(d.params))
	for i, p := range d.params {
		all[i] = query.Is(p, keys[i].Value)
	}
	return all
}
