package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
	Ranged  []hidden // the range that forms carry on
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
type input struct {
	field
	Value string
}

// newFrame has the menu and, where v is not nil, range and filters; fixed are the filters that the page is about.
func (c *Console) newFrame(r *http.Request, title, path string, v *view, fixed ...string) frame {
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
	f.Chips = v.chips(path, fixed)
	f.Ranged = v.ranged()
	for _, field := range fields() {
		value, ok := v.filter[field.Param]
		if ok {
			f.Carried = append(f.Carried, hidden{field.Param, value})
		}
		if !slices.Contains(fixed, field.Param) {
			f.Inputs = append(f.Inputs, input{field, value})
		} else {
			f.Ranged = append(f.Ranged, hidden{field.Param, value})
		}
	}
	return f
}

// ranged is the range as fields of a form.
func (v view) ranged() []hidden {
	if v.Name == "custom" {
		return []hidden{{"from", v.From.Format(timeLayout)}, {"to", v.To.Format(timeLayout)}}
	}
	return []hidden{{"range", v.Name}}
}

// menu is the way to every page. The range and the filters come along; what the page is about does so to the requests.
func (c *Console) menu(path string, v *view, fixed []string) []navGroup {
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
	if err == nil {
		return v, true
	}
	c.refuse(w, r, path, err)
	return v, false
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
