package bundle

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// probe prints how a program comes by each zip, and its size.
const probe = `package main

import (
	"context"
	"fmt"

	"github.com/stagelog/stagelog/internal/provision/bundle"
)

func main() {
	for _, arch := range []string{"arm64", "x86_64"} {
		zip, how, err := bundle.Zip(context.Background(), arch, bundle.Options{})
		fmt.Println(string(zip), how, err)
	}
}
`

func TestAReleaseHasTheZipsAndNeedsNoGo(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	dir := copied(t)
	write(t, filepath.Join(dir, "cmd/probe/main.go"), probe)
	folder := filepath.Join(dir, "internal/provision/bundle")
	program := filepath.Join(t.TempDir(), "probe")
	build := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "release", "-buildvcs=false", "-o", program, "./cmd/probe")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	for _, zip := range []string{"enricher-arm64.zip", "enricher-x86_64.zip"} {
		if err := os.RemoveAll(filepath.Join(folder, zip)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := build()
	if err == nil || !strings.Contains(out, "embed_release.go") || !strings.Contains(out, "enricher-arm64.zip: no matching files found") {
		t.Errorf("a release build without the zips: %v, want the missing file named\n%s", err, out)
	}

	write(t, filepath.Join(folder, "enricher-arm64.zip"), "zip for arm64")
	write(t, filepath.Join(folder, "enricher-x86_64.zip"), "zip for x86_64")
	if out, err := build(); err != nil {
		t.Fatalf("a release build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=/nowhere"}
	got, err := cmd.CombinedOutput()
	want := "zip for arm64 embedded in this release <nil>\nzip for x86_64 embedded in this release <nil>\n"
	if string(got) != want || err != nil {
		t.Errorf("a release without the go command: %v\ngot  %s\nwant %s", err, got, want)
	}
}
