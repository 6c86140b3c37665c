package server

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record"
)

// delivery runs one worker per shard of each delivery stream, from the moment the stream is
// there until it is deleted or the chain ends.
type delivery struct {
	chain   *Chain
	store   record.Store
	metrics *deliver.Metrics
	log     *slog.Logger

	mu      sync.Mutex // guards what follows
	ctx     context.Context
	group   *errgroup.Group // nil before run and after its end
	streams map[string]*streamDelivery
}

// streamDelivery is one stream's delivery.
type streamDelivery struct {
	mu      sync.Mutex // guards defined
	defined firehose.Stream
	workers []*deliver.Worker  // by shard; none until started
	stop    context.CancelFunc // nil until started
	done    sync.WaitGroup     // of the workers
}

// newest is the stream's definition as it stands.
func (s *streamDelivery) newest() firehose.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.defined
}

func newDelivery(ctx context.Context, c *Chain) (*delivery, error) {
	store, err := c.buffer.Store(ctx, "deliver")
	if err != nil {
		return nil, err
	}
	return &delivery{
		chain: c, store: store, metrics: deliver.NewMetrics(c.registry), log: c.log.With("room", "deliver"),
		streams: map[string]*streamDelivery{},
	}, nil
}

// run delivers until ctx ends.
func (d *delivery) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	// It ends last but for the workers: while there is a group, it can be added to.
	group.Go(func() error {
		<-ctx.Done()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.group = nil
		return nil
	})
	d.mu.Lock()
	d.ctx, d.group = ctx, group
	for _, s := range d.streams {
		d.startLocked(s)
	}
	d.mu.Unlock()
	return group.Wait()
}

// changed takes over a stream that is new, or whose definition changed.
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
	d.startLocked(s)
}

// deleted stops a stream's delivery and forgets what was not delivered, as AWS does. Nobody
// delivers it when a deletion is finished that a crash had cut off.
func (d *delivery) deleted(name string) {
	d.mu.Lock()
	s := d.streams[name]
	delete(d.streams, name)
	d.mu.Unlock()
	if s != nil && s.stop != nil {
		s.stop()
		s.done.Wait()
	}
	if err := d.forget(context.Background(), name); err != nil {
		d.log.Error("a deleted stream's records can't be removed", "stream", name, "error", err)
	}
}

func (d *delivery) forget(ctx context.Context, name string) error {
	shards, err := d.shards(ctx, name)
	if err != nil {
		return err
	}
	for shard := range shards {
		// The document first: one that is left over without its log would make a new stream
		// of that name skip records.
		if err := deliver.Forget(ctx, d.store, name, shard); err != nil {
			return err
		}
		if err := d.chain.buffer.DeleteLog(ctx, name, shard); err != nil {
			return err
		}
	}
	return nil
}

// shards is how many shards of a stream there are to deliver: those that are written now, and
// those that were when there were more.
func (d *delivery) shards(ctx context.Context, name string) (int, error) {
	there, err := d.chain.buffer.Shards(ctx, name)
	return max(there, d.chain.cfg.Shards, 1), err
}

// startLocked starts a stream's workers once there is a group to run them in. A worker that
// can't start ends the chain: records would be accepted and never delivered.
func (d *delivery) startLocked(s *streamDelivery) {
	if d.group == nil || s.workers != nil {
		return
	}
	if err := d.makeLocked(s); err != nil {
		d.group.Go(func() error { return err })
		return
	}
	ctx, stop := context.WithCancel(d.ctx)
	s.stop = stop
	for _, w := range s.workers {
		s.done.Add(1)
		d.group.Go(func() error {
			defer s.done.Done()
			if err := w.Run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("deliver %s: %w", s.newest().Name, err)
			}
			return nil
		})
	}
}

func (d *delivery) makeLocked(s *streamDelivery) error {
	name := s.defined.Name
	shards, err := d.shards(d.ctx, name)
	if err != nil {
		return fmt.Errorf("count the shards of %s: %w", name, err)
	}
	for shard := range shards {
		log, err := d.chain.buffer.Log(d.ctx, name, shard)
		if err != nil {
			return fmt.Errorf("open the log of %s: %w", name, err)
		}
		w, err := deliver.New(deliver.Config{
			Destination: func() deliver.Destination { return deliverTo(d.chain, s.newest()) },
			Shard:       shard,
			SpoolDir:    filepath.Join(d.chain.cfg.Dir, "spool"),
			Shared:      d.chain.cfg.NATS != "",
			Metrics:     d.metrics,
			Logger:      d.log,
		}, deliverLog{log}, d.store, d.chain.objects, transform{d.chain})
		if err != nil {
			return err
		}
		s.workers = append(s.workers, w)
	}
	return nil
}

// deliverLog is a log as delivery wants it.
type deliverLog struct{ *buffer.Log }

// Last implements deliver.Log.
func (l deliverLog) Last(ctx context.Context) (uint64, error) {
	stats, err := l.Stats(ctx)
	return stats.Last, err
}

// flush returns once everything that is in the logs now stands in objects.
func (d *delivery) flush(ctx context.Context) error {
	var group errgroup.Group
	for _, w := range d.workers() {
		group.Go(func() error { return w.Flush(ctx) })
	}
	return group.Wait()
}

// counts is what was delivered since the start, over all streams.
func (d *delivery) counts() (sum deliver.Counts) {
	for _, w := range d.workers() {
		c := w.Counts()
		sum.Out += c.Out
		sum.Failed += c.Failed
	}
	return sum
}

// of are the workers of one stream, by shard.
func (d *delivery) of(name string) []*deliver.Worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.streams[name]; s != nil {
		return s.workers
	}
	return nil
}

// workers are those of all streams that are started.
func (d *delivery) workers() (all []*deliver.Worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.streams {
		all = append(all, s.workers...)
	}
	return all
}

// maxGather bounds how long records are gathered for one call of a function. Firehose's
// hint is 60 s by default; here an invocation costs next to nothing, and waiting does not.
const maxGather = time.Second

// deliverTo is what delivery needs to know of a stream's definition.
func deliverTo(c *Chain, s firehose.Stream) deliver.Destination {
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
