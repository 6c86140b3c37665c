package lake

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// Source represents a bucket. It must be safe for parallel use.
type Source interface {
	// Bucket returns the bucket's name.
	Bucket() string
	// List calls fn with the objects whose keys begin with prefix and sort after startAfter,
	// in the order of keys. It stops at the first error of fn and returns it unchanged.
	List(ctx context.Context, prefix, startAfter string, fn func(record.Object) error) error
	// Get opens an object with its stored bytes.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
}

// Object keys have the time of delivery, which is later than that of the requests: a range of
// requests is widened by these margins.
const (
	deliveredBefore = time.Hour
	deliveredAfter  = 24 * time.Hour
)

// The dates in keys may be in any time zone. These are the largest offsets from UTC.
const (
	mostWestern = 12 * time.Hour // behind UTC
	mostEastern = 14 * time.Hour // ahead of UTC
)

// window is a range of delivery times.
type window struct{ from, to time.Time } // a zero one is no bound

func windowOf(from, to time.Time) window {
	if !from.IsZero() {
		from = from.Add(-deliveredBefore)
	}
	if !to.IsZero() {
		to = to.Add(deliveredAfter)
	}
	return window{from, to}
}

// holds reports whether an object may be in the window, by the dates in its key. An object without a date may be in any window:
// its modification time is that of a copy, if it was copied.
func (w window) holds(key string) bool {
	dates := datesIn(key)
	if len(dates) == 0 {
		return true
	}
	for _, d := range dates {
		if (w.from.IsZero() || d.begin.Add(d.span+mostWestern).After(w.from)) && (w.to.IsZero() || d.begin.Add(-mostEastern).Before(w.to)) {
			return true
		}
	}
	return false
}

// leftOut is the skipped part of a listing: the keys from first to last.
type leftOut struct{ first, last string }

func (l leftOut) holds(key string) bool { return l.first <= key && key <= l.last }

// list calls fn with the objects below prefix that are in the window. If dates follow the prefix,
// objects before the window are not listed at all.
func list(ctx context.Context, src Source, prefix string, w window, fn func(record.Object) error) (left leftOut, err error) {
	if !w.from.IsZero() {
		err := src.List(ctx, prefix, "", func(first record.Object) error {
			if start, ok := startOf(first.Key[len(prefix):], w.from.Add(-mostWestern)); ok {
				left = leftOut{first.Key, prefix + start}
			}
			return errFound
		})
		if err != nil && !errors.Is(err, errFound) {
			return left, err
		}
	}
	err = src.List(ctx, prefix, left.last, func(o record.Object) error {
		if strings.HasSuffix(o.Key, "/") || !w.holds(o.Key[len(prefix):]) {
			return nil // a folder, or not in the window
		}
		return fn(o)
	})
	return left, err
}

// ListSince calls fn with the objects below prefix that were delivered since a time. If dates follow
// the prefix, earlier objects are not listed at all.
func ListSince(ctx context.Context, src Source, prefix string, since time.Time, fn func(record.Object) error) error {
	_, err := list(ctx, src, prefix, window{from: since}, fn)
	return err
}

// errFound stops a listing after its first object.
var errFound = errors.New("found")
