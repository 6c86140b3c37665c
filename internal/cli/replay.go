package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/delivery/replay"
	"github.com/stagelog/stagelog/internal/lake/table"
	"github.com/stagelog/stagelog/internal/provision"
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
		Short: "Reprocess failed or delivered records",
		Long: `Reads the pipeline's error output, enriches each record with the current usage plans and customers, and
puts the result below --into. With --prefix it reads delivered objects instead: records whose customer
is "-", because their key was unknown, get their customer.

replay does not change the objects that it reads. Each record is in the result exactly once, even if replay
is interrupted or repeated: finished objects are skipped. Records that fail again are put below the error
output in replay/, and the next replay includes them.

Readers can read objects below the delivery prefix, including --into logs/replayed/. --since and --until
refer to the delivery time of an object.`,
		Example: `  stagelog replay --into logs/replayed/ --dry-run      only count the objects
  stagelog replay --into logs/replayed/                every record that failed
  stagelog replay --prefix logs/ --since 24h --into fixed/
  stagelog replay --into logs/replayed/ --endpoint-url http://127.0.0.1:4580`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runReplay(cmd.Context(), e, &flags) },
	}
	flags.aws.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.into, "into", "", "prefix of the new objects, like logs/replayed/")
	f.StringVar(&flags.prefix, "prefix", "", "reprocess the delivered objects below this prefix (default: the error output)")
	f.Var(&flags.since, "since", "only objects delivered at this time or later: "+whenHelp)
	f.Var(&flags.until, "until", "only objects delivered before this time")
	f.IntVar(&flags.parallel, "parallel", 4, "objects to process in parallel")
	f.BoolVar(&flags.dryRun, "dry-run", false, "only count the objects")
	return cmd
}

func runReplay(ctx context.Context, e *env, flags *replayFlags) error {
	if flags.into == "" {
		return usageError{errors.New("--into is required: the prefix of the new objects, like logs/replayed/")}
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
		return fmt.Errorf("%s: error_prefix %s begins with an expression, so error objects cannot be distinguished from others; begin it with a text like errors/", e.file, p.Deliver.ErrorPrefix)
	}
	if logs := p.Deliver.Logs(); p.Deliver.Parquet && strings.HasPrefix(flags.into, logs) {
		return usageError{fmt.Errorf("--into %s: replayed objects are JSON, but the table of the objects below %s expects Parquet; choose a prefix outside of it", flags.into, cmp.Or(logs, "the bucket's root"))}
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
		return flags.print(e, cfg, sum)
	}
	if cfg.Enricher, err = provision.Enricher(ctx, session.Clients, p, flags.prefix != "", onThisMachine(session.Endpoint)); err != nil {
		return provision.Explain(err)
	}
	cfg.Progress = replayProgress(e)
	sum, err := replay.Run(ctx, cfg)
	if err != nil {
		if sum.Done > 0 {
			fmt.Fprintf(e.stderr, "%d of %d objects are done; run the same command to continue\n", sum.Done, sum.Objects)
		}
		return provision.Explain(err)
	}
	return flags.print(e, cfg, sum)
}

func (f *replayFlags) config(p *config.Pipeline, s *awsSession) replay.Config {
	failed := p.Deliver.ErrorOutput()
	cfg := replay.Config{
		Bucket: bucket.Of(s.Clients.S3).Bucket(p.Bucket), From: failed, Errors: f.prefix == "", Into: f.into,
		Since: f.since.Time, Until: f.until.Time, Parallel: f.parallel, Failed: failed + "replay/", Except: []string{"stagelog/"},
	}
	if !cfg.Errors {
		cfg.From, cfg.Except = f.prefix, append(cfg.Except, failed)
	}
	return cfg
}

// replayProgress returns a function that prints the progress: on one line of a terminal, or else on a new line every
// ten seconds.
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

// print prints the result of a replay or a dry run.
func (f *replayFlags) print(e *env, cfg replay.Config, sum replay.Summary) error {
	if e.json {
		if err := printJSON(e.stdout, sum); err != nil {
			return err
		}
	} else if f.dryRun {
		fmt.Fprintf(e.stdout, "%d objects (%d bytes) below %s would be replayed to %s.\n", sum.Objects, sum.Bytes, cfg.From, cfg.Into)
	} else {
		fmt.Fprintf(e.stdout, "%d objects below %s replayed to %s: %d records enriched, %d failed again", sum.Done-len(sum.Unread), cfg.From, cfg.Into, sum.Records, sum.Failed)
		if sum.Failed > 0 {
			fmt.Fprintf(e.stdout, " (now below %s)", cfg.Failed)
		}
		if sum.Skipped > 0 {
			fmt.Fprintf(e.stdout, "; %d finished objects skipped", sum.Skipped)
		}
		fmt.Fprintln(e.stdout, ".")
	}
	for _, u := range sum.Unread {
		fmt.Fprintf(e.stderr, "%s: %s\n  none of its records were replayed\n", table.Printable(u.Key), table.Printable(u.Reason))
	}
	if len(sum.Unread) > 0 {
		return exitError(exitFailed)
	}
	return nil
}
