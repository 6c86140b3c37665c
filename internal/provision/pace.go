package provision

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"golang.org/x/time/rate"

	"github.com/stagelog/stagelog/internal/record"
)

// API Gateway allows an account 10 management calls per second and Region, with a burst of 40, and GetResources 5 times
// per 2 seconds; neither can be raised. Deployments and other tools use the same quota, so this process uses half of it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const (
	callsPerSecond = 5
	callsAtOnce    = 10

	getResourcesCost = 4 // in calls: 5 per 4 seconds
)

// pacedClient delays the calls to API Gateway to a part of its quota. Calls to other endpoints, such as `stagelog up`,
// are not delayed. All clients of NewClients share one.
type pacedClient struct {
	next aws.HTTPClient
	*pace
}

// pace is what the clients of API Gateway share.
type pace struct {
	limiter *rate.Limiter
	calls   atomic.Int64
	report  func(calls int64) // called after every reportEach calls; may be nil
}

func newPace() *pace { return &pace{limiter: rate.NewLimiter(callsPerSecond, callsAtOnce)} }

// reportEach is the number of calls that take ten seconds.
const reportEach = 10 * callsPerSecond

// ReportCalls sets a function that is called now and then with the number of calls to API Gateway in AWS, as progress of long reads.
func (c *Clients) ReportCalls(report func(calls int64)) { c.pace.report = report }

// Do implements aws.HTTPClient.
func (c *pacedClient) Do(r *http.Request) (*http.Response, error) {
	if record.OnAWS(r.URL.Hostname()) {
		calls := 1
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/resources") {
			calls = getResourcesCost
		}
		if err := c.limiter.WaitN(r.Context(), calls); err != nil {
			return nil, err
		}
		if n := c.calls.Add(1); n%reportEach == 0 && c.report != nil {
			c.report(n)
		}
	}
	return c.next.Do(r)
}

const (
	throttledTries = 10               // while other clients use up the quota
	throttledWait  = 10 * time.Second // the longest between two of them
)

// retryerFor returns a retryer for calls that share a quota with other clients, or usual if the configuration chooses one.
func retryerFor(cfg aws.Config, usual aws.Retryer) aws.Retryer {
	if cfg.Retryer != nil || cfg.RetryMaxAttempts != 0 || cfg.RetryMode == aws.RetryModeAdaptive {
		return usual
	}
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = throttledTries, throttledWait
		o.RateLimiter = ratelimit.None // its budget is for a whole process, and a long deploy uses it up
	})
}
