package bucket

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/durable/awserr"
)

// there returns an option that sends a call to the bucket's Region.
func (c *Client) there(bucket string) func(*s3.Options) {
	return func(o *s3.Options) {
		if region, ok := c.regions.Load(bucket); ok {
			o.Region = region.(string)
		}
	}
}

// follow calls S3, and repeats the call if S3 reports that the bucket is in another Region.
func follow[T any](ctx context.Context, c *Client, bucket string, call func(there func(*s3.Options)) (T, error)) (T, error) {
	out, err := call(c.there(bucket))
	if err == nil || !awserr.OtherRegion(err) {
		return out, err
	}
	region := awserr.BucketRegion(err)
	if region == "" { // HEAD always returns it
		answer, headErr := c.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket}, c.there(bucket))
		if region = awserr.BucketRegion(headErr); headErr == nil {
			region = aws.ToString(answer.BucketRegion)
		}
	}
	if region == "" {
		return out, err
	}
	if known, _ := c.regions.Swap(bucket, region); known == region {
		return out, err
	}
	return call(c.there(bucket))
}
