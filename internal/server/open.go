package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/localaws/cloudwatchlogs"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/localaws/gateway"
	"github.com/stagelog/stagelog/internal/localaws/glue"
	"github.com/stagelog/stagelog/internal/localaws/iam"
	functionapi "github.com/stagelog/stagelog/internal/localaws/lambda"
	"github.com/stagelog/stagelog/internal/localaws/lambda/host"
	"github.com/stagelog/stagelog/internal/localaws/s3server"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/usageplan"
)

// maxFunctionZip is Lambda's limit for an uploaded zip, 50 MB.
const maxFunctionZip = 50 << 20

// gather is how long a single record waits to be batched with others: short compared with a
// client's network round trip, long enough for tens of clients.
const gather = time.Millisecond

// openBucket opens the embedded S3 server, or a client of another S3.
func (c *Server) openBucket(ctx context.Context) (err error) {
	if c.cfg.S3Endpoint != "" {
		c.objects, err = bucket.New(ctx, bucket.Config{Endpoint: c.cfg.S3Endpoint})
		if err != nil {
			return fmt.Errorf("open S3 at %s: %w", c.cfg.S3Endpoint, err)
		}
		return nil
	}
	var readers []s3server.Account
	for _, r := range c.accounts.Readers {
		readers = append(readers, bucketAccount(r))
	}
	c.s3, err = s3server.New(s3server.Config{
		Dir: filepath.Join(c.cfg.Dir, "bucket"), Region: c.Region(), Admin: bucketAccount(c.accounts.Admin), Readers: readers,
		Logger: c.log,
	})
	if err != nil {
		return fmt.Errorf("open embedded S3: %w", err)
	}
	c.objects = c.s3.Client(bucketAccount(c.accounts.Admin))
	return nil
}

// openControl opens the control APIs of API Gateway and Lambda, the usage plan index that connects
// them, and the enrichment.
func (c *Server) openControl(ctx context.Context) error {
	p := c.cfg.Pipeline
	store, err := c.buffer.Store(ctx, "apigateway")
	if err != nil {
		return err
	}
	c.control, err = apigateway.Open(ctx, apigateway.Config{
		Region: p.Region, Account: p.Account, Logger: c.log.With("component", "apigateway"),
		OnChange: func() {
			if c.index != nil {
				c.index.Poke()
			}
		},
	}, store)
	if err != nil {
		return fmt.Errorf("open API Gateway state: %w", err)
	}
	c.index, err = usageplan.New(usageplan.Config{Source: planSource{c.control}, Logger: c.log.With("component", "usageplan")})
	if err != nil {
		return err
	}
	if c.enricher, err = c.newEnricher(); err != nil {
		return err
	}
	if store, err = c.buffer.Store(ctx, "function"); err != nil {
		return err
	}
	var code record.Store
	if c.cfg.NATS != "" {
		if code, err = c.buffer.Store(ctx, "function-code"); err != nil {
			return err
		}
	}
	admin := c.accounts.Admin
	c.functions, err = functionapi.New(ctx, functionapi.Config{
		Region: p.Region, Account: p.Account, Dir: filepath.Join(c.cfg.Dir, "functions"),
		FetchObject: functionCode(c.objects), Code: code,
		Environment: map[string]string{"AWS_ENDPOINT_URL": url(c.at.aws)},
		Credentials: host.Credentials{AccessKeyID: admin.AccessKeyID, SecretAccessKey: admin.SecretAccessKey},
		Logger:      c.log.With("component", "function"),
	}, store)
	if err != nil {
		return fmt.Errorf("open functions: %w", err)
	}
	if c.cfg.APIsOnly {
		return nil
	}
	return c.addFunction()
}

