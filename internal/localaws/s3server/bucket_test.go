package s3server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/localaws/s3server"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/testenv"
)

const readerID = "111122223333"

var (
	admin    = s3server.Account{AccessKeyID: "AKIAADMIN00000000000", SecretAccessKey: "admin/secret+0000000000000000000000000000", ARN: "arn:aws:iam::000000000000:root"}
	reader   = s3server.Account{AccessKeyID: "AKIAREADER0000000000", SecretAccessKey: "reader/secret+000000000000000000000000000", ARN: "arn:aws:iam::" + readerID + ":root"}
	stranger = s3server.Account{AccessKeyID: "AKIASTRANGER00000000", SecretAccessKey: "stranger/secret+0000000000000000000000000", ARN: "arn:aws:iam::444455556666:root"}
	unknown  = s3server.Account{AccessKeyID: "AKIAUNKNOWN000000000", SecretAccessKey: "unknown/secret+00000000000000000000000000"}
)

// One server runs per process, so the tests share it; each has its own bucket.
var (
	server *s3server.Server
	front  *httptest.Server // Handler behind an ordinary listener
)

func TestMain(m *testing.M) {
	if os.Getenv(shortageEnv) != "" {
		childWithShortage()
		return
	}
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	home, err := os.MkdirTemp("", "stagelog-s3server-")
	if err != nil {
		panic(err)
	}
	missing := filepath.Join(home, "missing")
	// Nothing here may depend on these.
	for name, value := range map[string]string{
		"AWS_CA_BUNDLE": missing, "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
		"AWS_PROFILE": "unknown", "AWS_ACCESS_KEY_ID": "AKIAWRONG00000000000", "AWS_SECRET_ACCESS_KEY": "wrong", "AWS_SESSION_TOKEN": "wrong",
		"AWS_REGION": "eu-nowhere-1", "AWS_CONFIG_FILE": missing, "AWS_SHARED_CREDENTIALS_FILE": missing,
		"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_RETRY_MODE": "nonsense", "AWS_MAX_ATTEMPTS": "nonsense",
		"HOME": home, "HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1", "NO_PROXY": "",
	} {
		os.Setenv(name, value)
	}
	code := run(m)
	if err := os.RemoveAll(home); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bucket-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	// A data directory that is too long for a socket's name.
	dir = filepath.Join(dir, strings.Repeat("long", 30))
	server, err = s3server.New(s3server.Config{Dir: dir, Region: "us-east-1", Admin: admin, Readers: []s3server.Account{reader, stranger}})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	ready, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if err := server.Ready(ready); err != nil {
		panic(err)
	}
	front = httptest.NewServer(server.Handler())
	code := m.Run()
	front.Close()
	cancel()
	if err := <-ended; err != nil {
		fmt.Fprintln(os.Stderr, "Run:", err)
		return 1
	}
	return code
}

// newBucket makes a bucket for this test, with some objects, as the admin.
func newBucket(t testing.TB, keys ...string) (*bucket.Client, string) {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", "=", "-", "#", "-").Replace(t.Name()))
	name = name[:min(len(name), 40)] + "-" + strings.ToLower(rand.Text()[:8])
	c := server.Client(admin)
	if err := c.EnsureBucket(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		put(t, c, name, key, "body of "+key)
	}
	return c, name
}

func put(t testing.TB, c *bucket.Client, name, key, body string) {
	t.Helper()
	if err := c.Put(t.Context(), name, key, strings.NewReader(body), record.Meta{Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, c *bucket.Client, name, prefix string) ([]string, error) {
	t.Helper()
	keys := []string{}
	err := c.Bucket(name).List(t.Context(), prefix, "", func(o record.Object) error {
		keys = append(keys, o.Key)
		return nil
	})
	return keys, err
}

func get(t testing.TB, c *bucket.Client, name, key string) (string, error) {
	t.Helper()
	body, err := c.Bucket(name).Get(t.Context(), key)
	if err != nil {
		return "", err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), nil
}

// code is the code of an S3 error.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// raw is the plain SDK over the front door, for what Client does not offer.
func raw(as s3server.Account) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(front.URL), UsePathStyle: true, Region: "us-east-1", HTTPClient: testenv.SDKClient(&http.Transport{}),
		Credentials:      credentials.NewStaticCredentialsProvider(as.AccessKeyID, as.SecretAccessKey, ""),
		RetryMaxAttempts: 1,
	})
}

