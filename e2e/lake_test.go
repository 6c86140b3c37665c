package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/testenv"
)

const answersYAML = `name: answers
bucket: answers-logs
readers: ["111122223333"]
deliver: {interval: 1s, size: 1MiB}
local:
  apis: [{id: shop, upstream: %q, stages: [prod]}]
  usage_plans:
    - {name: Gold, stages: [shop/prod], customers: [{name: Acme, key: acmeacmeacmeacmeacme1}]}
    - {name: Free, stages: [shop/prod], customers: [{name: Globex, key: globexglobexglobexglobe}]}
`

const pricesYAML = `version: "2026"
currency: EUR
plans:
  - {name: Gold, fee: 10, included: 5, per: 1000, tiers: [{price: 2}]}
  - {name: Free, free: true}
`

// Requests through a stage are in the report, SQL, the invoice, the live tail and the console, for
// the owner and for a reader.
func TestReportsAndQueries(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/missing") {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, "{}")
	}))
	t.Cleanup(api.Close)
	write(t, dir, "stagelog.yaml", fmt.Sprintf(answersYAML, api.URL))
	write(t, dir, "prices.yaml", pricesYAML)
	u := startUp(t, dir, cleanEnv())
	seen := tailLines(t, dir)
	for i := range 12 {
		if status, _ := get(t, u.Endpoints.Stages+"/shop/prod/orders", "x-api-key", "acmeacmeacmeacmeacme1"); status != http.StatusOK {
			t.Fatalf("request %d = %d", i, status)
		}
	}
	for range 4 {
		get(t, u.Endpoints.Stages+"/shop/prod/missing", "x-api-key", "globexglobexglobexglobe")
	}
	for range 16 {
		var l line
		if err := json.Unmarshal(<-seen, &l); err != nil || l["customer"] != "Acme" && l["customer"] != "Globex" {
			t.Fatalf("tail shows %v (%v)", l, err)
		}
	}
	c := sdk(t, u, "stagelog")
	eventually(t, "the requests to be delivered", func() bool { return len(c.lines("answers-logs", "logs/")) == 16 })
	ok := func(args ...string) string {
		t.Helper()
		stdout, stderr, code := runBinary(t, dir, cleanEnv(), args...)
		if code != 0 {
			t.Fatalf("stagelog %v = %d: %s", args, code, stderr)
		}
		return stdout
	}

	rows := must(csv.NewReader(strings.NewReader(ok("report", "--by", "customer,status", "--csv"))).ReadAll())(t, "read CSV")
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	got := map[string]string{}
	for _, row := range rows[1:] {
		got[row[column["customer"]]+"/"+row[column["status"]]] = row[column["requests"]]
	}
	if got["Acme/200"] != "12" || got["Globex/404"] != "4" || got["/"] != "16" {
		t.Errorf("report: %v", rows)
	}
	if page := filepath.Join(dir, "usage.html"); ok("report", "--html", page) != "" || !strings.Contains(string(must(os.ReadFile(page))(t, "read page")), "Globex") {
		t.Error("the report's page does not name the customer")
	}
	var asked []struct {
		Customer string
		N        int
	}
	text := ok("query", "SELECT customer, count(*) AS n FROM requests WHERE status < 300 GROUP BY 1", "--json")
	if err := json.Unmarshal([]byte(text), &asked); err != nil || len(asked) != 1 || asked[0].Customer != "Acme" || asked[0].N != 12 {
		t.Errorf("query: %s (%v)", text, err)
	}
	parquet := filepath.Join(dir, "all.parquet")
	ok("query", "FROM requests", "--parquet", parquet)
	if data := must(os.ReadFile(parquet))(t, "read Parquet"); !bytes.HasPrefix(data, []byte("PAR1")) || !bytes.HasSuffix(data, []byte("PAR1")) {
		t.Errorf("%d bytes are no Parquet", len(data))
	}
	if _, stderr, code := runBinary(t, dir, cleanEnv(), "query", "DELETE FROM request_rows"); code != 1 || !strings.Contains(stderr, "read-only") {
		t.Errorf("a query that writes = %d: %s", code, stderr)
	}
	month := time.Now().UTC().Format("2006-01")
	if bill := ok("report", "invoice", "--month", month, "--prices", "prices.yaml", "--out", "bill"); !strings.Contains(bill, "10.01") { // 10, and 7 of 1000 for 2
		t.Errorf("invoice:\n%s", bill)
	}
	first := must(os.ReadFile(filepath.Join(dir, "bill", "invoice.csv")))(t, "read invoice")
	if again := ok("report", "invoice", "--again", "bill/manifest.json", "--prices", "prices.yaml", "--csv"); again != string(first) {
		t.Errorf("recomputed invoice:\n%s\nwant\n%s", again, first)
	}

	// API Gateway counts whole days, so the range includes today.
	tomorrow := time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	var covered struct {
		Total  struct{ Counted, Backed, Missing int }
		Stages struct{ Without string }
	}
	text = ok("report", "coverage", "--from", "24h", "--to", tomorrow, "--json")
	if err := json.Unmarshal([]byte(text), &covered); err != nil || covered.Total.Counted != 16 || covered.Total.Backed != 16 || covered.Total.Missing != 0 {
		t.Errorf("coverage: %s (%v)", text, err)
	}
	if covered.Stages.Without != "this endpoint does not serve CloudWatch" {
		t.Errorf("coverage without CloudWatch prints %q", covered.Stages.Without)
	}
	if text := ok("report", "reattribute"); !strings.HasPrefix(text, "Attributed 0 requests") {
		t.Errorf("reattribute without unknown customers: %s", text)
	}

	// A reader, who may only list and read, gets the same report.
	stdout, stderr, code := runBinary(t, t.TempDir(), u.clientEnv("reader-111122223333"), "report", "--bucket", "s3://answers-logs/logs/", "--csv")
	if code != 0 || !strings.Contains(stdout, "Globex") || !strings.Contains(stdout, "Acme") {
		t.Errorf("a reader's report = %d: %s%s", code, stdout, stderr)
	}
	for _, path := range []string{"/", "/delivery", "/live", "/sql", "/requests"} {
		if status, body := get(t, u.Endpoints.Console+path); status != http.StatusOK || !strings.Contains(body, "</html>") {
			t.Errorf("the console's %s = %d", path, status)
		}
	}
	if _, body := get(t, u.Endpoints.Console+"/"); !strings.Contains(body, "Globex") {
		t.Error("the console does not show the customer")
	}
}

