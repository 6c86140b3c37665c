package coverage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	gateway "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/record"
)

var countedDay = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

// restAPIs returns pages of one API each.
type restAPIs []gateway.RestApi

func (r restAPIs) GetRestApis(_ context.Context, in *apigateway.GetRestApisInput, _ ...func(*apigateway.Options)) (*apigateway.GetRestApisOutput, error) {
	n := 0
	fmt.Sscan(aws.ToString(in.Position), &n)
	out := &apigateway.GetRestApisOutput{Items: r[n : n+1]}
	if n+1 < len(r) {
		out.Position = aws.String(fmt.Sprint(n + 1))
	}
	return out, nil
}

func TestMetricsUseNamesOfRESTAPIs(t *testing.T) {
	api := func(id, name string) gateway.RestApi { return gateway.RestApi{Id: &id, Name: &name} }
	c := CloudWatch{Gateway: restAPIs{api("a1", "Shop"), api("a2", "Çafé"), api("a3", "店"), api("a4", "Shop"), api("a5", "af")}}
	stages := []record.StageRef{{API: "a1", Stage: "prod"}, {API: "a2", Stage: "prod"}, {API: "a3", Stage: "prod"}, {API: "http", Stage: "$default"}, {API: "a5", Stage: "prod"}}
	got, err := c.Metrics(t.Context(), stages)
	if err != nil {
		t.Fatal(err)
	}
	want := []Metric{{API: "Shop", ByName: true, Shared: 2, Stage: "prod"}, {API: "af", ByName: true, Shared: 2, Stage: "prod"},
		{API: "a3", ByName: true, Shared: 1, Stage: "prod"}, {API: "http", Stage: "$default"}, {API: "af", ByName: true, Shared: 2, Stage: "prod"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Metrics (-want +got)\n%s", diff)
	}
}

// metricData is a GetMetricData client that calls a function.
type metricData func(in *cloudwatch.GetMetricDataInput) *cloudwatch.GetMetricDataOutput

func (m metricData) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	return m(in), nil
}

func result(id string, status types.StatusCode, at time.Time, value float64) types.MetricDataResult {
	return types.MetricDataResult{Id: &id, StatusCode: status, Timestamps: []time.Time{at}, Values: []float64{value}}
}