func TestPutListGet(t *testing.T) {
	c, name := newBucket(t)
	if err := c.EnsureBucket(t.Context(), name); err != nil {
		t.Errorf("EnsureBucket of one that is there: %v", err)
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := c.Put(t.Context(), name, "logs/2026/12/31/a.gz", bytes.NewReader(body),
		record.Meta{Size: int64(len(body)), ContentType: "application/octet-stream", ContentEncoding: "gzip", User: map[string]string{"source": "etag"}}); err != nil {
		t.Fatal(err)
	}
	put(t, c, name, "logs/2026/12/31/b", "first")
	put(t, c, name, "logs/2026/12/31/b", "second") // the same name again replaces
	put(t, c, name, "other", "")
	got, err := c.Bucket(name).Get(t.Context(), "logs/2026/12/31/a.gz")
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(got)
	if err != nil || !bytes.Equal(data, body) {
		t.Errorf("Get gave %d bytes, %v, want the %d that were put", len(data), err, len(body))
	}
	want := record.Meta{Size: int64(len(body)), ContentType: "application/octet-stream", ContentEncoding: "gzip", User: map[string]string{"source": "etag"}}
	if meta, err := c.Bucket(name).Head(t.Context(), "logs/2026/12/31/a.gz"); err != nil || !cmp.Equal(want, meta) {
		t.Errorf("Head = %+v, %v, want %+v", meta, err, want)
	}
	if _, err := c.Bucket(name).Head(t.Context(), "none"); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("Head of no object = %v, want ErrNotFound", err)
	}
	if got, err := get(t, c, name, "logs/2026/12/31/b"); err != nil || got != "second" {
		t.Errorf("Get = %q, %v, want second", got, err)
	}
	keys, err := list(t, c, name, "logs/")
	if diff := cmp.Diff([]string{"logs/2026/12/31/a.gz", "logs/2026/12/31/b"}, keys); diff != "" || err != nil {
		t.Errorf("List (-want +got):\n%s%v", diff, err)
	}
	var after []string
	if err := c.Bucket(name).List(t.Context(), "logs/", "logs/2026/12/31/a.gz", func(o record.Object) error {
		after = append(after, o.Key)
		return nil
	}); err != nil || len(after) != 1 || after[0] != "logs/2026/12/31/b" {
		t.Errorf("List after a.gz = %v, %v, want b", after, err)
	}
	if below, err := c.Bucket(name).Children(t.Context(), "", 10); err != nil || !cmp.Equal([]string{"logs/", "other"}, below) {
		t.Errorf("Children = %v, %v, want logs/ and other", below, err)
	}
	if err := c.Bucket(name).Delete(t.Context(), "other"); err != nil {
		t.Error(err)
	}
	if _, err := get(t, c, name, "other"); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("Get of a deleted object = %v, want ErrNotFound", err)
	}
	if _, err := list(t, c, "no-such-bucket", ""); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("List of no bucket = %v, want ErrNotFound", err)
	}
}

func TestListReadsAllPages(t *testing.T) {
	c, name := newBucket(t)
	for i := range 1001 {
		put(t, c, name, fmt.Sprintf("logs/%04d", i), "")
	}
	if keys, err := list(t, c, name, "logs/"); len(keys) != 1001 || err != nil {
		t.Errorf("List gave %d keys, %v, want 1,001", len(keys), err)
	}
}

