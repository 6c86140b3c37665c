package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/server/bench"
)

func newBench(e *env) *cobra.Command {
	var cfg bench.Config
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the pipeline on this machine",
		Long: `Starts a pipeline in its own directory, sends records over HTTP from clients in the same process, and waits
until the last record is in an object. Every response is sent after its records are synced to disk. The load
generator signs each body once and sends it many times; the server verifies every request in full. The
figures include the load generator's work and are valid for this machine only.

Rates: "accepted" is the number of records answered with 200, divided by the sending time; "delivered"
is the number of delivered records, divided by the time until the last object was in the bucket.`,
		Example: `  stagelog bench
  stagelog bench --for 10s --clients 8 --batch 500
  stagelog bench --batch 1 --clients 64      one record per request, batched by the server
  stagelog bench --batch 1 --clients 1`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBench(cmd.Context(), e, cfg) },
	}
	f := cmd.Flags()
	f.DurationVar(&cfg.For, "for", 5*time.Second, "how long to send records")
	f.IntVar(&cfg.Clients, "clients", 8, "concurrent clients, 1 to 1024")
	f.IntVar(&cfg.Batch, "batch", 500, "records per PutRecordBatch, 1 to 500; 1 sends PutRecord")
	f.IntVar(&cfg.RecordBytes, "bytes", 374, "bytes per record, 300 to 10000")
	f.IntVar(&cfg.Keys, "keys", 200, "API keys in the usage plans, 1 to 10000")
	f.StringVar(&cfg.Dir, "dir", "", "directory for the state (default: a temporary directory)")
	f.StringVar(&cfg.CPUProfile, "cpuprofile", "", "write a CPU profile of the measured period to this file, for go tool pprof")
	return cmd
}

func checkBench(cfg bench.Config) error {
	for _, r := range []struct {
		flag          string
		got, min, max int
	}{{"clients", cfg.Clients, 1, 1024}, {"batch", cfg.Batch, 1, 500}, {"bytes", cfg.RecordBytes, 300, 10000}, {"keys", cfg.Keys, 1, 10000}} {
		if r.got < r.min || r.got > r.max {
			return usageError{fmt.Errorf("--%s %d: expected %d to %d", r.flag, r.got, r.min, r.max)}
		}
	}
	if cfg.For <= 0 {
		return usageError{fmt.Errorf("--for %v: expected a duration above zero", cfg.For)}
	}
	return nil
}

func runBench(ctx context.Context, e *env, cfg bench.Config) error {
	if err := checkBench(cfg); err != nil {
		return err
	}
	if cfg.CPUProfile != "" { // the S3 server changes the working directory
		profile, err := filepath.Abs(cfg.CPUProfile)
		if err != nil {
			return fmt.Errorf("--cpuprofile %s: %w", cfg.CPUProfile, err)
		}
		cfg.CPUProfile = profile
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
	result, err := bench.Run(ctx, cfg)
	if err = errors.Join(err, cleanup()); err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdout, result)
	}
	return printBench(e, result)
}

func printBench(e *env, r bench.Result) error {
	w := tabwriter.NewWriter(e.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "machine\t%s\n", r.Machine)
	fmt.Fprintf(w, "load\t%d clients, %d records of %d bytes per request\n", r.Clients, r.Batch, r.RecordBytes)
	fmt.Fprintf(w, "accepted\t%.0f records/s\t%d records acknowledged after they were synced to disk\n", r.AcceptedPerSec, r.Accepted)
	fmt.Fprintf(w, "delivered\t%.0f records/s\t%d records in %d objects\n", r.DeliveredPerSec, r.Delivered, r.Objects)
	fmt.Fprintf(w, "put\tp50 %.2f ms, p99 %.2f ms\t%d refused\n", r.PutP50Millis, r.PutP99Millis, r.Refused)
	fmt.Fprintf(w, "memory\t%.0f MB maximum resident size\tload generator included\n", float64(r.ResidentMaxBytes)/1e6)
	return w.Flush()
}
