package provision

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	v2 "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	firehosetypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/testenv"
)

// stageAccount is an account with the pipeline's bucket and one API with the stage prod.
type stageAccount struct {
	testing.TB
	*Clients
	ref record.StageRef
	s   *desired.Spec
}

func newStageAccount(t *testing.T, m *moto.Server) *stageAccount {
	t.Helper()
	m.Reset()
	a := &stageAccount{TB: t, Clients: NewClients(m.Config(nil))}
	a.ref = record.StageRef{API: a.api("shop", "prod"), Stage: "prod"}
	a.s = streamSpec(t, a.ref)
	_, err := a.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(a.s.Bucket()),
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: moto.Region}})
	a.ok(err)
	return a
}

func (a *stageAccount) ok(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// api creates a REST API, and deploys it if stage is not empty.
func (a *stageAccount) api(name, stage string) string {
	a.Helper()
	ctx := a.Context()
	api, err := a.APIGateway.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: &name})
	a.ok(err)
	if stage == "" {
		return *api.Id
	}
	resources, err := a.APIGateway.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: api.Id})
	a.ok(err)
	root := resources.Items[0].Id
	_, err = a.APIGateway.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: api.Id, ResourceId: root, HttpMethod: aws.String("GET"), AuthorizationType: aws.String("NONE")})
	a.ok(err)
	_, err = a.APIGateway.PutIntegration(ctx, &apigateway.PutIntegrationInput{RestApiId: api.Id, ResourceId: root, HttpMethod: aws.String("GET"), Type: types.IntegrationTypeMock})
	a.ok(err)
	_, err = a.APIGateway.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: &stage})
	a.ok(err)
	return *api.Id
}

func (a *stageAccount) set(destination, format string) {
	a.Helper()
	ops := []types.PatchOperation{replace(pathDestination, destination)}
	if format != "" {
		ops = append(ops, replace(pathFormat, format))
	}
	a.ok(a.resource().patch(a.Context(), quiet, ops...))
}

func (a *stageAccount) disable() {
	a.Helper()
	a.ok(a.resource().patch(a.Context(), quiet, types.PatchOperation{Op: types.OpRemove, Path: aws.String(pathSettings)}))
}

// theirStream creates a delivery stream that is not the pipeline's.
func (a *stageAccount) theirStream() (arn string) {
	a.Helper()
	out, err := a.Firehose.CreateDeliveryStream(a.Context(), &firehose.CreateDeliveryStreamInput{DeliveryStreamName: aws.String("amazon-apigateway-theirs"),
		ExtendedS3DestinationConfiguration: &firehosetypes.ExtendedS3DestinationConfiguration{RoleARN: aws.String("arn:aws:iam::123456789012:role/theirs"), BucketARN: aws.String("arn:aws:s3:::theirs")}})
	a.ok(err)
	return aws.ToString(out.DeliveryStreamARN)
}

func (a *stageAccount) logGroup(name string) (arn string) {
	a.Helper()
	_, err := a.Logs.CreateLogGroup(a.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name})
	a.ok(err)
	return a.s.LogGroupARN(name)
}

func (a *stageAccount) resource() *Stage { return newStage(wantOf(a.s), a.Clients, a.ref) }

func (a *stageAccount) read() State {
	a.Helper()
	s, err := a.resource().Read(a.Context())
	a.ok(err)
	return s
}

func (a *stageAccount) apply() {
	a.Helper()
	a.ok(a.resource().Apply(a.Context(), a.read(), quiet))
	if s := a.read(); !s.Exists || s.RequiredFlag != NoFlag || len(s.Changed()) > 0 {
		a.Fatalf("after Apply the stage is %+v", s)
	}
}

// destroy destroys the resource and returns the stage's settings afterwards.
func (a *stageAccount) destroy() (did string, now settings) {
	a.Helper()
	did, err := a.resource().Destroy(a.Context(), a.read(), quiet)
	a.ok(err)
	now, err = a.resource().settings(a.Context())
	a.ok(err)
	return did, now
}

