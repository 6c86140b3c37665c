package cli

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	gateway "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	v2 "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

// inAccount sets the process's AWS environment to an account at endpoint; "" means no credentials.
func inAccount(t *testing.T, endpoint string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_REGION": moto.Region, "AWS_PROFILE": "", "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
	} {
		t.Setenv(name, value)
	}
	if endpoint != "" {
		t.Setenv("AWS_ACCESS_KEY_ID", "AKIAMOTOMOTOMOTOMOTO")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "moto")
	}
}

// account is an AWS account for a test.
type account struct {
	testing.TB
	c *provision.Clients
}

func newAccount(t *testing.T) (account, *moto.Server) {
	s := moto.Start(t)
	inAccount(t, s.URL)
	return account{t, provision.NewClients(s.Config(nil))}, s
}

func (a account) ok(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// api creates a REST API, deployed to the stages.
func (a account) api(name string, stages ...string) string {
	a.Helper()
	ctx, g := a.Context(), a.c.APIGateway
	api, err := g.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: &name})
	a.ok(err)
	resources, err := g.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: api.Id})
	a.ok(err)
	root := resources.Items[0].Id
	_, err = g.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: api.Id, ResourceId: root, HttpMethod: aws.String("GET"), AuthorizationType: aws.String("NONE")})
	a.ok(err)
	_, err = g.PutIntegration(ctx, &apigateway.PutIntegrationInput{RestApiId: api.Id, ResourceId: root, HttpMethod: aws.String("GET"), Type: gateway.IntegrationTypeMock})
	a.ok(err)
	for _, stage := range stages {
		_, err = g.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: &stage})
		a.ok(err)
	}
	return *api.Id
}

func (a account) logTo(api, stage, destination, format string) {
	a.Helper()
	_, err := a.c.APIGateway.UpdateStage(a.Context(), &apigateway.UpdateStageInput{RestApiId: &api, StageName: &stage, PatchOperations: []gateway.PatchOperation{
		{Op: gateway.OpReplace, Path: aws.String("/accessLogSettings/destinationArn"), Value: &destination},
		{Op: gateway.OpReplace, Path: aws.String("/accessLogSettings/format"), Value: &format},
	}})
	a.ok(err)
}

// stream creates a delivery stream to a bucket, and makes the stage log to it.
func (a account) stream(api, stage, stream, format string, to types.ExtendedS3DestinationConfiguration) {
	a.Helper()
	to.BucketARN, to.RoleARN = aws.String("arn:aws:s3:::their-logs"), aws.String("arn:aws:iam::"+moto.Account+":role/firehose")
	_, err := a.c.Firehose.CreateDeliveryStream(a.Context(), &firehose.CreateDeliveryStreamInput{DeliveryStreamName: &stream, ExtendedS3DestinationConfiguration: &to})
	a.ok(err)
	a.logTo(api, stage, streamARN(stream), format)
}

func streamARN(name string) string {
	return "arn:aws:firehose:" + moto.Region + ":" + moto.Account + ":deliverystream/" + name
}

// written loads the file that init wrote.
func written(t *testing.T, file string) *config.Pipeline {
	t.Helper()
	p, err := config.Load(file, func(string) string { return "" })
	if err != nil {
		t.Fatalf("load the file that init wrote: %v", err)
	}
	return p
}