// Each metric is requested once, in limited batches, and the parts on all pages are added up.
func TestSumsReadsAllPages(t *testing.T) {
	metrics := make([]Metric, metricLimit+1)
	for i := range metrics {
		metrics[i] = Metric{API: fmt.Sprint(i), ByName: i%2 == 0, Stage: "prod"}
	}
	asked := map[Metric]int{}
	c := CloudWatch{Metric: metricData(func(in *cloudwatch.GetMetricDataInput) *cloudwatch.GetMetricDataOutput {
		if len(in.MetricDataQueries) > metricLimit || !in.StartTime.Equal(countedDay) || !in.EndTime.Equal(countedDay.AddDate(0, 0, 2)) {
			t.Errorf("asked for %d metrics from %v to %v", len(in.MetricDataQueries), in.StartTime, in.EndTime)
		}
		out := &cloudwatch.GetMetricDataOutput{}
		for _, q := range in.MetricDataQueries {
			s := q.MetricStat
			d := s.Metric.Dimensions
			if *s.Metric.Namespace != "AWS/ApiGateway" || *s.Metric.MetricName != "Count" || *s.Period != 86400 || *s.Stat != "Sum" || *d[1].Name != "Stage" {
				t.Fatalf("asked for %+v", q)
			}
			m := Metric{API: *d[0].Value, ByName: *d[0].Name == "ApiName", Stage: *d[1].Value}
			if in.NextToken == nil {
				asked[m]++
				out.NextToken = aws.String("more")
				out.MetricDataResults = append(out.MetricDataResults, result(*q.Id, types.StatusCodePartialData, countedDay, 3))
			} else {
				out.MetricDataResults = append(out.MetricDataResults, result(*q.Id, types.StatusCodeComplete, countedDay.AddDate(0, 0, 1), 2.0000001))
			}
		}
		return out
	})}
	got := map[Metric][]int64{}
	err := c.Sums(t.Context(), metrics, countedDay, countedDay.AddDate(0, 0, 1), func(m Metric, day time.Time, n int64) error {
		got[m] = append(got[m], n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metrics {
		if asked[m] != 1 || !slices.Equal(got[m], []int64{3, 2}) {
			t.Errorf("%v: asked %d times, got %v", m, asked[m], got[m])
		}
	}
}

func TestSumsRefusesIncompleteResults(t *testing.T) {
	metrics := []Metric{{API: "Shop", ByName: true, Stage: "prod"}}
	none := func(Metric, time.Time, int64) error { return nil }
	for name, c := range map[string]struct {
		results []types.MetricDataResult
		fn      func(Metric, time.Time, int64) error
		want    string
	}{
		"a part":      {[]types.MetricDataResult{result("m0", types.StatusCodePartialData, countedDay, 1)}, none, `Shop/prod has status "PartialData"`},
		"an error":    {[]types.MetricDataResult{{Id: aws.String("m0"), StatusCode: types.StatusCodeInternalError}}, none, `"InternalError"`},
		"nothing":     {nil, none, `Shop/prod has status ""`},
		"of another":  {[]types.MetricDataResult{result("m1", types.StatusCodeComplete, countedDay, 1)}, none, `unrequested metric: "m1"`},
		"not in time": {[]types.MetricDataResult{result("m0", types.StatusCodeComplete, countedDay, 1)}, func(Metric, time.Time, int64) error { return errors.New("no") }, "no"},
	} {
		s := CloudWatch{Explain: provision.Explain, Metric: metricData(func(*cloudwatch.GetMetricDataInput) *cloudwatch.GetMetricDataOutput {
			return &cloudwatch.GetMetricDataOutput{MetricDataResults: c.results}
		})}
		if err := s.Sums(t.Context(), metrics, countedDay, countedDay, c.fn); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestSumsErrorIsOneLineWithCause(t *testing.T) {
	answer := func(code, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `<ErrorResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>r-1</RequestId></ErrorResponse>`, code, message)
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"denied": {answer("AccessDenied", "User: arn:aws:iam::1:user/u is not authorized to perform: cloudwatch:GetMetricData because no identity-based policy allows the cloudwatch:GetMetricData action"),
			"read CloudWatch's counts: access denied: arn:aws:iam::1:user/u may not cloudwatch:GetMetricData; the comparison needs cloudwatch:GetMetricData on * and apigateway:GET on /restapis"},
		"denied without a message": {answer("AccessDenied", ""),
			"read CloudWatch's counts: access denied: these credentials may not cloudwatch:GetMetricData; the comparison needs cloudwatch:GetMetricData on * and apigateway:GET on /restapis"},
		"not served": {answer("InvalidAction", "stagelog does not serve it"), "this endpoint does not serve CloudWatch"},
		"expired":    {answer("ExpiredToken", "old"), "read CloudWatch's counts: the AWS credentials have expired: "},
		"another server": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "<html>\nnot here</html>")
		}, "read CloudWatch's counts: "},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			defer server.Close()
			clients := provision.NewClients(aws.Config{Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
			err := CloudWatch{clients.APIGateway, clients.CloudWatch, provision.Explain}.Sums(t.Context(), []Metric{{API: "Shop", ByName: true, Stage: "prod"}}, countedDay, countedDay,
				func(Metric, time.Time, int64) error { return nil })
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v\nwant %s", err, c.want)
			}
			if strings.HasPrefix(name, "denied") && err.Error() != c.want {
				t.Errorf("%v\nwant exactly %s", err, c.want)
			}
		})
	}
	if err := (CloudWatch{}).inALine(fmt.Errorf("ask: %w", context.DeadlineExceeded)); err.Error() != "no response within 1m0s" {
		t.Error(err)
	}
}