func TestStageRestoresPreviousLogging(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := moto.Start(t)
	tests := []struct {
		name  string
		given func(a *stageAccount) settings // before deploy
		then  func(a *stageAccount)          // between deploy and destroy
		fault func(*http.Request) *http.Response
		want  func(was settings) settings
		did   string
	}{
		{name: "no logging", did: "as before"},
		{name: "a log group", did: "restored, to the CloudWatch log group theirs",
			given: func(a *stageAccount) settings { return settings{a.logGroup("theirs"), "$context.requestId theirs"} },
			want:  func(was settings) settings { return was }},
		{name: "a log group deleted since", did: "no longer exists",
			given: func(a *stageAccount) settings { return settings{a.logGroup("theirs"), "$context.requestId theirs"} },
			then: func(a *stageAccount) {
				_, err := a.Logs.DeleteLogGroup(a.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String("theirs")})
				a.ok(err)
			}},
		{name: "a delivery stream", did: "restored, to the delivery stream amazon-apigateway-theirs",
			given: func(a *stageAccount) settings { return settings{a.theirStream(), "$context.requestId theirs"} },
			want:  func(was settings) settings { return was }},
		{name: "a delivery stream deleted since", did: "no longer exists; once that is corrected, this command restores them: aws apigateway update-stage --region eu-west-1",
			given: func(a *stageAccount) settings { return settings{a.theirStream(), "$context.requestId theirs"} },
			then: func(a *stageAccount) {
				_, err := a.Firehose.DeleteDeliveryStream(a.Context(), &firehose.DeleteDeliveryStreamInput{DeliveryStreamName: aws.String("amazon-apigateway-theirs")})
				a.ok(err)
			}},
		{name: "a log group that cannot be looked up", did: "restored, to the CloudWatch log group theirs; it is unknown whether that still exists: access denied",
			given: func(a *stageAccount) settings { return settings{a.logGroup("theirs"), "$context.requestId theirs"} },
			fault: func(r *http.Request) *http.Response {
				if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".DescribeLogGroups") {
					return nil
				}
				return jsonAnswer(r, http.StatusBadRequest, `{"__type":"AccessDeniedException"}`)
			},
			want: func(was settings) settings { return was }},
		{name: "a log group of another account", did: "it is unknown whether that still exists: it is in eu-west-1 of account 999999999999",
			given: func(*stageAccount) settings {
				return settings{"arn:aws:logs:eu-west-1:999999999999:log-group:theirs", "$context.requestId theirs"}
			},
			want: func(was settings) settings { return was }},
		{name: "refused by API Gateway", did: "refuses to send them to the CloudWatch log group theirs again: CloudWatch Logs role ARN must be set in account settings to enable logging",
			given: func(a *stageAccount) settings { return settings{a.logGroup("theirs"), "$context.requestId theirs"} },
			fault: func(r *http.Request) *http.Response {
				if r.Method != http.MethodPatch || !bodyContains(r, "log-group") {
					return nil
				}
				res := jsonAnswer(r, http.StatusBadRequest, `{"message":"CloudWatch Logs role ARN must be set in account settings to enable logging"}`)
				res.Header.Set("X-Amzn-Errortype", "BadRequestException")
				return res
			}},
		{name: "settings without a format", did: "restored, to the CloudWatch log group theirs",
			given: func(a *stageAccount) settings { return settings{a.logGroup("theirs"), ""} },
			want:  func(was settings) settings { return was }},
		{name: "disabled since", did: "not changed: access logs were disabled after the deploy",
			given: func(a *stageAccount) settings { return settings{a.logGroup("theirs"), "$context.requestId theirs"} },
			then:  func(a *stageAccount) { a.disable() }},
		{name: "sent to another delivery stream since", did: "not changed: access logs were redirected after the deploy, to the delivery stream amazon-apigateway-theirs",
			given: func(a *stageAccount) settings { return settings{a.logGroup("theirs"), "$context.requestId theirs"} },
			then:  func(a *stageAccount) { a.set(a.theirStream(), "$context.requestId later") },
			want:  func(settings) settings { return settings{"amazon-apigateway-theirs", "$context.requestId later"} }},
		{name: "restored by hand since", did: "restored already, to the CloudWatch log group theirs",
			given: func(a *stageAccount) settings { return settings{a.logGroup("theirs"), "$context.requestId theirs"} },
			then: func(a *stageAccount) {
				a.set(a.s.LogGroupARN("theirs"), "$context.requestId theirs")
			},
			want: func(was settings) settings { return was }},
		{name: "without its record", did: "is not recorded (no object s3://acme-api-logs/stagelog/former/",
			given: func(a *stageAccount) settings { return settings{a.logGroup("theirs"), "$context.requestId theirs"} },
			then: func(a *stageAccount) {
				_, err := a.S3.DeleteObject(a.Context(), &s3.DeleteObjectInput{Bucket: aws.String(a.s.Bucket()), Key: aws.String(a.s.PreviousLoggingKey(a.ref))})
				a.ok(err)
			}},
		{name: "our format changed since", did: "as before",
			then: func(a *stageAccount) {
				a.set(a.s.StreamARN(), "$context.requestId changed")
				if diff := cmp.Diff([]string{"format"}, changedNames(a.read())); diff != "" {
					a.Errorf("Read differs in (-want +got):\n%s", diff)
				}
				a.apply()
			}},
		{name: "destination changed since", did: "not changed",
			then: func(a *stageAccount) { a.set(a.logGroup("later"), "$context.requestId later") },
			want: func(settings) settings { return settings{"later", "$context.requestId later"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newStageAccount(t, m)
			var was settings
			if tt.given != nil {
				was = tt.given(a)
				a.set(was.DestinationARN, was.Format)
				if s := a.read(); s.RequiredFlag != ReplaceFlag || !strings.Contains(s.Reason, "theirs") {
					t.Errorf("Read = %+v, want ReplaceFlag and the destination", s)
				}
			}
			a.apply()
			a.apply() // a second Apply keeps the record
			if tt.then != nil {
				tt.then(a)
			}
			if tt.fault != nil {
				a.Clients = NewClients(m.Config(roundTrip(func(r *http.Request) (*http.Response, error) {
					if res := tt.fault(r); res != nil {
						return res, nil
					}
					return http.DefaultTransport.RoundTrip(r)
				})))
			}
			did, now := a.destroy()
			if !strings.Contains(did, tt.did) {
				t.Errorf("Destroy = %q, want %q", did, tt.did)
			}
			var want settings
			if tt.want != nil {
				want = tt.want(was)
			}
			if now.Format != want.Format || !strings.HasSuffix(now.DestinationARN, want.DestinationARN) || (want.DestinationARN == "") != (now.DestinationARN == "") {
				t.Errorf("after Destroy the stage has %+v, want %+v", now, want)
			}
			if f, err := a.resource().recall(t.Context()); f != nil || err != nil {
				t.Errorf("after Destroy the record %+v still exists (%v)", f, err)
			}
		})
	}
}

