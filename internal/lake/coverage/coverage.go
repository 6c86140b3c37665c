// Package coverage compares the requests in a lake with API Gateway's own counts, and attributes requests without a customer.
//
// API Gateway counts the calls of each API key per usage plan and day (GetUsage). Comparing these counts with the lake
// reveals requests that never arrived, which no other check can find. The counts exclude requests without a key; CloudWatch
// counts all requests of a stage (metric Count of AWS/ApiGateway), and Stages compares those with the lake.
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

// Count is API Gateway's count of a key's calls on a day.
type Count struct {
	KeyID string
	Day   time.Time // any instant of the day in UTC; GetUsage's days are assumed to be in UTC
	Calls int64
}

// Counter reads API Gateway's counts. Counts calls fn with each count of the days from first to last, both included, in any
// order, once for each plan of a key. It stops at the first error of fn and returns it.
type Counter interface {
	Counts(ctx context.Context, first, last time.Time, fn func(Count) error) error
}

// Report compares API Gateway's counts with the lake.
type Report struct {
	First, Last time.Time // days, both included
	Rows        []Row     // by day and key id; only those with a call or a request
	Total       Figures
	Keyless     int64   // requests without a key, which API Gateway's counts exclude
	Undated     int64   // requests with a key but without a time: they may be among the missing ones
	Stages      *Stages // the same for whole stages; nil if not compared
}

// Row holds the figures of one key on one day. The key's plans are added up, because attribution to a plan may be wrong.
type Row struct {
	Day             time.Time
	KeyID, Customer string // the newest name of the key in the period; "-" is missing
	Figures
}

// Figures holds the counts of both sides.
type Figures struct {
	Counted      int64 `json:"counted"`      // by API Gateway
	Lake         int64 `json:"lake"`         // requests in the lake, each once
	Backed       int64 `json:"backed"`       // counted calls for which the lake has a request
	Missing      int64 `json:"missing"`      // counted calls for which the lake has none
	Extra        int64 `json:"extra"`        // requests that were not counted: calls refused by a throttle or quota are logged
	Double       int64 `json:"double"`       // duplicate rows
	Unattributed int64 `json:"unattributed"` // requests in the lake without a customer
}

// settle computes Backed, Missing and Extra.
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

// missing stands for a value that the logs lack.
const missing = "-"

type keyDay struct {
	day time.Time
	key string
}

// Compare compares the days from first to last, both included, in UTC. The total is the sum of the rows, so that a key with
// too many requests does not hide one with too few.
func Compare(ctx context.Context, db *sql.DB, counter Counter, first, last time.Time) (*Report, error) {
	r := &Report{First: day(first), Last: day(last)}
	if r.Last.Before(r.First) {
		return nil, fmt.Errorf("compare coverage from %s to %s: the last day is before the first", r.First.Format(time.DateOnly), r.Last.Format(time.DateOnly))
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
			return fmt.Errorf("invalid count: %d calls on %s, not in the period", c.Calls, d.Format(time.DateOnly))
		}
		if c.Calls > 0 {
			row(d, c.KeyID).Counted += c.Calls
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read API Gateway's counts: %w", err)
	}
	names, err := r.readLake(ctx, db, row)
	if err != nil {
		return nil, fmt.Errorf("count the requests in the lake: %w", err)
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

// day returns the first instant of the day in UTC.
func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
