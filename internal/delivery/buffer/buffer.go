// Package buffer makes records durable before PutRecord returns 200: a durable log of frames per
// stream and shard, and a small key-value store with revisions, both on NATS JetStream. The
// server is either embedded in this process, without a listener, and syncs every write before
// it acknowledges; or it is a cluster with a URL. The code is the same.
//
// The log never acknowledges on behalf of a reader. The progress of delivery is one document
// in a Store, written conditionally on its revision, so that the decision, the commit and the
// fence against a second worker are one synced write; Log.Trim only frees space.
//
// On a cluster the same guarantee needs `sync_interval: always` in the servers' configuration,
// or replicas on machines that do not fail together; a client cannot check this.
package buffer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/record"
)

// clusterTimeout limits one request to a cluster: longer than a leader election, and short
// enough to retry soon when the server is down.
const clusterTimeout = 4 * time.Second

// clusterWait limits how long Open, Log and Store wait for a cluster that is not ready.
const clusterWait = 30 * time.Second

// DefaultMaxBytes is the default of Config.MaxBytes: 10 GiB.
const DefaultMaxBytes = 10 << 30

// answerTimeout limits a write to the embedded server, sync and queue included, when the
// caller's context has no deadline. A healthy disk needs milliseconds.
const answerTimeout = 30 * time.Second

// Config selects the buffer's location. Either Dir or URL is required.
type Config struct {
	// Dir holds the embedded server's files. It is created when missing. Only one process may use it.
	Dir string
	// URL of a NATS cluster with JetStream (nats://host:4222,...). Dir is then ignored.
	URL string
	// Replicas of each log and store on a cluster; existing ones are changed when they are opened. By default 3 on a cluster of
	// three or more servers, else 1; always 1 for an embedded server.
	Replicas int
	// MaxBytes limits the size of all logs on disk; on a cluster, of each log. By default
	// DefaultMaxBytes. The Stores are not limited: delivery must be able to commit when the logs
	// are full.
	MaxBytes int64
	// Logger logs with the key component. By default it discards.
	Logger *slog.Logger
}

// Buffer is an open buffer. Its methods may be called in parallel.
type Buffer struct {
	maxBytes int64
	replicas int
	logger   *slog.Logger

	dir    *dir      // nil on a cluster
	server *embedded // nil on a cluster
	nc     *nats.Conn
	js     jetstream.JetStream

	salvaged []Salvage // at this start and before

	used atomic.Int64 // bytes of all logs, updated by Append and Trim; embedded server only

	journals *failurelog.Log // writes to the journals of acknowledgements
	endSync  chan struct{}   // closed by Close
	syncing  sync.WaitGroup

	opening sync.Mutex // held while a log is opened or deleted, which can take long, and before mu

	mu     sync.Mutex // guards logs and copies
	logs   map[string]*Log
	copies map[string]*storeCopy
}

// Open starts the embedded server on cfg.Dir, or connects to the cluster at cfg.URL. If the
// directory is unusable, the error explains how to fix it.
func Open(ctx context.Context, cfg Config) (_ *Buffer, err error) {
	b := &Buffer{maxBytes: cfg.MaxBytes, replicas: max(cfg.Replicas, 0), logger: cfg.Logger, logs: map[string]*Log{}, copies: map[string]*storeCopy{}}
	if b.maxBytes <= 0 {
		b.maxBytes = DefaultMaxBytes
	}
	if b.logger == nil {
		b.logger = slog.New(slog.DiscardHandler)
	}
	b.journals = failurelog.New(b.logger, slog.LevelWarn, "writing the journal of acknowledgements")
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	options := []nats.Option{
		nats.Name("stagelog"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectBufSize(-1), // fail immediately while disconnected
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.logger.Warn("NATS client error", "error", err)
		}),
	}
	switch {
	case cfg.URL != "":
		shown, err := checkURL(cfg.URL)
		if err != nil {
			return nil, err
		}
		if b.nc, err = nats.Connect(cfg.URL, options...); err != nil {
			return nil, fmt.Errorf("connect to NATS at %s: %w", shown, err)
		}
	case cfg.Dir != "":
		b.replicas = 1
		if b.dir, err = openDir(cfg.Dir, b.logger); err != nil {
			return nil, err
		}
		if b.salvaged, err = salvage(b.dir.path, b.logger); err != nil {
			return nil, err
		}
		if b.server, err = startServer(b.dir.path, b.logger); err != nil {
			return nil, err
		}
		if b.nc, err = nats.Connect("", append(options, nats.InProcessServer(b.server))...); err != nil {
			return nil, fmt.Errorf("connect to the embedded NATS server: %w", err)
		}
	default:
		return nil, errors.New("open buffer: neither a directory nor a NATS URL given")
	}
	if b.js, err = jetstream.New(b.nc, jetstream.WithDefaultTimeout(b.timeout())); err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	if b.server != nil {
		if err := b.recreate(ctx); err != nil {
			return nil, err
		}
	}
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	if b.server == nil {
		return b, b.chooseReplicas(ctx)
	}
	end := make(chan struct{})
	b.endSync = end
	b.syncing.Go(func() { b.syncAcked(end) })
	return b, b.measure(ctx)
}

