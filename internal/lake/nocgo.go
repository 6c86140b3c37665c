//go:build !cgo

package lake

import (
	"context"
	"database/sql"
	"errors"
)

// Lake is a stub: there is no lake without cgo.
type Lake struct{}

// ErrNoCgo is returned by a binary without DuckDB.
var ErrNoCgo = errors.New("this stagelog was built without DuckDB, which needs cgo: build it with CGO_ENABLED=1 or use a release; every other command works")

// Open returns ErrNoCgo.
func Open(context.Context, string, Options) (*Lake, error) { return nil, ErrNoCgo }

// Damaged returns false.
func Damaged(error) bool { return false }

// Import returns ErrNoCgo.
func (l *Lake) Import(context.Context, Source, ImportOptions) (Summary, error) {
	return Summary{}, ErrNoCgo
}

// DB returns nil.
func (l *Lake) DB() *sql.DB { return nil }

// Read returns ErrNoCgo.
func (l *Lake) Read(context.Context, string, func(*sql.Rows) error) error { return ErrNoCgo }

// Parquet returns ErrNoCgo.
func (l *Lake) Parquet(context.Context, string) (string, error) { return "", ErrNoCgo }

// Share returns ErrNoCgo.
func (l *Lake) Share(context.Context, func(string) error) error { return ErrNoCgo }

// Lend returns ErrNoCgo.
func (l *Lake) Lend(context.Context, func(string) error) error { return ErrNoCgo }

// Write returns ErrNoCgo.
func (l *Lake) Write(context.Context, func() error) error { return ErrNoCgo }

// Close does nothing.
func (l *Lake) Close() error { return nil }
