package doctor_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lakeformation"
	lftypes "github.com/aws/aws-sdk-go-v2/service/lakeformation/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/doctor"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

// deployed deploys a pipeline and returns a target for it.
func deployed(t *testing.T, s *moto.Server, more string) (*provision.Clients, doctor.Target) {
	t.Helper()
	b := &built{c: provision.NewClients(s.Config(nil))}
	b.buildAPI(t.Context(), t)
	p, err := config.Parse("stagelog.yaml", []byte(`name: acme
bucket: `+testBucket+`
region: `+moto.Region+`
readers: ["`+testReader+`"]
stages: [{api: `+b.ref.API+`, stage: prod}]
`+more), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	spec := &desired.Spec{Pipeline: p, Partition: "aws", Region: moto.Region, Account: moto.Account, Zip: emptyZip(t), Architecture: "arm64"}
	plan := must(provision.MakePlan(t.Context(), spec, b.c, nil))(t)
	if err := plan.Execute(t.Context(), nil, func(provision.Event) {}); err != nil {
		t.Fatal(err)
	}
	return b.c, doctor.Target{Region: moto.Region, Account: moto.Account, Partition: "aws", Spec: spec, Stages: p.Stages, Readers: p.Readers}
}

// emptyZip returns a zip for a function that is never called.
func emptyZip(t *testing.T) []byte {
	t.Helper()
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	must(z.Create("bootstrap"))(t)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return code.Bytes()
}

func TestDeployedPipelineHasNoFaults(t *testing.T) {
	s := moto.Start(t)
	_, target := deployed(t, s, "")
	f := examine(t, withCode(t, s, programFor(t, elf.EM_AARCH64)), target, doctor.Options{})
	for _, status := range []doctor.Status{doctor.Failed, doctor.Warning, doctor.Skipped} {
		for _, check := range f.withStatus(status) {
			t.Errorf("%s: %s", status, text(f[check]))
		}
	}
	f.expect(t, "function: format", doctor.OK)
}

func TestConversionTableIsExamined(t *testing.T) {
	s := moto.Start(t)
	c, target := deployed(t, s, "deliver: {format: parquet}\n")
	f := examine(t, c, target, doctor.Options{})
	f.expect(t, "stream: Lake Formation", doctor.Skipped, "do not see all grants")
	permit := func(principal string, p lftypes.Permission) {
		t.Helper()
		must(c.LakeFormation.GrantPermissions(t.Context(), &lakeformation.GrantPermissionsInput{Permissions: []lftypes.Permission{p}, Principal: &lftypes.DataLakePrincipal{DataLakePrincipalIdentifier: &principal},
			Resource: &lftypes.Resource{Table: &lftypes.TableResource{DatabaseName: aws.String("stagelog_acme"), Name: aws.String("lines")}}}))(t)
	}
	permit("arn:aws:iam::123456789012:role/analyst", lftypes.PermissionSelect)
	f = examine(t, c, target, doctor.Options{})
	f.expect(t, "stream: Lake Formation", doctor.Failed, "aws lakeformation grant-permissions --region eu-west-1 --principal DataLakePrincipalIdentifier="+target.Spec.RoleARN(target.Spec.FirehoseRole())+" --permissions DESCRIBE")
	permit(target.Spec.RoleARN(target.Spec.FirehoseRole()), lftypes.PermissionDescribe)
	f = examine(t, withCode(t, s, programFor(t, elf.EM_AARCH64)), target, doctor.Options{})
	f.expect(t, "stream: Lake Formation", doctor.OK, "lets the stream's role read")
	f.expect(t, "stream: format conversion", doctor.OK, "columns of stagelog_acme.lines")
	for _, status := range []doctor.Status{doctor.Failed, doctor.Warning, doctor.Skipped} {
		for _, check := range f.withStatus(status) {
			t.Errorf("%s: %s", status, text(f[check]))
		}
	}
	database, name := aws.String("stagelog_acme"), aws.String("lines")
	table := must(desired.New(target.Spec))(t).Table
	table.StorageDescriptor.Columns[0].Type = aws.String("int")
	must(c.Glue.UpdateTable(t.Context(), &glue.UpdateTableInput{DatabaseName: database, TableInput: table}))(t)
	f = examine(t, c, target, doctor.Options{})
	f.expect(t, "stream: format conversion", doctor.Warning, aws.ToString(table.StorageDescriptor.Columns[0].Name)+" int", "stagelog deploy")
	narrow := *target.Spec
	json := *narrow.Pipeline
	json.Deliver.Parquet, narrow.Pipeline = false, &json
	must(c.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String(narrow.FirehoseRole()), PolicyName: aws.String(desired.RolePolicy),
		PolicyDocument: aws.String(must(desired.New(&narrow))(t).FirehoseRole.Permissions.JSON())}))(t)
	f = examine(t, c, target, doctor.Options{})
	f.expect(t, "stream: role permissions", doctor.Failed, "glue:GetTable")
	must(c.Glue.DeleteTable(t.Context(), &glue.DeleteTableInput{DatabaseName: database, Name: name}))(t)
	f = examine(t, c, target, doctor.Options{})
	f.expect(t, "stream: format conversion", doctor.Failed, "the table stagelog_acme.lines does not exist", "stagelog deploy")
}

