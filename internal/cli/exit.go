package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/stagelog/stagelog/internal/config"
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
  0    done
  1    failed; stderr says why and what to do
  2    plan: there is something to do
  3    the command line is wrong
  4    stagelog.yaml is wrong; every mistake is listed with its line
  130  interrupted before it was done`

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// silentError ends the program with a failure whose story has been told already.
type silentError struct{}

func (silentError) Error() string { return "failed" }

// toDoError ends plan when there is something to do.
type toDoError struct{}

func (toDoError) Error() string { return "there is something to do" }

// exitCode prints err and turns it into the process's exit code.
func exitCode(err error, stderr io.Writer) int {
	var problems config.Problems
	var usage usageError
	var silent silentError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &toDoError{}):
		return exitToDo
	case errors.As(err, &silent):
		return exitFailed
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupt
	case errors.As(err, &problems):
		fmt.Fprintln(stderr, err)
		return exitConfig
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "stagelog: %v\nTry: stagelog --help\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "stagelog: %v\n", err)
		return exitFailed
	}
}
