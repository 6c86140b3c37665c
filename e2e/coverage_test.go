package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

// coverageStage is a stage of `report coverage --json`.
type coverageStage struct {
	Day, API                      string
	APIID                         string `json:"api_id"`
	Stage                         string
	Counted, Lake, Backed, Double int
	Missing, Extra                int
	Young                         bool
}

// CloudWatch's counts of a stage reveal missing lines, with and without a key.
func TestStageCoverageAgainstMoto(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := startMoto(t)
	rest := *must(m.gateway.CreateRestApi(t.Context(), &apigateway.CreateRestApiInput{Name: aws.String("Shöp")}))(t, "create API").Id
	today := time.Now().UTC().Truncate(24 * time.Hour)
	first, second, last := today.AddDate(0, 0, -5), today.AddDate(0, 0, -4), today.AddDate(0, 0, -3)
	count := func(dimension, api, stage string, at time.Time, n float64) {
		t.Helper()
		m.putMetric(url.Values{
			"Namespace": {"AWS/ApiGateway"}, "MetricData.member.1.MetricName": {"Count"},
			"MetricData.member.1.Timestamp": {at.Format(time.RFC3339)}, "MetricData.member.1.Value": {fmt.Sprint(n)},
			"MetricData.member.1.Dimensions.member.1.Name": {dimension}, "MetricData.member.1.Dimensions.member.1.Value": {api},
			"MetricData.member.1.Dimensions.member.2.Name": {"Stage"}, "MetricData.member.1.Dimensions.member.2.Value": {stage},
		})
	}
	count("ApiName", "Shp", "prod", first.AddDate(0, 0, -1).Add(23*time.Hour+59*time.Minute), 100) // the day before
	count("ApiName", "Shp", "prod", first, 2)
	count("ApiName", "Shp", "prod", first.Add(23*time.Hour+59*time.Minute), 3)
	count("ApiName", "Shp", "prod", last.Add(time.Hour), 1)
	count("ApiName", "Shp", "prod", last.AddDate(0, 0, 1), 100) // the day after
	count("ApiName", "Shp", "test", first, 100)                 // a stage that logs elsewhere
	count("ApiId", "http", "$default", second.Add(12*time.Hour), 4)
	count("ApiName", "Shp", "silent", second, 9)

	m.createBucket("coverage-logs")
	var body strings.Builder
	line := func(n int, api, stage string, at time.Time) {
		fmt.Fprintf(&body, `{"request_id":"id-%d","api_id":%q,"stage":%q,"key_id":"-","ip":"203.0.113.7","response_status":"200","request_time_epoch":"%d"}`+"\n", n, api, stage, at.UnixMilli())
	}
	for n := range 4 { // one of the first day's five is missing
		line(n, rest, "prod", first.Add(time.Hour))
	}
	line(0, rest, "prod", first.Add(time.Hour)) // again
	line(10, rest, "prod", last)
	line(11, rest, "prod", last.Add(24*time.Hour-time.Millisecond)) // not counted
	for n := range 4 {
		line(20+n, "http", "$default", second)
	}
	line(30, "gone", "prod", second)
	must(m.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("coverage-logs"), Key: aws.String("logs/" + first.Format("2006/01/02/15") + "/lines"), Body: strings.NewReader(body.String())}))(t, "put lines")

	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", fmt.Sprintf("name: coverage\nbucket: coverage-logs\nregion: %s\nstages: [{api: %s, stage: prod}, {api: %[2]s, stage: silent}]\n", moto.Region, rest))
	run := func(args ...string) string {
		t.Helper()
		stdout, stderr, code := runBinary(t, dir, m.env(), append([]string{"report", "coverage", "--from", first.Format(time.DateOnly), "--to", last.AddDate(0, 0, 1).Format(time.DateOnly)}, args...)...)
		if code != 0 {
			t.Fatalf("coverage %v = %d: %s", args, code, stderr)
		}
		return stdout
	}
	var got struct {
		Stages struct {
			Without                 string
			Rows, Totals, Uncounted []coverageStage
		}
	}
	text := run("--json")
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Stages.Without != "" {
		t.Fatalf("coverage --json: %v\n%s", err, text)
	}
	row := func(day time.Time, api, id, stage string, counted, lake, double int) coverageStage {
		backed := min(counted, lake)
		return coverageStage{Day: day.Format(time.DateOnly), API: api, APIID: id, Stage: stage,
			Counted: counted, Lake: lake, Backed: backed, Double: double, Missing: counted - backed, Extra: lake - backed}
	}
	if diff := cmp.Diff([]coverageStage{
		row(first, "Shp", rest, "prod", 5, 4, 1), row(second, "Shp", rest, "silent", 9, 0, 0),
		row(second, "-", "http", "$default", 4, 4, 0), row(last, "Shp", rest, "prod", 1, 2, 0),
	}, got.Stages.Rows); diff != "" {
		t.Errorf("rows (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]coverageStage{{API: "-", APIID: "gone", Stage: "prod", Lake: 1}}, got.Stages.Uncounted); diff != "" {
		t.Errorf("uncounted (-want +got)\n%s", diff)
	}
	for _, want := range []string{
		"Shp/prod (" + rest + "): 5 of 6 counted requests to the stage are in the logs (83.33%); 1 missing, 1 not counted, 1 duplicate\n",
		"Shp/silent (" + rest + "): 0 of 9 counted requests to the stage are in the logs (0.00%); 9 missing",
		"http/$default: 4 of 4 counted requests to the stage are in the logs (100.00%)",
		"CloudWatch has no counts of gone/prod, but the lake has 1 request",
	} {
		if text := run(); !strings.Contains(text, want) {
			t.Errorf("the table does not contain %q:\n%s", want, text)
		}
	}
	if text, want := run("--csv"), first.Format(time.DateOnly)+",,,5,4,4,1,0,1,4,Shp,"+rest+",prod,false\n"; !strings.Contains(text, want) {
		t.Errorf("the CSV does not contain %q:\n%s", want, text)
	}
}

