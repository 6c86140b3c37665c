package provision

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/record"
)

// eventual answers the first call of each operation after the creation of a resource as if the resource did not exist.
type eventual struct {
	mu       sync.Mutex
	pending  map[string]bool // calls that still have to be answered
	answered []string
}

// notFoundAfter lists the calls that may not find a new resource, by the call that creates it.
var notFoundAfter = map[string][]string{
	"S3 CreateBucket": {"S3 HeadBucket", "S3 GetBucketTagging", "S3 GetBucketPolicy", "S3 GetPublicAccessBlock", "S3 PutPublicAccessBlock",
		"S3 PutBucketOwnershipControls", "S3 PutBucketEncryption", "S3 PutBucketVersioning", "S3 PutBucketLifecycleConfiguration", "S3 PutBucketPolicy", "S3 PutObject", "S3 GetObject"},
	"CloudWatch Logs CreateLogGroup": {"CloudWatch Logs PutRetentionPolicy", "CloudWatch Logs CreateLogStream", "CloudWatch Logs DescribeLogGroups"},
	"IAM CreateRole":                 {"IAM PutRolePolicy", "IAM GetRole"},
	"Lambda CreateFunction":          {"Lambda GetFunction"},
	"Glue CreateDatabase":            {"Glue CreateTable", "Glue GetDatabase"},
	"Glue CreateTable":               {"Glue GetTable"},
	"Firehose CreateDeliveryStream":  {"Firehose DescribeDeliveryStream", "Firehose ListTagsForDeliveryStream"},
}

func (e *eventual) answer(call string) (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, later := range notFoundAfter[call] {
		e.pending[later] = true
	}
	if !e.pending[call] {
		return nil, nil
	}
	delete(e.pending, call)
	e.answered = append(e.answered, call)
	if call == "CloudWatch Logs DescribeLogGroups" {
		return &cloudwatchlogs.DescribeLogGroupsOutput{}, nil
	}
	service, _, _ := strings.Cut(strings.TrimPrefix(call, "CloudWatch "), " ")
	code := map[string]string{"S3": "NoSuchBucket", "IAM": "NoSuchEntity", "Glue": "EntityNotFoundException"}[service]
	if code == "" {
		code = "ResourceNotFoundException"
	}
	operation := call[strings.LastIndex(call, " ")+1:]
	return nil, &smithy.OperationError{ServiceID: strings.TrimSuffix(call, " "+operation), OperationName: operation, Err: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}}}, Err: &smithy.GenericAPIError{Code: code, Message: "it does not exist"},
	}}
}

