//go:build !linux && !darwin

package sandbox

import (
	"errors"
	"os/exec"
)

var errNoLimits = errors.New("not supported on this operating system")

func isolate(*exec.Cmd) {}

func limit(int, int) error { return errNoLimits }

// LimitMemory returns an error.
func LimitMemory(int) error { return errNoLimits }

func freeMiB(string) int { return 0 }