func TestUnusualObjectNames(t *testing.T) {
	c, name := newBucket(t)
	for _, key := range []string{
		"a b", "a+b", "a%20b", "ä/€", "a=1/b=2/c", "logs/x-2-2026-01-01-00-00-00-1b4e28ba-2fa1.gz", "quote'\"", "amp&?#;", "tilde~*()!$,:@", "a%2Fb", "!{x}",
	} {
		put(t, c, name, key, key)
		if got, err := get(t, c, name, key); got != key || err != nil {
			t.Errorf("Get(%q) = %q, %v", key, got, err)
		}
		out, err := raw(admin).GetObject(t.Context(), &s3.GetObjectInput{Bucket: &name, Key: &key})
		if err != nil {
			t.Errorf("Get(%q) through Handler: %v", key, err)
			continue
		}
		if data, err := io.ReadAll(out.Body); string(data) != key || err != nil {
			t.Errorf("Get(%q) through Handler = %q, %v", key, data, err)
		}
	}
}

func TestReaderMayOnlyListAndGet(t *testing.T) {
	c, name := newBucket(t, "logs/a", "logs/b", "errors/failed/c", "d")
	if err := putPolicy(t, c, name, readerPolicy(name, "logs/!{timestamp:yyyy}/", []string{readerID, "999999999999"})); err != nil {
		t.Fatal(err)
	}
	key, errorKey, ctx := "logs/a", "errors/failed/c", t.Context()
	r := raw(reader)
	in := func(err error) string { return code(err) }
	tests := map[string]struct {
		call func(r *s3.Client) error
		want string
	}{
		"list": {func(r *s3.Client) error {
			_, err := r.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &name})
			return err
		}, "<nil>"},
		"location": {func(r *s3.Client) error {
			_, err := r.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &name})
			return err
		}, "<nil>"},
		"get": {func(r *s3.Client) error {
			_, err := r.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: &key})
			return err
		}, "<nil>"},
		"head": {func(r *s3.Client) error {
			_, err := r.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &name, Key: &key})
			return err
		}, "<nil>"},
		"get error object": {func(r *s3.Client) error {
			_, err := r.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: &errorKey})
			return err
		}, "AccessDenied"},
		"get beside the prefix": {func(r *s3.Client) error {
			_, err := r.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: aws.String("d")})
			return err
		}, "AccessDenied"},
		"get up out of the prefix": {func(r *s3.Client) error {
			_, err := r.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: aws.String("logs/../errors/failed/c")})
			if err != nil {
				return errRefused
			}
			return nil
		}, errRefused.Error()},
		"put": {func(r *s3.Client) error {
			_, err := r.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: aws.String("logs/x"), Body: strings.NewReader("x")})
			return err
		}, "AccessDenied"},
		"delete": {func(r *s3.Client) error {
			_, err := r.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: &key})
			return err
		}, "AccessDenied"},
		"read policy": {func(r *s3.Client) error {
			_, err := r.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &name})
			return err
		}, "AccessDenied"},
		"change policy": {func(r *s3.Client) error {
			_, err := r.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &name, Policy: aws.String("{}")})
			return err
		}, "AccessDenied"},
		"copy": {func(r *s3.Client) error {
			_, err := r.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &name, Key: aws.String("logs/y"), CopySource: aws.String(name + "/logs/a")})
			return err
		}, "AccessDenied"},
		"multipart": {func(r *s3.Client) error {
			_, err := r.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &name, Key: aws.String("logs/z")})
			return err
		}, "AccessDenied"},
		"create bucket": {func(r *s3.Client) error {
			_, err := r.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("of-the-reader")})
			return err
		}, "AccessDenied"},
		"delete bucket": {func(r *s3.Client) error {
			_, err := r.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &name})
			return err
		}, "AccessDenied"},
	}
	for what, test := range tests {
		if got := in(test.call(r)); got != test.want {
			t.Errorf("%s as the reader = %s, want %s", what, got, test.want)
		}
		if test.want != "<nil>" {
			continue
		}
		if got := in(test.call(raw(stranger))); got != "AccessDenied" && got != "Forbidden" {
			t.Errorf("%s as a stranger = %s, want AccessDenied", what, got)
		}
		if got := in(test.call(raw(unknown))); got != "InvalidAccessKeyId" && got != "Forbidden" {
			t.Errorf("%s with an unknown key = %s, want InvalidAccessKeyId", what, got)
		}
		wrong := reader
		wrong.SecretAccessKey = unknown.SecretAccessKey
		if got := in(test.call(raw(wrong))); got != "SignatureDoesNotMatch" && got != "Forbidden" {
			t.Errorf("%s with a wrong secret = %s, want SignatureDoesNotMatch", what, got)
		}
	}
	if resp, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(must(http.NewRequest("GET", front.URL+"/"+name+"/logs/a", nil))); err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("get without a signature = %d, want 403", resp.StatusCode)
		}
	}
}

