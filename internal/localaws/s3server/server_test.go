package s3server_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/s3server"
	"github.com/stagelog/stagelog/internal/record"
)

// childEnv makes the test binary a process of its own with one server on that directory.
const childEnv = "STAGELOG_BUCKET_TEST_CHILD"

// check ends a child that fails.
func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child serves, puts one object, is refused once, says where it works on stderr, and ends.
func child() {
	s, err := s3server.New(s3server.Config{Dir: os.Getenv(childEnv), Region: "eu-west-1", Admin: admin, Readers: []s3server.Account{reader}})
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	check(s.Ready(ctx))
	c := s.Client(admin)
	check(c.EnsureBucket(ctx, "child"))
	check(c.Put(ctx, "child", "logs/a", strings.NewReader("body"), record.Meta{Size: 4}))
	if err := s.Client(reader).Put(ctx, "child", "x", strings.NewReader("x"), record.Meta{Size: 1}); code(err) != "AccessDenied" {
		check(fmt.Errorf("put as reader: %w", err))
	}
	wd, err := os.Getwd()
	check(err)
	fmt.Fprint(os.Stderr, wd)
	cancel()
	check(<-ended)
}

// shortageEnv makes the child leave a running server without file descriptors for a moment, instead.
const shortageEnv = "STAGELOG_BUCKET_TEST_SHORTAGE"

// childWithShortage makes one accept of the server fail with EMFILE, then stores an object.
func childWithShortage() {
	dir := os.Getenv(childEnv)
	s, err := s3server.New(s3server.Config{Dir: dir, Region: "eu-west-1", Admin: admin})
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	check(s.Ready(ctx))
	run, err := os.Readlink(filepath.Join(dir, "run"))
	check(err)
	client, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	check(err)
	var limit syscall.Rlimit
	check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: limit.Max}))
	check(syscall.Connect(client, &syscall.SockaddrUnix{Name: filepath.Join(run, "s3")}))
	_, err = syscall.Read(client, make([]byte, 1)) // returns when the server closes its socket
	fmt.Fprintln(os.Stderr, "first server ended:", err)
	check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	c := s.Client(admin)
	for {
		if err = c.EnsureBucket(ctx, "child"); err == nil {
			break
		}
		select {
		case err := <-ended:
			check(fmt.Errorf("Run ended: %w", err))
		case <-time.After(20 * time.Millisecond):
		}
	}
	cancel()
	check(<-ended)
}

func TestServerSurvivesLackOfDescriptors(t *testing.T) {
	_, stderr := runChild(t, t.TempDir(), shortageEnv+"=1")
	if !strings.Contains(stderr, "first server ended") {
		t.Errorf("no accept failed; the child printed %q", stderr)
	}
}

func runChild(t *testing.T, dir string, env ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), must(os.Executable()))
	cmd.Env = append(append(os.Environ(), childEnv+"="+dir), env...)
	cmd.Dir = t.TempDir()
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("child: %v\n%s", err, errOut.String())
	}
	return out.String(), errOut.String()
}

// The S3 server's file names are relative to the working directory, which it sets. It
// cannot be set back while the server runs; this test is here to document that.
func TestServerPrintsNothingAndChangesDirectory(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second time it finds what the first one left
		stdout, stderr := runChild(t, dir)
		if stdout != "" {
			t.Errorf("the server printed %q", stdout)
		}
		if want := filepath.Join(dir, "buckets"); stderr != want {
			t.Errorf("working directory while the server runs (or a complaint) = %q, want %q", stderr, want)
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "buckets", "child", "logs", "a")); err != nil || string(data) != "body" {
		t.Errorf("the object's file = %q, %v, want the body", data, err)
	}
}

func TestAttributesInSidecarFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "meta"), 0o700); err != nil { // as on a file system without user attributes
		t.Fatal(err)
	}
	if stdout, _ := runChild(t, dir); stdout != "" {
		t.Errorf("the server printed %q", stdout)
	}
	if _, err := os.Stat(filepath.Join(dir, "meta", "child", "logs", "a", "meta", "etag")); err != nil {
		t.Errorf("the object's ETag is not in the folder: %v", err)
	}
}

func TestUnusableDirectoryErrorNamesNextStep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s3server.New(s3server.Config{Dir: filepath.Join(file, "data"), Admin: admin})
	if err == nil || !strings.Contains(err.Error(), "choose another directory") {
		t.Errorf("New below a file = %v, want what to do", err)
	}
	if _, err := s3server.New(s3server.Config{Dir: t.TempDir()}); err == nil {
		t.Error("New without an admin = nil, want an error")
	}
}

func TestReadyEndsWithItsContext(t *testing.T) {
	s, err := s3server.New(s3server.Config{Dir: t.TempDir(), Admin: admin})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Ready(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Ready = %v, want context.Canceled", err)
	}
}
