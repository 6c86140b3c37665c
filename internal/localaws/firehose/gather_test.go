package firehose_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

const createBody = `{"DeliveryStreamName":"s","S3DestinationConfiguration":{"RoleARN":"` + roleARN + `","BucketARN":"` + bucketARN + `"}}`

// withStream is a service with a stream s, and the stream's logs.
func withStream(t testing.TB, cfg firehose.Config) (*firehose.Service, *memLogs) {
	t.Helper()
	logs := newLogs()
	s := newService(t, cfg, &recordtest.Store{}, logs)
	var r reply
	if call(handler(s, clock), signed(t, "CreateDeliveryStream", createBody, nil), &r); r.Status != 200 {
		t.Fatalf("create: %d %s", r.Status, r.Body)
	}
	return s, logs
}

func TestConcurrentPutsShareFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, logs := withStream(t, firehose.Config{})
		release := make(chan struct{})
		var mu sync.Mutex
		appends := 0
		logs.of("s", 0).before = func(record.Batch) error {
			mu.Lock()
			appends++
			mu.Unlock()
			<-release
			return nil
		}
		const clients = 64
		answered := make(chan string, clients)
		for i := range clients {
			go func() {
				ids, errs, err := s.Put(context.Background(), "s", [][]byte{fmt.Appendf(nil, "record %d", i)})
				if err != nil || errs != nil {
					t.Errorf("put %d: %v %v", i, err, errs)
				}
				answered <- fmt.Sprintf("%s=record %d", ids[0], i)
			}()
		}
		synctest.Wait() // everybody waits for the first append, or gathers behind it
		if len(answered) != 0 || appends != 1 {
			t.Fatalf("%d answered, %d appends begun while the first append blocks; want 0 and 1", len(answered), appends)
		}
		release <- struct{}{}
		synctest.Wait()
		if len(answered) != 1 || appends != 2 {
			t.Fatalf("%d answered, %d appends begun after the first append; want 1 and 2", len(answered), appends)
		}
		release <- struct{}{}
		synctest.Wait()
		if len(answered) != clients || appends != 2 {
			t.Fatalf("%d answered in %d appends, want %d in 2", len(answered), appends, clients)
		}
		stored := logs.of("s", 0).records(t, 0)
		for range clients {
			id, text, _ := strings.Cut(<-answered, "=")
			if stored[id] != text {
				t.Errorf("id %s was answered for %q, stored is %q", id, text, stored[id])
			}
		}
	})
}

func TestFullFramesDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, logs := withStream(t, firehose.Config{})
		release := make(chan struct{})
		var sizes []int
		var mu sync.Mutex
		logs.of("s", 0).before = func(b record.Batch) error {
			total := 0
			for _, r := range b.Records {
				total += len(r)
			}
			mu.Lock()
			sizes = append(sizes, total)
			mu.Unlock()
			<-release
			return nil
		}
		records := make([][]byte, 500)
		for i := range records {
			records[i] = bytes.Repeat([]byte{byte(i)}, 8<<10) // 4,000 KiB in all: four frames
		}
		done := make(chan []string)
		go func() {
			ids, errs, err := s.Put(context.Background(), "s", records)
			if err != nil || errs != nil {
				t.Errorf("put: %v %v", err, errs)
			}
			done <- ids
		}()
		synctest.Wait()
		if len(sizes) < 2 {
			t.Errorf("%d frames under way at once, want several", len(sizes))
		}
		close(release)
		ids := <-done
		for _, n := range sizes {
			if n > record.MaxFrameBytes {
				t.Errorf("a frame of %d bytes of records, at most %d fit", n, record.MaxFrameBytes)
			}
		}
		stored := logs.of("s", 0).records(t, 0)
		if len(stored) != len(records) {
			t.Errorf("%d records stored, want %d", len(stored), len(records))
		}
		for i, id := range ids {
			if stored[id] != string(records[i]) {
				t.Errorf("id %d stands for another record", i)
			}
		}
	})
}

func TestClientThatGoesAwayTakesNobodyWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, logs := withStream(t, firehose.Config{})
		release := make(chan struct{})
		logs.of("s", 0).before = func(record.Batch) error { <-release; return nil }
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if _, errs, err := s.Put(ctx, "s", [][]byte{{byte(i)}}); err != nil || errs != nil {
					t.Errorf("put %d: %v %v", i, err, errs)
				}
			})
			synctest.Wait()
		}
		cancel()
		close(release)
		wg.Wait()
		if n := len(logs.of("s", 0).records(t, 0)); n != 3 {
			t.Errorf("%d records stored, want 3", n)
		}
	})
}

