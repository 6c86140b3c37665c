package bundle

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stagelog/stagelog/internal/delivery/function"
)

// Options controls the build of a zip that is not embedded.
type Options struct {
	// Dir is the directory of stagelog's source. The default is the first that exists of: the
	// directory that this program was built from, the module that contains the current
	// directory, this program's version from Go's module proxy.
	Dir string
	// Progress, if not nil, is called with a message before a step that takes long.
	Progress func(string)
}

// ErrCannotBuild means that this machine cannot build the zip. The error's text names
// the alternatives.
var ErrCannotBuild = errors.New("the enrichment function cannot be built here")

const alternatives = "; alternatively use a release of stagelog, which embeds the function, or pass its zip with --function-zip"

// goArch maps Lambda's architectures to Go's.
var goArch = map[string]string{"arm64": "arm64", "x86_64": "amd64"}

// Zip returns the deployment package for "arm64" or "x86_64", and a description of its origin.
// The same source and Go version give the same bytes on any machine and in any directory. The
// error wraps ErrCannotBuild if the go command or the source is missing or the build fails,
// and is ctx's error if ctx ended the build. A build leaves files only in Go's cache.
func Zip(ctx context.Context, arch string, opts Options) (data []byte, origin string, err error) {
	if goArch[arch] == "" {
		return nil, "", fmt.Errorf("unknown architecture %q; Lambda supports arm64 and x86_64", arch)
	}
	if data := embedded(arch); data != nil {
		return data, "embedded in this release", nil
	}
	tmp, err := os.MkdirTemp("", "stagelog-function-")
	if err != nil {
		return nil, "", fmt.Errorf("build the enrichment function: %w", err)
	}
	defer os.RemoveAll(tmp)
	command, err := findGo(ctx, tmp)
	if err != nil {
		return nil, "", err
	}
	dir, err := source(ctx, command, opts.Dir)
	if err != nil {
		return nil, "", err
	}
	if opts.Progress != nil {
		opts.Progress(fmt.Sprintf("building the enrichment function for %s (up to a minute the first time)", arch))
	}
	return build(ctx, command, dir, arch)
}

// build builds the program from the source in dir and zips it.
func build(ctx context.Context, command *goCommand, dir, arch string) (data []byte, origin string, err error) {
	path := filepath.Join(command.tmp, function.BootstrapName)
	if _, err := command.run(ctx, dir, []string{"GOARCH=" + goArch[arch]}, "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc",
		"-ldflags", "-s -w -buildid=", "-o", path, "./cmd/enricher"); err != nil {
		return nil, "", err
	}
	program, err := os.Open(path)
	if err != nil {
		return nil, "", fmt.Errorf("build the enrichment function: %w", err)
	}
	defer program.Close() // only read
	info, err := buildinfo.Read(program)
	if err != nil {
		return nil, "", fmt.Errorf("build the enrichment function: %w", err)
	}
	var b bytes.Buffer
	if err := function.Bundle(&b, program); err != nil {
		return nil, "", err
	}
	return b.Bytes(), fmt.Sprintf("built from %s with %s", dir, info.GoVersion), nil
}
