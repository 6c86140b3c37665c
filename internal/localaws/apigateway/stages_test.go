package apigateway_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	streamARN = "arn:aws:firehose:us-east-1:000000000000:deliverystream/amazon-apigateway-x"
	badPath   = "Invalid accessLogSettings path. Must be one of : [/accessLogSettings/destinationArn, /accessLogSettings/format]"
)

func patchOps(ops ...string) []types.PatchOperation {
	var out []types.PatchOperation
	for i := 0; i+2 < len(ops); i += 3 {
		out = append(out, types.PatchOperation{Op: types.Op(ops[i]), Path: aws.String(ops[i+1]), Value: aws.String(ops[i+2])})
	}
	return out
}

func (w *world) patchStage(id, stage string, ops ...string) (*sdk.UpdateStageOutput, error) {
	return w.c.UpdateStage(w.t.Context(), &sdk.UpdateStageInput{RestApiId: &id, StageName: &stage, PatchOperations: patchOps(ops...)})
}

// The table of what UpdateStage takes and refuses for access logs, with the service's words.
func TestAccessLogSettingsAsRecorded(t *testing.T) {
	const (
		dest, format = "/accessLogSettings/destinationArn", "/accessLogSettings/format"
		logGroup     = "arn:aws:logs:us-east-1:000000000000:log-group:some/group"
		simple       = "$context.requestId $context.identity.sourceIp"
	)
	for _, c := range []struct {
		name            string
		op, path, value string
		refused         string
		want            *types.AccessLogSettings
	}{
		{"add destination", "add", dest, streamARN, "", &types.AccessLogSettings{DestinationArn: aws.String(streamARN)}},
		{"replace destination", "replace", dest, streamARN, "", &types.AccessLogSettings{DestinationArn: aws.String(streamARN)}},
		{"log group", "add", dest, logGroup, "", &types.AccessLogSettings{DestinationArn: aws.String(logGroup)}},
		{"add format", "add", format, simple, "", &types.AccessLogSettings{Format: aws.String(simple)}},
		{"replace format, newline at the end", "replace", format, simple + "\n", "", &types.AccessLogSettings{Format: aws.String(simple + "\n")}},
		{"extended request id", "add", format, "$context.extendedRequestId", "", &types.AccessLogSettings{Format: aws.String("$context.extendedRequestId")}},
		{"remove destination", "remove", dest, "", "Cannot remove method setting accessLogSettings/destinationArn because there is no method setting for this method ", nil},
		{"remove format", "remove", format, "", "Cannot remove method setting accessLogSettings/format because there is no method setting for this method ", nil},
		{"remove star", "remove", "/accessLogSettings/*", "", "Cannot remove method setting accessLogSettings/* because there is no method setting for this method ", nil},
		{"remove other", "remove", "/accessLogSettings/randomValue", "", "Cannot remove method setting accessLogSettings/randomValue because there is no method setting for this method ", nil},
		{"add root", "add", "/accessLogSettings", "x", badPath, nil},
		{"replace root", "replace", "/accessLogSettings", "x", badPath, nil},
		{"add star", "add", "/accessLogSettings/*", "x", badPath, nil},
		{"replace star", "replace", "/accessLogSettings/*", "x", badPath, nil},
		{"add other", "add", "/accessLogSettings/randomValue", "x", badPath, nil},
		{"replace other", "replace", "/accessLogSettings/randomValue", "x", badPath, nil},
		{"empty destination", "replace", dest, "", "Access Log value must not be empty", nil},
		{"empty format", "replace", format, "", "Access Log value must not be empty", nil},
		{"no request id", "add", format, "$context.identity.sourceIp", "Access Log format must include either $context.requestId or $context.extendedRequestId", nil},
		{"newline inside", "add", format, "$context.requestId\n$context.stage", "Access Log format must be single line, new line character is allowed only at end of the format", nil},
		{"stream name", "add", dest, "arn:aws:firehose:us-east-1:000000000000:deliverystream/mine", "Kinesis Firehose delivery stream name must begin with the characters 'amazon-apigateway-'", nil},
		{"another service", "add", dest, "arn:aws:s3:::bucket", "The ARN must be a valid CloudWatch Logs log group or Kinesis Data Firehose delivery stream", nil},
		{"log group with a star", "add", dest, logGroup + ":*", "The ARN must be a valid CloudWatch Logs log group or Kinesis Data Firehose delivery stream", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			id := w.deployed("shop", "prod")
			got, err := w.patchStage(id, "prod", c.op, c.path, c.value)
			if c.refused != "" {
				wantError(t, err, "BadRequestException", c.refused)
				st := must[*sdk.GetStageOutput](t)(w.c.GetStage(t.Context(), &sdk.GetStageInput{RestApiId: &id, StageName: aws.String("prod")}))
				if st.AccessLogSettings != nil {
					t.Errorf("a refused patch has left %+v", st.AccessLogSettings)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.AccessLogSettings, cmpopts.IgnoreUnexported(types.AccessLogSettings{})); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetAccessLog(t *testing.T) {
	w := newWorld(t)
	id := w.deployed("shop", "prod")
	must[*sdk.UpdateStageOutput](t)(w.patchStage(id, "prod", "replace", "/accessLogSettings/destinationArn", streamARN, "replace", "/accessLogSettings/format", "$context.requestId\n"))
	want := apigateway.AccessLog{DestinationARN: streamARN, Format: "$context.requestId\n"}
	if v, _ := w.svc.Route(id, "prod"); v.AccessLog != want || !v.AccessLog.Enabled() {
		t.Errorf("view = %+v, want %+v", v.AccessLog, want)
	}
	out := must[*sdk.UpdateStageOutput](t)(w.patchStage(id, "prod", "remove", "/accessLogSettings", ""))
	if v, _ := w.svc.Route(id, "prod"); out.AccessLogSettings != nil || v.AccessLog.Enabled() {
		t.Errorf("after the removal: %+v, %+v", out.AccessLogSettings, v.AccessLog)
	}

	ref := record.StageRef{API: id, Stage: "prod"}
	if err := w.svc.SetAccessLog(t.Context(), ref, want); err != nil {
		t.Fatal(err)
	}
	writes := w.store.Writes()
	if err := w.svc.SetAccessLog(t.Context(), ref, want); err != nil || w.store.Writes() != writes {
		t.Errorf("setting the same again: %v, %d writes", err, w.store.Writes()-writes)
	}
	if err := w.svc.SetAccessLog(t.Context(), ref, apigateway.AccessLog{DestinationARN: "x", Format: "y"}); err == nil || !strings.Contains(err.Error(), "The ARN must be") {
		t.Errorf("a wrong destination: %v", err)
	}
	if err := w.svc.SetAccessLog(t.Context(), ref, apigateway.AccessLog{}); err != nil {
		t.Fatal(err)
	}
	if v, _ := w.svc.Route(id, "prod"); v.AccessLog.Enabled() {
		t.Errorf("removed, but the view has %+v", v.AccessLog)
	}
}

func TestUpdateStage(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	id := w.deployed("shop", "prod")
	out := must[*sdk.UpdateStageOutput](t)(w.patchStage(id, "prod",
		"replace", "/description", "stage new", "replace", "/variables/var1", "test", "add", "/variables/var2", "test2", "remove", "/variables/var2", "",
		"replace", "/*/*/throttling/burstLimit", "123", "replace", "/~1/GET/throttling/rateLimit", "2.5"))
	if *out.Description != "stage new" || len(out.Variables) != 1 || out.Variables["var1"] != "test" {
		t.Errorf("UpdateStage = %+v", out)
	}
	all := out.MethodSettings["*/*"]
	if all.ThrottlingBurstLimit != 123 || all.ThrottlingRateLimit != 10000 || all.CacheTtlInSeconds != 300 || !all.RequireAuthorizationForCacheControl {
		t.Errorf("*/* = %+v", all)
	}
	v, _ := w.svc.Route(id, "prod")
	if got := v.Routes[0].Methods["GET"].Throttle; got == nil || *got != (apigateway.Throttle{Rate: 2.5, Burst: 5000}) {
		t.Errorf("the method's throttle = %+v", got)
	}
	must[*sdk.UpdateStageOutput](t)(w.patchStage(id, "prod", "remove", "/~1/GET", ""))
	v, _ = w.svc.Route(id, "prod")
	if got := v.Routes[0].Methods["GET"].Throttle; got == nil || *got != (apigateway.Throttle{Rate: 10000, Burst: 123}) {
		t.Errorf("the throttle of all = %+v", got)
	}
	must[*sdk.UpdateStageOutput](t)(w.patchStage(id, "prod", "remove", "/*/*", ""))
	_, err := w.patchStage(id, "prod", "remove", "/*/*", "")
	wantError(t, err, "BadRequestException", "Cannot remove method setting */* because there is no method setting for this method ")
	if v, _ = w.svc.Route(id, "prod"); v.Routes[0].Methods["GET"].Throttle != nil {
		t.Error("a removed throttle is still there")
	}

	_, err = w.patchStage(id, "prod", "replace", "/tags/tag1", "x")
	if err == nil || !strings.Contains(err.Error(), "Invalid method setting path: /tags/tag1. Must be one of: [/deploymentId, /description, ") {
		t.Errorf("a path that is none: %v", err)
	}
	for path, value := range map[string]string{"/tracingEnabled": "true", "/*/*/caching/enabled": "true", "/*/*/logging/loglevel": "INFO", "/clientCertificateId": "x"} {
		if _, err := w.patchStage(id, "prod", "replace", path, value); err == nil || !strings.Contains(err.Error(), "stagelog does not support") {
			t.Errorf("%s = %s: %v", path, value, err)
		}
	}
	_, err = w.patchStage(id, "prod", "replace", "/deploymentId", "nope")
	wantError(t, err, "BadRequestException", "Invalid Deployment identifier specified")
	_, err = w.patchStage(id, "prod", "replace", "/variables/x", "not ok")
	if err == nil {
		t.Error("a stage variable with a space was taken")
	}
	_, err = w.patchStage(id, "other", "replace", "/description", "x")
	wantError(t, err, "NotFoundException", "Invalid stage identifier specified")
	_, err = w.c.CreateStage(ctx, &sdk.CreateStageInput{RestApiId: &id, StageName: aws.String("prod"), DeploymentId: out.DeploymentId})
	wantError(t, err, "ConflictException", "Stage already exists")
	_, err = w.c.CreateStage(ctx, &sdk.CreateStageInput{RestApiId: &id, StageName: aws.String("b"), DeploymentId: aws.String("nope")})
	wantError(t, err, "NotFoundException", "Invalid Deployment identifier specified")
	_, err = w.c.CreateStage(ctx, &sdk.CreateStageInput{RestApiId: &id, StageName: aws.String("a b"), DeploymentId: out.DeploymentId})
	wantError(t, err, "BadRequestException", "Stage name only allows a-zA-Z0-9_-")
}

func TestGetStagesByDeployment(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	id := w.deployed("shop", "a")
	d := must[*sdk.CreateDeploymentOutput](t)(w.c.CreateDeployment(ctx, &sdk.CreateDeploymentInput{RestApiId: &id, StageName: aws.String("b"), Variables: map[string]string{"x": "1"}}))
	names := func(in *sdk.GetStagesInput) (out []string) {
		in.RestApiId = &id
		for _, st := range must[*sdk.GetStagesOutput](t)(w.c.GetStages(ctx, in)).Item {
			out = append(out, *st.StageName)
		}
		return out
	}
	if diff := cmp.Diff([]string{"a", "b"}, names(&sdk.GetStagesInput{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"b"}, names(&sdk.GetStagesInput{DeploymentId: d.Id})); diff != "" {
		t.Error(diff)
	}
	must[*sdk.DeleteStageOutput](t)(w.c.DeleteStage(ctx, &sdk.DeleteStageInput{RestApiId: &id, StageName: aws.String("b")}))
	if _, ok := w.svc.Route(id, "b"); ok {
		t.Error("a deleted stage is served")
	}
	if diff := cmp.Diff([]record.StageRef{{API: id, Stage: "a"}}, w.svc.StageRefs(id)); diff != "" {
		t.Error(diff)
	}
}
