package firehose_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/delivery/ingest/ingesttest"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record/recordtest"
	"github.com/stagelog/stagelog/internal/testenv"
)

const (
	testKey    = "AKIAIOSFODNN7EXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	region     = "us-east-1"
	account    = "000000000000"
	roleARN    = "arn:aws:iam::000000000000:role/delivery"
	bucketARN  = "arn:aws:s3:::logs"
	lambdaARN  = "arn:aws:lambda:us-east-1:000000000000:function:enrich"
)

type oneKey struct{}

func (oneKey) Secret(id string) (string, wire.Identity, bool) {
	return testSecret, wire.Identity{AccessKeyID: id, Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account}, id == testKey
}

// newService fails the test when it can't be made.
func newService(t testing.TB, cfg firehose.Config, store *recordtest.Store, logs *ingesttest.Logs) *firehose.Service {
	t.Helper()
	return newServiceOn(t, cfg, store, ingest.New(ingest.Config{Clock: cfg.Clock}, logs.Open))
}

func newServiceOn(t testing.TB, cfg firehose.Config, store *recordtest.Store, streams *ingest.Streams) *firehose.Service {
	t.Helper()
	cfg.Region, cfg.Account = region, account
	cfg.CheckSchema = func(c firehose.SchemaConfiguration) error {
		if c.TableName != "lines" {
			return fmt.Errorf("there is no table %s", c.TableName)
		}
		return nil
	}
	s, err := firehose.New(context.Background(), cfg, store, streams)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func handler(s *firehose.Service, clock func() time.Time) http.Handler {
	return wire.NewMux(wire.Config{Verifier: wire.NewVerifier(oneKey{}, clock), Region: region, Account: account},
		map[string]http.Handler{"firehose": s, "sts": wire.STS()})
}

// client is the Go SDK over HTTP, independent of the environment.
func client(t testing.TB, s *firehose.Service) *sdk.Client {
	t.Helper()
	server := httptest.NewServer(handler(s, time.Now))
	t.Cleanup(server.Close)
	return sdk.New(sdk.Options{
		Region: region, BaseEndpoint: aws.String(server.URL), HTTPClient: testenv.SDKClient(nil),
		Credentials: credentials.NewStaticCredentialsProvider(testKey, testSecret, ""), RetryMaxAttempts: 1,
	})
}

func extended() *types.ExtendedS3DestinationConfiguration {
	return &types.ExtendedS3DestinationConfiguration{RoleARN: aws.String(roleARN), BucketARN: aws.String(bucketARN)}
}

func TestGoSDKOperations(t *testing.T) {
	ctx := context.Background()
	logs := ingesttest.NewLogs()
	var changed, deleted []string
	s := newService(t, firehose.Config{
		OnChange: func(s firehose.Stream) { changed = append(changed, s.Name+" "+s.VersionID) },
		OnDelete: func(name string) { deleted = append(deleted, name) },
	}, &recordtest.Store{}, logs)
	c := client(t, s)
	name := aws.String("amazon-apigateway-x")

	created, err := c.CreateDeliveryStream(ctx, &sdk.CreateDeliveryStreamInput{
		DeliveryStreamName: name, ExtendedS3DestinationConfiguration: extended(),
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("api")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToString(created.DeliveryStreamARN); got != "arn:aws:firehose:us-east-1:000000000000:deliverystream/amazon-apigateway-x" {
		t.Errorf("ARN = %s", got)
	}

	listed, err := c.ListDeliveryStreams(ctx, &sdk.ListDeliveryStreamsInput{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{*name}, listed.DeliveryStreamNames); diff != "" || aws.ToBool(listed.HasMoreDeliveryStreams) {
		t.Errorf("ListDeliveryStreams: %s", diff)
	}

	if _, err := c.UpdateDestination(ctx, &sdk.UpdateDestinationInput{
		DeliveryStreamName: name, CurrentDeliveryStreamVersionId: aws.String("1"), DestinationId: aws.String("destinationId-000000000001"),
		ExtendedS3DestinationUpdate: &types.ExtendedS3DestinationUpdate{CompressionFormat: types.CompressionFormatGzip},
	}); err != nil {
		t.Fatal(err)
	}
	described, err := c.DescribeDeliveryStream(ctx, &sdk.DescribeDeliveryStreamInput{DeliveryStreamName: name})
	if err != nil {
		t.Fatal(err)
	}
	d := described.DeliveryStreamDescription
	if aws.ToString(d.VersionId) != "2" || d.DeliveryStreamStatus != types.DeliveryStreamStatusActive || d.LastUpdateTimestamp == nil ||
		time.Since(aws.ToTime(d.CreateTimestamp)) > time.Minute || aws.ToBool(d.HasMoreDestinations) {
		t.Errorf("described: %+v", d)
	}
	if got := d.Destinations[0].ExtendedS3DestinationDescription.CompressionFormat; got != types.CompressionFormatGzip {
		t.Errorf("CompressionFormat = %s", got)
	}

	one, err := c.PutRecord(ctx, &sdk.PutRecordInput{DeliveryStreamName: name, Record: &types.Record{Data: []byte("one")}})
	if err != nil {
		t.Fatal(err)
	}
	batch := &sdk.PutRecordBatchInput{DeliveryStreamName: name}
	want := map[string]string{aws.ToString(one.RecordId): "one"}
	for i := range 500 {
		batch.Records = append(batch.Records, types.Record{Data: []byte(fmt.Sprintf("record %d \x00\xff", i))})
	}
	many, err := c.PutRecordBatch(ctx, batch)
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToInt32(many.FailedPutCount) != 0 || len(many.RequestResponses) != 500 {
		t.Fatalf("FailedPutCount %d, %d responses", aws.ToInt32(many.FailedPutCount), len(many.RequestResponses))
	}
	for i, r := range many.RequestResponses {
		want[aws.ToString(r.RecordId)] = fmt.Sprintf("record %d \x00\xff", i)
	}
	if diff := cmp.Diff(want, logs.Of(*name, 0).Records(t, 0)); diff != "" {
		t.Errorf("stored records (-answered +stored):\n%s", diff)
	}

	if _, err := c.TagDeliveryStream(ctx, &sdk.TagDeliveryStreamInput{DeliveryStreamName: name, Tags: []types.Tag{{Key: aws.String("a")}, {Key: aws.String("team"), Value: aws.String("ops")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UntagDeliveryStream(ctx, &sdk.UntagDeliveryStreamInput{DeliveryStreamName: name, TagKeys: []string{"unknown", "a"}}); err != nil {
		t.Fatal(err)
	}
	tags, err := c.ListTagsForDeliveryStream(ctx, &sdk.ListTagsForDeliveryStreamInput{DeliveryStreamName: name})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]types.Tag{{Key: aws.String("team"), Value: aws.String("ops")}}, tags.Tags, cmpopts.IgnoreUnexported(types.Tag{})); diff != "" {
		t.Errorf("tags: %s", diff)
	}

	if _, err := c.StopDeliveryStreamEncryption(ctx, &sdk.StopDeliveryStreamEncryptionInput{DeliveryStreamName: name}); err != nil {
		t.Errorf("StopDeliveryStreamEncryption: %v", err)
	}
	_, err = c.StartDeliveryStreamEncryption(ctx, &sdk.StartDeliveryStreamEncryptionInput{DeliveryStreamName: name})
	var refused *types.InvalidArgumentException
	if !errors.As(err, &refused) {
		t.Errorf("StartDeliveryStreamEncryption: %v, want InvalidArgumentException", err)
	}

	if _, err := c.DeleteDeliveryStream(ctx, &sdk.DeleteDeliveryStreamInput{DeliveryStreamName: name}); err != nil {
		t.Fatal(err)
	}
	_, err = c.PutRecord(ctx, &sdk.PutRecordInput{DeliveryStreamName: name, Record: &types.Record{Data: []byte("late")}})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Errorf("PutRecord to a deleted stream: %v, want ResourceNotFoundException", err)
	}
	var op *smithy.OperationError
	if !errors.As(err, &op) {
		t.Errorf("%v is no OperationError", err)
	}
	if diff := cmp.Diff([]string{"amazon-apigateway-x 1", "amazon-apigateway-x 2"}, changed); diff != "" {
		t.Errorf("OnChange: %s", diff)
	}
	if diff := cmp.Diff([]string{"amazon-apigateway-x"}, deleted); diff != "" {
		t.Errorf("OnDelete: %s", diff)
	}
}
