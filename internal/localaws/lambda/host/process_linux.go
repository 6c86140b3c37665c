package host

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the process the leader of a group, so that it can be killed with its children, and has the kernel kill it
// when this process ends.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
