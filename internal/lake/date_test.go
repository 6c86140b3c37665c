package lake

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

func TestDatesInKeys(t *testing.T) {
	for key, want := range map[string]string{
		"2026/11/02/16/s-1-2026-11-02-16-05-09-0e1f.gz": "2026-11-02 16h 2026-11-02T16:05:09",
		"a/2026/11/02/x.gz":                             "2026-11-02 24h",
		"2026/1/2/x.gz":                                 "2026-01-02 24h",
		"year=2026/month=11/day=02/hour=07/x":           "2026-11-02 07h",
		"api=a/year=2026/month=1/day=2/x":               "2026-01-02 24h",
		"dt=2026-10-01/x.gz":                            "2026-10-01 24h",
		"dt=2026-10-01/hour=5/x.gz":                     "2026-10-01 05h",
		"date=20261001/x":                               "2026-10-01 24h",
		"log_date=2026-10-01-13/x":                      "2026-10-01 13h",
		"2026-10-01/x":                                  "", // may be a version
		"copy-2026-11-30/date=2026-10-01/x":             "2026-10-01 24h",
		"2026-11-30/logs/2026/10/01/x":                  "2026-10-01 24h",
		"logs/s-2-2026-10-05-12-00-00-9f.gz":            "2026-10-05T12:00:00",
		"x.gz":                                          "",
		"20261001/x.gz":                                 "", // may be an id
		"2026/13/01/x":                                  "",
		"2026/10/x":                                     "",
		"2026/10/01":                                    "", // the name of an object
		"s-1-2026-10-05-12-00-61-9f.gz":                 "",
		"year=2026/month=11/x":                          "",
		"customer=2026/11/02/03/x":                      "",
		"2026/11/02/99/x":                               "2026-11-02 24h",
		"2026/11/02/stage/s-1-2026-11-02-16-05-09-0e1f.parquet":      "2026-11-02 24h 2026-11-02T16:05:09",
		"dt=2026-11-02/dt=2026-11-03/stream-12-2026-11-04-00-00-00-": "2026-11-02 24h 2026-11-03 24h 2026-11-04T00:00:00",
	} {
		var got []string
		for _, d := range datesIn(key) {
			switch d.span {
			case 0:
				got = append(got, d.begin.Format("2006-01-02T15:04:05"))
			case time.Hour:
				got = append(got, d.begin.Format("2006-01-02 15h"))
			default:
				got = append(got, d.begin.Format("2006-01-02")+" 24h")
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("dates in %s: %q, want %q", key, got, want)
		}
	}
}

// keysOnly is a bucket with empty objects.
type keysOnly []string

func (keysOnly) Bucket() string { return "b" }

func (keysOnly) Get(context.Context, string) (io.ReadCloser, error) { panic("not called") }

func (k keysOnly) List(_ context.Context, prefix, startAfter string, fn func(record.Object) error) error {
	for _, key := range k {
		if strings.HasPrefix(key, prefix) && key > startAfter {
			if err := fn(record.Object{Key: key, Modified: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestListingHidesNoRequest delivers requests under random prefixes, in random time zones and with random delays, and
// lists random ranges: each request of the range must be in a listed object.
func TestListingHidesNoRequest(t *testing.T) {
	layouts := []string{
		"2006/01/02/15/", "2006/01/02/", "year=2006/month=01/day=02/", "year=2006/month=1/day=2/hour=15/", "dt=2006-01-02/", "dt=2006-01-02-15/",
		"date=20060102/hour=15/", "2006-01-02/", "", "2006/01/",
	}
	const day = 24 * time.Hour
	random := rand.New(rand.NewPCG(13, 3))
	begin := time.Date(2025, 12, 20, 0, 0, 0, 0, time.UTC)
	spared := 0
	for range 2_000 {
		zone := time.FixedZone("", (random.IntN(27)-12)*3600+random.IntN(2)*1800*random.IntN(2))
		layout := layouts[random.IntN(len(layouts))]
		folder := []string{"", "api=a1/", "logs/prod/"}[random.IntN(3)]
		named := random.IntN(2) == 0
		requests := map[string]time.Time{} // one per object, by key
		for i := range 60 {
			at := begin.Add(time.Duration(random.Int64N(int64(20 * day))))
			delivered := at.Add(time.Duration(random.Int64N(int64(deliveredAfter)))).In(zone)
			key := "p/" + folder + delivered.Format(layout)
			if named {
				key += "s-1-" + delivered.Format("2006-01-02-15-04-05") + fmt.Sprintf("-%08x", i)
			} else {
				key += fmt.Sprintf("%08x.gz", i)
			}
			requests[key] = at
		}
		from := begin.Add(time.Duration(random.Int64N(int64(20 * day))))
		to := from.Add(time.Duration(random.Int64N(int64(3 * day))))
		switch random.IntN(6) {
		case 0:
			from = time.Time{}
		case 1:
			to = time.Time{}
		}
		listed := map[string]bool{}
		left, err := list(t.Context(), keysOnly(slices.Sorted(maps.Keys(requests))), "p/", windowOf(from, to), func(o record.Object) error {
			listed[o.Key] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for key, at := range requests {
			wanted := !at.Before(from) && (to.IsZero() || at.Before(to))
			if wanted && (!listed[key] || left.holds(key)) {
				t.Fatalf("the request of %s in %s is hidden from %s to %s", at, key, from, to)
			}
			if !listed[key] {
				spared++
			}
		}
	}
	if spared < 30_000 {
		t.Errorf("only %d of 120,000 objects were left out", spared)
	}
}
