// Package moto runs moto_server, an independent mock of AWS, for tests. Only tests import it.
package moto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/stagelog/stagelog/internal/testenv"
)

// Account is the account of every caller in moto.
const Account = "123456789012"

// Region is the Region that the tests use.
const Region = "eu-west-1"

// Server is the test process's moto_server. One test at a time can use it.
type Server struct {
	URL string
	t   testing.TB
}

// shared is the only moto_server of the test process: it starts in seconds, and resets in milliseconds.
var shared struct {
	mu     sync.Mutex
	url    string // "" before the first Start
	holder string // the test that uses it
	stop   func()
}

// Main runs a package's tests and stops the moto_server that they used. Every package that calls
// Start must call Main or Stop in its TestMain.
func Main(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}

// Stop stops the moto_server, if one was started.
func Stop() {
	if shared.stop != nil {
		shared.stop()
	}
}

// Start returns an empty moto_server for exclusive use by this test. It skips the test with a
// message if moto_server is not installed.
func Start(t testing.TB) *Server {
	t.Helper()
	testenv.NeedTool(t, "moto (pip install 'moto[server]')", "sh", "-c", "command -v moto_server")
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.holder != "" {
		t.Fatalf("%s still uses moto_server; use its Server, or run after it", shared.holder)
	}
	if shared.url == "" {
		launch(t)
	}
	s := &Server{URL: shared.url, t: t}
	s.Reset()
	shared.holder = t.Name()
	t.Cleanup(func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		shared.holder = ""
	})
	return s
}

// launch starts moto_server and waits until it responds.
func launch(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "stagelog-moto-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("moto_server", "-H", "127.0.0.1", "-p", fmt.Sprint(addr.Port))
	cmd.Env = testenv.Environ(home, "MOTO_IAM_LOAD_MANAGED_POLICIES=false", "MOTO_LAMBDA_STUB_ECR=true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	stop := func() {
		_ = cmd.Process.Kill()
		<-exited
		_ = os.RemoveAll(home)
	}
	url := fmt.Sprintf("http://127.0.0.1:%d", addr.Port)
	deadline, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for get(deadline, url+"/moto-api/") != nil {
		select {
		case <-retry.C:
		case err := <-exited:
			t.Fatalf("moto_server exited before it was ready: %v", err)
		case <-deadline.Done():
			stop()
			t.Fatal("moto_server was not ready after 60 s")
		}
	}
	shared.url, shared.stop = url, stop
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// Reset deletes every resource.
func (s *Server) Reset() {
	s.t.Helper()
	res, err := http.Post(s.URL+"/moto-api/reset", "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("reset moto: %s %v", res.Status, err)
	}
}

// Config returns an AWS client configuration for the server. transport may be nil.
func (s *Server) Config(transport http.RoundTripper) aws.Config {
	return aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(s.URL),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAMOTOMOTOMOTOMOTO", "moto", ""),
		HTTPClient:   testenv.SDKClient(noCode{transport}),
	}
}

// noCode refuses to download a function's code: moto links to a bucket in AWS, which has none.
type noCode struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (n noCode) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Host, "awslambda-") {
		return nil, errors.New("moto has no code")
	}
	if n.next == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return n.next.RoundTrip(r)
}
