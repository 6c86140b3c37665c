// Package server joins the rooms into the pipeline that runs on one machine: API stages,
// the AWS endpoint, durable delivery and the bucket, in one process.
//
// It is the only place where rooms meet. Everything here is joining: the adapters between
// two rooms' interfaces, the order in which things start and stop, and the four steps that
// turn a stagelog.yaml into a bucket, a function, a delivery stream and access logging.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/console/live"
	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/durable/lease"
	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/localaws/cloudwatchlogs"
	"github.com/stagelog/stagelog/internal/localaws/credentials"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/localaws/gateway"
	"github.com/stagelog/stagelog/internal/localaws/glue"
	"github.com/stagelog/stagelog/internal/localaws/iam"
	functionapi "github.com/stagelog/stagelog/internal/localaws/lambda"
	"github.com/stagelog/stagelog/internal/localaws/s3server"
	"github.com/stagelog/stagelog/internal/usageplan"
)

// drainTimeout bounds the end of a run: what is not delivered by then is on disk and goes
// out after the next start.
const drainTimeout = 30 * time.Second

// closeTimeout bounds the last writes, which come whatever became of the drain.
const closeTimeout = 10 * time.Second

// Config says what to run and where.
type Config struct {
	Pipeline *config.Pipeline
	Dir      string // absolute: state, credentials, the embedded bucket
	Listen   Listen
	AnyPort  bool   // take a free port where one is taken
	NATS     string // URL of a NATS cluster; "" embeds a server
	// NATSReplicas is how many servers of the cluster hold each record. By default 1.
	NATSReplicas int
	// Shards is how many logs, each with a delivery of its own, a stream's records are spread
	// over. By default 1. Those of a higher count before are delivered to their end.
	Shards int
	// BufferBytes is how much may wait on disk for delivery. By default 10 GiB.
	BufferBytes int64
	S3Endpoint  string // another S3 to deliver to; "" embeds a server
	// ConsolePassword protects the console. Without one it is there on loopback alone.
	ConsolePassword string
	APIsOnly        bool // of the pipeline its local APIs alone; the rest is for AWS clients to build
	Logger          *slog.Logger
	Progress        func(Step) // called as each of the four steps is done; may be nil
}

// Chain is a running pipeline.
type Chain struct {
	cfg      Config
	log      *slog.Logger
	at       listeners
	registry *prometheus.Registry
	accounts *credentials.Accounts

	buffer    *buffer.Buffer
	server    *s3server.Server // nil with Config.S3Endpoint
	objects   *bucket.Client   // as the administrator
	control   *apigateway.Service
	functions *functionapi.Service
	index     *usageplan.Index
	enricher  *enrich.Enricher
	roles     *iam.Service
	logGroups *cloudwatchlogs.Service
	catalog   *glue.Service
	ingest    *ingest.Streams
	streams   *firehose.Service
	stages    *gateway.Gateway
	lines     *gateway.Logger
	delivery  *delivery
	live      live.Hub
	lake      *lake.Filler

	endTurn     func()        // lets the next process of a cluster start
	closeStages func()        // returns once no request is under way at a stage
	applied     chan struct{} // closed once the pipeline is applied
}

// Run opens the chain, serves it, applies the pipeline, and then calls script. It serves
// until script returns, delivers what is on its way, and stops. The script's context is
// ctx; the chain itself outlives ctx, so that a script may end its work in order.
func Run(ctx context.Context, cfg Config, script func(context.Context, *Chain) error) error {
	c, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	c.start(serving, group)
	// A part that fails ends the script too: it must not wait for what is gone.
	scripted, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(serving, cancel)
	err = c.apply(scripted)
	if err == nil {
		err = c.writeEndpoints()
	}
	c.endTurn()
	if err == nil {
		close(c.applied)
		err = script(scripted, c)
	}
	drainCtx, cancelDrain := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancelDrain()
	if serving.Err() == nil {
		err = errors.Join(err, c.drain(drainCtx))
	}
	stop()
	if groupErr := group.Wait(); groupErr != nil && !errors.Is(groupErr, context.Canceled) {
		err = groupErr // the cause; what the script said is its consequence
	}
	return errors.Join(err, c.close(ctx))
}

