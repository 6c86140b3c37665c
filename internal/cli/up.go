package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/server"
)

type upOptions struct {
	dir        string
	bare       bool
	apisOnly   bool
	listen     server.Listen
	nats       string
	replicas   string
	s3Endpoint string
	shards     int
	bufferSize size
	password   string
	hosts      []string
}

// maxShards bounds --shards; one machine does not benefit from more.
const maxShards = 64

// maxReplicas is JetStream's limit.
const maxReplicas = 5

func newUp(e *env) *cobra.Command {
	opts := upOptions{listen: server.Loopback, bufferSize: buffer.DefaultMaxBytes}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the pipeline of stagelog.yaml on this machine",
		Long: `Runs the pipeline in one process until it is stopped: API stages, AWS endpoint, delivery and bucket. By
default everything listens on 127.0.0.1. State is in .stagelog/, together with AWS credentials and config
files for the AWS CLI and SDKs.

With --json, up prints one JSON document with the endpoints when everything is ready.`,
		Example: `  stagelog up
  stagelog up --bare             without a stagelog.yaml: create the pipeline with AWS clients
  stagelog up --apis-only        only the APIs, to try ` + "`stagelog deploy`" + ` on this machine
  stagelog up --listen-stages 127.0.0.1:0

  export AWS_CONFIG_FILE=.stagelog/config AWS_SHARED_CREDENTIALS_FILE=.stagelog/credentials
  aws --profile stagelog firehose list-delivery-streams`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runUp(cmd.Context(), e, opts) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.dir, "dir", localState, "directory for state and credentials")
	f.BoolVar(&opts.bare, "bare", false, "run without a stagelog.yaml")
	f.BoolVar(&opts.apisOnly, "apis-only", false, "create only the APIs and usage plans; stagelog deploy --endpoint-url creates the rest")
	f.StringVar(&opts.listen.AWS, "listen-aws", opts.listen.AWS, "address of the AWS endpoint")
	f.StringVar(&opts.listen.Stages, "listen-stages", opts.listen.Stages, "address of the API stages")
	f.StringVar(&opts.listen.Console, "listen-console", opts.listen.Console, "address of the console, /metrics, /healthz and /readyz")
	f.StringVar(&opts.password, "console-password-file", "", "file with the console's password; required if other machines can reach the console")
	f.StringSliceVar(&opts.hosts, "console-host", nil, "name by which the console may be opened, besides its address; may be repeated")
	f.StringVar(&opts.nats, "nats", "", "use JetStream of this NATS cluster (nats://host:port) instead of the embedded server")
	f.StringVar(&opts.replicas, "nats-replicas", "auto", "replicas of each record in the NATS cluster, 1 to 5; auto: 3, or 1 with fewer than three servers")
	f.StringVar(&opts.s3Endpoint, "s3-endpoint", "", "deliver to this S3 endpoint instead of the embedded one, with the usual AWS credentials")
	f.IntVar(&opts.shards, "shards", 1, "shards per stream; records keep their order within a shard")
	f.Var(&opts.bufferSize, "buffer-size", "disk space for undelivered records; when full, PutRecord returns ServiceUnavailable")
	return cmd
}

func runUp(ctx context.Context, e *env, opts upOptions) error {
	if opts.shards < 1 || opts.shards > maxShards {
		return usageError{fmt.Errorf("--shards %d: expected 1 to %d", opts.shards, maxShards)}
	}
	replicas, err := parseReplicas(opts.replicas)
	if err != nil {
		return err
	}
	password, err := readPassword(opts.password)
	if err != nil {
		return err
	}
	p, err := loadPipeline(e, opts.bare)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(opts.dir)
	if err != nil {
		return fmt.Errorf("--dir %s: %w", opts.dir, err)
	}
	log := e.log()
	end, err := e.logLibraries(log)
	if err != nil {
		return err
	}
	defer end()
	for _, w := range p.Warnings() {
		log.Warn(w.String())
	}
	hosts := opts.hosts
	if p.Local != nil {
		hosts = append(hosts, p.Local.ConsoleHosts...)
	}
	return server.Run(ctx, server.Config{
		Pipeline: p, Dir: dir, Listen: opts.listen, NATS: opts.nats, NATSReplicas: replicas, S3Endpoint: opts.s3Endpoint,
		Shards: opts.shards, BufferBytes: int64(opts.bufferSize), ConsolePassword: password, ConsoleHosts: hosts, APIsOnly: opts.apisOnly, Logger: log,
		Progress: func(s server.Step) { log.Info("ready: "+s.Name, "detail", s.Detail) },
	}, func(ctx context.Context, c *server.Server) error {
		if err := announce(e, c, opts, dir, p); err != nil {
			return err
		}
		<-ctx.Done()
		log.Info("stopping: delivering the remaining records; a second signal stops immediately")
		return nil
	})
}

