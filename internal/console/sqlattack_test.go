package console

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/lake/sandbox"
	"github.com/stagelog/stagelog/internal/testenv"
)

// deep is a JSON text that is nested n times.
func deep(n string) string { return "(repeat('[', " + n + ") || repeat(']', " + n + "))::JSON" }

// attacks are statements that would stop, fill or delay the process in which DuckDB runs them, by a part of the error that the
// page must show.
var attacks = map[string][]string{
	// DuckDB overflows the stack.
	"nested too deeply": {
		"SELECT json_structure(" + deep("1000000") + ")",
		`SELECT json_merge_patch((repeat('{"a":', 200000) || '1' || repeat('}', 200000))::JSON, (repeat('{"a":', 200000) || '1' || repeat('}', 200000))::JSON)`,
		"SELECT json_contains(" + deep("300000") + ", '1')",
	},
	// DuckDB allocates without regard to its own limit.
	"Out of Memory": {
		"SELECT len(range(1000000000))", "SELECT format('{:1000000000}', 1)", "SELECT printf('%1000000000d', 1)",
		"SELECT repeat('101010', 100000000)::BIT", "SELECT bit_count(repeat('1', 800000000)::BIT)",
		"SELECT list_aggregate(range(300000000), 'sum')", "SELECT list_sort(range(500000000))", "SELECT list_distinct(range(100000000))",
		"SELECT list_transform(range(200000000), x -> x || 'abc')", "SELECT list_reduce(range(100000000), (x, y) -> x + y)",
		"SELECT list_zip(range(100000000), range(100000000))", "SELECT flatten([range(100000000), range(100000000)])",
		"SELECT map(range(100000000), range(100000000))", "SELECT md5(repeat('a', 1000000000))", "SELECT hex(repeat('a', 1000000000))",
		"SELECT to_base64(repeat('a', 1000000000)::BLOB)", "SELECT encode(repeat('a', 1000000000))", "SELECT reverse(repeat('a', 1000000000))",
		"SELECT upper(repeat('ß', 500000000))", "SELECT nfc_normalize(repeat('é', 300000000))", "SELECT json_pretty(" + deep("1000000") + ")",
		"FROM json_tree(" + deep("1000000") + ")", "SELECT list(range) FROM range(1000000000)", "SELECT json_group_array(range) FROM range(1000000000)",
		"SELECT string_agg(repeat('x', 1000), '') FROM range(10000000)", "SELECT array_agg(repeat('x', 1000)) FROM range(10000000)",
		"WITH RECURSIVE t(s) AS (SELECT 'a' UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t",
	},
	// DuckDB does not end, and often does not notice that it is interrupted.
	"stopped after": {
		"SELECT length(rpad('a', 1000000000, 'b'))", "SELECT length(lpad('a', 1000000000, 'b'))", "SELECT bitstring('1', 1000000000)",
		"SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))", "SELECT regexp_extract_all(repeat('a', 100000000), 'a')",
		"WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
		"SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = 7", "SUMMARIZE FROM range(10000000000)",
		"FROM generate_series(1, 1000000000000) ORDER BY 1 DESC", "SELECT url_encode(repeat('%', 400000000))",
		"PIVOT (SELECT range % 9000 AS x, range AS y FROM range(100000000)) ON x USING sum(y)",
	},
	// The answer depends on the speed of the machine.
	"": {
		"SELECT repeat('a', 500000000)", "SELECT concat(repeat('a', 500000000), repeat('b', 500000000))", "SELECT mode(range) FROM range(1000000000)",
		"SELECT string_split(repeat('a,', 200000000), ',')", "SELECT translate(repeat('a', 500000000), 'a', 'b')", "PIVOT (FROM range(1000000)) ON range USING count(*)",
		"SELECT replace(repeat('a', 50000000), 'a', repeat('b', 1000))", "SELECT * FROM repeat(repeat('a', 1000000), 1000000000)",
		"SELECT strftime(TIMESTAMP '2020-01-01', repeat('%A', 10000000))", "SELECT damerau_levenshtein(repeat('a', 30000), repeat('b', 30000))",
		"SELECT reservoir_quantile(range, 0.5, 1000000000) FROM range(10000)", "SELECT regexp_matches(repeat('a', 1000000), '(a{1,900}){1,900}')",
	},
}

