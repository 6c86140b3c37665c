package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/stagelog/stagelog/internal/lake"
)

// Child runs the statement that the parent process sends, and returns the exit code of this process. When the parent closes in
// or dies, Child removes the temporary files and ends the process.
func Child(ctx context.Context, in io.Reader, out io.Writer) int {
	decoder := json.NewDecoder(in)
	var j job
	if err := decoder.Decode(&j); err != nil {
		return 1
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		_ = os.RemoveAll(j.Temp)
		os.Exit(1)
	}()
	w := bufio.NewWriterSize(out, 64<<10)
	more, err := j.run(ctx, w)
	if err != nil {
		writeError(w, err)
	} else {
		writeEnd(w, more)
	}
	if w.Flush() != nil {
		return 1
	}
	return 0
}

// run limits this process and writes the result of the statement.
func (j job) run(ctx context.Context, w *bufio.Writer) (more bool, err error) {
	processors := runtime.NumCPU()
	if err := limit(j.MemoryMiB, processors*(int(j.Timeout.Seconds())+1)); err != nil {
		return false, fmt.Errorf("limit the process of the statement: %w", err)
	}
	l, err := lake.Open(ctx, j.Path, lake.Options{ReadOnly: true, Temp: j.Temp, SpillMiB: j.SpillMiB, MemoryMiB: j.MemoryMiB / 2})
	if err != nil {
		return false, err
	}
	defer l.Close()
	return j.query(ctx, l.DB(),
		func(columns []string) error { return writeColumns(w, columns) },
		func(values []any) error { return writeRow(w, values) })
}