// For a while after its creation, calls may not find a resource. Deploy waits for that, for every resource.
func TestDeployWithEventualReads(t *testing.T) {
	m := moto.Start(t)
	transport := moto.Outside(t)
	api := (&stageAccount{TB: t, Clients: NewClients(m.Config(nil))}).api("shop", "prod")
	synctest.Test(t, func(t *testing.T) {
		s := parquetSpec(t, "")
		s.Zip = someZip(t, "one")
		s.Pipeline.Stages = []record.StageRef{{API: api, Stage: "prod"}}
		s.Pipeline.Readers = []string{"111122223333"}
		e := &eventual{pending: map[string]bool{}}
		c := NewClients(moto.Tap(e.answer).On(m.Config(transport)))
		plan, err := MakePlan(t.Context(), s, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := plan.Execute(t.Context(), nil, func(Event) {}); err != nil {
			t.Fatalf("after these calls did not find their resource: %v\n%v", e.answered, err)
		}
		for _, call := range []string{"S3 HeadBucket", "S3 PutBucketPolicy", "S3 PutObject", "CloudWatch Logs PutRetentionPolicy", "CloudWatch Logs CreateLogStream", "IAM PutRolePolicy", "Lambda GetFunction", "Glue CreateTable", "Firehose DescribeDeliveryStream"} {
			if !slices.Contains(e.answered, call) {
				t.Errorf("deploy did not call %s after the creation, so nothing was tested; it called %v", call, e.answered)
			}
		}
		again, err := MakePlan(t.Context(), s, NewClients(m.Config(transport)), nil)
		if err != nil || again.ToDo() > 0 {
			t.Errorf("the next plan has %d changes (%v), want none: %+v", again.ToDo(), err, again.Steps)
		}
	})
}

const (
	glueDenied = "Access was denied when calling Glue. Please ensure that the role specified in the data format conversion configuration has the necessary permissions."
	lakeDenied = glueDenied + " Insufficient Lake Formation permission(s) on lines (Service: AWSGlue; Status Code: 400; Error Code: AccessDeniedException; Request ID: 1; Proxy: null)"
)

// refusing returns a stream for a pipeline with Parquet whose creation fails with the message for the first n calls.
func refusing(t *testing.T, n int, message string) (r *Stream, calls *int) {
	calls = new(int)
	transport := roundTrip(func(req *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(req.Header.Get("X-Amz-Target"), ".CreateDeliveryStream") {
			if *calls > n {
				return jsonAnswer(req, http.StatusOK, `{"DeliveryStreamDescription":{"DeliveryStreamStatus":"ACTIVE"}}`), nil
			}
			return jsonAnswer(req, http.StatusBadRequest, `{"__type":"ResourceNotFoundException"}`), nil
		}
		if *calls++; *calls <= n {
			return jsonAnswer(req, http.StatusBadRequest, fmt.Sprintf(`{"__type":"InvalidArgumentException","message":%q}`, message)), nil
		}
		return jsonAnswer(req, http.StatusOK, `{}`), nil
	})
	never := moto.Server{URL: "http://127.0.0.1:1"}
	c := NewClients(never.Config(transport))
	s := parquetSpec(t, "")
	r = newStream(wantOf(s), c)
	r.role = newFirehoseRole(s, c)
	return r, calls
}

// Firehose checks the role, and with it the right to read the table. It waits for a role that this run changed, shortly for
// another one, and ends with the cause.
func TestStreamWaitsForItsRole(t *testing.T) {
	const forever = 1 << 20
	for _, tt := range []struct {
		name             string
		message          string
		times            int
		created, updated bool
		progress         string
		least, most      time.Duration
		wantErr          string
	}{
		{"new role", "Firehose is unable to assume role arn. Please check the role provided.", 3, true, false, "until the new role ROLE can be used", time.Second, 30 * time.Second, ""},
		{"Glue denies a new role", glueDenied, 3, true, false, "until the new role ROLE can be used", time.Second, 30 * time.Second, ""},
		{"changed role", "Role arn is not authorized to perform: glue:GetTableVersions", 3, false, true, "until the change of role ROLE has taken effect", time.Second, 30 * time.Second, ""},
		{"new role denied forever", glueDenied, forever, true, false, "new role", settleTime - 8*time.Second, settleTime, "Access was denied when calling Glue"},
		{"unchanged role", glueDenied, 2, false, false, "an earlier change of role", time.Second, unchangedTime, ""},
		{"unchanged role denied forever", glueDenied, forever, false, false, "an earlier change of role", unchangedTime, unchangedTime + 8*time.Second, "check its trust policy"},
		{"Lake Formation", lakeDenied, forever, true, false, "", 0, 0, "aws lakeformation grant-permissions --region eu-west-1 --principal DataLakePrincipalIdentifier=arn:aws:iam::123456789012:role/ROLE --permissions DESCRIBE --resource '{\"Table\":{\"DatabaseName\":\"stagelog_acme\",\"Name\":\"lines\"}}'"},
		{"another argument", "Prefix is not valid", forever, true, false, "", 0, 0, "Prefix is not valid"},
	} {
		synctestRun(t, tt.name, func(t *testing.T) {
			r, calls := refusing(t, tt.times, tt.message)
			r.role.created, r.role.updated = tt.created, tt.updated
			tt.progress, tt.wantErr = strings.ReplaceAll(tt.progress, "ROLE", r.role.Name()), strings.ReplaceAll(tt.wantErr, "ROLE", r.role.Name())
			var progress []string
			began := time.Now()
			err := Explain(r.Apply(t.Context(), State{}, func(text string) { progress = append(progress, text) }))
			took := time.Since(began)
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Apply after %d calls: %v, want %q", *calls, err, tt.wantErr)
			}
			if took < tt.least || took > tt.most {
				t.Errorf("it took %s, want %s to %s", took, tt.least, tt.most)
			}
			if text := strings.Join(progress, "\n"); !strings.Contains(text, tt.progress) || tt.progress == "" && text != "" {
				t.Errorf("progress %q, want %q", progress, tt.progress)
			}
		})
	}
}

