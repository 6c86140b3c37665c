// Package demo runs the sample pipeline of `stagelog demo`: a sample API, customers that call it, and a reader that gets
// the delivered objects.
package demo

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/server"
)

//go:embed demo.yaml
var demoYAML []byte

// Config holds the load and where the pipeline runs.
type Config struct {
	For      time.Duration // how long requests are sent; 0: until the context ends
	Rate     int           // requests per second
	Dir      string        // absolute: state of the pipeline
	Logger   *slog.Logger
	Progress func(string) // called with each message for the user
}

// Result is the document of `demo --json`. Fields may be added, never changed.
type Result struct {
	Requests         int64            `json:"requests"`          // answered by the stage
	RecordsAccepted  int64            `json:"records_accepted"`  // durable in the stream
	RecordsDelivered int64            `json:"records_delivered"` // lines in the delivered objects
	RecordsFailed    int64            `json:"records_failed"`    // lines in the error objects
	Objects          []string         `json:"objects"`
	Customers        map[string]int64 `json:"customers"` // delivered lines by customer; "-" has no key
	Reader           ReaderAccess     `json:"reader"`
	Endpoints        server.Endpoints `json:"endpoints"`
	Callers          []CallerResult   `json:"-"`
}

// ReaderAccess holds what the reader's credentials can do: "ok", or S3's error code.
type ReaderAccess struct {
	List string `json:"list"`
	Get  string `json:"get"`
	Put  string `json:"put"`
}

// CallerResult counts the responses to one kind of caller.
type CallerResult struct {
	Name     string
	Statuses map[int]int // count by status
}

// Check returns an error if a request or a record is missing.
func (r Result) Check() error {
	if r.Requests != r.RecordsAccepted || r.RecordsDelivered+r.RecordsFailed != r.RecordsAccepted {
		return fmt.Errorf("counts differ: %d requests, %d records accepted, %d delivered, %d failed", r.Requests, r.RecordsAccepted, r.RecordsDelivered, r.RecordsFailed)
	}
	return nil
}

// demo is one run over a running pipeline.
type demo struct {
	cfg      Config
	pipeline *config.Pipeline
	callers  callers
	server   *server.Server
	result   Result
}

// Run runs the demo. When ctx ends, it stops sending and still delivers and counts the accepted records.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	upstream, err := serveSample(cfg.Logger)
	if err != nil {
		return nil, err
	}
	d := &demo{cfg: cfg, callers: newCallers()}
	d.pipeline, err = config.Parse("demo.yaml", demoYAML, func(name string) string {
		if name == "UPSTREAM" {
			return upstream.url
		}
		return d.callers.key(name)
	})
	if err != nil {
		return nil, errors.Join(err, upstream.close())
	}
	d.say("stagelog demo: which customers call this API, on which plan?\n")
	err = server.Run(ctx, server.Config{
		Pipeline: d.pipeline, Dir: cfg.Dir, Listen: server.Loopback, AnyPort: true, Logger: cfg.Logger,
		Progress: func(s server.Step) { d.say("  %d/4  %-36s done: %s", s.Number, s.Name, s.Detail) },
	}, d.script)
	return &d.result, errors.Join(err, upstream.close())
}

func (d *demo) say(format string, args ...any) { d.cfg.Progress(fmt.Sprintf(format, args...)) }

// script sends requests, shows the first object, and counts what is in the bucket.
func (d *demo) script(ctx context.Context, c *server.Server) error {
	d.server = c
	traffic, stopTraffic := context.WithCancel(ctx)
	defer stopTraffic()
	end := "Press Ctrl-C to stop and print a summary."
	if d.cfg.For > 0 {
		traffic, stopTraffic = context.WithTimeout(ctx, d.cfg.For)
		defer stopTraffic()
		end = fmt.Sprintf("Stops after %v.", d.cfg.For)
	}
	d.say("\nSending %d requests per second to %s/shop/prod/orders. %s", d.cfg.Rate, c.Endpoints().Stages, end)
	d.say("Console: %s", c.Endpoints().Console)
	var sending sync.WaitGroup
	sending.Go(func() { d.send(traffic) })
	err := d.showFirstObject(traffic)
	sending.Wait()
	if err != nil {
		return err
	}
	// Ctrl-C ends the traffic, not the demo: accepted records are still delivered and counted.
	return d.summarize(context.WithoutCancel(ctx))
}

// showFirstObject waits for the first object and prints its first line, read with the reader's credentials.
func (d *demo) showFirstObject(ctx context.Context) error {
	reader := d.server.Reader().Bucket(d.pipeline.Bucket)
	for {
		keys, err := listKeys(ctx, reader, d.pipeline.Deliver.Prefix)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("list the bucket as the reader: %w", err)
		}
		if len(keys) > 0 {
			return d.showObject(ctx, reader, keys[0])
		}
		select {
		case <-ctx.Done():
			return nil // the run was too short for an object; summarize delivers and reads
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *demo) showObject(ctx context.Context, reader bucket.Bucket, key string) error {
	lines, err := readLines(ctx, reader, key)
	if err != nil || len(lines) == 0 {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, lines[0], "    ", "  "); err != nil {
		return fmt.Errorf("the first line of %s is not JSON: %w", key, err)
	}
	d.say("\nThe first object, read with the credentials of account %s:\n  s3://%s/%s (%d records)\n    %s\n",
		d.pipeline.Readers[0], d.pipeline.Bucket, key, len(lines), pretty.String())
	return nil
}

// summarize delivers the remaining records, then counts the records in the bucket.
func (d *demo) summarize(ctx context.Context) error {
	d.say("Delivering the remaining records ...")
	settle, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.server.Settle(settle); err != nil {
		return fmt.Errorf("deliver the last records: %w", err)
	}
	d.result.RecordsAccepted = d.server.Counts().Accepted
	d.result.Customers, d.result.Objects = map[string]int64{}, []string{}
	d.result.Endpoints = d.server.Endpoints()
	return d.readBack(ctx)
}