// bodyContains reports whether a request's body contains text. The body can still be read afterwards.
func bodyContains(r *http.Request, text string) bool {
	if r.Body == nil {
		return false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && bytes.Contains(body, []byte(text))
}

// Destroy fails for a damaged record, with its key, and does not change the stage. A stage that no longer logs to the pipeline does not
// need the record.
func TestStageDamagedPreviousLogging(t *testing.T) {
	a := newStageAccount(t, moto.Start(t))
	a.apply()
	key := a.s.PreviousLoggingKey(a.ref)
	for _, body := range []string{"", "{", "{}", "null", `{"api":"another","stage":"prod","destinationArn":"","format":""}`} {
		_, err := a.S3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(a.s.Bucket()), Key: &key, Body: strings.NewReader(body)})
		a.ok(err)
		if _, err := a.resource().Destroy(t.Context(), a.read(), quiet); err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("Destroy with the record %q: %v, want an error that names %s and what to do", body, err, key)
		}
		if s := a.read(); s.RequiredFlag != NoFlag || len(s.Changed()) > 0 {
			t.Errorf("with the record %q the stage was changed: %+v", body, s)
		}
	}
	a.disable()
	if did, now := a.destroy(); !strings.Contains(did, "not changed") || now != (settings{}) {
		t.Errorf("Destroy = %q and the stage has %+v, want no change", did, now)
	}
}

