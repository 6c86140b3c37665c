package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/lend"
	"github.com/stagelog/stagelog/internal/lake/table"
	"github.com/stagelog/stagelog/internal/provision"
)

// lakeFlags select the delivered logs that a command reads.
type lakeFlags struct {
	aws      awsFlags
	bucket   string
	path     string
	noImport bool
	forget   bool
	wait     time.Duration

	complete  bool   // fail if an object cannot be imported now
	opened    string // path of the lake that was used last
	lent      bool   // another process had it open and lent it
	damaged   bool   // that lake proved to be damaged
	memoryMiB int    // of DuckDB; 0 is the default
}

const lakeHelp = `Reads the logs from the bucket in stagelog.yaml, or those of any pipeline with --bucket s3://bucket/prefix, which
requires only permission to list and read. New objects are first imported into a local database (--lake),
so later runs are fast. Objects deleted from the bucket stay in the database, unless --forget is given.
In a directory where ` + "`stagelog up`" + ` ran, its bucket and credentials are used by default. While it runs, commands
read the database of its console. Then imports wait up to a minute for a command that still reads.`

func (f *lakeFlags) bind(cmd *cobra.Command) {
	f.aws.bind(cmd)
	cmd.Flags().StringVar(&f.bucket, "bucket", "", "logs to read, as s3://bucket/prefix (default: from stagelog.yaml)")
	cmd.Flags().StringVar(&f.path, "lake", "", "path to the database (default in .stagelog/lake, or in the user's cache directory if stagelog.yaml does not describe the logs)")
	cmd.Flags().BoolVar(&f.noImport, "no-import", false, "do not import new objects first")
	cmd.Flags().BoolVar(&f.forget, "forget", false, "drop imported objects in the time range that are no longer in the bucket")
	cmd.Flags().DurationVar(&f.wait, "lake-wait", 30*time.Second, "how long to wait while another command uses the database")
	cmd.MarkFlagsMutuallyExclusive("no-import", "forget")
}

// logs holds the bucket of a command's logs and the options to import them.
type logs struct {
	clients   *provision.Clients
	accessKey string           // the id of the one that reads the bucket
	pipeline  *config.Pipeline // nil without a stagelog.yaml for this bucket
	bucket    bucket.Bucket
	lake.ImportOptions
}

// url returns the printable S3 URL of a prefix.
func (l *logs) url(prefix string) string {
	return "s3://" + l.bucket.Bucket() + "/" + table.Printable(prefix)
}

// find finds the logs and opens their bucket.
func (f *lakeFlags) find(ctx context.Context, e *env) (*logs, error) {
	p, err := config.Load(e.file, e.getenv)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.bucket == "":
		return nil, usageError{fmt.Errorf("%s not found; name the logs with --bucket s3://bucket/prefix", e.file)}
	case err != nil && f.bucket == "":
		return nil, err
	case err != nil:
		p = nil
	}
	name, prefix := "", ""
	if f.bucket != "" {
		rest, ok := strings.CutPrefix(f.bucket, "s3://")
		name, prefix, _ = strings.Cut(rest, "/")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--bucket %s: expected s3://bucket/prefix", f.bucket)}
		}
		if p != nil && p.Bucket != name {
			p = nil // describes other logs
		}
	} else {
		name, prefix = p.Bucket, p.Deliver.Logs()
	}
	at := &logs{pipeline: p, ImportOptions: lake.OptionsOf(p)}
	at.Prefix, at.Forget = prefix, f.forget
	cfg, err := f.aws.config(ctx, e, p, f.bucket == "")
	if err != nil {
		return nil, err
	}
	keys, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, f.aws.noCredentials(ctx, err)
	}
	at.accessKey = keys.AccessKeyID
	at.clients = provision.NewClients(cfg)
	at.bucket = bucket.Of(at.clients.S3).Bucket(name)
	return at, nil
}

// maxNames limits the object names in a message.
const maxNames = 20

