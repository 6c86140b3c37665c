package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/table"
	"github.com/stagelog/stagelog/internal/provision"
)

// lakeFlags say which delivered logs a command looks at.
type lakeFlags struct {
	aws      awsFlags
	bucket   string
	path     string
	noImport bool
	forget   bool
	wait     time.Duration
}

const lakeHelp = `The logs are those of stagelog.yaml's bucket, or of --bucket s3://bucket/prefix, which needs no more
than the right to list and read it: any chain in these formats may have delivered them. What is
new there is taken into a database first (--lake), so the second time is quick; what has left the
bucket since stays in it, or goes with --forget. In a folder where ` + "`stagelog up`" + ` ran, its bucket
and credentials are used without being asked for.`

func (f *lakeFlags) bind(cmd *cobra.Command) {
	f.aws.bind(cmd)
	cmd.Flags().StringVar(&f.bucket, "bucket", "", "the logs, as s3://bucket/prefix (default: where stagelog.yaml delivers to)")
	cmd.Flags().StringVar(&f.path, "lake", "", "the database (default .stagelog/lake/BUCKET.duckdb)")
	cmd.Flags().BoolVar(&f.noImport, "no-import", false, "do not look for new objects first")
	cmd.Flags().BoolVar(&f.forget, "forget", false, "drop what was taken in of objects of that time that are no longer in the bucket (default: keep it)")
	cmd.Flags().DurationVar(&f.wait, "lake-wait", 30*time.Second, "how long to wait for another command that has the database")
	cmd.MarkFlagsMutuallyExclusive("no-import", "forget")
}

// logs is where a command's logs are.
type logs struct {
	bucket, prefix string
	pipeline       *config.Pipeline // nil where there is none
	source         s3Bucket
}

// find says where the logs are, and opens the bucket.
func (f *lakeFlags) find(ctx context.Context, e *env) (*logs, error) {
	at := &logs{}
	p, err := config.Load(e.file, e.getenv)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.bucket == "":
		return nil, usageError{fmt.Errorf("%s is not here: say where the logs are with --bucket s3://bucket/prefix", e.file)}
	case errors.Is(err, fs.ErrNotExist):
	case err != nil && f.bucket == "":
		return nil, err
	case err == nil:
		at.pipeline, at.bucket = p, p.Bucket
		at.prefix = p.Deliver.Logs()
	}
	if f.bucket != "" {
		rest, ok := strings.CutPrefix(f.bucket, "s3://")
		at.bucket, at.prefix, _ = strings.Cut(rest, "/")
		if !ok || at.bucket == "" {
			return nil, usageError{fmt.Errorf("--bucket %s: expected s3://bucket/prefix", f.bucket)}
		}
		if at.pipeline != nil && at.pipeline.Bucket != at.bucket {
			at.pipeline = nil // of other logs
		}
	}
	cfg, err := f.config(ctx, e, at.pipeline)
	if err != nil {
		return nil, err
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, f.aws.noCredentials(ctx, err)
	}
	at.source = newS3Bucket(provision.NewClients(cfg).S3, at.bucket)
	return at, nil
}

// clients are AWS's services beside the bucket.
func (f *lakeFlags) clients(ctx context.Context, e *env) (*provision.Clients, error) {
	p, err := config.Load(e.file, e.getenv)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	cfg, err := f.config(ctx, e, p)
	if err != nil {
		return nil, err
	}
	return provision.NewClients(cfg), nil
}

// localState is where `stagelog up` keeps its state by default.
const localState = ".stagelog"

// config is AWS's usual one, or that of the `stagelog up` of this folder.
func (f *lakeFlags) config(ctx context.Context, e *env, p *config.Pipeline) (aws.Config, error) {
	_, err := os.Stat(filepath.Join(localState, "credentials"))
	elsewhere := f.aws.profile + f.aws.endpoint + e.getenv("AWS_PROFILE") + e.getenv("AWS_ACCESS_KEY_ID") + f.bucket
	if err != nil || elsewhere != "" {
		return f.aws.config(ctx, p)
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithSharedConfigProfile("stagelog"),
		awsconfig.WithSharedConfigFiles([]string{filepath.Join(localState, "config")}), awsconfig.WithSharedCredentialsFiles([]string{filepath.Join(localState, "credentials")}))
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the credentials of `stagelog up` in %s: %w", localState, err)
	}
	cfg.RetryMaxAttempts = 2
	cfg.AppID = "stagelog"
	// The profile's endpoint; NewClients addresses buckets by path where there is one.
	s, err := awsconfig.LoadSharedConfigProfile(ctx, "stagelog", func(o *awsconfig.LoadSharedConfigOptions) {
		o.ConfigFiles, o.CredentialsFiles = []string{filepath.Join(localState, "config")}, []string{filepath.Join(localState, "credentials")}
	})
	if err == nil && s.BaseEndpoint != "" {
		cfg.BaseEndpoint = aws.String(s.BaseEndpoint)
	}
	return cfg, nil
}

