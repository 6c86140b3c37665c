package report

import (
	"errors"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/lake/table"
)

// Query is what a report is about.
type Query struct {
	By     []Dimension    // rows are told apart by these; with none there is only a total
	From   time.Time      // the first instant; zero is the beginning of the lake
	To     time.Time      // the instant after the last; zero is the end of the lake
	Filter Filter         // which requests count
	Top    int            // so many rows with the most requests, and one of all others; 0 is every row
	Zone   *time.Location // where hours, days and months begin; nil is UTC

	// Compare sets the requests and errors of the period before beside each row: the one of the same length that ends at
	// From. It needs From and To. Times of that period count as if they lay one length later, so that the first day stands
	// beside the first day.
	Compare bool

	// CountsOnly leaves the latency percentiles out. They cost more than all other figures together.
	CountsOnly bool
}

// Report is the answer to a Query.
type Report struct {
	Query Query
	Rows  []Row // most requests first; where the first dimension is a time, in order of time

	Others    *Row  // what Rows leaves out; nil when that is nothing
	OtherRows int64 // how many rows Others stands for

	Total Row

	// Undated is the requests that the filter takes but that have no time, and so lie in no period. It is 0 when the query
	// has neither From nor To, as they are counted then.
	Undated int64
}

// Row is the measures of the requests that have the same keys.
type Row struct {
	Keys []Key // one for each dimension of the query; none in a total
	Measures
	Before *Before // the period before; nil unless the query compares
}

// Key is the value that the requests of a row have in a dimension. A value that is missing is "-".
type Key struct {
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

// ErrorRate is the share of requests answered with 400 or more, from 0 to 1.
func (m Measures) ErrorRate() float64 { return rate(m.Errors, m.Requests) }

// Before is the figures of a row in the period before.
type Before struct {
	Requests, Errors int64
}

// ErrorRate is the share of errors in the period before, from 0 to 1.
func (b Before) ErrorRate() float64 { return rate(b.Errors, b.Requests) }

// MoreRequests is by how many requests the row grew.
func (r Row) MoreRequests() int64 { return r.Requests - r.Before.Requests }

// MoreErrors is by how much the error rate grew, from -1 to 1.
func (r Row) MoreErrors() float64 { return r.ErrorRate() - r.Before.ErrorRate() }

func rate(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// check says what is wrong with a query, after it has filled its defaults in.
func (q *Query) check() error {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	for i, d := range q.By {
		if _, err := ParseDimension(string(d)); err != nil {
			return err
		}
		for _, other := range q.By[:i] {
			if d == other {
				return fmt.Errorf("dimension %s is given twice: name it once", d)
			}
		}
	}
	for _, c := range q.Filter {
		if _, err := ParseDimension(string(c.Dimension)); err != nil {
			return fmt.Errorf("filter %s: %w", table.Printable(c.String()), err)
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
