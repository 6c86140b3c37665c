package firehose_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/delivery/ingest/ingesttest"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

const createBody = `{"DeliveryStreamName":"s","S3DestinationConfiguration":{"RoleARN":"` + roleARN + `","BucketARN":"` + bucketARN + `"}}`

// withStream is a service with a stream s, and the stream's logs.
func withStream(t testing.TB, cfg firehose.Config) (*firehose.Service, *ingesttest.Logs) {
	t.Helper()
	logs := ingesttest.NewLogs()
	s := newService(t, cfg, &recordtest.Store{}, logs)
	var r reply
	if call(handler(s, clock), signed(t, "CreateDeliveryStream", createBody, nil), &r); r.Status != 200 {
		t.Fatalf("create: %d %s", r.Status, r.Body)
	}
	return s, logs
}

func TestFailedFrameFailsOnlyItsRecords(t *testing.T) {
	s, logs := withStream(t, firehose.Config{})
	c := client(t, s)
	logs.Of("s", 0).Before = func(b record.Batch) error {
		if b.Records[0][0] == 'b' {
			return errors.New("the disk said no")
		}
		return nil
	}
	// Two frames: the second begins with a b.
	batch := &sdk.PutRecordBatchInput{DeliveryStreamName: aws.String("s"), Records: []types.Record{
		{Data: bytes.Repeat([]byte("a"), 1_000_000)}, {Data: bytes.Repeat([]byte("b"), 1_000_000)}, {Data: []byte("c")},
	}}
	out, err := c.PutRecordBatch(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToInt32(out.FailedPutCount); got != 2 {
		t.Errorf("FailedPutCount = %d, want 2", got)
	}
	for i, failed := range []bool{false, true, true} {
		r := out.RequestResponses[i]
		if failed != (aws.ToString(r.ErrorCode) == "ServiceUnavailableException" && aws.ToString(r.ErrorMessage) == "Slow down." && r.RecordId == nil) || failed == (r.RecordId != nil) {
			t.Errorf("record %d: failed should be %v, is %+v", i, failed, r)
		}
	}
	if _, err := c.PutRecord(context.Background(), &sdk.PutRecordInput{DeliveryStreamName: aws.String("s"), Record: &types.Record{Data: []byte("b")}}); !isUnavailable(err) {
		t.Errorf("PutRecord with a failing log: %v, want ServiceUnavailableException", err)
	}
}

func isUnavailable(err error) bool {
	var e *types.ServiceUnavailableException
	return errors.As(err, &e)
}

func TestFullBufferReturnsServiceUnavailable(t *testing.T) {
	s, logs := withStream(t, firehose.Config{})
	logs.Of("s", 0).Before = func(record.Batch) error { return fmt.Errorf("append: %w", record.ErrFull) }
	for op, body := range map[string]string{
		"PutRecord":      `{"DeliveryStreamName":"s","Record":{"Data":"YQ=="}}`,
		"PutRecordBatch": `{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="}]}`,
	} {
		var r reply
		call(handler(s, clock), signed(t, op, body, nil), &r)
		if r.Status != 503 || r.Type != "ServiceUnavailableException" || r.Message != "Slow down." {
			t.Errorf("%s to a full buffer: %d %s", op, r.Status, r.Body)
		}
	}
}

func TestDeleteWaitsForPutInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := ingesttest.NewLogs()
		deleted := make(chan string, 1)
		s := newService(t, firehose.Config{OnDelete: func(name string) { deleted <- name }}, &recordtest.Store{}, logs)
		var r reply
		call(handler(s, clock), signed(t, "CreateDeliveryStream", createBody, nil), &r)
		release := make(chan struct{})
		logs.Of("s", 0).Before = func(record.Batch) error { <-release; return nil }
		var wg sync.WaitGroup
		wg.Go(func() {
			var r reply
			if call(handler(s, clock), signed(t, "PutRecord", `{"DeliveryStreamName":"s","Record":{"Data":"YQ=="}}`, nil), &r); r.Status != 200 {
				t.Errorf("the record under way: %d %s", r.Status, r.Body)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			var r reply
			if call(handler(s, clock), signed(t, "DeleteDeliveryStream", `{"DeliveryStreamName":"s"}`, nil), &r); r.Status != 200 {
				t.Errorf("delete: %d %s", r.Status, r.Body)
			}
		})
		synctest.Wait()
		if len(deleted) != 0 {
			t.Error("the stream was discarded while a record was under way")
		}
		if st, ok := s.Stream("s"); !ok || st.Status != firehose.StatusDeleting {
			t.Errorf("status %q, want DELETING", st.Status)
		}
		close(release)
		wg.Wait()
		if _, ok := s.Stream("s"); ok || len(deleted) != 1 {
			t.Errorf("after the delete: stream known %v, OnDelete called %d times", ok, len(deleted))
		}
	})
}
