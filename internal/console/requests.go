package console

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/http"
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
	coalesce(error, ''), coalesce(status, 0), coalesce(latency, 'nan'::DOUBLE), coalesce(integration_latency, 'nan'::DOUBLE), bytes, coalesce(extra::VARCHAR, ''), object, line,
	coalesce(extended_request_id, '')`

func (q *request) scan(row interface{ Scan(...any) error }) error {
	var at sql.NullTime
	err := row.Scan(&at, &q.ID, &q.API, &q.Stage, &q.Key, &q.Customer, &q.Plan, &q.Method, &q.Route, &q.Path, &q.IP, &q.Agent,
		&q.Error, &q.Status, &q.Latency, &q.Upstream, &q.Bytes, &q.Extra, &q.ObjectID, &q.Line, &q.ExtendedID)
	q.Time = at.Time
	return err
}

// Shown returns the path of the request or, if it is missing, the route.
func (q request) Shown() string {
	return orNone(cmp.Or(q.Path, q.Route))
}

// Who returns the customer's name or, if it is missing, the key id.
func (q request) Who() string {
	return cmp.Or(q.Customer, q.Key)
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

// parseCursor parses the text of a cursor; nil stands for "".
func parseCursor(text string) (*cursor, error) {
	if text == "" {
		return nil, nil
	}
	var c cursor
	if _, err := fmt.Sscanf(text, "%d.%d.%d", &c.micros, &c.object, &c.line); err != nil || c.String() != text {
		return nil, fmt.Errorf("invalid position before=%s", text)
	}
	return &c, nil
}

// requests serves the list of requests, newest first.
func (c *Console) requests(w http.ResponseWriter, r *http.Request) {
	v, ok := c.view(w, r, "/requests")
	if !ok {
		return
	}
	text := r.URL.Query().Get("before")
	before, err := parseCursor(text)
	if err != nil {
		c.refuse(w, r, "/requests", err)
		return
	}
	f := c.newFrame(r, "Requests", "/requests", &v)
	panels := []panel{{Name: "list before " + text, Title: "Newest first", Kind: "requests", Class: "full",
		load: func(ctx context.Context, db *sql.DB) (any, error) { return readRequests(ctx, db, v, before) }}}
	if before == nil {
		panels = append([]panel{c.trends(v)[1]}, panels...)
	}
	c.board(w, r, f, panels)
}

// readRequests reads the page of requests after the position before; nil is the first page.
func readRequests(ctx context.Context, db *sql.DB, v view, before *cursor) (requestList, error) {
	out := requestList{Zone: v.ZoneName()}
	w, err := query.Where(ctx, db, v.query())
	if err != nil {
		return out, err
	}
	if before != nil {
		w = w.And("(epoch_us(time), object, line) < (?::BIGINT, ?::BIGINT, ?::BIGINT) AND time <= make_timestamp(?::BIGINT)",
			before.micros, before.object, before.line, before.micros)
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
