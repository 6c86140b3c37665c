// Package bench measures the local pipeline: it sends records over HTTP from clients in the same process and waits until
// the last one is in an object.
package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/server"
)

// Config holds the load and where the pipeline runs.
type Config struct {
	For         time.Duration // how long records are sent
	Clients     int           // concurrent clients
	Batch       int           // records in a request; 1 sends PutRecord
	RecordBytes int           // size of a record
	Keys        int           // API keys of the pipeline
	Dir         string        // absolute: state of the pipeline
	CPUProfile  string        // file for a CPU profile of the measured time; "" for none
	Logger      *slog.Logger
	Progress    func(string) // called before each step
}

// Result is the document of `bench --json`. Fields may be added, never changed.
type Result struct {
	Machine          string  `json:"machine"`
	Clients          int     `json:"clients"`
	Batch            int     `json:"batch"`
	RecordBytes      int     `json:"record_bytes"`
	Accepted         int64   `json:"records_accepted"`
	Delivered        int64   `json:"records_delivered"`
	Failed           int64   `json:"records_failed"`
	Refused          int64   `json:"requests_refused"` // failed with a server error, or in part
	AcceptedPerSec   float64 `json:"accepted_per_second"`
	DeliveredPerSec  float64 `json:"delivered_per_second"`
	PutP50Millis     float64 `json:"put_p50_ms"`
	PutP99Millis     float64 `json:"put_p99_ms"`
	Objects          int     `json:"objects"`
	ResidentMaxBytes int64   `json:"resident_max_bytes"` // of the whole process, load generator included
}

// Run starts a pipeline in cfg.Dir, measures it and stops it.
func Run(ctx context.Context, cfg Config) (Result, error) {
	p, err := pipeline(cfg.Keys)
	if err != nil {
		return Result{}, err
	}
	var result Result
	cfg.Progress(fmt.Sprintf("starting the pipeline with %d API keys ...", cfg.Keys))
	err = server.Run(ctx, server.Config{
		Pipeline: p, Dir: cfg.Dir, Logger: cfg.Logger,
		Listen: server.Listen{AWS: "127.0.0.1:0", Stages: "127.0.0.1:0", Console: "127.0.0.1:0"},
	}, func(ctx context.Context, c *server.Server) error {
		var err error
		result, err = measure(ctx, cfg, p, c)
		return err
	})
	return result, err
}

func measure(ctx context.Context, cfg Config, p *config.Pipeline, c *server.Server) (Result, error) {
	load, err := newLoad(cfg, p, c)
	if err != nil {
		return Result{}, err
	}
	cfg.Progress(fmt.Sprintf("sending for %v from %d clients ...", cfg.For, cfg.Clients))
	stopProfile, err := startProfile(cfg.CPUProfile)
	if err != nil {
		return Result{}, err
	}
	began := time.Now()
	load.run(ctx, cfg.For)
	sent := time.Since(began)
	if err := stopProfile(); err != nil {
		return Result{}, err
	}
	if load.err != nil {
		return Result{}, fmt.Errorf("send records: %w", load.err)
	}
	if err := c.Settle(context.WithoutCancel(ctx)); err != nil {
		return Result{}, fmt.Errorf("deliver the last records: %w", err)
	}
	total := time.Since(began)
	objects := 0
	if err := c.Admin().Bucket(p.Bucket).List(ctx, "", "", func(record.Object) error { objects++; return nil }); err != nil {
		return Result{}, fmt.Errorf("list the bucket: %w", err)
	}
	counts := c.Counts()
	result := Result{
		Machine: machine(), Clients: cfg.Clients, Batch: cfg.Batch, RecordBytes: cfg.RecordBytes,
		Accepted: load.accepted, Delivered: counts.Delivered, Failed: counts.Failed, Refused: load.refused,
		AcceptedPerSec:  float64(load.accepted) / sent.Seconds(),
		DeliveredPerSec: float64(counts.Delivered) / total.Seconds(),
		Objects:         objects, ResidentMaxBytes: residentMax(),
	}
	slices.Sort(load.latencies)
	result.PutP50Millis, result.PutP99Millis = percentile(load.latencies, 50), percentile(load.latencies, 99)
	if counts.Delivered+counts.Failed != load.accepted {
		return result, fmt.Errorf("counts differ: %d accepted, %d delivered, %d failed", load.accepted, counts.Delivered, counts.Failed)
	}
	return result, nil
}

// pipeline returns the pipeline to measure: default delivery settings and the given number of keys.
func pipeline(keys int) (*config.Pipeline, error) {
	var y strings.Builder
	y.WriteString("name: bench\nbucket: bench-api-logs\nreaders: [\"111122223333\"]\nformat: classic\n")
	y.WriteString("local:\n  apis: [{id: shop, upstream: \"http://127.0.0.1:9\", stages: [prod]}]\n  usage_plans:\n")
	plans := min(keys, 20)
	for plan := range plans {
		fmt.Fprintf(&y, "    - name: Plan %d\n      stages: [shop/prod]\n      customers:\n", plan)
		for k := plan; k < keys; k += plans {
			fmt.Fprintf(&y, "        - {name: Customer %d, key: bench-key-of-customer-number-%06d}\n", k, k)
		}
	}
	return config.Parse("bench.yaml", []byte(y.String()), func(string) string { return "" })
}

// startProfile starts a CPU profile unless file is "".
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

// percentile returns the p-th percentile of sorted latencies in milliseconds.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)-1, len(sorted)*p/100)].Microseconds()) / 1000
}

// machine describes the CPU and the platform.
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

// residentMax returns the peak resident memory of this process in bytes, or 0 if the system does not report it.
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
