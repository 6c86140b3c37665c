package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/lake/query"
)

// frame is what surrounds every page.
type frame struct {
	Title   string
	Heading string
	Note    string  // beside the heading
	Up      navItem // to the list that this page is one of; without a label there is none
	Path    string  // of the page, without filters
	Product string  // Config.Title
	Theme   string  // light, dark, or "" for the system's
	View    *view   // nil where the page has no range and filters
	Nav     []navGroup
	Spans   []navItem
	Chips   []chip
	Inputs  []input  // what one may filter by here
	Carried []hidden // filters that forms carry on
	Kept    []hidden // those of them that the form has no field for
	Ranged  []hidden // the range that forms carry on
	Zone    []hidden // the time zone that forms carry on; none is UTC
	Locked  bool     // signed in with a password: offers to sign out
	FillCmd string
	Refresh int // seconds after which a browser loads the page's content again; 0 is never
}

// navGroup is entries of the menu that belong together.
type navGroup struct {
	Label string
	Items []navItem
}

// navItem is a link of which one is the current.
type navItem struct {
	Label, URL string
	Current    bool
}

// hidden is a field that a form carries on.
type hidden struct{ Name, Value string }

// input is a filter to fill in.
type input struct{ Param, Label, Value string }

// newFrame has the menu and, where v is not nil, range and filters; fixed are the filters that the page is about.
func (c *Console) newFrame(r *http.Request, title, path string, v *view, fixed ...query.Dimension) frame {
	f := frame{
		Title: title, Heading: title, Path: path, Product: c.cfg.Title, Theme: theme(r), View: v,
		Locked: c.cfg.Password != "", FillCmd: c.cfg.FillCmd,
	}
	f.Nav = c.menu(path, v, fixed)
	if v == nil {
		return f
	}
	for _, s := range spans() {
		f.Spans = append(f.Spans, navItem{s.label, v.URL(path, "range", s.name), v.Name == s.name})
	}
	f.Chips = v.chips(path, fixed, c.namesOf(r.Context(), *v, fixed))
	f.Ranged = v.ranged()
	if v.ZoneName() != utc {
		f.Zone = []hidden{{"zone", v.ZoneName()}}
	}
	f.Inputs = v.inputs(fixed)
	for _, cond := range v.filter {
		f.Carried = append(f.Carried, hidden{cond.Name(), cond.Pattern})
		at := slices.IndexFunc(f.Inputs, func(in input) bool { return in.Param == cond.Name() && in.Value == "" })
		if at < 0 {
			f.Kept = append(f.Kept, hidden{cond.Name(), cond.Pattern})
			continue
		}
		f.Inputs[at].Value = cond.Pattern
	}
	return f
}

// inputs returns the fields of the filter's form, without those that the page is about.
func (v view) inputs(fixed []query.Dimension) []input {
	var all []input
	for _, d := range inputs() {
		if !slices.Contains(fixed, d) {
			all = append(all, input{Param: string(d), Label: d.Label()})
		}
	}
	return all
}

// namesOf returns the names of the plans that the view filters by, as their ids say little.
func (c *Console) namesOf(ctx context.Context, v view, fixed []query.Dimension) map[query.Condition]string {
	names := map[query.Condition]string{}
	for _, cond := range v.filter {
		_, one := cond.Value()
		if cond.Dimension == query.Plan && one && !slices.Contains(fixed, query.Plan) {
			names[cond] = c.nameOf(ctx, query.Plan, v.only(nil).with(cond))
		}
	}
	return names
}

// ranged is the range as fields of a form.
func (v view) ranged() []hidden {
	if v.Name == "custom" {
		return []hidden{{"from", v.inAddress(v.From)}, {"to", v.inAddress(v.To)}}
	}
	return []hidden{{"range", v.Name}}
}

// menu is the way to every page. The range and the filters come along; what the page is about does so to the requests.
func (c *Console) menu(path string, v *view, fixed []query.Dimension) []navGroup {
	item := func(label, to string, also ...string) navItem {
		n := navItem{Label: label, URL: to, Current: path == to || slices.Contains(also, path)}
		switch {
		case v == nil || to == "/sql" || to == "/delivery":
		case to == "/requests" || to == "/live":
			n.URL = v.URL(to)
		default:
			n.URL = v.without(fixed).URL(to)
		}
		return n
	}
	groups := []navGroup{
		{"Usage", []navItem{item("Overview", "/"), item("Customers", "/customers", "/customer"), item("Plans", "/plans"),
			item("APIs", "/apis", "/api"), item("Routes", "/routes", "/route")}},
		{"Look closer", []navItem{item("Requests", "/requests", "/request")}},
	}
	closer := &groups[1]
	if c.cfg.Live != nil {
		closer.Items = append(closer.Items, item("Live tail", "/live"))
	}
	closer.Items = append(closer.Items, item("SQL", "/sql"))
	if c.cfg.Delivery != nil {
		groups = append(groups, navGroup{"System", []navItem{item("Delivery", "/delivery")}})
	}
	return groups
}

