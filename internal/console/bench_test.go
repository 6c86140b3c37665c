package console

import (
	"context"
	"database/sql"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// benchRows is how many requests the benchmarks' lake has: a million, or what STAGELOG_CONSOLE_ROWS says.
func benchRows(b testing.TB) int {
	text := os.Getenv("STAGELOG_CONSOLE_ROWS")
	if text == "" {
		return 1_000_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatalf("STAGELOG_CONSOLE_ROWS=%s: %v", text, err)
	}
	return n
}

// benchLake is a lake of a month before testNow on disk, in the order of time as an import makes it.
func benchLake(b testing.TB, rows int) *sql.DB {
	b.Helper()
	schema, err := os.ReadFile("../lake/schema.sql")
	if err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("duckdb", filepath.Join(b.TempDir(), "lake.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	if _, err := db.Exec(string(schema)); err != nil {
		b.Fatal(err)
	}
	_, err = db.Exec(fmt.Sprintf(`INSERT INTO request_rows (object, line, duplicate, time, request_id, api_id, stage, key_id, customer, usage_plan, usage_plan_id,
		method, route, path, status, latency, integration_latency, bytes, ip, user_agent, error, extra)
		SELECT i // 10000, i %% 10000 + 1, false, ?::TIMESTAMP + to_microseconds((i * %d)::BIGINT), 'req-' || i,
			'api' || (h %% 5), CASE WHEN h %% 7 = 0 THEN 'dev' ELSE 'prod' END, 'key' || c, 'Customer ' || c, 'Plan ' || (c %% 4), 'plan' || (c %% 4),
			CASE WHEN h %% 5 = 0 THEN 'POST' ELSE 'GET' END, '/things/{id}/part' || (h %% 40), '/things/' || i || '/part' || (h %% 40),
			CASE WHEN h %% 100 = 1 THEN 500 WHEN h %% 20 = 2 THEN 404 ELSE 200 END,
			(5 + (h >> 8) %% 50 + CASE WHEN h %% 50 = 3 THEN (h >> 16) %% 2000 ELSE 0 END)::INTEGER, NULL, (h >> 4) %% 20000, '192.0.2.' || h %% 256, 'curl/8.5.0', NULL, NULL, NULL
		FROM (SELECT i, hash(i) %% 1000000007 AS h, least((hash(i * 31) %% 1000)::BIGINT, (hash(i * 17) %% 1000)::BIGINT) AS c FROM range(%d) r(i))`,
		int64(30*24*time.Hour/time.Microsecond)/int64(rows), rows), testNow.Add(-30*24*time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// firstWrite is a response that notes when its first byte came.
type firstWrite struct {
	*httptest.ResponseRecorder
	start time.Time
	first time.Duration
}

func (w *firstWrite) Write(p []byte) (int, error) {
	if w.first == 0 {
		w.first = time.Since(w.start)
	}
	return w.ResponseRecorder.Write(p)
}

func BenchmarkPages(b *testing.B) {
	db := benchLake(b, benchRows(b))
	for _, path := range []string{"/", "/?range=7d", "/?range=30d", "/?range=30d&plan=Plan+1"} {
		b.Run(strings.ReplaceAll(path, "/", "_"), func(b *testing.B) {
			var first time.Duration
			for b.Loop() {
				c := New(config(db)) // nothing cached
				w := &firstWrite{ResponseRecorder: httptest.NewRecorder(), start: time.Now()}
				c.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), "GET", "http://localhost"+path, nil))
				if w.Code != 200 {
					b.Fatalf("GET %s: %d", path, w.Code)
				}
				first += w.first
			}
			b.ReportMetric(float64(first.Microseconds())/1000/float64(b.N), "first-ms")
		})
	}
}

func TestExpQueries(t *testing.T) {
	if os.Getenv("EXPQ") == "" {
		t.Skip()
	}
	db := benchLake(t, benchRows(t))
	p, _ := parsePeriod(map[string][]string{"range": {"30d"}}, testNow)
	v := view{period: p}
	w := v.where()
	try := func(name, q string, args ...any) {
		for range 2 {
			s := time.Now()
			rows, err := db.Query(q, args...)
			if err != nil {
				t.Error(name, err)
				return
			}
			n := 0
			for rows.Next() {
				n++
			}
			rows.Close()
			t.Log(name, n, time.Since(s))
		}
	}
	try("reach", "select min(time),max(time),count(*) from requests")
	try("traffic", "select "+columnOf+" as i, status//100, count(*) from requests where "+w.sql+" group by all", append(v.columnArgs(), w.args...)...)
	try("lat disc", "select "+columnOf+" as i, quantile_disc(latency,[0.5,0.95,0.99]) from requests where "+w.sql+" group by 1", append(v.columnArgs(), w.args...)...)
	try("lat hist", "select "+columnOf+" as i, latency, count(*) from requests where "+w.sql+" group by 1,2", append(v.columnArgs(), w.args...)...)
	try("lat hist int", "select ((epoch_us(time) - ?::BIGINT) // ?::BIGINT)::USMALLINT as i, latency, count(*) from requests where "+w.sql+" group by 1,2", append(v.columnArgs(), w.args...)...)
	try("lat approx", "select "+columnOf+" as i, approx_quantile(latency,[0.5,0.95,0.99]) from requests where "+w.sql+" group by 1", append(v.columnArgs(), w.args...)...)
	try("lat total disc", "select quantile_disc(latency,[0.5,0.95,0.99]) from requests where "+w.sql, w.args...)
	try("lat total hist", "select latency,count(*) from requests where "+w.sql+" group by 1", w.args...)
	try("customers", "select key_id, max(customer), count(*) n, count(*) filter (status>=400) from requests where "+w.sql+" group by 1 order by n desc limit 10", w.args...)
	try("customers argmax", "select key_id, arg_max(customer,time), count(*) n, count(*) filter (status>=400) from requests where "+w.sql+" group by 1 order by n desc limit 10", w.args...)
	try("customers any", "select key_id, any_value(customer), count(*) n, count(*) filter (status>=400) from requests where "+w.sql+" group by 1 order by n desc limit 10", w.args...)
	try("customers p95", "select key_id, any_value(customer), count(*) n, count(*) filter (status>=400),quantile_disc(latency,0.95) from requests where "+w.sql+" group by 1 order by n desc limit 10", w.args...)
	try("routes", "select method, route, count(*) n, count(*) filter (status>=400) from requests where "+w.sql+" group by all order by n desc limit 10", w.args...)
	try("plans", "select usage_plan, count(*) n, count(*) filter (status>=400) from requests where "+w.sql+" group by all order by n desc limit 10", w.args...)
	try("distinct", "select count(distinct key_id), sum(bytes) from requests where "+w.sql, w.args...)
	try("sets", "select key_id,route,method, count(*) n, count(*) filter (status>=400) from requests where "+w.sql+" group by grouping sets ((key_id),(route,method))", w.args...)
	try("newest", "select * from requests where "+w.sql+" order by time desc, object desc, line desc limit 101", w.args...)
	try("exists", "select exists(from requests where "+w.sql+")", w.args...)
}
