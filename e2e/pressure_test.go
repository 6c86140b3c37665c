package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/testenv"
)

// The bucket is unavailable until the buffer and the stages' queue are full: PutRecord returns
// ServiceUnavailable, the stages continue to serve, and lost log lines are counted. Once the bucket
// is back, all other lines are delivered.
func TestFullBufferKeepsAPIServing(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	storeDir, dir := t.TempDir(), t.TempDir()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{}") }))
	t.Cleanup(api.Close)
	write(t, storeDir, "stagelog.yaml", "name: store\nbucket: store-logs\n")
	store := startUp(t, storeDir, cleanEnv())
	b, proxy := newBadS3(t, store.Endpoints.AWS)
	write(t, dir, "stagelog.yaml", "name: hand\nbucket: hand-api-logs\ndeliver: {interval: 1s, size: 1MiB}\n"+
		"local:\n  apis: [{id: open, upstream: "+strconv.Quote(api.URL)+", stages: [prod], api_key_required: false}]\n")
	u := startUp(t, dir, store.clientEnv("stagelog"), "--s3-endpoint", proxy, "--buffer-size", "8MiB")
	lost := func() int { return metric(t, u, `stagelog_gateway_log_lines_lost_total`) }

	b.mode.Store(slowDown)
	const most = 20_000
	var sent atomic.Int64
	var clients8 sync.WaitGroup
	path := u.Endpoints.Stages + "/open/prod/" + strings.Repeat("x", 7000)
	for range 8 {
		clients8.Go(func() {
			for n := sent.Add(1); n <= most && !t.Failed(); n = sent.Add(1) {
				if status, body := get(t, path); status != http.StatusOK {
					t.Errorf("request %d = %d: %s", n, status, body)
				}
				if n%200 == 0 && lost() > 0 {
					sent.Add(most)
				}
			}
		})
	}
	clients8.Wait()
	if lost() == 0 {
		t.Fatalf("a buffer of 8 MiB and a queue accepted %d lines of 7 KB", most)
	}
	requests := metric(t, u, `stagelog_gateway_log_lines_total`) + lost()
	fh, _ := clients(t, u)
	_, err := fh.PutRecordBatch(t.Context(), &firehose.PutRecordBatchInput{
		DeliveryStreamName: aws.String("amazon-apigateway-hand"), Records: []types.Record{{Data: make([]byte, 900_000)}},
	})
	if err == nil || errorCode(err) != "ServiceUnavailableException" {
		t.Errorf("put with a full buffer: %v, want ServiceUnavailableException", err)
	}

	b.mode.Store(good)
	kept := requests - lost()
	bucket := sdk(t, store, "stagelog")
	eventually(t, "every line that was not lost", func() bool {
		return strings.Count(bucket.text("hand-api-logs", "logs/"), "\n") == kept
	})
	t.Logf("%d requests, %d lines lost and counted, %d in the bucket", requests, lost(), kept)
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// metric returns the sum of a counter over its labels.
func metric(t *testing.T, u *up, name string) (sum int) {
	t.Helper()
	_, text := get(t, u.Endpoints.Console+"/metrics")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') {
			value := strings.Fields(rest)
			n, err := strconv.ParseFloat(value[len(value)-1], 64)
			if err != nil {
				t.Fatalf("metric %s: %v", line, err)
			}
			sum += int(n)
		}
	}
	return sum
}
