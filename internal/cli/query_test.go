package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestQueryOutputIsSafe(t *testing.T) {
	f := newFakeS3(t, "acme-logs", map[string]string{"logs/a": `{"request_id":"r1","status":"200"}`})
	query := func(args ...string) (string, string, int) {
		return f.run(t, append([]string{"query", "--bucket", "s3://acme-logs/logs/", "--region", f.region}, args...)...)
	}
	const statement = `SELECT '=1+1' AS "=a", chr(155) || chr(8238) || 'x' AS c1, '-' AS none, -2 AS n, -1.5 AS d, ' @x'::BLOB AS b, {'k': chr(155)} AS s`
	stdout, stderr, code := query(statement, "--csv")
	if want := "'=a,c1,none,n,d,b,s\n'=1+1,\\x9b\\u202ex,-,-2,-1.5,' @x,\"{\"\"k\"\":\"\"\\x9b\"\"}\"\n"; code != exitOK || stdout != want {
		t.Errorf("query --csv = %d:\n%s%swant\n%s", code, stdout, stderr, want)
	}
	stdout, stderr, code = query(statement, "--json")
	var rows []map[string]any
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil || code != exitOK || rows[0]["c1"] != "\u009b\u202ex" || rows[0]["=a"] != "=1+1" {
		t.Errorf("query --json = %d: %s%s (%v), want the values unchanged", code, stdout, stderr, err)
	}
	if strings.ContainsAny(stdout, "\u009b\u202e") || !strings.Contains(stdout, `\u009b\u202e`) {
		t.Errorf("query --json prints %q, want escapes", stdout)
	}
}

func TestQueryHasLimits(t *testing.T) {
	f := newFakeS3(t, "acme-logs", map[string]string{"logs/a": `{"request_id":"r1","status":"200"}`})
	args := []string{"query", "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = 7", "--bucket", "s3://acme-logs/logs/", "--region", f.region}
	if _, stderr, code := f.run(t, append(args, "--timeout", "100ms")...); code != exitFailed || !strings.Contains(stderr, "statement stopped after 100ms, the limit set by --timeout") {
		t.Errorf("query --timeout = %d: %s", code, stderr)
	}
	if _, stderr, code := f.run(t, append(args, "--memory", "1MiB")...); code != exitUsage || !strings.Contains(stderr, "--memory 1MiB: at least 128MiB is required") {
		t.Errorf("query --memory 1MiB = %d: %s", code, stderr)
	}
}
