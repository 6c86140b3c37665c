package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"github.com/stagelog/stagelog/internal/testenv"
)

// seedFields lists the fields of the seed's log format in order, and the two that its function adds.
var seedFields = []string{"api_id", "api_key", "key_id", "ip", "method", "uri", "response_size", "response_status", "resource_id",
	"request_id", "request_latency", "request_time", "stage", "plan_id", "subscription_id"}

// seedLine formats a line like the seed's Python function: json.dumps writes spaces and escapes
// non-ASCII characters.
func seedLine(l line) string {
	var b strings.Builder
	for i, name := range seedFields {
		between := ", "
		if i == 0 {
			between = "{"
		}
		fmt.Fprintf(&b, "%s%q: %s", between, name, strconv.QuoteToASCII(l[name]))
	}
	return b.String() + "}"
}

// seedTraffic returns n requests in the two hours before now, sorted by time.
func seedTraffic(n int, now time.Time) (all []line) {
	customers := []struct{ name, id, key, plan string }{
		{"Müller & Söhne", "k3ymueller", "0fGhMuellerMuellerMueller0001", "Gold"},
		{"Acme", "k3yacme001", "0fGhAcmeAcmeAcmeAcmeAcme00002", "Gold"},
		{"Globex", "k3yglobex1", "0fGhGlobexGlobexGlobexGlob003", "Free Plan"},
		{"-", "-", "-", "-"}, // a method without a key
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		c := customers[min(random.IntN(6), 5)%len(customers)]
		size, latency := fmt.Sprint(random.IntN(5000)), fmt.Sprint(1+random.IntN(900))
		if i%50 == 0 {
			size, latency = "-", "-" // the client disconnected
		}
		all = append(all, line{
			"api_id": "a1b2c3d4e5", "api_key": c.key, "key_id": c.id, "ip": fmt.Sprintf("203.0.113.%d", random.IntN(250)),
			"method": []string{"GET", "POST"}[i%2], "uri": fmt.Sprintf("/prod/orders/%d", random.IntN(40)), "response_size": size,
			"response_status": []string{"200", "200", "201", "404", "429", "500"}[random.IntN(6)], "resource_id": "r" + fmt.Sprint(i%3),
			"request_id": uuid.NewString(), "request_latency": latency,
			"request_time": now.Add(-2*time.Hour + time.Duration(i)*2*time.Hour/time.Duration(n)).Format("02/Jan/2006:15:04:05 -0700"),
			"stage":        "prod", "plan_id": c.plan, "subscription_id": c.name,
		})
	}
	return all
}

// seedObjects returns the objects that Firehose delivers for the lines, below the date of delivery:
// some without newlines, like the seed's function, some with newlines, some compressed. One batch is
// delivered twice, as Firehose may do, and one record could not be enriched.
func seedObjects(t *testing.T, all []line, now time.Time) map[string][]byte {
	t.Helper()
	objects := map[string][]byte{}
	put := func(at time.Time, suffix string, body []byte) {
		objects[at.Format("2006/01/02/15/")+"amazon-apigateway-shop-1-"+at.Format("2006-01-02-15-04-05-")+uuid.NewString()+suffix] = body
	}
	n := 0
	for batch := range slices.Chunk(all, 40) {
		end := ""
		if n%2 == 1 {
			end = "\n"
		}
		var body bytes.Buffer
		for _, l := range batch {
			body.WriteString(seedLine(l) + end)
		}
		at := must(time.Parse("02/Jan/2006:15:04:05 -0700", batch[0]["request_time"]))(t, "time").UTC()
		if n%4 < 2 {
			put(at, "", body.Bytes())
		} else {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			must(z.Write(body.Bytes()))(t, "gzip")
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			put(at, ".gz", packed.Bytes())
		}
		if n == 3 {
			put(at.Add(5*time.Minute), "", body.Bytes())
		}
		n++
	}
	objects["processing-failed/"+now.Format("2006/01/02/15/")+"amazon-apigateway-shop-1-"+uuid.NewString()] =
		[]byte(`{"attemptsMade":4,"arrivalTimestamp":1720635262451,"errorCode":"Lambda.FunctionTimedOut","errorMessage":"","rawData":"eyJhIjoiYiJ9","lambdaARN":"arn:aws:lambda:eu-west-1:1:function:f:$LATEST"}` + "\n")
	return objects
}

