// Package cli is the stagelog command line: one file per command, with its flags, prompts and output.
package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// env is what a command has of the world outside, handed down from main so that a
// test can hand down its own.
type env struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer // the result, and the talk about it
	json           bool      // --json: stdout is one JSON document
	verbose        bool      // --verbose: the log at debug level
	file           string    // --file: where stagelog.yaml is
}

// Run runs the command line args and returns the exit code of the process. Results go to
// stdout; progress, diagnostics and the final error go to stderr.
func Run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	return exitCode(run(ctx, args, getenv, stdin, stdout, stderr), stderr)
}

func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	e := &env{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(e)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "stagelog",
		Short: "Who calls your API, on which plan, and how is it going",
		Long: `stagelog turns the access logs of an Amazon API Gateway stage into customer-aware
log objects in an S3 bucket: which customer called, on which usage plan.

Start here:
  stagelog demo        everything on this machine, with sample customers
  stagelog init        write a stagelog.yaml for your own API
  stagelog up          run the pipeline that stagelog.yaml describes, on this machine
  stagelog deploy      build it in AWS; stagelog doctor proves that it works

Each flag can be set in the environment as STAGELOG_<FLAG>: STAGELOG_FOR=20s is --for 20s.

` + exitHelp,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().BoolVar(&e.json, "json", false, "print the result as one JSON document on stdout")
	root.PersistentFlags().BoolVarP(&e.verbose, "verbose", "v", false, "log more to stderr")
	root.PersistentFlags().StringVarP(&e.file, "file", "f", "stagelog.yaml", "the pipeline's file")
	root.AddCommand(newDemo(e), newInit(e), newUp(e), newPlan(e), newDeploy(e), newDoctor(e), newDestroy(e), newReplay(e), newReport(e), newQuery(e), newTail(e), newConsole(e), newExport(e), newFormat(e), newBench(e))
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return flagsFromEnv(e, cmd) }
	group(root)
	wrapUsage(root)
	return root
}

// group makes cmd one that only holds others: alone it prints its help, and an unknown
// name after it is a usage error with the nearest right one.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		err := fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
		}
		return err
	}
	return cmd
}

// flagsFromEnv sets each flag that was not given from STAGELOG_<FLAG>, so that a
// service manager can configure a run without a command line.
func flagsFromEnv(e *env, cmd *cobra.Command) error {
	var first error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := "STAGELOG_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := e.getenv(name)
		if value == "" || f.Changed || f.Name == "help" || f.Name == "version" {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil && first == nil {
			first = usageError{fmt.Errorf("%s=%s: %w", name, value, err)}
		}
	})
	return first
}

// wrapUsage makes wrong arguments usage errors, as wrong flags are.
func wrapUsage(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, a []string) error {
			if err := args(cmd, a); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		wrapUsage(c)
	}
}

// log is the program's own log: changes of state on stderr, never records.
func (e *env) log() *slog.Logger {
	level := slog.LevelInfo
	if e.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: level}))
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
