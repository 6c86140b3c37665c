// Package moto runs moto_server, an AWS that stagelog did not write, for tests. It is
// imported by tests only.
package moto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/stagelog/stagelog/internal/testenv"
)

// Account is the account that moto gives every caller.
const Account = "123456789012"

// Region is where the tests work.
const Region = "eu-west-1"

// Server is the test process's moto_server, lent to one test at a time.
type Server struct {
	URL string
	t   testing.TB
}

// shared is the one moto_server of the test process: it takes seconds to start, and milliseconds to reset.
var shared struct {
	mu     sync.Mutex
	url    string // empty before the first Start
	holder string // the test that uses it
	stop   func()
}

// Main runs a package's tests and stops the moto_server that they used: every package that calls
// Start has it as its TestMain, or calls Stop there.
func Main(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}

// Stop ends the moto_server, if one was started.
func Stop() {
	if shared.stop != nil {
		shared.stop()
	}
}

// Start returns a moto_server without any resource, for this test alone until it ends. Where the
// machine has none, the test is skipped, loudly.
func Start(t testing.TB) *Server {
	t.Helper()
	testenv.NeedTool(t, "moto (pip install 'moto[server]')", "sh", "-c", "command -v moto_server")
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.holder != "" {
		t.Fatalf("%s still uses moto_server: use its Server, or run after it", shared.holder)
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

// launch starts moto_server and returns when it answers.
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
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for get(deadline, url+"/moto-api/") != nil {
		select {
		case <-again.C:
		case err := <-exited:
			t.Fatalf("moto_server ended before it was ready: %v", err)
		case <-deadline.Done():
			stop()
			t.Fatal("moto_server was not ready within a minute")
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

// Config returns the settings with which AWS's clients reach the server. transport may be nil.
func (s *Server) Config(transport http.RoundTripper) aws.Config {
	return aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(s.URL),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAMOTOMOTOMOTOMOTO", "moto", ""),
		HTTPClient:   &http.Client{Transport: transport},
	}
}