// tailLines starts stagelog tail and returns its lines once it is connected.
func tailLines(t *testing.T, dir string) <-chan []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin.stagelog, "tail", "--json")
	cmd.Dir, cmd.Env = dir, cleanEnv()
	stdout := must(cmd.StdoutPipe())(t, "pipe")
	stderr := must(cmd.StderrPipe())(t, "pipe")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if first := must(bufio.NewReader(stderr).ReadString('\n'))(t, "read stderr of tail"); !strings.HasPrefix(first, "live from") {
		t.Fatalf("tail prints %q", first)
	}
	lines := make(chan []byte, 100)
	go func() {
		for in := bufio.NewScanner(stdout); in.Scan(); {
			lines <- bytes.Clone(in.Bytes())
		}
		_ = cmd.Wait()
	}()
	return lines
}

// Reports also work on a bucket that was written without stagelog, with the seed's 13 fields,
// Apiable's names and objects of many kinds.
func TestReportOfForeignBucket(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", "name: store\nbucket: store-logs\n")
	u := startUp(t, dir, cleanEnv())
	c := sdk(t, u, "stagelog")
	c.createBucket("seeds-own")
	seed := func(n int, status string) string {
		return fmt.Sprintf(`{"api_id":"a1b2c3","api_key":"********abcd","key_id":"k%d","ip":"203.0.113.7","method":"GET","uri":"/prod/x","response_size":"17","response_status":%q,`+
			`"resource_id":"r1","request_id":"id-%d","request_latency":"12","request_time":%q,"stage":"prod","plan_id":"Gold","subscription_id":"Customer %d"}`,
			n%2, status, n, time.Now().UTC().Format("02/Jan/2006:15:04:05 -0700"), n%2)
	}
	day := time.Now().UTC().Format("2006/01/02/15/")
	for key, body := range map[string]string{
		"logs/" + day + "run-together": seed(1, "200") + seed(2, "404"),
		"logs/" + day + "lines.txt":    seed(3, "200") + "\nnot a line of the log\n" + seed(1, "200") + "\n", // the last line is a duplicate
		"logs/" + day + "empty":        "",
		"logs/" + day + "photo.png":    "\x89PNG\r\n\x1a\n",
	} {
		must(c.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("seeds-own"), Key: &key, Body: strings.NewReader(body)}))(t, "put "+key)
	}
	at := t.TempDir()
	stdout, stderr, code := runBinary(t, at, u.clientEnv("stagelog"), "report", "--bucket", "s3://seeds-own/logs/", "--by", "customer,plan", "--csv")
	if code != 0 || !strings.Contains(stdout, "Customer 1,k1,Gold") || !strings.Contains(stdout, "total,,,,,3,1") {
		t.Errorf("report = %d:\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{"1 duplicate counted once", "3 lines that could not be read", "photo.png: the object has no access log lines"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr does not contain %q:\n%s", want, stderr)
		}
	}
}

