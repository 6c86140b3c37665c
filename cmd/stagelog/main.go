// Command stagelog runs the access log pipeline of an Amazon API Gateway stage:
// which customer called, on which usage plan, delivered to a bucket exactly once.
//
// Each command is one file; the folder chain joins the rooms for the commands that
// run the pipeline on this machine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // CustomTimeZone works on machines without zone files
)

func main() {
	// The first signal asks for an orderly end; after it the default handling is
	// back, so that a second one cuts at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(exitCode(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr), os.Stderr))
}