var errRefused = errors.New("refused")

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The page that this product replaces grants s3:GetObject on the bucket's own ARN, which
// names no object. The server refuses such a policy as a whole, in the words of S3; a
// store that takes it lets its reader list and not get.
func TestSeedPolicyGrantsNoObject(t *testing.T) {
	c, name := newBucket(t, "logs/a")
	policy := func(actions string) []byte {
		return fmt.Appendf(nil, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":%s,"Resource":["arn:aws:s3:::%s"]}]}`,
			readerID, actions, name)
	}
	err := putPolicy(t, c, name, policy(`["s3:GetObject","s3:ListBucket"]`))
	if code(err) != "MalformedPolicy" || !strings.Contains(err.Error(), "Action does not apply to any resource(s) in statement") {
		t.Errorf("PutPolicy of the seed's policy = %v, want MalformedPolicy", err)
	}
	if err := putPolicy(t, c, name, policy(`["s3:ListBucket"]`)); err != nil {
		t.Fatal(err)
	}
	r := server.Client(reader)
	if keys, err := list(t, r, name, ""); len(keys) != 1 || err != nil {
		t.Errorf("List = %v, %v, want it to work", keys, err)
	}
	if _, err := get(t, r, name, "logs/a"); code(err) != "AccessDenied" {
		t.Errorf("Get = %v, want AccessDenied", err)
	}
}

func TestPolicyPrincipals(t *testing.T) {
	c, name := newBucket(t)
	for principal, ok := range map[string]bool{
		"arn:aws:iam::111122223333:root":                   true,
		"arn:aws:iam::777777777777:root":                   true, // not an account of ours: it may be one of AWS's
		"arn:aws:iam::777777777777:role/reports":           true,
		"arn:aws:iam::777777777777:user/team/ann.b@c":      true,
		"arn:aws:iam::77777777777:root":                    false,
		"arn:aws:iam::777777777777:group/x":                false,
		"arn:aws:iam::777777777777:role/":                  false,
		"arn:aws:sts::777777777777:assumed-role/reports/x": false,
		"AKIAREADER0000000000":                             false,
		"arn:aws:iam::777777777777:root ":                  false,
	} {
		p := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::%s"}]}`, principal, name)
		err := putPolicy(t, c, name, []byte(p))
		if ok && err != nil || !ok && code(err) != "MalformedPolicy" {
			t.Errorf("PutPolicy for %q = %v, want it to be taken: %v", principal, err, ok)
		}
	}
}

