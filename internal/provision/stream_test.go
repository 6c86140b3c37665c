package provision

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/record"
)

// streamSpec returns a pipeline with the stages, in moto's account.
func streamSpec(t testing.TB, stages ...record.StageRef) *desired.Spec {
	t.Helper()
	p, err := config.Parse("stagelog.yaml", []byte("name: acme\nbucket: acme-api-logs\n"), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	p.Stages = stages
	return &desired.Spec{Pipeline: p, Partition: "aws", Region: moto.Region, Account: moto.Account, Architecture: "arm64"}
}

func quiet(string) {}

func changedNames(s State) (names []string) {
	for _, f := range s.Changed() {
		names = append(names, f.Name)
	}
	return names
}

func TestStreamLifecycle(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	r := newStream(wantOf(streamSpec(t)), c)
	r.Drain = 0
	read := func() State {
		t.Helper()
		s, err := r.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	apply := func(found State) {
		t.Helper()
		if err := r.Apply(t.Context(), found, quiet); err != nil {
			t.Fatal(err)
		}
	}
	if s := read(); s.Exists {
		t.Fatalf("an empty account has a stream: %+v", s)
	}
	apply(read())
	if s := read(); !s.Exists || s.RequiredFlag != NoFlag || len(s.Changed()) > 0 {
		t.Fatalf("after creation Read = %+v with the changes %v", s, s.Changed())
	}
	tests := []struct {
		change types.ExtendedS3DestinationUpdate
		want   []string
	}{
		{types.ExtendedS3DestinationUpdate{Prefix: aws.String("elsewhere/")}, []string{"prefix"}},
		{types.ExtendedS3DestinationUpdate{ErrorOutputPrefix: aws.String("bad/")}, []string{"error prefix"}},
		{types.ExtendedS3DestinationUpdate{BufferingHints: &types.BufferingHints{IntervalInSeconds: aws.Int32(900), SizeInMBs: aws.Int32(128)}}, []string{"buffering"}},
		{types.ExtendedS3DestinationUpdate{CompressionFormat: types.CompressionFormatZip}, []string{"compression"}},
		{types.ExtendedS3DestinationUpdate{ProcessingConfiguration: &types.ProcessingConfiguration{Enabled: aws.Bool(false)}}, []string{"processing"}},
		{types.ExtendedS3DestinationUpdate{CloudWatchLoggingOptions: &types.CloudWatchLoggingOptions{Enabled: aws.Bool(false)}}, []string{"error log"}},
	}
	for _, tt := range tests {
		d, err := r.describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Firehose.UpdateDestination(t.Context(), &firehose.UpdateDestinationInput{DeliveryStreamName: aws.String(r.Name()),
			CurrentDeliveryStreamVersionId: d.VersionId, DestinationId: d.Destinations[0].DestinationId, ExtendedS3DestinationUpdate: &tt.change})
		if err != nil {
			t.Fatal(err)
		}
		found := read()
		if diff := cmp.Diff(tt.want, changedNames(found)); diff != "" {
			t.Errorf("after a manual change of %v, Read differs in (-want +got):\n%s", tt.want, diff)
		}
		apply(found)
		if s := read(); len(s.Changed()) > 0 {
			t.Errorf("after the repair of %v there is still %v", tt.want, s.Changed())
		}
	}
	did, err := r.Destroy(t.Context(), read(), quiet)
	if err != nil || !strings.Contains(did, "deleted") || read().Exists {
		t.Errorf("Destroy = %q, %v; stream exists: %v", did, err, read().Exists)
	}
}

func TestStreamAdoption(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	r := newStream(wantOf(streamSpec(t)), c)
	given := func(in firehose.CreateDeliveryStreamInput) {
		t.Helper()
		m.Reset()
		in.DeliveryStreamName = aws.String(r.Name())
		if _, err := c.Firehose.CreateDeliveryStream(t.Context(), &in); err != nil {
			t.Fatal(err)
		}
	}
	to := &types.S3DestinationConfiguration{RoleARN: aws.String("arn:aws:iam::123456789012:role/theirs"), BucketARN: aws.String("arn:aws:s3:::theirs")}

	//lint:ignore SA1019 old streams have it
	given(firehose.CreateDeliveryStreamInput{S3DestinationConfiguration: to})
	found, err := r.Read(t.Context())
	if err != nil || found.RequiredFlag != AdoptFlag || found.Reason == "" {
		t.Fatalf("Read of a foreign stream = %+v, %v, want AdoptFlag", found, err)
	}
	if did, err := r.Destroy(t.Context(), found, quiet); did != "" || err != nil {
		t.Errorf("Destroy of it = %q, %v, want nothing done", did, err)
	}
	if err := r.Apply(t.Context(), found, quiet); err != nil {
		t.Fatal(err)
	}
	if found, err = r.Read(t.Context()); err != nil || found.RequiredFlag != NoFlag || len(found.Changed()) > 0 {
		t.Errorf("after adoption Read = %+v, %v", found, err)
	}

	given(firehose.CreateDeliveryStreamInput{HttpEndpointDestinationConfiguration: &types.HttpEndpointDestinationConfiguration{
		EndpointConfiguration: &types.HttpEndpointConfiguration{Url: aws.String("https://example.com")}, S3Configuration: to}})
	if _, err := r.Read(t.Context()); !errors.Is(err, ErrOtherKind) || !strings.Contains(err.Error(), "delete-delivery-stream") {
		t.Errorf("Read of a stream to an HTTP endpoint: %v, want ErrOtherKind and the next step", err)
	}
}

// Destroy drains for the buffering time of the existing stream, even if stagelog.yaml has a shorter one.
func TestStreamDrainTime(t *testing.T) {
	c := NewClients(moto.Start(t).Config(nil))
	spec := streamSpec(t)
	lowered := newStream(wantOf(spec), c)
	p := *spec.Pipeline
	p.Deliver.Interval = 15 * time.Minute
	was := *spec
	was.Pipeline = &p
	mustApply(t, newStream(wantOf(&was), c))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var first string
	_, err := lowered.Destroy(ctx, mustRead(t, lowered), func(text string) {
		if first == "" {
			first = text
		}
		cancel()
	})
	if want := "waiting 17m0s"; !strings.HasPrefix(first, want) || !errors.Is(err, context.Canceled) {
		t.Errorf("Destroy of a stream with 900 s of buffering and 60 s for the function: first progress %q, %v; want %q, context.Canceled", first, err, want)
	}
	if !mustRead(t, lowered).Exists {
		t.Error("the stream was deleted before it was drained")
	}
}

// roundTrip adapts a function to a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func jsonAnswer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// A stream in CREATING_FAILED is deleted and recreated.
func TestFailedStreamIsRecreated(t *testing.T) {
	m := moto.Start(t)
	broken := true
	c := NewClients(m.Config(roundTrip(func(req *http.Request) (*http.Response, error) {
		switch {
		case strings.HasSuffix(req.Header.Get("X-Amz-Target"), ".DeleteDeliveryStream"):
			broken = false
			return jsonAnswer(req, http.StatusOK, `{}`), nil
		case strings.HasSuffix(req.Header.Get("X-Amz-Target"), ".DescribeDeliveryStream") && broken:
			return jsonAnswer(req, http.StatusOK, `{"DeliveryStreamDescription":{"DeliveryStreamName":"amazon-apigateway-acme","DeliveryStreamStatus":"CREATING_FAILED","DeliveryStreamType":"DirectPut","VersionId":"1","HasMoreDestinations":false,"Destinations":[],"FailureDescription":{"Type":"UNKNOWN_ERROR","Details":"no luck"}}}`), nil
		case strings.HasSuffix(req.Header.Get("X-Amz-Target"), ".ListTagsForDeliveryStream") && broken:
			return jsonAnswer(req, http.StatusOK, `{"HasMoreTags":false,"Tags":[{"Key":"stagelog","Value":"eu-west-1/acme"}]}`), nil
		}
		return http.DefaultTransport.RoundTrip(req)
	})))
	r := newStream(wantOf(streamSpec(t)), c)
	found, err := r.Read(t.Context())
	if err != nil || !found.Differs("status") {
		t.Fatalf("Read = %+v, %v, want the status to differ", found, err)
	}
	if err := r.Apply(t.Context(), found, quiet); err != nil {
		t.Fatal(err)
	}
	if found, err = r.Read(t.Context()); err != nil || broken || len(found.Changed()) > 0 {
		t.Errorf("after Apply Read = %+v, %v", found, err)
	}
}

// Resources with the pipeline's names that cannot be its own do not block removals.
func TestRemovalsSkipForeignResources(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := streamSpec(t, record.StageRef{API: "nosuchapi1", Stage: "prod"})
	_, err := c.Firehose.CreateDeliveryStream(t.Context(), &firehose.CreateDeliveryStreamInput{DeliveryStreamName: aws.String(s.Stream()),
		HttpEndpointDestinationConfiguration: &types.HttpEndpointDestinationConfiguration{
			EndpointConfiguration: &types.HttpEndpointConfiguration{Url: aws.String("https://example.com")},
			S3Configuration:       &types.S3DestinationConfiguration{RoleARN: aws.String("arn:aws:iam::123456789012:role/theirs"), BucketARN: aws.String("arn:aws:s3:::theirs")}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := newFirehoseRole(s, c).Apply(t.Context(), State{}, quiet); err != nil {
		t.Fatal(err)
	}
	removals, err := FindRemovals(t.Context(), s, c)
	if err != nil || len(removals) != 1 || removals[0].Name != s.FirehoseRole() {
		t.Errorf("FindRemovals = %+v, %v, want only the role", removals, err)
	}
}
