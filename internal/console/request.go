package console

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"time"

	"github.com/stagelog/stagelog/internal/lake/query"
)

// requestPage is the data of the page of one request.
type requestPage struct {
	request
	Zone   string // of its time
	Known  []value
	Others []value // fields without a column in the lake
	Object string  // URL of the object with the line
}

// value is a field of a request with its link.
type value struct{ Label, Text, URL string }

// request serves the page of one request.
func (c *Console) request(w http.ResponseWriter, r *http.Request) {
	object, errObject := strconv.ParseInt(r.URL.Query().Get("object"), 10, 32)
	line, errLine := strconv.ParseInt(r.URL.Query().Get("line"), 10, 64)
	if err := errors.Join(errObject, errLine); err != nil {
		c.refuse(w, r, "/requests", fmt.Errorf("invalid object or line: %w", err))
		return
	}
	zone, err := query.ParseZone(r.URL.Query().Get("zone"))
	if err != nil {
		c.refuse(w, r, "/requests", err)
		return
	}
	v := view{period: period{zone: zone}}
	f := c.newFrame(r, "Request", "/request", nil)
	f.Up = navItem{Label: "Requests", URL: v.URL("/requests")}
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	db, err := c.db(ctx)
	var page requestPage
	if err == nil {
		page, err = readRequest(ctx, db, v, cursor{object: object, line: line})
	}
	if errors.Is(err, sql.ErrNoRows) {
		c.fail(w, f, http.StatusNotFound, problem{Title: "Request not found", Text: "The lake has no row for this object and line, or the row is a duplicate of another.",
			Link: "/requests", LinkText: "All requests"})
		return
	}
	c.render(w, "top", f)
	defer c.render(w, "bottom", f)
	if err != nil {
		c.cfg.Failed(db, err)
		c.renderProblem(w, f, err)
		return
	}
	c.render(w, "request", page)
}

// readRequest reads the request with the object and line of a cursor.
func readRequest(ctx context.Context, db *sql.DB, v view, at cursor) (requestPage, error) {
	p := requestPage{Zone: v.ZoneName()}
	row := db.QueryRowContext(ctx, `SELECT `+requestColumns+` FROM requests WHERE object = ? AND line = ? LIMIT 1`, at.object, at.line)
	if err := p.scan(row); err != nil {
		return p, fmt.Errorf("read request: %w", err)
	}
	var bucket, key sql.NullString
	err := db.QueryRowContext(ctx, `SELECT bucket, key FROM objects WHERE id = ?`, at.object).Scan(&bucket, &key)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("read object: %w", err)
	}
	if key.Valid {
		p.Object = "s3://" + bucket.String + "/" + key.String
	}
	if !p.Time.IsZero() {
		p.Time = p.Time.In(v.zone)
		v.Name, v.From, v.To = "custom", p.Time.Add(-12*time.Hour), p.Time.Add(12*time.Hour)
	}
	to := func(path string, conditions ...query.Condition) string { return v.with(conditions...).URL(path) }
	size := ""
	if p.Bytes.Valid {
		size = byteSize(p.Bytes.Int64)
	}
	for _, f := range []value{
		{"Customer", p.Customer, ""}, {"Key", p.Key, to("/customer", query.Is(query.Key, p.Key))}, {"Usage plan", p.Plan, to("/", query.Is(query.Plan, p.Plan))},
		{"API", p.API, to("/api", query.Is(query.API, p.API))}, {"Stage", p.Stage, to("/", query.Is(query.API, p.API), query.Is(query.Stage, p.Stage))},
		{"Route", p.Route, to("/route", query.Is(query.Method, cmp.Or(p.Method, none)), query.Is(query.Route, p.Route))}, {"Path", p.Path, ""},
		{"Latency", millis(p.Latency), ""}, {"Upstream latency", millis(p.Upstream), ""}, {"Size", size, ""},
		{"IP", p.IP, ""}, {"User agent", p.Agent, ""}, {"Error", p.Error, ""}, {"Request id", p.ID, ""}, {"Extended request id", p.ExtendedID, ""},
	} {
		if f.Text != "" && f.Text != "–" {
			p.Known = append(p.Known, f)
		}
	}
	p.Others = others(p.Extra)
	return p, nil
}

// others returns the fields without a column in the lake, sorted by name.
func others(extra string) []value {
	var fields map[string]json.RawMessage
	if extra == "" || json.Unmarshal([]byte(extra), &fields) != nil {
		return nil
	}
	var all []value
	for name, raw := range fields {
		text := string(raw)
		var s string
		if json.Unmarshal(raw, &s) == nil {
			text = s
		}
		all = append(all, value{Label: name, Text: text})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Label < all[j].Label })
	return all
}
