//go:build cgo

package lake_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/laketest"
	"github.com/stagelog/stagelog/internal/record"
)

func open(t testing.TB, path string) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), path, lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func importAll(t testing.TB, l *lake.Lake, b *bucket, opts lake.ImportOptions) lake.Summary {
	t.Helper()
	b.sort()
	sum, err := l.Import(t.Context(), b, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// ask returns the rows of a query, with columns joined by bars. NULL is shown as such.
func ask(t testing.TB, l *lake.Lake, query string, args ...any) (all []string) {
	t.Helper()
	rows, err := l.DB().QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var shown []string
		for _, v := range values {
			switch v := v.(type) {
			case nil:
				shown = append(shown, "NULL")
			case time.Time:
				shown = append(shown, v.UTC().Format("2006-01-02 15:04:05.999999"))
			default:
				shown = append(shown, fmt.Sprint(v))
			}
		}
		all = append(all, strings.Join(shown, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const everyColumn = `SELECT time, request_id, extended_request_id, api_id, stage, key_id, customer, usage_plan, usage_plan_id, method, route, path,
	status, latency, integration_latency, bytes, ip, user_agent, error, CAST(extra AS VARCHAR) FROM requests ORDER BY object, line`

// The fields of our formats and of AWS's examples are mapped by name alone.
func TestImportMapsCommonFieldNames(t *testing.T) {
	for name, c := range map[string]struct{ line, want string }{
		"classic, as the seed delivers it": {
			`{"api_id":"a1","api_key":"****abcd","key_id":"k1","ip":"203.0.113.7","method":"GET","uri":"/prod/x","response_size":"17","response_status":"200","resource_id":"r1","request_id":"id1","request_latency":"12","request_time":"10/Jul/2024:18:14:22 +0000","stage":"prod","usage_plan":"Gold","customer":"Acme"}`,
			`2024-07-10 18:14:22|id1|NULL|a1|prod|k1|Acme|Gold|NULL|GET|NULL|/prod/x|200|12|NULL|17|203.0.113.7|NULL|NULL|{"api_key":"****abcd","resource_id":"r1"}`,
		},
		"usage": {
			`{"api_id":"a1","stage":"prod","key_id":"k1","ip":"203.0.113.7","method":"GET","uri":"/prod/x/1","resource_path":"/x/{id}","resource_id":"r1","response_size":"17","response_status":"404","request_latency":"12","request_time":"10/Jul/2024:18:14:22 +0000","request_time_epoch":"1720635262451","request_id":"id1","extended_request_id":"ext1=","usage_plan":"Gold","customer":"Acme","usage_plan_id":"p1"}`,
			`2024-07-10 18:14:22.451|id1|ext1=|a1|prod|k1|Acme|Gold|p1|GET|/x/{id}|/prod/x/1|404|12|NULL|17|203.0.113.7|NULL|NULL|{"resource_id":"r1"}`,
		},
		"apiable": {
			`{"api_id":"a1","key_id":"k1","ip":"1.2.3.4","method":"POST","uri":"/x","response_size":"0","response_status":"500","resource_id":"-","request_id":"id1","extended_request_id":"ext1","request_latency":"7","request_time":"1720635262451","stage":"prod","plan_id":"Gold","subscription_id":"Acme"}`,
			`2024-07-10 18:14:22.451|id1|ext1|a1|prod|k1|Acme|Gold|NULL|POST|NULL|/x|500|7|NULL|0|1.2.3.4|NULL|NULL|NULL`,
		},
		"AWS's example for HTTP APIs": {
			`{"requestId":"id1","ip":"1.2.3.4","requestTime":"10/Jul/2024:18:14:22 +0000","httpMethod":"GET","routeKey":"GET /x","status":"200","protocol":"HTTP/1.1","responseLength":"3","integrationError":"boom"}`,
			`2024-07-10 18:14:22|id1|NULL|NULL|NULL|NULL|NULL|NULL|NULL|GET|GET /x|NULL|200|NULL|NULL|3|1.2.3.4|NULL|boom|{"protocol":"HTTP/1.1"}`,
		},
		"nothing set": {
			`{"request_id":"-","response_status":"-","response_size":"","request_time":null,"customer":"-","more":"-"}`,
			`NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL`,
		},
		"values that do not fit are kept": {
			`{"status":"abc","latency":99999999999,"request_time":"yesterday","customer":{"a":[1]},"bytes":-5,"api_key":"secretsecretsecret1234"}`,
			`NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|-5|NULL|NULL|NULL|{"status":"abc","latency":99999999999,"request_time":"yesterday","customer":{"a":[1]}}`,
		},
		"hostile values": {
			`{"user_agent":"a,\"b\"\n\u0000c\\","uri":"/';DROP TABLE objects;--","na\"me\\,":"x,\"y\"","customer":"é\u00fc😀"}`,
			"NULL|NULL|NULL|NULL|NULL|NULL|éü😀|NULL|NULL|NULL|NULL|/';DROP TABLE objects;--|NULL|NULL|NULL|NULL|NULL|a,\"b\"\n\uFFFDc\\|NULL|" +
				`{"na\"me\\,":"x,\"y\""}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, "")
			sum := importAll(t, l, &bucket{name: "b", bodies: map[string][]byte{"o": []byte(c.line)}}, lake.ImportOptions{})
			if sum.Rows != 1 || sum.Bad != 0 {
				t.Errorf("%+v", sum)
			}
			want(t, "row", ask(t, l, everyColumn), c.want)
		})
	}
}

// A large object is streamed, not held in memory. STAGELOG_LAKE_OBJECT sets its size in MB.
func TestImportStreamsLargeObject(t *testing.T) {
	size := 32
	if text := os.Getenv("STAGELOG_LAKE_OBJECT"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	line := []byte(`{"request_id":"","status":"200","uri":"/` + strings.Repeat("x", 950) + `"}` + "\n")
	src := repeated{&bucket{name: "b", objects: []record.Object{{Key: "large", ETag: "e"}}}, line, size << 20 / len(line)}
	l, err := lake.Open(t.Context(), filepath.Join(t.TempDir(), "lake.duckdb"), lake.Options{MemoryMiB: 256})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sum, err := l.Import(t.Context(), src, lake.ImportOptions{})
	runtime.ReadMemStats(&after)
	if err != nil || sum.Rows != int64(src.times) {
		t.Fatalf("%+v, %v", sum, err)
	}
	t.Logf("%d MB, %d rows: Go heap %d MB, %d MB more than before", size, sum.Rows, after.HeapSys>>20, int64(after.HeapSys-before.HeapSys)>>20)
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
		t.Errorf("heap grew by %d MB, want at most 64", grown>>20)
	}
}

// repeated is a bucket whose object repeats one line.
type repeated struct {
	*bucket
	line  []byte
	times int
}

func (r repeated) Get(context.Context, string) (io.ReadCloser, error) {
	from, to := io.Pipe()
	go func() {
		for range r.times {
			if _, err := to.Write(r.line); err != nil {
				return
			}
		}
		to.Close()
	}()
	return from, nil
}

// The variables of a format take precedence over its field names.
func TestMappingUsesTheFormatsVariables(t *testing.T) {
	format := accesslog.Parse(`{"wer":"$context.identity.apiKeyId","status":"$context.integration.status","code":"$context.status","id":"$context.extendedRequestId","geheim":"$context.identity.apiKey"}`)
	l := open(t, "")
	importAll(t, l, &bucket{name: "b", bodies: map[string][]byte{
		"o": []byte(`{"wer":"k1","status":"502","code":"504","id":"e1","geheim":"abcdefgh12345678","kunde":"Acme"}`),
	}}, lake.ImportOptions{Mapping: lake.MappingOf(format, "", "kunde", "")})
	want(t, "row", ask(t, l, `SELECT key_id, status, extended_request_id, customer, CAST(extra AS VARCHAR) FROM requests`), `k1|504|e1|Acme|{"status":"502"}`)
}

// Each object is imported or reported as a problem, and none stops the import.
func TestImportReadsEveryKindOfObject(t *testing.T) {
	one, two := `{"request_id":"r1","status":"200"}`, `{"request_id":"r2","status":"201"}`
	whole := gzipped(t, strings.Repeat(one+"\n", 20_000))
	for name, c := range map[string]struct {
		body      []byte
		rows, bad int64
		problem   string
		repaired  int64
	}{
		"lines":                    {body: []byte(one + "\n" + two + "\n"), rows: 2},
		"run together":             {body: []byte(one + two), rows: 2},
		"a list":                   {body: []byte("[" + one + ", " + two + "]"), rows: 2},
		"blank lines and CRLF":     {body: []byte("\r\n" + one + "\r\n\r\n" + two), rows: 2},
		"gzip":                     {body: gzipped(t, one+"\n"+two), rows: 2},
		"gzip of several members":  {body: append(gzipped(t, one), gzipped(t, two)...), rows: 2},
		"ZIP":                      {body: zipped(t, one+two), rows: 2},
		"empty":                    {body: nil},
		"empty gzip":               {body: gzipped(t, "")},
		"truncated gzip":           {body: whole[:len(whole)-20], rows: -1, bad: -1, problem: "truncated"},
		"curly quotes":             {body: []byte("{“request_id”: “r1”, “status”: “200”}"), rows: 1, repaired: 1},
		"one bad line":             {body: []byte(one + "\nnot JSON\n" + two + "\n{\"request_id\":"), rows: 2, bad: 2},
		"a line that is too long":  {body: []byte(one + "\n{\"x\":\"" + strings.Repeat("x", 3<<20) + "\"}\n" + two), rows: 2, bad: 1},
		"a file of something else": {body: []byte(strings.Repeat("a,b,c\n", 500)), bad: 500, problem: "no access log lines"},
		"Parquet":                  {body: parquetFile(t, one, two), rows: 2},
		"a broken Parquet file":    {body: []byte("PAR1\x15\x04\x15\x00\x00PAR1"), problem: "corrupt"},
		"an image":                 {body: []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), bad: -1, problem: "no access log lines"},
		"an error object": {body: []byte(`{"rawData":"` + base64.StdEncoding.EncodeToString([]byte(one)) + `","errorCode":"x","attemptsMade":1}`),
			problem: "stagelog replay"},
		"an error object of a conversion": {body: []byte(`{"rawData":"` + base64.StdEncoding.EncodeToString([]byte(one)) + `","lastErrorCode":"DataFormatConversion.MalformedData","attemptsMade":1}`),
			problem: "stagelog replay"},
		"doctor's record":   {body: []byte(`{"request_id":"stagelog-doctor-1","status":"200"}` + one), rows: 1},
		"a corrupt archive": {body: []byte("PK\x03\x04 nothing"), problem: "corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, "")
			sum := importAll(t, l, &bucket{name: "b", bodies: map[string][]byte{"a/o": c.body, "z": []byte(`{"request_id":"other","status":"200"}`)}}, lake.ImportOptions{})
			if sum.Imported != 2 || c.rows >= 0 && sum.Rows != c.rows+1 || c.bad >= 0 && sum.Bad != c.bad || sum.Repaired != c.repaired {
				t.Errorf("%+v", sum)
			}
			if c.rows < 0 && sum.Rows < 10_000 {
				t.Errorf("%d rows imported, want most of 20,000", sum.Rows)
			}
			problem := ask(t, l, "SELECT coalesce(problem, '') FROM objects WHERE key = 'a/o'")[0]
			if (c.problem == "") != (problem == "") || !strings.Contains(problem, c.problem) {
				t.Errorf("problem %q, want %q", problem, c.problem)
			}
			if c.problem != "" && len(sum.Problems) != 1 {
				t.Errorf("%+v", sum.Problems)
			}
			if shown := ask(t, l, "SELECT count(*) FROM bad_lines")[0]; fmt.Sprint(sum.Bad) != shown {
				t.Errorf("bad_lines has %s rows, want %d", shown, sum.Bad)
			}
			// A second import has nothing to do.
			if again := importAll(t, l, &bucket{name: "b", bodies: map[string][]byte{"a/o": c.body, "z": []byte(`{"request_id":"other","status":"200"}`)}}, lake.ImportOptions{}); again.Imported != 0 || again.Found != 2 {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

// A request counts once, even if several objects have it. If the first one is removed, the next one counts.
func TestImportCountsEachRequestOnce(t *testing.T) {
	l := open(t, "")
	b := &bucket{name: "b", bodies: map[string][]byte{
		"a": []byte(`{"request_id":"r1","customer":"201"}{"request_id":"r1","customer":"202"}{"stage":"p","customer":"203"}{"stage":"p","customer":"203"}`),
		"b": []byte(`{"request_id":"r1","customer":"204"}{"request_id":"r2","customer":"205"}{"request_id":"r1","extended_request_id":"e1","customer":"206"}`),
	}}
	counted := func(wantCustomers ...string) {
		t.Helper()
		want(t, "counted", ask(t, l, "SELECT customer FROM requests ORDER BY object, line"), wantCustomers...)
	}
	if sum := importAll(t, l, b, lake.ImportOptions{}); sum.Duplicates != 2 {
		t.Errorf("%+v", sum)
	}
	counted("201", "203", "203", "205", "206")
	b.bodies["c"] = []byte(`{"request_id":"r2","customer":"207"}{"extended_request_id":"e1","customer":"208"}{"request_id":"r3","customer":"209"}`)
	if sum := importAll(t, l, b, lake.ImportOptions{}); sum.Duplicates != 2 || sum.Imported != 1 {
		t.Errorf("%+v", sum)
	}
	counted("201", "203", "203", "205", "206", "209")
	b.bodies["a"] = []byte(`{"request_id":"r9","customer":"301"}`) // replaced
	importAll(t, l, b, lake.ImportOptions{})
	counted("204", "205", "206", "209", "301")
	delete(b.bodies, "b")
	if sum := importAll(t, l, b, lake.ImportOptions{}); sum.Forgotten != 0 {
		t.Errorf("%+v", sum)
	}
	counted("204", "205", "206", "209", "301")
	if sum := importAll(t, l, b, lake.ImportOptions{Forget: true}); sum.Forgotten != 1 {
		t.Errorf("%+v", sum)
	}
	counted("207", "208", "209", "301")
}

func TestClientsCannotMakeRequestsCountOnce(t *testing.T) {
	const line = `{"request_id":"%s","extended_request_id":"%s","request_time_epoch":"%d","key_id":"k","customer":"%s","method":"GET","path":"/x","response_status":"200","x":"%d"}`
	const id, junk = "9f1e2d3c-0000-4000-8000-000000000000", "UUID_REPLACED_INVALID_REQUEST_ID"
	const at = int64(1_790_000_000_000)
	for _, tt := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"id of the client, times differ", []string{fmt.Sprintf(line, id, "-", at, "A", 1), fmt.Sprintf(line, id, "-", at+1, "A", 1)}, 2},
		{"id of the client, another field differs", []string{fmt.Sprintf(line, id, "-", at, "A", 1), fmt.Sprintf(line, id, "-", at, "A", 2)}, 2},
		{"delivered twice", []string{fmt.Sprintf(line, id, "-", at, "A", 1), fmt.Sprintf(line, id, "-", at, "A", 1)}, 1},
		{"reprocessed with another customer", []string{fmt.Sprintf(line, id, "-", at, "-", 1), fmt.Sprintf(line, id, "-", at, "A", 1)}, 1},
		{"no id of its own", []string{fmt.Sprintf(line, junk, "-", at, "A", 1), fmt.Sprintf(line, junk, "-", at, "A", 1)}, 2},
		{"extended ids differ", []string{fmt.Sprintf(line, id, "e1=", at, "A", 1), fmt.Sprintf(line, id, "e2=", at, "A", 1)}, 2},
		{"extended ids are the same", []string{fmt.Sprintf(line, id, "e1=", at, "A", 1), fmt.Sprintf(line, junk, "e1=", at+1, "A", 2)}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, objects := range []map[string][]byte{{"a": []byte(strings.Join(tt.lines, "\n"))}, {"a": []byte(tt.lines[0]), "b": []byte(tt.lines[1])}} {
				l := open(t, "")
				importAll(t, l, &bucket{name: "b", bodies: objects}, lake.ImportOptions{})
				want(t, "requests", ask(t, l, "SELECT count(*) FROM requests"), fmt.Sprint(tt.want))
			}
		})
	}
}

// A lake of version 1 treated all rows with the same id as one request.
func TestOldLakeIsCheckedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lake.duckdb")
	b := &bucket{name: "b", bodies: map[string][]byte{"a": []byte(`{"request_id":"r","status":"200"}{"request_id":"r","status":"201"}` +
		`{"request_id":"UUID_REPLACED_INVALID_REQUEST_ID","status":"202"}{"request_id":"UUID_REPLACED_INVALID_REQUEST_ID","status":"203"}{"request_id":"s","status":"200"}{"request_id":"s","status":"200"}`)}}
	l, err := lake.Open(t.Context(), path, lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	importAll(t, l, b, lake.ImportOptions{})
	laketest.Exec(t, l.DB(), "UPDATE request_rows SET duplicate = line % 2 = 0; UPDATE lake SET version = 1;"+dropNewColumns)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	importAll(t, l, b, lake.ImportOptions{})
	want(t, "repeated", ask(t, l, "SELECT line FROM request_rows WHERE duplicate"), "6")
	want(t, "version", ask(t, l, "SELECT version FROM lake"), "3")
}

// dropNewColumns makes the tables those of versions 1 and 2.
const dropNewColumns = "DROP TABLE mappings; ALTER TABLE objects DROP COLUMN other; ALTER TABLE objects DROP COLUMN repaired; ALTER TABLE objects DROP COLUMN repair;"

// A lake of version 2 took every JSON object for a request, and read fewer lines. The next import reads such objects again,
// and keeps the rows of those that are no longer in the bucket.
func TestOldLakeReadsDoubtfulObjectsAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lake.duckdb")
	b := &bucket{name: "b", bodies: map[string][]byte{
		"bad":     []byte(`{"request_id":"r1","status":"200"}` + "\nnot JSON"),
		"expired": []byte(`{"request_id":"r2","ip":"1.1.1.1"}`),
		"good":    []byte(`{"request_id":"r3","status":"200"}`),
		"nested":  []byte(`{"request_id":"r5","status":"200","identity":{"unknown":"x"}}`),
		"other":   []byte(`{"request_id":"r4","ip":"1.1.1.1"}`),
	}}
	l, err := lake.Open(t.Context(), path, lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	importAll(t, l, b, lake.ImportOptions{})
	laketest.Exec(t, l.DB(), "UPDATE lake SET version = 2;"+dropNewColumns)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := lake.Open(t.Context(), path, lake.Options{ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("Open read-only = %v, want an error", err)
	}
	delete(b.bodies, "expired")
	b.bodies["other"] = []byte(`{"requestID":"r4","userAgent":"x","eventName":"GetRestApis","eventSource":"apigateway.amazonaws.com","awsRegion":"eu-central-1"}`)
	l = open(t, path)
	if sum := importAll(t, l, b, lake.ImportOptions{}); sum.Imported != 3 || sum.Other != 1 || sum.Bad != 1 {
		t.Errorf("%+v", sum)
	}
	want(t, "requests", ask(t, l, "SELECT request_id FROM requests ORDER BY 1"), "r1", "r2", "r3", "r5")
	want(t, "objects", ask(t, l, "SELECT key, lines, bad, other, repaired FROM objects ORDER BY 1"), "bad|1|1|0|0", "expired|1|0|0|0", "good|1|0|0|0", "nested|1|0|0|0", "other|0|0|1|0")
}

// counting counts calls to a bucket.
type counting struct {
	*bucket
	listed, got int
}

func (c *counting) List(ctx context.Context, prefix, startAfter string, fn func(record.Object) error) error {
	return c.bucket.List(ctx, prefix, startAfter, func(o record.Object) error {
		c.listed++
		return fn(o)
	})
}

func (c *counting) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	c.got++
	return c.bucket.Get(ctx, key)
}

// Only the objects of a range are fetched, and earlier ones are not even listed.
func TestImportFetchesOnlyTheRange(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 11, d, 0, 0, 0, 0, time.UTC) }
	for form, layout := range map[string]string{
		"Firehose's": "logs/2006/01/02/15/", "days": "logs/2006/01/02/", "Hive's": "logs/year=2006/month=01/day=02/hour=15/", "behind the API": "logs/api/2006/01/02/15/",
	} {
		t.Run(form, func(t *testing.T) {
			b := &bucket{name: "b", bodies: map[string][]byte{}}
			for d := 1; d <= 30; d++ {
				b.bodies[day(d).Add(12*time.Hour).Format(layout)+"o"] = fmt.Appendf(nil, `{"request_id":"r%d","status":"200"}`, d)
			}
			b.sort()
			c := &counting{bucket: b}
			l := open(t, "")
			sum, err := l.Import(t.Context(), c, lake.ImportOptions{Prefix: "logs/", From: day(20), To: day(21), Parallel: 1})
			if err != nil {
				t.Fatal(err)
			}
			// The 20th, the next day because of late objects, and a part of the days around, because the dates may be in any time zone.
			found := []string{"r19", "r20", "r21", "r22"}
			want(t, "imported", ask(t, l, "SELECT request_id FROM requests ORDER BY 1"), found...)
			if sum.Found != len(found) || c.got != len(found) || c.listed > 14 {
				t.Errorf("%+v: %d listed, %d fetched", sum, c.listed, c.got)
			}
		})
	}
}

// A failing bucket fails the import with its error; the next import continues.
func TestImportContinuesAfterFailure(t *testing.T) {
	b := &bucket{name: "b", bodies: map[string][]byte{}}
	for i := range 50 {
		b.bodies[fmt.Sprintf("o%02d", i)] = fmt.Appendf(nil, `{"request_id":"r%d","status":"200"}`, i)
	}
	b.sort()
	l := open(t, "")
	failing := &failing{bucket: b, at: "o30"}
	if _, err := l.Import(t.Context(), failing, lake.ImportOptions{}); !errors.Is(err, errAway) {
		t.Errorf("Import = %v, want the bucket's error", err)
	}
	if sum := importAll(t, l, b, lake.ImportOptions{}); sum.Found != 50 {
		t.Errorf("%+v", sum)
	}
	want(t, "rows", ask(t, l, "SELECT count(*), count(DISTINCT request_id) FROM requests"), "50|50")
}

var errAway = errors.New("bucket unreachable")

type failing struct {
	*bucket
	at string
}

func (f *failing) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if key == f.at {
		return nil, errAway
	}
	return f.bucket.Get(ctx, key)
}

func TestOpenReportsMissingAndForeignFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lake.duckdb")
	if _, err := lake.Open(t.Context(), path, lake.Options{ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("Open of a missing file, read-only = %v", err)
	}
	open(t, path)
	if err := writeFile(filepath.Join(dir, "other"), "this is not a database, although it is long enough"); err != nil {
		t.Fatal(err)
	}
	if _, err := lake.Open(t.Context(), filepath.Join(dir, "other"), lake.Options{}); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("Open of another file = %v", err)
	}
}

// User SQL can access only the lake.
func TestSQLCannotLeaveTheLake(t *testing.T) {
	l := open(t, "")
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := writeFile(secret, "a,b\n1,2\n"); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		"SELECT * FROM read_csv('" + secret + "')", "SELECT * FROM '" + secret + "'", "COPY (SELECT 1) TO '" + secret + "'",
		"ATTACH '" + secret + "x' AS x", "SELECT * FROM read_text('/etc/passwd')", "INSTALL httpfs", "LOAD httpfs",
		"SET enable_external_access = true", "SET allowed_directories = ['/']", "SELECT getenv('HOME')",
	} {
		if _, err := l.DB().ExecContext(t.Context(), query); err == nil {
			t.Errorf("%s succeeded, want an error", query)
		}
	}
}

// Each random line becomes the same row as in an independent implementation.
func TestImportAgreesWithSimpleReader(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	gen := generator(seed)
	b := &bucket{name: "b", bodies: map[string][]byte{}}
	var all []map[string]any
	for o := range 20 {
		var body []byte
		for range 50 {
			line := gen.line()
			all = append(all, line)
			text, err := json.Marshal(line)
			if err != nil {
				t.Fatal(err)
			}
			body = append(append(body, text...), gen.delimiter()...)
		}
		b.bodies[fmt.Sprintf("o%02d", o)] = body
	}
	l := open(t, "")
	importAll(t, l, b, lake.ImportOptions{})
	got := ask(t, l, everyColumn)
	if len(got) != len(all) {
		t.Fatalf("%d rows, want %d", len(got), len(all))
	}
	for i, line := range all {
		if w := simpleRow(t, line); got[i] != w {
			text, _ := json.Marshal(line)
			t.Fatalf("row %d of %s:\n got %s\nwant %s", i, text, got[i], w)
		}
	}
}

// The first import with another mapping reports the objects that keep their values from the previous one, in its own bucket only.
func TestImportReportsNewMapping(t *testing.T) {
	l := open(t, "")
	before := lake.MappingOf(accesslog.Parse(`{"who":"$context.identity.apiKeyId","time":"$context.requestTimeEpoch"}`), "", "", "")
	after := lake.MappingOf(accesslog.Parse(`{"key":"$context.identity.apiKeyId","time":"$context.requestTimeEpoch"}`), "", "", "")
	b := &bucket{name: "b", bodies: map[string][]byte{}}
	other := &bucket{name: "other", bodies: map[string][]byte{"o": []byte(`{"key":"k9","time":"1795854600000"}`)}}
	for i, step := range []struct {
		field   string
		mapping lake.Mapping
		earlier int
	}{{"who", before, 0}, {"who", before, 0}, {"key", after, 2}, {"key", after, 0}} {
		b.bodies[fmt.Sprint(i)] = fmt.Appendf(nil, `{%q:"k%d","time":"1795854600000"}`, step.field, i)
		b.sort()
		if sum := importAll(t, l, b, lake.ImportOptions{Mapping: step.mapping}); sum.Rows != 1 || sum.Earlier != step.earlier {
			t.Errorf("import %d: %d rows, %d objects with the previous mapping, want 1 and %d", i, sum.Rows, sum.Earlier, step.earlier)
		}
		if sum := importAll(t, l, other, lake.ImportOptions{Mapping: after}); sum.Earlier != 0 {
			t.Errorf("import %d of another bucket: %d objects with the previous mapping, want 0", i, sum.Earlier)
		}
	}
	var keys string
	if err := l.DB().QueryRow("SELECT string_agg(key_id, ' ' ORDER BY key_id) FROM requests").Scan(&keys); err != nil || keys != "k0 k1 k2 k3 k9" {
		t.Errorf("keys %q, %v", keys, err)
	}
}