// The tail of a bucket shows the matching lines of new objects, and the console of a bucket shows its
// customers.
func TestTailAndConsoleOfBucket(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", "name: store\nbucket: store-logs\n")
	u := startUp(t, dir, cleanEnv())
	c := sdk(t, u, "stagelog")
	c.createBucket("others")
	put := func(key, body string) {
		t.Helper()
		must(c.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("others"), Key: &key, Body: strings.NewReader(body)}))(t, "put "+key)
	}
	request := func(customer, status string) string {
		return fmt.Sprintf(`{"request_id":%q,"key_id":%[1]q,"customer":%[1]q,"response_status":%q,"uri":"/x\u001b[2J","request_time_epoch":"%d"}`+"\n", customer, status, time.Now().UnixMilli())
	}
	put("logs/a", request("Earlier", "500"))
	at := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	follow := exec.CommandContext(ctx, bin.stagelog, "tail", "--bucket", "s3://others/logs/", "--status", "5xx", "--customer", "A*", "--every", "100ms")
	follow.Dir, follow.Env = at, u.clientEnv("stagelog")
	var shown, errs lockedBuffer
	follow.Stdout, follow.Stderr = &shown, &errs
	page := exec.CommandContext(ctx, bin.stagelog, "console", "--bucket", "s3://others/logs/", "--listen", "127.0.0.1:0", "--every", "1s")
	page.Dir, page.Env = at, u.clientEnv("stagelog")
	var address lockedBuffer
	page.Stderr = &address
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("stagelog console:\n%s\nstagelog tail:\n%s%s", address.String(), errs.String(), shown.String())
		}
	})
	for _, cmd := range []*exec.Cmd{follow, page} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	}
	// The first listing is not shown, and tail does not report when it is finished.
	n := 0
	eventually(t, "the tail to show new lines", func() bool {
		n++
		put(fmt.Sprintf("logs/b%03d", n), request("Acme", "503")+request("Acme", "200")+request("Globex", "500"))
		return strings.Contains(shown.String(), "Acme")
	})
	if text := shown.String(); strings.Contains(text, "Earlier") || strings.Contains(text, "Globex") || strings.Contains(text, " 200 ") || strings.Contains(text, "\x1b[2J") {
		t.Errorf("the tail shows lines that do not match:\n%q", text)
	}
	eventually(t, "the console to show the customers", func() bool {
		_, url, found := strings.Cut(address.String(), ": http")
		if !found {
			return false
		}
		url, _, _ = strings.Cut(url, "\n")
		status, body := get(t, "http"+url+"/customers")
		return status == http.StatusOK && strings.Contains(body, "Acme") && strings.Contains(body, "Earlier")
	})
	if _, stderr, code := runBinary(t, at, u.clientEnv("stagelog"), "console", "--bucket", "s3://others/logs/", "--listen", "0.0.0.0:0"); code != 3 || !strings.Contains(stderr, "set a password") {
		t.Errorf("console on all addresses without a password = %d: %s", code, stderr)
	}
	// While the console has the lake open, it lends it.
	stdout, stderr, code := runBinary(t, at, u.clientEnv("stagelog"), "report", "--bucket", "s3://others/logs/", "--csv")
	if code != 0 || !strings.Contains(stdout, "Acme") || strings.Contains(stderr, "in use") {
		t.Errorf("report while the console uses the lake = %d: %s%s", code, stdout, stderr)
	}
	if _, stderr, code = runBinary(t, at, u.clientEnv("stagelog"), "console", "--bucket", "s3://others/logs/", "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(stderr, "is running already") {
		t.Errorf("a second console = %d: %s", code, stderr)
	}
	if err := page.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := page.Wait(); err != nil {
		t.Errorf("the interrupted console: %v", err)
	}

	// A command waits until another one that is no console releases the lake.
	endless := exec.CommandContext(ctx, bin.stagelog, "query", "--bucket", "s3://others/logs/", "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = 7")
	endless.Dir, endless.Env = at, u.clientEnv("stagelog")
	if err := endless.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lake to be in use", func() bool {
		_, stderr, code := runBinary(t, at, u.clientEnv("stagelog"), "report", "--bucket", "s3://others/logs/", "--lake-wait", "300ms")
		return code == 1 && strings.Contains(stderr, "waiting up to 300ms") && strings.Contains(stderr, "in use by another process")
	})
	waiting := exec.CommandContext(ctx, bin.stagelog, "report", "--bucket", "s3://others/logs/", "--csv")
	waiting.Dir, waiting.Env = at, u.clientEnv("stagelog")
	var answer, diagnostics lockedBuffer
	waiting.Stdout, waiting.Stderr = &answer, &diagnostics
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second command to wait", func() bool { return strings.Contains(diagnostics.String(), "waiting up to") })
	if err := endless.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = endless.Wait()
	if err := waiting.Wait(); err != nil || !strings.Contains(answer.String(), "Acme") {
		t.Errorf("the report that waited: %v: %s%s", err, answer.String(), diagnostics.String())
	}
	if left := must(os.ReadDir(at))(t, "read the directory"); len(left) > 0 {
		t.Errorf("commands left %v in a directory without a pipeline", left)
	}
}