// open takes the ports, then opens each room, from the disk upward.
func open(ctx context.Context, cfg Config) (*Chain, error) {
	c := &Chain{cfg: cfg, log: cfg.Logger, registry: prometheus.NewRegistry(), applied: make(chan struct{}), endTurn: func() {}}
	c.lake = c.newLake()
	at, err := listen(cfg.Listen, cfg.AnyPort)
	if err != nil {
		return nil, err
	}
	c.at = at
	for _, step := range []func(context.Context) error{c.openState, c.takeTurn, c.openBucket, c.openControl, c.openNames, c.openPath} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, at.close(), c.close(ctx))
		}
	}
	return c, nil
}

// openState opens what everything else keeps its state in.
func (c *Chain) openState(ctx context.Context) (err error) {
	p := c.cfg.Pipeline
	c.buffer, err = buffer.Open(ctx, buffer.Config{Dir: filepath.Join(c.cfg.Dir, "buffer"), URL: c.cfg.NATS, Replicas: c.cfg.NATSReplicas, MaxBytes: c.cfg.BufferBytes, Logger: c.log.With("room", "buffer")})
	if err != nil {
		where := "--dir says where the state is kept"
		if c.cfg.NATS != "" {
			where = "--nats says where the cluster is"
		}
		return fmt.Errorf("open the buffer: %w\n  %s", err, where)
	}
	c.accounts, err = credentials.Open(credentials.Config{
		Dir: c.cfg.Dir, AccountID: p.Account, Region: p.Region, Endpoint: url(c.at.aws), Readers: p.Readers,
	})
	return err
}

// takeTurn waits until no other process of the cluster is starting. One that starts reads what
// there is, and then makes what its stagelog.yaml has beyond that: two at once would both make it.
func (c *Chain) takeTurn(ctx context.Context) error {
	if c.cfg.NATS == "" {
		return nil
	}
	store, err := c.buffer.Store(ctx, "start")
	if err != nil {
		return err
	}
	l := &lease.Lease{Store: store, Key: "start", Owner: uuid.NewString(), What: "start", Log: c.log}
	_, giveBack, err := l.Take(ctx)
	if err != nil {
		return fmt.Errorf("wait for other processes of the cluster to start: %w", err)
	}
	c.endTurn = sync.OnceFunc(giveBack)
	return nil
}

// start has every part run until ctx ends.
func (c *Chain) start(ctx context.Context, group *errgroup.Group) {
	if c.server != nil {
		group.Go(func() error { return c.server.Run(ctx) })
	}
	group.Go(func() error { return c.index.Run(ctx) })
	group.Go(func() error { return c.lines.Run(ctx) })
	group.Go(func() error { return c.control.Run(ctx) })
	group.Go(func() error { return c.delivery.run(ctx) })
	group.Go(func() error { return c.addHeldBack(ctx) })
	serve(ctx, group, c.at.aws, c.awsHandler())
	c.closeStages = serveStages(ctx, group, c.at.stages, c.stages)
	serve(ctx, group, c.at.console, c.consoleHandler(ctx))
}

// serveStages is serve for the stages, whose door closes first: what comes in there has a
// line to hand over, and needs the parts behind it.
func serveStages(ctx context.Context, group *errgroup.Group, ln net.Listener, stages http.Handler) (closeDoor func()) {
	ctx, shut := context.WithCancel(ctx)
	closed := make(chan struct{})
	door, ctx := errgroup.WithContext(ctx)
	serve(ctx, door, ln, stages)
	group.Go(func() error {
		defer close(closed)
		defer shut()
		return door.Wait()
	})
	return func() {
		shut()
		<-closed
	}
}

