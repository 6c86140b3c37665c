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

// frame is the data of the header, menu and filters around every page.
type frame struct {
	Title   string
	Heading string
	Note    string  // shown beside the heading
	Up      navItem // link to the list that has this page; none if the label is ""
	Path    string  // of the page, without filters
	Product string  // Config.Title
	Theme   string  // light, dark or, for the system's, ""
	View    *view   // nil if the page has no range and filters
	Nav     []navGroup
	Spans   []navItem
	Chips   []chip
	Inputs  []input  // fields of the filter form
	Carried []hidden // filters, as hidden fields
	Kept    []hidden // filters for which the filter form has no field
	Ranged  []hidden // range, as hidden fields
	Zone    []hidden // time zone, as a hidden field; empty for UTC
	Locked  bool     // the console has a password: show the sign-out button
	FillCmd string
	Notices []string // problems of the server
	Refresh int      // seconds after which the browser reloads the content; 0 is never
}

// navGroup is a group of menu entries.
type navGroup struct {
	Label string
	Items []navItem
}

// navItem is a link in a menu.
type navItem struct {
	Label, URL string
	Current    bool
}

// hidden is a hidden form field.
type hidden struct{ Name, Value string }

// input is a field of the filter form.
type input struct{ Param, Label, Value string }

// newFrame returns a frame with the menu and, unless v is nil, with range and filters. fixed holds the dimensions that identify the page's subject.
func (c *Console) newFrame(r *http.Request, title, path string, v *view, fixed ...query.Dimension) frame {
	f := frame{
		Title: title, Heading: title, Path: path, Product: c.cfg.Title, Theme: theme(r), View: v,
		Locked: c.cfg.Password != "", FillCmd: c.cfg.FillCmd,
	}
	f.Nav = c.menu(path, v, fixed)
	if c.cfg.Notices != nil {
		f.Notices = c.cfg.Notices(r.Context())
	}
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
	for _, d := range inputs() {
		if !slices.Contains(fixed, d) {
			f.Inputs = append(f.Inputs, input{Param: string(d), Label: d.Label()})
		}
	}
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

// namesOf returns the names of the plans that the view filters by id.
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

// ranged returns the range as hidden form fields.
func (v view) ranged() []hidden {
	if v.Name == "custom" {
		return []hidden{{"from", v.inAddress(v.From)}, {"to", v.inAddress(v.To)}}
	}
	return []hidden{{"range", v.Name}}
}

// menu returns the links to all pages. They keep the range and the filters; fixed filters are kept only for the requests and the live tail.
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
		{"Explore", []navItem{item("Requests", "/requests", "/request")}},
	}
	explore := &groups[1]
	if c.cfg.Live != nil {
		explore.Items = append(explore.Items, item("Live tail", "/live"))
	}
	explore.Items = append(explore.Items, item("SQL", "/sql"))
	if c.cfg.Delivery != nil {
		groups = append(groups, navGroup{"System", []navItem{item("Delivery", "/delivery")}})
	}
	return groups
}

// theme returns the theme that the user chose, or "" for the system's.
func theme(r *http.Request) string {
	if cookie, err := r.Cookie("theme"); err == nil && (cookie.Value == "light" || cookie.Value == "dark") {
		return cookie.Value
	}
	return ""
}

// setTheme switches between light and dark and redirects back. With JavaScript, the page does this without a request.
func (c *Console) setTheme(w http.ResponseWriter, r *http.Request) {
	next := "dark"
	if theme(r) == "dark" {
		next = "light"
	}
	http.SetCookie(w, &http.Cookie{Name: "theme", Value: next, Path: "/", MaxAge: 365 * 86400, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, backTo(r), http.StatusSeeOther)
}

// backTo returns the path of the console's page that sent a form, by the Referer header.
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

// view parses range and filters, or responds with 400 and the error. It redirects a URL with empty fields, as forms send it,
// to the one without.
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
	if q := r.URL.Query(); q.Has("where") { // sent by the form; replace it with filters
		q.Del("where")
		http.Redirect(w, r, v.URL(path, "sort", q.Get("sort")), http.StatusSeeOther)
		return v, false
	}
	return v, true
}

// withoutEmpty removes empty values and reports whether there were any.
func withoutEmpty(q url.Values) bool {
	n := len(q)
	for name := range q {
		if strings.TrimSpace(q.Get(name)) == "" {
			q.Del(name)
		}
	}
	return len(q) < n
}

// refuse responds with 400 and the error.
func (c *Console) refuse(w http.ResponseWriter, r *http.Request, path string, err error) {
	c.fail(w, c.newFrame(r, "Invalid address", path, nil), http.StatusBadRequest,
		problem{Title: "Invalid filter or range", Text: err.Error(), Link: path, LinkText: "Start over"})
}

// notFound responds with 404.
func (c *Console) notFound(w http.ResponseWriter, r *http.Request) {
	c.fail(w, c.newFrame(r, "Not found", "", nil), http.StatusNotFound,
		problem{Title: "Page not found", Text: "The menu lists all pages.", Link: "/", LinkText: "Overview"})
}

// fail responds with a status and a page that consists of a problem.
func (c *Console) fail(w http.ResponseWriter, f frame, status int, p problem) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	c.render(w, "top", f)
	c.render(w, "problem", p)
	c.render(w, "bottom", f)
}

// problem is the data of a message with the reason why a page has no contents, and the next step.
type problem struct {
	Title, Text, Cmd, Link, LinkText string
}

func (c *Console) renderProblem(w http.ResponseWriter, f frame, err error) {
	if errors.Is(err, errNoLake) {
		c.render(w, "problem", problem{Title: "No lake yet",
			Text: "Reports and these pages read the delivered logs from the lake. To fill it, run", Cmd: c.cfg.FillCmd})
		return
	}
	c.log.Error("page failed", "path", f.Path, "error", err)
	c.render(w, "problem", problem{Title: "The lake cannot be read", Text: err.Error()})
}

// render writes a template. An error is a bug, unless the browser disconnected.
func (c *Console) render(w http.ResponseWriter, name string, data any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	}
	if err := c.assets.templates.ExecuteTemplate(w, name, data); err != nil && strings.HasPrefix(err.Error(), "template:") {
		c.log.Error("page truncated", "template", name, "error", err)
	}
}
