package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/server"
)

type benchOptions struct {
	runFor  time.Duration
	clients int
	batch   int
	bytes   int
	keys    int
	dir     string
	profile string
}

func newBench(e *env) *cobra.Command {
	var opts benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the whole chain on this machine: HTTP in, objects in S3 out",
		Long: `Starts the chain in a folder of its own, sends records over HTTP from clients in this same process,
and waits until the last one is in an object. Each answer comes after the sync of its records. The load
generator signs each body once and sends it again and again: the server verifies every request in full.
The figures include the load generator's work, and are of this machine alone.

Rates: "accepted" counts records answered with 200 over the time of sending, "delivered" the same records
over the time until the last object stood in the bucket.`,
		Example: `  stagelog bench
  stagelog bench --for 10s --clients 8 --batch 500
  stagelog bench --batch 1 --clients 64      single PutRecords, gathered
  stagelog bench --batch 1 --clients 1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBench(cmd.Context(), e, opts)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&opts.runFor, "for", 5*time.Second, "how long records are sent")
	f.IntVar(&opts.clients, "clients", 8, "concurrent clients, 1 to 1024")
	f.IntVar(&opts.batch, "batch", 500, "records in a PutRecordBatch, 1 to 500; 1 sends PutRecord")
	f.IntVar(&opts.bytes, "bytes", 374, "bytes of a record, 300 to 10000")
	f.IntVar(&opts.keys, "keys", 200, "API keys in the directory, 1 to 10000")
	f.StringVar(&opts.dir, "dir", "", "run in this folder (default a temporary one, removed at the end)")
	f.StringVar(&opts.profile, "cpuprofile", "", "write a CPU profile of the measured time to this file, for go tool pprof")
	return cmd
}

func (o benchOptions) check() error {
	for _, r := range []struct {
		flag          string
		got, min, max int
	}{{"clients", o.clients, 1, 1024}, {"batch", o.batch, 1, 500}, {"bytes", o.bytes, 300, 10000}, {"keys", o.keys, 1, 10000}} {
		if r.got < r.min || r.got > r.max {
			return usageError{fmt.Errorf("--%s %d: expected %d to %d", r.flag, r.got, r.min, r.max)}
		}
	}
	if o.runFor <= 0 {
		return usageError{fmt.Errorf("--for %v: expected a duration above zero", o.runFor)}
	}
	return nil
}

// benchResult is what `bench --json` prints. Fields may be added, never changed.
type benchResult struct {
	Machine          string  `json:"machine"`
	Clients          int     `json:"clients"`
	Batch            int     `json:"batch"`
	RecordBytes      int     `json:"record_bytes"`
	Accepted         int64   `json:"records_accepted"`
	Delivered        int64   `json:"records_delivered"`
	Failed           int64   `json:"records_failed"`
	Refused          int64   `json:"requests_refused"` // answered with an error, or partly
	AcceptedPerSec   float64 `json:"accepted_per_second"`
	DeliveredPerSec  float64 `json:"delivered_per_second"`
	PutP50Millis     float64 `json:"put_p50_ms"`
	PutP99Millis     float64 `json:"put_p99_ms"`
	Objects          int     `json:"objects"`
	ResidentMaxBytes int64   `json:"resident_max_bytes"` // of the whole process, load generator included
}

func runBench(ctx context.Context, e *env, opts benchOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	dir, cleanup, err := demoDir(opts.dir)
	if err != nil {
		return err
	}
	p, err := benchPipeline(opts.keys)
	if err != nil {
		return errors.Join(err, cleanup())
	}
	var res benchResult
	fmt.Fprintf(e.stderr, "starting the chain with %d API keys ...\n", opts.keys)
	err = server.Run(ctx, server.Config{
		Pipeline: p, Dir: dir, Logger: e.quietLog(),
		Listen: server.Listen{AWS: "127.0.0.1:0", Stages: "127.0.0.1:0", Console: "127.0.0.1:0"},
	}, func(ctx context.Context, c *server.Chain) error {
		var err error
		res, err = measure(ctx, e, opts, p, c)
		return err
	})
	if err = errors.Join(err, cleanup()); err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdout, res)
	}
	return printBench(e, res)
}

func measure(ctx context.Context, e *env, opts benchOptions, p *config.Pipeline, c *server.Chain) (benchResult, error) {
	load, err := newLoad(opts, p, c)
	if err != nil {
		return benchResult{}, err
	}
	fmt.Fprintf(e.stderr, "sending for %v from %d clients ...\n", opts.runFor, opts.clients)
	stopProfile, err := startProfile(opts.profile)
	if err != nil {
		return benchResult{}, err
	}
	began := time.Now()
	load.run(ctx, opts.runFor)
	sent := time.Since(began)
	if err := stopProfile(); err != nil {
		return benchResult{}, err
	}
	if load.err != nil {
		return benchResult{}, fmt.Errorf("send records: %w", load.err)
	}
	if err := c.Settle(context.WithoutCancel(ctx)); err != nil {
		return benchResult{}, fmt.Errorf("deliver the last records: %w", err)
	}
	total := time.Since(began)
	keys, err := listKeys(ctx, c.Admin(), p.Bucket, "")
	if err != nil {
		return benchResult{}, fmt.Errorf("list the bucket: %w", err)
	}
	counts := c.Counts()
	res := benchResult{
		Machine: machine(), Clients: opts.clients, Batch: opts.batch, RecordBytes: opts.bytes,
		Accepted: load.accepted, Delivered: counts.Delivered, Failed: counts.Failed, Refused: load.refused,
		AcceptedPerSec:  float64(load.accepted) / sent.Seconds(),
		DeliveredPerSec: float64(counts.Delivered) / total.Seconds(),
		Objects:         len(keys), ResidentMaxBytes: residentMax(),
	}
	res.PutP50Millis, res.PutP99Millis = percentile(load.latencies, 50), percentile(load.latencies, 99)
	if counts.Delivered+counts.Failed != load.accepted {
		return res, fmt.Errorf("the counts differ: %d accepted, %d delivered, %d failed", load.accepted, counts.Delivered, counts.Failed)
	}
	return res, nil
}

func printBench(e *env, res benchResult) error {
	w := tabwriter.NewWriter(e.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "machine\t%s\n", res.Machine)
	fmt.Fprintf(w, "load\t%d clients, %d records of %d bytes a request\n", res.Clients, res.Batch, res.RecordBytes)
	fmt.Fprintf(w, "accepted\t%.0f records/s\t%d records answered after their sync\n", res.AcceptedPerSec, res.Accepted)
	fmt.Fprintf(w, "delivered\t%.0f records/s\t%d records in %d objects\n", res.DeliveredPerSec, res.Delivered, res.Objects)
	fmt.Fprintf(w, "put\tp50 %.2f ms, p99 %.2f ms\t%d refused\n", res.PutP50Millis, res.PutP99Millis, res.Refused)
	fmt.Fprintf(w, "memory\t%.0f MB resident at most\tload generator included\n", float64(res.ResidentMaxBytes)/1e6)
	return w.Flush()
}

// startProfile begins a CPU profile, unless file is "".
func startProfile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("write the CPU profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// percentile is the p-th percentile of d in milliseconds. It sorts d.
func percentile(d []time.Duration, p int) float64 {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return float64(d[min(len(d)-1, len(d)*p/100)].Microseconds()) / 1000
}

// machine says what the figures were measured on.
func machine() string {
	model := "unknown CPU"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
				break
			}
		}
	}
	return fmt.Sprintf("%d × %s, %s/%s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// residentMax is the most memory that this process ever had resident, in bytes; 0
// where the system doesn't say.
func residentMax() int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	return 0
}
