package e2e

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/testenv"
)

const (
	anyRole     = "arn:aws:iam::000000000000:role/anything"
	functionARN = "arn:aws:lambda:us-east-1:000000000000:function:"
)

// awsClients holds the AWS SDK's clients for one profile.
type awsClients struct {
	t        *testing.T
	cfg      aws.Config
	firehose *firehose.Client
	gateway  *apigateway.Client
	lambda   *lambda.Client
	s3       *s3.Client
}

// sdk returns the clients for a profile of u.
func sdk(t *testing.T, u *up, profile string) awsClients {
	t.Helper()
	state := filepath.Join(u.dir, ".stagelog")
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithSharedConfigProfile(profile),
		config.WithSharedConfigFiles([]string{filepath.Join(state, "config")}), config.WithSharedCredentialsFiles([]string{filepath.Join(state, "credentials")}))
	if err != nil {
		t.Fatal(err)
	}
	cfg.BaseEndpoint = aws.String(u.Endpoints.AWS)
	cfg.RetryMaxAttempts, cfg.HTTPClient = 8, testenv.SDKClient(nil)
	return awsClients{t, cfg, firehose.NewFromConfig(cfg), apigateway.NewFromConfig(cfg), lambda.NewFromConfig(cfg),
		s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })}
}

// must returns a function that returns v, or ends the test if err is not nil.
func must[T any](v T, err error) func(t *testing.T, what string) T {
	return func(t *testing.T, what string) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return v
	}
}

func (c awsClients) createBucket(name string) {
	c.t.Helper()
	must(c.s3.CreateBucket(c.t.Context(), &s3.CreateBucketInput{Bucket: &name}))(c.t, "create bucket "+name)
}

// createStream creates a stream that delivers to bucket below logs/. change may modify its destination.
func (c awsClients) createStream(name, bucket string, change func(*types.ExtendedS3DestinationConfiguration)) {
	c.t.Helper()
	to := &types.ExtendedS3DestinationConfiguration{
		RoleARN: aws.String(anyRole), BucketARN: aws.String("arn:aws:s3:::" + bucket), Prefix: aws.String("logs/"),
		ErrorOutputPrefix: aws.String("errors/!{firehose:error-output-type}/"),
		BufferingHints:    &types.BufferingHints{SizeInMBs: aws.Int32(1), IntervalInSeconds: aws.Int32(1)},
	}
	if change != nil {
		change(to)
	}
	must(c.firehose.CreateDeliveryStream(c.t.Context(), &firehose.CreateDeliveryStreamInput{DeliveryStreamName: &name, ExtendedS3DestinationConfiguration: to}))(c.t, "create stream "+name)
}

// through returns a processing configuration with one function.
func through(arn string) *types.ProcessingConfiguration {
	return &types.ProcessingConfiguration{Enabled: aws.Bool(true), Processors: []types.Processor{{Type: types.ProcessorTypeLambda,
		Parameters: []types.ProcessorParameter{{ParameterName: types.ProcessorParameterNameLambdaArn, ParameterValue: &arn}}}}}
}

// put puts records, up to 500 at once, and ends the test unless each one is accepted.
func (c awsClients) put(stream string, records ...string) {
	c.t.Helper()
	for len(records) > 0 {
		n := min(len(records), 500)
		in := &firehose.PutRecordBatchInput{DeliveryStreamName: &stream}
		for _, r := range records[:n] {
			in.Records = append(in.Records, types.Record{Data: []byte(r)})
		}
		out := must(c.firehose.PutRecordBatch(c.t.Context(), in))(c.t, "put to "+stream)
		if aws.ToInt32(out.FailedPutCount) != 0 {
			c.t.Fatalf("put to %s: %d of %d records were not accepted", stream, *out.FailedPutCount, n)
		}
		records = records[n:]
	}
}

// keys lists the objects below prefix.
func (c awsClients) keys(bucket, prefix string) (names []string) {
	c.t.Helper()
	pages := s3.NewListObjectsV2Paginator(c.s3, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		for _, o := range must(pages.NextPage(c.t.Context()))(c.t, "list "+bucket).Contents {
			names = append(names, *o.Key)
		}
	}
	return names
}

// object returns the content of an object, decompressed if it is gzip.
func (c awsClients) object(bucket, key string) []byte {
	c.t.Helper()
	out := must(c.s3.GetObject(c.t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key}))(c.t, "get "+key)
	data, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		c.t.Fatalf("get %s: %v", key, err)
	}
	if !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return data
	}
	z := must(gzip.NewReader(bytes.NewReader(data)))(c.t, "gunzip "+key)
	return must(io.ReadAll(z))(c.t, "gunzip "+key)
}

// text returns the joined contents of all objects below prefix.
func (c awsClients) text(bucket, prefix string) string {
	c.t.Helper()
	var b strings.Builder
	for _, key := range c.keys(bucket, prefix) {
		b.Write(c.object(bucket, key))
	}
	return b.String()
}

// lines parses all lines below prefix. Each must be a JSON object of strings.
func (c awsClients) lines(bucket, prefix string) (all []line) {
	c.t.Helper()
	for raw := range strings.Lines(c.text(bucket, prefix)) {
		var l line
		if err := json.Unmarshal([]byte(raw), &l); err != nil {
			c.t.Fatalf("%s/%s holds a line that is not JSON (%v): %q", bucket, prefix, err, raw)
		}
		all = append(all, l)
	}
	return all
}

// createFunction creates a Lambda function from the program at path.
func (c awsClients) createFunction(name, path string) {
	c.t.Helper()
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	header.SetMode(0o755)
	w := must(z.CreateHeader(header))(c.t, "zip")
	program := must(os.ReadFile(path))(c.t, "read the function")
	must(w.Write(program))(c.t, "zip")
	if err := z.Close(); err != nil {
		c.t.Fatal(err)
	}
	must(c.lambda.CreateFunction(c.t.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: lambdatypes.RuntimeProvidedal2023, Role: aws.String(anyRole), Handler: aws.String("bootstrap"),
		Code: &lambdatypes.FunctionCode{ZipFile: code.Bytes()}, Timeout: aws.Int32(60),
	}))(c.t, "create function "+name)
}

// buildPartitioner builds the function that partitions records by their tenant.
func buildPartitioner(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "partitioner")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./testdata/partitioner")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the partitioner: %v\n%s", err, out)
	}
	return path
}

// denied fails unless err is S3's AccessDenied.
func denied(t *testing.T, what string, err error) {
	t.Helper()
	var coded interface{ ErrorCode() string }
	if !errors.As(err, &coded) || coded.ErrorCode() != "AccessDenied" {
		t.Errorf("%s: got %v, want AccessDenied", what, err)
	}
}

// call sends one request through a stage and returns its status.
func (u *up) call(t *testing.T, path, key string) int {
	t.Helper()
	status, _ := get(t, u.Endpoints.Stages+path, "x-api-key", key)
	return status
}

// readerPut puts an object as c.
func (c awsClients) readerPut(ctx context.Context, bucket, key string) error {
	_, err := c.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x")})
	return err
}

// keyValue returns a unique API key value.
func keyValue(format string, args ...any) string {
	return fmt.Sprintf(format, args...) + "-e2e-value-of-an-api-key"
}