// nothing explains why no objects were found, and names those of other times or prefixes.
func (l *logs) nothing(ctx context.Context) string {
	names, err := l.bucket.Children(ctx, l.Prefix, maxNames)
	if err == nil && len(names) > 0 {
		return fmt.Sprintf("no objects below %s in the time range (set by --from); found %s", l.url(l.Prefix), table.Printable(names[0]))
	}
	for prefix := l.Prefix; err == nil && prefix != ""; {
		prefix = prefix[:strings.LastIndexByte(strings.TrimSuffix(prefix, "/"), '/')+1]
		if names, err = l.bucket.Children(ctx, prefix, maxNames); len(names) > 0 {
			return fmt.Sprintf("no objects below %s; check the prefix. %s contains %s", l.url(l.Prefix), l.url(prefix), table.Printable(strings.Join(names, ", ")))
		}
	}
	return "no objects below " + l.url(l.Prefix)
}

// home returns the directory for the lake and the prompt's history: that of the pipeline in this directory for the logs that it
// delivers, so that other logs do not appear on its console; for others, one in the user's cache directory.
func (l *logs) home() (dir string, ofPipeline bool, err error) {
	if l.pipeline != nil && l.Prefix == l.pipeline.Deliver.Logs() {
		return localState, true, nil
	}
	if dir, err = os.UserCacheDir(); err != nil {
		return "", false, fmt.Errorf("find the user's cache directory: %w", err)
	}
	return filepath.Join(dir, "stagelog"), false, nil
}

// lakePath returns the path of the lake of logs.
func (f *lakeFlags) lakePath(at *logs) (string, error) {
	if f.path != "" {
		return f.path, nil
	}
	dir, ofPipeline, err := at.home()
	if err != nil {
		return "", fmt.Errorf("%w; choose a file for the database with --lake", err)
	}
	endpoint, prefix := aws.ToString(at.clients.S3.Options().BaseEndpoint), at.Prefix
	switch {
	case ofPipeline && at.ofUp():
		endpoint, prefix = lake.Local, ""
	case ofPipeline:
		prefix = ""
	case onThisMachine(endpoint): // another program may listen on that port tomorrow
		endpoint += "/" + at.accessKey
	}
	return filepath.Join(dir, "lake", lake.FileName(at.bucket.Bucket(), prefix, endpoint)), nil
}

// ofUp reports whether the logs are read with credentials of the `stagelog up` in this directory.
func (l *logs) ofUp() bool {
	keys, err := os.ReadFile(filepath.Join(localState, "credentials"))
	return err == nil && l.accessKey != "" && bytes.Contains(keys, []byte(l.accessKey))
}

// openAsIs opens the lake without an import, and reports when it waits for another command.
func (f *lakeFlags) openAsIs(ctx context.Context, e *env) (*lake.Lake, error) {
	opts := lake.Options{Wait: f.wait, MemoryMiB: f.memoryMiB, Waiting: func() { f.waiting(e) }}
	if !f.noImport { // without an import, a new lake would be empty
		opts.Rebuilt = func(aside string) { f.rebuilt(e, aside) }
	}
	return lake.Open(ctx, f.opened, opts)
}

func (f *lakeFlags) waiting(e *env) {
	fmt.Fprintf(e.stderr, "database %s is in use by another command; waiting up to %v\n", f.opened, f.wait)
}

func (f *lakeFlags) rebuilt(e *env, aside string) {
	fmt.Fprintf(e.stderr, "database %s was damaged and is rebuilt from the bucket; the damaged file is now %s\n", f.opened, aside)
}

// setAside renames the damaged file of the lake that was opened last, and reports it.
func (f *lakeFlags) setAside(e *env) error {
	if f.noImport {
		return fmt.Errorf("database %s is damaged; it is a copy of the bucket: run the command without --no-import to rebuild it", f.opened)
	}
	if f.lent {
		f.damaged = true // the owner sets it aside
		fmt.Fprintf(e.stderr, "database %s was damaged and is rebuilt from the bucket\n", f.opened)
		return nil
	}
	aside, err := lake.SetAside(f.opened)
	if err == nil {
		f.rebuilt(e, aside)
	}
	return err
}

