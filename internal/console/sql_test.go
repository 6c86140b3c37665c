package console

import (
	"database/sql"
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/laketest"
)

func runs(t *testing.T, c *Console, statement string) (table [][]string, problem string) {
	t.Helper()
	w := post(c, "/sql", url.Values{"q": {statement}})
	if w.Code != 200 {
		t.Fatalf("POST /sql: %d %s", w.Code, w.Body)
	}
	doc := parse(t, w.Body.String())
	if errors := find(doc, "p", "error"); len(errors) > 0 {
		return nil, text(errors[0])
	}
	return cells(section(t, doc, "Result")), ""
}

func TestSQLReads(t *testing.T) {
	c := New(config(newLake(t, randomRows(21, 500)...)))
	for statement, want := range map[string]string{
		"SELECT 1 + 1":                                       "2",
		"  -- a comment\nSELECT 'a;b' ; ":                    "a;b",
		"FROM range(3) SELECT sum(range)":                    "3",
		"WITH x AS (SELECT 5 AS n) SELECT n FROM x":          "5",
		"VALUES (7)":                                         "7",
		"SELECT NULL":                                        "NULL",
		"SELECT TIMESTAMP '2026-01-02 03:04:05.5'":           "2026-01-02 03:04:05.5",
		"SELECT DATE '2026-01-02'":                           "2026-01-02",
		"SELECT 1.50::DECIMAL(9,2)":                          "1.5",
		"SELECT [1, 2]":                                      "[1,2]",
		"SELECT {'a': 1}":                                    `{"a":1}`,
		"SELECT 170141183460469231731687303715884105727":     "170141183460469231731687303715884105727",
		"SELECT '\\x00\\xff'::BLOB":                          "\\x00ff",
		"SELECT count(*) > 0 FROM requests WHERE status=200": "true",
		"DESCRIBE requests":                                  "time",
		"SUMMARIZE requests":                                 "time",
		"SHOW TABLES":                                        "bad_lines",
		"SELECT unnest([4])":                                 "4",
	} {
		got, problem := runs(t, c, statement)
		if problem != "" || len(got) == 0 || got[0][0] != want {
			t.Errorf("%s: got %v %s, want %s", statement, got, problem, want)
		}
	}
	for _, statement := range []string{"EXPLAIN SELECT * FROM requests", "explain analyze\nSELECT count(*) FROM requests"} {
		if got, problem := runs(t, c, statement); problem != "" || !strings.Contains(got[0][1], "┌") {
			t.Errorf("%s: got %v %s, want a plan", statement, got, problem)
		}
	}
}

