package query

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// Run runs a query in one transaction, so that its result is not affected by concurrent imports.
func Run(ctx context.Context, db *sql.DB, q Query) (*Result, error) {
	if err := q.prepare(); err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("read the lake: %w", err)
	}
	defer tx.Rollback() // nothing was written
	r, err := run(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("count requests by %v: %w", q.By, err)
	}
	return r, nil
}

// Where returns the query's period and filter as a condition on rows of the view requests.
func Where(ctx context.Context, db *sql.DB, q Query) (Clause, error) {
	q.Compare = false
	if err := q.prepare(); err != nil {
		return Clause{}, err
	}
	s, err := newStatement(ctx, db, q)
	if err != nil {
		return Clause{}, err
	}
	where := s.period(q.Filter.where(s.scope))
	where.SQL = where.text()
	return where, nil
}

// period adds the query's period to a condition.
func (s statement) period(where Clause) Clause {
	if from := s.query.From; !from.IsZero() {
		where = where.And("time >= ?::TIMESTAMP", from.UTC())
	}
	if to := s.query.To; !to.IsZero() {
		where = where.And("time < ?::TIMESTAMP", to.UTC())
	}
	return where
}

// reader is a database or a transaction.
type reader interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func run(ctx context.Context, tx *sql.Tx, q Query) (*Result, error) {
	s, err := newStatement(ctx, tx, q)
	if err != nil {
		return nil, err
	}
	r := &Result{Query: q}
	if err := s.read(ctx, tx, r); err != nil {
		return nil, err
	}
	if !q.RowsOnly && (!q.From.IsZero() || !q.To.IsZero()) {
		sql, args := s.undated()
		if err := tx.QueryRowContext(ctx, sql, args...).Scan(&r.Undated); err != nil {
			return nil, fmt.Errorf("count requests without a time: %w", err)
		}
	}
	if !q.RowsOnly {
		where := s.period(q.Filter.where(s.scope))
		err := tx.QueryRowContext(ctx, "SELECT count(extended_request_id), count(*) - count(extended_request_id) FROM (SELECT *, time AS t FROM request_rows WHERE duplicate) WHERE "+where.text(),
			where.Args...).Scan(&r.RepeatedIDs, &r.RepeatedLines)
		if err != nil {
			return nil, fmt.Errorf("count repeated rows: %w", err)
		}
		if r.Unread, err = lake.CountUnread(ctx, tx, "true"); err != nil {
			return nil, fmt.Errorf("count unread lines: %w", err)
		}
	}
	return r, nil
}

// newStatement prepares a query's statement: it finds the clock changes of the period, which the lake's requests bound if it is open.
func newStatement(ctx context.Context, db reader, q Query) (statement, error) {
	s := statement{query: q}
	if q.Compare {
		s.scope.time = "t"
	} else {
		s.scope.time = "time"
	}
	if len(q.By) > 0 && slices.Contains(q.By, Step) {
		s.scope.steps = fmt.Sprintf("(epoch_us(%s) - %d) // %d", s.scope.time, q.From.UnixMicro(), q.Every.Microseconds())
	}
	from, to := q.begin(), q.To
	if !q.Filter.timed() && !slices.ContainsFunc(q.By, Dimension.Timed) {
		return s, nil
	}
	if from.IsZero() || to.IsZero() {
		var first, last sql.NullTime
		if err := db.QueryRowContext(ctx, "SELECT min(time), max(time) FROM requests").Scan(&first, &last); err != nil {
			return s, fmt.Errorf("find the first and last request: %w", err)
		}
		if from.IsZero() {
			from = first.Time
		}
		if to.IsZero() {
			to = last.Time.Add(time.Microsecond)
		}
	}
	s.scope.zone = newZone(q.Zone, from, to)
	return s, nil
}

// read sets the rows, the others and the total of r.
func (s statement) read(ctx context.Context, tx *sql.Tx, r *Result) error {
	statement, args := s.sql()
	err := lake.EachRow(ctx, tx, statement, args, func(rows *sql.Rows) error { return s.add(rows, r) })
	if err != nil {
		return fmt.Errorf("count requests: %w", err)
	}
	if len(r.Rows) > 0 && s.query.By[0].Timed() {
		slices.SortStableFunc(r.Rows, func(a, b Row) int { return a.began(s.query.By[0]).Compare(b.began(s.query.By[0])) })
	}
	return nil
}

// add adds a row of the statement's result to r.
func (s statement) add(rows *sql.Rows, r *Result) error {
	q := s.query
	var place, requests, errs, client, server, bytes, before, errorsBefore sql.NullInt64
	var first, last sql.NullTime
	var n int64
	var latencies any
	keys := make([]Value, len(q.By))
	to := []any{&place, &n}
	for i, d := range q.By {
		to = append(to, &keys[i].Value)
		if d.Named() {
			to = append(to, &keys[i].Name)
		}
	}
	to = append(to, &latencies, &requests, &errs, &client, &server, &bytes, &first, &last, &before, &errorsBefore)
	if err := rows.Scan(to...); err != nil {
		return err
	}
	row := Row{Measures: Measures{Requests: requests.Int64, Errors: errs.Int64, Client: client.Int64, Server: server.Int64, Bytes: bytes.Int64,
		First: first.Time, Last: last.Time}}
	isRow := place.Valid && (q.Top == 0 || place.Int64 <= int64(q.Top))
	if list, ok := latencies.([]any); ok && len(list) == 3 && (isRow || !q.RowsOnly) {
		row.P50, row.P95, row.P99 = milliseconds(list[0]), milliseconds(list[1]), milliseconds(list[2])
	}
	if q.Compare {
		row.Before = &Before{before.Int64, errorsBefore.Int64}
	}
	switch {
	case !place.Valid:
		r.Total = row
	case place.Int64 == 0: // left out, see Query.Current
	case isRow:
		row.Keys = keys
		r.Rows = append(r.Rows, row)
	default:
		r.Others, r.OtherRows = &row, n
	}
	return nil
}

func milliseconds(v any) *int64 {
	n, ok := v.(int32)
	if !ok {
		return nil
	}
	ms := int64(n)
	return &ms
}

// began returns the beginning of the row's hour, day or month. Missing times sort last.
func (r Row) began(d Dimension) time.Time {
	layout := cmp.Or(map[Dimension]string{Hour: HourLayout, Day: DayLayout}[d], MonthLayout)
	t, err := time.Parse(layout, r.Keys[0].Value)
	if err != nil {
		return time.Unix(1<<40, 0)
	}
	return t
}

// Formats of hours, days and months.
const (
	HourLayout  = "2006-01-02T15:04Z07:00"
	DayLayout   = "2006-01-02"
	MonthLayout = "2006-01"
)
