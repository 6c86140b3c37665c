package query

import (
	"errors"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// Query selects and groups requests of a lake.
type Query struct {
	By     []Dimension    // dimensions to group by; if empty, there is only a total
	From   time.Time      // first instant; zero means from the first request
	To     time.Time      // end, exclusive; zero means to the last request
	Filter Filter         // selects requests
	Top    int            // maximum number of rows, the others being summed up in one; 0 is no limit
	Order  Order          // of the rows; "" is Requests
	Zone   *time.Location // time zone of hours, days and months; nil is UTC

	// Every is the width of a column of the dimension Step, in whole microseconds. The first column begins at From.
	Every time.Duration

	// Compare adds to each row the requests and errors of the previous period: that of the same length which ends at From.
	// It needs From and To. Times of the previous period are shifted by its length, so that its first day is compared with the
	// first day.
	Compare bool
	// CompareUntil ends the previous period earlier, for a period that is not complete; zero means From.
	CompareUntil time.Time
	// Current leaves out rows that only the previous period has.
	Current bool

	// CountsOnly omits the latency percentiles, which cost more than all other figures together.
	CountsOnly bool
	// RowsOnly omits what only complete reports need: first and last times, the percentiles of the others and the total,
	// Undated and, with CountsOnly, bytes.
	RowsOnly bool
}

// Order is what rows are sorted by, the largest first.
type Order string

// The orders. Of equal rows, the one with more requests is first.
const (
	Requests Order = "requests"
	Change   Order = "change"  // of requests since the previous period, up or down
	Changes  Order = "changes" // of requests or of errors: the rank that is higher
	Errors   Order = "errors"
	Latency  Order = "latency" // the 95th percentile
	Bytes    Order = "bytes"
)

// Result is the result of a Query.
type Result struct {
	Query Query
	Rows  []Row // in the query's order; where the first dimension is a time, by time

	Others    *Row  // sum of the rows beyond Query.Top; nil if none
	OtherRows int64 // number of rows in Others

	Total Row

	// Undated counts the selected requests that have no time and so are not in any period. It is 0 if the query has neither
	// From nor To, as all requests are counted then.
	Undated int64

	// RepeatedIDs and RepeatedLines count the selected rows that are not counted because another row is the same request:
	// those with the same extended request id, and those without one that are the same in every field.
	RepeatedIDs, RepeatedLines int64

	// Unread counts what the lake's objects have besides requests, whatever the query selects.
	Unread lake.Unread
}

// Row holds the measures of the requests that have the same keys.
type Row struct {
	Keys []Value // one for each dimension of the query; none in a total
	Measures
	Before *Before // the previous period; nil unless Query.Compare is set
}

// Value is the value of a row in a dimension. A missing value is "-".
type Value struct {
	Value string // the id, if the dimension has ids and names
	Name  string // the newest name in the period; "" if the dimension has no names
}

// Measures holds the figures of a set of requests.
type Measures struct {
	Requests int64
	Errors   int64 // answered with 400 or more
	Client   int64 // with 400 to 499
	Server   int64 // with 500 to 599
	Bytes    int64 // of the responses; at most math.MaxInt64
	// Latencies are milliseconds; nil if no request has one, or with CountsOnly.
	P50, P95, P99 *int64
	First, Last   time.Time // arrival of the first and the last request; zero if none has a time
}

// ErrorRate returns the share of requests answered with 400 or more, from 0 to 1.
func (m Measures) ErrorRate() float64 { return Share(m.Errors, m.Requests) }

// Before holds the figures of a row in the previous period.
type Before struct {
	Requests, Errors int64
}

// ErrorRate returns the share of errors in the previous period, from 0 to 1.
func (b Before) ErrorRate() float64 { return Share(b.Errors, b.Requests) }

// MoreRequests returns the change in requests since the previous period.
func (r Row) MoreRequests() int64 { return r.Requests - r.Before.Requests }

// MoreErrors returns the change of the error rate since the previous period, from -1 to 1.
func (r Row) MoreErrors() float64 { return r.ErrorRate() - r.Before.ErrorRate() }

// Share returns part/whole, or 0 if whole is 0.
func Share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// Span returns the period of the result: the query's or, where it is open, that of the requests.
func (r *Result) Span() (from, to time.Time) {
	from, to = r.Query.From, r.Query.To
	if from.IsZero() {
		from = r.Total.First
	}
	if to.IsZero() && !r.Total.Last.IsZero() {
		to = r.Total.Last.Add(time.Microsecond)
	}
	return from, to
}

// prepare fills in the query's defaults and returns an error if the query is invalid.
func (q *Query) prepare() error {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	for i, d := range q.By {
		if d == Step {
			if q.Every < time.Microsecond || q.From.IsZero() {
				return errors.New("dimension step needs From and a width in Every")
			}
		} else if _, err := ParseDimension(string(d)); err != nil {
			return err
		}
		for _, other := range q.By[:i] {
			if d == other {
				return fmt.Errorf("dimension %s is given twice; name it once", d)
			}
		}
	}
	for _, c := range q.Filter {
		if err := c.check(); err != nil {
			return err
		}
	}
	switch {
	case q.Top < 0:
		return fmt.Errorf("top %d: expected a number of rows, or 0 for all rows", q.Top)
	case !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To):
		return fmt.Errorf("the period from %s to %s is empty; the end must be after the beginning",
			q.From.Format(time.RFC3339), q.To.Format(time.RFC3339))
	case q.Compare && (q.From.IsZero() || q.To.IsZero()):
		return errors.New("comparing with the previous period needs both ends of the period; set from and to")
	}
	return nil
}

// begin returns the first instant that is read.
func (q Query) begin() time.Time {
	if q.Compare {
		return q.From.Add(-q.To.Sub(q.From))
	}
	return q.From
}
