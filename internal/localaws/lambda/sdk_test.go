package lambda

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/stagelog/stagelog/internal/testenv"
)

// TestSDK is the chain of calls that a deployment makes, by the SDK as it is.
func TestSDK(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w)
	defer server.Close()
	ctx := context.Background()
	client := lambda.New(lambda.Options{Region: "us-east-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1, HTTPClient: testenv.SDKClient(nil),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDTEST", SecretAccessKey: "secret"}, nil
		})})

	var missing *types.ResourceNotFoundException
	if _, err := client.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("f")}); !errors.As(err, &missing) || !strings.Contains(missing.ErrorMessage(), arnOfF) {
		t.Errorf("GetFunction of none: got %v", err)
	}
	in := &lambda.CreateFunctionInput{FunctionName: aws.String("f"), Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Role: aws.String("arn:aws:iam::000000000000:role/r"), Code: &types.FunctionCode{ZipFile: zipOf(t, "one")}, Timeout: aws.Int32(60)}
	created, err := client.CreateFunction(ctx, in)
	if err != nil || created.State != types.StateActive || aws.ToString(created.FunctionArn) != arnOfF {
		t.Fatalf("CreateFunction: got %+v, %v", created, err)
	}
	var exists *types.ResourceConflictException
	if _, err := client.CreateFunction(ctx, in); !errors.As(err, &exists) {
		t.Errorf("CreateFunction twice: got %v", err)
	}
	var invalid *types.InvalidParameterValueException
	in.FunctionName, in.Runtime = aws.String("g"), types.RuntimePython312
	if _, err := client.CreateFunction(ctx, in); !errors.As(err, &invalid) || !strings.Contains(invalid.ErrorMessage(), "provided.al2023") {
		t.Errorf("CreateFunction for python: got %v", err)
	}
	if err := lambda.NewFunctionActiveV2Waiter(client).Wait(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(arnOfF)}, time.Minute); err != nil {
		t.Errorf("FunctionActiveV2: %v", err)
	}
	invoked, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(arnOfF), Payload: []byte(`{"a":1}`)})
	if err != nil || invoked.StatusCode != 200 || invoked.FunctionError != nil || !strings.Contains(string(invoked.Payload), `"said":"one"`) {
		t.Errorf("Invoke: got %+v, %v", invoked, err)
	}
	failed, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte(`{"fail":1}`)})
	if err != nil || aws.ToString(failed.FunctionError) != "Unhandled" || aws.ToString(failed.ExecutedVersion) != "$LATEST" {
		t.Errorf("Invoke that fails: got %+v, %v", failed, err)
	}
	updated, err := client.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("f"), ZipFile: zipOf(t, "two")})
	if err != nil || aws.ToString(updated.CodeSha256) == aws.ToString(created.CodeSha256) {
		t.Errorf("UpdateFunctionCode: got %+v, %v", updated, err)
	}
	if _, err := client.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: aws.String("f"), StatementId: aws.String("s"),
		Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("firehose.amazonaws.com")}); err != nil {
		t.Errorf("AddPermission: %v", err)
	}
	var names []string
	for pages := lambda.NewListFunctionsPaginator(client, &lambda.ListFunctionsInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Functions {
			names = append(names, aws.ToString(f.FunctionName))
		}
	}
	if len(names) != 1 || names[0] != "f" {
		t.Errorf("ListFunctions: got %v", names)
	}
	if _, err := client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String("f")}); err != nil {
		t.Errorf("DeleteFunction: %v", err)
	}
}
