package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/lake/table"
)

// Exit codes. They are part of the interface: scripts branch on them.
const (
	exitOK        = 0
	exitFailed    = 1
	exitToDo      = 2
	exitUsage     = 3
	exitConfig    = 4
	exitInterrupt = 130
)

const exitHelp = `Exit codes:
  0    success
  1    failure; stderr has the cause and the next step
  2    plan: there are changes to make
  3    invalid command line
  4    invalid stagelog.yaml or price file; stderr lists every problem with its line
  130  interrupted`

// usageError is an error in the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// exitError is an exit code whose cause was already printed.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit with %d", int(e)) }

// exitCode prints the error of a command and returns the exit code for it.
func exitCode(err error, command string, stderr io.Writer) int {
	var problems config.Problems
	var usage usageError
	var code exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupt
	case errors.As(err, &problems):
		fmt.Fprintln(stderr, err)
		return exitConfig
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "stagelog: %v\nTry: %s --help\n", err, command)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "stagelog: %s\n", printable(err))
		return exitFailed
	}
}

// printable returns the text of an error for a terminal. It may quote what others chose, such as a value that SQL cannot
// convert, a key, or a message of S3.
func printable(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		parts := strings.Split(line, "\t")
		for k, part := range parts {
			parts[k] = table.Printable(part)
		}
		lines[i] = strings.Join(parts, "\t")
	}
	return strings.Join(lines, "\n")
}
