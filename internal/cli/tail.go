package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/encoding/lines"
	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/query"
	"github.com/stagelog/stagelog/internal/lake/table"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/server"
)

type tailFlags struct {
	lake  lakeFlags
	where []string
	every time.Duration
}

func newTail(e *env) *cobra.Command {
	var flags tailFlags
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show requests live from stagelog up, or from new objects in a bucket",
		Long: `Shows each request as it is enriched, in a directory where ` + "`stagelog up`" + ` runs. With --bucket, or if it is
not running, shows the lines of new objects in the bucket. --json prints each line as it was logged.`,
		Example: `  stagelog tail
  stagelog tail --status 5xx --customer 'Acme*'
  stagelog tail --bucket s3://acme-api-logs/logs/ --json | jq .ip`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTail(cmd.Context(), e, &flags) },
	}
	flags.lake.aws.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.lake.bucket, "bucket", "", "follow new objects in s3://bucket/prefix")
	f.StringArrayVar(&flags.where, "where", nil, whereHelp)
	for _, d := range []query.Dimension{query.Customer, query.Route, query.Status} {
		f.Func(string(d), "the same as --where "+string(d)+"=VALUE", func(value string) error {
			flags.where = append(flags.where, string(d)+"="+value)
			return nil
		})
	}
	f.DurationVar(&flags.every, "every", 2*time.Second, "interval between checks for new objects")
	return cmd
}

func runTail(ctx context.Context, e *env, flags *tailFlags) error {
	filter, err := query.ParseFilter(flags.where...)
	if err != nil {
		return usageError{fmt.Errorf("--where: %w", err)}
	}
	t := &tail{env: e, flags: flags, filter: filter, colour: e.paintFor(e.stdout)}
	if flags.lake.bucket == "" {
		address, err := runningConsole()
		if err != nil {
			return err
		}
		if address != "" {
			if err := t.live(ctx, address); !errors.Is(err, errNotRunning) {
				return err
			}
		}
	}
	at, err := flags.lake.find(ctx, e)
	if err != nil {
		return err
	}
	return t.follow(ctx, at)
}

// runningConsole returns the console address of the `stagelog up` in this folder, "" if none was started.
func runningConsole() (string, error) {
	data, err := os.ReadFile(filepath.Join(localState, server.EndpointsFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	var at struct{ Console string }
	if err := json.Unmarshal(data, &at); err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(localState, server.EndpointsFile), err)
	}
	return at.Console, nil
}

// tail prints requests.
type tail struct {
	env     *env
	flags   *tailFlags
	filter  query.Filter
	mapping lake.Mapping
	colour  paint
}

var errNotRunning = errors.New("no `stagelog up` is running in this directory")

// live prints the lines of a running pipeline.
func (t *tail) live(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+server.LinesPath, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return errNotRunning // the endpoints file is from an earlier run
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errNotRunning // or the console requires a password
	}
	fmt.Fprintf(t.env.stderr, "live from %s\n", address)
	in := bufio.NewReader(answer.Body)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			if err := t.print(line); err != nil {
				return err
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("stagelog up has stopped")
		case err != nil:
			return fmt.Errorf("read lines from %s: %w", address, err)
		}
	}
}

// follow prints the lines of new objects in a bucket.
func (t *tail) follow(ctx context.Context, at *logs) error {
	fmt.Fprintf(t.env.stderr, "waiting for new objects below %s\n", at.url(at.Prefix))
	seen := map[string]bool{}
	for first := true; ; first = false {
		err := lake.ListSince(ctx, at.bucket, at.Prefix, time.Now().Add(-tailBack), func(o record.Object) error {
			name := o.Key + "\x00" + o.ETag
			if seen[name] || slices.ContainsFunc(at.Except, func(other string) bool { return strings.HasPrefix(o.Key, other) }) {
				return nil
			}
			seen[name] = true
			if first {
				return nil
			}
			return t.object(ctx, at, o.Key)
		})
		if ctx.Err() != nil {
			return nil
		} else if err != nil {
			return provision.Explain(err)
		}
		if retry.Sleep(ctx, max(100*time.Millisecond, t.flags.every)) != nil {
			return nil
		}
	}
}

// tailBack is how far back follow lists objects: Firehose buffers for up to 15 minutes and names an
// object after the hour of its first record.
const tailBack = time.Hour

const (
	tailLine = 1 << 20  // longest line to show
	tailPart = 64 << 10 // bytes read at once
)

func (t *tail) object(ctx context.Context, at *logs, key string) error {
	body, err := at.bucket.Get(ctx, key)
	if errors.Is(err, record.ErrNotFound) || awserr.RefusedObject(err) {
		t.skip(key, provision.Explain(err))
		return nil
	} else if err != nil {
		return err // names the object
	}
	defer body.Close()
	plain, _, err := lines.Open(body)
	if err != nil {
		t.skip(key, err)
		return nil
	}
	defer plain.Close()
	t.mapping = at.Mapping.In(key)
	var ours error
	err = lines.Lines(plain, tailPart, tailLine, func(line []byte, _ bool) error {
		ours = t.print(line)
		return ours
	})
	if err != nil && ours == nil && ctx.Err() == nil {
		t.skip(key, err)
	}
	return ours
}

// skip reports that an object, or the rest of it, cannot be read.
func (t *tail) skip(key string, err error) {
	fmt.Fprintf(t.env.stderr, "%s: %s\n", table.Printable(key), printable(err))
}

// print prints a line that matches the flags.
func (t *tail) print(line []byte) error {
	q, ok := t.mapping.Read(line)
	if !ok || !t.filter.Match(q, time.UTC) {
		return nil
	}
	if t.env.json {
		_, err := fmt.Fprintf(t.env.stdout, "%s\n", table.JSON([]byte(strings.TrimSpace(string(line)))))
		return err
	}
	colour := green
	switch {
	case q.Status >= "5":
		colour = red
	case q.Status >= "4":
		colour = yellow
	}
	latency, at := q.Latency, ""
	if latency != "" {
		latency += " ms"
	}
	if !q.Time.IsZero() {
		at = q.Time.Format("15:04:05")
	}
	dash := func(text string) string { return table.Printable(cmp.Or(text, "-")) }
	_, err := fmt.Fprintf(t.env.stdout, "%s  %s  %-6s %-40s %8s  %s %s\n", t.colour.it(faint, at), t.colour.it(colour, dash(q.Status)), dash(q.Method),
		dash(q.Path), latency, t.colour.it(bold, dash(q.Customer)), t.colour.it(faint, dash(q.UsagePlan)))
	return err
}
