package s3server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/stagelog/stagelog/internal/record"
)

// ClientConfig says which S3 to talk to, and as whom.
type ClientConfig struct {
	// Endpoint of an S3-compatible store (http://127.0.0.1:4580). By default AWS's.
	Endpoint string
	// Region to sign for. By default what AWS's configuration says.
	Region string
	// AccessKeyID and SecretAccessKey. By default AWS's chain: environment, files, role.
	AccessKeyID, SecretAccessKey string
}

// Client puts, lists and reads objects. It may be used in parallel.
type Client struct {
	s3     *s3.Client
	region string
}

// Meta is what an object says about its content.
type Meta struct{ ContentType, ContentEncoding string }

// Object is one entry of a listing.
type Object struct {
	Key      string
	Size     int64
	Modified time.Time
	ETag     string // without quotes
}

// NewClient opens a client. With an endpoint and a key given nothing is taken from the
// AWS_* variables, AWS's files or the proxy variables.
func NewClient(ctx context.Context, cfg ClientConfig) (*Client, error) {
	if cfg.Endpoint != "" && cfg.AccessKeyID != "" {
		transport := &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			MaxIdleConnsPerHost:   64,
			IdleConnTimeout:       time.Minute,
			ExpectContinueTimeout: time.Second,
			DisableCompression:    true,
		}
		return newClient(cfg, transport), nil
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
	client := s3.NewFromConfig(loaded, func(o *s3.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = aws.String(cfg.Endpoint), true
		}
	})
	return &Client{s3: client, region: loaded.Region}, nil
}

// Client is a client of this server for one of its accounts, over its socket. Bodies are
// not hashed for the signature: they do not leave the machine.
func (s *Server) Client(as Account) *Client {
	return newClient(ClientConfig{
		Endpoint:        "http://s3",
		Region:          s.cfg.Region,
		AccessKeyID:     as.AccessKeyID,
		SecretAccessKey: as.SecretAccessKey,
	}, s.transport(), v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// newClient makes the SDK's client from cfg alone: s3.New, unlike NewFromConfig, has
// nothing of the environment.
func newClient(cfg ClientConfig, transport http.RoundTripper, options ...func(*middleware.Stack) error) *Client {
	region := cfg.Region
	if region == "" {
		region = "us-east-1"
	}
	return &Client{region: region, s3: s3.New(s3.Options{
		BaseEndpoint: aws.String(cfg.Endpoint),
		UsePathStyle: true,
		Region:       region,
		Credentials:  static(cfg),
		HTTPClient:   &http.Client{Transport: transport},
		APIOptions:   options,
	})}
}

func static(cfg ClientConfig) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(cfg.AccessKeyID, cfg.SecretAccessKey, "")
}

// Put stores one object. Repeating it with the same key and body is safe. A retry rewinds
// the body, which must hold size bytes.
func (c *Client) Put(ctx context.Context, bucket, key string, body io.ReadSeeker, size int64, m Meta) error {
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: body, ContentLength: &size}
	if m.ContentType != "" {
		in.ContentType = &m.ContentType
	}
	if m.ContentEncoding != "" {
		in.ContentEncoding = &m.ContentEncoding
	}
	if _, err := c.s3.PutObject(ctx, in); err != nil {
		return fmt.Errorf("put object %s/%s: %w", bucket, key, notFound(err))
	}
	return nil
}

// Get opens an object as it is stored: a gzip object comes compressed. The caller closes
// the body. It wraps record.ErrNotFound.
func (c *Client) Get(ctx context.Context, bucket, key string) (io.ReadCloser, Meta, error) {
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, Meta{}, fmt.Errorf("get object %s/%s: %w", bucket, key, notFound(err))
	}
	return out.Body, Meta{ContentType: aws.ToString(out.ContentType), ContentEncoding: aws.ToString(out.ContentEncoding)}, nil
}

// List calls fn with every object whose key begins with prefix, in the order of keys. An
// error of fn ends it and is returned as it is.
func (c *Client) List(ctx context.Context, bucket, prefix string, fn func(Object) error) error {
	pages := s3.NewListObjectsV2Paginator(c.s3, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list bucket %s: %w", bucket, notFound(err))
		}
		for _, o := range page.Contents {
			etag := aws.ToString(o.ETag)
			if len(etag) > 1 && etag[0] == '"' {
				etag = etag[1 : len(etag)-1]
			}
			if err := fn(Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified), ETag: etag}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Delete removes an object. One that is not there is no error.
func (c *Client) Delete(ctx context.Context, bucket, key string) error {
	if _, err := c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
		return fmt.Errorf("delete object %s/%s: %w", bucket, key, notFound(err))
	}
	return nil
}

// EnsureBucket makes the bucket unless it is there already and this account may use it.
func (c *Client) EnsureBucket(ctx context.Context, bucket string) error {
	_, err := c.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
	if err == nil {
		return nil
	}
	if err = notFound(err); !errors.Is(err, record.ErrNotFound) {
		return fmt.Errorf("look for bucket %s: %w", bucket, err)
	}
	in := &s3.CreateBucketInput{Bucket: &bucket}
	if c.region != "us-east-1" { // which has no name here (S3 API, CreateBucket)
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(c.region)}
	}
	var mine *types.BucketAlreadyOwnedByYou
	if _, err := c.s3.CreateBucket(ctx, in); err != nil && !errors.As(err, &mine) {
		return fmt.Errorf("create bucket %s: %w", bucket, err)
	}
	return nil
}

// PutPolicy replaces the bucket's policy.
func (c *Client) PutPolicy(ctx context.Context, bucket string, policy []byte) error {
	if _, err := c.s3.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: aws.String(string(policy))}); err != nil {
		return fmt.Errorf("put policy of bucket %s: %w", bucket, notFound(err))
	}
	return nil
}

// DropReaderPolicy deletes a bucket's policy if ReaderPolicy made it. One that somebody
// wrote, and no policy, stay as they are.
func (c *Client) DropReaderPolicy(ctx context.Context, bucket string) error {
	out, err := c.s3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &bucket})
	var none smithy.APIError
	if errors.As(err, &none) && none.ErrorCode() == "NoSuchBucketPolicy" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read policy of bucket %s: %w", bucket, err)
	}
	if !isReaderPolicy(aws.ToString(out.Policy)) {
		return nil
	}
	if _, err := c.s3.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &bucket}); err != nil {
		return fmt.Errorf("delete policy of bucket %s: %w", bucket, err)
	}
	return nil
}

// notFound gives the answers that mean it the sentinel.
func notFound(err error) error {
	var key *types.NoSuchKey
	var bucket *types.NoSuchBucket
	var head *types.NotFound
	if errors.As(err, &key) || errors.As(err, &bucket) || errors.As(err, &head) {
		return fmt.Errorf("%w: %w", record.ErrNotFound, err)
	}
	return err
}