func TestInitInAccount(t *testing.T) {
	a, _ := newAccount(t)
	shop, pets := a.api("Shop API", "prod", "dev"), a.api("pets", "v1")
	bare := a.api("bare")
	web, err := a.c.APIGatewayV2.CreateApi(t.Context(), &apigatewayv2.CreateApiInput{Name: aws.String("web"), ProtocolType: v2.ProtocolTypeHttp})
	a.ok(err)
	tests := []struct {
		name string
		args []string
		code int
		text []string // on stderr
		want string   // name, bucket and stages of the file; "" for none
	}{
		{"a stage by its id", []string{"--stage", shop + "/prod"}, exitOK, []string{"stagelog plan", "stagelog deploy", "in no usage plan"},
			"shop-api shop-api-api-logs-123456789012 " + shop + "/prod"},
		{"stages by name, one twice", []string{"--stage", "pets/v1", "--stage", "Shop API/dev", "--stage", pets + "/v1", "--name", "My_Pets"}, exitOK, nil,
			"My_Pets my-pets-api-logs-123456789012 " + pets + "/v1 " + shop + "/dev"},
		{"a long name", []string{"--stage", "pets/v1", "--name", strings.Repeat("n", 45)}, exitOK, nil,
			strings.Repeat("n", 45) + " " + strings.Repeat("n", 41) + "-api-logs-123456789012 " + pets + "/v1"},
		{"an invalid name", []string{"--stage", "pets/v1", "--name", "no name"}, exitConfig, []string{"letters, digits"}, ""},
		{"a reader", []string{"--stage", "pets/v1", "--bucket", "my-own", "--reader", "111122223333"}, exitOK, nil, "pets my-own " + pets + "/v1"},
		{"an invalid reader", []string{"--stage", "pets/v1", "--reader", "1111"}, exitConfig, []string{"12 digits"}, ""},
		{"no choice", []string{"--aws", "--yes"}, exitUsage, []string{"3 stages", "--stage " + pets + "/v1", shop + "/prod (Shop API)"}, ""},
		{"unknown stage", []string{"--stage", shop + "/prodd"}, exitFailed, []string{"did you mean " + shop + "/prod?"}, ""},
		{"unknown API", []string{"--stage", "petz/v1"}, exitFailed, []string{"did you mean " + pets + " (pets)?"}, ""},
		{"never deployed", []string{"--stage", "bare/prod"}, exitFailed, []string{"never deployed", "create-deployment --rest-api-id " + bare}, ""},
		{"an HTTP API", []string{"--stage", *web.ApiId + "/prod"}, exitFailed, []string{"is an HTTP API", "CloudWatch Logs"}, ""},
		{"nothing to adopt", []string{"--adopt"}, exitFailed, []string{"no stage logs to a delivery stream"}, ""},
		{"adopt under another name", []string{"--adopt", "--name", "mine"}, exitUsage, []string{"--adopt"}, ""},
		{"local and AWS", []string{"--local", "--aws"}, exitUsage, []string{"--local"}, ""},
		{"local", []string{"--local"}, exitOK, []string{"stagelog up"}, "acme acme-api-logs"},
		{"stdin is not a terminal", nil, exitOK, []string{"stagelog up"}, "acme acme-api-logs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "stagelog.yaml")
			_, stderr, code := call(t, nil, "", append([]string{"init", "--file", file}, tt.args...)...)
			if code != tt.code {
				t.Fatalf("init %v ended with %d, want %d: %s", tt.args, code, tt.code, stderr)
			}
			for _, want := range tt.text {
				if !strings.Contains(stderr, want) {
					t.Errorf("init %v does not print %q: %s", tt.args, want, stderr)
				}
			}
			if _, err := os.Stat(file); tt.want == "" {
				if err == nil {
					t.Errorf("init %v wrote a file", tt.args)
				}
				return
			}
			p := written(t, file)
			got := p.Name + " " + p.Bucket
			for _, st := range p.Stages {
				got += " " + st.String()
			}
			if got != tt.want {
				t.Errorf("init %v wrote %q, want %q", tt.args, got, tt.want)
			}
			if wantAWS := len(p.Stages) > 0; wantAWS && (p.Account != moto.Account || p.Region != moto.Region) || p.AccountGiven != wantAWS {
				t.Errorf("init %v wrote account %s, Region %s", tt.args, p.Account, p.Region)
			}
		})
	}
}

