package server

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record"
)

// delivery runs one worker per shard of each delivery stream, from the creation of the stream until
// it is deleted or the server stops.
type delivery struct {
	server  *Server
	store   record.Store
	faults  *deliver.Faults
	metrics *deliver.Metrics
	log     *slog.Logger

	mu      sync.Mutex            // guards start, streams
	start   func(*streamDelivery) // nil unless run is running
	streams map[string]*streamDelivery
}

// streamDelivery is one stream's delivery.
type streamDelivery struct {
	mu      sync.Mutex // guards defined
	defined firehose.Stream
	workers []*deliver.Worker  // by shard; nil until started
	stop    context.CancelFunc // nil until started
	done    sync.WaitGroup     // of the workers
}

// newest returns the newest definition of the stream.
func (s *streamDelivery) newest() firehose.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.defined
}

func newDelivery(ctx context.Context, c *Server) (*delivery, error) {
	d := &delivery{
		server: c, metrics: deliver.NewMetrics(c.registry), log: c.log.With("component", "deliver"),
		streams: map[string]*streamDelivery{},
	}
	var faults record.Store
	for name, store := range map[string]*record.Store{"deliver": &d.store, "faults": &faults} {
		s, err := c.buffer.Store(ctx, name)
		if err != nil {
			return nil, err
		}
		*store = s
	}
	var err error
	if d.faults, err = deliver.OpenFaults(ctx, faults, c.registry, d.log); err != nil {
		return nil, err
	}
	for _, s := range c.buffer.Salvaged() {
		if s.LostFrames == 0 && !s.Incomplete {
			continue // nothing is lost
		}
		fault := deliver.Fault{Found: s.Time, Kind: deliver.Damaged, Detail: s.String()}
		if err := d.faults.Report(ctx, fault, s.Time.Format(time.RFC3339Nano)); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// run delivers until ctx ends.
func (d *delivery) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	// Keeps the group open while streams may still be started.
	group.Go(func() error {
		<-ctx.Done()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.start = nil
		return nil
	})
	d.mu.Lock()
	d.start = func(s *streamDelivery) { d.startLocked(ctx, group, s) }
	for _, s := range d.streams {
		d.start(s)
	}
	d.mu.Unlock()
	return group.Wait()
}

// changed adds a new stream, or updates the definition of a known one.
func (d *delivery) changed(defined firehose.Stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.streams[defined.Name]; ok {
		s.mu.Lock()
		s.defined = defined
		s.mu.Unlock()
		return
	}
	s := &streamDelivery{defined: defined}
	d.streams[defined.Name] = s
	if d.start != nil {
		d.start(s)
	}
}

// closed stops the delivery of a stream that another process deletes.
func (d *delivery) closed(name string) {
	d.stop(name)
	d.server.buffer.CloseLogs(name)
}

// stop stops a stream's delivery, if it is running.
func (d *delivery) stop(name string) {
	d.mu.Lock()
	s := d.streams[name]
	delete(d.streams, name)
	d.mu.Unlock()
	if s != nil && s.stop != nil {
		s.stop()
		s.done.Wait()
	}
}

// closeTime is how long the deletion of a stream's records waits for the other processes of a cluster to close the stream.
const closeTime = 2 * documents.Interval

// deleted stops a stream's delivery and removes its undelivered records, as AWS does. A deletion
// that is finished after a crash has no delivery to stop.
func (d *delivery) deleted(name string) {
	d.stop(name)
	ctx := context.Background()
	if d.server.cfg.NATS != "" {
		_ = retry.Sleep(ctx, closeTime) // fails only when ctx ends
	}
	if err := d.forget(ctx, name); err != nil {
		d.log.Error("removing a deleted stream's records failed", "stream", name, "error", err)
	}
}

func (d *delivery) forget(ctx context.Context, name string) error {
	shards, err := d.shards(ctx, name)
	if err != nil {
		return err
	}
	for shard := range shards {
		// Delete the delivery state first: without its log, it would make a new stream of that name
		// skip records.
		if err := deliver.Forget(ctx, d.store, name, shard); err != nil {
			return err
		}
		if err := d.server.buffer.DeleteLog(ctx, name, shard); err != nil {
			return err
		}
	}
	return nil
}

// shards returns the number of shards of a stream to deliver: those in use now, and those left over
// from a run with more shards.
func (d *delivery) shards(ctx context.Context, name string) (int, error) {
	existing, err := d.server.buffer.Shards(ctx, name)
	return max(existing, d.server.cfg.Shards, 1), err
}

// startLocked runs a stream's workers in group until ctx ends. A worker that cannot start ends the
// group, because records would be accepted but never delivered.
func (d *delivery) startLocked(ctx context.Context, group *errgroup.Group, s *streamDelivery) {
	if s.workers != nil {
		return
	}
	if err := d.makeLocked(ctx, s); err != nil {
		group.Go(func() error { return err })
		return
	}
	ctx, stop := context.WithCancel(ctx)
	s.stop = stop
	for _, w := range s.workers {
		s.done.Add(1)
		group.Go(func() error {
			defer s.done.Done()
			if err := w.Run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("deliver %s: %w", s.newest().Name, err)
			}
			return nil
		})
	}
}

