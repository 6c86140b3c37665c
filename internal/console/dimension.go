package console

import (
	"slices"
	"strings"
)

// dimension is a way to divide requests into groups.
type dimension struct {
	Name   string // in addresses of cached results and as an id
	Plural string
	Label  string
	List   string   // the page of all its groups, "" is none
	Path   string   // the page of one group, "" filters the page that one is on
	params []string // filters that together name a group; none where one cannot filter by it
	cols   []string // columns that make a group, as many as params where there are some
	named  string   // SQL of a name beside the columns, "" is none

	OfErrors bool // its groups are errors or not as a whole: a rate of errors would say nothing
}

// The dimensions.
func dimensions() []dimension {
	return []dimension{
		{Name: "customers", Plural: "Customers", Label: "Customer", List: "/customers", Path: "/customer",
			params: []string{"key"}, cols: []string{"key_id"}, named: "arg_max(customer, time)"},
		{Name: "plans", Plural: "Plans", Label: "Plan", List: "/plans", params: []string{"plan"}, cols: []string{"usage_plan"}},
		{Name: "apis", Plural: "APIs", Label: "API", List: "/apis", Path: "/api", params: []string{"api"}, cols: []string{"api_id"}},
		{Name: "stages", Plural: "Stages", Label: "Stage", params: []string{"api", "stage"}, cols: []string{"api_id", "stage"}},
		{Name: "routes", Plural: "Routes", Label: "Route", List: "/routes", Path: "/route",
			params: []string{"method", "route"}, cols: []string{"method", "route"}},
		{Name: "statuses", Plural: "Statuses", Label: "Status", params: []string{"status"}, cols: []string{"status"}, OfErrors: true},
		{Name: "causes", Plural: "Errors", Label: "Message", cols: []string{"error"}, OfErrors: true},
	}
}

// All names the groups in the middle of a sentence.
func (d dimension) All() string {
	if d.Name == "apis" {
		return d.Plural
	}
	return strings.ToLower(d.Plural)
}

// dim is the dimension of that name.
func dim(name string) dimension {
	all := dimensions()
	i := slices.IndexFunc(all, func(d dimension) bool { return d.Name == name })
	if i < 0 {
		panic("BUG: no dimension " + name)
	}
	return all[i]
}

// group is what is known of one group of a dimension.
type group struct {
	Keys   []string // the values of the columns, none where there is none
	Name   string   // what people call it
	Lead   string   // stands before the name
	Note   string   // tells groups of one name apart
	URL    string   // "" is no page
	Status int64    // of a status, else 0

	Requests, Before         int64
	ClientErrors, ServerErrs int64
	P95                      float64 // milliseconds
	Bytes                    int64
	Part                     float64 // of all requests
	Share, ErrorShare        float64 // of the largest group's requests, in percent: lengths of bars
}

// ErrorRate is the share of requests that were errors.
func (g group) ErrorRate() float64 {
	return ratio(float64(g.ClientErrors+g.ServerErrs), float64(g.Requests))
}

// Nameless says that the group is of requests without a value.
func (g group) Nameless() bool { return g.Keys[len(g.Keys)-1] == none }

// Change is how requests changed since the period before.
func (g group) Change() delta { return newDelta(float64(g.Requests), float64(g.Before), plain) }

// identify gives the group its name and its address, on a page at path.
func (d dimension) identify(g *group, v view, path, name string) {
	shown := make([]string, len(g.Keys))
	for i, k := range g.Keys {
		shown[i] = k
		if k == none {
			shown[i] = "none"
		}
	}
	switch d.Name {
	case "customers":
		g.Name, g.Note = name, shown[0]
		if name == "" {
			g.Name, g.Note = shown[0], ""
		}
		if g.Keys[0] == none {
			g.Name, g.Note = "No API key", ""
		}
	case "stages", "routes":
		g.Name, g.Lead = shown[1], shown[0]
	default:
		g.Name = shown[0]
	}
	if len(d.params) == 0 {
		return
	}
	to := path
	if d.Path != "" {
		to = d.Path
	}
	change := make([]string, 0, 4)
	for i, param := range d.params {
		change = append(change, param, g.Keys[i])
	}
	g.URL = v.URL(to, change...)
}