func TestInitJSON(t *testing.T) {
	a, s := newAccount(t)
	api := a.api("shop", "prod")
	a.logTo(api, "prod", "arn:aws:logs:"+moto.Region+":"+moto.Account+":log-group:shop", "$context.requestId")
	file := filepath.Join(t.TempDir(), "my pipeline.yaml")
	stdout, stderr, code := call(t, nil, "", "init", "--aws", "--json", "--file", file, "--endpoint-url", s.URL)
	var got initResult
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != exitOK {
		t.Fatalf("init --json ended with %d, %v: %s%s", code, err, stdout, stderr)
	}
	if got.File != file || got.Name != "shop" || got.Account != moto.Account || len(got.Stages) != 1 || got.Adopted != "" {
		t.Errorf("init --json = %+v", got)
	}
	same := " --file '" + file + "' --endpoint-url " + s.URL
	if want := "stagelog deploy" + same + " --replace-logging"; len(got.Next) != 3 || got.Next[1] != want || got.Next[2] != "stagelog doctor"+same {
		t.Errorf("next is %q, want %q and a doctor", got.Next, want)
	}
	if notes := strings.Join(got.Notes, "\n"); !strings.Contains(notes, "log-group:shop, which") || !strings.Contains(notes, "no usage plan") {
		t.Errorf("notes %q", notes)
	}
}

// byHand returns a delivery stream's destination as the console creates it.
func byHand() types.ExtendedS3DestinationConfiguration {
	return types.ExtendedS3DestinationConfiguration{Prefix: aws.String("apiable/aws/logs/"), ErrorOutputPrefix: aws.String("apiable/aws/errors/"),
		CompressionFormat: types.CompressionFormatUncompressed, BufferingHints: &types.BufferingHints{IntervalInSeconds: aws.Int32(300), SizeInMBs: aws.Int32(5)}}
}

func TestInitAdoptDescribesStream(t *testing.T) {
	own := `{"id": "$context.requestId", "key_id": "$context.identity.apiKeyId", "api_id": "$context.apiId", "stage": "$context.stage", "it's": "<$context.status>"}`
	deliver := config.Deliver{Interval: 300 * time.Second, Size: 5 << 20, Compression: config.Uncompressed, Prefix: "apiable/aws/logs/", ErrorPrefix: "apiable/aws/errors/"}
	dynamic := byHand()
	dynamic.Prefix = aws.String("c=!{partitionKeyFromQuery:customer}/")
	tests := []struct {
		name, format string
		to           types.ExtendedS3DestinationConfiguration
		wantFormat   string // "custom" for an unchanged format
		wantNames    config.OutputNames
		wantPrefix   string
		text         []string
	}{
		{"a custom format", own, byHand(), "custom", config.Bare().Names, deliver.Prefix, []string{"has no function"}},
		{"curly quotes", accesslog.Seed(), byHand(), "classic", config.Bare().Names, deliver.Prefix, []string{"corrected format", "curly quotes", "API key's value"}},
		{"Apiable's", accesslog.Apiable, byHand(), "apiable", config.OutputNames{UsagePlan: "plan_id", Customer: "subscription_id"}, deliver.Prefix, nil},
		{"no JSON", `$context.identity.sourceIp - $context.requestId`, byHand(), "usage", config.Bare().Names, deliver.Prefix, []string{"cannot be enriched"}},
		{"partition keys", accesslog.Usage, dynamic, "usage", config.Bare().Names, "logs/", []string{"deliver.prefix is replaced by the default"}},
	}
	a, s := newAccount(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.Reset()
			api := a.api("shop", "prod", "dev")
			a.stream(api, "prod", "amazon-apigateway-theirs", tt.format, tt.to)
			a.logTo(api, "dev", streamARN("amazon-apigateway-theirs"), tt.format)
			file := filepath.Join(t.TempDir(), "stagelog.yaml")
			stdout, stderr, code := call(t, nil, "", "init", "--adopt", "--json", "--file", file)
			if code != exitOK {
				t.Fatalf("init --adopt ended with %d: %s", code, stderr)
			}
			p := written(t, file)
			if p.Name != "theirs" || p.Bucket != "their-logs" || len(p.Stages) != 2 || p.FormatName != tt.wantFormat || p.Names != tt.wantNames {
				t.Errorf("the file has name %s, bucket %s, stages %v, format %s, names %v; want theirs, their-logs, both, %s, %v", p.Name, p.Bucket, p.Stages, p.FormatName, p.Names, tt.wantFormat, tt.wantNames)
			}
			if tt.wantFormat == "custom" && p.Format != tt.format {
				t.Errorf("the format is %s, want it unchanged: %s", p.Format, tt.format)
			}
			want := deliver
			if want.Prefix = tt.wantPrefix; p.Deliver != want {
				t.Errorf("deliver: is %+v, want %+v", p.Deliver, want)
			}
			for _, want := range append(tt.text, "stagelog deploy --file "+file+" --adopt") {
				if !strings.Contains(stdout, want) {
					t.Errorf("init --adopt does not print %q: %s", want, stdout)
				}
			}
		})
	}
}

