package firehose_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/delivery/ingest/ingesttest"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

// do sends a request that must return 200; out may be nil.
func do(t *testing.T, h http.Handler, op, body string, out any) {
	t.Helper()
	var r reply
	if call(h, signed(t, op, body, nil), &r); r.Status != 200 {
		t.Fatalf("%s: %d %s", op, r.Status, r.Body)
	}
	if out != nil {
		if err := json.Unmarshal([]byte(r.Body), out); err != nil {
			t.Fatalf("%s answered %s: %v", op, r.Body, err)
		}
	}
}

// destinationOf returns the extended destination of Describe, indented.
func destinationOf(t *testing.T, h http.Handler, name string) string {
	t.Helper()
	var out struct {
		DeliveryStreamDescription struct {
			Destinations []struct{ ExtendedS3DestinationDescription json.RawMessage }
		}
	}
	do(t, h, "DescribeDeliveryStream", `{"DeliveryStreamName":"`+name+`"}`, &out)
	return pretty(t, out.DeliveryStreamDescription.Destinations[0].ExtendedS3DestinationDescription)
}

func pretty(t *testing.T, raw []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	out, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestDescribeFillsInDefaults(t *testing.T) {
	s := newService(t, firehose.Config{Clock: clock}, &recordtest.Store{}, ingesttest.NewLogs())
	h := handler(s, clock)
	do(t, h, "CreateDeliveryStream", processors(lambda("LambdaArn", lambdaARN)), nil)
	var got json.RawMessage
	do(t, h, "DescribeDeliveryStream", `{"DeliveryStreamName":"new"}`, &got)
	const s3 = `"RoleARN":"` + roleARN + `","BucketARN":"` + bucketARN + `","BufferingHints":{"SizeInMBs":5,"IntervalInSeconds":300},
		"CompressionFormat":"UNCOMPRESSED","EncryptionConfiguration":{"NoEncryptionConfig":"NoEncryption"},"CloudWatchLoggingOptions":{"Enabled":false}`
	want := `{"DeliveryStreamDescription":{"DeliveryStreamName":"new","DeliveryStreamARN":"arn:aws:firehose:us-east-1:000000000000:deliverystream/new",
		"DeliveryStreamStatus":"ACTIVE","DeliveryStreamEncryptionConfiguration":{"Status":"DISABLED"},"DeliveryStreamType":"DirectPut","VersionId":"1",
		"CreateTimestamp":1795435230.000,"HasMoreDestinations":false,"Destinations":[{"DestinationId":"destinationId-000000000001",
		"S3DestinationDescription":{` + s3 + `},
		"ExtendedS3DestinationDescription":{` + s3 + `,"S3BackupMode":"Disabled","ProcessingConfiguration":{"Enabled":true,"Processors":[{"Type":"Lambda","Parameters":[
			{"ParameterName":"LambdaArn","ParameterValue":"` + lambdaARN + `"},{"ParameterName":"NumberOfRetries","ParameterValue":"3"},
			{"ParameterName":"RoleArn","ParameterValue":"` + roleARN + `"},{"ParameterName":"BufferSizeInMBs","ParameterValue":"1"},
			{"ParameterName":"BufferIntervalInSeconds","ParameterValue":"60"}]}]}}}]}}`
	if diff := cmp.Diff(pretty(t, []byte(want)), pretty(t, got)); diff != "" {
		t.Errorf("DescribeDeliveryStream (-want +got):\n%s", diff)
	}
	stream, _ := s.Stream("new")
	l, ok := stream.Destination.Lambda()
	if want := (firehose.Lambda{ARN: lambdaARN, Retries: 3, Bytes: 1 << 20, Interval: time.Minute}); !ok || l != want {
		t.Errorf("Lambda() = %+v, %v; want %+v", l, ok, want)
	}
	if d := stream.Destination; d.Bucket() != "logs" || d.SizeBytes() != 5<<20 || d.Interval() != 5*time.Minute || d.Zone() != time.UTC || d.AppendsDelimiter() || d.Partitioning() || d.Backup() != nil {
		t.Errorf("destination: %+v", d)
	}
}

func TestProcessingIsOffWhenEnabledIsOmitted(t *testing.T) {
	s := newService(t, firehose.Config{}, &recordtest.Store{}, ingesttest.NewLogs())
	do(t, handler(s, clock), "CreateDeliveryStream", create(`,"ProcessingConfiguration":{"Processors":[`+lambda("LambdaArn", lambdaARN)+`]}`), nil)
	stream, _ := s.Stream("new")
	if _, ok := stream.Destination.Lambda(); ok {
		t.Error("the function is called though Enabled was omitted")
	}
}

func TestUpdateMergesAndReplacesProcessing(t *testing.T) {
	s := newService(t, firehose.Config{}, &recordtest.Store{}, ingesttest.NewLogs())
	h := handler(s, clock)
	do(t, h, "CreateDeliveryStream", create(`,"Prefix":"a/","ErrorOutputPrefix":"e/","FileExtension":".log","CustomTimeZone":"Europe/Berlin","S3BackupMode":"Enabled",
		"S3BackupConfiguration":{"RoleARN":"`+roleARN+`","BucketARN":"`+bucketARN+`","Prefix":"raw/"},
		"ProcessingConfiguration":{"Enabled":true,"Processors":[`+lambda("LambdaArn", lambdaARN)+`,{"Type":"AppendDelimiterToRecord"}]}`), nil)
	change := func(version, members string) {
		t.Helper()
		do(t, h, "UpdateDestination", strings.Replace(update(version, "destinationId-000000000001", members), `"s"`, `"new"`, 1), nil)
	}
	change("1", `"BufferingHints":{"SizeInMBs":1,"IntervalInSeconds":0},"CompressionFormat":"GZIP"`)
	got, _ := s.Stream("new")
	d := got.Destination
	if got.VersionID != "2" || got.Version() != 2 || d.Prefix != "a/" || d.ErrorOutputPrefix != "e/" || d.FileExtension != ".log" || d.Zone().String() != "Europe/Berlin" ||
		d.Backup() == nil || d.Backup().Prefix != "raw/" || !d.AppendsDelimiter() || d.Interval() != 0 || d.SizeBytes() != 1<<20 || d.CompressionFormat != "GZIP" {
		t.Errorf("after the first update: %+v", got)
	}
	if _, ok := d.Lambda(); !ok {
		t.Error("the function went with an update that did not name it")
	}
	change("2", `"ProcessingConfiguration":{"Enabled":true,"Processors":[{"Type":"AppendDelimiterToRecord","Parameters":[{"ParameterName":"Delimiter","ParameterValue":"\\n"}]}]},"FileExtension":"","S3BackupUpdate":{"Prefix":"kept/"}`)
	got, _ = s.Stream("new")
	if _, ok := got.Destination.Lambda(); ok || !got.Destination.AppendsDelimiter() || got.Destination.FileExtension != "" || got.Destination.Backup().Prefix != "kept/" || got.Destination.Backup().Bucket() != "logs" {
		t.Errorf("after the second update: %+v", got)
	}
	var r reply
	call(h, signed(t, "UpdateDestination", strings.Replace(update("3", "destinationId-000000000001", `"S3BackupMode":"Disabled"`), `"s"`, `"new"`, 1), nil), &r)
	if r.Message != "S3BackupMode can not be changed from Enabled to Disabled." {
		t.Errorf("backup off: %d %s", r.Status, r.Body)
	}
}

func TestPlainS3DestinationDescribedTwice(t *testing.T) {
	s, _ := withStream(t, firehose.Config{})
	h := handler(s, clock)
	do(t, h, "UpdateDestination", `{"DeliveryStreamName":"s","CurrentDeliveryStreamVersionId":"1","DestinationId":"destinationId-000000000001","S3DestinationUpdate":{"Prefix":"p/"}}`, nil)
	if got := destinationOf(t, h, "s"); !strings.Contains(got, `"Prefix": "p/"`) || !strings.Contains(got, `"S3BackupMode": "Disabled"`) {
		t.Errorf("described: %s", got)
	}
}

func TestStreamsSurviveRestart(t *testing.T) {
	store, logs := &recordtest.Store{}, ingesttest.NewLogs()
	s := newService(t, firehose.Config{Clock: clock}, store, logs)
	h := handler(s, clock)
	do(t, h, "CreateDeliveryStream", processors(lambda("LambdaArn", lambdaARN)), nil)
	do(t, h, "CreateDeliveryStream", strings.Replace(createBody, "{", `{"Tags":[{"Key":"a","Value":"b"}],"DirectPutSourceConfiguration":{"ThroughputHintInMBs":7},`, 1), nil)
	do(t, h, "UpdateDestination", update("1", "destinationId-000000000001", `"Prefix":"p/"`), nil)
	do(t, h, "CreateDeliveryStream", strings.Replace(createBody, `"s"`, `"deleted"`, 1), nil)
	do(t, h, "DeleteDeliveryStream", `{"DeliveryStreamName":"deleted"}`, nil)
	want := s.Streams()

	var changed []string
	s = newService(t, firehose.Config{Clock: clock, OnChange: func(s firehose.Stream) { changed = append(changed, s.Name) }}, store, logs)
	if diff := cmp.Diff(want, s.Streams()); diff != "" {
		t.Errorf("streams (-before +after the restart):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"new", "s"}, changed); diff != "" {
		t.Errorf("OnChange of New: %s", diff)
	}
	h = handler(s, clock)
	do(t, h, "UpdateDestination", update("2", "destinationId-000000000001", `"Prefix":"q/"`), nil)
	do(t, h, "PutRecord", `{"DeliveryStreamName":"new","Record":{"Data":"YQ=="}}`, nil)
	if len(logs.Of("new", 0).Records(t, 0)) != 1 {
		t.Error("a record of the stream that was there before is not stored")
	}
}

func TestDeleteCompletesAfterCrash(t *testing.T) {
	store := &recordtest.Store{}
	s := newService(t, firehose.Config{}, store, ingesttest.NewLogs())
	do(t, handler(s, clock), "CreateDeliveryStream", createBody, nil)
	// The definition as it stands when the process ends while OnDelete runs.
	store = recordtest.StoreOf(map[string]string{"stream/s": strings.Replace(store.Docs()["stream/s"], `"ACTIVE"`, `"DELETING"`, 1)})
	var deleted []string
	s = newService(t, firehose.Config{OnDelete: func(name string) { deleted = append(deleted, name) }}, store, ingesttest.NewLogs())
	if diff := cmp.Diff([]string{"s"}, deleted); diff != "" || len(s.Streams()) != 0 || len(store.Docs()) != 0 {
		t.Errorf("OnDelete %v, streams %v, store %v", deleted, s.Streams(), store.Docs())
	}
}

func TestListsArePaged(t *testing.T) {
	s := newService(t, firehose.Config{}, &recordtest.Store{}, ingesttest.NewLogs())
	h := handler(s, clock)
	for i := range 12 {
		do(t, h, "CreateDeliveryStream", strings.Replace(createBody, `"s"`, fmt.Sprintf(`"s%02d"`, 11-i), 1), nil)
	}
	var page struct {
		DeliveryStreamNames    []string
		HasMoreDeliveryStreams bool
	}
	do(t, h, "ListDeliveryStreams", `{}`, &page)
	if len(page.DeliveryStreamNames) != 10 || page.DeliveryStreamNames[0] != "s00" || !page.HasMoreDeliveryStreams {
		t.Errorf("first page: %+v", page)
	}
	do(t, h, "ListDeliveryStreams", `{"ExclusiveStartDeliveryStreamName":"s09","Limit":2}`, &page)
	if diff := cmp.Diff([]string{"s10", "s11"}, page.DeliveryStreamNames); diff != "" || page.HasMoreDeliveryStreams {
		t.Errorf("last page: %+v", page)
	}
	do(t, h, "ListDeliveryStreams", `{"DeliveryStreamType":"MSKAsSource"}`, &page)
	if len(page.DeliveryStreamNames) != 0 || page.DeliveryStreamNames == nil {
		t.Errorf("other type: %+v", page)
	}
	do(t, h, "TagDeliveryStream", `{"DeliveryStreamName":"s00","Tags":[{"Key":"b"},{"Key":"a"},{"Key":"c"}]}`, nil)
	var tags struct {
		Tags        []firehose.Tag
		HasMoreTags bool
	}
	do(t, h, "ListTagsForDeliveryStream", `{"DeliveryStreamName":"s00","ExclusiveStartTagKey":"a","Limit":1}`, &tags)
	if len(tags.Tags) != 1 || tags.Tags[0].Key != "b" || !tags.HasMoreTags {
		t.Errorf("tags: %+v", tags)
	}
	do(t, h, "UntagDeliveryStream", `{"DeliveryStreamName":"s00","TagKeys":["a","b","c"]}`, nil)
	var r reply
	if call(h, signed(t, "ListTagsForDeliveryStream", `{"DeliveryStreamName":"s00"}`, nil), &r); r.Body != `{"HasMoreTags":false,"Tags":[]}` {
		t.Errorf("no tags left: %s", r.Body)
	}
}

func TestStoreErrorsAreNotExposed(t *testing.T) {
	store := &recordtest.Store{}
	s := newService(t, firehose.Config{}, store, ingesttest.NewLogs())
	h := handler(s, clock)
	store.Fail(errors.New("secret path of the disk"))
	var r reply
	call(h, signed(t, "CreateDeliveryStream", createBody, nil), &r)
	if r.Status != 500 || r.Type != "InternalFailure" || strings.Contains(r.Body, "secret") {
		t.Errorf("store fails: %d %s", r.Status, r.Body)
	}
	if len(s.Streams()) != 0 {
		t.Error("the stream is there though it could not be written")
	}
}

func TestNewRefusesInvalidConfig(t *testing.T) {
	logs := ingesttest.NewLogs()
	if _, err := firehose.New(context.Background(), firehose.Config{Region: region}, &recordtest.Store{}, ingest.New(ingest.Config{}, logs.Open)); err == nil {
		t.Error("no account: New took it")
	}
	store := recordtest.StoreOf(map[string]string{"stream/x": "{"})
	if _, err := firehose.New(context.Background(), firehose.Config{Region: region, Account: account}, store, ingest.New(ingest.Config{}, logs.Open)); err == nil {
		t.Error("a definition that does not decode: New took it")
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	streams := ingest.New(ingest.Config{Metrics: reg}, ingesttest.NewLogs().Open)
	s := newServiceOn(t, firehose.Config{Metrics: firehose.NewMetrics(reg)}, &recordtest.Store{}, streams)
	h := handler(s, clock)
	do(t, h, "CreateDeliveryStream", createBody, nil)
	do(t, h, "PutRecordBatch", batch(3, 10), nil)
	var r reply
	call(h, signed(t, "PutRecord", `{"DeliveryStreamName":"unknown","Record":{"Data":"YQ=="}}`, nil), &r)
	call(h, signed(t, "Invented", `{}`, nil), &r)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	want := map[string]float64{
		"stagelog_firehose_append_seconds":                                     1,
		"stagelog_firehose_bytes_total":                                        30,
		"stagelog_firehose_frames_total":                                       1,
		"stagelog_firehose_records_total":                                      3,
		"stagelog_firehose_refused_records_total":                              0,
		"stagelog_firehose_requests_total OK CreateDeliveryStream":             1,
		"stagelog_firehose_requests_total OK PutRecordBatch":                   1,
		"stagelog_firehose_requests_total ResourceNotFoundException PutRecord": 1,
		"stagelog_firehose_requests_total UnknownOperationException unknown":   1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