// Every attack ends with an error by its deadline, in processes whose memory is limited, and does not grow this process. A
// plain test runs two attacks of each kind.
func TestSQLAttacksEndWithAnError(t *testing.T) {
	c := New(config(newLake(t, randomRows(21, 500)...)))
	c.sqlTimeout = 1500 * time.Millisecond
	before := memory(t, "self")
	var attackers errgroup.Group
	attackers.SetLimit(2) // as many as run at once
	for want, statements := range attacks {
		if !testenv.Asked(testenv.Kill) {
			statements = statements[:2]
		}
		for _, s := range statements {
			attackers.Go(func() error {
				start := time.Now()
				got, problem := runs(t, c, s)
				// What allocates quickly may be slow on a busy machine, so a timeout is always right.
				if got != nil || !strings.Contains(problem, want) && !strings.Contains(problem, "stopped after") {
					t.Errorf("%s: got %.100v %q, want an error with %q", s, got, problem, want)
				}
				if took := time.Since(start); took > 30*time.Second {
					t.Errorf("%s: ended after %v, want about %v", s, took, c.sqlTimeout)
				}
				return nil
			})
		}
	}
	_ = attackers.Wait()
	if grown := memory(t, "self") - before; grown > 200 {
		t.Errorf("this process grew by %d MiB, want less than 200", grown)
	}
}

// memory returns the resident memory of a process in MiB; 0 without /proc.
func memory(t *testing.T, pid string) int {
	t.Helper()
	data, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}

const endless = "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = 7"

// While as many statements run as are allowed, others are refused with a clear message, pages are served, and imports follow.
func TestSQLRunsFewAtOnce(t *testing.T) {
	l := newLake(t, randomRows(21, 500)...)
	c := New(config(l))
	ctx, leave := context.WithCancel(t.Context())
	var clients errgroup.Group
	for range 2 {
		begun := make(chan struct{})
		clients.Go(func() error {
			_, err := sandbox.Statement{SQL: "FROM range(1000000)", Rows: 1_000_000, Timeout: time.Minute, MemoryMiB: sqlMemoryMiB}.Run(ctx, l,
				func([]string) error {
					close(begun)
					<-ctx.Done()
					return nil
				}, func([]sandbox.Cell) error { return nil })
			return err
		})
		<-begun
	}
	c.sqlTimeout = 100 * time.Millisecond
	if _, problem := runs(t, c, "SELECT 1"); !strings.Contains(problem, "other statements or an import are running; try again") {
		t.Errorf("a third statement: got %q, want a message that others are running", problem)
	}
	if w := get(c, "/?range=7d"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Acme Corp") {
		t.Errorf("GET / meanwhile: got %d", w.Code)
	}
	leave()
	if err := clients.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("the statements of clients that left: got %v, want %v", err, context.Canceled)
	}
	c.sqlTimeout = sqlTimeout
	if got, problem := runs(t, c, "SELECT 1"); problem != "" {
		t.Errorf("after the others: got %v %q, want 1", got, problem)
	}
}

// Statements that wait, run or send their result are limited in number, as each may take megabytes.
func TestSQLRefusesExcessStatements(t *testing.T) {
	c := New(config(newLake(t)))
	for range sqlAtOnce {
		c.statements <- struct{}{}
	}
	if _, problem := runs(t, c, "SELECT 1"); !strings.Contains(problem, "other statements or an import are running; try again") {
		t.Errorf("one statement too many: got %q, want a message that others are running", problem)
	}
	if w := post(c, "/sql.csv", url.Values{"q": {"SELECT 1"}}); w.Code != http.StatusServiceUnavailable {
		t.Errorf("one download too many: got %d, want 503", w.Code)
	}
	<-c.statements
	if _, problem := runs(t, c, "SELECT 1"); problem != "" || len(c.statements) != sqlAtOnce-1 {
		t.Errorf("the last statement: got %q, %d places taken, want %d", problem, len(c.statements), sqlAtOnce-1)
	}
}

// A client that does not read its result is disconnected.
func TestSQLDisconnectsSlowReader(t *testing.T) {
	c := New(config(newLake(t)))
	c.sqlTimeout = 20 * time.Millisecond
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		end, err := c.startStatement(w)
		for part := make([]byte, 1<<20); err == nil; _, err = w.Write(part) {
		}
		end()
		ended <- err
	}))
	defer server.Close()
	res, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || len(c.statements) != 0 {
		t.Errorf("writing to a client that does not read: got %v with %d places taken, want %v", err, len(c.statements), os.ErrDeadlineExceeded)
	}
}

// A client that disconnects ends its statement.
func TestSQLEndsWhenClientLeaves(t *testing.T) {
	c := New(config(newLake(t)))
	c.sqlTimeout = time.Minute
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.ServeHTTP(w, r)
		close(ended)
	}))
	defer server.Close()
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", server.URL+"/sql", strings.NewReader(url.Values{"q": {endless}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(r) // returns with the frame of the page
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	leave()
	res.Body.Close()
	<-ended
	if took := time.Since(start); took > c.sqlTimeout/2 {
		t.Errorf("the statement ended %v after the client left", took)
	}
}

