package s3server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/localaws/s3server"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/testenv"
)

func TestEndpointClientIgnoresEnvironment(t *testing.T) {
	_, name := newBucket(t, "logs/a")
	c, err := bucket.New(t.Context(), bucket.Config{Endpoint: front.URL, Region: "us-east-1",
		AccessKeyID: admin.AccessKeyID, SecretAccessKey: admin.SecretAccessKey})
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, name, "logs/b", "through the front door")
	if err := c.EnsureBucket(t.Context(), name+"-2"); err != nil {
		t.Error(err)
	}
	if got, err := get(t, c, name, "logs/b"); got != "through the front door" || err != nil {
		t.Errorf("Get = %q, %v", got, err)
	}
	if keys, err := list(t, c, name, ""); len(keys) != 2 || err != nil {
		t.Errorf("List = %v, %v, want two", keys, err)
	}
}

func TestCopiedObjectHasContentAndMetadata(t *testing.T) {
	c, name := newBucket(t)
	api := raw(admin)
	if _, err := api.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &name, Key: aws.String("logs/a b+ü"), Body: strings.NewReader("content"),
		ContentType: aws.String("application/json"), Metadata: map[string]string{"origin": "shop"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &name, Key: aws.String("other/c"), CopySource: aws.String(name + "/logs/a%20b%2B%C3%BC")}); err != nil {
		t.Fatalf("CopyObject: %v", err)
	}
	copied, err := api.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &name, Key: aws.String("other/c")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, c, name, "other/c"); got != "content" || err != nil || copied.Metadata["origin"] != "shop" || aws.ToString(copied.ContentType) != "application/json" {
		t.Errorf("the copy is %q, %v, with metadata %v and type %s", got, err, copied.Metadata, aws.ToString(copied.ContentType))
	}

	upload, err := api.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &name, Key: aws.String("parts")})
	if err != nil {
		t.Fatal(err)
	}
	part, err := api.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{Bucket: &name, Key: aws.String("parts"), UploadId: upload.UploadId, PartNumber: aws.Int32(1),
		CopySource: aws.String(name + "/other/c"), CopySourceRange: aws.String("bytes=1-3")})
	if err != nil {
		t.Fatalf("UploadPartCopy: %v", err)
	}
	if _, err := api.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &name, Key: aws.String("parts"), UploadId: upload.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.CopyPartResult.ETag}}}}); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, c, name, "parts"); got != "ont" || err != nil {
		t.Errorf("the copied part is %q, %v, want ont", got, err)
	}
}

// Clients that stream send the body in chunks with its checksum behind it.
func TestHandlerKeepsChunkedUploadsWithTrailers(t *testing.T) {
	_, name := newBucket(t)
	const body = "a body in one chunk and its checksum behind it"
	sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body))))
	for what, test := range map[string]struct {
		sum  string
		want int
	}{"right checksum": {sum, http.StatusOK}, "wrong checksum": {"AAAAAA==", http.StatusBadRequest}} {
		wire := fmt.Sprintf("%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", len(body), body, test.sum)
		req := must(http.NewRequestWithContext(t.Context(), "PUT", front.URL+"/"+name+"/a%20b/c", strings.NewReader(wire)))
		const hash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
		req.Header.Set("Content-Encoding", "aws-chunked")
		req.Header.Set("X-Amz-Content-Sha256", hash)
		req.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(body)))
		req.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		req.Header.Set("X-Forwarded-For", "192.0.2.1") // a proxy would change it; it is signed
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		if err := signer.SignHTTP(t.Context(), aws.Credentials{AccessKeyID: admin.AccessKeyID, SecretAccessKey: admin.SecretAccessKey},
			req, hash, "s3", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Expect", "100-continue")
		resp, err := (&http.Transport{ExpectContinueTimeout: 10 * time.Second}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		if cerr := resp.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		if resp.StatusCode != test.want {
			t.Errorf("%s: PUT = %d, want %d\n%s", what, resp.StatusCode, test.want, answer)
		}
	}
	if got, err := get(t, server.Client(admin), name, "a b/c"); got != body || err != nil {
		t.Errorf("Get = %q, %v, want the body without its chunks", got, err)
	}
}

