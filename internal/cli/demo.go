package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/server/demo"
)

func newDemo(e *env) *cobra.Command {
	var cfg demo.Config
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a sample pipeline on this machine",
		Long: `Builds a complete pipeline in this process: a sample API behind a stage, usage plans, customers, a delivery
stream, enrichment, a bucket and a reader's account. Then it sends requests, some with an invalid key and
some above their plan's throttle, and reads the first enriched object with the reader's credentials. It
needs no AWS account and leaves nothing behind.`,
		Example: `  stagelog demo                  until Ctrl-C
  stagelog demo --for 20s        stops after 20 seconds with a summary
  stagelog demo --for 20s --json one JSON document on stdout`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), e, cfg) },
	}
	cmd.Flags().DurationVar(&cfg.For, "for", 0, "how long to send requests (default: until Ctrl-C)")
	cmd.Flags().StringVar(&cfg.Dir, "dir", "", "directory for the state (default: a temporary directory)")
	cmd.Flags().IntVar(&cfg.Rate, "rate", 50, "requests per second, 1 to 1000")
	return cmd
}

func runDemo(ctx context.Context, e *env, cfg demo.Config) error {
	if cfg.Rate < 1 || cfg.Rate > 1000 {
		return usageError{fmt.Errorf("--rate %d: expected 1 to 1000 requests per second", cfg.Rate)}
	}
	cfg.Logger = e.quietLog()
	end, err := e.logLibraries(cfg.Logger)
	if err != nil {
		return err
	}
	defer end()
	dir, cleanup, err := stateDir(cfg.Dir)
	if err != nil {
		return err
	}
	cfg.Dir = dir
	cfg.Progress = func(text string) { fmt.Fprintln(e.stderr, text) }
	result, err := demo.Run(ctx, cfg)
	if err = errors.Join(err, cleanup()); err != nil {
		return err
	}
	if e.json {
		err = printJSON(e.stdout, result)
	} else {
		printDemo(e.stdout, *result)
	}
	return errors.Join(err, result.Check())
}

// stateDir returns the absolute path of dir, or of a new temporary directory that cleanup removes.
func stateDir(dir string) (path string, cleanup func() error, err error) {
	if dir != "" {
		path, err = filepath.Abs(dir)
		return path, func() error { return nil }, err
	}
	if path, err = os.MkdirTemp("", "stagelog-"); err != nil {
		return "", nil, fmt.Errorf("create a temporary directory: %w; choose a directory with --dir", err)
	}
	return path, func() error { return os.RemoveAll(path) }, nil
}

func printDemo(w io.Writer, r demo.Result) {
	fmt.Fprintf(w, "\n%d requests, %d records accepted, %d delivered in %d objects, %d failed\n\n",
		r.Requests, r.RecordsAccepted, r.RecordsDelivered, len(r.Objects), r.RecordsFailed)
	fmt.Fprintln(w, "Callers and the stage's responses:")
	for _, c := range r.Callers {
		var parts []string
		for _, status := range slices.Sorted(maps.Keys(c.Statuses)) {
			parts = append(parts, fmt.Sprintf("%d × %d", c.Statuses[status], status))
		}
		fmt.Fprintf(w, "  %-28s %s\n", c.Name, strings.Join(parts, ", "))
	}
	fmt.Fprintln(w, "\nCustomers in the delivered objects:")
	for _, name := range slices.Sorted(maps.Keys(r.Customers)) {
		label := name
		if name == "-" {
			label = "- (no or unknown key)"
		}
		fmt.Fprintf(w, "  %-28s %6d\n", label, r.Customers[name])
	}
	fmt.Fprintf(w, "\nThe reader's account: list %s, get %s, put %s\n", r.Reader.List, r.Reader.Get, r.Reader.Put)
	fmt.Fprintln(w, "\nNext: `stagelog init` writes a stagelog.yaml for your own API, `stagelog up` runs it.")
}