// A stage has its previous logging after a Destroy that was killed after any call and then repeated.
func TestStageRestoringResumesAfterKill(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := moto.Start(t)
	for _, format := range []string{"$context.requestId theirs", ""} {
		for n, calls := 0, 1; n < calls; n++ {
			a := newStageAccount(t, m)
			was := settings{a.logGroup("theirs"), format}
			a.set(was.DestinationARN, was.Format)
			a.apply()
			w := &wire{cut: n}
			cfg := m.Config(w)
			cfg.RetryMaxAttempts = 1
			_, err := newStage(wantOf(a.s), NewClients(cfg), a.ref).Destroy(t.Context(), State{}, quiet)
			if n == 0 { // the whole
				calls = len(w.writes)
				a.ok(err)
			} else if !errors.Is(err, errCut) {
				t.Fatalf("killed after %v: %v, want errCut", w.writes, err)
			}
			if did, now := a.destroy(); now != was {
				t.Errorf("killed after %v and repeated: %q, the stage has %+v, want %+v", w.writes, did, now, was)
			}
			if f, err := a.resource().recall(t.Context()); f != nil || err != nil {
				t.Errorf("killed after %v and repeated: the record %+v still exists (%v)", w.writes, f, err)
			}
		}
	}
}

// A plan says what becomes of a stage that left the pipeline, and deploy does it and says so. Afterwards there is nothing to do.
func TestPlanOfLeftStage(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	a := place(t, moto.Start(t), moto.Region, "")
	a.ok(Ensure(t.Context(), Resources(wantOf(a.s), a.Clients)))
	a.logGroup("theirs")
	stages := a.s.Pipeline.Stages
	for _, tt := range []struct {
		name string
		then func()
		want string
	}{
		{"restored", func() {}, "previous access logs restored, to the CloudWatch log group theirs"},
		{"its log group is gone", func() {
			_, err := a.Logs.DeleteLogGroup(a.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String("theirs")})
			a.ok(err)
		}, "access logs disabled: their previous destination, the CloudWatch log group theirs, no longer exists"},
		{"changed by others", func() { a.set(a.s.LogGroupARN("later"), "$context.requestId later") }, "not changed: access logs were redirected after the deploy, to the CloudWatch log group later"},
		{"the API is gone", func() {
			_, err := a.APIGateway.DeleteRestApi(a.Context(), &apigateway.DeleteRestApiInput{RestApiId: &a.ref.API})
			a.ok(err)
		}, "the stage no longer exists"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a.s.Pipeline.Stages = stages
			a.set(a.s.LogGroupARN("theirs"), "$context.requestId theirs")
			a.apply()
			tt.then()
			a.s.Pipeline.Stages = nil
			p, todo := a.plan()
			if diff := cmp.Diff([]string{"restore API stage " + a.ref.String()}, todo); diff != "" {
				t.Fatalf("plan (-want +got):\n%s", diff)
			}
			if notes := strings.Join(p.Steps[len(p.Steps)-1].Notes, "\n"); !strings.HasPrefix(notes, "result: "+tt.want) {
				t.Errorf("notes %q, want %q", notes, tt.want)
			}
			var did string
			a.ok(p.Execute(t.Context(), nil, func(e Event) { did = e.Done }))
			if !strings.HasPrefix(did, tt.want) {
				t.Errorf("Execute did %q, want %q", did, tt.want)
			}
			if _, todo := a.plan(); todo != nil {
				t.Errorf("after the deploy the plan has %q", todo)
			}
		})
	}
}

