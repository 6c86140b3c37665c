package chain

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/buffer"
	"github.com/stagelog/stagelog/internal/deliver"
	"github.com/stagelog/stagelog/internal/firehose"
)

// delivery runs one worker per delivery stream, from the moment the stream is there until
// it is deleted or the chain ends.
type delivery struct {
	chain   *Chain
	store   deliver.Store
	metrics *deliver.Metrics
	log     *slog.Logger

	mu      sync.Mutex // guards what follows
	ctx     context.Context
	group   *errgroup.Group // nil before run and after its end
	streams map[string]*worker
}

// worker is one stream's delivery.
type worker struct {
	mu     sync.Mutex // guards stream
	stream firehose.Stream
	run    *deliver.Worker    // nil until started
	stop   context.CancelFunc // nil until started
	done   chan struct{}      // closed once run has returned
}

// newest is the stream's definition as it stands.
func (w *worker) newest() firehose.Stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stream
}

func newDelivery(ctx context.Context, c *Chain) (*delivery, error) {
	store, err := c.buffer.Store(ctx, "deliver")
	if err != nil {
		return nil, err
	}
	return &delivery{
		chain: c, store: store, metrics: deliver.NewMetrics(c.registry), log: c.log.With("room", "deliver"),
		streams: map[string]*worker{},
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
	for _, w := range d.streams {
		d.startLocked(w)
	}
	d.mu.Unlock()
	return group.Wait()
}

// changed takes over a stream that is new, or whose definition changed.
func (d *delivery) changed(s firehose.Stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w, ok := d.streams[s.Name]; ok {
		w.mu.Lock()
		w.stream = s
		w.mu.Unlock()
		return
	}
	w := &worker{stream: s, done: make(chan struct{})}
	d.streams[s.Name] = w
	d.startLocked(w)
}

// deleted stops a stream's delivery and forgets what was not delivered, as AWS does. There
// is no worker when a deletion is finished that a crash had cut off.
func (d *delivery) deleted(name string) {
	d.mu.Lock()
	w := d.streams[name]
	delete(d.streams, name)
	d.mu.Unlock()
	if w != nil && w.stop != nil {
		w.stop()
		<-w.done
	}
	ctx := context.Background()
	// The document first: one that is left over without its log would make a new stream of
	// that name skip records.
	err := deliver.Forget(ctx, d.store, name, 0)
	if err == nil {
		err = d.chain.buffer.DeleteLog(ctx, name, 0)
	}
	if err != nil {
		d.log.Error("a deleted stream's records can't be removed", "stream", name, "error", err)
	}
}

// startLocked starts a worker once there is a group to run it in. A worker that can't
// start ends the chain: records would be accepted and never delivered.
func (d *delivery) startLocked(w *worker) {
	if d.group == nil || w.run != nil {
		return
	}
	if err := d.makeLocked(w); err != nil {
		d.group.Go(func() error { return err })
		return
	}
	ctx, stop := context.WithCancel(d.ctx)
	w.stop = stop
	d.group.Go(func() error {
		defer close(w.done)
		defer stop()
		if err := w.run.Run(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("deliver %s: %w", w.newest().Name, err)
		}
		return nil
	})
}

func (d *delivery) makeLocked(w *worker) error {
	log, err := d.chain.buffer.Log(d.ctx, w.stream.Name, 0)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", w.stream.Name, err)
	}
	w.run, err = deliver.New(deliver.Config{
		Destination: func() deliver.Destination { return deliverTo(d.chain, w.newest()) },
		SpoolDir:    filepath.Join(d.chain.cfg.Dir, "spool"),
		Shared:      d.chain.cfg.NATS != "",
		Metrics:     d.metrics,
		Logger:      d.log.With("stream", w.stream.Name),
	}, deliverLog{log}, d.store, sink{d.chain}, transform{d.chain})
	return err
}

// deliverLog is a log that says how far it goes, so that a flush knows where it ends.
type deliverLog struct{ *buffer.Log }

// Last implements deliver.Ender.
func (l deliverLog) Last(ctx context.Context) (uint64, error) {
	stats, err := l.Stats(ctx)
	return stats.Last, err
}

var _ deliver.Ender = deliverLog{}

// flush returns once everything that is in the logs now stands in objects.
func (d *delivery) flush(ctx context.Context) error {
	d.mu.Lock()
	var workers []*worker
	for _, w := range d.streams {
		if w.run != nil {
			workers = append(workers, w)
		}
	}
	d.mu.Unlock()
	var group errgroup.Group
	for _, w := range workers {
		group.Go(func() error { return w.run.Flush(ctx) })
	}
	return group.Wait()
}

// counts is what was delivered since the start, over all streams.
func (d *delivery) counts() (sum deliver.Counts) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.streams {
		if w.run != nil {
			c := w.run.Counts()
			sum.Out += c.Out
			sum.Failed += c.Failed
		}
	}
	return sum
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