// PIVOT works without a list of values, which DuckDB runs as several statements, and allows no more than other statements.
func TestSQLPivot(t *testing.T) {
	c := New(config(newLake(t, row{time: testNow, id: "1", customer: "Acme", status: 200}, row{time: testNow, id: "2", customer: "Acme", status: 404}, row{time: testNow, id: "3", customer: "Acme", status: 404})))
	for _, statement := range []string{
		"PIVOT requests ON status USING count(*) GROUP BY customer",
		"PIVOT requests ON status USING count(*) GROUP BY customer; ",
		"PIVOT requests ON status USING count(*) GROUP BY customer -- comment",
		"FROM (PIVOT requests ON status USING count(*) GROUP BY customer) WHERE customer = 'Acme'",
		"WITH p AS (PIVOT requests ON status USING count(*) GROUP BY customer) FROM p",
		"PIVOT requests ON status IN (200, 404) USING count(*) GROUP BY customer",
	} {
		if got, problem := runs(t, c, statement); problem != "" || len(got) != 1 || strings.Join(got[0], " ") != "Acme 1 2" {
			t.Errorf("%s: got %v %s, want Acme 1 2", statement, got, problem)
		}
	}
	pivot := "PIVOT requests ON status USING count(*)"
	for _, statement := range []string{
		pivot + "; DELETE FROM request_rows", pivot + ") ; DELETE FROM request_rows; FROM (SELECT 1", "DELETE FROM request_rows -- pivot", "CREATE TEMP TABLE pivot AS SELECT 1",
		"SET threads = 1 -- pivot", "COPY requests TO '/tmp/pivot.csv'", "ATTACH '/tmp/pivot.db'", "WITH x AS (DELETE FROM request_rows RETURNING *) PIVOT x ON status USING count(*)",
		"PIVOT (FROM enable_profiling()) ON 1 USING count(*)", `PIVOT (FROM U&"\0065nable_profiling"()) ON Success USING count(*)`, "PIVOT (FROM \"Enable_Profiling\"/**/()) ON Success USING count(*)", "PIVOT (FROM glob('/etc/*')) ON file USING count(*)",
		"PIVOT (FROM read_text('/etc/passwd')) ON content USING count(*)", "PIVOT '/etc/passwd' ON a USING count(*)", "PIVOT (FROM query('SELECT 1')) ON 1 USING count(*)",
		"EXPLAIN ANALYZE " + pivot,
	} {
		if got, problem := runs(t, c, statement); problem == "" {
			t.Errorf("%s: got %v, want a refusal", statement, got)
		}
	}
	if got, _ := runs(t, c, "SELECT count(*) FROM request_rows"); got[0][0] != "3" {
		t.Errorf("got %v rows afterwards, want 3", got)
	}
}

// A statement's process gets no environment, arguments or open files of this one.
func TestSQLProcessInheritsNothing(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("SKIPPED: needs /proc")
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	inherited, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	l := newLake(t)
	_, err = sandbox.Statement{SQL: "FROM range(1000000)", Rows: 1_000_000, Timeout: time.Minute, MemoryMiB: sqlMemoryMiB}.Run(t.Context(), l,
		func([]string) error { return nil },
		func([]sandbox.Cell) error {
			pid := childOf(t, os.Getpid())
			env, err := os.ReadFile("/proc/" + pid + "/environ")
			if err != nil {
				return err
			}
			if got := strings.Trim(string(env), "\x00"); !strings.HasPrefix(got, sandbox.Variable+"=1\x00LD_LIBRARY_PATH=") || strings.Contains(got, "secret") || strings.Count(got, "\x00") > 1 {
				t.Errorf("the environment is %q", got)
			}
			files, err := os.ReadDir("/proc/" + pid + "/fd")
			if err != nil {
				return err
			}
			for _, f := range files {
				at, _ := os.Readlink("/proc/" + pid + "/fd/" + f.Name()) // "" if it is closed meanwhile
				known := strings.HasPrefix(at, "pipe:") || strings.HasPrefix(at, "anon_inode:") || strings.HasPrefix(at, "/sys/fs/cgroup/") || strings.HasSuffix(at, "lake.duckdb")
				if f.Name() != "2" && at != "" && !known {
					t.Errorf("file %s is open: %s", f.Name(), at)
				}
			}
			return errFull
		})
	if err != errFull {
		t.Errorf("Run: got %v, want the error of each", err)
	}
}

// childOf returns the id of the only child of a process.
func childOf(t *testing.T, pid int) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", "grep -l '^PPid:\t"+strconv.Itoa(pid)+"$' /proc/[0-9]*/status; true").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		id := strings.Split(path, "/")[2]
		if name, _ := os.ReadFile("/proc/" + id + "/cmdline"); strings.HasPrefix(string(name), "stagelog-sql") {
			return id
		}
	}
	t.Fatal("no process of a statement")
	return ""
}
