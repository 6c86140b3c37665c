package export

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	gatewaytypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/provision/policy"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/testenv"
)

func TestCloudFormationLinter(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	var files []string // checked in one run, because cfn-lint takes seconds to start
	dir := t.TempDir()
	for name, yaml := range everyPipeline() {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".yaml")
		if err := os.WriteFile(file, []byte(exported(t, CloudFormation, load(t, yaml))), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if out, err := tool(t, "", "cfn-lint", files...); err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
}

// stack is a template with all references resolved.
type stack struct {
	testing.TB
	parts map[string]any // resources and outputs by name
}

// newStack resolves a template as CloudFormation does.
func newStack(t *testing.T, text string, s *desired.Spec) *stack {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{
		"AWS::AccountId": s.Account, "AWS::Partition": s.Partition, "AWS::Region": s.Region,
		"Bucket": s.Bucket(), "Bucket.Arn": s.BucketARN(), "Function.Arn": s.FunctionARN(), "Stream.Arn": s.StreamARN(),
		"FunctionRole.Arn": s.RoleARN(s.FunctionRole()), "FirehoseRole.Arn": s.RoleARN(s.FirehoseRole()),
		"FirehoseLogGroup": s.StreamLogGroup(), "FirehoseLogStream": desired.DeliveryLogStream,
		"Database": s.Pipeline.Database(), "Table": config.LinesTable,
		"CodeBucket": codeBucket, "CodeKey": codeKey, "HashSalt": hashSalt,
	}
	resolve(t, &root, values)
	var out struct {
		Resources map[string]any `yaml:"Resources"`
		Outputs   map[string]any `yaml:"Outputs"`
	}
	if err := root.Decode(&out); err != nil {
		t.Fatal(err)
	}
	maps.Copy(out.Resources, out.Outputs)
	return &stack{t, out.Resources}
}

var substitution = regexp.MustCompile(`\$\{[^}]*\}`)

func resolve(t testing.TB, n *yaml.Node, values map[string]string) {
	t.Helper()
	look := func(name string) string {
		v, ok := values[name]
		if !ok {
			t.Errorf("the template refers to unknown %s", name)
		}
		return v
	}
	switch n.Tag {
	case "!Ref", "!GetAtt":
		n.Value = look(n.Value)
	case "!Sub":
		n.Value = substitution.ReplaceAllStringFunc(n.Value, func(m string) string {
			if literal, ok := strings.CutPrefix(m, "${!"); ok {
				return "${" + literal
			}
			return look(m[2 : len(m)-1])
		})
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		n.Tag, n.Style = "!!str", yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		resolve(t, c, values)
	}
}

// properties fills the input of an AWS call with properties of a resource. A property that the
// call does not have fails the test.
func (s *stack) properties(input any, path ...string) {
	s.Helper()
	text, err := json.Marshal(s.at(path...))
	if err != nil {
		s.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(input); err != nil {
		s.Fatalf("%v: %v\n%s", path, err, text)
	}
}

func (s *stack) at(path ...string) any {
	s.Helper()
	v := any(s.parts)
	for _, name := range path {
		m, _ := v.(map[string]any)
		if v = m[name]; v == nil {
			s.Fatalf("the template lacks %v", path)
		}
	}
	return v
}

const (
	codeBucket = "code-bucket"
	codeKey    = "enricher.zip"
	hashSalt   = "0123456789abcdef0123456789abcdef"
)

// motoAccount is a moto account with a template applied: by moto's CloudFormation as far as it
// supports it, and otherwise by the calls that CloudFormation would make.
type motoAccount struct {
	testing.TB
	*provision.Clients
	m *moto.Server
	s *desired.Spec
}

func (a *motoAccount) ok(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// createStack calls CloudFormation over HTTP, because its SDK is not a dependency. moto ignores
// resources of unknown types, but not outputs that refer to them.
func (a *motoAccount) createStack(template string) {
	a.Helper()
	template, _, _ = strings.Cut(template, "\nOutputs:\n")
	form := url.Values{"Action": {"CreateStack"}, "Version": {"2010-05-15"}, "StackName": {"stagelog-acme"},
		"Capabilities.member.1": {"CAPABILITY_NAMED_IAM"}, "TemplateBody": {template}}
	parameters := map[string]string{"CodeBucket": codeBucket, "CodeKey": codeKey}
	if strings.Contains(template, "HashSalt") {
		parameters["HashSalt"] = hashSalt
	}
	n := 0
	for key, v := range parameters {
		n++
		form.Set(fmt.Sprintf("Parameters.member.%d.ParameterKey", n), key)
		form.Set(fmt.Sprintf("Parameters.member.%d.ParameterValue", n), v)
	}
	req, err := http.NewRequestWithContext(a.Context(), http.MethodPost, a.m.URL, strings.NewReader(form.Encode()))
	a.ok(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAMOTO/20261123/"+moto.Region+"/cloudformation/aws4_request, SignedHeaders=host, Signature=00")
	res, err := http.DefaultClient.Do(req)
	a.ok(err)
	defer func() { a.ok(res.Body.Close()) }()
	if res.StatusCode != http.StatusOK {
		body, err := io.ReadAll(res.Body)
		a.ok(err)
		a.Fatalf("CreateStack: %s\n%s", res.Status, body)
	}
}

// createGivenRoles creates the roles that the pipeline does not create.
func (a *motoAccount) createGivenRoles() {
	a.Helper()
	for _, given := range []string{a.s.Pipeline.AWS.FunctionRole, a.s.Pipeline.AWS.FirehoseRole} {
		_, full, ok := strings.Cut(given, ":role")
		if !ok {
			continue
		}
		last := strings.LastIndexByte(full, '/') + 1
		_, err := a.IAM.CreateRole(a.Context(), &iam.CreateRoleInput{RoleName: aws.String(full[last:]), Path: aws.String(full[:last]), AssumeRolePolicyDocument: aws.String(policy.FunctionTrust().JSON())})
		a.ok(err)
	}
}

// createRest creates what moto's CloudFormation ignores, with the values of the template.
func (a *motoAccount) createRest(st *stack) {
	a.Helper()
	a.configureBucket(st)
	a.tagFunction(st)
	if a.s.Pipeline.AWS.FunctionRole == "" {
		a.fixRolePolicy(a.s.FunctionRole())
	}
	if a.s.Pipeline.AWS.FirehoseRole == "" {
		a.fixRolePolicy(a.s.FirehoseRole())
	}
	ctx := a.Context()
	var logStream cloudwatchlogs.CreateLogStreamInput
	st.properties(&logStream, "FirehoseLogStream", "Properties")
	_, err := a.Logs.CreateLogStream(ctx, &logStream)
	a.ok(err)
	if a.s.Pipeline.Deliver.Parquet {
		var database glue.CreateDatabaseInput
		st.properties(&database, "Database", "Properties")
		_, err = a.Glue.CreateDatabase(ctx, &database)
		a.ok(err)
		var table glue.CreateTableInput
		st.properties(&table, "Table", "Properties")
		_, err = a.Glue.CreateTable(ctx, &table)
		a.ok(err)
	}
	var stream firehose.CreateDeliveryStreamInput
	st.properties(&stream, "Stream", "Properties")
	_, err = a.Firehose.CreateDeliveryStream(ctx, &stream)
	a.ok(err)
	a.createMonitoring(st)
	var destination, format, patch string
	st.properties(&destination, "AccessLogDestinationArn", "Value")
	st.properties(&format, "AccessLogFormat", "Value")
	if wanted, err := desired.New(a.s); err != nil || destination != a.s.StreamARN() || format != wanted.AccessLogFormat {
		a.Errorf("outputs: destination %s and format %q (%v)", destination, format, err)
	}
	st.properties(&patch, "AccessLogPatch", "Value")
	update := apigateway.UpdateStageInput{RestApiId: &a.s.Pipeline.Stages[0].API, StageName: &a.s.Pipeline.Stages[0].Stage}
	a.ok(json.Unmarshal([]byte(patch), &update.PatchOperations))
	_, err = a.APIGateway.UpdateStage(ctx, &update)
	a.ok(err)
}

func (a *motoAccount) createMonitoring(st *stack) {
	a.Helper()
	for name, part := range st.parts {
		of, _ := part.(map[string]any)
		switch of["Type"] {
		case "AWS::CloudWatch::Alarm":
			var alarm cloudwatch.PutMetricAlarmInput
			st.properties(&alarm, name, "Properties")
			_, err := a.CloudWatch.PutMetricAlarm(a.Context(), &alarm)
			a.ok(err)
		case "AWS::CloudWatch::Dashboard":
			var board cloudwatch.PutDashboardInput
			st.properties(&board, name, "Properties")
			_, err := a.CloudWatch.PutDashboard(a.Context(), &board)
			a.ok(err)
		}
	}
}

// tagFunction adds the function's tags, which moto's CloudFormation ignores. It also checks the
// architecture in the template, which moto ignores as well and cannot change later.
func (a *motoAccount) tagFunction(st *stack) {
	a.Helper()
	var tags []struct{ Key, Value string }
	st.properties(&tags, "Function", "Properties", "Tags")
	named := map[string]string{}
	for _, tag := range tags {
		named[tag.Key] = tag.Value
	}
	_, err := a.Lambda.TagResource(a.Context(), &lambda.TagResourceInput{Resource: aws.String(a.s.FunctionARN()), Tags: named})
	a.ok(err)
	var architectures []string
	st.properties(&architectures, "Function", "Properties", "Architectures")
	if !slices.Equal(architectures, []string{a.s.Architecture}) {
		a.Errorf("the function's architectures are %v, want %s", architectures, a.s.Architecture)
	}
}

// fixRolePolicy rewrites the inline policy of a role as JSON, because moto's CloudFormation
// stores it in Python's syntax.
func (a *motoAccount) fixRolePolicy(role string) {
	a.Helper()
	now, err := a.IAM.GetRolePolicy(a.Context(), &iam.GetRolePolicyInput{RoleName: &role, PolicyName: aws.String("stagelog")})
	a.ok(err)
	text, err := url.PathUnescape(*now.PolicyDocument)
	a.ok(err)
	_, err = a.IAM.PutRolePolicy(a.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: aws.String("stagelog"),
		PolicyDocument: aws.String(strings.ReplaceAll(text, "'", `"`))})
	a.ok(err)
}

func (a *motoAccount) configureBucket(st *stack) {
	a.Helper()
	ctx, bucket := a.Context(), aws.String(a.s.Bucket())
	var access types.PublicAccessBlockConfiguration
	st.properties(&access, "Bucket", "Properties", "PublicAccessBlockConfiguration")
	_, err := a.S3.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: bucket, PublicAccessBlockConfiguration: &access})
	a.ok(err)
	var ownership types.OwnershipControls
	st.properties(&ownership, "Bucket", "Properties", "OwnershipControls")
	_, err = a.S3.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{Bucket: bucket, OwnershipControls: &ownership})
	a.ok(err)
	var rules []struct { // CloudFormation uses different names
		Id, Status, Prefix             string
		AbortIncompleteMultipartUpload *types.AbortIncompleteMultipartUpload
		ExpirationInDays               *int32
	}
	st.properties(&rules, "Bucket", "Properties", "LifecycleConfiguration", "Rules")
	lifecycle := &types.BucketLifecycleConfiguration{}
	for _, r := range rules {
		rule := types.LifecycleRule{ID: &r.Id, Status: types.ExpirationStatus(r.Status), Filter: &types.LifecycleRuleFilter{Prefix: &r.Prefix},
			AbortIncompleteMultipartUpload: r.AbortIncompleteMultipartUpload}
		if r.ExpirationInDays != nil {
			rule.Expiration = &types.LifecycleExpiration{Days: r.ExpirationInDays}
		}
		lifecycle.Rules = append(lifecycle.Rules, rule)
	}
	_, err = a.S3.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: bucket, LifecycleConfiguration: lifecycle})
	a.ok(err)

	// The endpoint has no TLS, so deploy does not require it here.
	text, err := json.Marshal(st.at("BucketPolicy", "Properties", "PolicyDocument"))
	a.ok(err)
	doc, err := policy.Parse(string(text))
	a.ok(err)
	if doc.Statements[0].Sid != "StagelogDenyInsecureTransport" {
		a.Errorf("the bucket policy does not start with the statement about TLS: %s", text)
	}
	if doc.Statements = doc.Statements[1:]; len(doc.Statements) > 0 {
		_, err = a.S3.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(doc.JSON())})
		a.ok(err)
	}
}