func TestReaderPolicyText(t *testing.T) {
	want := `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "ReaderList",
      "Effect": "Allow",
      "Principal": {
        "AWS": [
          "arn:aws:iam::111122223333:root"
        ]
      },
      "Action": "s3:ListBucket",
      "Resource": "arn:aws:s3:::acme-logs"
    },
    {
      "Sid": "ReaderLocation",
      "Effect": "Allow",
      "Principal": {
        "AWS": [
          "arn:aws:iam::111122223333:root"
        ]
      },
      "Action": "s3:GetBucketLocation",
      "Resource": "arn:aws:s3:::acme-logs"
    },
    {
      "Sid": "ReaderGet",
      "Effect": "Allow",
      "Principal": {
        "AWS": [
          "arn:aws:iam::111122223333:root"
        ]
      },
      "Action": "s3:GetObject",
      "Resource": "arn:aws:s3:::acme-logs/logs/*"
    }
  ]
}`
	if diff := cmp.Diff(want, string(readerPolicy("acme-logs", "logs/!{timestamp:yyyy}/x", []string{readerID}))); diff != "" {
		t.Errorf("ReaderPolicy (-want +got):\n%s", diff)
	}
}

func TestDropReaderPolicyKeepsOtherPolicies(t *testing.T) {
	c, name := newBucket(t, "logs/a")
	policyOf := func() (string, error) {
		out, err := raw(admin).GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: &name})
		if err != nil {
			return "", err
		}
		return *out.Policy, nil
	}
	if err := s3server.DropReaderPolicy(t.Context(), c, name); err != nil {
		t.Errorf("DropReaderPolicy without a policy = %v, want nil", err)
	}
	own := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"Mine","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::%s"}]}`, readerID, name)
	for _, tt := range []struct {
		policy string
		stays  bool
	}{{own, true}, {string(readerPolicy(name, "logs/", []string{readerID})), false}} {
		if err := putPolicy(t, c, name, []byte(tt.policy)); err != nil {
			t.Fatal(err)
		}
		if err := s3server.DropReaderPolicy(t.Context(), c, name); err != nil {
			t.Errorf("DropReaderPolicy = %v", err)
		}
		got, err := policyOf()
		if tt.stays && got != tt.policy || !tt.stays && code(err) != "NoSuchBucketPolicy" {
			t.Errorf("after DropReaderPolicy the policy is %q (%v), want it to stay: %v; it was %s", got, err, tt.stays, tt.policy)
		}
	}
	if _, err := list(t, server.Client(reader), name, ""); code(err) != "AccessDenied" {
		t.Errorf("the reader's List = %v, want AccessDenied", err)
	}
}

type readerDocument struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Principal struct{ AWS []string }
	Action    string
	Resource  string
}

// readerPolicy is the bucket policy that lets the readers, AWS account ids, list the
// bucket, ask for its location, and get the objects below the delivery prefix; nothing
// else. prefix may hold Firehose expressions: what stands before the first counts. An
// empty prefix opens every object of the bucket, error objects included.
//
// ListBucket and GetBucketLocation are actions on the bucket and GetObject is one on
// objects, so they cannot share a Resource.
func readerPolicy(bucket, prefix string, readers []string) []byte {
	prefix, _, _ = strings.Cut(prefix, "!{")
	p := readerDocument{Version: "2012-10-17", Statement: []statement{}}
	if len(readers) > 0 {
		arn := "arn:aws:s3:::" + bucket
		p.Statement = append(p.Statement,
			grant("ReaderList", "s3:ListBucket", arn, readers),
			grant("ReaderLocation", "s3:GetBucketLocation", arn, readers),
			grant("ReaderGet", "s3:GetObject", arn+"/"+prefix+"*", readers))
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		panic("BUG: a policy of strings cannot be written: " + err.Error())
	}
	return text
}

func grant(sid, action, resource string, readers []string) statement {
	s := statement{Sid: sid, Effect: "Allow", Action: action, Resource: resource}
	for _, id := range readers {
		s.Principal.AWS = append(s.Principal.AWS, "arn:aws:iam::"+id+":root")
	}
	return s
}

func putPolicy(t *testing.T, c *bucket.Client, name string, policy []byte) error {
	t.Helper()
	_, err := c.SDK().PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &name, Policy: aws.String(string(policy))})
	return err
}
