package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/console"
	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/coverage"
	"github.com/stagelog/stagelog/internal/lake/lend"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/provision"
)

type consoleFlags struct {
	lake     lakeFlags
	from     when
	listen   string
	password string
	hosts    []string
	every    time.Duration
}

func newConsole(e *env) *cobra.Command {
	flags := consoleFlags{from: when{now: time.Now}}
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve a web console over the delivered logs",
		Long: `Serves the console over the logs of a bucket: requests, customers, routes, errors and SQL. Imports new
objects while it runs. ` + "`stagelog up`" + ` has its own console, which also shows live requests and delivery.

Statements on the SQL page only read, and each is limited: 10 seconds; 1 GiB of memory, of which DuckDB uses half and
writes more to temporary files; 1 GiB of these, or an eighth of the free disk space if that is less; 1,000 rows on the
page, a million in a download. Two statements run at once, and others wait for up to 10 seconds. At most eight may run,
wait or send their results; more are refused. "stagelog query" runs statements without these limits.

` + lakeHelp,
		Example: `  stagelog console
  stagelog console --bucket s3://acme-api-logs/logs/ --profile partner
  stagelog console --listen 0.0.0.0:8082 --password-file console.password`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runConsole(cmd.Context(), e, &flags) },
	}
	flags.lake.bind(cmd)
	f := cmd.Flags()
	f.Var(&flags.from, "from", "import requests from this time on (default 30 days ago): "+whenHelp)
	f.StringVar(&flags.listen, "listen", "127.0.0.1:8082", "address of the console")
	f.StringVar(&flags.password, "password-file", "", "file with the console's password; required if other machines can reach the console")
	f.StringSliceVar(&flags.hosts, "console-host", nil, "name by which the console may be opened, besides its address; may be repeated")
	f.DurationVar(&flags.every, "every", 30*time.Second, "interval between checks for new objects")
	return cmd
}

// readPassword reads a password from the first line of a file. It returns "" for an empty path.
func readPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the console password: %w", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("read the console password: the first line of %s is empty", path)
	}
	return line, nil
}

func runConsole(ctx context.Context, e *env, flags *consoleFlags) error {
	password, err := readPassword(flags.password)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(flags.listen)
	if ip := net.ParseIP(host); err != nil || password == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usageError{fmt.Errorf("--listen %s: other machines can reach this address; set a password with --password-file", flags.listen)}
	}
	at, err := flags.lake.find(ctx, e)
	if err != nil {
		return err
	}
	at.From = flags.from.or(time.Now().Add(-recent))
	lent, err := flags.lake.locate(ctx, at)
	if err != nil {
		return err
	}
	if lent {
		return fmt.Errorf("a console of these logs is running already, by `stagelog up` or `stagelog console`; open that one, or choose another file than %s with --lake", flags.lake.opened)
	}
	name := at.bucket.Bucket()
	filler := &lake.Filler{
		Open:  func(ctx context.Context) (*lake.Lake, error) { return flags.lake.openAsIs(ctx, e) },
		Fill:  func(ctx context.Context, l *lake.Lake) error { return flags.lake.fillOwn(ctx, e, l, at) },
		Every: flags.every, Wait: pageWait, Failed: func(err error) { fmt.Fprintln(e.stderr, printable(err)) },
		SetAside: func() error { return flags.lake.setAside(e) },
	}
	defer filler.Close()
	if _, err := filler.Lake(ctx); err != nil { // fail before listening
		return err
	}
	ln, err := net.Listen("tcp", flags.listen)
	if err != nil {
		return fmt.Errorf("listen for the console: %w; choose another address with --listen", err)
	}
	server := &http.Server{
		Handler: wire.LimitSlowClients(console.New(console.Config{
			Lake: filler.Lake, Failed: filler.Report, Password: password, Hosts: flags.hosts,
			Title: name, FillCmd: "stagelog console --bucket s3://" + name + "/" + at.Prefix, Logger: e.quietLog(),
		})),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(e.quietLog().Handler(), slog.LevelWarn),
	}
	lender := &lend.Lender{
		Path: flags.lake.opened, Filler: filler,
		Import: func(ctx context.Context, l *lake.Lake, asked lend.Import, progress func(lake.Summary)) (lake.Summary, error) {
			sum, err := l.Import(ctx, at.bucket, asked.Of(at.ImportOptions, progress))
			return sum, provision.Explain(err)
		},
		Customers: func(ctx context.Context) (coverage.History, error) { return customers(ctx, at) },
	}
	socket, err := lender.Listen(ctx)
	if err != nil {
		fmt.Fprintf(e.stderr, "other commands have to wait until this console ends: %s\n", printable(err))
	} else {
		defer goUntilReturn(ctx, func(ctx context.Context) { lender.Serve(ctx, socket) })()
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	fmt.Fprintf(e.stderr, "console of %s: http://%s\n", at.url(at.Prefix), ln.Addr())
	err = flags.refresh(ctx, filler, served)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if shutErr := server.Shutdown(end); shutErr != nil {
		shutErr = server.Close()
		err = errors.Join(err, shutErr)
	}
	return err
}

// goUntilReturn runs fn in a goroutine, until end is called.
func goUntilReturn(ctx context.Context, fn func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { fn(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// pageWait limits how long a page waits for the import of new objects.
const pageWait = 2 * time.Second

// refresh imports new objects until ctx ends or the server fails, even if no page is open.
func (f *consoleFlags) refresh(ctx context.Context, filler *lake.Filler, served <-chan error) error {
	every := time.NewTicker(max(time.Second, f.every))
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return fmt.Errorf("serve the console: %w", err)
		case <-every.C:
			if _, err := filler.Lake(ctx); err != nil {
				return err
			}
		}
	}
}
