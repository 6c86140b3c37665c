//go:build unix && !linux

package host

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the process the leader of a group, to be killed with all it starts.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