func TestFailedFramesFailTheirRecordsAlone(t *testing.T) {
	s, logs := withStream(t, firehose.Config{})
	c := client(t, s)
	logs.of("s", 0).before = func(b record.Batch) error {
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
	_, errs, err := s.Put(context.Background(), "s", [][]byte{[]byte("b")})
	if err != nil || len(errs) != 1 || errs[0] == nil {
		t.Errorf("Put with a failing log: %v, %v", errs, err)
	}
}

func isUnavailable(err error) bool {
	var e *types.ServiceUnavailableException
	return errors.As(err, &e)
}

func TestFullBufferAsksToComeAgain(t *testing.T) {
	s, logs := withStream(t, firehose.Config{})
	logs.of("s", 0).before = func(record.Batch) error { return fmt.Errorf("append: %w", record.ErrFull) }
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

func TestShardsTakeTurns(t *testing.T) {
	s, logs := withStream(t, firehose.Config{Shards: 3})
	for i := range 6 {
		if _, _, err := s.Put(context.Background(), "s", [][]byte{{byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	for shard := range 3 {
		if n := len(logs.of("s", shard).records(t, shard)); n != 2 {
			t.Errorf("shard %d has %d records, want 2", shard, n)
		}
	}
}

func TestDeleteWaitsForRecordsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := newLogs()
		deleted := make(chan string, 1)
		s := newService(t, firehose.Config{OnDelete: func(name string) { deleted <- name }}, &recordtest.Store{}, logs)
		var r reply
		call(handler(s, clock), signed(t, "CreateDeliveryStream", createBody, nil), &r)
		release := make(chan struct{})
		logs.of("s", 0).before = func(record.Batch) error { <-release; return nil }
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, _, err := s.Put(context.Background(), "s", [][]byte{{1}}); err != nil {
				t.Errorf("the record under way: %v", err)
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

func TestPutRefusesWhatCanNotBeStored(t *testing.T) {
	s, _ := withStream(t, firehose.Config{})
	if _, _, err := s.Put(context.Background(), "s", [][]byte{make([]byte, record.MaxBytes+1)}); err == nil {
		t.Error("a record over the limit was taken")
	}
	if _, _, err := s.Put(context.Background(), "nobody", [][]byte{{1}}); err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("unknown stream: %v", err)
	}
	if ids, errs, err := s.Put(context.Background(), "s", nil); len(ids) != 0 || errs != nil || err != nil {
		t.Errorf("no records: %v %v %v", ids, errs, err)
	}
}

func TestRecordsWaitForCompanyAsLongAsToldAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const gather = 2 * time.Millisecond
		s, logs := withStream(t, firehose.Config{Gather: gather})
		var frames []int // records in each
		logs.of("s", 0).before = func(b record.Batch) error {
			frames = append(frames, len(b.Records))
			return nil
		}
		began := time.Now()
		put64 := func() {
			var puts sync.WaitGroup
			for range 64 {
				puts.Go(func() {
					if _, _, err := s.Put(context.Background(), "s", [][]byte{[]byte("one")}); err != nil {
						t.Error(err)
					}
				})
			}
			puts.Wait()
		}
		put64()
		if len(frames) != 1 || frames[0] != 64 || time.Since(began) != gather {
			t.Errorf("64 concurrent records went in frames of %v after %v, want one frame after %v", frames, time.Since(began), gather)
		}
		began, frames = time.Now(), nil
		put64()
		if len(frames) != 1 || frames[0] != 64 || time.Since(began) != 0 {
			t.Errorf("the same 64 again went in frames of %v after %v, want one frame as soon as all are there", frames, time.Since(began))
		}
		began, frames = time.Now(), nil
		if _, _, err := s.Put(context.Background(), "s", [][]byte{bytes.Repeat([]byte("x"), 64<<10)}); err != nil {
			t.Fatal(err)
		}
		if len(frames) != 1 || time.Since(began) != 0 {
			t.Errorf("64 KiB went in %d frames after %v, want one at once", len(frames), time.Since(began))
		}
	})
}
