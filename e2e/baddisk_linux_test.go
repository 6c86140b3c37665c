package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/testenv"
)

// The disk fills up while the bucket is unavailable: records that do not fit are rejected with the
// code that SDKs retry, and no acknowledged record is lost. Once the bucket is back, records are
// accepted again.
func TestFullDiskLosesNothing(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	storeDir, dir := t.TempDir(), t.TempDir()
	state := filepath.Join(dir, ".stagelog")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, "size=192m"); err != nil {
		t.Skipf("SKIPPED: cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(state, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	write(t, storeDir, "stagelog.yaml", "name: store\nbucket: store-logs\n")
	store := startUp(t, storeDir, cleanEnv())
	b, proxy := newBadS3(t, store.Endpoints.AWS)
	write(t, dir, "stagelog.yaml", "name: hand\nbucket: hand-api-logs\ndeliver: {interval: 1s, size: 1MiB}\n")
	u := startUp(t, dir, store.clientEnv("stagelog"), "--s3-endpoint", proxy)
	fh, _ := clients(t, u)
	l := &load{answered: map[string]bool{}, sent: map[string]bool{}}

	b.mode.Store(slowDown)
	refused := 0
	for n := 0; refused == 0; n++ {
		if n == 2000 {
			t.Fatal("a disk of 192 MB accepted 200 MB of records")
		}
		refused = putLarge(t, fh, l, n)
	}
	t.Logf("the disk was full after %d records of 1 KB", len(l.answered))
	if refused = putLarge(t, fh, l, 3000); refused == 0 {
		t.Error("records are accepted although the disk is full")
	}
	b.mode.Store(good)
	eventually(t, "records to be accepted again", func() bool { return putLarge(t, fh, l, 4000+len(l.sent)) == 0 })
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Errorf("stop: %v", err)
	}
	checkOnce(t, l, store)
}

// putLarge puts 100 records of 1 KB and returns how many were rejected because the disk is full.
func putLarge(t *testing.T, fh *firehose.Client, l *load, n int) (refused int) {
	t.Helper()
	in := &firehose.PutRecordBatchInput{DeliveryStreamName: aws.String("amazon-apigateway-hand")}
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprintf("n%d-%d", n, i)
		l.sent[ids[i]] = true
		in.Records = append(in.Records, types.Record{Data: fmt.Appendf(nil, `{"request_id":%q,"key_id":"-","api_id":"shop","stage":"prod","padding":%q}`, ids[i], strings.Repeat("x", 900))})
	}
	out, err := fh.PutRecordBatch(t.Context(), in)
	if errors.Is(err, net.ErrClosed) {
		// The SDK closes a request's body when the response arrives. If it has not read the end of
		// the body by then, it reports that as a failure (smithy-go's safeWriteToReadCloser returns
		// EOF). This happens with an in-memory file system.
		return 0
	}
	if err != nil && errorCode(err) == "ServiceUnavailableException" {
		return len(ids) // none of them fits
	}
	if err != nil {
		t.Fatalf("PutRecordBatch: %v, want a result for each record", err)
	}
	for i, r := range out.RequestResponses {
		switch {
		case r.ErrorCode == nil:
			l.answered[ids[i]] = true
		case *r.ErrorCode == "ServiceUnavailableException":
			refused++
		default:
			t.Fatalf("a record is rejected with %s: %s", *r.ErrorCode, aws.ToString(r.ErrorMessage))
		}
	}
	return refused
}
