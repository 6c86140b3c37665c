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
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Account is the account that moto gives every caller.
const Account = "123456789012"

// Region is where the tests work.
const Region = "eu-west-1"

// Server is a running moto_server.
type Server struct {
	URL string
	t   testing.TB
}

// Start runs a moto_server of the test's own until the test ends. Where the machine has
// none, the test is skipped, loudly.
func Start(t testing.TB) *Server {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("SKIPPED: no moto_server on this machine (pip install 'moto[server]'): the AWS face is not tested against an AWS that we did not write")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", fmt.Sprint(addr.Port))
	cmd.Env = append(os.Environ(), "MOTO_IAM_LOAD_MANAGED_POLICIES=false", "MOTO_LAMBDA_STUB_ECR=true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	s := &Server{URL: fmt.Sprintf("http://127.0.0.1:%d", addr.Port), t: t}
	deadline, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		if err := s.get(deadline, "/moto-api/"); err == nil {
			return s
		}
		select {
		case <-again.C:
		case err := <-exited:
			exited <- err
			t.Fatalf("moto_server ended before it was ready: %v", err)
		case <-deadline.Done():
			t.Fatal("moto_server was not ready within a minute")
		}
	}
}

func (s *Server) get(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
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

// Reset makes the server's AWS empty again.
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

// Config is what AWS's clients need to talk to the server. transport may be nil.
func (s *Server) Config(transport http.RoundTripper) aws.Config {
	return aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(s.URL),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAMOTOMOTOMOTOMOTO", "moto", ""),
		HTTPClient:   &http.Client{Transport: transport},
	}
}
