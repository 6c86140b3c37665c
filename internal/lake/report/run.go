package report

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// Run answers a query. All of the answer is of one state of the lake, whatever is imported meanwhile.
func Run(ctx context.Context, db *sql.DB, q Query) (*Report, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("read the lake: %w", err)
	}
	defer tx.Rollback() // nothing was written
	r, err := run(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("report by %v: %w", q.By, err)
	}
	return r, nil
}

func run(ctx context.Context, tx *sql.Tx, q Query) (*Report, error) {
	s, err := newStatement(ctx, tx, q)
	if err != nil {
		return nil, err
	}
	r := &Report{Query: q}
	if err := s.read(ctx, tx, r); err != nil {
		return nil, err
	}
	if !q.From.IsZero() || !q.To.IsZero() {
		sql, args := s.undated()
		if err := tx.QueryRowContext(ctx, sql, args...).Scan(&r.Undated); err != nil {
			return nil, fmt.Errorf("count requests without a time: %w", err)
		}
	}
	return r, nil
}

// newStatement learns the clock changes of the query's period. Where that is open, the lake bounds it.
func newStatement(ctx context.Context, tx *sql.Tx, q Query) (statement, error) {
	s := statement{query: q}
	from, to := s.begin(), q.To
	if from.IsZero() || to.IsZero() {
		var first, last sql.NullTime
		if err := tx.QueryRowContext(ctx, "SELECT min(time), max(time) FROM requests").Scan(&first, &last); err != nil {
			return s, fmt.Errorf("find the first and last request: %w", err)
		}
		if from.IsZero() {
			from = first.Time
		}
		if to.IsZero() {
			to = last.Time.Add(time.Microsecond)
		}
	}
	s.zone = newZone(q.Zone, from, to)
	return s, nil
}

// read fills in the rows, the others and the total.
func (s statement) read(ctx context.Context, tx *sql.Tx, r *Report) error {
	sql, args := s.sql()
	rows, err := tx.QueryContext(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("count requests: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		row, kind, n, err := s.scan(rows)
		if err != nil {
			return fmt.Errorf("count requests: %w", err)
		}
		switch kind {
		case kindRow:
			r.Rows = append(r.Rows, row)
		case kindOthers:
			r.Others, r.OtherRows = &row, n
		case kindTotal:
			r.Total = row
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("count requests: %w", err)
	}
	if len(r.Rows) > 0 && s.query.By[0].timed() {
		slices.SortStableFunc(r.Rows, func(a, b Row) int { return a.began(s.query.By[0]).Compare(b.began(s.query.By[0])) })
	}
	return nil
}

// scan reads a row, its kind, and for how many rows it stands. Only rows have keys.
func (s statement) scan(rows *sql.Rows) (row Row, kind int, n int64, err error) {
	keys := make([]Key, len(s.query.By))
	to := []any{&kind, &n}
	for i, d := range s.query.By {
		to = append(to, &keys[i].Value)
		if d.named() {
			to = append(to, &keys[i].Name)
		}
	}
	var latencies any
	var first, last sql.NullTime
	var b Before
	to = append(to, &row.Requests, &row.Errors, &row.Client, &row.Server, &row.Bytes, &latencies, &first, &last, &b.Requests, &b.Errors)
	if err := rows.Scan(to...); err != nil {
		return Row{}, 0, 0, err
	}
	if kind == kindRow {
		row.Keys = keys
	}
	if list, ok := latencies.([]any); ok && len(list) == 3 {
		row.P50, row.P95, row.P99 = milliseconds(list[0]), milliseconds(list[1]), milliseconds(list[2])
	}
	row.First, row.Last = first.Time, last.Time
	if s.query.Compare {
		row.Before = &b
	}
	return row, kind, n, nil
}

func milliseconds(v any) *int64 {
	n, ok := v.(int32)
	if !ok {
		return nil
	}
	ms := int64(n)
	return &ms
}

// began is the instant at which the piece of time of the first key begins. Missing times come last.
func (r Row) began(d Dimension) time.Time {
	layout := cmp.Or(map[Dimension]string{Hour: hourLayout, Day: dayLayout}[d], monthLayout)
	t, err := time.Parse(layout, r.Keys[0].Value)
	if err != nil {
		return time.Unix(1<<40, 0)
	}
	return t
}

// How rows show pieces of time.
const (
	hourLayout  = "2006-01-02T15:04Z07:00"
	dayLayout   = "2006-01-02"
	monthLayout = "2006-01"
)
