//go:build unix && !linux

package host

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the process the leader of a group, so that it can be killed with its children.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
