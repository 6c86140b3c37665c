//go:build cgo

package lake_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/laketest"
)

func TestFillerImportsOnRead(t *testing.T) {
	var fills, failures atomic.Int64
	f := &lake.Filler{
		Open:  func(ctx context.Context) (*lake.Lake, error) { return lake.Open(ctx, "", lake.Options{}) },
		Fill:  func(context.Context, *lake.Lake) error { fills.Add(1); return errors.New("no bucket") },
		Every: time.Hour, Wait: time.Minute, Failed: func(error) { failures.Add(1) },
	}
	for range 3 {
		l, err := f.Lake(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.DB().Ping(); err != nil {
			t.Error(err)
		}
	}
	if fills.Load() != 1 || failures.Load() != 1 {
		t.Errorf("%d imports, %d failures within the hour, want 1 of each", fills.Load(), failures.Load())
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Lake(t.Context()); !errors.Is(err, lake.ErrClosed) {
		t.Errorf("Lake after Close: %v, want ErrClosed", err)
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
	if _, err := f.Lake(page); err != nil {
		t.Fatal(err)
	}
	leave()
	if _, err := f.Lake(t.Context()); err != nil {
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

// A damaged file that an import or a reader finds is replaced at the next read, once.
func TestFillerRebuildsDamagedLake(t *testing.T) {
	b := &bucket{name: "b", bodies: map[string][]byte{"o": usual(0, 20_000)}}
	b.sort()
	path := filepath.Join(t.TempDir(), "lake")
	aside := 0
	f := &lake.Filler{
		Open: func(ctx context.Context) (*lake.Lake, error) { return lake.Open(ctx, path, lake.Options{}) },
		Fill: func(ctx context.Context, l *lake.Lake) error {
			_, err := l.Import(ctx, b, lake.ImportOptions{})
			return err
		},
		SetAside: func() error { aside++; _, err := lake.SetAside(path); return err },
		Every:    time.Hour, Wait: time.Minute, Failed: func(err error) { t.Errorf("failed: %v", err) },
	}
	read := func() (*sql.DB, error) {
		t.Helper()
		l, err := f.Lake(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		db := l.DB()
		var rows int
		err = db.QueryRowContext(t.Context(), "SELECT count(*) FROM (SELECT DISTINCT * FROM requests)").Scan(&rows)
		if err == nil && rows != 20_000 {
			t.Errorf("%d rows, want 20,000", rows)
		}
		return db, err
	}
	if _, err := read(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	laketest.DamageBlocks(t, path)
	found := 0
	f = &lake.Filler{Open: f.Open, Fill: f.Fill, SetAside: f.SetAside, Every: f.Every, Wait: f.Wait, Failed: func(error) { found++ }}
	defer f.Close()
	db, damage := read()
	f.Report(db, damage)
	if !lake.Damaged(damage) || aside != 0 {
		t.Errorf("read of the damaged lake: %v, set aside %d times", damage, aside)
	}
	for range 2 {
		if _, err := read(); err != nil || aside != 1 || found > 1 {
			t.Errorf("%v, set aside %d times after %d failed imports, want once", err, aside, found)
		}
		f.Report(db, damage) // of the lake that was replaced
	}
}
