package sandbox

import (
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// executable returns a path of this program that stays valid if its file is replaced.
func executable() (string, error) { return "/proc/self/exe", nil }

// privateMemory returns the bytes of this process that count against RLIMIT_DATA; 0 if /proc is not mounted.
func privateMemory() uint64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmData:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// closeOnExec keeps files that this process inherited from its parent out of its own children. Go's own files are already so.
func closeOnExec() {
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // fails before Linux 5.11
}

// killFirst makes the kernel end this process before all others if memory runs out, as in a small container.
func killFirst() {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // fails if /proc is not mounted
}
