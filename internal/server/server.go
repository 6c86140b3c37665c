// Package server runs the pipeline on one machine: API stages, the AWS endpoint, durable
// delivery, the bucket and the console, in one process.
//
// It is the composition root of `stagelog up`. It opens the parts, connects them, starts and
// stops them in order, and applies stagelog.yaml in four steps: bucket, function, delivery
// stream, access logging.
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
	"sync/atomic"
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
	"github.com/stagelog/stagelog/internal/lake/lend"
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

// drainTimeout limits delivery at the end of a run. Records that are not delivered by then
// are on disk and are delivered after the next start.
const drainTimeout = 30 * time.Second

// closeTimeout limits the last writes, which follow the drain even if it failed.
const closeTimeout = 10 * time.Second

// Config configures a Server.
type Config struct {
	Pipeline *config.Pipeline
	Dir      string // absolute: state, credentials, the embedded bucket
	Listen   Listen
	AnyPort  bool   // use any free port in place of one that is in use
	NATS     string // URL of a NATS cluster; "" embeds a server
	// NATSReplicas is how many servers of the cluster hold each record. By default 3, or 1 on a smaller cluster.
	NATSReplicas int
	// Shards is the number of logs, each with its own delivery, that a stream's records are
	// spread over. By default 1. Shards left over from a higher number are delivered to their end.
	Shards int
	// BufferBytes limits the records on disk that wait for delivery. By default 10 GiB.
	BufferBytes int64
	S3Endpoint  string // another S3 to deliver to; "" embeds a server
	// ConsolePassword protects the console. Without it, the console is served on loopback only.
	ConsolePassword string
	// ConsoleHosts are host names, without port, by which the console may be opened.
	ConsoleHosts []string
	APIsOnly     bool // apply only the pipeline's local APIs and leave the rest to AWS clients
	Logger       *slog.Logger
	Progress     func(Step) // called when each of the four steps is done; may be nil
}

// Server is a running pipeline.
type Server struct {
	cfg      Config
	log      *slog.Logger
	at       listeners
	registry *prometheus.Registry
	accounts *credentials.Accounts

	buffer    *buffer.Buffer
	s3        *s3server.Server // nil with Config.S3Endpoint
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
	lender    *lend.Lender

	endTurn     func()        // lets the next process of a cluster start
	closeStages func()        // returns once no stage handles a request
	applied     chan struct{} // closed once the pipeline is applied

	health health
	phase  atomic.Pointer[string]       // what the server does before and after it serves; "" while it serves
	pages  atomic.Pointer[http.Handler] // of the console's address; nil until the parts are open
}

// Run opens the server, serves it, applies the pipeline, and then calls script. It serves
// until script returns, delivers the accepted records, and stops. The script's context ends
// with ctx; the server outlives ctx, so that a script can finish its work in order.
func Run(ctx context.Context, cfg Config, script func(context.Context, *Server) error) error {
	if err := checkFiles(); err != nil {
		return err
	}
	c, err := listenFor(cfg)
	if err != nil {
		return err
	}
	return c.run(ctx, script)
}

func (c *Server) run(ctx context.Context, script func(context.Context, *Server) error) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	serve(serving, group, c.at.console, c.consoleHandler(), c.log) // health is served from the beginning
	if err := c.open(ctx); err != nil {
		stop()
		return errors.Join(err, group.Wait(), c.at.close(), c.close(ctx))
	}
	c.start(serving, group)
	// A part that fails also ends the script, which may depend on it.
	scripted, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(serving, cancel)
	err := c.apply(scripted)
	if err == nil {
		err = c.writeEndpoints()
	}
	c.endTurn()
	if err == nil {
		close(c.applied)
		c.setPhase("")
		err = script(scripted, c)
	}
	c.setPhase("stopping: delivering the accepted records")
	drainCtx, cancelDrain := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancelDrain()
	if serving.Err() == nil {
		err = errors.Join(err, c.drain(drainCtx))
	}
	stop()
	if groupErr := group.Wait(); groupErr != nil && !errors.Is(groupErr, context.Canceled) {
		err = groupErr // the cause; the script's error is its consequence
	}
	return errors.Join(err, c.close(ctx))
}