func TestStageMissing(t *testing.T) {
	m := moto.Start(t)
	a := newStageAccount(t, m)
	undeployed := a.api("new", "")
	http, err := a.APIGatewayV2.CreateApi(t.Context(), &apigatewayv2.CreateApiInput{Name: aws.String("web"), ProtocolType: v2.ProtocolTypeHttp})
	a.ok(err)
	tests := []struct {
		name string
		ref  record.StageRef
		want []string
	}{
		{"a stage with a typo", record.StageRef{API: a.ref.API, Stage: "prd"}, []string{"no stage prd", "did you mean prod?"}},
		{"a stage of another name", record.StageRef{API: a.ref.API, Stage: "integration"}, []string{"no stage integration", "its stages are prod"}},
		{"an API by its name", record.StageRef{API: "shop", Stage: "prod"}, []string{"API shop not found", "did you mean " + a.ref.API + " (shop)?"}},
		{"no such API", record.StageRef{API: "zzzzzzzzzz", Stage: "prod"}, []string{"API zzzzzzzzzz not found", a.ref.API + " (shop)", "Region"}},
		{"never deployed", record.StageRef{API: undeployed, Stage: "prod"}, []string{"never deployed", "create-deployment --rest-api-id " + undeployed + " --stage-name prod --region " + moto.Region}},
		{"an HTTP API", record.StageRef{API: *http.ApiId, Stage: "prod"}, []string{"HTTP API", "CloudWatch Logs", "Use a REST API"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newStage(wantOf(a.s), a.Clients, tt.ref).Read(t.Context())
			if !errors.Is(err, ErrNoParent) {
				t.Fatalf("Read: %v, want an ErrNoParent", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not contain %q: %v", want, err)
				}
			}
		})
	}
}

func TestLeftStages(t *testing.T) {
	a := newStageAccount(t, moto.Start(t))
	left := func() []record.StageRef {
		t.Helper()
		refs, err := LeftStages(t.Context(), a.s, a.Clients)
		a.ok(err)
		return refs
	}
	a.apply()
	if refs := left(); len(refs) > 0 {
		t.Errorf("LeftStages = %v, while the stage is in the pipeline", refs)
	}
	a.s.Pipeline.Stages = nil
	if diff := cmp.Diff([]record.StageRef{a.ref}, left()); diff != "" {
		t.Errorf("LeftStages of a pipeline without it (-want +got):\n%s", diff)
	}
	a.s.Pipeline.Bucket = "acme-no-such-bucket"
	if refs := left(); len(refs) > 0 {
		t.Errorf("LeftStages = %v without a bucket", refs)
	}
}

// A change of the pipeline's bucket copies the stored previous logging of its stages.
func TestPreviousLoggingMovesWithBucket(t *testing.T) {
	a := newStageAccount(t, moto.Start(t))
	was := settings{a.logGroup("theirs"), "$context.requestId theirs"}
	a.set(was.DestinationARN, was.Format)
	stream := newStream(wantOf(a.s), a.Clients)
	a.ok(stream.Apply(t.Context(), State{}, quiet))
	a.apply()
	a.s.Pipeline.Bucket = "acme-other-logs"
	_, err := a.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(a.s.Bucket()),
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: moto.Region}})
	a.ok(err)
	found, err := stream.Read(t.Context())
	a.ok(err)
	if len(found.Notes) == 0 || !strings.Contains(found.Notes[0], "acme-api-logs") {
		t.Errorf("Notes %v, want one about the old bucket", found.Notes)
	}
	a.ok(stream.Apply(t.Context(), found, quiet))
	if did, now := a.destroy(); now != was {
		t.Errorf("Destroy = %q and the stage has %+v, want %+v", did, now, was)
	}
}

