package lake

import (
	"context"
	"database/sql"
)

// A Querier is a database, a connection or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
}

// EachRow runs a statement and calls fn with each row of the result. It stops at fn's first error.
func EachRow(ctx context.Context, q Querier, statement string, args []any, fn func(*sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
