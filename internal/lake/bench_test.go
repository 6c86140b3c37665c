//go:build cgo

package lake_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/encoding/parquet"
	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/record"
)

// bucket is an in-memory Source.
type bucket struct {
	name    string
	objects []record.Object // in the order of keys
	bodies  map[string][]byte
}

func (b *bucket) Bucket() string { return b.name }

func (b *bucket) List(_ context.Context, prefix, startAfter string, fn func(record.Object) error) error {
	for _, o := range b.objects {
		if o.Key > startAfter && len(o.Key) >= len(prefix) && o.Key[:len(prefix)] == prefix {
			if err := fn(o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bucket) Get(_ context.Context, key string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b.bodies[key])), nil
}

// usual returns n lines as a pipeline delivers them: preset usage, 1,000 customers in ten plans.
func usual(from, n int) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i := from; i < from+n; i++ {
		t := at.Add(time.Duration(i) * 100 * time.Millisecond)
		fmt.Fprintf(z, `{"api_id":"a1b2c3d4e5","stage":"prod","key_id":"k%09d","ip":"203.0.113.%d","method":"GET","uri":"/prod/orders/%d",`+
			`"resource_path":"/orders/{id}","resource_id":"x1y2z3","response_size":"%d","response_status":"%d","request_latency":"%d","request_time":"%s",`+
			`"request_time_epoch":"%d","request_id":"c6af9ac6-7b61-11e6-9a41-%012d","extended_request_id":"JKJaXm%010d=",`+
			`"usage_plan":"Plan %d","customer":"Customer %d","usage_plan_id":"p%d"}`+"\n",
			i%1000, i%250, i%5000, 100+i%9000, 200+i%7/6*300, 1+i%500, t.Format("02/Jan/2006:15:04:05 -0700"), t.UnixMilli(), i, i, i%10, i%1000, i%10)
	}
	_ = z.Close()
	return b.Bytes()
}

// setting returns the number in an environment variable, or the usual one.
func setting(b *testing.B, name string, usual int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// benchRows is the number of rows of a benchmark.
func benchRows(b *testing.B) int {
	b.Helper()
	return setting(b, "STAGELOG_LAKE_ROWS", 400_000)
}

// BenchmarkImport imports objects of 20,000 lines. STAGELOG_LAKE_ROWS sets the total number of lines;
// docs/benchmarks.md has the figures for 10000000.
func BenchmarkImport(b *testing.B) {
	rows := benchRows(b)
	const each = 20_000
	src := &bucket{name: "b", bodies: map[string][]byte{}}
	for i := 0; i < rows; i += each {
		key := fmt.Sprintf("logs/2026/11/01/%02d/o-%06d.gz", i/each%24, i/each)
		src.bodies[key] = usual(i, each)
	}
	src.sort()
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "lake.duckdb")
		l, err := lake.Open(b.Context(), path, lake.Options{})
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		sum, err := l.Import(b.Context(), src, lake.ImportOptions{Prefix: "logs/"})
		if err != nil || sum.Rows != int64(rows) || sum.Duplicates != 0 {
			b.Fatalf("%+v, %v", sum, err)
		}
		took := time.Since(began)
		began = time.Now()
		var customers int
		if err := l.DB().QueryRow("SELECT count(*) FROM (SELECT customer, count(*) FROM requests GROUP BY 1)").Scan(&customers); err != nil || customers != 1000 {
			b.Fatal(customers, err)
		}
		asked := time.Since(began)
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(rows)/took.Seconds(), "records/s")
		b.ReportMetric(float64(info.Size())/float64(rows), "bytes/record")
		b.ReportMetric(float64(asked.Microseconds())/1000, "ms/report")
	}
}