// parseReplicas parses --nats-replicas; 0 means auto.
func parseReplicas(text string) (int, error) {
	if text == "auto" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxReplicas {
		return 0, usageError{fmt.Errorf("--nats-replicas %q: expected auto, or 1 to %d", text, maxReplicas)}
	}
	return n, nil
}

// loadPipeline reads stagelog.yaml. With bare it returns a pipeline of defaults.
func loadPipeline(e *env, bare bool) (*config.Pipeline, error) {
	if bare {
		return config.Bare(), nil
	}
	p, err := config.Load(e.file, e.getenv)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s not found; `stagelog init` writes one, and `stagelog up --bare` runs without one", e.file)
	}
	return p, err
}

// announce prints the endpoints, and commands that use them.
func announce(e *env, c *server.Server, opts upOptions, dir string, p *config.Pipeline) error {
	at := c.Endpoints()
	if e.json {
		return printJSON(e.stdout, map[string]any{"endpoints": at, "dir": dir, "profiles": c.Profiles(), "next": nextCommands(c, opts, dir, p)})
	}
	w := tabwriter.NewWriter(e.stderr, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\nConsole\t%s\trequests, customers, live tail, delivery, SQL\n", at.Console)
	fmt.Fprintf(w, "AWS endpoint\t%s\tFirehose, API Gateway, Lambda, S3, IAM, CloudWatch Logs, STS\n", at.AWS)
	fmt.Fprintf(w, "API stages\t%s/{api}/{stage}/\n", at.Stages)
	fmt.Fprintf(w, "Metrics\t%s/metrics\t/healthz, /readyz\n", at.Console)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "\n  %s\n\n", strings.Join(nextCommands(c, opts, dir, p), "\n  "))
	if p.Bucket != "" && !opts.apisOnly {
		fmt.Fprintf(e.stderr, "The console shows a request at once; the bucket has it after %s (interval: under deliver: in %s).\n\n", p.Deliver.Interval, e.file)
	}
	return nil
}

// nextCommands returns commands to try with a pipeline.
func nextCommands(c *server.Server, opts upOptions, dir string, p *config.Pipeline) []string {
	var next []string
	if request := sampleRequest(p, c.Endpoints().Stages); request != "" {
		next = append(next, request)
	}
	profiles := c.Profiles()
	environment := `eval "$(stagelog env`
	if opts.dir != localState {
		environment += " --dir " + provision.ShellWord(dir)
	}
	next = append(next, environment+`)"`)
	switch {
	case opts.apisOnly:
		next = append(next, "stagelog deploy")
	case p.Bucket == "":
		next = append(next, "aws firehose list-delivery-streams")
	default:
		next = append(next, fmt.Sprintf("aws s3 ls s3://%s/%s --recursive", p.Bucket, p.Deliver.Logs()), "stagelog doctor")
		if len(profiles) > 1 {
			next = append(next, fmt.Sprintf("aws --profile %s s3 ls s3://%s/%s --recursive", profiles[1], p.Bucket, p.Deliver.Logs()))
		}
	}
	return next
}

// sampleRequest returns a command that sends a request as the first customer of a local stage, "" without one. It has the key
// only if that is an example's: other keys are secret.
func sampleRequest(p *config.Pipeline, stages string) string {
	if p.Local == nil {
		return ""
	}
	for _, plan := range p.Local.UsagePlans {
		for _, customer := range plan.Customers {
			if len(plan.Stages) > 0 {
				key := string(customer.Key)
				if !strings.HasPrefix(key, "example-key-") {
					key = "KEY"
				}
				return fmt.Sprintf("curl -H 'x-api-key: %s' %s/%s/orders/7", key, stages, plan.Stages[0])
			}
		}
	}
	return ""
}
