//go:build cgo

package lake_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

func TestFillerImportsOnRead(t *testing.T) {
	var fills, failures atomic.Int64
	f := &lake.Filler{
		Open:  func(ctx context.Context) (*lake.Lake, error) { return lake.Open(ctx, "", lake.Options{}) },
		Fill:  func(context.Context, *lake.Lake) error { fills.Add(1); return errors.New("no bucket") },
		Every: time.Hour, Wait: time.Minute, Failed: func(error) { failures.Add(1) },
	}
	for range 3 {
		db, err := f.DB(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Ping(); err != nil {
			t.Error(err)
		}
	}
	if fills.Load() != 1 || failures.Load() != 1 {
		t.Errorf("%d imports, %d failures within the hour, want 1 of each", fills.Load(), failures.Load())
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.DB(t.Context()); !errors.Is(err, lake.ErrClosed) {
		t.Errorf("DB after Close: %v, want ErrClosed", err)
	}
}

// A slow import does not delay readers, and Close cancels it.
func TestFillerDoesNotWaitForSlowImport(t *testing.T) {
	ended := make(chan struct{})
	f := &lake.Filler{
		Open: func(ctx context.Context) (*lake.Lake, error) { return lake.Open(ctx, "", lake.Options{}) },
		Fill: func(ctx context.Context, _ *lake.Lake) error {
			<-ctx.Done()
			close(ended)
			return ctx.Err()
		},
		Every: time.Millisecond, Wait: time.Millisecond, Failed: func(err error) { t.Errorf("failed: %v", err) },
	}
	page, leave := context.WithCancel(t.Context())
	if _, err := f.DB(page); err != nil {
		t.Fatal(err)
	}
	leave()
	if _, err := f.DB(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Error("the import ended with the page that started it")
	default:
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}