// nothing says what there is where a command found no objects: of another time, or below another
// prefix.
func (l *logs) nothing(ctx context.Context) string {
	below := func(prefix string) string { return "s3://" + l.bucket + "/" + table.Printable(prefix) }
	names, err := l.source.names(ctx, l.prefix)
	if err == nil && len(names) > 0 {
		return fmt.Sprintf("no objects below %s in that time: --from chooses another one; there is %s", below(l.prefix), table.Printable(names[0]))
	}
	for prefix := l.prefix; err == nil && prefix != ""; {
		prefix = prefix[:strings.LastIndexByte(strings.TrimSuffix(prefix, "/"), '/')+1]
		if names, err = l.source.names(ctx, prefix); len(names) > 0 {
			return fmt.Sprintf("nothing is below %s: is the prefix right? Below %s there is %s", below(l.prefix), below(prefix), table.Printable(strings.Join(names, ", ")))
		}
	}
	return "nothing is below " + below(l.prefix)
}

// mapping is what the pipeline's format says of its fields.
func (l *logs) mapping() (lake.Mapping, error) {
	if l.pipeline == nil || l.pipeline.Format == "" {
		return lake.Mapping{}, nil
	}
	format, err := accesslog.Parse(l.pipeline.Format)
	if err != nil {
		return lake.Mapping{}, fmt.Errorf("the pipeline's format: %w", err)
	}
	names := l.pipeline.Names
	return lake.MappingOf(format, names.UsagePlan, names.Customer, names.UsagePlanID), nil
}

// except are the prefixes in the bucket that hold no logs.
func (l *logs) except() []string {
	all := []string{"stagelog/"}
	if l.pipeline != nil {
		if failed := l.pipeline.Deliver.ErrorOutput(); failed != "" {
			all = append(all, failed)
		}
	}
	return all
}

// lakePath is the database of a bucket.
func (f *lakeFlags) lakePath(bucket string) string {
	if f.path != "" {
		return f.path
	}
	return filepath.Join(localState, "lake", bucket+".duckdb")
}

// openAsIs opens the lake of a bucket, and tells when it waits for it.
func (f *lakeFlags) openAsIs(ctx context.Context, e *env, bucket string) (*lake.Lake, error) {
	path := f.lakePath(bucket)
	return lake.Open(ctx, path, lake.Options{Wait: f.wait, Waiting: func() {
		fmt.Fprintf(e.stderr, "another command has the database %s: waiting for it, %v at most\n", path, f.wait)
	}})
}

// open opens the lake, with what is new of a time taken in. Zero times are no bounds.
func (f *lakeFlags) open(ctx context.Context, e *env, from, to time.Time) (*lake.Lake, error) {
	at, err := f.find(ctx, e)
	if err != nil {
		return nil, err
	}
	l, err := f.openAsIs(ctx, e, at.bucket)
	if err != nil {
		return nil, err
	}
	if f.noImport {
		return l, nil
	}
	if err := f.fill(ctx, e, l, at, from, to); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// fill takes in what is new, and tells how it goes.
func (f *lakeFlags) fill(ctx context.Context, e *env, l *lake.Lake, at *logs, from, to time.Time) error {
	mapping, err := at.mapping()
	if err != nil {
		return err
	}
	began, told := time.Now(), time.Now()
	sum, err := l.Import(ctx, at.source, lake.ImportOptions{
		Prefix: at.prefix, Except: at.except(), From: from, To: to, Mapping: mapping, Forget: f.forget,
		Progress: func(s lake.Summary) {
			if time.Since(told) > 2*time.Second {
				told = time.Now()
				fmt.Fprintf(e.stderr, "%s requests of %s so far\n", table.Thousands(s.Rows), table.Plural(int64(s.Imported), "object"))
			}
		},
	})
	if err != nil {
		return fmt.Errorf("%w\n  --no-import answers from what was taken in before", provision.Explain(fmt.Errorf("take in the logs below s3://%s/%s: %w", at.bucket, at.prefix, err)))
	}
	if sum.Imported > 0 {
		fmt.Fprintf(e.stderr, "took in %s requests of %s (%s) in %v\n", table.Thousands(sum.Rows), table.Plural(int64(sum.Imported), "object"),
			table.Size(sum.Bytes), time.Since(began).Round(10*time.Millisecond))
	}
	for _, note := range []struct {
		n    int64
		text string
	}{
		{sum.Duplicates, "of them were there already, and count once"},
		{sum.Bad, "lines are no log lines: SELECT * FROM bad_lines shows them"},
		{sum.Misfit, "values do not fit their column, and are kept in extra"},
	} {
		if note.n > 0 {
			fmt.Fprintf(e.stderr, "  %s %s\n", table.Thousands(note.n), note.text)
		}
	}
	if sum.Forgotten > 0 {
		fmt.Fprintf(e.stderr, "forgot %s: no longer in the bucket\n", table.Plural(int64(sum.Forgotten), "object"))
	}
	if sum.Spared > 0 {
		fmt.Fprintf(e.stderr, "forgot nothing: nothing at all is below s3://%s/%s any more, and what was taken in before stays (%s); to drop it, delete %s\n",
			at.bucket, at.prefix, table.Plural(int64(sum.Spared), "object"), f.lakePath(at.bucket))
	}
	for _, p := range sum.Problems {
		fmt.Fprintf(e.stderr, "  %s: %s\n", table.Printable(p.Key), table.Printable(p.Reason))
	}
	if sum.Found == 0 && sum.Spared == 0 {
		fmt.Fprintln(e.stderr, at.nothing(ctx))
	}
	return nil
}
