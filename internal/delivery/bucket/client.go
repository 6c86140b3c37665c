// Package bucket reads and writes the objects of S3 buckets: those of AWS, of the S3 server in this
// process, and of any S3-compatible store.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/record"
)

// Config selects an S3 service and its credentials.
type Config struct {
	// Endpoint of an S3-compatible store (http://127.0.0.1:4580). By default AWS.
	Endpoint string
	// Region to sign for. By default the Region of AWS's configuration.
	Region string
	// AccessKeyID and SecretAccessKey. By default AWS's chain: environment, files, role.
	AccessKeyID, SecretAccessKey string
	// Transport replaces the connections to an endpoint with a static key. Bodies sent through it do
	// not leave the machine, so the signature does not cover them.
	Transport http.RoundTripper
}

// Client calls S3. It may be used in parallel. If a bucket is in another Region than the client, S3
// returns that Region and the client repeats the call there.
type Client struct {
	s3      *s3.Client
	regions sync.Map // name of a bucket in another Region to that Region
}

// New returns a client. With an endpoint and a key, it ignores the AWS_* variables, AWS's
// configuration files and the proxy variables.
func New(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Endpoint != "" && cfg.AccessKeyID != "" {
		return Isolated(cfg), nil
	}
	var load []func(*config.LoadOptions) error
	if cfg.Region != "" {
		load = append(load, config.WithRegion(cfg.Region))
	}
	if cfg.AccessKeyID != "" {
		load = append(load, config.WithCredentialsProvider(static(cfg)))
	}
	loaded, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	return Of(s3.NewFromConfig(loaded, func(o *s3.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = aws.String(cfg.Endpoint), true
		}
	})), nil
}

// SDK returns the SDK's client, for calls that Client does not offer.
func (c *Client) SDK() *s3.Client { return c.s3 }

// Of returns a client that uses the SDK's client.
func Of(client *s3.Client) *Client { return &Client{s3: client} }

// Isolated returns a client of cfg's endpoint that ignores the environment: s3.New, unlike
// NewFromConfig, does not read it.
func Isolated(cfg Config) *Client {
	o := s3.Options{
		BaseEndpoint: aws.String(cfg.Endpoint),
		UsePathStyle: true,
		Region:       cfg.Region,
		Credentials:  static(cfg),
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	transport := cfg.Transport
	if transport != nil {
		o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
	} else {
		transport = &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			MaxIdleConnsPerHost:   64,
			IdleConnTimeout:       time.Minute,
			ExpectContinueTimeout: time.Second,
			DisableCompression:    true,
		}
	}
	o.HTTPClient = &http.Client{Transport: transport}
	return Of(s3.New(o))
}

func static(cfg Config) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(cfg.AccessKeyID, cfg.SecretAccessKey, "")
}

// Put stores one object of m.Size bytes in a bucket; see Bucket.Put.
func (c *Client) Put(ctx context.Context, bucket, key string, body io.ReadSeeker, m record.Meta) error {
	return c.Bucket(bucket).Put(ctx, key, body, m)
}

// Exists reports whether the bucket has such an object.
func (c *Client) Exists(ctx context.Context, bucket, key string) (bool, error) {
	_, err := c.Bucket(bucket).Head(ctx, key)
	if errors.Is(err, record.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// EnsureBucket creates the bucket unless it exists and is accessible.
func (c *Client) EnsureBucket(ctx context.Context, bucket string) error {
	_, err := c.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
	if err == nil {
		return nil
	}
	if err = c.failed("head bucket", bucket, "", err); !errors.Is(err, record.ErrNotFound) {
		return err
	}
	in := &s3.CreateBucketInput{Bucket: &bucket}
	if region := c.s3.Options().Region; region != "us-east-1" { // us-east-1 must be left out (S3 API, CreateBucket)
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	var mine *types.BucketAlreadyOwnedByYou
	if _, err := c.s3.CreateBucket(ctx, in); err != nil && !errors.As(err, &mine) {
		return c.failed("create bucket", bucket, "", err)
	}
	return nil
}

// Policy returns the bucket's policy. The error wraps record.ErrNotFound if there is none.
func (c *Client) Policy(ctx context.Context, bucket string) (string, error) {
	out, err := c.s3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &bucket})
	if err != nil {
		return "", c.failed("read policy of bucket", bucket, "", err)
	}
	return aws.ToString(out.Policy), nil
}

// DeletePolicy deletes the bucket's policy.
func (c *Client) DeletePolicy(ctx context.Context, bucket string) error {
	if _, err := c.s3.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &bucket}); err != nil {
		return c.failed("delete policy of bucket", bucket, "", err)
	}
	return nil
}

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
