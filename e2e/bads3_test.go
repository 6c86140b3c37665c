package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/testenv"
)

// badS3 is a proxy for an S3 server with a selectable fault.
type badS3 struct {
	mode   atomic.Int32
	spoilt [modes]atomic.Int64 // puts affected by each mode
	proxy  http.Handler
}

// Faults of a put.
const (
	good     = iota
	reset    // connection closed before anything is read
	stall    // no response, connection closed after a while
	internal // 500
	slowDown // 503 SlowDown
	denied403
	halfway // connection closed after half of the body
	silent  // object stored, no response
	modes
)

func newBadS3(t *testing.T, target string) (*badS3, string) {
	t.Helper()
	to := must(url.Parse(target))(t, "parse URL")
	b := &badS3{proxy: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
		r.Out.Host = r.In.Host // the signature covers it
	}}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return b, server.URL
}

func (b *badS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mode := int(b.mode.Load())
	if r.Method != http.MethodPut || mode == good {
		b.proxy.ServeHTTP(w, r)
		return
	}
	b.spoilt[mode].Add(1)
	refuse := func(status int, code string) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>injected fault</Message></Error>", code)
	}
	switch mode {
	case stall:
		select {
		case <-r.Context().Done():
		case <-time.After(500 * time.Millisecond):
		}
	case internal:
		refuse(http.StatusInternalServerError, "InternalError")
		return
	case slowDown:
		refuse(http.StatusServiceUnavailable, "SlowDown")
		return
	case denied403:
		refuse(http.StatusForbidden, "AccessDenied")
		return
	case halfway:
		_, _ = io.CopyN(io.Discard, r.Body, max(1, r.ContentLength/2))
	case silent:
		b.proxy.ServeHTTP(httptest.NewRecorder(), r)
	}
	panic(http.ErrAbortHandler) // closes the connection
}

// deliverThroughBadS3 starts two `up`: u delivers through a badS3 proxy to the bucket of store.
func deliverThroughBadS3(t *testing.T, deliver string) (u, store *up, b *badS3) {
	t.Helper()
	storeDir, dir := t.TempDir(), t.TempDir()
	write(t, storeDir, "stagelog.yaml", "name: store\nbucket: store-logs\n")
	store = startUp(t, storeDir, cleanEnv())
	b, proxy := newBadS3(t, store.Endpoints.AWS)
	write(t, dir, "stagelog.yaml", "name: hand\nbucket: hand-api-logs\n"+deliver)
	u = startUp(t, dir, store.clientEnv("stagelog"), "--s3-endpoint", proxy)
	return u, store, b
}

// The bucket resets, stalls, returns 500, 503 and 403, reads half of a body, and stores an object
// without a response: delivery retries, and each record is delivered exactly once.
func TestFaultyBucketExactlyOnce(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	u, store, b := deliverThroughBadS3(t, "deliver: {interval: 1s, size: 1MiB}\n")
	fh, _ := clients(t, u)
	l := &load{answered: map[string]bool{}, sent: map[string]bool{}}
	n := 0
	for mode := reset; mode < modes; mode++ {
		b.mode.Store(int32(mode))
		eventually(t, fmt.Sprintf("mode %d to affect three puts", mode), func() bool {
			if err := l.put(t, fh, fmt.Sprintf("n%d", n)); err != nil {
				t.Fatalf("put while the bucket is faulty: %v", err)
			}
			n++
			return b.spoilt[mode].Load() >= 3
		})
		b.mode.Store(good)
	}
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Fatalf("stop: %v", err)
	}
	checkOnce(t, l, store)
}

// checkOnce fails unless every acknowledged record is in exactly one object of the store.
func checkOnce(t *testing.T, l *load, store *up) {
	t.Helper()
	_, s3 := clients(t, store)
	found, objects := everyID(t, s3, "hand-api-logs")
	lost, twice, strange := l.lost(found), 0, 0
	for id, n := range found {
		if n > 1 {
			twice++
		}
		if !l.sent[id] {
			strange++
		}
	}
	t.Logf("%d records acknowledged, %d found in %d objects: %d lost, %d duplicated, %d never sent", len(l.answered), len(found), objects, lost, twice, strange)
	if lost+twice+strange > 0 || len(l.answered) == 0 {
		t.Errorf("of %d acknowledged records %d are lost, %d duplicated, %d never sent", len(l.answered), lost, twice, strange)
	}
}

// While the bucket is unavailable, records are buffered on disk and the process's memory does not
// grow. Afterwards all are delivered. STAGELOG_E2E_OUTAGE=6000000 is ten minutes of 10,000 records
// per second.
func TestOutageBuffersOnDisk(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	records := 300_000
	if text := os.Getenv("STAGELOG_E2E_OUTAGE"); text != "" {
		records = must(strconv.Atoi(text))(t, "STAGELOG_E2E_OUTAGE")
	}
	u, store, b := deliverThroughBadS3(t, "deliver: {interval: 1s, size: 5MiB}\n")
	// A client that retries would send duplicates.
	fh, _ := clients(t, u)
	const each = 500
	unanswered := map[int]bool{} // by the batch's first record: delivered once or not at all
	put := func(from int) {
		t.Helper()
		in := &firehose.PutRecordBatchInput{DeliveryStreamName: aws.String("amazon-apigateway-hand")}
		for i := range each {
			in.Records = append(in.Records, types.Record{Data: fmt.Appendf(nil, `{"request_id":"%d","key_id":"-","api_id":"shop","stage":"prod","padding":%q}`, from+i, strings.Repeat("x", 300))})
		}
		out, err := fh.PutRecordBatch(t.Context(), in)
		switch {
		case errors.Is(err, net.ErrClosed): // see putLarge
			unanswered[from] = true
		case err != nil || aws.ToInt32(out.FailedPutCount) != 0:
			t.Fatalf("put from %d on: %+v, %v", from, out, err)
		}
	}
	put(0)
	b.mode.Store(slowDown)
	var before, peak int
	for n := each; n < records; n += each {
		put(n)
		if rss := residentKB(t, u); n <= records/5 {
			before = max(before, rss)
		} else {
			peak = max(peak, rss)
		}
	}
	b.mode.Store(good)
	t.Logf("%d records while the bucket was unavailable: resident %d MB in the first fifth, up to %d MB later", records, before>>10, peak>>10)
	if before > 0 && peak > before+before/2 {
		t.Errorf("resident memory grew from %d MB to %d MB with the backlog", before>>10, peak>>10)
	}
	_, s3 := clients(t, store)
	reader := awsClients{t: t, s3: s3}
	seen, done := map[string]int{}, map[string]bool{}
	eventuallyWithin(t, 20*time.Minute, "every record to be in the bucket", func() bool {
		for _, key := range reader.keys("hand-api-logs", "") {
			if done[key] {
				continue
			}
			done[key] = true
			for raw := range strings.Lines(string(reader.object("hand-api-logs", key))) {
				_, rest, _ := strings.Cut(raw, `"request_id":"`)
				id, _, _ := strings.Cut(rest, `"`)
				seen[id]++
			}
		}
		for id := range records {
			if seen[strconv.Itoa(id)] == 0 && !unanswered[id/each*each] {
				return false
			}
		}
		return true
	})
	for id, n := range seen {
		if n != 1 {
			t.Fatalf("record %s found %d times", id, n)
		}
	}
	t.Logf("%d batches were not answered", len(unanswered))
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

// residentKB returns the resident memory of the process, or 0 if the system does not report it.
func residentKB(t *testing.T, u *up) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", u.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	var kb int
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatalf("read VmRSS: %v", err)
	}
	return kb
}