func TestConversionTableInAnotherRegion(t *testing.T) {
	s := moto.Start(t)
	b := good()
	b.to.CompressionFormat = types.CompressionFormatUncompressed
	b.to.DataFormatConversionConfiguration = &types.DataFormatConversionConfiguration{
		Enabled:                   aws.Bool(true),
		SchemaConfiguration:       &types.SchemaConfiguration{DatabaseName: aws.String("logs"), TableName: aws.String("theirs"), Region: aws.String("us-east-1")},
		OutputFormatConfiguration: &types.OutputFormatConfiguration{Serializer: &types.Serializer{ParquetSerDe: &types.ParquetSerDe{}}},
	}
	b.build(t, provision.NewClients(s.Config(nil)))
	there := func(o *glue.Options) { o.Region = "us-east-1" }
	must(b.c.Glue.CreateDatabase(t.Context(), &glue.CreateDatabaseInput{DatabaseInput: &gluetypes.DatabaseInput{Name: aws.String("logs")}}, there))(t)
	must(b.c.Glue.CreateTable(t.Context(), &glue.CreateTableInput{DatabaseName: aws.String("logs"), TableInput: &gluetypes.TableInput{Name: aws.String("theirs"),
		StorageDescriptor: &gluetypes.StorageDescriptor{Columns: []gluetypes.Column{{Name: aws.String("requestid"), Type: aws.String("string")}}}}}, there))(t)
	f := examine(t, b.c, b.target(), doctor.Options{})
	f.expect(t, "stream: format conversion", doctor.OK, "1 columns of logs.theirs")
}

func TestFunctionLogIsSearchedForErrors(t *testing.T) {
	s := moto.Start(t)
	c, target := deployed(t, s, "")
	group, stream := aws.String("/aws/lambda/stagelog-acme"), aws.String("one")
	must(c.Logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream}))(t)
	must(c.Logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: stream, LogEvents: []logtypes.InputLogEvent{
		{Timestamp: aws.Int64(nowMillis()), Message: aws.String("[ERROR] KeyError: 'secret'")},
		{Timestamp: aws.Int64(nowMillis()), Message: aws.String("Task timed out after 60.00 seconds")},
	}}))(t)
	f := examine(t, c, target, doctor.Options{})
	f.expect(t, "function: recent errors", doctor.Warning, "[ERROR] KeyError; Task timed out after 60.00 seconds", "logs tail /aws/lambda/stagelog-acme")
	if all := text(f); strings.Contains(all, "secret") {
		t.Errorf("doctor quotes record data from the function's log: %s", all)
	}
}

// noBuckets is an S3 that lists no buckets, as for an account that owns none.
type noBuckets struct{}

func (noBuckets) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet && req.URL.Path == "/" {
		return xmlResponse(http.StatusOK, "<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"), nil
	}
	return http.DefaultTransport.RoundTrip(req)
}

