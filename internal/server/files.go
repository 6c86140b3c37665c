package server

import (
	"fmt"
	"syscall"
)

// leastFiles is the lowest limit of open files with which one stream is served to four clients. With 60, the bucket
// already lacks descriptors; with 48, the pipeline cannot be applied.
const leastFiles = 64

// checkFiles returns an error if the process may not open enough files. The Go runtime has raised the limit to the hard
// limit.
func checkFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if limit.Cur < leastFiles {
		return fmt.Errorf("the limit of open files is %d, and at least %d are needed; raise the hard limit, for example with ulimit -Hn 4096, or LimitNOFILE=4096 in a systemd unit",
			limit.Cur, leastFiles)
	}
	return nil
}
