package lake

import (
	"context"
	"database/sql"
	"strings"

	text "github.com/stagelog/stagelog/internal/lake/table"
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

// Unread counts what objects have besides requests.
type Unread struct {
	Bad   int64 `json:"bad"`   // lines that could not be read
	Other int64 `json:"other"` // JSON objects that are not access logs
}

// CountUnread counts what the objects have for which the condition is true.
func CountUnread(ctx context.Context, q Querier, where string, args ...any) (u Unread, err error) {
	err = EachRow(ctx, q, "SELECT coalesce(sum(bad), 0)::BIGINT, coalesce(sum(other), 0)::BIGINT FROM objects o WHERE "+where, args, func(rows *sql.Rows) error {
		return rows.Scan(&u.Bad, &u.Other)
	})
	return u, err
}

// String returns the counts in words, and "" if both are 0.
func (u Unread) String() string {
	var parts []string
	if u.Bad > 0 {
		parts = append(parts, text.Plural(u.Bad, "line")+" that could not be read")
	}
	if u.Other == 1 {
		parts = append(parts, "1 JSON object that is not an access log")
	} else if u.Other > 1 {
		parts = append(parts, text.Thousands(u.Other)+" JSON objects that are not access logs")
	}
	return strings.Join(parts, " and ")
}
