package usageplan

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/stagelog/stagelog/internal/record"
)

// S3Config selects the object of the shared snapshot. It must not be below a prefix that readers may
// get, because it names every customer.
type S3Config struct {
	Bucket, Key string
	Region      string // default us-east-1
	Endpoint    string // URL that replaces AWS's endpoint; called without a proxy
	Credentials aws.CredentialsProvider
	HTTPClient  aws.HTTPClient // default: a client that ignores AWS_* settings
}

// S3Store is a SnapshotStore in one S3 object that uses conditional puts (If-Match and If-None-Match).
type S3Store struct {
	client *client
	url    *url.URL
}

// NewS3Store returns a store. It makes no calls.
func NewS3Store(cfg S3Config) (*S3Store, error) {
	if cfg.Bucket == "" || cfg.Key == "" {
		return nil, errors.New("shared snapshot requires a bucket and a key")
	}
	region := cmp.Or(cfg.Region, "us-east-1")
	host, path := "s3."+region+"."+record.DNSSuffix(region), "/"+cfg.Bucket+"/"+cfg.Key
	if cfg.Endpoint == "" && !strings.Contains(cfg.Bucket, ".") { // the certificate's wildcard does not cover dots
		host, path = cfg.Bucket+"."+host, "/"+cfg.Key
	}
	c, err := newClient(clientConfig{
		service: "s3", region: region, endpoint: cfg.Endpoint, host: host,
		credentials: cfg.Credentials, http: cfg.HTTPClient, tries: 3,
	})
	if err != nil {
		return nil, err
	}
	u := *c.base
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	u.RawPath = escapePath(u.Path)
	return &S3Store{client: c, url: &u}, nil
}

// Get reads the object unless it still has the known ETag, or returns no bytes and no ETag if it does not exist. To callers
// that may not list the bucket, S3 returns 403 instead of 404 for a missing object, so a 403 counts as missing;
// a real lack of permission then fails in Put.
func (s *S3Store) Get(ctx context.Context, known string) (data []byte, etag string, err error) {
	header := http.Header{}
	if known != "" {
		header.Set("If-None-Match", known)
	}
	a, err := s.client.do(ctx, http.MethodGet, s.url, header, nil)
	if isStatus(err, http.StatusNotModified) {
		return nil, known, nil
	} else if isStatus(err, http.StatusNotFound, http.StatusForbidden) {
		return nil, "", nil
	} else if err != nil {
		return nil, "", err
	}
	return a.body, a.header.Get("ETag"), nil
}

// Put writes the object if its ETag is still ifMatch. A put that is repeated because its response was
// lost finds its own bytes and returns ErrChanged; the caller reads again.
func (s *S3Store) Put(ctx context.Context, data []byte, ifMatch string) (etag string, err error) {
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	if ifMatch == "" {
		header.Set("If-None-Match", "*")
	} else {
		header.Set("If-Match", ifMatch)
	}
	a, err := s.client.do(ctx, http.MethodPut, s.url, header, data)
	if isStatus(err, http.StatusPreconditionFailed, http.StatusConflict) || ifMatch != "" && isStatus(err, http.StatusNotFound) {
		return "", ErrChanged
	} else if err != nil {
		return "", err
	}
	return a.header.Get("ETag"), nil
}

// escapePath escapes everything but unreserved characters and slashes, as S3's signature requires.
func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(part), "+", "%20")
	}
	return strings.Join(parts, "/")
}
