package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

// instead returns the URL of a proxy for moto. answer may handle a call instead, and reports whether it did.
func instead(t *testing.T, m *account, answer func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(must(url.Parse(m.URL))(t, "parse URL"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answer(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func reply(w http.ResponseWriter, status int, contentType, body string) bool {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	return true
}

// Common errors with an AWS account name the cause and the next step.
func TestDeployErrorsNameNextStep(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := startMoto(t)
	dir, api := deployDir(t, m)
	empty := must(m.gateway.CreateRestApi(t.Context(), &apigateway.CreateRestApiInput{Name: aws.String("never deployed")}))(t, "create API")
	without := func(names ...string) []string {
		var env []string
		for _, kv := range m.env() {
			name, _, _ := strings.Cut(kv, "=")
			gone := false
			for _, n := range names {
				gone = gone || n == name
			}
			if !gone {
				env = append(env, kv)
			}
		}
		return env
	}
	tests := []struct {
		name string
		yaml string
		env  []string
		want []string
	}{
		{"no credentials", "", without("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
			[]string{"no AWS credentials", "aws configure sso", "AWS_PROFILE"}},
		{"no region", strings.Replace(deployYAML(api, "prod"), "region: "+moto.Region+"\n", "", 1), without("AWS_REGION", "AWS_DEFAULT_REGION"),
			[]string{"no AWS Region", "--region", "region:"}},
		{"expired credentials", "", append(m.env(), "AWS_ENDPOINT_URL="+instead(t, m, func(w http.ResponseWriter, r *http.Request) bool {
			return reply(w, http.StatusForbidden, "text/xml", `<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error><RequestId>1</RequestId></ErrorResponse>`)
		})), []string{"expired", "aws sso login"}},
		{"access denied on one call", "", append(m.env(), "AWS_ENDPOINT_URL="+instead(t, m, func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".DescribeDeliveryStream") {
				return false
			}
			return reply(w, http.StatusBadRequest, "application/x-amz-json-1.1", `{"__type":"AccessDeniedException","Message":"User: arn:aws:iam::123456789012:user/eva is not authorized to perform: firehose:DescribeDeliveryStream on resource: arn:aws:firehose:eu-west-1:123456789012:deliverystream/amazon-apigateway-acme because no identity-based policy allows the firehose:DescribeDeliveryStream action"}`)
		})), []string{"firehose:DescribeDeliveryStream", "deliverystream/amazon-apigateway-acme", `"Effect": "Allow"`}},
		{"the bucket's name is taken", "", append(m.env(), "AWS_ENDPOINT_URL="+instead(t, m, func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasPrefix(r.URL.Path, "/"+deployBucket) && reply(w, http.StatusForbidden, "application/xml", `<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`)
		})), []string{deployBucket, "another AWS account", "bucket:"}},
		{"no such API", strings.Replace(deployYAML(api, "prod"), api, api[:len(api)-1], 1), m.env(), []string{"did you mean", api}},
		{"no such stage", strings.Replace(deployYAML(api, "prod"), "stage: prod", "stage: prd", 1), m.env(), []string{"prd", "did you mean", "prod"}},
		{"a stage never deployed", deployYAML(*empty.Id, "prod"), m.env(), []string{"never deployed", "aws apigateway create-deployment --rest-api-id " + *empty.Id}},
		{"connection refused", "", append(m.env(), "AWS_ENDPOINT_URL=http://127.0.0.1:1"), []string{"127.0.0.1:1", "stagelog up"}},
		{"another account", strings.Replace(deployYAML(api, "prod"), "region:", "account: \"999999999999\"\nregion:", 1), m.env(), []string{"999999999999", moto.Account, "--profile"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.yaml == "" {
				tt.yaml = deployYAML(api, "prod")
			}
			write(t, dir, "stagelog.yaml", tt.yaml)
			stdout, stderr, code := runBinary(t, dir, tt.env, "deploy", "--yes", "--function-zip", "function.zip")
			if code != 1 || stdout != "" {
				t.Errorf("deploy ended with %d, want 1\n%s\n%s", code, stdout, stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("the error does not contain %q:\n%s", want, stderr)
				}
			}
		})
	}
}

// deploy changes foreign resources only with a flag, and destroy restores them.
func TestDeployAdoptsOnlyWithFlag(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := startMoto(t)
	dir, api := deployDir(t, m)
	group := fmt.Sprintf("arn:aws:logs:%s:%s:log-group:theirs", moto.Region, moto.Account)
	m.createBucket(deployBucket)
	must(m.s3.PutObject(t.Context(), putText(deployBucket, "theirs.txt")))(t, "put object")
	m.createStream("amazon-apigateway-acme", deployBucket, nil)
	must(m.logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("theirs")}))(t, "create log group")
	m.setAccessLog(api, "prod", group, "$context.requestId theirs")
	before := m.state(api, "prod", deployBucket)

	_, stderr, code := runBinary(t, dir, m.env(), "deploy", "--yes", "--function-zip", "function.zip")
	for _, want := range []string{"--adopt", "--replace-logging", "amazon-apigateway-acme", deployBucket, "log group theirs"} {
		if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("deploy ended with %d, want 1 and %q in:\n%s", code, want, stderr)
		}
	}
	if after := m.state(api, "prod", deployBucket); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("a blocked deploy changed something:\n%v\n%v", before, after)
	}

	m.deploy(dir, "--adopt", "--replace-logging")
	if todo := m.plan(dir, 0).todo(); todo != nil {
		t.Errorf("after the adoption the plan has changes: %v", todo)
	}
	if stdout, stderr, code := runBinary(t, dir, m.env(), "destroy", "--yes", "--no-drain"); code != 0 {
		t.Fatalf("destroy ended with %d\n%s\n%s", code, stdout, stderr)
	}
	stage := must(m.gateway.GetStage(t.Context(), &apigateway.GetStageInput{RestApiId: &api, StageName: aws.String("prod")}))(t, "get stage")
	if s := stage.AccessLogSettings; s == nil || aws.ToString(s.DestinationArn) != group || aws.ToString(s.Format) != "$context.requestId theirs" {
		t.Errorf("after destroy the stage's settings are %+v, want the previous ones", s)
	}
	if keys := m.keys(deployBucket, ""); fmt.Sprint(keys) != "[theirs.txt]" {
		t.Errorf("destroy left %v in the bucket, want only the foreign object", keys)
	}
}
