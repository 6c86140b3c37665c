package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/testenv"
)

// sqlAttacks are statements that ended the process or took gigabytes and minutes when they ran in it.
var sqlAttacks = []string{
	"SELECT json_structure((repeat('[',1000000)||repeat(']',1000000))::JSON)",
	`SELECT json_merge_patch((repeat('{"a":',200000)||'1'||repeat('}',200000))::JSON, (repeat('{"a":',200000)||'1'||repeat('}',200000))::JSON)`,
	"SELECT json_contains((repeat('[',300000)||repeat(']',300000))::JSON, '1')",
	"SELECT len(range(1000000000))", "SELECT repeat('a',500000000)", "SELECT format('{:1000000000}',1)", "SELECT printf('%1000000000d',1)",
	"SELECT rpad('a',1000000000,'b')", "SELECT bitstring('1',1000000000)", "SELECT list(range) FROM range(1000000000)",
	"SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = 7",
}

// While users attack the SQL page, the process lives, its memory stays bounded, and its stages answer and deliver.
func TestSQLAttacksLeaveUpRunning(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	t.Cleanup(api.Close)
	write(t, dir, "stagelog.yaml", fmt.Sprintf(answersYAML, api.URL))
	u := startUp(t, dir, cleanEnv())
	if status, _ := get(t, u.Endpoints.Console+"/"); status != http.StatusOK { // opens the lake
		t.Fatalf("the console = %d", status)
	}
	before := resident(t, u.cmd.Process.Pid)
	attacked := make(chan struct{})
	go func() {
		defer close(attacked)
		for _, s := range sqlAttacks {
			start := time.Now()
			res, err := http.PostForm(u.Endpoints.Console+"/sql", url.Values{"q": {s}})
			if err != nil {
				t.Errorf("%s: %v", s, err)
				continue
			}
			page, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || !strings.Contains(string(page), `class="error"`) || !strings.Contains(string(page), "</html>") {
				t.Errorf("%s: %v, want a complete page with an error:\n%.3000s", s, err, page)
			}
			t.Logf("%5.1f s  %s", time.Since(start).Seconds(), s)
		}
	}()
	sent, slowest, most := 0, time.Duration(0), 0
	for running := true; running; sent++ {
		select {
		case <-attacked:
			running = false
		default:
		}
		start := time.Now()
		if status, _ := get(t, u.Endpoints.Stages+"/shop/prod/orders", "x-api-key", "acmeacmeacmeacmeacme1"); status != http.StatusOK {
			t.Fatalf("request %d = %d", sent, status)
		}
		slowest, most = max(slowest, time.Since(start)), max(most, resident(t, u.cmd.Process.Pid))
	}
	t.Logf("%d requests, the slowest took %v; memory %d MiB before, at most %d MiB", sent, slowest, before, most)
	if most > before+500 {
		t.Errorf("memory grew from %d to %d MiB", before, most)
	}
	c := sdk(t, u, "stagelog")
	eventually(t, "every request to be delivered", func() bool { return len(c.lines("answers-logs", "logs/")) == sent })
	res, err := http.PostForm(u.Endpoints.Console+"/sql", url.Values{"q": {"PIVOT requests ON status USING count(*) GROUP BY customer"}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if page, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(page), "Acme") || strings.Contains(string(page), `class="error"`) {
		t.Errorf("a PIVOT afterwards: %v\n%.3000s", err, page)
	}
}

// A statement that runs while the process is killed ends too, and leaves no temporary files.
func TestKilledUpEndsStatement(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	if _, err := os.Readlink("/proc/self/cwd"); err != nil {
		t.Skip("SKIPPED: needs /proc")
	}
	dir, temp := t.TempDir(), t.TempDir()
	write(t, dir, "stagelog.yaml", handYAML)
	u := startUp(t, dir, cleanEnv("TMPDIR="+temp))
	endless := url.Values{"q": {sqlAttacks[len(sqlAttacks)-1]}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for { // until the kill: a statement that is stopped at its time limit before is repeated
			res, err := http.PostForm(u.Endpoints.Console+"/sql", endless)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}()
	eventually(t, "a statement that has opened the lake", func() bool {
		for _, process := range statementsIn(t, temp) {
			for _, file := range glob(t, process+"/fd/*") {
				if at, err := os.Readlink(file); err == nil && strings.HasSuffix(at, ".duckdb") { // fails if the file was closed meanwhile
					return true
				}
			}
		}
		return false
	})
	if err := u.stop(syscall.SIGKILL); err == nil {
		t.Fatal("stagelog up survived the kill")
	}
	<-ended
	eventually(t, "the end of the statement and the removal of its files", func() bool {
		return len(statementsIn(t, temp)) == 0 && len(glob(t, temp+"/stagelog-sql-*")) == 0
	})
}

// statementsIn returns the processes of statements, as paths in /proc, whose folders are in temp.
func statementsIn(t *testing.T, temp string) (processes []string) {
	t.Helper()
	for _, link := range glob(t, "/proc/[0-9]*/cwd") {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, temp+"/stagelog-sql-") { // fails if the process has ended
			processes = append(processes, filepath.Dir(link))
		}
	}
	return processes
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	return must(filepath.Glob(pattern))(t, "list "+pattern)
}

// resident returns the resident memory of a process in MiB; 0 without /proc.
func resident(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	return must(strconv.Atoi(strings.Fields(rest)[0]))(t, "read the resident memory") >> 10
}

// query ends at its limits of time and memory, even in functions that DuckDB cannot interrupt.
func TestQueryEndsAtItsLimits(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", fmt.Sprintf(answersYAML, "http://127.0.0.1:1"))
	startUp(t, dir, cleanEnv())
	start := time.Now()
	if _, stderr, code := runBinary(t, dir, cleanEnv(), "query", "SELECT length(rpad('a', 1000000000, 'b'))", "--timeout", "1s", "--memory", "2GiB"); code != 1 || !strings.Contains(stderr, "stopped after 1s") {
		t.Errorf("query --timeout 1s = %d after %v: %s", code, time.Since(start), stderr)
	}
	if _, stderr, code := runBinary(t, dir, cleanEnv(), "query", "SELECT len(range(1000000000))", "--memory", "512MiB"); code != 1 || !strings.Contains(stderr, "Out of Memory") {
		t.Errorf("query --memory 512MiB = %d: %s", code, stderr)
	}
}
