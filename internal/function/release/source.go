package release

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

const module = "github.com/stagelog/stagelog"

// source is the folder of stagelog's source.
func source(ctx context.Context, given string) (string, error) {
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
	return downloaded(ctx)
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

// downloaded is the source of the program's own version, from Go's module proxy.
func downloaded(ctx context.Context) (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "", fmt.Errorf("%w: stagelog's source is not where this program was built, nor in the current folder: run stagelog in its source's folder%s", ErrCannotBuild, otherWays)
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+info.Main.Version)
	cmd.Dir = os.TempDir() // any folder without a module of its own
	out, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if json.Unmarshal(out, &answer) != nil && err == nil {
		answer.Error = "an answer that is not JSON"
	}
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case answer.Dir != "":
		return answer.Dir, nil
	case answer.Error == "" && err != nil:
		answer.Error = err.Error()
	}
	return "", fmt.Errorf("%w: the source of %s %s cannot be downloaded (%s)%s", ErrCannotBuild, module, info.Main.Version, answer.Error, otherWays)
}