// Endpoints are the addresses where the chain listens, as URLs.
type Endpoints struct{ AWS, Stages, Console string }

// Map is the endpoints as they stand in --json.
func (e Endpoints) Map() map[string]string {
	return map[string]string{"aws": e.AWS, "stages": e.Stages, "console": e.Console}
}

// EndpointsFile is where, in the state folder, the endpoints of the run stand for other commands.
const EndpointsFile = "endpoints.json"

func (c *Chain) writeEndpoints() error {
	data, err := json.Marshal(c.Endpoints().Map())
	if err != nil {
		return fmt.Errorf("BUG: endpoints: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.cfg.Dir, EndpointsFile), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("note the endpoints: %w", err)
	}
	return nil
}

// Endpoints says where the chain listens.
func (c *Chain) Endpoints() Endpoints {
	return Endpoints{AWS: url(c.at.aws), Stages: url(c.at.stages), Console: url(c.at.console)}
}

// Accounts are the accounts of this machine.
func (c *Chain) Accounts() *credentials.Accounts { return c.accounts }

// Profiles are the AWS profiles that the credentials file holds.
func (c *Chain) Profiles() []string {
	names := []string{c.accounts.Admin.Profile}
	for _, r := range c.accounts.Readers {
		names = append(names, r.Profile)
	}
	return names
}

// Region is the region that requests are signed for.
func (c *Chain) Region() string { return c.cfg.Pipeline.Region }

// Admin is an S3 client that may do everything.
func (c *Chain) Admin() *bucket.Client { return c.objects }

// Reader is an S3 client of the pipeline's first reader, over the embedded server.
func (c *Chain) Reader() *bucket.Client {
	return c.server.Client(bucketAccount(c.accounts.Readers[0]))
}

// Settle returns once every record accepted so far is in an object.
func (c *Chain) Settle(ctx context.Context) error {
	if err := c.lines.Drain(ctx); err != nil {
		return fmt.Errorf("hand over access log lines: %w", err)
	}
	return c.delivery.flush(ctx)
}

// drain ends a run in order: the stages close first, then what came in goes out. The AWS
// endpoint stays for the functions; what it takes meanwhile, like what the deadline cuts
// off, is on disk.
func (c *Chain) drain(ctx context.Context) error {
	c.closeStages()
	err := c.Settle(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		c.log.Warn("not everything was delivered in time; the rest is on disk and goes out after the next start", "after", drainTimeout)
		return nil
	}
	return err
}

// close lets go of what open took. Parts that were never opened are nil. It has a time of
// its own: the end of ctx, or of the drain, is no reason not to write what is still to be.
func (c *Chain) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	c.endTurn()
	errs := []error{c.lake.Close()}
	if c.functions != nil {
		errs = append(errs, c.functions.Close(ctx))
	}
	if c.control != nil {
		errs = append(errs, c.control.Close(ctx))
	}
	if c.buffer != nil {
		errs = append(errs, c.buffer.Close())
	}
	return errors.Join(errs...)
}

// Counts is what passed since the start.
type Counts struct {
	Requests  int64 // that reached a stage
	Accepted  int64 // records, from everywhere, that are durable in a stream
	Delivered int64 // records in data objects
	Failed    int64 // records in error objects
	Lost      int64 // access log lines that no stream took
}

// Counts says what passed since the start.
func (c *Chain) Counts() Counts {
	sum := c.delivery.counts()
	return Counts{
		Requests: c.stages.Stats().Requests, Accepted: c.ingest.Stats().Records, Delivered: sum.Out, Failed: sum.Failed,
		Lost: c.lines.Stats().Lost,
	}
}

// KeyIDs are the ids of the API keys that the control API holds.
func (c *Chain) KeyIDs() []string {
	var ids []string
	for _, k := range c.control.Keys() {
		ids = append(ids, k.ID)
	}
	return ids
}
