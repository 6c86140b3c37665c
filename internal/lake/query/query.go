package query

import (
	"errors"
	"fmt"
	"time"
)

// Query is a question about the requests of a lake.
type Query struct {
	By     []Dimension    // rows are grouped by these; with none there is only a total
	From   time.Time      // the first instant; zero is the beginning of the lake
	To     time.Time      // the instant after the last; zero is the end of the lake
	Filter Filter         // which requests count
	Top    int            // so many rows, the first in Order, and one of all others; 0 is every row
	Order  Order          // of the rows; "" is Requests
	Zone   *time.Location // where hours, days and months begin; nil is UTC

	// Every is the width of a column of the dimension Step, in whole microseconds. The first column begins at From.
	Every time.Duration

	// Compare sets the requests and errors of the period before beside each row: the one of the same length that ends at
	// From. It needs From and To. Times of that period count as if they lay one length later, so that the first day stands
	// beside the first day.
	Compare bool
	// CompareUntil ends the period before earlier, for a period that is under way; zero is From.
	CompareUntil time.Time
	// Current leaves out rows that only the period before has.
	Current bool

	// CountsOnly leaves the latency percentiles out. They cost more than all other figures together.
	CountsOnly bool
	// RowsOnly leaves out what only whole reports show: first and last times, the percentiles of the others and the total,
	// Undated and, with CountsOnly, bytes.
	RowsOnly bool
}

// Order is what rows are sorted by, the largest first.
type Order string

// The orders. Where two rows are equal, the one with more requests comes first.
const (
	Requests Order = "requests"
	Change   Order = "change"  // of requests since the period before, up or down
	Changes  Order = "changes" // of requests or of errors: the rank that is higher
	Errors   Order = "errors"
	Latency  Order = "latency" // the 95th percentile
	Bytes    Order = "bytes"
)

// Result is the answer to a Query.
type Result struct {
	Query Query
	Rows  []Row // in the query's order; where the first dimension is a time, by time

	Others    *Row  // what Rows leaves out; nil when that is nothing
	OtherRows int64 // how many rows Others stands for

	Total Row

	// Undated counts the requests that the filter selects but that have no time, and so lie in no period. It is 0 when the
	// query has neither From nor To, as they are counted then.
	Undated int64
}

// Row holds the measures of the requests that have the same keys.
type Row struct {
	Keys []Value // one for each dimension of the query; none in a total
	Measures
	Before *Before // the period before; nil unless the query compares
}

// Value is what the requests of a row have in a dimension. A value that is missing is "-".
type Value struct {
	Value string // the id, where the dimension has ids and names
	Name  string // the newest name in the period; "" where the dimension has no names
}

// Measures are the figures of some requests.
type Measures struct {
	Requests int64
	Errors   int64 // answered with 400 or more
	Client   int64 // with 400 to 499
	Server   int64 // with 500 to 599
	Bytes    int64 // of the responses; stays at the largest int64 if it would be more
	// Latencies are milliseconds; nil where no request has one, or the query asked for counts only.
	P50, P95, P99 *int64
	First, Last   time.Time // arrival of the first and the last request; zero when none has a time
}

// ErrorRate returns the share of requests answered with 400 or more, from 0 to 1.
func (m Measures) ErrorRate() float64 { return Share(m.Errors, m.Requests) }

// Before holds the figures of a row in the period before.
type Before struct {
	Requests, Errors int64
}

// ErrorRate returns the share of errors in the period before, from 0 to 1.
func (b Before) ErrorRate() float64 { return Share(b.Errors, b.Requests) }

// MoreRequests returns by how many requests the row grew.
func (r Row) MoreRequests() int64 { return r.Requests - r.Before.Requests }

// MoreErrors returns by how much the error rate grew, from -1 to 1.
func (r Row) MoreErrors() float64 { return r.ErrorRate() - r.Before.ErrorRate() }

// Share returns part of whole, from 0 to 1; of nothing it is 0.
func Share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// Span returns the period of the result, as far as the query or the requests bound it.
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

// prepare fills in the query's defaults and returns an error for a query without an answer.
func (q *Query) prepare() error {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	for i, d := range q.By {
		if d == Step {
			if q.Every < time.Microsecond || q.From.IsZero() {
				return errors.New("columns of time need a width and a beginning")
			}
		} else if _, err := ParseDimension(string(d)); err != nil {
			return err
		}
		for _, other := range q.By[:i] {
			if d == other {
				return fmt.Errorf("dimension %s is given twice: name it once", d)
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
		return fmt.Errorf("top %d: expected the number of rows, or 0 for every row", q.Top)
	case !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To):
		return fmt.Errorf("the period from %s to %s is empty: the end must be after the beginning",
			q.From.Format(time.RFC3339), q.To.Format(time.RFC3339))
	case q.Compare && (q.From.IsZero() || q.To.IsZero()):
		return errors.New("comparing with the period before needs both ends of the period: give from and to")
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