func (d *delivery) makeLocked(ctx context.Context, s *streamDelivery) error {
	name := s.defined.Name
	shards, err := d.shards(ctx, name)
	if err != nil {
		return fmt.Errorf("count shards of %s: %w", name, err)
	}
	for shard := range shards {
		log, err := d.server.buffer.Log(ctx, name, shard)
		if err != nil {
			return fmt.Errorf("open log of %s: %w", name, err)
		}
		w, err := deliver.New(deliver.Config{
			Destination: func() deliver.Destination { return deliverTo(d.server, s.newest()) },
			Shard:       shard,
			SpoolDir:    filepath.Join(d.server.cfg.Dir, "spool"),
			Shared:      d.server.cfg.NATS != "",
			Metrics:     d.metrics,
			Faults:      d.faults,
			Logger:      d.log,
		}, log, d.store, d.server.objects, transform{d.server})
		if err != nil {
			return err
		}
		s.workers = append(s.workers, w)
	}
	return nil
}

// flush returns once all records that are in the logs now are in objects.
func (d *delivery) flush(ctx context.Context) error {
	var group errgroup.Group
	for _, w := range d.workers() {
		group.Go(func() error { return w.Flush(ctx) })
	}
	return group.Wait()
}

// counts returns the records delivered since the start, over all streams.
func (d *delivery) counts() (sum deliver.Counts) {
	for _, w := range d.workers() {
		c := w.Counts()
		sum.Out += c.Out
		sum.Failed += c.Failed
	}
	return sum
}

// of returns the workers of one stream, by shard.
func (d *delivery) of(name string) []*deliver.Worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.streams[name]; s != nil {
		return s.workers
	}
	return nil
}

// workers returns the workers of all started streams.
func (d *delivery) workers() (all []*deliver.Worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.streams {
		all = append(all, s.workers...)
	}
	return all
}

// maxGather limits the gathering of records for one call of a function. Firehose's default is 60 s;
// here an invocation is cheap, and the delay would be noticeable.
const maxGather = time.Second

// deliverTo converts a stream's definition to the destination for delivery.
func deliverTo(c *Server, s firehose.Stream) deliver.Destination {
	from := s.Destination
	to := deliver.Destination{
		Stream: s.Name, StreamARN: s.ARN, Version: s.Version(),
		Bucket: from.Bucket(), Prefix: from.Prefix, ErrorPrefix: from.ErrorOutputPrefix,
		Size: from.SizeBytes(), Interval: from.Interval(), Compression: from.CompressionFormat, FileExtension: from.FileExtension,
		Zone: from.Zone(), Partitioning: from.Partitioning(), AppendDelimiter: from.AppendsDelimiter(),
	}
	if conv := from.Conversion(); conv != nil {
		to.Conversion = c.conversion(conv)
	}
	if b := from.Backup(); b != nil {
		to.Backup = &deliver.Backup{Bucket: b.Bucket(), Prefix: b.Prefix, ErrorPrefix: b.ErrorOutputPrefix, Compression: b.CompressionFormat}
	}
	if l, ok := from.Lambda(); ok {
		to.FunctionARN, to.Retries = l.ARN, l.Retries
		if !c.functions.IsBuiltin(l.ARN) {
			to.FunctionBytes, to.FunctionInterval = l.Bytes, min(l.Interval, from.Interval(), maxGather)
		}
	}
	return to
}
