package provision

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/durable/awserr"
)

// pacedClients returns clients of an API Gateway that throttles the first calls.
func pacedClients(endpoint *string, throttled int) *Clients {
	var mu sync.Mutex
	return NewClients(aws.Config{Region: "eu-west-1", BaseEndpoint: endpoint, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
		HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if throttled--; throttled >= 0 {
				return &http.Response{StatusCode: 429, Header: http.Header{"X-Amzn-Errortype": {"TooManyRequestsException"}}, Body: io.NopCloser(strings.NewReader(`{"message":"Too Many Requests"}`)), Request: r}, nil
			}
			return jsonAnswer(r, http.StatusOK, `{}`), nil
		})}})
}

// All calls to API Gateway in AWS share half of its quota; a local endpoint has none.
func TestCallsArePaced(t *testing.T) {
	stages := func(ctx context.Context, c *Clients) error {
		_, err := c.APIGateway.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: aws.String("a")})
		return err
	}
	resources := func(ctx context.Context, c *Clients) error {
		_, err := c.APIGateway.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: aws.String("a")})
		return err
	}
	apis := func(ctx context.Context, c *Clients) error {
		_, err := c.APIGatewayV2.GetApis(ctx, &apigatewayv2.GetApisInput{})
		return err
	}
	for _, tt := range []struct {
		name     string
		endpoint *string
		calls    []func(context.Context, *Clients) error
		took     time.Duration
	}{
		{"within the burst", nil, []func(context.Context, *Clients) error{stages}, 0},
		{"reads", nil, []func(context.Context, *Clients) error{stages, stages, stages, stages, stages}, 8 * time.Second}, // 50 calls, 10 of them at once
		{"of both kinds of APIs", nil, []func(context.Context, *Clients) error{stages, apis, stages, apis, apis}, 8 * time.Second},
		{"GetResources", nil, []func(context.Context, *Clients) error{resources}, 6 * time.Second},
		{"through a VPC endpoint", aws.String("https://vpce-1.execute-api.eu-west-1.vpce.amazonaws.com"), []func(context.Context, *Clients) error{stages, stages}, 2 * time.Second},
		{"on this machine", aws.String("http://127.0.0.1:4580"), []func(context.Context, *Clients) error{stages, stages, stages, resources}, 0},
	} {
		synctestRun(t, tt.name, func(t *testing.T) {
			c := pacedClients(tt.endpoint, 0)
			began := time.Now()
			var group errgroup.Group
			for _, call := range tt.calls {
				for range 10 {
					group.Go(func() error { return call(t.Context(), c) })
				}
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began).Round(time.Millisecond); took != tt.took {
				t.Errorf("%d calls took %s, want %s", 10*len(tt.calls), took, tt.took)
			}
		})
	}
}

// A call that is throttled because others use up the quota is repeated for about a minute.
func TestThrottledCallsAreRepeated(t *testing.T) {
	for _, throttled := range []int{1, throttledTries - 1, throttledTries} {
		synctestRun(t, fmt.Sprint(throttled), func(t *testing.T) {
			_, err := pacedClients(nil, throttled).APIGateway.GetStages(t.Context(), &apigateway.GetStagesInput{RestApiId: aws.String("a")})
			if throttled < throttledTries && err != nil || throttled == throttledTries && !awserr.Throttled(err) {
				t.Errorf("after %d throttled attempts: %v", throttled, err)
			}
		})
	}
}
