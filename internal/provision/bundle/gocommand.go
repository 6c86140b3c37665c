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

// passedSettings are the user's Go settings, from the environment or Go's settings file, that
// a build uses: the sources and caches of modules and toolchains. Only the last, GOTOOLCHAIN,
// can change the program.
var passedSettings = []string{
	"GOAUTH", "GOCACHE", "GOCACHEPROG", "GOINSECURE", "GOMODCACHE", "GONOPROXY", "GONOSUMDB", "GOPATH", "GOPRIVATE", "GOPROXY",
	"GOSUMDB", "GOVCS", "GOTOOLCHAIN",
}

// passedVariables are variables of the go command that only the environment can contain.
var passedVariables = []string{"GOROOT", "GOMAXPROCS", "GOMEMLIMIT"}

// goCommand is this machine's go command with an environment in which every machine
// builds the same program.
type goCommand struct {
	path string
	tmp  string // temporary directory for its output
	env  []string
}

func findGo(ctx context.Context, tmp string) (*goCommand, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("%w: go command not found; install Go from https://go.dev/dl%s", ErrCannotBuild, alternatives)
	}
	user := &goCommand{path: path, tmp: tmp, env: os.Environ()}
	out, err := user.run(ctx, tmp, nil, append([]string{"env", "-json"}, passedSettings...)...)
	if err != nil {
		return nil, err
	}
	var settings map[string]string
	if err := json.Unmarshal(out, &settings); err != nil {
		return nil, fmt.Errorf("%w: go env: %w%s", ErrCannotBuild, err, alternatives)
	}
	return &goCommand{path: path, tmp: tmp, env: environment(user.env, settings, tmp)}, nil
}

// environment returns env without variables that influence Go, and with settings and fixed
// values instead. It disables Go's settings file, which could set removed variables again.
func environment(env []string, settings map[string]string, tmp string) []string {
	var all []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		isGo := strings.HasPrefix(name, "GO") && !strings.HasPrefix(name, "GOOGLE_")
		if !isGo && !strings.HasPrefix(name, "CGO_") && name != "PWD" || slices.Contains(passedVariables, name) {
			all = append(all, kv)
		}
	}
	for _, name := range passedSettings {
		if v := settings[name]; v != "" && (name != "GOCACHE" || v != "off") { // off: Go found no cache directory
			all = append(all, name+"="+v)
		}
	}
	return append(all, "GOENV=off", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOOS=linux", "GOARM64=v8.0", "GOAMD64=v1", "CGO_ENABLED=0",
		"GOTMPDIR="+tmp)
}

// run returns the output of the command, even if it failed. When ctx ends, run kills the
// command and all processes that it started.
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
	stderr := ""
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && len(exit.Stderr) > 0 {
		stderr = ":\n" + string(bytes.TrimSpace(exit.Stderr))
	}
	return out, fmt.Errorf("%w: go %s in %s: %w%s%s", ErrCannotBuild, args[0], dir, err, alternatives, stderr)
}
