package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
	"github.com/stagelog/stagelog/internal/delivery/replay"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/server"
	"github.com/stagelog/stagelog/internal/usageplan"
)

type replayFlags struct {
	aws          awsFlags
	into, prefix string
	since, until when
	parallel     int
	dryRun       bool
}

func newReplay(e *env) *cobra.Command {
	flags := replayFlags{since: when{now: time.Now}, until: when{now: time.Now}}
	cmd := &cobra.Command{
		Use:   "replay --into PREFIX",
		Short: "Take error objects, or delivered ones, through enrichment again",
		Long: `Reads the pipeline's error output, enriches each record with the usage plans and customers
of now, and puts the result below --into. With --prefix it reads delivered objects instead:
lines whose customer is "-", because their key was unknown then, get it now.

The objects that are read stay as they are. Each record is in the result once, however often
replay is interrupted or repeated: what is done is not done again, and what failed again, which
is put below the error output in replay/, is tried again.

Readers see what lies below the delivery prefix: --into logs/replayed/ is for them, too.
--since and --until are about when an object was delivered.`,
		Example: `  stagelog replay --into logs/replayed/ --dry-run      what would be replayed
  stagelog replay --into logs/replayed/                every record that failed
  stagelog replay --prefix logs/ --since 24h --into mended/
  stagelog replay --into logs/replayed/ --endpoint-url http://127.0.0.1:4580`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runReplay(cmd.Context(), e, &flags) },
	}
	flags.aws.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.into, "into", "", "the prefix to put objects below, like logs/replayed/")
	f.StringVar(&flags.prefix, "prefix", "", "read the delivered objects below this prefix (default: the error output)")
	f.Var(&flags.since, "since", "objects delivered from then on: "+whenHelp)
	f.Var(&flags.until, "until", "objects delivered before then")
	f.IntVar(&flags.parallel, "parallel", 4, "objects at once")
	f.BoolVar(&flags.dryRun, "dry-run", false, "only say how many objects there are")
	return cmd
}

func runReplay(ctx context.Context, e *env, flags *replayFlags) error {
	if flags.into == "" {
		return usageError{errors.New("--into is missing: the prefix to put objects below, like logs/replayed/")}
	}
	p, err := config.Load(e.file, e.getenv)
	if err != nil {
		return err
	}
	session, err := flags.aws.load(ctx, e, p)
	if err != nil {
		return err
	}
	if p.Deliver.ErrorOutput() == "" {
		return fmt.Errorf("%s: error_prefix %s begins with an expression, so error objects are told from others by nothing: give it a beginning such as errors/", e.file, p.Deliver.ErrorPrefix)
	}
	if logs := p.Deliver.Logs(); p.Deliver.Parquet && strings.HasPrefix(flags.into, logs) {
		return usageError{fmt.Errorf("--into %s: replayed objects are JSON, and below %s a table says that all are Parquet: choose a prefix beside it", flags.into, cmp.Or(logs, "the bucket's root"))}
	}
	cfg := flags.config(p, session)
	if err := cfg.Check(); err != nil {
		return usageError{err}
	}
	if flags.dryRun {
		_, sum, err := cfg.Find(ctx)
		if err != nil {
			return provision.Explain(err)
		}
		return flags.tell(e, cfg, sum)
	}
	if cfg.Enricher, err = flags.enricher(ctx, p, session); err != nil {
		return provision.Explain(err)
	}
	cfg.Progress = replayProgress(e)
	sum, err := replay.Run(ctx, cfg)
	if err != nil {
		if sum.Done > 0 {
			fmt.Fprintf(e.stderr, "%d of %d objects are done; the same command goes on from there\n", sum.Done, sum.Objects)
		}
		return provision.Explain(err)
	}
	return flags.tell(e, cfg, sum)
}

func (f *replayFlags) config(p *config.Pipeline, s *awsSession) replay.Config {
	failed := p.Deliver.ErrorOutput()
	cfg := replay.Config{
		Bucket: bucket.Of(s.Clients.S3).Bucket(p.Bucket), From: f.prefix, Errors: f.prefix == "", Into: f.into,
		Since: f.since.Time, Until: f.until.Time, Parallel: f.parallel, Failed: failed + "replay/", Except: []string{"stagelog/"},
	}
	if cfg.Errors {
		cfg.From = failed
	} else {
		cfg.Except = append(cfg.Except, failed)
	}
	return cfg
}

