package console

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/query"
)

// pageRequests is the number of requests per page.
const pageRequests = 100

// request holds one row of the lake.
type request struct {
	Time                                time.Time
	ID, API, Stage, Key, Customer, Plan string
	Method, Route, Path, IP, Agent      string
	Error, ExtendedID                   string
	Status                              int64   // 0 if missing
	Latency, Upstream                   float64 // milliseconds; NaN if missing
	Bytes                               sql.NullInt64
	Extra                               string
	ObjectID, Line                      int64
	URL                                 string // of its page
}

// requestColumns lists the columns that scan reads, in its order.
const requestColumns = `time, coalesce(request_id, ''), coalesce(api_id, ''), coalesce(stage, ''), coalesce(key_id, ''), coalesce(customer, ''),
	coalesce(usage_plan, ''), coalesce(method, ''), coalesce(route, ''), coalesce(path, ''), coalesce(ip, ''), coalesce(user_agent, ''),
	coalesce(error, ''), coalesce(status, 0), latency::DOUBLE, integration_latency::DOUBLE, bytes, coalesce(extra::VARCHAR, ''), object, line,
	coalesce(extended_request_id, '')`

func (q *request) scan(row interface{ Scan(...any) error }) error {
	var at sql.NullTime
	var latency, upstream sql.NullFloat64
	err := row.Scan(&at, &q.ID, &q.API, &q.Stage, &q.Key, &q.Customer, &q.Plan, &q.Method, &q.Route, &q.Path, &q.IP, &q.Agent,
		&q.Error, &q.Status, &latency, &upstream, &q.Bytes, &q.Extra, &q.ObjectID, &q.Line, &q.ExtendedID)
	q.Time, q.Latency, q.Upstream = at.Time, orNone64(latency), orNone64(upstream)
	return err
}

// Shown returns the path of the request or, if it is missing, the route.
func (q request) Shown() string {
	if q.Path != "" {
		return q.Path
	}
	return orNone(q.Route)
}

// Who returns the customer's name or, if it is missing, the key id.
func (q request) Who() string {
	if q.Customer != "" {
		return q.Customer
	}
	return q.Key
}

// requestList is a page of requests.
type requestList struct {
	Requests []request
	Zone     string // of their times
	Older    string // URL of the next page; "" if none
	Short    bool   // only the first ones; Older is the URL of the complete list
	Newest   string // URL of the first page; "" if this is the first
}

// cursor is the position in the list after which a page begins. The list is sorted by time, object and line.
type cursor struct {
	micros, object, line int64
}

func (c cursor) String() string { return fmt.Sprintf("%d.%d.%d", c.micros, c.object, c.line) }

func parseCursor(text string) (cursor, error) {
	var c cursor
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return c, fmt.Errorf("invalid position before=%s", text)
	}
	for i, to := range []*int64{&c.micros, &c.object, &c.line} {
		n, err := strconv.ParseInt(parts[i], 10, 64)
		if err != nil {
			return c, fmt.Errorf("invalid position before=%s", text)
		}
		*to = n
	}
	return c, nil
}

// requests serves the list of requests, newest first.
func (c *Console) requests(w http.ResponseWriter, r *http.Request) {
	v, ok := c.view(w, r, "/requests")
	if !ok {
		return
	}
	before := r.URL.Query().Get("before")
	if before != "" {
		if _, err := parseCursor(before); err != nil {
			c.refuse(w, r, "/requests", err)
			return
		}
	}
	f := c.newFrame(r, "Requests", "/requests", &v)
	panels := []panel{{Name: "list before " + before, Title: "Newest first", Kind: "requests", Class: "full",
		load: func(ctx context.Context, db *sql.DB) (any, error) { return readRequests(ctx, db, v, before) }}}
	if before == "" {
		panels = append([]panel{c.trends(v)[1]}, panels...)
	}
	c.board(w, r, f, panels)
}

// readRequests reads the page of requests after the position before.
func readRequests(ctx context.Context, db *sql.DB, v view, before string) (requestList, error) {
	out := requestList{Zone: v.ZoneName()}
	w, err := query.Where(ctx, db, v.query())
	if err != nil {
		return out, err
	}
	if before != "" {
		at, err := parseCursor(before)
		if err != nil {
			return out, err
		}
		w = w.And("(epoch_us(time), object, line) < (?::BIGINT, ?::BIGINT, ?::BIGINT) AND time <= make_timestamp(?::BIGINT)",
			at.micros, at.object, at.line, at.micros)
		out.Newest = v.URL("/requests")
	}
	statement := `SELECT ` + requestColumns + ` FROM requests WHERE ` + w.SQL + ` ORDER BY time DESC, object DESC, line DESC LIMIT ?`
	err = lake.EachRow(ctx, db, statement, append(w.Args[:len(w.Args):len(w.Args)], pageRequests+1), func(rows *sql.Rows) error {
		var q request
		if err := q.scan(rows); err != nil {
			return err
		}
		q.Time = q.Time.In(v.zone)
		q.URL = fmt.Sprintf("/request?object=%d&line=%d", q.ObjectID, q.Line) + v.zoneSuffix()
		out.Requests = append(out.Requests, q)
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("read requests: %w", err)
	}
	if len(out.Requests) > pageRequests {
		out.Requests = out.Requests[:pageRequests]
		last := out.Requests[pageRequests-1]
		out.Older = v.URL("/requests", "before", cursor{last.Time.UnixMicro(), last.ObjectID, last.Line}.String())
	}
	return out, nil
}

// orNone64 returns a number, or NaN if it is NULL.
func orNone64(v sql.NullFloat64) float64 {
	if !v.Valid {
		return math.NaN()
	}
	return v.Float64
}
