package bucket

import (
	"fmt"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/record"
)

// callError describes a failed call to S3.
type callError struct {
	action   string // "get object"
	name     string // bucket, or bucket/key
	resource string
	err      error
}

// Error returns the action, the name and the cause.
func (e *callError) Error() string { return e.action + " " + e.name + ": " + e.err.Error() }

// Unwrap returns the cause.
func (e *callError) Unwrap() error { return e.err }

// Resource returns the ARN that a policy has to allow: the bucket's, or that of all its objects.
// It supplements AccessDenied errors that name no resource.
func (e *callError) Resource() string { return e.resource }

// failed wraps err with the action and the object; key is "" for the bucket itself. The result
// also wraps record.ErrNotFound if S3 reported that the object, bucket or policy does not exist.
func (c *Client) failed(action, bucket, key string, err error) error {
	if awserr.NotFound(err) || awserr.Is(err, "NoSuchBucketPolicy") {
		err = fmt.Errorf("%w: %w", record.ErrNotFound, err)
	}
	e := &callError{action: action, name: bucket, resource: "arn:" + record.Partition(c.s3.Options().Region) + ":s3:::" + bucket, err: err}
	if key != "" {
		e.name += "/" + key
		e.resource += "/*"
	}
	return e
}