// BenchmarkPlainDuckDB runs the same query in DuckDB alone, without a lake: it reads the gzip objects
// each time.
func BenchmarkPlainDuckDB(b *testing.B) {
	rows, dir := benchRows(b), b.TempDir()
	const each = 20_000
	for i := 0; i < rows; i += each {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d.json.gz", i/each)), usual(i, each), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	if keep := os.Getenv("STAGELOG_LAKE_KEEP"); keep != "" { // for other programs
		if err := os.CopyFS(keep, os.DirFS(dir)); err != nil {
			b.Fatal(err)
		}
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for b.Loop() {
		var customers int
		err := db.QueryRow("SELECT count(*) FROM (SELECT customer, count(*) FROM read_json('" + dir + "/*.json.gz') GROUP BY 1)").Scan(&customers)
		if err != nil || customers != 1000 {
			b.Fatal(customers, err)
		}
	}
}

// BenchmarkParquet imports the lines of BenchmarkImport from Parquet objects as delivery writes them. BenchmarkPlainParquet asks
// DuckDB alone the same questions about the objects. STAGELOG_LAKE_EACH sets the rows of an object.
func BenchmarkParquet(b *testing.B) {
	src := parquetFiles(b)
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "lake.duckdb")
		l, err := lake.Open(b.Context(), path, lake.Options{})
		if err != nil {
			b.Fatal(err)
		}
		began, cpu := time.Now(), cpuTime(b)
		sum, err := l.Import(b.Context(), src, lake.ImportOptions{})
		if err != nil || sum.Rows != int64(benchRows(b)) || sum.Duplicates != 0 {
			b.Fatalf("%+v, %v", sum, err)
		}
		b.ReportMetric(float64(sum.Rows)/time.Since(began).Seconds(), "records/s")
		b.ReportMetric((cpuTime(b)-cpu).Seconds()*1e6/float64(sum.Rows), "cpu-s/million")
		askParquet(b, l.DB(), "requests", "time")
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/float64(sum.Rows), "bytes/record")
	}
}

func BenchmarkPlainParquet(b *testing.B) {
	src := parquetFiles(b)
	db, err := sql.Open("duckdb", "")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for b.Loop() {
		askParquet(b, db, "read_parquet('"+src.dir+"/*.parquet')", "make_timestamp(request_time_epoch::BIGINT * 1000)")
	}
	var bytes int64
	for _, o := range src.objects {
		bytes += o.Size
	}
	b.ReportMetric(float64(bytes)/float64(benchRows(b)), "bytes/record")
}

// askParquet measures the second run of questions: requests by customer, and by day.
func askParquet(b *testing.B, db *sql.DB, from, at string) {
	b.Helper()
	for unit, by := range map[string]string{"ms/customers": "customer", "ms/days": "date_trunc('day', " + at + ")"} {
		var began time.Time
		for range 2 {
			began = time.Now()
			var groups int
			if err := db.QueryRow("SELECT count(*) FROM (SELECT " + by + ", count(*) FROM " + from + " GROUP BY 1)").Scan(&groups); err != nil || groups == 0 {
				b.Fatal(groups, err)
			}
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, unit)
	}
}

// cpuTime returns the processor time of this process.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// parquetFiles returns a bucket of Parquet objects.
func parquetFiles(b *testing.B) *files {
	b.Helper()
	rows, each := benchRows(b), setting(b, "STAGELOG_LAKE_EACH", 100_000)
	src := &files{bucket{name: "b"}, b.TempDir()}
	for i := 0; i < rows; i += each {
		body := usualParquet(b, i, each)
		o := record.Object{Key: fmt.Sprintf("%06d.parquet", i/each), ETag: "x", Size: int64(len(body))}
		if err := os.WriteFile(filepath.Join(src.dir, o.Key), body, 0o600); err != nil {
			b.Fatal(err)
		}
		src.objects = append(src.objects, o)
	}
	return src
}

// files is a bucket with its bodies in a folder.
type files struct {
	bucket
	dir string
}

func (f *files) Get(_ context.Context, key string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(f.dir, key))
}

// usualParquet returns the rows of usual as an object that delivery converts.
func usualParquet(b *testing.B, from, n int) []byte {
	b.Helper()
	z, err := gzip.NewReader(bytes.NewReader(usual(from, n)))
	if err != nil {
		b.Fatal(err)
	}
	lines, err := io.ReadAll(z)
	if err != nil {
		b.Fatal(err)
	}
	first := map[string]any{}
	if err := json.Unmarshal(lines[:bytes.IndexByte(lines, '\n')], &first); err != nil {
		b.Fatal(err)
	}
	var columns []parquet.Column
	for _, name := range slices.Sorted(maps.Keys(first)) {
		columns = append(columns, parquet.Column{Name: name, Type: parquet.String})
	}
	return parquetOf(b, columns, lines)
}
