// Command stagelog runs the access log pipeline of an Amazon API Gateway stage: it records
// which customer called on which usage plan, and delivers each record to a bucket exactly once.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // CustomTimeZone works on machines without zone files

	"github.com/stagelog/stagelog/internal/cli"
)

func main() {
	// The first signal starts an orderly shutdown. It also restores the default
	// handling, so that a second signal stops the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, cli.Process{Args: os.Args[1:], Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
}
