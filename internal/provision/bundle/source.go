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

// source returns the directory of stagelog's source, as described at Options.Dir.
func source(ctx context.Context, command *goCommand, given string) (string, error) {
	if given != "" {
		if !isSource(given) {
			return "", fmt.Errorf("%w: %s is not the directory of stagelog's source", ErrCannotBuild, given)
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
		return "", fmt.Errorf("%w: stagelog's source not found; run stagelog in the directory of its source%s", ErrCannotBuild, alternatives)
	}
	return downloaded(ctx, command, version)
}

// builtFrom returns the directory of the source when the program was built, and "" for a
// program built with -trimpath.
func builtFrom() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return ""
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// above returns the nearest directory at or above dir that is stagelog's source, or "".
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

// publishedVersion returns the program's version if a module proxy can have it, or "": builds
// of a directory and builds with uncommitted changes are not published.
func publishedVersion(info *debug.BuildInfo, ok bool) string {
	if !ok || info.Main.Path != module || info.Main.Version == "(devel)" || strings.HasSuffix(info.Main.Version, "+dirty") {
		return ""
	}
	return info.Main.Version
}

// downloaded returns the directory of the source of a version, downloaded from Go's module proxy.
func downloaded(ctx context.Context, command *goCommand, version string) (string, error) {
	out, err := command.run(ctx, command.tmp, nil, "mod", "download", "-json", module+"@"+version)
	var result struct{ Dir, Error string }
	// A failed download reports its reason in the JSON; other failures print none.
	if bad := json.Unmarshal(out, &result); bad != nil && err == nil {
		err = bad
	}
	switch {
	case result.Error != "":
		return "", fmt.Errorf("%w: download the source of stagelog %s: %s%s", ErrCannotBuild, version, result.Error, alternatives)
	case err != nil:
		return "", err
	}
	return result.Dir, nil
}
