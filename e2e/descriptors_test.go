package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/testenv"
)

// leastFiles is the lowest limit of open files with which `up` starts.
const leastFiles = 64

// limited returns a program that runs the binary with a hard limit of open files.
func limited(t *testing.T, files int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "limited")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d && exec %q \"$@\"\n", files, bin.stagelog)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTooFewDescriptorsAreRefused(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	for _, files := range []int{24, leastFiles - 1} {
		dir := t.TempDir()
		u, err := tryUp(t, limited(t, files), dir, cleanEnv(), "--bare")
		if err == nil {
			t.Fatalf("up started with %d open files", files)
		}
		text := u.stderr.String()
		for _, want := range []string{fmt.Sprintf("limit of open files is %d", files), fmt.Sprint(leastFiles), "ulimit -Hn"} {
			if !strings.Contains(text, want) {
				t.Errorf("with %d open files: stderr does not contain %q:\n%s", files, want, text)
			}
		}
		if code := u.cmd.ProcessState.ExitCode(); code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
	}
}

// With the lowest limit of open files, idle connections use up all descriptors while clients send. Acknowledged records
// are delivered once, refused records are not, and all goes on when the connections are closed.
func TestLackOfDescriptorsLosesNothing(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", handYAML+"deliver: {interval: 1s, size: 1MiB}\n")
	u, err := tryUp(t, limited(t, leastFiles), dir, cleanEnv())
	if err != nil {
		t.Fatalf("%v\n%s", err, u.stderr.String())
	}
	l := &outcomes{answer: map[string]string{}}
	l.run(t, u, "before", 20)
	if n := l.count(acknowledged); n == 0 {
		t.Fatal("no record was acknowledged before the shortage")
	}
	var idle []net.Conn
	at := must(url.Parse(u.Endpoints.Stages))(t, "parse URL")
	for range 2 * leastFiles {
		conn, err := net.Dial("tcp", at.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle = append(idle, conn)
	}
	eventually(t, "a lack of descriptors", func() bool { return strings.Contains(u.stderr.String(), "too many open files") })
	l.run(t, u, "during", 100)
	for _, conn := range idle {
		conn.Close() //nolint:errcheck // it was never used
	}
	eventually(t, "the end of the shortage", func() bool {
		status, _ := get(t, u.Endpoints.Console+"/readyz")
		return status == 200
	})
	l.run(t, u, "after", 20)
	_, store := clients(t, u)
	var found map[string]int
	eventually(t, "every acknowledged record in the bucket", func() bool {
		found, _ = everyID(t, store, "hand-api-logs")
		for id, answer := range l.answer {
			if answer == acknowledged && found[id] == 0 {
				return false
			}
		}
		return true
	})
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Errorf("stop: %v", err)
	}
	twice, wrong := 0, 0
	for id, n := range found {
		if n > 1 {
			twice++
		}
		if l.answer[id] == refused {
			wrong++
		}
	}
	if twice+wrong > 0 {
		t.Errorf("%d records are in the bucket twice, and %d that were refused", twice, wrong)
	}
	t.Logf("%d acknowledged, %d refused, %d not answered; %d found, %d twice, %d of the refused", l.count(acknowledged), l.count(refused), l.count(unanswered), len(found), twice, wrong)
	for line := range strings.Lines(u.stderr.String()) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("stderr has a line that is not of the log: %q", line)
		}
	}
}

// Answers to a record that was sent.
const (
	acknowledged = "acknowledged"
	refused      = "refused"
	unanswered   = "unanswered" // may have been stored
)

// outcomes records the answer to each record that was sent.
type outcomes struct {
	mu     sync.Mutex
	answer map[string]string
}

// run sends batches from several clients, each on a connection of its own.
func (o *outcomes) run(t *testing.T, u *up, name string, batches int) {
	t.Helper()
	var all sync.WaitGroup
	for client := range loadClients {
		fh, _ := clients(t, u)
		all.Go(func() {
			for n := range batches {
				o.put(t, fh, fmt.Sprintf("%s-c%d-n%d", name, client, n))
			}
		})
	}
	all.Wait()
}

// put sends a batch of 50 records of 2 KB.
func (o *outcomes) put(t *testing.T, fh *firehose.Client, batch string) {
	in := &firehose.PutRecordBatchInput{DeliveryStreamName: aws.String("amazon-apigateway-hand")}
	ids := make([]string, 50)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%d", batch, i)
		in.Records = append(in.Records, types.Record{Data: fmt.Appendf(nil, `{"request_id":%q,"key_id":"-","api_id":"shop","stage":"prod","padding":%q}`, ids[i], strings.Repeat("x", 2000))})
	}
	out, err := fh.PutRecordBatch(t.Context(), in)
	var api smithy.APIError
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, id := range ids {
		switch {
		case errors.As(err, &api):
			o.answer[id] = refused
		case err != nil:
			o.answer[id] = unanswered
		case out.RequestResponses[i].ErrorCode != nil:
			o.answer[id] = refused
		default:
			o.answer[id] = acknowledged
		}
	}
}

func (o *outcomes) count(answer string) (n int) {
	for _, a := range o.answer {
		if a == answer {
			n++
		}
	}
	return n
}
