package release

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Options are how a zip is made where none is embedded.
type Options struct {
	// Dir is the folder of stagelog's source. By default it is where this program was built
	// from, else the module of the current folder, else the program's own version from Go's
	// module proxy.
	Dir      string
	Progress func(string) // told what takes time; may be nil
}

// MaxBytes is the most that a zip has: a function of more starts noticeably later, and the
// limit of Lambda's API is 50 MB.
const MaxBytes = 8 << 20

// ErrCannotBuild: this machine cannot make the zip. The text says what would help.
var ErrCannotBuild = errors.New("the enrichment function cannot be built here")

const otherWays = "; otherwise use a release of stagelog, which has it embedded, or give its zip with --function-zip"

// goArch is how Go names Lambda's architectures.
var goArch = map[string]string{"arm64": "arm64", "x86_64": "amd64"}

// Zip is the deployment package for "arm64" or "x86_64", and how it was come by. The same
// source and Go version give the same bytes, on any machine and in any folder. It wraps
// ErrCannotBuild where the go command or the source is missing.
func Zip(ctx context.Context, arch string, opts Options) (data []byte, how string, err error) {
	if goArch[arch] == "" {
		return nil, "", fmt.Errorf("architecture %q: Lambda has arm64 and x86_64", arch)
	}
	if data := embedded(arch); data != nil {
		return data, "embedded in this release", nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		return nil, "", fmt.Errorf("%w: there is no go command: install Go from https://go.dev/dl%s", ErrCannotBuild, otherWays)
	}
	dir, err := source(ctx, opts.Dir)
	if err != nil {
		return nil, "", err
	}
	if opts.Progress != nil {
		opts.Progress(fmt.Sprintf("building the enrichment function for %s; the first time takes up to a minute", arch))
	}
	program, err := build(ctx, dir, arch)
	if err != nil {
		return nil, "", err
	}
	if data, err = pack(program); err != nil {
		return nil, "", err
	}
	if len(data) > MaxBytes {
		return nil, "", fmt.Errorf("BUG: the enrichment function's zip has %d bytes, more than %d", len(data), MaxBytes)
	}
	return data, "built from " + dir, nil
}

// build is the program. Nothing of the environment that changes code is handed on.
func build(ctx context.Context, dir, arch string) ([]byte, error) {
	out, err := os.MkdirTemp("", "stagelog-function-")
	if err != nil {
		return nil, fmt.Errorf("build the enrichment function: %w", err)
	}
	defer os.RemoveAll(out)
	file := filepath.Join(out, "bootstrap")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc",
		"-ldflags", "-s -w -buildid=", "-o", file, "./cmd/enricher")
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, environment(os.Environ(), goArch[arch]), 5*time.Second
	if text, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("build the enrichment function in %s: %w\n%s", dir, err, bytes.TrimSpace(text))
	}
	return os.ReadFile(file)
}

// environment is env with Go's settings for one target. Variables that are only removed could
// come back from Go's own settings file.
func environment(env []string, arch string) []string {
	var kept []string
	for _, kv := range env {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "GOFLAGS", "GOOS", "GOARCH", "GOARM64", "GOAMD64", "GOEXPERIMENT", "GOFIPS140", "GOWORK", "CGO_ENABLED":
		default:
			kept = append(kept, kv)
		}
	}
	return append(kept, "GOFLAGS=-mod=readonly", "GOOS=linux", "GOARCH="+arch, "GOARM64=v8.0", "GOAMD64=v1",
		"GOFIPS140=off", "GOWORK=off", "CGO_ENABLED=0")
}

// pack is the zip of the program: one file, without the time and the owner.
func pack(program []byte) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	header.SetMode(0o755)
	w, err := z.CreateHeader(header)
	if err == nil {
		_, err = w.Write(program)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, fmt.Errorf("pack the enrichment function: %w", err)
	}
	return b.Bytes(), nil
}
