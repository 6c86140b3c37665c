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

// holds reports whether an object may be in the window, by the date in its key or, if there is none, by when it was modified.
func (w window) holds(key string, modified time.Time) bool {
	begin, end := modified, modified
	if d, ok := dateIn(key); ok {
		begin, end = d.begin, d.begin.Add(d.span)
	}
	return (w.from.IsZero() || end.After(w.from)) && (w.to.IsZero() || begin.Before(w.to))
}

// leftOut is the skipped part of a listing: the keys from first to last.
type leftOut struct{ first, last string }

func (l leftOut) holds(key string) bool { return l.first <= key && key <= l.last }

// list calls fn with the objects below prefix that are in the window. If dates follow the prefix,
// objects before the window are not listed at all.
func list(ctx context.Context, src Source, prefix string, w window, fn func(record.Object) error) (left leftOut, err error) {
	if !w.from.IsZero() {
		err := src.List(ctx, prefix, "", func(first record.Object) error {
			if d, ok := dateIn(first.Key[len(prefix):]); ok {
				left = leftOut{first.Key, prefix + first.Key[len(prefix):][:d.at] + d.form(w.from)}
			}
			return errFound
		})
		if err != nil && !errors.Is(err, errFound) {
			return left, err
		}
	}
	err = src.List(ctx, prefix, left.last, func(o record.Object) error {
		if strings.HasSuffix(o.Key, "/") || !w.holds(o.Key[len(prefix):], o.Modified) {
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

// date is the date in a key.
type date struct {
	at    int // its index in the key
	hive  bool
	begin time.Time
	span  time.Duration // an hour or a day
}

// form formats t like this date, up to the day.
func (d date) form(t time.Time) string {
	if d.hive {
		return t.UTC().Format("year=2006/month=01/day=02")
	}
	return t.UTC().Format("2006/01/02")
}

// dateIn finds the date in a key: 2026/11/23/ or year=2026/month=11/day=23/, with or without an hour.
// The margins of windowOf cover time zones other than UTC, except for a few hours.
func dateIn(key string) (date, bool) {
	for at := 0; at < len(key); {
		if d, ok := dateAt(key[at:]); ok {
			d.at = at
			return d, true
		}
		next := strings.IndexByte(key[at:], '/')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return date{}, false
}

func dateAt(s string) (date, bool) {
	parts := strings.SplitN(s, "/", 5)
	if len(parts) < 4 {
		return date{}, false
	}
	d := date{span: 24 * time.Hour, hive: strings.HasPrefix(parts[0], "year=")}
	if d.hive {
		for i, name := range []string{"year=", "month=", "day=", "hour="} {
			rest, ok := strings.CutPrefix(parts[i], name)
			if !ok && i < 3 {
				return date{}, false
			}
			parts[i] = rest
		}
	}
	var err error
	if d.begin, err = time.Parse("2006/01/02", strings.Join(parts[:3], "/")); err != nil {
		return date{}, false
	}
	if hour, err := time.Parse("15", parts[3]); err == nil && len(parts) == 5 {
		d.begin, d.span = d.begin.Add(time.Duration(hour.Hour())*time.Hour), time.Hour
	}
	return d, true
}
