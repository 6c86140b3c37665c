// Package sandbox runs SQL that users typed in a child process, so that no statement can stop, fill or delay this process.
//
// Some of DuckDB's functions overflow the stack, allocate without regard to its memory limit, or cannot be interrupted. The
// child is this program again, with Variable set. It has no other environment but the path of shared libraries, no files but its
// pipes, a low priority, and limits on its memory and processor time. It opens the lake read-only, and is killed at the deadline
// or when ctx ends.
package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// Variable is the environment variable that is set in a child process. The program calls Child then, and nothing else.
const Variable = "STAGELOG_SQL_CHILD"

// Statement is a user's SQL with its limits.
type Statement struct {
	SQL       string
	Rows      int           // maximum number of rows of the result
	Timeout   time.Duration // also of the wait until the statement begins
	MemoryMiB int           // of the child process; DuckDB's own limit is half of it
}

var (
	// ErrRefused is returned for a statement that is not allowed.
	ErrRefused = errors.New("refused")
	// ErrTimeout is returned for a statement that was stopped at its deadline.
	ErrTimeout = errors.New("stopped at the time limit")
	// ErrBusy is returned for a statement that did not begin, because of others or of an import.
	ErrBusy = errors.New("other statements or an import are running")
	// ErrCrashed is returned for a statement that ended its process.
	ErrCrashed = errors.New("the statement was stopped")
)

// Run runs a statement over a lake. It calls head with the names of the columns and each with the cells of every row, up to
// the limit; more reports whether there were more rows. each must not keep the slice. Run refuses everything but one query
// over the lake's tables. If head or each are slow, the lake is free for imports again when the child ends.
func (s Statement) Run(ctx context.Context, l *lake.Lake, head func([]string) error, each func([]Cell) error) (more bool, err error) {
	if len(s.SQL) > maxSQL {
		return false, fmt.Errorf("%w: the statement is longer than %d KiB", ErrRefused, maxSQL>>10)
	}
	out, in, err := os.Pipe()
	if err != nil {
		return false, fmt.Errorf("create a pipe: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		err := s.share(ctx, l, in)
		in.Close()
		ended <- err
	}()
	defer out.Close()
	defer cancel() // kills the child if it is still running
	more, err = read(bufio.NewReaderSize(out, 64<<10), head, each)
	cancel()
	problem := <-ended
	if errors.Is(err, errCut) {
		return false, problem
	}
	return more, err
}

// share runs a child process, which writes to out, while the lake is shared.
func (s Statement) share(ctx context.Context, l *lake.Lake, out *os.File) error {
	wait, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	begun := false
	err := l.Share(wait, func(path string) error {
		begun = true
		cancel()
		return s.start(ctx, path, out)
	})
	if !begun && errors.Is(err, context.DeadlineExceeded) {
		return ErrBusy
	}
	return err
}

// job is what the parent sends to a child.
type job struct {
	Path, Temp string
	SpillMiB   int
	Statement
}

// start runs a statement in a child process and waits for its end. It returns why the child wrote no complete result, if so.
func (s Statement) start(ctx context.Context, path string, out *os.File) error {
	temp, err := os.MkdirTemp("", "stagelog-sql-")
	if err != nil {
		return fmt.Errorf("create a temporary directory: %w", err)
	}
	defer os.RemoveAll(temp)
	self, err := executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = []string{"stagelog-sql"}
	cmd.Env = []string{Variable + "=1", "LD_LIBRARY_PATH=" + os.Getenv("LD_LIBRARY_PATH")} // the binary is linked dynamically
	cmd.Dir, cmd.Stdout = temp, out
	isolate(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the process of the statement: %w", err)
	}
	// A child that dies meanwhile closes the pipe; how it ended says more than this error.
	_ = json.NewEncoder(in).Encode(job{path, temp, min(maxSpillMiB, freeMiB(temp)/spillShare), s})
	_ = cmd.Wait()
	switch stopped := ctx.Err(); {
	case errors.Is(stopped, context.DeadlineExceeded):
		return ErrTimeout
	case stopped != nil:
		return stopped
	}
	return fmt.Errorf("%w: it needs more than %d MiB of memory or is nested too deeply", ErrCrashed, s.MemoryMiB)
}

const (
	maxSpillMiB = 1024 // of temporary files of a child
	spillShare  = 8    // of the free disk space, one part is the most that a child may use
)
