package console

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// benchRows returns the number of requests in the benchmarks' lake: STAGELOG_CONSOLE_ROWS, by default a million.
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

// benchLake returns a lake on disk with requests of the month before testNow, in order of time as after an import.
func benchLake(b testing.TB, rows int) *lake.Lake {
	b.Helper()
	l := emptyLake(b)
	_, err := l.DB().Exec(fmt.Sprintf(`INSERT INTO request_rows (object, line, duplicate, time, request_id, api_id, stage, key_id, customer, usage_plan, usage_plan_id,
		method, route, path, status, latency, integration_latency, bytes, ip, user_agent, error, extra)
		SELECT i // 10000, i %% 10000 + 1, false, ?::TIMESTAMP + to_microseconds((i * %d)::BIGINT), 'req-' || i,
			'api' || (h %% 5), CASE WHEN h %% 7 = 0 THEN 'dev' ELSE 'prod' END, 'key' || c, 'Customer ' || c, 'Plan ' || (c %% 4), 'plan' || (c %% 4),
			CASE WHEN h %% 5 = 0 THEN 'POST' ELSE 'GET' END, '/things/{id}/part' || (h %% 40), '/things/' || i || '/part' || (h %% 40),
			CASE WHEN h %% 100 = 1 THEN 500 WHEN h %% 20 = 2 THEN 404 ELSE 200 END,
			(5 + (h >> 8) %% 50 + CASE WHEN h %% 50 = 3 THEN (h >> 16) %% 2000 ELSE 0 END)::INTEGER, NULL, (h >> 4) %% 20000, '192.0.2.' || h %% 256, 'curl/8.5.0', NULL, NULL
		FROM (SELECT i, hash(i) %% 1000000007 AS h, least((hash(i * 31) %% 1000)::BIGINT, (hash(i * 17) %% 1000)::BIGINT) AS c FROM range(%d) r(i))`,
		int64(30*24*time.Hour/time.Microsecond)/int64(rows), rows), testNow.Add(-30*24*time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// stopwatch is a response that records when its first byte and its first panel were sent.
type stopwatch struct {
	*httptest.ResponseRecorder
	start        time.Time
	frame, panel time.Duration
}

// Flush records the time of the first two flushes.
func (w *stopwatch) Flush() {
	switch {
	case w.frame == 0:
		w.frame = time.Since(w.start)
	case w.panel == 0:
		w.panel = time.Since(w.start)
	}
}

// BenchmarkPages serves pages without cached results.
func BenchmarkPages(b *testing.B) {
	db := benchLake(b, benchRows(b))
	for name, path := range map[string]string{
		"overview-24h": "/", "overview-7d": "/?range=7d", "overview-30d": "/?range=30d", "overview-30d-plan": "/?range=30d&plan=Plan+1",
		"customers-30d": "/customers?range=30d", "customer-30d": "/customer?range=30d&key=key1", "requests-30d": "/requests?range=30d", "request": "/request?object=1&line=5",
	} {
		b.Run(name, func(b *testing.B) {
			var frame, panel time.Duration
			for b.Loop() {
				c := New(config(db))
				w := &stopwatch{ResponseRecorder: httptest.NewRecorder(), start: time.Now()}
				c.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
				if w.Code != 200 {
					b.Fatalf("GET %s: %d", path, w.Code)
				}
				frame, panel = frame+w.frame, panel+w.panel
			}
			b.ReportMetric(float64(frame.Microseconds())/1000/float64(b.N), "frame-ms")
			b.ReportMetric(float64(panel.Microseconds())/1000/float64(b.N), "panel-ms")
		})
	}
}