func TestInitAdoptFormatConversion(t *testing.T) {
	a, s := newAccount(t)
	converting := func(to *types.Serializer) types.ExtendedS3DestinationConfiguration {
		stream := byHand()
		stream.BufferingHints.SizeInMBs = aws.Int32(128)
		stream.DataFormatConversionConfiguration = &types.DataFormatConversionConfiguration{Enabled: aws.Bool(true), OutputFormatConfiguration: &types.OutputFormatConfiguration{Serializer: to}}
		return stream
	}
	for _, tt := range []struct {
		name string
		to   *types.Serializer
		code int
		text string
		want string // compression in the file; "" for no file
	}{
		{"Parquet", &types.Serializer{ParquetSerDe: &types.ParquetSerDe{Compression: types.ParquetCompressionGzip}}, exitOK, "deploy --file", config.GZIP},
		{"ORC", &types.Serializer{OrcSerDe: &types.OrcSerDe{}}, exitFailed, "converts its records to ORC, and a pipeline delivers JSON or Parquet; leave out --adopt", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.Reset()
			a.stream(a.api("shop", "prod"), "prod", "amazon-apigateway-theirs", accesslog.Usage, converting(tt.to))
			file := filepath.Join(t.TempDir(), "stagelog.yaml")
			_, stderr, code := call(t, nil, "", "init", "--adopt", "--file", file)
			if code != tt.code || !strings.Contains(stderr, tt.text) {
				t.Fatalf("init --adopt ended with %d, want %d and %q: %s", code, tt.code, tt.text, stderr)
			}
			if tt.want == "" {
				if _, err := os.Stat(file); !os.IsNotExist(err) {
					t.Errorf("init --adopt failed but wrote %s (%v)", file, err)
				}
				if _, stderr, code := call(t, nil, "", "init", "--file", file, "--aws", "--yes"); code != exitOK || strings.Contains(stderr, "--adopt") {
					t.Errorf("init without --adopt ended with %d, want a new pipeline: %s", code, stderr)
				}
				return
			}
			if d := written(t, file).Deliver; !d.Parquet || d.Compression != tt.want || d.Size != 128<<20 {
				t.Errorf("deliver: is %+v, want Parquet, %s, 128 MiB", d, tt.want)
			}
		})
	}
}