// run calls fn, which opens the lake, reads from it before it prints, and closes it. If the file proves to be damaged, run sets
// it aside and calls fn again.
func (f *lakeFlags) run(e *env, fn func() error) error {
	err := fn()
	if !lake.Damaged(err) {
		return err
	}
	if err := f.setAside(e); err != nil {
		return err
	}
	return fn()
}

// read imports the new objects of a time range and calls fn with the lake. Zero times mean no bounds.
func (f *lakeFlags) read(ctx context.Context, e *env, from, to time.Time, fn func(*lake.Lake, *logs) error) error {
	at, err := f.find(ctx, e)
	if err != nil {
		return err
	}
	at.From, at.To = from, to
	return f.readAt(ctx, e, at, func(l *lake.Lake) error { return fn(l, at) })
}

// readAt imports the new objects of logs and calls fn with the lake.
func (f *lakeFlags) readAt(ctx context.Context, e *env, at *logs, fn func(*lake.Lake) error) error {
	var l *lake.Lake
	lent, err := f.locate(ctx, at)
	switch {
	case err != nil:
		return err
	case lent:
		reply, err := f.borrow(ctx, e, at, lend.Request{Read: true})
		if err != nil {
			return err
		}
		defer reply.Close()
		l, err = lake.Open(ctx, f.opened, lake.Options{ReadOnly: true, MemoryMiB: f.memoryMiB})
		if err != nil {
			return err
		}
	default:
		if l, err = f.open(ctx, e, at); err != nil {
			return err
		}
	}
	defer l.Close()
	return fn(l)
}

// locate finds the lake of logs and reports whether another process lends it.
func (f *lakeFlags) locate(ctx context.Context, at *logs) (lent bool, err error) {
	if f.opened, err = f.lakePath(at); err != nil {
		return false, err
	}
	f.lent = lend.Lent(ctx, f.opened)
	return f.lent, nil
}

