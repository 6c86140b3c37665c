package cli

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/localaws/gateway/sample"
	"github.com/stagelog/stagelog/internal/server"
)

//go:embed demo.yaml
var demoYAML []byte

type demoOptions struct {
	runFor time.Duration // 0: until interrupted
	dir    string        // "": a temporary folder, removed at the end
	rate   int           // requests a second
}

func newDemo(e *env) *cobra.Command {
	var opts demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run everything on this machine with sample customers",
		Long: `Builds the whole chain in this process: a sample API behind a stage, usage plans, customers,
the delivery stream, the enrichment, the bucket and a reader's account. Then sends real requests,
some with a wrong key and some over their plan's throttle, and reads the first enriched object back
with the reader's credentials. It needs no account and leaves nothing behind.`,
		Example: `  stagelog demo                  until Ctrl-C
  stagelog demo --for 20s        ends by itself with a summary
  stagelog demo --for 20s --json one JSON document on stdout`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), e, opts)
		},
	}
	cmd.Flags().DurationVar(&opts.runFor, "for", 0, "how long requests are sent (default until Ctrl-C)")
	cmd.Flags().StringVar(&opts.dir, "dir", "", "keep the state in this folder (default a temporary one, removed at the end)")
	cmd.Flags().IntVar(&opts.rate, "rate", 50, "requests a second, 1 to 1000")
	return cmd
}

// demoResult is what `demo --json` prints. Fields may be added, never changed.
type demoResult struct {
	Requests         int64             `json:"requests"`          // answered by the stage
	RecordsAccepted  int64             `json:"records_accepted"`  // durable in the stream
	RecordsDelivered int64             `json:"records_delivered"` // lines found in the bucket's objects
	RecordsFailed    int64             `json:"records_failed"`    // lines found in its error objects
	Objects          []string          `json:"objects"`
	Customers        map[string]int64  `json:"customers"` // delivered lines by customer; "-" has no key
	Reader           readerProof       `json:"reader"`
	Endpoints        map[string]string `json:"endpoints"`
}

func runDemo(ctx context.Context, e *env, opts demoOptions) error {
	if opts.rate < 1 || opts.rate > 1000 {
		return usageError{fmt.Errorf("--rate %d: expected 1 to 1000 requests a second", opts.rate)}
	}
	dir, cleanup, err := demoDir(opts.dir)
	if err != nil {
		return err
	}
	upstream, err := serveSample()
	if err != nil {
		return errors.Join(err, cleanup())
	}
	customers := demoCustomers()
	p, err := config.Parse("demo.yaml", demoYAML, func(name string) string {
		if name == "UPSTREAM" {
			return upstream.url
		}
		return customers.key(name)
	})
	if err != nil {
		return errors.Join(err, upstream.close(), cleanup())
	}
	d := &demo{env: e, opts: opts, pipeline: p, customers: customers}
	d.say("stagelog demo: who calls this API, on which plan?\n")
	err = server.Run(ctx, server.Config{
		Pipeline: p, Dir: dir, Listen: server.Loopback, AnyPort: true,
		Logger:   e.quietLog(),
		Progress: func(s server.Step) { d.say("  %d/4  %-36s done: %s", s.Number, s.Name, s.Detail) },
	}, d.script)
	return errors.Join(err, upstream.close(), cleanup())
}

// demoDir is where the demo keeps its state, and how that is taken away again.
func demoDir(dir string) (string, func() error, error) {
	if dir != "" {
		abs, err := filepath.Abs(dir)
		return abs, func() error { return nil }, err
	}
	tmp, err := os.MkdirTemp("", "stagelog-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for the demo's state: %w; choose one with --dir", err)
	}
	return tmp, func() error { return os.RemoveAll(tmp) }, nil
}

// sampleServer is the API that the demo's stage stands before.
type sampleServer struct {
	url    string
	server *http.Server
	done   chan error
}

func serveSample() (*sampleServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the sample API: %w", err)
	}
	s := &sampleServer{
		url:    "http://" + ln.Addr().String(),
		server: &http.Server{Handler: sample.Handler(), ReadHeaderTimeout: 10 * time.Second},
		done:   make(chan error, 1),
	}
	go func() { s.done <- s.server.Serve(ln) }()
	return s, nil
}

func (s *sampleServer) close() error {
	err := s.server.Close()
	if serveErr := <-s.done; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// caller is one kind of caller in the demo's traffic.
type caller struct {
	name, env, key string
	share          int // of 100 requests
	sendsKey       bool
}

type callers []caller

func demoCustomers() callers {
	cs := callers{
		{name: "Acme Corp", env: "KEY_ACME", share: 45, sendsKey: true},
		{name: "Globex", env: "KEY_GLOBEX", share: 25, sendsKey: true},
		{name: "Initech, over its throttle", env: "KEY_INITECH", share: 20, sendsKey: true},
		{name: "a wrong key", share: 5, sendsKey: true},
		{name: "no key", share: 5},
	}
	for i := range cs {
		cs[i].key = rand.Text() + rand.Text()
	}
	return cs
}

func (cs callers) key(env string) string {
	for _, c := range cs {
		if c.env == env {
			return c.key
		}
	}
	return ""
}

// pick is the caller of request n: the shares of each hundred, interleaved.
func (cs callers) pick(n int) caller {
	at := n * 37 % 100
	for _, c := range cs {
		if at < c.share {
			return c
		}
		at -= c.share
	}
	panic("BUG: the shares of the demo's callers are not 100")
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.env.stderr, format+"\n", args...)
}

// discardBody reads an answer to its end, so that its connection is used again.
func discardBody(resp *http.Response) error {
	_, err := io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}