// enricher is the pipeline's, over the usage plans of now and the customers that its functions
// remember.
func (f *replayFlags) enricher(ctx context.Context, p *config.Pipeline, s *awsSession) (*enrich.Enricher, error) {
	fields, err := p.Fields()
	if err != nil {
		return nil, err
	}
	cfg := enrich.Config{
		Fields: fields, UsagePlan: p.Names.UsagePlan, Customer: p.Names.Customer, UsagePlanID: p.Names.UsagePlanID,
		APIKey: enrich.APIKeyMode(p.APIKey), MaxBytes: replay.MaxRecordBytes,
	}
	if cfg.APIKey == enrich.Hash {
		if f.prefix != "" {
			cfg.APIKey = enrich.Keep // it is a hash already
		} else if cfg.HashSalt, err = hashSalt(ctx, p, s); err != nil {
			return nil, err
		}
	}
	directory, err := customers(ctx, s.Clients, p.Bucket)
	if err != nil {
		return nil, err
	}
	return enrich.New(cfg, directory)
}

// hashSalt is the one that the pipeline's function has, so that a key has one hash.
func hashSalt(ctx context.Context, p *config.Pipeline, s *awsSession) ([]byte, error) {
	if onThisMachine(s.Endpoint) {
		as, err := s.Clients.S3.Options().Credentials.Retrieve(ctx)
		if err != nil {
			return nil, err
		}
		return server.HashSalt(as.SecretAccessKey), nil
	}
	f, err := s.Clients.Lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(p.Function())})
	if err != nil {
		return nil, fmt.Errorf("read the salt of api_key: hash from the function: %w", err)
	}
	if f.Environment == nil || f.Environment.Variables[provision.SaltVariable] == "" {
		return nil, fmt.Errorf("the function %s has no salt (%s) for api_key: hash: `stagelog deploy` gives it one", p.Function(), provision.SaltVariable)
	}
	return []byte(f.Environment.Variables[provision.SaltVariable]), nil
}

// customers is the usage plans as API Gateway lists them now, with what the functions of the
// bucket's pipeline remember of keys that are gone.
func customers(ctx context.Context, c *provision.Clients, name string) (*usageplan.Snapshot, error) {
	o := c.APIGateway.Options()
	source, err := usageplan.NewAPISource(usageplan.APIConfig{Region: o.Region, Endpoint: aws.ToString(o.BaseEndpoint), Credentials: o.Credentials})
	if err != nil {
		return nil, err
	}
	listing, err := source.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the usage plans: %w", err)
	}
	remembered, err := sharedSnapshot(ctx, bucket.Of(c.S3).Bucket(name))
	if err != nil {
		return nil, err
	}
	return usageplan.NewSnapshot(time.Now(), listing, remembered), nil
}

// sharedSnapshot returns what the functions of the bucket's pipeline share about its customers; nil
// when they have shared nothing.
func sharedSnapshot(ctx context.Context, b bucket.Bucket) (*usageplan.Snapshot, error) {
	key := (&provision.Spec{}).SnapshotKey()
	body, err := b.Get(ctx, key)
	if errors.Is(err, record.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("read object %s/%s: %w", b.Bucket(), key, err)
	}
	s, err := usageplan.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("object %s/%s: %w", b.Bucket(), key, err)
	}
	return s, nil
}

// replayProgress tells how far a replay is: again and again in one line of a terminal, and
// elsewhere in a line now and then.
func replayProgress(e *env) func(replay.Summary) {
	every, before, after := 10*time.Second, "", "\n"
	if isTerminal(e.stderr) {
		every, before, after = 100*time.Millisecond, "\r\x1b[K", ""
	}
	last := time.Now()
	return func(sum replay.Summary) {
		end := sum.Done == sum.Objects
		if time.Since(last) < every && (!end || after != "") {
			return
		}
		last = time.Now()
		if end && after == "" {
			fmt.Fprint(e.stderr, before)
			return
		}
		fmt.Fprintf(e.stderr, "%s%d of %d objects, %d records, %d failed again%s", before, sum.Done, sum.Objects, sum.Records, sum.Failed, after)
	}
}

// tell says what a replay has done, or would do.
func (f *replayFlags) tell(e *env, cfg replay.Config, sum replay.Summary) error {
	if e.json {
		if err := printJSON(e.stdout, sum); err != nil {
			return err
		}
	} else if f.dryRun {
		fmt.Fprintf(e.stdout, "%d objects below %s, %d bytes, would be replayed into %s.\n", sum.Objects, cfg.From, sum.Bytes, cfg.Into)
	} else {
		fmt.Fprintf(e.stdout, "%d objects below %s replayed into %s: %d records enriched, %d failed again", sum.Done-len(sum.Unread), cfg.From, cfg.Into, sum.Records, sum.Failed)
		if sum.Failed > 0 {
			fmt.Fprintf(e.stdout, " (they are below %s)", cfg.Failed)
		}
		if sum.Skipped > 0 {
			fmt.Fprintf(e.stdout, "; %d objects were done before", sum.Skipped)
		}
		fmt.Fprintln(e.stdout, ".")
	}
	for _, u := range sum.Unread {
		fmt.Fprintf(e.stderr, "%s: %s\n  nothing of it was replayed\n", u.Key, u.Reason)
	}
	if len(sum.Unread) > 0 {
		return silentError{}
	}
	return nil
}