// A stage that logs to a stream with the pipeline's name but another owner is not the pipeline's.
func TestStageOfForeignStream(t *testing.T) {
	m := moto.Start(t)
	to := &firehosetypes.ExtendedS3DestinationConfiguration{RoleARN: aws.String("arn:aws:iam::123456789012:role/theirs"), BucketARN: aws.String("arn:aws:s3:::theirs")}
	tag := func(owner string) []firehosetypes.Tag {
		return []firehosetypes.Tag{{Key: aws.String(desired.OwnerTag), Value: &owner}}
	}
	for _, tt := range []struct {
		name string
		in   *firehose.CreateDeliveryStreamInput // nil is no stream
		ours bool
	}{
		{"built by hand", &firehose.CreateDeliveryStreamInput{ExtendedS3DestinationConfiguration: to}, false},
		{"of another pipeline", &firehose.CreateDeliveryStreamInput{ExtendedS3DestinationConfiguration: to, Tags: tag("eu-west-1/other")}, false},
		{"of another kind", &firehose.CreateDeliveryStreamInput{HttpEndpointDestinationConfiguration: &firehosetypes.HttpEndpointDestinationConfiguration{
			EndpointConfiguration: &firehosetypes.HttpEndpointConfiguration{Url: aws.String("https://example.com")},
			S3Configuration:       &firehosetypes.S3DestinationConfiguration{RoleARN: to.RoleARN, BucketARN: to.BucketARN}}}, false},
		{"of the pipeline", &firehose.CreateDeliveryStreamInput{ExtendedS3DestinationConfiguration: to, Tags: tag("eu-west-1/acme")}, true},
		{"that is gone", nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newStageAccount(t, m)
			if tt.in != nil {
				tt.in.DeliveryStreamName = aws.String(a.s.Stream())
				_, err := a.Firehose.CreateDeliveryStream(t.Context(), tt.in)
				a.ok(err)
			}
			was := settings{a.s.StreamARN(), "$context.requestId theirs"}
			a.set(was.DestinationARN, was.Format)
			removals, err := FindRemovals(t.Context(), a.s, a.Clients)
			a.ok(err)
			removals = slices.DeleteFunc(removals, func(r Removal) bool { return r.Kind != "API stage" })
			if len(removals) != 1 || removals[0].Ours != tt.ours {
				t.Fatalf("FindRemovals = %+v, want the stage, as the pipeline's: %v", removals, tt.ours)
			}
			a.ok(Remove(t.Context(), removals, func(Event) {}))
			now, err := a.resource().settings(t.Context())
			a.ok(err)
			if (now == was) == tt.ours {
				t.Errorf("after Remove the stage has %+v, the pipeline's: %v", now, tt.ours)
			}
		})
	}
}

// Until a deploy applies a changed bucket:, previous logging is read from the old bucket.
func TestPreviousLoggingBeforeBucketChange(t *testing.T) {
	m := moto.Start(t)
	for _, tt := range []struct {
		name string
		left bool // the stage was removed from the pipeline, too
		made bool // the new bucket exists: the deploy was interrupted after creating it
	}{{"nothing deployed", false, false}, {"interrupted", false, true}, {"stage removed", true, false}} {
		t.Run(tt.name, func(t *testing.T) {
			a := newStageAccount(t, m)
			was := settings{a.logGroup("theirs"), "$context.requestId theirs"}
			a.set(was.DestinationARN, was.Format)
			a.ok(newStream(wantOf(a.s), a.Clients).Apply(t.Context(), State{}, quiet))
			a.apply()
			a.s.Pipeline.Bucket = "acme-other-logs"
			if tt.made {
				_, err := a.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(a.s.Bucket()),
					CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: moto.Region}})
				a.ok(err)
			}
			if tt.left {
				a.s.Pipeline.Stages = nil
			}
			removals, err := FindRemovals(t.Context(), a.s, a.Clients)
			a.ok(err)
			removals = slices.DeleteFunc(removals, func(r Removal) bool { return r.Kind != "API stage" })
			a.ok(Remove(t.Context(), removals, func(Event) {}))
			now, err := a.resource().settings(t.Context())
			a.ok(err)
			if now != was {
				t.Errorf("the stage has %+v, want %+v", now, was)
			}
			if f, err := a.resource().recall(t.Context()); f != nil || err != nil {
				t.Errorf("the record %+v still exists (%v)", f, err)
			}
		})
	}
}

// A bucket in another account or Region does not block removals, and its contents are not trusted.
func TestRemovalsBucketElsewhere(t *testing.T) {
	m := moto.Start(t)
	for _, tt := range []struct {
		name   string
		status int
	}{{"in another account", http.StatusForbidden}, {"in another Region", http.StatusMovedPermanently}} {
		t.Run(tt.name, func(t *testing.T) {
			a := newStageAccount(t, m)
			a.ok(newStream(wantOf(a.s), a.Clients).Apply(t.Context(), State{}, quiet))
			a.apply()
			a.s.Pipeline.Bucket = "acme-of-others"
			planted := `{"destinationArn": "` + a.logGroup("planted") + `", "format": "$context.requestId planted"}`
			a.Clients = NewClients(m.Config(roundTrip(func(r *http.Request) (*http.Response, error) {
				if !strings.HasPrefix(r.URL.Path, "/acme-of-others") {
					return http.DefaultTransport.RoundTrip(r)
				}
				body := ""
				switch {
				case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".json"): // publicly readable
					return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(planted)), Request: r}, nil
				case r.Method == http.MethodGet:
					body = "<Error><Code>AccessDenied</Code></Error>"
				}
				return &http.Response{StatusCode: tt.status, Header: http.Header{"X-Amz-Bucket-Region": {"us-west-2"}, "Content-Type": {"application/xml"}},
					Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
			})))
			removals, err := FindRemovals(t.Context(), a.s, a.Clients)
			a.ok(err)
			removals = slices.DeleteFunc(removals, func(r Removal) bool { return r.Kind != "API stage" })
			a.ok(Remove(t.Context(), removals, func(Event) {}))
			now, err := a.resource().settings(t.Context())
			a.ok(err)
			if now != (settings{}) {
				t.Errorf("the stage has %+v, want no logging, as before", now)
			}
		})
	}
}

