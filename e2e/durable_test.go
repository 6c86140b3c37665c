package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/testenv"
)

// After a kill -9, each acknowledged record is delivered exactly once. Stream and bucket survive.
func TestKillKeepsAcknowledgedRecords(t *testing.T) {
	testenv.NeedPlain(t, testenv.E2E)
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", handYAML+"deliver: {interval: 2s}\n")
	u := startUp(t, dir, cleanEnv())
	fh, _ := clients(t, u)

	var mu sync.Mutex
	answered := map[string]bool{}
	var senders sync.WaitGroup
	for client := range 4 {
		senders.Go(func() {
			for n := 0; ; n++ {
				ids, err := putBatch(t, fh, client, n)
				if err != nil {
					return // the kill
				}
				mu.Lock()
				for _, id := range ids {
					answered[id] = true
				}
				enough := len(answered) > 2000
				mu.Unlock()
				if enough && client == 0 {
					_ = u.cmd.Process.Kill()
				}
			}
		})
	}
	senders.Wait()
	if err := u.stop(syscall.SIGKILL); err == nil {
		t.Fatal("stagelog up survived the kill")
	}

	u = startUp(t, dir, cleanEnv())
	_, store := clients(t, u)
	var seen map[string]int
	eventually(t, "every acknowledged record in the bucket", func() bool {
		seen = requestIDs(t, store, "hand-api-logs")
		for id := range answered {
			if seen[id] == 0 {
				return false
			}
		}
		return true
	})
	for id, n := range seen {
		if n != 1 {
			t.Errorf("record %s is in the bucket %d times", id, n)
		}
	}
	t.Logf("%d records acknowledged, %d in the bucket", len(answered), len(seen))
}

func clients(t *testing.T, u *up) (*firehose.Client, *s3.Client) {
	t.Helper()
	state := u.dir + "/.stagelog/"
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithSharedConfigProfile("stagelog"),
		config.WithSharedConfigFiles([]string{state + "config"}), config.WithSharedCredentialsFiles([]string{state + "credentials"}))
	if err != nil {
		t.Fatal(err)
	}
	cfg.BaseEndpoint = aws.String(u.Endpoints.AWS)
	cfg.RetryMaxAttempts, cfg.HTTPClient = 1, testenv.SDKClient(nil)
	return firehose.NewFromConfig(cfg), s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

// putBatch puts 100 records and returns the request ids of those that were accepted.
func putBatch(t *testing.T, fh *firehose.Client, client, n int) ([]string, error) {
	in := &firehose.PutRecordBatchInput{DeliveryStreamName: aws.String("amazon-apigateway-hand")}
	var ids []string
	for i := range 100 {
		id := fmt.Sprintf("c%d-%d-%d", client, n, i)
		ids = append(ids, id)
		in.Records = append(in.Records, types.Record{Data: fmt.Appendf(nil, `{"request_id":%q,"key_id":"-","api_id":"shop","stage":"prod"}`, id)})
	}
	out, err := fh.PutRecordBatch(t.Context(), in)
	if err != nil {
		return nil, err
	}
	var accepted []string
	for i, r := range out.RequestResponses {
		if r.ErrorCode == nil {
			accepted = append(accepted, ids[i])
		}
	}
	return accepted, nil
}

// requestIDs counts the request ids over all objects of a bucket.
func requestIDs(t *testing.T, store *s3.Client, bucket string) map[string]int {
	t.Helper()
	seen := map[string]int{}
	pages := s3.NewListObjectsV2Paginator(store, &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			for _, l := range objectLines(t, store, bucket, *o.Key) {
				seen[l["request_id"]]++
			}
		}
	}
	return seen
}

func objectLines(t *testing.T, store *s3.Client, bucket, key string) (all []line) {
	t.Helper()
	out, err := store.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(key, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	for _, raw := range bytes.Split(bytes.TrimSpace(data), []byte("\n")) {
		var l line
		if err := json.Unmarshal(raw, &l); err != nil {
			t.Fatalf("%s holds a line that is not JSON: %v", key, err)
		}
		all = append(all, l)
	}
	return all
}
