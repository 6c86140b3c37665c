package console

import (
	"context"
	"database/sql"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
)

// testNow is what the clock says in tests.
var testNow = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// newLake makes an empty lake in memory.
func newLake(t testing.TB) *sql.DB {
	t.Helper()
	schema, err := os.ReadFile("../lake/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(string(schema)); err != nil {
		t.Fatal(err)
	}
	return db
}

func config(db *sql.DB) Config {
	return Config{DB: func(context.Context) (*sql.DB, error) { return db, nil }, Now: func() time.Time { return testNow }}
}

func TestOverviewOfAnEmptyLakeSaysHowToFillIt(t *testing.T) {
	c := New(config(newLake(t)))
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://localhost/", nil)
	c.ServeHTTP(w, r)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "stagelog up") {
		t.Errorf("GET /: %d %s", w.Code, w.Body.String())
	}
}
