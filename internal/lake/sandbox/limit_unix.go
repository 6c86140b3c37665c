//go:build linux || darwin

package sandbox

import (
	"fmt"
	"os/exec"
	"syscall"
)

// niceness lets statements use only the processor time that nothing else needs.
const niceness = 10

// isolate starts a command in its own process group, which the terminal's Ctrl-C does not reach, without open files.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	closeOnExec()
}

// limit limits this process. It keeps limits that are lower already, and fails for none of them.
func limit(memoryMiB, cpuSeconds int) error {
	if err := lower(syscall.RLIMIT_CPU, uint64(cpuSeconds)); err != nil {
		return err
	}
	if err := lower(syscall.RLIMIT_CORE, 0); err != nil {
		return err
	}
	_ = syscall.Setpriority(syscall.PRIO_PGRP, 0, niceness) // fails if the priority is lower already
	killFirst()
	return LimitMemory(memoryMiB)
}

// LimitMemory limits the private memory that this process allocates from now on, until it ends. macOS ignores the limit.
func LimitMemory(mib int) error {
	return lower(syscall.RLIMIT_DATA, privateMemory()+uint64(mib)<<20)
}

// lower lowers a resource limit, which any process may do.
func lower(resource int, most uint64) error {
	var now syscall.Rlimit
	err := syscall.Getrlimit(resource, &now)
	if err == nil && now.Cur > most {
		err = syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: most})
	}
	if err != nil {
		return fmt.Errorf("set resource limit %d to %d: %w", resource, most, err)
	}
	return nil
}

// freeMiB returns the free space of the disk that holds a directory; 0 if it is unknown.
func freeMiB(dir string) int {
	var at syscall.Statfs_t
	if err := syscall.Statfs(dir, &at); err != nil {
		return 0
	}
	return int(at.Bavail * uint64(at.Bsize) >> 20)
}