func TestBucketOfAnotherAccountMustAllowRole(t *testing.T) {
	s := moto.Start(t)
	b := good().build(t, provision.NewClients(s.Config(nil)))
	f := examine(t, provision.NewClients(s.Config(noBuckets{})), b.target(), doctor.Options{})
	if diff := cmp.Diff([]string{"bucket: policy", "stream: role permissions"}, f.withStatus(doctor.Failed)); diff != "" {
		t.Errorf("failed checks (-want +got):\n%s", diff)
	}
	f.expect(t, "bucket: policy", doctor.Failed, "belongs to another account", "put-bucket-policy", "arn:aws:iam::123456789012:role/acme-firehose")
	f.expect(t, "stream: role permissions", doctor.Failed, "s3:PutObjectAcl")
}

func TestStageLoggingToAnotherStreamFails(t *testing.T) {
	s := moto.Start(t)
	b := good()
	b.stream = "amazon-apigateway-other"
	b.build(t, provision.NewClients(s.Config(nil)))
	f := examine(t, b.c, b.own(), doctor.Options{})
	f.expect(t, "stage: destination", doctor.Failed, "stagelog.yaml's stream is amazon-apigateway-acme", "--replace-logging")
}

func TestAlarmStatesAreReported(t *testing.T) {
	s := moto.Start(t)
	c, target := deployed(t, s, "")
	set := func(name string, state cwtypes.StateValue) {
		t.Helper()
		must(c.CloudWatch.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("stagelog-acme-" + name), StateValue: state,
			StateReason: aws.String("3 datapoints were greater than the threshold")}))(t)
	}
	all := must(c.CloudWatch.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{}))(t)
	for _, a := range all.MetricAlarms {
		set(strings.TrimPrefix(*a.AlarmName, "stagelog-acme-"), cwtypes.StateValueOk)
	}
	f := examine(t, c, target, doctor.Options{})
	f.expect(t, "alarms: states", doctor.OK, "7 not raised")

	set("late-delivery", cwtypes.StateValueAlarm)
	set("function-errors", cwtypes.StateValueInsufficientData)
	must(c.CloudWatch.DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"stagelog-acme-throttled-records"}}))(t)
	f = examine(t, c, target, doctor.Options{})
	f.expect(t, "alarms: late-delivery", doctor.Failed, "is raised", "DeliveryToS3.DataFreshness: 3 datapoints", "not in the bucket yet", "describe-alarm-history")
	f.expect(t, "alarms: exist", doctor.Warning, "stagelog-acme-throttled-records", "stagelog deploy", "alarms: false")
	f.expect(t, "alarms: states", doctor.OK, "5 not raised, 1 of them without data yet")
}

// monitoringRefused answers every call to CloudWatch with an error code.
type monitoringRefused string

func (code monitoringRefused) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.Contains(r.Header.Get("Authorization"), "/monitoring/aws4_request") {
		return http.DefaultTransport.RoundTrip(r)
	}
	res := response(http.StatusBadRequest, "<ErrorResponse><Error><Code>"+string(code)+"</Code><Message>no</Message></Error></ErrorResponse>")
	res.Header = http.Header{"Content-Type": {"text/xml"}}
	return res, nil
}

func TestUnreadableAlarmsAreUnknown(t *testing.T) {
	s := moto.Start(t)
	_, target := deployed(t, s, "aws: {alarms: false}\n")
	f := examine(t, provision.NewClients(s.Config(monitoringRefused("AccessDenied"))), target, doctor.Options{})
	if len(f["alarms: states"]) != 0 {
		t.Errorf("a pipeline without alarms has the check %s", text(f["alarms: states"]))
	}
	target.Spec.Pipeline.AWS.Alarms = true
	f = examine(t, provision.NewClients(s.Config(monitoringRefused("AccessDenied"))), target, doctor.Options{})
	f.expect(t, "alarms: states", doctor.Skipped, "cloudwatch:DescribeAlarms")
	f = examine(t, provision.NewClients(s.Config(monitoringRefused("InvalidAction"))), target, doctor.Options{})
	f.expect(t, "alarms: states", doctor.Skipped, "no CloudWatch alarms")
}
