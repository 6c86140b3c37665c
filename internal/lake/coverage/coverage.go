// Package coverage says how much of what API Gateway counted a lake has, and mends what the lake attributes to nobody.
//
// API Gateway counts the calls of each API key itself, per usage plan and day (GetUsage). Setting that beside the lake shows
// what no other check can: requests that never arrived. A report or an invoice can then say by how many counted calls it is
// backed. Requests without a key are in no such count; CloudWatch has those of whole stages (Count of AWS/ApiGateway), and
// Stages sets them beside the lake.
package coverage

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Count is how many calls API Gateway counted for a key on a day.
type Count struct {
	PlanID, KeyID string
	Day           time.Time // any instant of the day in UTC: GetUsage's days are taken to be those of UTC
	Calls         int64
}

// Counter knows what API Gateway counted. Counts hands each count of the days from first to last, both included, to fn, in
// any order; a key that is in several plans comes once for each. It stops at the first error of fn and returns it.
type Counter interface {
	Counts(ctx context.Context, first, last time.Time, fn func(Count) error) error
}

// Report compares the two counts.
type Report struct {
	First, Last time.Time // days, both included
	Rows        []Row     // by day and key id; only where one of the two has something
	Total       Figures
	Keyless     int64   // requests without a key, which API Gateway does not count for anyone
	Undated     int64   // requests with a key and without a time: they may be some of the missing
	Stages      *Stages // the same for whole stages; nil where nobody compared them
}

// Row is one key on one day. The plans of the key are added up: what a request was attributed to may be what is wrong.
type Row struct {
	Day             time.Time
	KeyID, Customer string // the newest name of the key in the period; "-" is missing
	Figures
}

// Figures are the counts of both sides.
type Figures struct {
	Counted      int64 // by API Gateway
	Lake         int64 // requests in the lake, each once
	Backed       int64 // counted calls for which the lake has a request
	Missing      int64 // counted calls for which it has none
	Extra        int64 // requests that were not counted: calls that a throttle or quota refused are logged
	Double       int64 // rows of requests that the lake had already
	Unattributed int64 // requests in the lake that are of no customer
}

// settle computes what follows from the two counts.
func (f *Figures) settle() {
	f.Backed = min(f.Counted, f.Lake)
	f.Missing, f.Extra = f.Counted-f.Backed, f.Lake-f.Backed
}

func (f *Figures) add(o Figures) {
	f.Counted += o.Counted
	f.Lake += o.Lake
	f.Backed += o.Backed
	f.Missing += o.Missing
	f.Extra += o.Extra
	f.Double += o.Double
	f.Unattributed += o.Unattributed
}

// missing is how a value that the logs do not have is shown.
const missing = "-"

type keyDay struct {
	day time.Time
	key string
}

// Compare counts the days from first to last, both included, in UTC. The total adds up the rows, so that a key with too many
// requests does not hide one with too few.
func Compare(ctx context.Context, db *sql.DB, counter Counter, first, last time.Time) (*Report, error) {
	r := &Report{First: day(first), Last: day(last)}
	if r.Last.Before(r.First) {
		return nil, fmt.Errorf("coverage from %s to %s: the last day is before the first", r.First.Format(time.DateOnly), r.Last.Format(time.DateOnly))
	}
	found := map[keyDay]*Row{}
	row := func(d time.Time, key string) *Row {
		id := keyDay{d, key}
		if found[id] == nil {
			found[id] = &Row{Day: d, KeyID: key}
		}
		return found[id]
	}
	err := counter.Counts(ctx, r.First, r.Last, func(c Count) error {
		d := day(c.Day)
		if c.Calls < 0 || d.Before(r.First) || d.After(r.Last) {
			return fmt.Errorf("a count of %d calls on %s, which is not in the period", c.Calls, d.Format(time.DateOnly))
		}
		if c.Calls > 0 {
			row(d, c.KeyID).Counted += c.Calls
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask API Gateway for its counts: %w", err)
	}
	names, err := r.readLake(ctx, db, row)
	if err != nil {
		return nil, fmt.Errorf("count the requests of the lake: %w", err)
	}
	for _, f := range found {
		f.settle()
		f.Customer = cmp.Or(names[f.KeyID], missing)
		r.Rows = append(r.Rows, *f)
		r.Total.add(f.Figures)
	}
	slices.SortFunc(r.Rows, func(a, b Row) int { return cmp.Or(a.Day.Compare(b.Day), strings.Compare(a.KeyID, b.KeyID)) })
	return r, nil
}

// day is the first instant of the day in UTC.
func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
