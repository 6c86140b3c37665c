package console

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/lake/query"
)

// reach is the range of times that have requests.
type reach struct {
	Inside bool // the view has a request
	// First and Last are the times of the requests that match the view's filters; zero if there are none.
	First, Last time.Time
	Any         bool // the lake has a request
}

// noRequests is the data of a page without requests.
type noRequests struct {
	Frame frame
	Reach reach
}

// Around returns the URL of the last day with requests.
func (n noRequests) Around() string {
	to := n.Reach.Last.Add(time.Second).Truncate(time.Second)
	v := *n.Frame.View
	return v.URL(n.Frame.Path, "range", "", "from", v.inAddress(to.Add(-24*time.Hour)), "to", v.inAddress(to))
}

// Unfiltered returns the URL without filters.
func (n noRequests) Unfiltered() string {
	v := *n.Frame.View
	v.filter = nil
	return v.URL(n.Frame.Path)
}

// keepReach is short, because users who wait for the first requests reload often.
const keepReach = time.Second

func (c *Console) reach(ctx context.Context, db *sql.DB, v view) (reach, error) {
	out, err := c.cache.get(ctx, "reach "+v.key(), keepReach, func(ctx context.Context) (any, error) { return readReach(ctx, db, v) })
	if err != nil {
		return reach{}, err
	}
	return out.(reach), nil
}

func readReach(ctx context.Context, db *sql.DB, v view) (reach, error) {
	var out reach
	var err error
	if out.Inside, err = exists(ctx, db, v.query()); err != nil || out.Inside {
		return out, err
	}
	w, err := query.Where(ctx, db, v.ever())
	if err != nil {
		return out, err
	}
	var first, last sql.NullTime
	if err := db.QueryRowContext(ctx, `SELECT min(time), max(time) FROM requests WHERE `+w.SQL, w.Args...).Scan(&first, &last); err != nil {
		return out, fmt.Errorf("find the first and the last request: %w", err)
	}
	if out.Any = last.Valid; out.Any {
		out.First, out.Last = first.Time.In(v.zone), last.Time.In(v.zone)
		return out, nil
	}
	out.Any, err = exists(ctx, db, query.Query{})
	return out, err
}

// newest returns a text with the time of the newest request, because a lake without imports looks like a stage without requests.
func (c *Console) newest(ctx context.Context, db *sql.DB, v view) (string, error) {
	var last sql.NullTime
	if err := db.QueryRowContext(ctx, `SELECT max(time) FROM requests`).Scan(&last); err != nil || !last.Valid {
		return "", err
	}
	return fmt.Sprintf("The newest request in the lake arrived at %s %s, %s ago.", stamp(last.Time.In(v.zone)), v.ZoneName(), age(max(0, c.cfg.Now().Sub(last.Time)))), nil
}