// Statements that do more than read the lake are refused and change nothing.
func TestSQLRefusesAllButReading(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("secret\nvalue"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLake(t, randomRows(22, 100)...)
	c, db := New(config(l)), l.DB()
	var workers errgroup.Group
	workers.SetLimit(2) // as many as run at once
	before, tables := count1(t, db, "SELECT count(*) FROM request_rows"), count1(t, db, "SELECT count(*) FROM duckdb_tables() WHERE NOT internal")
	for _, statement := range []string{
		"", ";", "DELETE FROM request_rows", "INSERT INTO bad_lines VALUES (1, 1, '', '')", "UPDATE request_rows SET status = 1", "DROP VIEW requests",
		"CREATE TABLE x (a INT)", "CREATE TEMP TABLE x (a INT)", "ALTER TABLE objects ADD COLUMN x INT", "TRUNCATE request_rows",
		"SELECT 1; DELETE FROM request_rows", "DELETE FROM request_rows; SELECT 1", "SELECT 1; SELECT 2",
		"WITH x AS (DELETE FROM request_rows RETURNING *) SELECT * FROM x",
		"EXPLAIN ANALYZE DELETE FROM request_rows", "EXPLAIN EXPLAIN ANALYZE DELETE FROM request_rows", "EXPLAIN ANALYZE SELECT 1; DELETE FROM request_rows",
		"COMMIT", "ROLLBACK; DELETE FROM request_rows", "BEGIN", "SET threads = 1", "SET enable_external_access = true", "RESET enable_external_access",
		"PRAGMA database_size", "CALL enable_profiling()", "CHECKPOINT", "FORCE CHECKPOINT", "ATTACH '/tmp/x.db'", "DETACH lake", "USE memory", "INSTALL httpfs", "LOAD httpfs",
		"COPY requests TO '/tmp/x.csv'", "COPY request_rows FROM '" + secret + "'", "EXPORT DATABASE '/tmp/x'", "PREPARE p AS SELECT 1", "EXECUTE p",
		"SELECT * FROM '" + secret + "'", "FROM read_csv('" + secret + "')", "FROM read_text('" + secret + "')", "FROM read_blob('" + secret + "')", "FROM glob('/etc/*')",
		"FROM sniff_csv('" + secret + "')", "FROM parquet_metadata('" + secret + "')", "SELECT (SELECT content FROM read_text('" + secret + "'))",
		"FROM enable_profiling()", "FROM main.enable_profiling()", "FROM checkpoint()", "FROM force_checkpoint()", "FROM enable_logging()", "FROM duckdb_secrets()",
		"FROM query('SELECT 1')", "FROM query_table('requests')", "FROM json_execute_serialized_sql('{}')", "SELECT 1 WHERE EXISTS (FROM enable_profiling())",
		"FROM arrow_scan(1, 2, 3)", "FROM requests, LATERAL (FROM enable_profiling())", "SELECT nextval('x')", "SELECT ?", "SELECT $1", "SELECT getenv('HOME')",
		"FROM read_text('/proc/self/environ')", "FROM read_json_auto('/etc/passwd')", "FROM '/etc/passwd'", "FROM 'https://127.0.0.1:1/x.csv'", "FROM read_parquet('s3://b/k')",
		"FROM which_secret('s3://b', 's3')", "FROM duckdb_settings()", "FROM duckdb_extensions()", "FROM pragma_database_size()", "FROM duckdb_temporary_files()",
		"SELECT * FROM U&\"\\0065nable_profiling\"()", "COPY (SELECT 1) TO PROGRAM 'id'", "SET VARIABLE x = 1", "CREATE SECRET (TYPE s3)", "VACUUM", "LOAD '/tmp/x.duckdb_extension'",
		"SELECT 1) ; DELETE FROM request_rows; --", "SELECT 'x", "/* x", strings.Repeat(" ", 64<<10) + "SELECT 1",
	} {
		workers.Go(func() error {
			if got, problem := runs(t, c, statement); problem == "" || strings.Contains(problem, "value") && strings.Contains(statement, "secret") {
				t.Errorf("%.100s: got %v %q, want a refusal", statement, got, problem)
			}
			return nil
		})
	}
	_ = workers.Wait()
	if after := count1(t, db, "SELECT count(*) FROM request_rows"); after != before {
		t.Errorf("got %d rows afterwards, want %d", after, before)
	}
	if got := count1(t, db, "SELECT count(*) FROM duckdb_tables() WHERE NOT internal"); got != tables {
		t.Errorf("got %d tables afterwards, want %d", got, tables)
	}
}

func count1(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSQLHasLimits(t *testing.T) {
	c := New(config(newLake(t)))
	got, problem := runs(t, c, "FROM range(5000)")
	if problem != "" || len(got) != sqlRows {
		t.Errorf("5,000 rows: got %d %s, want %d", len(got), problem, sqlRows)
	}
	if got, _ := runs(t, c, "FROM range(1000)"); len(got) != 1000 {
		t.Errorf("1,000 rows: got %d", len(got))
	}
	c.sqlTimeout = 500 * time.Millisecond
	start := time.Now()
	_, problem = runs(t, c, "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = 7")
	if took := time.Since(start); !strings.Contains(problem, "stopped after") {
		t.Errorf("an endless statement: got %q after %v", problem, took)
	}
}

// A link only fills the form.
func TestSQLInURLIsNotRun(t *testing.T) {
	doc := pageAt(t, New(config(newLake(t))), "/sql?q=SELECT+42+AS+n")
	if got := text(find(doc, "textarea", "")[0]); got != "SELECT 42 AS n" {
		t.Errorf("the form has %q", got)
	}
	if strings.Contains(text(doc), "Result") {
		t.Error("the statement was run")
	}
}

func TestSQLAsCSV(t *testing.T) {
	c := New(config(newLake(t)))
	w := post(c, "/sql.csv", url.Values{"q": {`SELECT * FROM (VALUES (1, 'a,"b' || chr(10) || 'c', NULL, TIMESTAMP '2026-01-02 03:04:05', '=1+1'), (-2, '@x', -1.5, NULL, 'ok')) t("n", "=t", x, moment, f)`}})
	if got := w.Header().Get("Content-Disposition"); w.Code != 200 || !strings.Contains(got, "attachment") || w.Header().Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Fatalf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := "n|'=t|x|moment|f\n1|a,\"b\nc||2026-01-02T03:04:05Z|'=1+1\n-2|'@x|-1.5||ok\n"
	got := ""
	for _, r := range rows {
		got += strings.Join(r, "|") + "\n"
	}
	if got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
	if w := post(c, "/sql.csv", url.Values{"q": {"DELETE FROM objects"}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("refused statement: got %d, want 422", w.Code)
	}
}

// A truncated download must not look complete.
func TestTruncatedDownloadFails(t *testing.T) {
	server := httptest.NewServer(New(config(newLake(t))))
	defer server.Close()
	res, err := http.PostForm(server.URL+"/sql.csv", url.Values{"q": {"FROM range(1000001)"}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := csv.NewReader(res.Body).ReadAll(); err == nil {
		t.Error("got a complete response, want an aborted connection")
	}
}

// A damaged block that a statement finds is reported, so that the lake is rebuilt.
func TestSQLReportsDamagedLake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lake.duckdb")
	open := func() *lake.Lake {
		t.Helper()
		l, err := lake.Open(t.Context(), path, lake.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	appendRows(t, l.DB(), randomRows(23, 20_000))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	laketest.DamageBlocks(t, path)
	l = open()
	defer l.Close()
	cfg := config(l)
	damages := 0
	cfg.Failed = func(db *sql.DB, err error) {
		if db == l.DB() && lake.Damaged(err) {
			damages++
		}
	}
	c := New(cfg)
	const statement = "SELECT count(*) FROM (SELECT DISTINCT * FROM requests)"
	for _, refused := range []string{"SELECT error('IO Error: Corrupt database file')", "SELECT 1; SELECT 2"} {
		if _, problem := runs(t, c, refused); problem == "" || damages != 0 {
			t.Errorf("%s: %q, reported as damage %d times", refused, problem, damages)
		}
	}
	if got, problem := runs(t, c, statement); problem == "" || damages != 1 {
		t.Errorf("page: got %v %q, reported %d times", got, problem, damages)
	}
	if w := post(c, "/sql.csv", url.Values{"q": {statement}}); w.Code == http.StatusOK || damages != 2 {
		t.Errorf("download: %d %s, reported %d times", w.Code, w.Body, damages)
	}
}