// The console of up and commands share one lake: a command's import and its rows are those of the console, also while pages are open,
// and a command that is killed does not block them.
func TestUpAndCommandsShareOneLake(t *testing.T) {
	testenv.NeedPlain(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", "name: store\nbucket: store-logs\ndeliver: {interval: 1s, size: 1MiB}\n")
	u := startUp(t, dir, cleanEnv())
	c := sdk(t, u, "stagelog")
	sent := 0
	deliver := func(n int) {
		t.Helper()
		var body strings.Builder
		for range n {
			sent++
			fmt.Fprintf(&body, `{"request_id":"r%d","customer":"Acme","response_status":"200","request_time_epoch":"%d"}`+"\n", sent, time.Now().UnixMilli())
		}
		key := fmt.Sprintf("logs/%s%d", time.Now().UTC().Format("2006/01/02/15/"), sent)
		must(c.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("store-logs"), Key: &key, Body: strings.NewReader(body.String())}))(t, "put "+key)
	}
	count := func(want int, imports string) {
		t.Helper()
		stdout, stderr, code := runBinary(t, dir, cleanEnv(), "query", "SELECT count(*) FROM requests", "--csv")
		if code != 0 || !strings.HasSuffix(stdout, fmt.Sprintf("\n%d\n", want)) || !strings.Contains(stderr, imports) {
			t.Errorf("query = %d: %s%s\nwant %d requests and %q", code, stdout, stderr, want, imports)
		}
	}
	deliver(3)
	count(3, "imported 3 requests of 1 object") // before a page is open
	if _, body := get(t, u.Endpoints.Console+"/customers"); !strings.Contains(body, "Acme") {
		t.Error("the console does not show the customer")
	}
	deliver(4)
	count(7, "") // the console may have imported them
	if _, stderr, code := runBinary(t, dir, cleanEnv(), "console", "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(stderr, "is running already") {
		t.Errorf("a console beside up = %d: %s", code, stderr)
	}
	if stdout, stderr, code := runBinary(t, dir, cleanEnv(), "report", "reattribute"); code != 0 || !strings.HasPrefix(stdout, "Attributed 0 requests") {
		t.Errorf("reattribute = %d: %s%s", code, stdout, stderr)
	}

	killed := exec.Command(bin.stagelog, "query", "--json", "SELECT 1 FROM range(100000000)")
	killed.Dir, killed.Env = dir, cleanEnv()
	rows := must(killed.StdoutPipe())(t, "pipe")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	must(bufio.NewReader(rows).ReadString('\n'))(t, "read the first row") // the statement runs, and stops when the pipe is full
	deliver(5)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	count(12, "")
	lakes := must(filepath.Glob(filepath.Join(dir, ".stagelog", "lake", "*.duckdb")))(t, "list the lakes")
	if len(lakes) != 1 {
		t.Errorf("lakes %v, want one", lakes)
	}
	for _, path := range append(lakes, filepath.Dir(lakes[0])) {
		if info := must(os.Stat(path))(t, "stat"); info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, want it for the owner only", path, info.Mode())
		}
	}
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Errorf("up: %v", err)
	}
	if stdout, stderr, code := runBinary(t, dir, cleanEnv(), "query", "SELECT count(*) FROM requests", "--csv", "--no-import"); code != 0 || !strings.HasSuffix(stdout, "\n12\n") {
		t.Errorf("query after up = %d: %s%s", code, stdout, stderr)
	}
}
