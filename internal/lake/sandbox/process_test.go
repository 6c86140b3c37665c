//go:build cgo && (linux || darwin)

package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/lake"
)

// TestMain runs statements in processes of this test binary.
func TestMain(m *testing.M) {
	if os.Getenv(Variable) != "" {
		os.Exit(Child(context.Background(), os.Stdin, os.Stdout))
	}
	before, _ := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	code := m.Run()
	if after, _ := syscall.Getpriority(syscall.PRIO_PROCESS, 0); after != before {
		fmt.Println("a child changed the priority of this process")
		code = 1
	}
	os.Exit(code)
}

func newLake(t *testing.T) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), filepath.Join(t.TempDir(), "lake.duckdb"), lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// child is a process of a statement that a test started without Run.
type child struct {
	*exec.Cmd
	in   io.WriteCloser
	out  io.Reader
	temp string
}

// startChild starts a process over an empty lake that no other process has open. command is what runs the program, if not ours.
func startChild(t *testing.T, j job, command ...string) child {
	t.Helper()
	j.Path, j.Temp = filepath.Join(t.TempDir(), "lake.duckdb"), filepath.Join(t.TempDir(), "sql")
	l, err := lake.Open(t.Context(), j.Path, lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Close(), os.Mkdir(j.Temp, 0o700)); err != nil {
		t.Fatal(err)
	}
	command = append(command, os.Args[0])
	c := child{Cmd: exec.CommandContext(t.Context(), command[0], command[1:]...), temp: j.Temp}
	c.Env = []string{Variable + "=1"}
	isolate(c.Cmd)
	if c.in, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if c.out, err = c.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(c.in).Encode(j); err != nil {
		t.Fatal(err)
	}
	return c
}

// When the parent dies, its pipe closes: the statement ends and leaves no files.
func TestChildEndsWithItsParent(t *testing.T) {
	for statement, output := range map[string]int{
		"FROM range(1000000)":                       1000, // waits until the parent reads more
		"SELECT length(rpad('a', 1000000000, 'b'))": 0,    // cannot be interrupted
	} {
		c := startChild(t, job{Statement: Statement{SQL: statement, Rows: 1_000_000, Timeout: time.Minute, MemoryMiB: 4096}})
		if _, err := io.ReadFull(c.out, make([]byte, output)); err != nil {
			t.Fatal(err)
		}
		if err := c.in.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); c.ProcessState.ExitCode() != 1 {
			t.Errorf("%s: the process ended with %v, want exit code 1", statement, err)
		}
		if _, err := os.Stat(c.temp); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the temporary files remain: %v", statement, err)
		}
	}
}

// A process whose limits and priority are lower already keeps them, as in a container.
func TestChildKeepsLowerLimits(t *testing.T) {
	c := startChild(t, job{Statement: Statement{SQL: "SELECT 42", Rows: 1, Timeout: time.Minute, MemoryMiB: 4096}},
		"sh", "-c", `ulimit -d 3000000 && ulimit -t 20 && exec nice -n 15 "$0"`)
	var got string
	_, err := read(bufio.NewReader(c.out), func([]string) error { return nil }, func(row []Cell) error {
		got = row[0].Text
		return nil
	})
	if err != nil || got != "42" {
		t.Errorf("got %q, %v; want 42", got, err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// What a statement writes to the disk is limited.
func TestChildLimitsItsSpill(t *testing.T) {
	c := startChild(t, job{SpillMiB: 8, Statement: Statement{SQL: "SELECT max(a) FROM (FROM (SELECT range AS a, md5(range::VARCHAR) AS b FROM range(20000000)) ORDER BY b OFFSET 1)",
		Rows: 1, Timeout: time.Minute, MemoryMiB: 512}})
	_, err := read(bufio.NewReader(c.out), func([]string) error { return nil }, func([]Cell) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "Out of Memory") {
		t.Errorf("a sort of 1 GB: got %v, want Out of Memory", err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// A slow receiver of rows does not keep the lake after the deadline.
func TestSlowReceiversReleaseLake(t *testing.T) {
	l := newLake(t)
	var slow errgroup.Group
	release := make(chan struct{})
	for range 2 {
		// A busy machine may need more time until the first row.
		for timeout, begun := 500*time.Millisecond, false; !begun; timeout *= 2 {
			began, ended := make(chan struct{}), make(chan error, 1)
			go func() {
				_, err := Statement{SQL: "FROM range(1000000)", Rows: 1_000_000, Timeout: timeout, MemoryMiB: 1024}.Run(t.Context(), l,
					func([]string) error {
						close(began)
						<-release
						return nil
					}, func([]Cell) error { return nil })
				ended <- err
			}()
			select {
			case <-began:
				begun = true
				slow.Go(func() error { return <-ended })
			case err := <-ended:
				if !errors.Is(err, ErrTimeout) {
					t.Fatal(err)
				}
			}
		}
	}
	got := ""
	_, err := Statement{SQL: "SELECT 42", Rows: 1, Timeout: time.Minute, MemoryMiB: 1024}.Run(t.Context(), l,
		func([]string) error { return nil }, func(row []Cell) error {
			got = row[0].Text
			return nil
		})
	if err != nil || got != "42" {
		t.Errorf("a statement while two results wait: got %q, %v; want 42", got, err)
	}
	close(release)
	if err := slow.Wait(); !errors.Is(err, ErrTimeout) {
		t.Errorf("the slow ones: got %v, want %v", err, ErrTimeout)
	}
}