// listenFor returns a Server that has reserved its ports.
func listenFor(cfg Config) (*Server, error) {
	c := &Server{cfg: cfg, log: cfg.Logger, registry: prometheus.NewRegistry(), applied: make(chan struct{}), endTurn: func() {}}
	c.lake, c.lender = c.openLake()
	c.setPhase("starting")
	c.health.add("process", func(context.Context) error {
		if phase := *c.phase.Load(); phase != "" {
			return errors.New(phase)
		}
		return nil
	})
	var err error
	c.at, err = listen(cfg.Listen, cfg.AnyPort)
	return c, err
}

func (c *Server) setPhase(phase string) { c.phase.Store(&phase) }

// open opens each part, beginning with those on disk.
func (c *Server) open(ctx context.Context) error {
	for _, step := range []struct {
		phase string
		do    func(context.Context) error
	}{
		{"opening the buffer", c.openState}, {"waiting for other processes of the cluster to start", c.takeTurn}, {"opening the bucket", c.openBucket},
		{"opening APIs, functions and the usage plan index", c.openControl}, {"opening roles, log groups and tables", c.openNames},
		{"opening the delivery streams", c.openPath},
	} {
		c.setPhase("starting: " + step.phase)
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	c.addChecks()
	return nil
}

// openState opens the buffer and the accounts, on which all other parts depend.
func (c *Server) openState(ctx context.Context) (err error) {
	p := c.cfg.Pipeline
	c.buffer, err = buffer.Open(ctx, buffer.Config{Dir: filepath.Join(c.cfg.Dir, "buffer"), URL: c.cfg.NATS, Replicas: c.cfg.NATSReplicas, MaxBytes: c.cfg.BufferBytes, Logger: c.log.With("component", "buffer")})
	if err != nil {
		where := "change the state directory with --dir"
		if c.cfg.NATS != "" {
			where = "change the cluster with --nats"
		}
		return fmt.Errorf("open buffer: %w\n  %s", err, where)
	}
	c.accounts, err = credentials.Open(credentials.Config{
		Dir: c.cfg.Dir, AccountID: p.Account, Region: p.Region, Endpoint: url(c.at.aws), Readers: p.Readers,
	})
	return err
}

// takeTurn waits until no other process of the cluster is starting. A starting process reads the
// existing resources and creates the missing ones, so two at once would create them twice.
func (c *Server) takeTurn(ctx context.Context) error {
	if c.cfg.NATS == "" {
		return nil
	}
	store, err := c.buffer.Store(ctx, "start")
	if err != nil {
		return err
	}
	l := &lease.Lease{Store: store, Key: "start", Owner: uuid.NewString(), What: "start", Log: c.log.With("component", "start")}
	_, release, err := l.Take(ctx)
	if err != nil {
		return fmt.Errorf("wait for other processes of the cluster to start: %w", err)
	}
	c.endTurn = sync.OnceFunc(release)
	return nil
}

// start runs all parts until ctx ends.
func (c *Server) start(ctx context.Context, group *errgroup.Group) {
	if c.s3 != nil {
		group.Go(func() error { return c.s3.Run(ctx) })
	}
	group.Go(func() error { return c.index.Run(ctx) })
	group.Go(func() error { return c.lines.Run(ctx) })
	group.Go(func() error { return c.control.Run(ctx) })
	group.Go(func() error { return c.delivery.run(ctx) })
	if c.cfg.NATS != "" {
		for _, follow := range []func(context.Context) error{c.control.Follow, c.functions.Follow, c.streams.Follow, c.roles.Follow, c.logGroups.Follow, c.catalog.Follow} {
			group.Go(func() error { return follow(ctx) })
		}
	}
	group.Go(func() error { return c.addHeldBack(ctx) })
	group.Go(func() error { return c.lend(ctx) })
	serve(ctx, group, c.at.aws, c.awsHandler(), c.log)
	c.closeStages = serveStages(ctx, group, c.at.stages, c.stages, c.log)
	pages := c.consolePages(ctx)
	c.pages.Store(&pages)
}

// serveStages serves the stages. They must close first: their requests hand over log lines, which
// needs the other parts.
func serveStages(ctx context.Context, group *errgroup.Group, ln net.Listener, stages http.Handler, log *slog.Logger) (closeDoor func()) {
	ctx, shut := context.WithCancel(ctx)
	closed := make(chan struct{})
	door, ctx := errgroup.WithContext(ctx)
	serve(ctx, door, ln, stages, log)
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

// Endpoints are the URLs where the server listens.
type Endpoints struct {
	AWS     string `json:"aws"`
	Console string `json:"console"`
	Stages  string `json:"stages"`
}

// EndpointsFile is the file in the state folder with the endpoints of the current run, for other commands.
const EndpointsFile = "endpoints.json"

func (c *Server) writeEndpoints() error {
	data, err := json.Marshal(c.Endpoints())
	if err != nil {
		return fmt.Errorf("BUG: endpoints: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.cfg.Dir, EndpointsFile), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write endpoints: %w", err)
	}
	return nil
}

// Endpoints returns the URLs where the server listens.
func (c *Server) Endpoints() Endpoints {
	return Endpoints{AWS: url(c.at.aws), Stages: url(c.at.stages), Console: url(c.at.console)}
}

// Accounts returns the accounts of this machine.
func (c *Server) Accounts() *credentials.Accounts { return c.accounts }

// Profiles returns the AWS profiles of the credentials file.
func (c *Server) Profiles() []string {
	names := []string{c.accounts.Admin.Profile}
	for _, r := range c.accounts.Readers {
		names = append(names, r.Profile)
	}
	return names
}

// Region returns the Region that requests are signed for.
func (c *Server) Region() string { return c.cfg.Pipeline.Region }

// Admin returns an S3 client with the administrator's credentials.
func (c *Server) Admin() *bucket.Client { return c.objects }

// Reader returns an S3 client with the credentials of the pipeline's first reader. It works
// only with the embedded S3 server.
func (c *Server) Reader() *bucket.Client {
	return c.s3.Client(bucketAccount(c.accounts.Readers[0]))
}

// Settle returns once every record accepted so far is in an object.
func (c *Server) Settle(ctx context.Context) error {
	if err := c.lines.Drain(ctx); err != nil {
		return fmt.Errorf("hand over access log lines: %w", err)
	}
	return c.delivery.flush(ctx)
}

// drain ends a run in order: it closes the stages, then delivers the accepted records. The
// AWS endpoint stays open for the functions; records that it accepts meanwhile, and those
// that the deadline leaves undelivered, are on disk.
func (c *Server) drain(ctx context.Context) error {
	c.closeStages()
	err := c.Settle(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		c.log.Warn("delivery timed out; the remaining records are on disk and are delivered after the next start", "after", drainTimeout)
		return nil
	}
	return err
}

// close closes the parts; those that were never opened are nil. It has a deadline of its own, so
// that the last writes happen even if ctx or the drain has ended.
func (c *Server) close(ctx context.Context) error {
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

// Counts holds the number of requests and records since the start.
type Counts struct {
	Requests  int64 // that reached a stage
	Accepted  int64 // records from all sources that are durable in a stream
	Delivered int64 // records in data objects
	Failed    int64 // records in error objects
	Lost      int64 // access log lines that no stream accepted
}

// Counts returns the counts since the start.
func (c *Server) Counts() Counts {
	sum := c.delivery.counts()
	return Counts{
		Requests: c.stages.Stats().Requests, Accepted: c.ingest.Accepted(), Delivered: sum.Out, Failed: sum.Failed,
		Lost: c.lines.Stats().Lost,
	}
}

// KeyIDs returns the ids of the API keys in the control API.
func (c *Server) KeyIDs() []string {
	var ids []string
	for _, k := range c.control.Keys() {
		ids = append(ids, k.ID)
	}
	return ids
}
