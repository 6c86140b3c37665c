package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// handed are the user's settings of Go that a build gets, from the environment or Go's own
// settings file: where modules and toolchains come from and are kept. None but the last
// changes the program.
var handed = []string{
	"GOAUTH", "GOCACHE", "GOCACHEPROG", "GOINSECURE", "GOMODCACHE", "GONOPROXY", "GONOSUMDB", "GOPATH", "GOPRIVATE", "GOPROXY",
	"GOSUMDB", "GOVCS", "GOTOOLCHAIN",
}

// kept are the variables for the go command itself that no settings file holds.
var kept = []string{"GOROOT", "GOMAXPROCS", "GOMEMLIMIT"}

// goCommand is this machine's go command, in an environment that is the same everywhere as
// far as it changes a program.
type goCommand struct {
	path, tmp string // tmp is what it may write to
	env       []string
}

func findGo(ctx context.Context, tmp string) (*goCommand, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("%w: there is no go command: install Go from https://go.dev/dl%s", ErrCannotBuild, otherWays)
	}
	asSet := &goCommand{path: path, tmp: tmp, env: os.Environ()}
	out, err := asSet.run(ctx, tmp, nil, append([]string{"env", "-json"}, handed...)...)
	if err != nil {
		return nil, err
	}
	var settings map[string]string
	if err := json.Unmarshal(out, &settings); err != nil {
		return nil, fmt.Errorf("%w: go env: %w%s", ErrCannotBuild, err, otherWays)
	}
	return &goCommand{path: path, tmp: tmp, env: environment(asSet.env, settings, tmp)}, nil
}

// environment is env with settings in the place of all that Go reads. What only gets removed
// could come back from the settings file, so that is off.
func environment(env []string, settings map[string]string, tmp string) []string {
	var all []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		ofGo := strings.HasPrefix(name, "GO") && !strings.HasPrefix(name, "GOOGLE_")
		if !ofGo && !strings.HasPrefix(name, "CGO_") && name != "PWD" || slices.Contains(kept, name) {
			all = append(all, kv)
		}
	}
	for _, name := range handed {
		if v := settings[name]; v != "" && (name != "GOCACHE" || v != "off") { // off: it found no place for it
			all = append(all, name+"="+v)
		}
	}
	return append(all, "GOENV=off", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOOS=linux", "GOARM64=v8.0", "GOAMD64=v1", "CGO_ENABLED=0",
		"GOTMPDIR="+tmp)
}

// run gives what the command printed, also when it failed. The end of ctx kills it with all
// that it started.
func (g *goCommand) run(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, g.path, args...)
	cmd.Dir, cmd.Env = dir, slices.Concat(g.env, env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	said := ""
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && len(exit.Stderr) > 0 {
		said = ":\n" + string(bytes.TrimSpace(exit.Stderr))
	}
	return out, fmt.Errorf("%w: go %s in %s: %w%s%s", ErrCannotBuild, args[0], dir, err, otherWays, said)
}