// deployedAPI creates a REST API with a stage.
func (a *motoAccount) deployedAPI(stage string) record.StageRef {
	a.Helper()
	ctx := a.Context()
	api, err := a.APIGateway.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("shop")})
	a.ok(err)
	resources, err := a.APIGateway.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: api.Id})
	a.ok(err)
	root, get := resources.Items[0].Id, aws.String("GET")
	_, err = a.APIGateway.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: api.Id, ResourceId: root, HttpMethod: get, AuthorizationType: aws.String("NONE")})
	a.ok(err)
	_, err = a.APIGateway.PutIntegration(ctx, &apigateway.PutIntegrationInput{RestApiId: api.Id, ResourceId: root, HttpMethod: get, Type: gatewaytypes.IntegrationTypeMock})
	a.ok(err)
	_, err = a.APIGateway.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: &stage})
	a.ok(err)
	return record.StageRef{API: *api.Id, Stage: stage}
}

// TestPlanAfterStackIsEmpty applies templates and plans: CloudFormation must create exactly what
// deploy creates.
func TestPlanAfterStackIsEmpty(t *testing.T) {
	m := moto.Start(t)
	for name, yaml := range pipelines {
		t.Run(name, func(t *testing.T) {
			m.Reset()
			s := load(t, yaml)
			a := &motoAccount{TB: t, Clients: provision.NewClients(m.Config(nil)), m: m, s: s}
			_, err := a.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(codeBucket),
				CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: moto.Region}})
			a.ok(err)
			_, err = a.S3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(codeBucket), Key: aws.String(codeKey), Body: strings.NewReader(string(s.Zip))})
			a.ok(err)
			s.Pipeline.Stages = []record.StageRef{a.deployedAPI("prod")}

			a.createGivenRoles()
			template := exported(t, CloudFormation, s)
			a.createStack(template)
			a.createRest(newStack(t, template, s))

			plan, err := provision.MakePlan(t.Context(), s, a.Clients, nil)
			a.ok(err)
			steps := map[string]int{"all": 9 + 7 + 1, "Parquet": 11 + 8, "hashed keys": 9}[name]
			if steps == 0 {
				steps = 9 + 7
			}
			if len(plan.Steps) != steps {
				t.Errorf("the plan has %d steps, want %d", len(plan.Steps), steps)
			}
			for _, step := range plan.Steps {
				changes := slices.DeleteFunc(step.Changes, func(f provision.Field) bool { return f.Name == "architecture" || f.Name == "KMS key" }) // moto ignores both
				if step.Action != provision.NoOp && (step.Action != provision.Change || len(changes) > 0) {
					t.Errorf("%s %s: %s %s %+v", step.Kind, step.Name, step.Action, step.Reason, changes)
				}
			}
		})
	}
}
