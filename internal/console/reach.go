package console

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// reach is from when to when there are requests.
type reach struct {
	Inside bool // there is a request in the view
	// First and Last are of the requests that the view's filters let pass; zero without any.
	First, Last time.Time
	Any         bool // there is a request at all
}

// nothing is a page without a request to show.
type nothing struct {
	Frame frame
	Reach reach
}

// Around is the address of the last day that has something.
func (n nothing) Around() string {
	to := n.Reach.Last.Add(time.Second).Truncate(time.Second)
	return n.Frame.View.URL(n.Frame.Path, "range", "", "from", to.Add(-24*time.Hour).Format(timeLayout), "to", to.Format(timeLayout))
}

// Unfiltered is the address without filters.
func (n nothing) Unfiltered() string {
	v := *n.Frame.View
	v.filter = nil
	return v.URL(n.Frame.Path)
}

// keepReach is short: who waits for the first requests looks again and again.
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
	w := v.where()
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (FROM requests WHERE `+w.sql+`)`, w.args...).Scan(&out.Inside); err != nil {
		return out, fmt.Errorf("look for requests: %w", err)
	}
	if out.Inside {
		return out, nil
	}
	w = v.filters()
	var first, last sql.NullTime
	if err := db.QueryRowContext(ctx, `SELECT min(time), max(time) FROM requests WHERE `+w.sql, w.args...).Scan(&first, &last); err != nil {
		return out, fmt.Errorf("look for the first and the last request: %w", err)
	}
	out.First, out.Last = first.Time, last.Time
	if out.Any = last.Valid; out.Any {
		return out, nil
	}
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (FROM requests)`).Scan(&out.Any); err != nil {
		return out, fmt.Errorf("look for requests: %w", err)
	}
	return out, nil
}

// newest says how far the lake reaches: a lake that stands still looks like a stage without requests.
func (c *Console) newest(ctx context.Context, db *sql.DB) (string, error) {
	var last sql.NullTime
	if err := db.QueryRowContext(ctx, `SELECT max(time) FROM requests`).Scan(&last); err != nil || !last.Valid {
		return "", err
	}
	return fmt.Sprintf("The newest request in the lake is of %s UTC, %s ago.", stamp(last.Time), age(max(0, c.cfg.Now().Sub(last.Time)))), nil
}