// timeout limits one request whose context has no deadline.
func (b *Buffer) timeout() time.Duration {
	if b.server == nil {
		return clusterTimeout
	}
	return answerTimeout
}

// ready waits for a cluster to elect a leader. It returns other errors immediately.
func (b *Buffer) ready(ctx context.Context) error {
	err := b.whenReady(ctx, b.Healthy)
	if err != nil && b.server == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the NATS cluster had no JetStream leader for %v; check its servers with `nats server report jetstream`: %w", clusterWait, err)
	}
	return err
}

// whenReady runs an idempotent request, and retries it while a cluster does not answer or is not ready: it may be electing a
// leader, its servers may still be connecting, or another process may be sending the same request.
func (b *Buffer) whenReady(ctx context.Context, request func(context.Context) error) error {
	until := time.Now().Add(clusterWait)
	for logged := false; ; logged = true {
		err := b.do(ctx, request)
		late := errors.Is(err, context.DeadlineExceeded)
		if err == nil || b.server != nil || !late && !startingUp(err) || ctx.Err() != nil || time.Now().After(until) {
			return err
		}
		if !logged {
			b.logger.Info("waiting for the NATS cluster", "error", err)
		}
		if late {
			continue
		}
		if retry.Sleep(ctx, clusterPause) != nil {
			return err
		}
	}
}

// clusterPause is the pause between two requests to a cluster that is not ready.
const clusterPause = 250 * time.Millisecond

// startingUp reports whether err is one that clusters return until their servers have connected.
func startingUp(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && slices.Contains([]jetstream.ErrorCode{codeNoPeers, codeUnavailable, codeNotLeader}, api.ErrorCode)
}

// Close closes the connection and stops the embedded server. What was acknowledged is on disk
// already; appends in progress may fail.
func (b *Buffer) Close() error {
	if b.nc != nil {
		b.nc.Close()
	}
	if b.server != nil {
		b.server.stop()
	}
	if b.endSync != nil {
		close(b.endSync)
		b.endSync = nil
		b.syncing.Wait()
	}
	b.opening.Lock()
	defer b.opening.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, l := range b.logs {
		errs = append(errs, l.acked.close())
	}
	for _, c := range b.copies {
		errs = append(errs, c.close())
	}
	clear(b.logs)
	clear(b.copies)
	if b.dir != nil {
		errs = append(errs, b.dir.close())
	}
	return errors.Join(errs...)
}

// Healthy checks that JetStream responds and that the embedded server can write every log and
// store.
func (b *Buffer) Healthy(ctx context.Context) error {
	if b.server != nil {
		if err := b.server.healthy(); err != nil {
			return fmt.Errorf("embedded NATS server: %w", err)
		}
	}
	if _, err := b.js.AccountInfo(ctx); err != nil {
		if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
			return fmt.Errorf("JetStream is not enabled for this account of the NATS server; enable it (jetstream {} in its configuration): %w", err)
		}
		return fmt.Errorf("query JetStream: %w", err)
	}
	return nil
}

// measure sums up the size of the logs on the embedded server.
func (b *Buffer) measure(ctx context.Context) error {
	if b.server == nil {
		return nil
	}
	var used int64
	streams := b.js.ListStreams(ctx, jetstream.WithStreamListSubject(framesSubject+">"))
	for info := range streams.Info() {
		used += int64(min(info.State.Bytes, math.MaxInt64))
	}
	if err := streams.Err(); err != nil {
		return fmt.Errorf("list the logs: %w", err)
	}
	b.used.Store(used)
	return nil
}

// do runs one request to JetStream and wraps its error in the matching sentinel. It ends early
// when the embedded server is replaced, because the request would get no answer.
func (b *Buffer) do(ctx context.Context, request func(context.Context) error) error {
	if b.server == nil {
		// Requests to a server that dies get no answer.
		ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
		defer cancel()
		return storeError(request(ctx))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer b.server.track(cancel)()
	err := request(ctx)
	if err != nil && context.Cause(ctx) == errRestarted { //nolint:errorlint // the cause is our own error
		return errRestarted
	}
	return storeError(err)
}

// checkSpace returns an error that wraps ErrFull if n more bytes must not be appended.
func (b *Buffer) checkSpace(n int64) error {
	if b.server == nil {
		return nil // the cluster enforces MaxBytes
	}
	if b.used.Load()+n > b.maxBytes {
		return fmt.Errorf("%w: the quota of %d bytes is used up; delivery frees space as it progresses", record.ErrFull, b.maxBytes)
	}
	free, err := b.dir.free()
	if err != nil {
		return fmt.Errorf("read free disk space: %w", err)
	}
	if free < n+minFreeBytes {
		return fmt.Errorf("%w: %d bytes are free on the disk of %s and %d are required; free up disk space",
			record.ErrFull, free, b.dir.path, n+minFreeBytes)
	}
	return nil
}

// checkURL rejects malformed URLs before the NATS client can put the password into an error.
// It returns the URLs, joined by commas, without passwords.
func checkURL(raw string) (redacted string, err error) {
	var parts []string
	for part := range strings.SplitSeq(raw, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Host == "" {
			return "", errors.New("invalid NATS URL; expected nats://user:password@host:4222")
		}
		parts = append(parts, u.Redacted())
	}
	return strings.Join(parts, ","), nil
}