func TestHandlerAcceptsPresignedRequests(t *testing.T) {
	_, name := newBucket(t, "logs/a b+c")
	p, err := s3.NewPresignClient(raw(admin)).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &name, Key: aws.String("logs/a b+c")})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{}).RoundTrip(must(http.NewRequestWithContext(t.Context(), p.Method, p.URL, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if data, err := io.ReadAll(resp.Body); string(data) != "body of logs/a b+c" || err != nil {
		t.Errorf("presigned GET = %d %q, %v", resp.StatusCode, data, err)
	}
}

func TestHandlerReturns503WithoutServer(t *testing.T) {
	s, err := s3server.New(s3server.Config{Dir: t.TempDir(), Admin: admin})
	if err != nil {
		t.Fatal(err)
	}
	w := recorder{header: http.Header{}}
	s.Handler().ServeHTTP(&w, must(http.NewRequestWithContext(t.Context(), "GET", "http://x/b/k", nil)))
	if w.status != http.StatusServiceUnavailable || !strings.Contains(w.body.String(), "<Code>ServiceUnavailable</Code>") {
		t.Errorf("answer = %d %s, want 503 in the words of S3", w.status, w.body.String())
	}
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// clientEnv returns an environment for a program of AWS's, without what this test set.
func clientEnv(t *testing.T, as s3server.Account) []string {
	t.Helper()
	return testenv.Environ(t.TempDir(), "HTTP_PROXY=", "HTTPS_PROXY=", "ALL_PROXY=", "http_proxy=", "https_proxy=", "all_proxy=",
		"AWS_ACCESS_KEY_ID="+as.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+as.SecretAccessKey, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ENDPOINT_URL="+front.URL, "AWS_PAGER=")
}

func program(t *testing.T, as s3server.Account, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env, cmd.Dir = clientEnv(t, as), t.TempDir()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestAWSCLI(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	testenv.NeedTool(t, "AWS CLI", "aws", "--version")
	_, name := newBucket(t)
	dir := t.TempDir()
	large := bytes.Repeat([]byte("large "), 4<<20) // 24 MiB: the CLI uploads it in parts
	if err := os.WriteFile(filepath.Join(dir, "large"), large, 0o600); err != nil {
		t.Fatal(err)
	}
	ok := func(as s3server.Account, args ...string) string {
		t.Helper()
		out, err := program(t, as, "aws", args...)
		if err != nil {
			t.Fatalf("aws %v: %v\n%s", args, err, out)
		}
		return out
	}
	if err := os.WriteFile(filepath.Join(dir, "policy"), readerPolicy(name+"-cli", "logs/", []string{readerID}), 0o600); err != nil {
		t.Fatal(err)
	}
	ok(admin, "s3", "mb", "s3://"+name+"-cli")
	ok(admin, "s3api", "put-bucket-policy", "--bucket", name+"-cli", "--policy", "file://"+filepath.Join(dir, "policy"))
	ok(admin, "s3", "cp", filepath.Join(dir, "large"), "s3://"+name+"-cli/logs/large file+1")
	ok(admin, "s3api", "put-object", "--bucket", name+"-cli", "--key", "logs/small", "--body", filepath.Join(dir, "policy"), "--checksum-algorithm", "SHA256")
	if out := ok(reader, "s3", "ls", "s3://"+name+"-cli/logs/"); !strings.Contains(out, "25165824 large file+1") {
		t.Errorf("aws s3 ls as the reader = %s", out)
	}
	ok(reader, "s3", "cp", "s3://"+name+"-cli/logs/large file+1", filepath.Join(dir, "back"))
	if back, err := os.ReadFile(filepath.Join(dir, "back")); err != nil || !bytes.Equal(back, large) {
		t.Errorf("aws s3 cp gave %d bytes, %v, want the %d that were put", len(back), err, len(large))
	}
	ok(admin, "s3", "cp", "s3://"+name+"-cli/logs/large file+1", "s3://"+name+"-cli/copied/large") // in parts
	ok(admin, "s3", "mv", "s3://"+name+"-cli/logs/small", "s3://"+name+"-cli/moved/small")
	ok(admin, "s3", "mv", "s3://"+name+"-cli/moved/small", "s3://"+name+"-cli/logs/small")
	if out := ok(admin, "s3", "ls", "--recursive", "s3://"+name+"-cli/"); !strings.Contains(out, "25165824 copied/large") || !strings.Contains(out, " logs/small") || strings.Contains(out, "moved") {
		t.Errorf("aws s3 ls after copying and moving = %s", out)
	}
	if out, err := program(t, reader, "aws", "s3", "rm", "s3://"+name+"-cli/logs/small"); err == nil || !strings.Contains(out, "AccessDenied") {
		t.Errorf("aws s3 rm as the reader: %v\n%s", err, out)
	}
}

const boto3Script = `
import boto3, io, sys, urllib.request
from botocore.config import Config
from botocore.exceptions import ClientError
s3, name = boto3.client("s3"), sys.argv[1]
class Stream(io.RawIOBase):
    def __init__(self, data): self.data = io.BytesIO(data)
    def readable(self): return True
    def readinto(self, b):
        d = self.data.read(len(b)); b[:len(d)] = d; return len(d)
large = b"0123456789" * 2_000_000
for algorithm in ["CRC32", "SHA1", "SHA256"]:
    s3.put_object(Bucket=name, Key="logs/"+algorithm, Body=b"body", ChecksumAlgorithm=algorithm, ContentEncoding="gzip", Metadata={"a": "b  c"})
s3.put_object(Bucket=name, Key="logs/sp ace+=&\u00e4", Body=large)
s3.upload_fileobj(io.BufferedReader(Stream(large)), name, "logs/multipart")
assert s3.get_object(Bucket=name, Key="logs/multipart")["Body"].read() == large
assert s3.get_object(Bucket=name, Key="logs/sp ace+=&\u00e4")["Body"].read() == large
head = s3.head_object(Bucket=name, Key="logs/SHA256")
assert head["ContentLength"] == 4 and head["ContentEncoding"] == "gzip", head
assert s3.get_object(Bucket=name, Key="logs/multipart", Range="bytes=10-19")["Body"].read() == b"0123456789"
url = boto3.client("s3", config=Config(signature_version="s3v4")).generate_presigned_url("get_object", Params={"Bucket": name, "Key": "logs/CRC32"})
assert urllib.request.urlopen(url).read() == b"body"
assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
try:
    s3.get_object(Bucket=name, Key="none"); sys.exit("get of nothing worked")
except ClientError as e:
    assert e.response["Error"]["Code"] == "NoSuchKey", e.response
print([o["Key"] for o in s3.list_objects_v2(Bucket=name, Prefix="logs/")["Contents"]])
`

func TestBoto3(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	testenv.NeedTool(t, "boto3", "python3", "-c", "import boto3")
	_, name := newBucket(t)
	out, err := program(t, admin, "python3", "-c", boto3Script, name)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := "['logs/CRC32', 'logs/SHA1', 'logs/SHA256', 'logs/multipart', 'logs/sp ace+=&ä']\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20, 5 << 20} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			c, name := newBucket(b)
			body := make([]byte, size)
			b.SetBytes(int64(size))
			n := 0
			for b.Loop() {
				n++
				if err := c.Put(b.Context(), name, fmt.Sprintf("logs/2026/01/01/00/%d", n), bytes.NewReader(body), record.Meta{Size: int64(size)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