// figures holds the totals of one customer's requests, or of all.
type figures struct {
	Requests, Errors, Bytes, P95 int64
}

// figuresOf computes the figures of a customer's lines, or of all lines for "".
func figuresOf(t *testing.T, all []line, customer string) (f figures) {
	t.Helper()
	var latencies []int64
	for _, l := range all {
		if customer != "" && l["subscription_id"] != customer {
			continue
		}
		f.Requests++
		if l["response_status"] >= "400" {
			f.Errors++
		}
		if l["response_size"] != "-" {
			f.Bytes += must(strconv.ParseInt(l["response_size"], 10, 64))(t, "size")
			latencies = append(latencies, must(strconv.ParseInt(l["request_latency"], 10, 64))(t, "latency"))
		}
	}
	slices.Sort(latencies)
	f.P95 = latencies[(len(latencies)*95+99)/100-1]
	return f
}

// The report, SQL and the console work on a bucket written by a pipeline that was built by hand after
// the seed's page.
func TestReportsOfSeedBucket(t *testing.T) {
	testenv.Need(t, testenv.Browser)
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", "name: store\nbucket: store-logs\n")
	u := startUp(t, dir, cleanEnv())
	c := sdk(t, u, "stagelog")
	c.createBucket("by-hand")
	now := time.Now().UTC()
	all := seedTraffic(500, now)
	for key, body := range seedObjects(t, all, now) {
		must(c.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("by-hand"), Key: &key, Body: bytes.NewReader(body)}))(t, "put "+key)
	}
	want := map[string]figures{"": figuresOf(t, all, "")}
	for _, name := range []string{"Müller & Söhne", "Acme", "Globex", "-"} {
		want[name] = figuresOf(t, all, name)
	}
	at := t.TempDir()
	ask := func(into any, args ...string) (stderr string) {
		t.Helper()
		stdout, stderr, code := runBinary(t, at, u.clientEnv("stagelog"), append(args, "--bucket", "s3://by-hand", "--json")...)
		if code != 0 {
			t.Fatalf("stagelog %v = %d: %s", args, code, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), into); err != nil {
			t.Fatalf("stagelog %v: %v\n%s", args, err, stdout)
		}
		return stderr
	}
	same := func(what string, got map[string]figures) {
		t.Helper()
		for name, f := range want {
			if got[name] != f {
				t.Errorf("%s of %q: got %+v, want %+v", what, name, got[name], f)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: got %d customers and the total, want %d: %v", what, len(got), len(want), got)
		}
	}

	type row struct {
		Keys struct{ Customer string }
		figures
		P95 int64 `json:"p95_ms"`
	}
	var reported struct {
		Rows    []row
		Total   row
		Undated int
	}
	stderr := ask(&reported, "report")
	got := map[string]figures{}
	for _, r := range append(reported.Rows, reported.Total) {
		r.figures.P95 = r.P95
		got[r.Keys.Customer] = r.figures
	}
	same("the report", got)
	if reported.Undated != 0 {
		t.Errorf("%d requests have no time", reported.Undated)
	}
	for _, want := range []string{"imported 540 requests", "40 duplicates counted once", "processing-failed/", "stagelog replay"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr does not contain %q:\n%s", want, stderr)
		}
	}

	var selected []struct {
		Customer, Plan *string
		Plain          int
		figures
	}
	ask(&selected, "query", `SELECT customer, any_value(usage_plan) AS plan, count(*) AS requests, count(*) FILTER (status >= 400) AS errors,
		CAST(sum(bytes) AS BIGINT) AS bytes, quantile_disc(latency, 0.95) AS p95,
		count(*) FILTER (CAST(extra AS VARCHAR) LIKE '%0fGh%' OR time IS NULL OR method IS NULL OR path NOT LIKE '/prod/orders/%' OR ip IS NULL) AS plain
		FROM requests GROUP BY ROLLUP (customer) ORDER BY grouping(customer), requests`)
	got = map[string]figures{}
	for i, r := range selected {
		name := "-"
		switch {
		case r.Customer != nil:
			name = *r.Customer
		case i == len(selected)-1:
			name = ""
		}
		got[name] = r.figures
		if r.Plain != 0 {
			t.Errorf("%d rows of %q lack a field, or show an API key", r.Plain, name)
		}
		if plan := map[string]string{"Acme": "Gold", "Müller & Söhne": "Gold", "Globex": "Free Plan"}[name]; plan != "" && (r.Plan == nil || *r.Plan != plan) {
			t.Errorf("%s is on %v, want %s", name, r.Plan, plan)
		}
	}
	same("SQL", got)

	inTheConsole(t, consoleOf(t, at, u.clientEnv("stagelog"), "s3://by-hand"), want)
}