// addFunction registers the built-in enrichment function, with the settings of the one in AWS.
func (c *Server) addFunction() error {
	d, err := desired.New(c.spec())
	if err != nil {
		return err
	}
	f := d.Function
	if c.cfg.Pipeline.Name == "" {
		f.Name = "stagelog"
	}
	c.functions.AddBuiltin(functionapi.Builtin{
		Name: f.Name, Description: f.Description, Role: f.Role, Architecture: f.Architecture,
		TimeoutSeconds: int(f.Timeout), MemoryMB: int(f.Memory), Environment: f.Environment, Tags: map[string]string{desired.OwnerTag: d.Spec.Owner()},
		Invoker: function.InProcess(function.NewHandler(c.enricher).Invoke),
	})
	return nil
}

// openNames opens the services that only store definitions here: roles, log groups, and tables.
func (c *Server) openNames(ctx context.Context) error {
	p := c.cfg.Pipeline
	store, err := c.buffer.Store(ctx, "iam")
	if err != nil {
		return err
	}
	if c.roles, err = iam.Open(ctx, p.Account, store); err != nil {
		return err
	}
	if store, err = c.buffer.Store(ctx, "logs"); err != nil {
		return err
	}
	if c.logGroups, err = cloudwatchlogs.Open(ctx, p.Region, p.Account, store); err != nil {
		return err
	}
	if store, err = c.buffer.Store(ctx, "glue"); err != nil {
		return err
	}
	c.catalog, err = glue.Open(ctx, p.Account, store)
	return err
}

// newEnricher returns the enrichment for the pipeline's format.
func (c *Server) newEnricher() (*enrich.Enricher, error) {
	cfg := desired.Enrichment(c.cfg.Pipeline)
	cfg.HashSalt = desired.LocalSalt(c.accounts.Admin.SecretAccessKey)
	return enrich.New(cfg, freshIndex{c.index, c.control})
}

// openPath opens the services that a record passes through: ingest, delivery streams, stages.
func (c *Server) openPath(ctx context.Context) (err error) {
	if c.delivery, err = newDelivery(ctx, c); err != nil {
		return err
	}
	p := c.cfg.Pipeline
	store, err := c.buffer.Store(ctx, "firehose")
	if err != nil {
		return err
	}
	c.ingest = ingest.New(ingest.Config{Shards: c.cfg.Shards, Gather: gather, Metrics: c.registry, Logger: c.log.With("component", "ingest")}, c.openLog)
	c.streams, err = firehose.New(ctx, firehose.Config{
		Region: p.Region, Account: p.Account, Logger: c.log.With("component", "firehose"), Metrics: firehose.NewMetrics(c.registry),
		OnChange: c.delivery.changed, OnDelete: c.delivery.deleted, OnClose: c.delivery.closed, CheckSchema: c.checkSchema,
	}, store, c.ingest)
	if err != nil {
		return fmt.Errorf("open delivery streams: %w", err)
	}
	c.control.Needs(c.streams.Refresh)
	c.streams.Needs(func(ctx context.Context) error {
		return errors.Join(c.functions.Refresh(ctx), c.catalog.Refresh(ctx))
	})
	metrics := gateway.NewMetrics(c.registry)
	c.lines = gateway.NewLogger(gateway.LoggerConfig{Put: c.putLines, Metrics: metrics, Logger: c.log.With("component", "gateway")})
	c.stages, err = gateway.New(gateway.Config{Account: p.Account, Logger: c.log.With("component", "gateway"), Metrics: metrics}, c.control, c.lines)
	return err
}

// openLog opens the log of a shard for ingest. The delivery state of a new log exists before its first frame.
func (c *Server) openLog(ctx context.Context, stream string, shard int) (ingest.Log, error) {
	log, err := c.buffer.Log(ctx, stream, shard)
	if err != nil {
		return nil, err
	}
	if _, last, err := log.Range(ctx); err != nil || last > 0 {
		return log, err
	}
	return log, deliver.Create(ctx, c.delivery.store, stream, shard)
}

// url returns the URL of a listener. If it listens on all addresses, the URL has the loopback address.
func url(ln net.Listener) string {
	host, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		panic("BUG: a TCP listener's address has no port: " + err.Error())
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