// Each call waits for the errors of its own service only.
func TestWaitForTable(t *testing.T) {
	of := func(service, operation, code, message string) error {
		return fmt.Errorf("do it: %w", &smithy.OperationError{ServiceID: service, OperationName: operation, Err: &smithy.GenericAPIError{Code: code, Message: message}})
	}
	const role, earlier, visible = "the role can be used", "an earlier change is finished", "the new resource is visible everywhere"
	for _, tt := range []struct {
		err  error
		want string
	}{
		{of("Firehose", "CreateDeliveryStream", "InvalidArgumentException", glueDenied), role},
		{of("Firehose", "UpdateDestination", "InvalidArgumentException", glueDenied), role},
		{of("Firehose", "UpdateDestination", "InvalidArgumentException", lakeDenied), ""},
		{of("Firehose", "UpdateDestination", "ConcurrentModificationException", ""), ""},
		{of("Firehose", "TagDeliveryStream", "ResourceNotFoundException", ""), ""},
		{of("Lambda", "CreateFunction", "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."), role},
		{of("Lambda", "UpdateFunctionCode", "ResourceConflictException", "An update is in progress"), earlier},
		{of("Lambda", "UpdateFunctionCode", "ResourceNotFoundException", ""), ""},
		{of("S3", "PutBucketPolicy", "NoSuchBucket", ""), visible},
		{of("S3", "PutBucketEncryption", "OperationAborted", ""), earlier},
		{of("IAM", "PutRolePolicy", "NoSuchEntity", ""), visible},
		{of("IAM", "TagRole", "NoSuchEntity", ""), ""},
		{of("IAM", "CreateRole", "ConcurrentModification", ""), earlier},
		{of("Glue", "CreateTable", "EntityNotFoundException", ""), visible},
		{of("Glue", "UpdateTable", "ConcurrentModificationException", ""), earlier},
		{of("CloudWatch Logs", "CreateLogStream", "ResourceNotFoundException", ""), visible},
		{of("API Gateway", "UpdateStage", "ConflictException", ""), earlier},
		{of("API Gateway", "UpdateStage", "NotFoundException", ""), ""},
		{errors.New("no answer"), ""},
	} {
		got := ""
		if w := waitFor(tt.err); w != nil {
			got = w.until
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.err, diff)
		}
	}
}

// An error of Lake Formation for the deploying credentials names the grant for the user or role that they belong to.
func TestCatalogErrorNamesGrant(t *testing.T) {
	m := moto.Start(t)
	s := parquetSpec(t, "")
	for _, tt := range []struct {
		call, message, want string
		resource            func(*Clients) Resource
	}{
		{"Glue GetDatabase", "Insufficient Lake Formation permission(s): Required Describe on acme", `--permissions DESCRIBE --resource '{"Database":{"Name":"stagelog_acme"}}'`, func(c *Clients) Resource { return newDatabase(wantOf(s), c) }},
		{"Glue CreateDatabase", "Insufficient Lake Formation permission(s): Required Create Database on Catalog", `--permissions CREATE_DATABASE --resource '{"Catalog":{}}'`, func(c *Clients) Resource { return newDatabase(wantOf(s), c) }},
		{"Glue CreateTable", "Insufficient Lake Formation permission(s): Required Create Table on acme", `--permissions CREATE_TABLE --resource '{"Database":{"Name":"stagelog_acme"}}'`, func(c *Clients) Resource { return newTable(wantOf(s), c) }},
		{"Glue CreateTable", "Insufficient Lake Formation permission(s) on s3://acme-api-logs/logs/", `--permissions DATA_LOCATION_ACCESS --resource '{"DataLocation":{"ResourceArn":"arn:aws:s3:::acme-api-logs"}}'`, func(c *Clients) Resource { return newTable(wantOf(s), c) }},
		{"Glue GetTable", "Insufficient Lake Formation permission(s): Required Describe on lines", `--permissions DESCRIBE --resource '{"Table":{"DatabaseName":"stagelog_acme","Name":"lines"}}'`, func(c *Clients) Resource { return newTable(wantOf(s), c) }},
	} {
		calls := 0
		c := NewClients(moto.Tap(func(call string) (any, error) {
			if call != tt.call {
				return nil, nil
			}
			calls++
			return nil, &smithy.OperationError{ServiceID: "Glue", OperationName: strings.TrimPrefix(call, "Glue "), Err: &smithy.GenericAPIError{Code: "AccessDeniedException", Message: tt.message}}
		}).On(m.Config(nil)))
		r := tt.resource(c)
		found, err := r.Read(t.Context())
		if err == nil {
			err = r.Apply(t.Context(), found, quiet)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "DataLakePrincipalIdentifier=arn:aws:") || !awserr.LakeFormation(err) {
			t.Errorf("%s: %v, want the grant %s", tt.call, err, tt.want)
		}
		if calls != 1 {
			t.Errorf("%s was called %d times, want once: waiting does not help", tt.call, calls)
		}
	}
}
