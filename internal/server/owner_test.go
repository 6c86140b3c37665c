package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/testenv"
)

// A reader of the bucket gets IAM's own refusal.
func TestIAMRefusesReadersAsAWSDoes(t *testing.T) {
	restoreDir(t)
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	cfg := testConfig(t, upstream.URL)
	cfg.Pipeline.Readers = []string{"111122223333"}
	err := Run(t.Context(), cfg, func(ctx context.Context, c *Server) error {
		reader := c.accounts.Readers[0]
		client := iam.New(iam.Options{
			Region: c.Region(), BaseEndpoint: aws.String(c.Endpoints().AWS), Retryer: aws.NopRetryer{}, HTTPClient: testenv.SDKClient(nil),
			Credentials: credentials.NewStaticCredentialsProvider(reader.AccessKeyID, reader.SecretAccessKey, ""),
		})
		_, err := client.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("x")})
		var api smithy.APIError
		var res *awshttp.ResponseError
		if !errors.As(err, &api) || !errors.As(err, &res) || api.ErrorCode() != "AccessDenied" || res.HTTPStatusCode() != 403 || !strings.Contains(api.ErrorMessage(), "iam:GetRole") {
			t.Errorf("GetRole as a reader: %v, want 403 AccessDenied for iam:GetRole", err)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
}
