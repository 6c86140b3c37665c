// Package cli is the stagelog command line: one file per command, with its flags, prompts and output.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stagelog/stagelog/internal/lake/sandbox"
)

// Process holds the arguments, environment and streams of a process. Results go to Stdout; progress, diagnostics and the
// final error go to Stderr.
type Process struct {
	Args           []string // without the program's name
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// env holds what the commands share: the process's environment and streams, and the persistent flags.
type env struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	json           bool   // --json: stdout is one JSON document
	verbose        bool   // --verbose: log at debug level
	file           string // --file: path of stagelog.yaml
}

// Run runs the command line and returns the exit code of the process.
func Run(ctx context.Context, p Process) int {
	if p.Getenv(sandbox.Variable) != "" {
		return sandbox.Child(ctx, p.Stdin, p.Stdout)
	}
	if err := fixTempDir(); err != nil {
		return exitCode(err, "stagelog", p.Stderr)
	}
	e := &env{getenv: p.Getenv, stdin: p.Stdin, stdout: p.Stdout, stderr: p.Stderr}
	root := newRoot(e)
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return exitCode(err, cmd.CommandPath(), p.Stderr)
}

// fixTempDir makes the directory of temporary files absolute, because the embedded S3 server changes the working directory.
func fixTempDir() error {
	dir := os.TempDir()
	if filepath.IsAbs(dir) {
		return nil
	}
	absolute, err := filepath.Abs(dir)
	if err == nil {
		err = os.Setenv("TMPDIR", absolute)
	}
	if err != nil {
		return fmt.Errorf("TMPDIR %s: %w", dir, err)
	}
	return nil
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "stagelog",
		Short: "Attribute API Gateway access logs to customers and usage plans",
		Long: `stagelog adds the customer and the usage plan to each access log record of an Amazon API Gateway stage,
and delivers the records to an S3 bucket.

Start here:
  stagelog demo        run a sample pipeline on this machine
  stagelog init        write a stagelog.yaml for your API
  stagelog up          run the pipeline of stagelog.yaml on this machine
  stagelog deploy      create the pipeline in AWS; stagelog doctor verifies it

Every flag can also be set as an environment variable STAGELOG_<FLAG>: STAGELOG_FOR=20s sets --for 20s.

` + exitHelp,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.PersistentFlags().BoolVar(&e.json, "json", false, "print the result as one JSON document")
	root.PersistentFlags().BoolVarP(&e.verbose, "verbose", "v", false, "log at debug level")
	root.PersistentFlags().StringVarP(&e.file, "file", "f", "stagelog.yaml", "path to the pipeline file")
	root.AddCommand(newDemo(e), newInit(e), newUp(e), newEnv(e), newPlan(e), newDeploy(e), newDoctor(e), newDestroy(e), newPermissions(e), newReplay(e), newReport(e), newQuery(e), newTail(e), newConsole(e), newExport(e), newFormat(e), newBench(e), newVersion(e))
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := flagsFromEnv(e, cmd); err != nil {
			return err
		}
		if csv := cmd.Flags().Lookup("csv"); csv != nil && csv.Value.String() == "true" && e.json {
			return usageError{errors.New("--csv and --json exclude each other: both are the form of the result")}
		}
		return nil
	}
	group(root)
	root.SetHelpCommand(newHelp())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			group(c)
		}
	}
	wrapUsage(root)
	return root
}

// group makes cmd a command that only has subcommands: alone it prints its help, and an unknown subcommand is a usage
// error with the nearest right name.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		err := fmt.Errorf("unknown command %q", args[0])
		if cmd.HasParent() {
			err = fmt.Errorf("%s: %w", cmd.Name(), err)
		}
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			err = fmt.Errorf("%w, did you mean %s?", err, strings.Join(near, " or "))
		}
		return err
	}
	return cmd
}

// newHelp returns a help command that, unlike cobra's, fails for an unknown command.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [command]",
		Short:   "Help about any command",
		Example: "  stagelog help report invoice",
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = fmt.Errorf("unknown command %q", strings.Join(args, " "))
			}
			if err != nil {
				return usageError{err}
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
}

// flagError returns the error for a flag. Go's parsers describe a wrong value in terms of Go.
func flagError(err error) error {
	wrong := (*pflag.InvalidValueError)(nil)
	if !errors.As(err, &wrong) {
		return usageError{err}
	}
	expected, known := map[string]string{
		"int": "a whole number", "int64": "a whole number", "bool": "true or false", "duration": "a duration like 30s, 5m or 1h30m", "float64": "a number",
	}[wrong.GetFlag().Value.Type()]
	if !known {
		return usageError{fmt.Errorf("--%s %s: %w", wrong.GetFlag().Name, wrong.GetValue(), wrong.Unwrap())}
	}
	return usageError{fmt.Errorf("--%s %s: expected %s", wrong.GetFlag().Name, wrong.GetValue(), expected)}
}

// flagsFromEnv sets each flag that was not given from STAGELOG_<FLAG>, so that a service manager can configure a run.
func flagsFromEnv(e *env, cmd *cobra.Command) error {
	var first error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := "STAGELOG_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := e.getenv(name)
		if value == "" || f.Changed || f.Name == "help" || f.Name == "version" {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil && first == nil {
			first = usageError{fmt.Errorf("%s=%s: %w", name, value, flagError(err))}
		}
	})
	return first
}

// wrapUsage turns errors about arguments into usage errors, like those about flags. By default a command takes none.
func wrapUsage(cmd *cobra.Command) {
	args := cmd.Args
	if args == nil {
		args = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, a []string) error {
		if err := args(cmd, a); err != nil {
			return usageError{err}
		}
		return nil
	}
	for _, c := range cmd.Commands() {
		wrapUsage(c)
	}
}

// log returns the program's logger. It logs changes of state to stderr, never records.
func (e *env) log() *slog.Logger { return e.logFrom(slog.LevelInfo) }

// quietLog returns the logger of commands that print their own progress.
func (e *env) quietLog() *slog.Logger { return e.logFrom(slog.LevelWarn) }

func (e *env) logFrom(level slog.Level) *slog.Logger {
	if e.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: level}))
}

func newVersion(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  stagelog version --json",
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Commit  string `json:"commit,omitempty"` // "" if it was not built from a repository
				Date    string `json:"date,omitempty"`   // of the commit, RFC 3339
				Go      string `json:"go"`
			}{Version: version(), Go: runtime.Version()}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					switch s.Key {
					case "vcs.revision":
						v.Commit = s.Value
					case "vcs.time":
						v.Date = s.Value
					}
				}
			}
			if e.json {
				return printJSON(e.stdout, v)
			}
			fmt.Fprintf(e.stdout, "stagelog %s\n", v.Version)
			for _, line := range [][2]string{{"commit", v.Commit}, {"date", v.Date}, {"go", v.Go}} {
				if line[1] != "" {
					fmt.Fprintf(e.stdout, "%-7s %s\n", line[0], line[1])
				}
			}
			return nil
		},
	}
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