// theme is the theme that the person chose, "" is the system's.
func theme(r *http.Request) string {
	if cookie, err := r.Cookie("theme"); err == nil && (cookie.Value == "light" || cookie.Value == "dark") {
		return cookie.Value
	}
	return ""
}

// setTheme keeps a choice between light and dark, and goes back. With JavaScript the page does it itself.
func (c *Console) setTheme(w http.ResponseWriter, r *http.Request) {
	next := "dark"
	if theme(r) == "dark" {
		next = "light"
	}
	http.SetCookie(w, &http.Cookie{Name: "theme", Value: next, Path: "/", MaxAge: 365 * 86400, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, backTo(r), http.StatusSeeOther)
}

// backTo is the page of ours that a form was on.
func backTo(r *http.Request) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host != r.Host || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}

// loginPage shows the form that asks for the password.
func (c *Console) loginPage(w http.ResponseWriter, r *http.Request, next, problem string) {
	c.render(w, "login", struct{ Theme, Product, Next, Problem string }{theme(r), c.cfg.Title, next, problem})
}

// view reads range and filters, or answers 400 with what is wrong in them. An address with empty fields, as forms make
// them, is led to the one without, which is the one to share.
func (c *Console) view(w http.ResponseWriter, r *http.Request, path string) (view, bool) {
	if q := r.URL.Query(); withoutEmpty(q) {
		http.Redirect(w, r, (&url.URL{Path: path, RawQuery: q.Encode()}).String(), http.StatusSeeOther)
		return view{}, false
	}
	p, err := parsePeriod(r.URL.Query(), c.cfg.Now())
	var v view
	if err == nil {
		v, err = parseView(r.URL.Query(), p)
	}
	if err != nil {
		c.refuse(w, r, path, err)
		return v, false
	}
	if q := r.URL.Query(); q.Has("where") { // as a form sends it; the address to share has the filters themselves
		q.Del("where")
		http.Redirect(w, r, v.URL(path, "sort", q.Get("sort")), http.StatusSeeOther)
		return v, false
	}
	return v, true
}

// withoutEmpty drops what is empty, and says whether there was any.
func withoutEmpty(q url.Values) bool {
	n := len(q)
	for name := range q {
		if strings.TrimSpace(q.Get(name)) == "" {
			q.Del(name)
		}
	}
	return len(q) < n
}

// refuse answers 400 and says what is wrong with the address.
func (c *Console) refuse(w http.ResponseWriter, r *http.Request, path string, err error) {
	f := c.newFrame(r, "Not a view", path, nil)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusBadRequest)
	c.render(w, "top", f)
	c.render(w, "problem", problem{Title: "This address does not say what to show", Text: err.Error(), Link: path, LinkText: "Begin again"})
	c.render(w, "bottom", f)
}

// notFound answers for an address that is none of ours.
func (c *Console) notFound(w http.ResponseWriter, r *http.Request) {
	f := c.newFrame(r, "Not here", "", nil)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	c.render(w, "top", f)
	c.render(w, "problem", problem{Title: "There is no such page", Text: "The menu has all there are.", Link: "/", LinkText: "Overview"})
	c.render(w, "bottom", f)
}

// problem is a page's say on why it has nothing to show, and what to do.
type problem struct {
	Title, Text, Cmd, Link, LinkText string
}

func (c *Console) renderProblem(w http.ResponseWriter, f frame, err error) {
	if errors.Is(err, errNoLake) {
		c.render(w, "problem", problem{Title: "There is no lake yet",
			Text: "The lake holds the delivered logs for reports and for these pages. It is filled with", Cmd: c.cfg.FillCmd})
		return
	}
	c.log.Error("page failed", "path", f.Path, "error", err)
	c.render(w, "problem", problem{Title: "The lake cannot be read", Text: err.Error()})
}

// render writes a template. What fails here is our own mistake, or the browser went away.
func (c *Console) render(w http.ResponseWriter, name string, data any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	}
	if err := c.assets.templates.ExecuteTemplate(w, name, data); err != nil && strings.HasPrefix(err.Error(), "template:") {
		c.log.Error("a page was cut off", "template", name, "error", err)
	}
}
