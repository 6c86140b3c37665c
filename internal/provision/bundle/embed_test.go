package bundle

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

// probe is a program that prints each zip and its origin.
const probe = `package main

import (
	"context"
	"fmt"

	"github.com/stagelog/stagelog/internal/provision/bundle"
)

func main() {
	for _, arch := range []string{"arm64", "x86_64"} {
		zip, origin, err := bundle.Zip(context.Background(), arch, bundle.Options{})
		fmt.Println(string(zip), origin, err)
	}
}
`

func TestReleaseEmbedsZips(t *testing.T) {
	testenv.Need(t, testenv.Zip)
	dir := copied(t)
	write(t, filepath.Join(dir, "cmd/probe/main.go"), probe)
	bundleDir := filepath.Join(dir, "internal/provision/bundle")
	program := filepath.Join(t.TempDir(), "probe")
	build := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "release", "-buildvcs=false", "-o", program, "./cmd/probe")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	for _, zip := range []string{"enricher-arm64.zip", "enricher-x86_64.zip"} {
		if err := os.RemoveAll(filepath.Join(bundleDir, zip)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := build()
	if err == nil || !strings.Contains(out, "embed_release.go") || !strings.Contains(out, "enricher-arm64.zip: no matching files found") {
		t.Errorf("release build without the zips: %v, want an error with the missing file\n%s", err, out)
	}

	write(t, filepath.Join(bundleDir, "enricher-arm64.zip"), "zip for arm64")
	write(t, filepath.Join(bundleDir, "enricher-x86_64.zip"), "zip for x86_64")
	if out, err := build(); err != nil {
		t.Fatalf("release build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=" + t.TempDir()}
	got, err := cmd.CombinedOutput()
	want := "zip for arm64 embedded in this release <nil>\nzip for x86_64 embedded in this release <nil>\n"
	if string(got) != want || err != nil {
		t.Errorf("release without the go command: %v\ngot  %s\nwant %s", err, got, want)
	}
}