// open opens the lake and imports new objects.
func (f *lakeFlags) open(ctx context.Context, e *env, at *logs) (*lake.Lake, error) {
	l, err := f.openAsIs(ctx, e)
	if err != nil {
		return nil, err
	}
	if err := f.fillOwn(ctx, e, l, at); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// borrow asks the process that lends the lake to import new objects and to do the rest of the request.
func (f *lakeFlags) borrow(ctx context.Context, e *env, at *logs, r lend.Request) (reply *lend.Reply, err error) {
	r.Damaged = f.damaged
	if !f.noImport {
		r.Import = &lend.Import{Prefix: at.Prefix, From: at.From, To: at.To, Forget: at.Forget}
	}
	err = f.fill(ctx, e, at, func(progress func(lake.Summary)) (lake.Summary, error) {
		if reply, err = f.ask(ctx, e, r, progress); err != nil {
			return lake.Summary{}, err
		}
		return reply.Summary, nil
	})
	if err != nil && reply != nil {
		err = errors.Join(err, reply.Close())
	}
	f.damaged = f.damaged && err != nil
	return reply, err
}

// ask sends a request to the process that lends the lake. If that process cannot open it because of another one, ask waits.
func (f *lakeFlags) ask(ctx context.Context, e *env, r lend.Request, progress func(lake.Summary)) (*lend.Reply, error) {
	other := func() { fmt.Fprintln(e.stderr, "waiting for another import into this database") }
	for began, announced := time.Now(), false; ; announced = true {
		reply, err := lend.Ask(ctx, f.opened, r, other, progress)
		if !errors.Is(err, lake.ErrInUse) || time.Since(began) > f.wait {
			return reply, err
		}
		if !announced {
			f.waiting(e)
		}
		if err := retry.Sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// progressEvery is the interval between progress lines of an import.
const progressEvery = 2 * time.Second

// fillOwn imports new objects into a lake that this process has open, like fill.
func (f *lakeFlags) fillOwn(ctx context.Context, e *env, l *lake.Lake, at *logs) error {
	if f.noImport {
		return nil
	}
	return f.fill(ctx, e, at, func(progress func(lake.Summary)) (lake.Summary, error) {
		opts := at.ImportOptions
		opts.Progress = progress
		return l.Import(ctx, at.bucket, opts)
	})
}

// fill calls fill, which imports new objects, and reports progress and result, unless --no-import is given.
func (f *lakeFlags) fill(ctx context.Context, e *env, at *logs, fill func(progress func(lake.Summary)) (lake.Summary, error)) error {
	began, reported := time.Now(), time.Now()
	sum, err := fill(func(s lake.Summary) {
		if time.Since(reported) > progressEvery {
			reported = time.Now()
			fmt.Fprintf(e.stderr, "imported %s requests of %s so far\n", table.Thousands(s.Rows), table.Plural(int64(s.Imported), "object"))
		}
	})
	switch {
	case f.noImport: // a lent lake
		return err
	case err != nil:
		return fmt.Errorf("%w\n  --no-import uses the objects imported earlier",
			provision.Explain(fmt.Errorf("import the logs below s3://%s/%s: %w", at.bucket.Bucket(), at.Prefix, err)))
	}
	if sum.Imported > 0 {
		fmt.Fprintf(e.stderr, "imported %s requests of %s (%s) in %v\n", table.Thousands(sum.Rows), table.Plural(int64(sum.Imported), "object"),
			table.Size(sum.Bytes), time.Since(began).Round(10*time.Millisecond))
	}
	f.report(e, at, sum)
	if f.complete && sum.Skipped > 0 {
		return fmt.Errorf("%s could not be read: the result would be too low\n  run the command again once the causes above are removed, or use --no-import for a result without these objects",
			table.Plural(int64(sum.Skipped), "object"))
	}
	if sum.Found == 0 && sum.Spared == 0 {
		fmt.Fprintln(e.stderr, at.nothing(ctx))
	}
	return nil
}

// report prints the anomalies of an import.
func (f *lakeFlags) report(e *env, at *logs, sum lake.Summary) {
	for _, note := range []struct {
		n           int64
		thing, text string
	}{
		{sum.Duplicates, "duplicate", "counted once"},
		{sum.Bad, "line", "that could not be read: SELECT * FROM bad_lines shows why"},
		{sum.Other, "JSON object", "left out, not from an access log: SELECT key, other FROM objects WHERE other > 0 shows where"},
		{sum.Misfit, "value", "kept in extra, not fitting a column"},
		{sum.Zoneless, "time", "without a zone, taken as UTC"},
	} {
		if note.n > 0 {
			fmt.Fprintf(e.stderr, "  %s %s\n", table.Plural(note.n, note.thing), note.text)
		}
	}
	for _, repair := range sum.Repairs {
		fmt.Fprintf(e.stderr, "  %s repaired: %s\n", table.Plural(repair.Lines, "line"), repair.Cause)
	}
	if len(sum.Repairs) > 0 {
		fmt.Fprintln(e.stderr, "  `stagelog format lint` finds the faults of a format")
	}
	if sum.Forgotten > 0 {
		fmt.Fprintf(e.stderr, "dropped %s no longer in the bucket\n", table.Plural(int64(sum.Forgotten), "object"))
	}
	if sum.Spared > 0 {
		fmt.Fprintf(e.stderr, "dropped nothing: no objects are left below %s, so the imported ones are kept (%s); to drop them, delete %s\n",
			at.url(at.Prefix), table.Plural(int64(sum.Spared), "object"), f.opened)
	}
	if sum.Earlier > 0 {
		fmt.Fprintf(e.stderr, "the log format or field names in %s have changed: %s imported before keep their values; to read all in the new format, delete %s\n",
			e.file, table.Plural(int64(sum.Earlier), "object"), f.opened)
	}
	if sum.Skipped > 0 {
		fmt.Fprintf(e.stderr, "skipped %s; the next import tries them again\n", table.Plural(int64(sum.Skipped), "object"))
	}
	for _, p := range sum.Problems {
		fmt.Fprintf(e.stderr, "  %s: %s\n", table.Printable(p.Key), table.Printable(p.Reason))
	}
}