func TestInitAdoptKeepsReaders(t *testing.T) {
	tests := []struct {
		name, prefix, errorPrefix string
		args                      []string
		want                      []string
		wantPrefix, wantErrors    string
		text                      string
	}{
		{"kept", "logs/", "errors/", nil, []string{"111122223333"}, "logs/", "errors/", "lists them under readers:"},
		{"errors below the readers' prefix", "logs/", "logs/errors/", nil, []string{"111122223333"}, "logs/", config.DefaultErrorPrefix, "deliver.error_prefix is replaced by the default"},
		{"no prefixes", "", "", nil, nil, "", "", "is not changed"},
		{"no prefixes, and a reader", "", "", []string{"--reader", "444455556666"}, []string{"444455556666"}, "logs/", config.DefaultErrorPrefix, "deliver.error_prefix is replaced by the default"},
	}
	a, s := newAccount(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.Reset()
			to := byHand()
			to.Prefix, to.ErrorOutputPrefix = &tt.prefix, &tt.errorPrefix
			a.stream(a.api("shop", "prod"), "prod", "amazon-apigateway-theirs", accesslog.Usage, to)
			_, err := a.c.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("their-logs"),
				CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: moto.Region}})
			a.ok(err)
			_, err = a.c.S3.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("their-logs"), Policy: aws.String(
				`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::their-logs/*"}]}`)})
			a.ok(err)
			file := filepath.Join(t.TempDir(), "stagelog.yaml")
			_, stderr, code := call(t, nil, "", append([]string{"init", "--adopt", "--file", file}, tt.args...)...)
			if code != exitOK || !strings.Contains(stderr, tt.text) {
				t.Fatalf("init --adopt ended with %d, want %q: %s", code, tt.text, stderr)
			}
			if p := written(t, file); !slices.Equal(p.Readers, tt.want) || p.Deliver.Prefix != tt.wantPrefix || p.Deliver.ErrorPrefix != tt.wantErrors {
				t.Errorf("the file has readers %v and prefixes %q, %q; want %v, %q, %q", p.Readers, p.Deliver.Prefix, p.Deliver.ErrorPrefix, tt.want, tt.wantPrefix, tt.wantErrors)
			}
		})
	}
}

func TestInitAdoptRequiresOneStream(t *testing.T) {
	a, _ := newAccount(t)
	api := a.api("shop", "prod", "dev", "test")
	a.stream(api, "prod", "amazon-apigateway-one", accesslog.Usage, byHand())
	a.stream(api, "dev", "amazon-apigateway-two", accesslog.Usage, byHand())
	file := filepath.Join(t.TempDir(), "stagelog.yaml")
	for want, stages := range map[string]string{
		"logs to amazon-apigateway-one, and " + api + "/dev to amazon-apigateway-two": "shop/prod,shop/dev",
		"shop/test does not log to a delivery stream":                                 "shop/test",
	} {
		want = strings.Replace(want, "shop/test", api+"/test", 1)
		if _, stderr, code := call(t, nil, "", "init", "--adopt", "--file", file, "--stage", stages); code != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("init --adopt --stage %s: code %d, %s; want %q", stages, code, stderr, want)
		}
	}
	if _, stderr, code := call(t, nil, "", "init", "--adopt", "--file", file); code != exitUsage || !strings.Contains(stderr, "--stage") {
		t.Errorf("init --adopt with two streams: code %d, %s; want %d", code, stderr, exitUsage)
	}
	if _, stderr, code := call(t, nil, "", "init", "--file", file, "--stage", "shop/dev"); code != exitOK || !strings.Contains(stderr, "init --adopt --force") || !strings.Contains(stderr, "deploy --file "+file+" --replace-logging") {
		t.Errorf("init of a stage with a stream: code %d, %s", code, stderr)
	}
}

