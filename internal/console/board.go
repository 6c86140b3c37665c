package console

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

const (
	// pageTimeout bounds the computation of a page.
	pageTimeout = 30 * time.Second
	// workers is the number of a page's panels computed at a time. It is small, because the lake has threads of its own and
	// the panels at the top are needed first.
	workers = 3
)

// panel is a part of a page that is computed from the lake.
type panel struct {
	Name  string // of its cached result, unique on the page
	Title string
	Kind  string // of the template
	Class string // width on wide screens: full, half, third
	load  func(context.Context, *sql.DB) (any, error)
}

// filled is a panel with its data or error text.
type filled struct {
	panel
	N    int // index on the page
	Data any
	Err  string
}

// errNoLake is returned while the lake does not exist yet.
var errNoLake = errors.New("no lake yet")

// lake returns the lake.
func (c *Console) lake(ctx context.Context) (*lake.Lake, error) {
	if c.cfg.Lake == nil {
		return nil, errNoLake
	}
	l, err := c.cfg.Lake(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the lake: %w", err)
	}
	if l == nil {
		return nil, errNoLake
	}
	return l, nil
}

// db returns the lake's database, for SQL of this package only.
func (c *Console) db(ctx context.Context) (*sql.DB, error) {
	l, err := c.lake(ctx)
	if err != nil {
		return nil, err
	}
	return l.DB(), nil
}

// board writes a page of panels: the frame at once, then each panel as soon as it and those above it are ready.
func (c *Console) board(w http.ResponseWriter, r *http.Request, f frame, panels []panel) {
	c.render(w, "top", f)
	flush(w)
	defer c.render(w, "bottom", f)
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	db, err := c.db(ctx)
	if err == nil {
		var reach reach
		if reach, err = c.reach(ctx, db, *f.View); err != nil {
			c.cfg.Failed(db, err)
		} else if !reach.Inside {
			c.render(w, "no-requests", noRequests{Frame: f, Reach: reach})
			return
		}
	}
	if err != nil {
		c.renderProblem(w, f, err)
		return
	}
	results := make([]chan filled, len(panels))
	work := make(chan int, len(panels))
	for i := range panels {
		results[i] = make(chan filled, 1)
		work <- i
	}
	close(work)
	var wg sync.WaitGroup
	defer wg.Wait()
	for range workers {
		wg.Go(func() {
			for i := range work {
				results[i] <- c.fill(ctx, db, *f.View, panels[i], i)
			}
		})
	}
	for i := range panels {
		c.render(w, "panel", <-results[i])
		flush(w)
	}
}

// fill computes a panel. It recovers from panics, so that a bug in one panel does not end the process.
func (c *Console) fill(ctx context.Context, db *sql.DB, v view, p panel, n int) (out filled) {
	out.panel, out.N = p, n
	defer func() {
		if cause := recover(); cause != nil {
			c.log.Error("panel panicked", "panel", p.Name, "error", cause, "stack", string(debug.Stack()))
			out.Err = "This panel failed because of a bug; see the log for details."
		}
	}()
	data, err := c.cached(ctx, v, p.Name, func(ctx context.Context) (any, error) { return p.load(ctx, db) })
	if err != nil {
		c.cfg.Failed(db, err)
		out.Err = c.explain(ctx, "panel "+p.Name, err)
		return out
	}
	out.Data = data
	return out
}

// cached returns the result of compute for a view, or the cached result of a recent call.
func (c *Console) cached(ctx context.Context, v view, name string, compute func(context.Context) (any, error)) (any, error) {
	keep := min(max(v.Step/3, 2*time.Second), time.Minute)
	return c.cache.get(ctx, name+" "+v.key(), keep, compute)
}

// explain logs an error and returns its text for the page.
func (c *Console) explain(ctx context.Context, what string, err error) string {
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Sprintf("This took longer than %d seconds. Choose a shorter range or add a filter.", int(pageTimeout.Seconds()))
	}
	if ctx.Err() == nil {
		c.log.Error("computation failed", "what", what, "error", err)
	}
	return "This could not be computed: " + err.Error()
}

// flush sends the buffered output to the browser.
func flush(w http.ResponseWriter) {
	http.NewResponseController(w).Flush() //nolint:errcheck // a writer that cannot flush sends the page at once
}