// Without permission for CloudWatch or the names of APIs, the rest of the report is still printed.
func TestCoverageWithDeniedCountsAgainstMoto(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := startMoto(t)
	m.createBucket("coverage-logs")
	body := fmt.Sprintf(`{"request_id":"id-1","api_id":"a1","stage":"prod","request_time_epoch":"%d"}`, time.Now().Add(-48*time.Hour).UnixMilli())
	must(m.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("coverage-logs"), Key: aws.String("logs/line"), Body: strings.NewReader(body)}))(t, "put line")
	dir := t.TempDir()
	for name, denies := range map[string]func(*http.Request) bool{
		"cloudwatch:GetMetricData": func(r *http.Request) bool { return strings.Contains(r.Header.Get("Authorization"), "/monitoring/") },
		"apigateway:GET":           func(r *http.Request) bool { return r.URL.Path == "/restapis" },
	} {
		to := httputil.NewSingleHostReverseProxy(must(url.Parse(m.URL))(t, "parse"))
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !denies(r) {
				to.ServeHTTP(w, r)
				return
			}
			message := "User: arn:aws:iam::1:user/u is not authorized to perform: " + name + " because no identity-based policy allows it"
			w.Header().Set("x-amzn-ErrorType", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
			if r.URL.Path == "/restapis" {
				fmt.Fprintf(w, `{"message":%q}`, message)
			} else {
				fmt.Fprintf(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>%s</Message></Error></ErrorResponse>`, message)
			}
		}))
		defer proxy.Close()
		report := func(args ...string) (stdout, stderr string) {
			stdout, stderr, code := runBinary(t, dir, m.env("AWS_ENDPOINT_URL="+proxy.URL), append([]string{"report", "coverage", "--bucket", "s3://coverage-logs/logs/", "--from", "7d"}, args...)...)
			if code != 0 {
				t.Errorf("%s denied: coverage %v = %d: %s", name, args, code, stderr)
			}
			return stdout, stderr
		}
		const want = "tages were not compared with CloudWatch: "
		if stdout, _ := report(); !strings.Contains(stdout, want) || !strings.Contains(stdout, "arn:aws:iam::1:user/u may not "+name+"; the comparison needs cloudwatch:GetMetricData on *") {
			t.Errorf("%s denied: coverage prints\n%s", name, stdout)
		}
		if stdout, stderr := report("--csv"); !strings.Contains(stderr, want) || strings.Count(stdout, "\n") != 1 {
			t.Errorf("%s denied: coverage --csv prints\n%s%s", name, stdout, stderr)
		}
	}
}

// putMetric sends PutMetricData exactly once. The SDK may retry, and the values would add up.
func (m *account) putMetric(form url.Values) {
	m.t.Helper()
	form.Set("Action", "PutMetricData")
	form.Set("Version", "2010-08-01")
	req := must(http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.URL, strings.NewReader(form.Encode())))(m.t, "put metric")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAMOTO/20261123/"+moto.Region+"/monitoring/aws4_request, SignedHeaders=host, Signature=00")
	req.Close = true // moto may have closed an idle connection
	res := must(http.DefaultClient.Do(req))(m.t, "put metric")
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		m.t.Fatalf("put metric: %s", res.Status)
	}
}
