//go:build !linux

package sandbox

import "os"

func executable() (string, error) { return os.Executable() }

func privateMemory() uint64 { return 0 }

func closeOnExec() {}

func killFirst() {}
