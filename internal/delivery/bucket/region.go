package bucket

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// regions remembers the buckets that are in another Region than the client.
type regions struct {
	mu sync.Mutex // guards of
	of map[string]string
}

func (r *regions) get(bucket string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[bucket]
}

func (r *regions) set(bucket, region string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[string]string{}
	}
	r.of[bucket] = region
}

// there returns the option that sends a call to the bucket's Region.
func (c *Client) there(bucket string) func(*s3.Options) {
	return func(o *s3.Options) {
		if region := c.regions.get(bucket); region != "" {
			o.Region = region
		}
	}
}

// follow calls S3, and once more where S3 answers that the bucket is in another Region.
func follow[T any](ctx context.Context, c *Client, bucket string, call func(there func(*s3.Options)) (T, error)) (T, error) {
	out, err := call(c.there(bucket))
	if err == nil || !elsewhere(err) {
		return out, err
	}
	region := regionIn(err)
	if region == "" { // the answer to HEAD always has it
		answer, headErr := c.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket}, c.there(bucket))
		if region = regionIn(headErr); headErr == nil {
			region = aws.ToString(answer.BucketRegion)
		}
	}
	if region == "" || region == c.regions.get(bucket) {
		return out, err
	}
	c.regions.set(bucket, region)
	return call(c.there(bucket))
}

// elsewhere reports whether S3 answered that a bucket is in another Region than the one asked.
// MovedPermanently is the answer to HEAD, which has no body.
func elsewhere(err error) bool {
	return answered(err, "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "MovedPermanently")
}

// regionIn returns the Region in which S3 says that the bucket is; "" when it does not say.
func regionIn(err error) string {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil {
		return ""
	}
	return answer.Response.Header.Get("X-Amz-Bucket-Region")
}

func answered(err error, codes ...string) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && slices.Contains(codes, answer.ErrorCode())
}
