package bundle

import (
	"archive/zip"
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stagelog/stagelog/internal/delivery/function"
)

// Options are how a zip is made where none is embedded.
type Options struct {
	// Dir is the folder of stagelog's source. By default it is where this program was built
	// from, else the module of the current folder, else the program's own version from Go's
	// module proxy.
	Dir      string
	Progress func(string) // told what takes time; may be nil
}

// ErrCannotBuild: this machine cannot make the zip. The text says what would help.
var ErrCannotBuild = errors.New("the enrichment function cannot be built here")

const otherWays = "; otherwise use a release of stagelog, which has it embedded, or give its zip with --function-zip"

// goArch is how Go names Lambda's architectures.
var goArch = map[string]string{"arm64": "arm64", "x86_64": "amd64"}

// Zip is the deployment package for "arm64" or "x86_64", and how it was come by. The same
// source and Go version give the same bytes, on any machine and in any folder. It wraps
// ErrCannotBuild where the go command or the source is missing, or the build fails, and is
// ctx's error where that ended the build. Nothing of a build is left but in Go's cache.
func Zip(ctx context.Context, arch string, opts Options) (data []byte, how string, err error) {
	if goArch[arch] == "" {
		return nil, "", fmt.Errorf("architecture %q: Lambda has arm64 and x86_64", arch)
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
		opts.Progress(fmt.Sprintf("building the enrichment function for %s (the first time takes up to a minute)", arch))
	}
	return build(ctx, command, dir, arch)
}

// build makes the program from the source in dir, and packs it.
func build(ctx context.Context, command *goCommand, dir, arch string) (data []byte, how string, err error) {
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

// Check says why a file cannot be the deployment package: it is no zip, or has no bootstrap.
func Check(data []byte) error {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return fmt.Errorf("it is no zip (%w): `stagelog export zip` writes one", err)
	}
	for _, f := range z.File {
		if f.Name == "bootstrap" {
			return nil
		}
	}
	return errors.New("it holds no bootstrap, which is what Lambda would run: `stagelog export zip` writes one that does")
}