// Apply fails if the account's old bucket, which may hold previous logging, cannot be read.
func TestPreviousLoggingAccessDenied(t *testing.T) {
	m := moto.Start(t)
	for _, tt := range []struct {
		name  string
		owned bool // the old bucket is the account's
		want  string
	}{{"in the account", true, "may not access it"}, {"in another account", false, ""}} {
		t.Run(tt.name, func(t *testing.T) {
			a := newStageAccount(t, m)
			a.ok(newStream(wantOf(a.s), a.Clients).Apply(t.Context(), State{}, quiet))
			a.apply()
			old := a.s.Bucket()
			if !tt.owned {
				_, err := a.S3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &old, Key: aws.String(a.s.PreviousLoggingKey(a.ref))})
				a.ok(err)
				_, err = a.S3.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &old})
				a.ok(err)
			}
			a.s.Pipeline.Bucket = "other-logs"
			_, err := a.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(a.s.Bucket()),
				CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: moto.Region}})
			a.ok(err)
			c := NewClients(m.Config(roundTrip(func(r *http.Request) (*http.Response, error) {
				if !strings.HasPrefix(r.URL.Path, "/"+old) {
					return http.DefaultTransport.RoundTrip(r)
				}
				return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/xml"}},
					Body: io.NopCloser(strings.NewReader("<Error><Code>AccessDenied</Code></Error>")), Request: r}, nil
			})))
			stream := newStream(wantOf(a.s), c)
			err = stream.Apply(t.Context(), State{}, quiet)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Apply with another bucket: %v, want %q", err, tt.want)
			}
			d, err := stream.describe(t.Context())
			a.ok(err)
			if now := bucketOf(destinationOf(d)); (now == old) != (tt.want != "") {
				t.Errorf("the stream delivers to %s afterwards", now)
			}
		})
	}
}

// Previous logging survives a rename of the pipeline that keeps its bucket.
func TestPreviousLoggingAfterRename(t *testing.T) {
	m := moto.Start(t)
	for _, tt := range []struct {
		name string
		left bool // the renamed pipeline no longer has the stage
	}{{"with its stage", false}, {"without its stage", true}} {
		t.Run(tt.name, func(t *testing.T) {
			a := newStageAccount(t, m)
			was := settings{a.logGroup("theirs"), "$context.requestId theirs"}
			a.set(was.DestinationARN, was.Format)
			a.ok(newStream(wantOf(a.s), a.Clients).Apply(t.Context(), State{}, quiet))
			a.apply()
			first := a.s
			renamed, p := *a.s, *a.s.Pipeline
			p.Name, renamed.Pipeline = "acme-two", &p
			a.s = &renamed
			a.ok(newStream(wantOf(a.s), a.Clients).Apply(t.Context(), State{}, quiet))
			if tt.left {
				did, err := a.resource().Destroy(t.Context(), State{}, quiet) // as Execute does with Restore
				if err != nil || !strings.Contains(did, "not changed") {
					t.Errorf("Destroy = %q, %v, want no change", did, err)
				}
				a.s = first
			} else {
				a.ok(a.resource().Apply(t.Context(), a.read(), quiet))
			}
			if did, now := a.destroy(); now != was {
				t.Errorf("Destroy = %q and the stage has %+v, want %+v", did, now, was)
			}
			if f, err := a.resource().recall(t.Context()); f != nil || err != nil {
				t.Errorf("the record %+v still exists (%v)", f, err)
			}
		})
	}
}
