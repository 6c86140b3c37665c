//go:build cgo

// Package laketest creates lakes of random requests for tests. Tests get the rows too, so that they can compute the results
// of SQL without SQL.
package laketest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/stagelog/stagelog/internal/lake"
)

// Row is one line of the lake. A nil pointer is NULL.
type Row struct {
	Object                                                                    int32
	Line                                                                      int64
	Duplicate                                                                 bool
	Time                                                                      *time.Time
	RequestID, API, Stage, KeyID, Customer, Plan, PlanID, Method, Route, Path *string
	Status                                                                    *int16
	Latency                                                                   *int32
	Bytes                                                                     *int64
	IP, UserAgent, Error                                                      *string
}

// Object represents a delivered object.
type Object struct {
	ID                int32
	Bucket, Key, ETag string
	Modified          time.Time
}

// Open opens an empty lake in memory.
func Open(t testing.TB) *sql.DB {
	t.Helper()
	return OpenAt(t, "")
}

// OpenAt opens an empty lake in a file.
func OpenAt(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	Exec(t, db, lake.Schema)
	return db
}

// Exec runs a statement that must succeed.
func Exec(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatalf("%.200s: %v", statement, err)
	}
}

// AddObjects adds objects.
func AddObjects(t testing.TB, db *sql.DB, objects ...Object) {
	t.Helper()
	for _, o := range objects {
		Exec(t, db, "INSERT INTO objects VALUES (?, ?, ?, ?, 1, ?, ?, 0, 0, NULL, 0, 0, NULL)", o.ID, o.Bucket, o.Key, o.ETag, o.Modified.UTC(), o.Modified.UTC())
	}
}

// AddRows adds rows.
func AddRows(t testing.TB, db *sql.DB, rows ...Row) {
	t.Helper()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		a, err := duckdb.NewAppenderWithColumns(c.(driver.Conn), "", "", "request_rows", []string{
			"object", "line", "duplicate", "time", "request_id", "api_id", "stage", "key_id", "customer", "usage_plan", "usage_plan_id",
			"method", "route", "path", "status", "latency", "bytes", "ip", "user_agent", "error",
		})
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := a.AppendRow(r.Object, r.Line, r.Duplicate, value(r.Time), value(r.RequestID), value(r.API), value(r.Stage),
				value(r.KeyID), value(r.Customer), value(r.Plan), value(r.PlanID), value(r.Method), value(r.Route), value(r.Path),
				value(r.Status), value(r.Latency), value(r.Bytes), value(r.IP), value(r.UserAgent), value(r.Error)); err != nil {
				return err
			}
		}
		return a.Close()
	})
	if err != nil {
		t.Fatalf("add rows: %v", err)
	}
}

func value[T any](p *T) driver.Value {
	if p == nil {
		return nil
	}
	return *p
}

// P returns a pointer to v.
func P[T any](v T) *T { return &v }

// DamageBlocks flips a bit in each block of a lake's file but the first, without which the file cannot be opened.
func DamageBlocks(t testing.TB, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const header, block = 3 * 4096, 256 << 10
	for at := header + block + 100; at < len(data); at += block {
		data[at] ^= 1
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Rand returns a random source. The test log has its seed, which STAGELOG_SEED sets.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("STAGELOG_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatalf("STAGELOG_SEED: %v", err)
		}
	}
	t.Logf("STAGELOG_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Random returns n rows between from and to with all special cases: missing values, names that two keys share, keys that
// change their name and plan, customers without a key, duplicates, and hostile texts.
func Random(rng *rand.Rand, n int, from, to time.Time) []Row {
	rows := make([]Row, n)
	for i := range rows {
		r := &rows[i]
		at := from.Add(time.Duration(rng.Int64N(int64(to.Sub(from))))).Truncate(time.Microsecond)
		*r = Row{
			Object: int32(1 + i*5/n), Line: int64(i + 1),
			Time: P(at.UTC()), RequestID: P(fmt.Sprintf("id-%d", i)), API: pick(rng, "shop", "pay"), Stage: pick(rng, "prod", "test", ""),
			Method: pick(rng, "GET", "POST", "DELETE"), IP: pick(rng, "10.0.0.1", "10.0.0.2", "2001:db8::1"),
		}
		item := rng.IntN(30)
		r.Route, r.Path = P("/orders/{id}"), P(fmt.Sprintf("/orders/%d_%%", item))
		if item%3 == 0 {
			r.Route, r.Path = P("/items"), P("/items")
		}
		key := rng.IntN(12)
		late := at.Sub(from) > to.Sub(from)/2
		switch {
		case key == 0: // no key
		case key == 1: // an authorizer's customer
			r.Customer, r.Plan = P("Authorized Ltd"), P("Gold")
		case key == 2: // an unknown key
			r.KeyID = P("key2")
		default:
			r.KeyID, r.Customer = P(fmt.Sprintf("key%d", key)), P(fmt.Sprintf("Customer %d", key/2))
			r.Plan, r.PlanID = P("Gold"), P("plan1")
			if key == 5 && late {
				r.Customer, r.Plan, r.PlanID = P("Renamed Ltd"), P("Silver"), P("plan2")
			}
			if key > 8 {
				r.Plan, r.PlanID = P("Gold"), P("plan3")
			}
		}
		r.UserAgent = pick(rng, "curl/8.0", "\x1b[2J=evil", "\u202etxt", "")
		status := []int16{200, 200, 200, 201, 301, 400, 404, 429, 500, 503}[rng.IntN(10)]
		r.Status = &status
		if status >= 500 {
			r.Error = P("Internal server error")
		}
		r.Latency, r.Bytes = P(int32(rng.IntN(1+rng.IntN(3000)))), P(rng.Int64N(1<<20))
		if rng.IntN(25) == 0 {
			r.Status, r.Latency, r.Bytes, r.Route = nil, nil, nil, nil
		}
		if rng.IntN(60) == 0 {
			r.Time = nil
		}
		if i > 0 && rng.IntN(20) == 0 {
			object, line := r.Object, r.Line
			*r = rows[rng.IntN(i)]
			r.Object, r.Line, r.Duplicate = object, line, true
		}
	}
	return rows
}

// pick returns one of the texts, or nil for "".
func pick(rng *rand.Rand, texts ...string) *string {
	text := texts[rng.IntN(len(texts))]
	if text == "" {
		return nil
	}
	return &text
}
