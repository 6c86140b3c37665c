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
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

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

// Client puts, lists and reads objects. It may be used in parallel. If a bucket is in another
// Region than the client, S3 returns that Region and the client repeats the call there.
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

// Put stores one object of m.Size bytes and returns once it is durable. Repeating it with the
// same key and body is safe. The body starts at its current position, and a retry rewinds to it.
func (c *Client) Put(ctx context.Context, bucket, key string, body io.ReadSeeker, m record.Meta) error {
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: body, ContentLength: &m.Size, Metadata: m.User}
	if m.ContentType != "" {
		in.ContentType = &m.ContentType
	}
	if m.ContentEncoding != "" {
		in.ContentEncoding = &m.ContentEncoding
	}
	start, err := body.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = follow(ctx, c, bucket, func(there func(*s3.Options)) (*s3.PutObjectOutput, error) {
			if _, err := body.Seek(start, io.SeekStart); err != nil {
				return nil, err
			}
			return c.s3.PutObject(ctx, in, there)
		})
	}
	if err != nil {
		return c.failed("put object", bucket, key, err)
	}
	return nil
}

// Get opens an object as it is stored: gzip is not decompressed. The caller closes the body. The
// error wraps record.ErrNotFound if there is no such object.
func (c *Client) Get(ctx context.Context, bucket, key string) (io.ReadCloser, record.Meta, error) {
	out, err := follow(ctx, c, bucket, func(there func(*s3.Options)) (*s3.GetObjectOutput, error) {
		return c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key}, there)
	})
	if err != nil {
		return nil, record.Meta{}, c.failed("get object", bucket, key, err)
	}
	return out.Body, record.Meta{
		Size: aws.ToInt64(out.ContentLength), ContentType: aws.ToString(out.ContentType),
		ContentEncoding: aws.ToString(out.ContentEncoding), User: out.Metadata,
	}, nil
}

// Head returns an object's metadata. The error wraps record.ErrNotFound if there is no such object.
func (c *Client) Head(ctx context.Context, bucket, key string) (record.Meta, error) {
	out, err := follow(ctx, c, bucket, func(there func(*s3.Options)) (*s3.HeadObjectOutput, error) {
		return c.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key}, there)
	})
	if err != nil {
		return record.Meta{}, c.failed("head object", bucket, key, err)
	}
	return record.Meta{
		Size: aws.ToInt64(out.ContentLength), ContentType: aws.ToString(out.ContentType),
		ContentEncoding: aws.ToString(out.ContentEncoding), User: out.Metadata,
	}, nil
}

// List calls fn with every object whose key begins with prefix and sorts after startAfter, in
// order. It stops at fn's first error and returns it unchanged.
func (c *Client) List(ctx context.Context, bucket, prefix, startAfter string, fn func(record.Object) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix}
	if startAfter != "" {
		in.StartAfter = &startAfter
	}
	pages := s3.NewListObjectsV2Paginator(c.s3, in)
	for pages.HasMorePages() {
		page, err := follow(ctx, c, bucket, func(there func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
			return pages.NextPage(ctx, there)
		})
		if err != nil {
			return c.failed("list bucket", bucket, "", err)
		}
		for _, o := range page.Contents {
			if err := fn(record.Object{
				Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified),
				ETag: strings.Trim(aws.ToString(o.ETag), `"`),
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Children returns the entries directly below prefix, using "/" as the delimiter: first the common
// prefixes, then the keys. It returns up to limit entries.
func (c *Client) Children(ctx context.Context, bucket, prefix string, limit int32) (all []string, err error) {
	in := &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix, Delimiter: aws.String("/"), MaxKeys: &limit}
	page, err := follow(ctx, c, bucket, func(there func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
		return c.s3.ListObjectsV2(ctx, in, there)
	})
	if err != nil {
		return nil, c.failed("list bucket", bucket, "", err)
	}
	for _, p := range page.CommonPrefixes {
		all = append(all, aws.ToString(p.Prefix))
	}
	for _, o := range page.Contents {
		all = append(all, aws.ToString(o.Key))
	}
	return all, nil
}

// Delete removes an object. A missing object is not an error.
func (c *Client) Delete(ctx context.Context, bucket, key string) error {
	if _, err := follow(ctx, c, bucket, func(there func(*s3.Options)) (*s3.DeleteObjectOutput, error) {
		return c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}, there)
	}); err != nil {
		return c.failed("delete object", bucket, key, err)
	}
	return nil
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
