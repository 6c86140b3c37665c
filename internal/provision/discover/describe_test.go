package discover

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
)

const account = "123456789012"

func options() Options {
	return Options{Region: "eu-west-1", Account: account, File: "stagelog.yaml", Getenv: func(string) string { return "" }}
}

func TestDescribeNewPipeline(t *testing.T) {
	for _, tt := range []struct {
		api, name, bucket    string
		wantName, wantBucket string
		wantProblem          string
	}{
		{api: "Shop API", wantName: "shop-api", wantBucket: "shop-api-api-logs-" + account},
		{api: "  ", wantName: "api", wantBucket: "api-api-logs-" + account},
		{api: "a very long name of an API", wantName: "a-very-long-name-of", wantBucket: "a-very-long-name-of-api-logs-" + account},
		{api: "shop", name: "My_Pets", wantName: "My_Pets", wantBucket: "my-pets-api-logs-" + account},
		{api: "shop", name: strings.Repeat("n", 45), wantName: strings.Repeat("n", 45), wantBucket: strings.Repeat("n", 41) + "-api-logs-" + account},
		{api: "shop", bucket: "my-own", wantName: "shop", wantBucket: "my-own"},
		{api: "shop", name: "no name", wantProblem: "name"},
	} {
		o := options()
		o.Name, o.Bucket = tt.name, tt.bucket
		got, err := Describe([]Stage{{API: API{ID: "a1b2c3d4e5", Name: tt.api}, Name: "prod"}}, o)
		if tt.wantProblem != "" {
			if err == nil || !strings.Contains(err.Error(), ": "+tt.wantProblem+": ") {
				t.Errorf("%+v: Describe = %v, want a problem with %s", tt, err, tt.wantProblem)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", tt, err)
			continue
		}
		p := got.Pipeline
		if p.Name != tt.wantName || p.Bucket != tt.wantBucket || len(p.Stages) != 1 || p.Account != account || p.Region != "eu-west-1" || len(got.Notes) > 0 {
			t.Errorf("%+v: got name %s, bucket %s, stages %v, notes %v", tt, p.Name, p.Bucket, p.Stages, got.Notes)
		}
	}
}

func TestDescribeAdoptedStream(t *testing.T) {
	stream := Stream{Name: "amazon-apigateway-theirs", Bucket: "their-logs", Function: "arn:aws:lambda:eu-west-1:123456789012:function:enrich:$LATEST",
		Deliver: config.Deliver{Interval: 2 * time.Minute, Size: 7 << 20, Compression: config.GZIP, Prefix: "logs/", ErrorPrefix: "logs/errors/"}, Readers: []string{"111122223333"}}
	o := options()
	o.Adopt = true
	got, err := Describe([]Stage{{API: API{ID: "a1b2c3d4e5", Name: "shop"}, Name: "prod", Format: accesslog.Usage, Stream: &stream}}, o)
	if err != nil {
		t.Fatal(err)
	}
	want := stream.Deliver
	want.ErrorPrefix = config.DefaultErrorPrefix // readers could get the error objects
	if diff := cmp.Diff(want, got.Pipeline.Deliver); diff != "" || got.Pipeline.Name != "theirs" || got.Pipeline.Bucket != "their-logs" {
		t.Errorf("pipeline %s, bucket %s, deliver (-want +got):\n%s", got.Pipeline.Name, got.Pipeline.Bucket, diff)
	}
	notes := strings.Join(got.Notes, "\n")
	for _, want := range []string{"111122223333", "deliver.error_prefix is replaced by the default", "deploy replaces it with stagelog-theirs"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
}

func TestAdoptErrors(t *testing.T) {
	stage := func(name string, s *Stream) Stage {
		return Stage{API: API{ID: "a1b2c3d4e5", Name: "shop"}, Name: name, Format: accesslog.Usage, Stream: s}
	}
	one, two := &Stream{Name: "amazon-apigateway-one", Bucket: "logs"}, &Stream{Name: "amazon-apigateway-two", Bucket: "logs"}
	for _, tt := range []struct {
		name   string
		stages []Stage
		want   string
	}{
		{"no stream", []Stage{stage("prod", nil)}, "a1b2c3d4e5/prod does not log to a delivery stream"},
		{"two streams", []Stage{stage("prod", one), stage("dev", two)}, "prod logs to amazon-apigateway-one, and a1b2c3d4e5/dev to amazon-apigateway-two"},
		{"stream name", []Stage{stage("prod", &Stream{Name: "logs"})}, "API Gateway cannot log to delivery stream logs"},
		{"ORC", []Stage{stage("prod", &Stream{Name: "amazon-apigateway-orc", ORC: true})}, "converts its records to ORC"},
	} {
		o := options()
		o.Adopt = true
		if _, err := Describe(tt.stages, o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Describe = %v, want %q", tt.name, err, tt.want)
		}
	}
}

// Readers find plan and customer under the names that the stream's own function gave them.
func TestAdoptedNamesAreThoseOfRecords(t *testing.T) {
	usual := config.Bare().Names
	for _, tt := range []struct {
		fields []string // beside those of the format
		want   config.OutputNames
		note   string
	}{
		{nil, usual, ""},
		{[]string{"plan_id", "subscription_id"}, config.OutputNames{UsagePlan: "plan_id", Customer: "subscription_id"}, "records that enrich has enriched have the fields plan_id and subscription_id"},
		{[]string{"customer", "usage_plan", "usage_plan_id"}, usual, "have the fields usage_plan and customer"},
		{[]string{"client", "tier"}, usual, "also have the fields client, tier: set names:"},
		{[]string{"customer_name", "team"}, usual, "also have the fields customer_name, team: set names:"},
	} {
		stream := Stream{Name: "amazon-apigateway-theirs", Bucket: "their-logs", Function: "arn:aws:lambda:eu-west-1:123456789012:function:enrich:$LATEST", Deliver: config.Bare().Deliver,
			Fields: append(accesslog.Parse(accesslog.Usage).Names(), tt.fields...)}
		o := options()
		o.Adopt = true
		got, err := Describe([]Stage{{API: API{ID: "a1b2c3d4e5", Name: "shop"}, Name: "prod", Format: accesslog.Usage, Stream: &stream}}, o)
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(got.Notes, "\n"); got.Pipeline.Names != tt.want || !strings.Contains(notes, tt.note) || tt.note == "" && strings.Contains(notes, "enriched") {
			t.Errorf("%v: names %+v, want %+v, and %q in\n%s", tt.fields, got.Pipeline.Names, tt.want, tt.note, notes)
		}
	}
}
