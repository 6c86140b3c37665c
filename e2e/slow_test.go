package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/testenv"
)

// A hundred clients of each server send one of 100 bytes and wait. Their requests are ended with the right status, none
// of them is left at the upstream, and a client that sends whole requests is served meanwhile.
func TestSlowClientsAreEnded(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	var pending atomic.Int64 // at the upstream
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pending.Add(1)
		defer pending.Add(-1)
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "{}")
	}))
	t.Cleanup(api.Close)
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", fmt.Sprintf("name: slow\nbucket: slow-logs\ndeliver: {interval: 1s}\nlocal:\n  apis: [{id: open, upstream: %q, stages: [prod], api_key_required: false}]\n", api.URL))
	u := startUp(t, dir, cleanEnv())
	if status, body := get(t, u.Endpoints.Stages+"/open/prod/first"); status != http.StatusOK {
		t.Fatalf("request = %d: %s", status, body)
	}
	key := regexp.MustCompile(`aws_access_key_id *= *(\S+)`).FindStringSubmatch(string(must(os.ReadFile(filepath.Join(dir, ".stagelog", "credentials")))(t, "read credentials")))[1]
	signed := func(service string) string {
		now := time.Now().UTC()
		return fmt.Sprintf("Authorization: AWS4-HMAC-SHA256 Credential=%s/%s/us-east-1/%s/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=%064d\r\n"+
			"X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\nX-Amz-Date: %s\r\n", key, now.Format("20060102"), service, 0, now.Format("20060102T150405Z"))
	}
	servers := []struct {
		name, url, header string
		status            int
	}{
		{"stage", u.Endpoints.Stages + "/open/prod/slow", "", 408},
		{"Firehose", u.Endpoints.AWS + "/", "X-Amz-Target: Firehose_20150804.PutRecord\r\n" + signed("firehose"), 400},
		{"S3", u.Endpoints.AWS + "/slow-logs/object", signed("s3"), 400},
		{"console of up", u.Endpoints.Console + "/sql", "Content-Type: application/x-www-form-urlencoded\r\n", 400},
		{"stagelog console", consoleOf(t, t.TempDir(), u.clientEnv("stagelog"), "s3://slow-logs/logs/") + "/sql", "Content-Type: application/x-www-form-urlencoded\r\n", 400},
	}
	var slow sync.WaitGroup
	var ended atomic.Bool
	for _, s := range servers {
		for range 100 {
			slow.Go(func() {
				began := time.Now()
				status, err := sendOneByte(s.url, s.header)
				if err != nil || status != s.status {
					t.Errorf("%s ended a slow request with %d after %v (%v), want %d", s.name, status, time.Since(began).Round(time.Second), err, s.status)
				}
			})
		}
	}
	normal := make(chan int)
	go func() {
		pace := time.NewTicker(10 * time.Millisecond)
		defer pace.Stop()
		n := 0
		for ; !ended.Load(); n++ {
			resp, err := http.Get(u.Endpoints.Stages + "/open/prod/whole")
			if err != nil {
				t.Errorf("a whole request failed meanwhile: %v", err)
				break
			}
			_, err = io.Copy(io.Discard, resp.Body)
			if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("a whole request = %d meanwhile: %v", resp.StatusCode, err)
			}
			<-pace.C
		}
		normal <- n
	}()
	slow.Wait()
	ended.Store(true)
	t.Logf("%d whole requests meanwhile", <-normal)
	eventually(t, "the upstream's requests to end", func() bool { return pending.Load() == 0 })
}

// sendOneByte sends one byte of a body of 100, and returns the status of the response.
func sendOneByte(address, header string) (int, error) {
	at, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	conn, err := net.Dial("tcp", at.Host)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	// The limit is 30 seconds; a busy machine may need more time.
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return 0, err
	}
	method := http.MethodPost
	if strings.HasSuffix(at.Path, "/object") {
		method = http.MethodPut
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n%s\r\nx", method, at.Path, at.Host, header); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