func TestInitPrompts(t *testing.T) {
	a, _ := newAccount(t)
	api := a.api("shop", "prod", "dev")
	a.stream(api, "prod", "amazon-apigateway-theirs", accesslog.Usage, byHand())
	tests := []struct{ name, answers, want, text string }{
		{"a stage", "1\n", "shop " + api + "/dev", ""},
		{"both", "2, 1,2\n", "shop " + api + "/prod " + api + "/dev", ""},
		{"adopt its stream", "2\nwhat?\nyes\n", "theirs " + api + "/prod", "Adopt it?"},
		{"new stream", "2\nno\n", "shop " + api + "/prod", "Adopt it?"},
		{"an invalid number", "3\n", "", `"3" is not a number from 1 to 2`},
		{"no answer", "", "", "nothing was selected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			e := &env{getenv: func(string) string { return "" }, stdout: &out, stderr: &out, file: filepath.Join(t.TempDir(), "stagelog.yaml")}
			f := &initFlags{}
			session, err := f.aws.load(t.Context(), e, nil)
			a.ok(err)
			err = initAWS(t.Context(), e, f, session, &prompter{in: bufio.NewReader(strings.NewReader(tt.answers)), out: &out})
			got := ""
			if err != nil {
				out.WriteString(err.Error())
			} else {
				p := written(t, e.file)
				got = p.Name
				for _, st := range p.Stages {
					got += " " + st.String()
				}
			}
			if got != tt.want || !strings.Contains(out.String(), tt.text) {
				t.Errorf("answers %q: wrote %q, want %q, and %q in\n%s", tt.answers, got, tt.want, tt.text, out.String())
			}
		})
	}
}

func TestInitOffersAccount(t *testing.T) {
	s := moto.Start(t)
	for answer, want := range map[string]bool{"yes\n": true, "no\n": false, "": false} {
		inAccount(t, s.URL)
		var out strings.Builder
		e := &env{getenv: func(string) string { return "" }, stderr: &out}
		session, err := (&initFlags{}).offer(t.Context(), e, &prompter{in: bufio.NewReader(strings.NewReader(answer)), out: &out}, time.Minute)
		if err != nil || (session != nil) != want || !strings.Contains(out.String(), "account "+moto.Account) {
			t.Errorf("answer %q: session %v, %v, %q; want one: %v", answer, session != nil, err, out.String(), want)
		}
	}
	inAccount(t, "")
	e := &env{getenv: func(string) string { return "" }, stderr: os.Stderr}
	if session, err := (&initFlags{}).offer(t.Context(), e, &prompter{}, offerTime); session != nil || err != nil {
		t.Errorf("without credentials offer = %v, %v; want nil and no question", session, err)
	}
}

func TestInitMissingPrerequisites(t *testing.T) {
	inAccount(t, "")
	file := filepath.Join(t.TempDir(), "stagelog.yaml")
	for _, want := range []string{"no AWS credentials", "--profile", "aws configure sso", "stagelog up"} {
		if _, stderr, code := call(t, nil, "", "init", "--aws", "--file", file); code != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("init --aws without credentials: code %d, %s; want %q", code, stderr, want)
		}
	}
	t.Setenv("AWS_REGION", "")
	if _, stderr, code := call(t, nil, "", "init", "--aws", "--file", file); code != exitFailed || !strings.Contains(stderr, "--region") {
		t.Errorf("init --aws without a Region: code %d, %s", code, stderr)
	}
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := call(t, nil, "", "init", "--aws", "--file", file)
	if data, err := os.ReadFile(file); code != exitFailed || !strings.Contains(stderr, "--force") || string(data) != "mine" {
		t.Errorf("init --aws over a file: code %d, %s; the file is %q, %v", code, stderr, data, err)
	}
}

func TestInitWithoutStages(t *testing.T) {
	a, _ := newAccount(t)
	file := filepath.Join(t.TempDir(), "stagelog.yaml")
	if _, stderr, code := call(t, nil, "", "init", "--aws", "--file", file); code != exitFailed || !strings.Contains(stderr, "no REST API in "+moto.Region) || !strings.Contains(stderr, "--local") {
		t.Errorf("init in an empty account: code %d, %s", code, stderr)
	}
	a.api("bare")
	a.api("other")
	if _, stderr, code := call(t, nil, "", "init", "--aws", "--file", file); code != exitFailed || !strings.Contains(stderr, "never deployed") || !strings.Contains(stderr, "1 more, like") {
		t.Errorf("init without a deployed API: code %d, %s", code, stderr)
	}
}