// consoleOf runs the console over a bucket until the test ends, and returns its address.
func consoleOf(t *testing.T, dir string, env []string, bucket string) (base string) {
	t.Helper()
	page := exec.CommandContext(t.Context(), bin.stagelog, "console", "--bucket", bucket, "--listen", "127.0.0.1:0", "--every", "1s")
	var address lockedBuffer
	page.Dir, page.Env, page.Stderr = dir, env, &address
	if err := page.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = page.Process.Kill(); _ = page.Wait() })
	eventually(t, "the console's address", func() bool {
		_, rest, found := strings.Cut(address.String(), ": http")
		url, _, whole := strings.Cut(rest, "\n")
		base = "http" + url
		return found && whole
	})
	return base
}

// inTheConsole checks the console's pages in a browser.
func inTheConsole(t *testing.T, base string, want map[string]figures) {
	t.Helper()
	b := newBrowser(t)
	b.open(base + "/")
	if got := eval[string](b, `[...document.querySelectorAll(".tile")].find(e => e.querySelector("dt").textContent === "Requests").querySelector("dd.value").textContent.trim().split(/\s/)[0]`); got != fmt.Sprint(want[""].Requests) {
		t.Errorf("the overview's total: got %s, want %d", got, want[""].Requests)
	}
	shown := eval[[][]string](b, `[...document.querySelectorAll('a[href^="/customer?"]')].filter(e => e.closest("table.bars")).map(e => [e.textContent, e.closest("tr").querySelector("td.num").title])`)
	if len(shown) != len(want)-1 {
		t.Errorf("the overview's customers: %v", shown)
	}
	for _, s := range shown {
		name, _, _ := strings.Cut(s[0], " k3y") // followed by the key's id
		if name == "No API key" {
			name = "-"
		}
		f, known := want[name]
		if !known || s[1] != fmt.Sprint(f.Requests) {
			t.Errorf("the overview has %q with %s requests, want %d", s[0], s[1], f.Requests)
		}
	}
	b.open(base + "/customer?key=k3ymueller")
	if got := eval[string](b, `document.querySelector("h1").textContent`); !strings.Contains(got, "Müller & Söhne") {
		t.Errorf("the customer's page has the heading %q", got)
	}
	if got := eval[string](b, `document.querySelector("main").innerText`); !strings.Contains(got, "Gold") || !strings.Contains(got, "/prod/orders/") || strings.Contains(got, "0fGh") {
		t.Errorf("the customer's page lacks its plan or requests, or shows its key:\n%s", got)
	}
}
