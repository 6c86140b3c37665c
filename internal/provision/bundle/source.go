package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

const module = "github.com/stagelog/stagelog"

// source is the folder of stagelog's source.
func source(ctx context.Context, command *goCommand, given string) (string, error) {
	if given != "" {
		if !isSource(given) {
			return "", fmt.Errorf("%w: %s does not hold stagelog's source", ErrCannotBuild, given)
		}
		return given, nil
	}
	if dir := builtFrom(); isSource(dir) {
		return dir, nil
	}
	if dir := above("."); dir != "" {
		return dir, nil
	}
	version := publishedVersion(debug.ReadBuildInfo())
	if version == "" {
		return "", fmt.Errorf("%w: stagelog's source is not where this program was built, nor in the current folder: run stagelog in its source's folder%s", ErrCannotBuild, otherWays)
	}
	return downloaded(ctx, command, version)
}

// builtFrom is where this file was when the program was built; a program that was built with
// -trimpath does not know.
func builtFrom() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return ""
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// above is the nearest folder that is or holds dir and is stagelog's source.
func above(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for !isSource(dir) {
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
	return dir
}

func isSource(dir string) bool {
	if dir == "" {
		return false
	}
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	first, _, _ := strings.Cut(string(text), "\n")
	return err == nil && strings.TrimSpace(first) == "module "+module
}

// publishedVersion is the program's version where others can get it, too: not of a folder,
// and without changes that were never committed.
func publishedVersion(info *debug.BuildInfo, ok bool) string {
	if !ok || info.Main.Path != module || info.Main.Version == "(devel)" || strings.HasSuffix(info.Main.Version, "+dirty") {
		return ""
	}
	return info.Main.Version
}

// downloaded is the source of one version, from Go's module proxy.
func downloaded(ctx context.Context, command *goCommand, version string) (string, error) {
	out, err := command.run(ctx, command.tmp, nil, "mod", "download", "-json", module+"@"+version)
	var answer struct{ Dir, Error string }
	// On a failure the reason is in the answer, or there is no answer.
	if bad := json.Unmarshal(out, &answer); bad != nil && err == nil {
		err = bad
	}
	switch {
	case answer.Error != "":
		return "", fmt.Errorf("%w: the source of stagelog %s cannot be downloaded (%s)%s", ErrCannotBuild, version, answer.Error, otherWays)
	case err != nil:
		return "", err
	}
	return answer.Dir, nil
}
