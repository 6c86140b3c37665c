package console

import (
	"errors"
	"net/http"
	"strings"
)

// frame is what surrounds every page.
type frame struct {
	Title   string
	Heading string
	Path    string // of the page, without filters
	Product string // Config.Title
	Theme   string // light, dark, or "" for the system's
	View    *view  // nil where the page has no range and filters
	Nav     []navGroup
	Spans   []navItem
	Chips   []Chip
	Fields  []field // that one may filter by here
	Hidden  []hidden
	Locked  bool // signed in with a password: offers to sign out
	FillCmd string
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

// newFrame has the menu and, where v is not nil, range and filters.
func (c *Console) newFrame(r *http.Request, title, path string, v *view) frame {
	f := frame{
		Title: title, Heading: title, Path: path, Product: c.cfg.Title, Theme: theme(r), View: v,
		Locked: c.cfg.Password != "", FillCmd: c.cfg.FillCmd,
	}
	f.Nav = c.menu(path, v)
	if v == nil {
		return f
	}
	for _, s := range spans() {
		f.Spans = append(f.Spans, navItem{s.label, v.URL(path, "range", s.name), v.Name == s.name})
	}
	f.Chips = v.Chips(path)
	f.Fields = fields()
	for param, value := range v.filter {
		f.Hidden = append(f.Hidden, hidden{param, value})
	}
	return f
}

// menu is the way to every page. The range and the filters come along.
func (c *Console) menu(path string, v *view) []navGroup {
	item := func(label, to string, also ...string) navItem {
		n := navItem{Label: label, URL: to, Current: path == to}
		for _, p := range also {
			n.Current = n.Current || path == p
		}
		if v != nil {
			n.URL = v.URL(to)
		}
		return n
	}
	groups := []navGroup{{"Usage", []navItem{item("Overview", "/")}}}
	return groups
}

// theme is the theme that the person chose, "" is the system's.
func theme(r *http.Request) string {
	if cookie, err := r.Cookie("theme"); err == nil && (cookie.Value == "light" || cookie.Value == "dark") {
		return cookie.Value
	}
	return ""
}

// view reads range and filters, or answers 400 with what is wrong in them.
func (c *Console) view(w http.ResponseWriter, r *http.Request, path string) (view, bool) {
	p, err := parsePeriod(r.URL.Query(), c.cfg.Now())
	var v view
	if err == nil {
		v, err = parseView(r.URL.Query(), p)
	}
	if err == nil {
		return v, true
	}
	f := c.newFrame(r, "Not a view", path, nil)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusBadRequest)
	c.render(w, "top", f)
	c.render(w, "problem", problem{Title: "This address does not say what to show", Text: err.Error(), Link: path, LinkText: "Show the last 24 hours"})
	c.render(w, "bottom", f)
	return v, false
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
