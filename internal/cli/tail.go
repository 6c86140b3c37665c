package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
		Short: "Requests as they come: live from stagelog up, or from a bucket as objects arrive",
		Long: `In a folder where ` + "`stagelog up`" + ` runs, shows each request as it is enriched. With --bucket, or
where nothing runs, it looks for new objects again and again and shows their lines.
--json prints each line as it was logged.`,
		Example: `  stagelog tail
  stagelog tail --status 5xx --customer 'Acme*'
  stagelog tail --bucket s3://acme-api-logs/logs/ --json | jq .ip`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTail(cmd.Context(), e, &flags) },
	}
	flags.lake.aws.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.lake.bucket, "bucket", "", "follow the objects of s3://bucket/prefix")
	f.StringArrayVar(&flags.where, "where", nil, whereHelp)
	for _, d := range []query.Dimension{query.Customer, query.Route, query.Status} {
		f.Func(string(d), "the same as --where "+string(d)+"=VALUE", func(value string) error {
			flags.where = append(flags.where, string(d)+"="+value)
			return nil
		})
	}
	f.DurationVar(&flags.every, "every", 2*time.Second, "how often to look for new objects")
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

// runningConsole is the address of the console of the `stagelog up` of this folder, if it runs.
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

var errNotRunning = errors.New("no `stagelog up` shows its lines here")

// live prints the lines of a running chain.
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
		return errNotRunning // its file is left over
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errNotRunning // or its console has a password
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
			return errors.New("stagelog up has ended")
		case err != nil:
			return fmt.Errorf("read lines from %s: %w", address, err)
		}
	}
}

// follow prints the lines of objects that come into a bucket from now on.
func (t *tail) follow(ctx context.Context, at *logs) error {
	t.mapping = at.Mapping
	fmt.Fprintf(t.env.stderr, "waiting for new objects below %s\n", at.url(at.Prefix))
	seen := map[string]bool{}
	for first := true; ; first = false {
		err := lake.ListSince(ctx, at.bucket, at.Prefix, time.Now().Add(-tailBack), func(o record.Object) error {
			name := o.Key + "\x00" + o.ETag
			for _, other := range at.Except {
				if strings.HasPrefix(o.Key, other) {
					return nil
				}
			}
			if seen[name] {
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
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(100*time.Millisecond, t.flags.every)):
		}
	}
}

// tailBack is how long ago an object may have begun that comes now: Firehose buffers for 15
// minutes at most, and puts it under the hour in which its first record came.
const tailBack = time.Hour

// longest line that is shown, and about how much of one is read at once.
const (
	tailLine = 1 << 20
	tailPart = 64 << 10
)

func (t *tail) object(ctx context.Context, at *logs, key string) error {
	body, err := at.bucket.Get(ctx, key)
	if err != nil {
		return err // which names the object
	}
	defer body.Close()
	plain, _, err := lines.Open(body)
	if err != nil {
		fmt.Fprintf(t.env.stderr, "%s: %v\n", table.Printable(key), err)
		return nil
	}
	defer plain.Close()
	return lines.Lines(plain, tailPart, tailLine, func(line []byte, _ bool) error { return t.print(line) })
}

// print prints a line if it is asked for.
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
	latency := q.Latency
	if latency != "" {
		latency += " ms"
	}
	at := ""
	if !q.Time.IsZero() {
		at = q.Time.Format("15:04:05")
	}
	dash := func(text string) string {
		if text == "" {
			return "-"
		}
		return table.Printable(text)
	}
	_, err := fmt.Fprintf(t.env.stdout, "%s  %s  %-6s %-40s %8s  %s %s\n", t.colour.it(faint, at), t.colour.it(colour, dash(q.Status)), dash(q.Method),
		dash(q.Path), latency, t.colour.it(bold, dash(q.Customer)), t.colour.it(faint, dash(q.UsagePlan)))
	return err
}
