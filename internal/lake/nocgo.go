//go:build !cgo

package lake

import (
	"context"
	"database/sql"
	"errors"
)

// Lake is one database. Without cgo there is none.
type Lake struct{}

// ErrNoCgo means that this binary has no DuckDB.
var ErrNoCgo = errors.New("this stagelog was built without DuckDB, which needs a C compiler: build it with CGO_ENABLED=1, or take a release; every other command works")

// Open says that there is no lake.
func Open(context.Context, string, Options) (*Lake, error) { return nil, ErrNoCgo }

// Import says that there is no lake.
func (l *Lake) Import(context.Context, Source, ImportOptions) (Summary, error) {
	return Summary{}, ErrNoCgo
}

// DB is nil.
func (l *Lake) DB() *sql.DB { return nil }

// Read says that there is no lake.
func (l *Lake) Read(context.Context, string, func(*sql.Rows) error) error { return ErrNoCgo }

// Parquet says that there is no lake.
func (l *Lake) Parquet(context.Context, string) (string, error) { return "", ErrNoCgo }

// Close does nothing.
func (l *Lake) Close() error { return nil }
