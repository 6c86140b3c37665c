// Package buffer is where a record is safe before anybody answers 200: a durable log of
// frames per stream and shard, and a small key-value store with revisions, both on NATS
// JetStream. The server is embedded in this process, without a listener, and syncs every
// write before it acknowledges; or it is a cluster, by its URL. The code is the same.
//
// The log never acknowledges on behalf of a reader. How far delivery has come is one
// document in a Store, written under its revision, so that the decision, the commit and
// the fence against a second worker are one synced write; Log.Trim only frees space.
//
// On a cluster the same promise needs `sync_interval: always` in the servers' own
// configuration, or replicas on machines that do not fail together: a client cannot ask.
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

	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/record"
)

// clusterTimeout is how long a cluster may take for one request: longer than it takes to elect
// a leader, and short enough to go on soon when the one asked is gone.
const clusterTimeout = 4 * time.Second

// clusterPatience is how long what is opened waits for a cluster that does not answer.
const clusterPatience = 30 * time.Second

// DefaultMaxBytes is the disk quota when the Config says none: 10 GiB.
const DefaultMaxBytes = 10 << 30

// answerTimeout bounds how long a write may take, sync and queue included, when the
// caller's context has no deadline. A healthy disk needs milliseconds.
const answerTimeout = 30 * time.Second

// Config says where the buffer lives. Either Dir or URL is needed.
type Config struct {
	// Dir holds the embedded server's files; made when missing. One process at a time.
	Dir string
	// URL of a NATS cluster with JetStream (nats://host:4222,...). Dir is then not used.
	URL string
	// Replicas of each stream on a cluster. By default 1; an embedded server has always 1.
	Replicas int
	// MaxBytes is how much the frames of all logs may take on disk; a cluster applies it
	// to each log. By default DefaultMaxBytes. The Stores do not count: delivery must be
	// able to commit when the logs are full.
	MaxBytes int64
	// Logger by default discards.
	Logger *slog.Logger
}

// Buffer is one open buffer. Its methods may be called in parallel.
type Buffer struct {
	maxBytes int64
	replicas int
	logger   *slog.Logger

	dir    *dir      // nil on a cluster
	server *embedded // nil on a cluster
	nc     *nats.Conn
	js     jetstream.JetStream

	used atomic.Int64 // bytes of all logs, kept by Append and Trim; an embedded server's only

	mu   sync.Mutex // guards logs
	logs map[string]*Log
}

// Open starts the embedded server on cfg.Dir, or connects to the cluster at cfg.URL. The
// errors of a directory that cannot be used say what to do.
func Open(ctx context.Context, cfg Config) (_ *Buffer, err error) {
	b := &Buffer{maxBytes: cfg.MaxBytes, replicas: max(cfg.Replicas, 1), logger: cfg.Logger, logs: map[string]*Log{}}
	if b.maxBytes <= 0 {
		b.maxBytes = DefaultMaxBytes
	}
	if b.logger == nil {
		b.logger = slog.New(slog.DiscardHandler)
	}
	b.logger = b.logger.With("component", "buffer")
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	options := []nats.Option{
		nats.Name("stagelog"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectBufSize(-1), // an answer says now, not later, that the server is away
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.logger.Warn("nats client", "error", err)
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
		if b.dir, err = openDir(cfg.Dir); err != nil {
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
	timeout := answerTimeout
	if b.server == nil {
		timeout = clusterTimeout
	}
	if b.js, err = jetstream.New(b.nc, jetstream.WithDefaultTimeout(timeout)); err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	return b, b.measure(ctx)
}

// ready waits for a cluster that elects a leader; everything else is said at once.
func (b *Buffer) ready(ctx context.Context) error {
	err := b.patiently(ctx, b.Healthy)
	if err != nil && b.server == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the NATS cluster has no JetStream leader for %v; look at its servers with `nats server report jetstream`: %w", clusterPatience, err)
	}
	return err
}

// patiently repeats a request that may be repeated while a cluster does not answer it, or says that it is not ready: it may
// be electing a leader, or its servers may not know each other yet, or another process asks for the same at this moment.
func (b *Buffer) patiently(ctx context.Context, request func(context.Context) error) error {
	until := time.Now().Add(clusterPatience)
	for told := false; ; told = true {
		err := b.do(ctx, request)
		late := errors.Is(err, context.DeadlineExceeded)
		if err == nil || b.server != nil || !late && !passes(err) || ctx.Err() != nil || time.Now().After(until) {
			return err
		}
		if !told {
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

// clusterPause is between two requests that a cluster answers with not being ready.
const clusterPause = 250 * time.Millisecond

// passes says whether a cluster answered with what is over soon after its servers have started.
func passes(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && slices.Contains([]jetstream.ErrorCode{codeNoPeers, codeUnavailable, codeNotLeader}, api.ErrorCode)
}

// Close lets go of the connection and stops the embedded server. What was acknowledged is
// on disk already; appends under way may end in an error.
func (b *Buffer) Close() error {
	if b.nc != nil {
		b.nc.Close()
	}
	if b.server != nil {
		b.server.stop()
	}
	if b.dir != nil {
		return b.dir.close()
	}
	return nil
}

// Healthy asks JetStream whether it answers, and the embedded server whether every log
// and store of it can be written.
func (b *Buffer) Healthy(ctx context.Context) error {
	if b.server != nil {
		if err := b.server.healthy(); err != nil {
			return fmt.Errorf("embedded NATS server: %w", err)
		}
	}
	if _, err := b.js.AccountInfo(ctx); err != nil {
		if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
			return fmt.Errorf("the NATS server has no JetStream for this account; enable it (jetstream {} in its configuration): %w", err)
		}
		return fmt.Errorf("ask JetStream: %w", err)
	}
	return nil
}

// measure sums up what the logs hold on the embedded server.
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

// do runs one request to JetStream and wraps its error in the sentinel for it. It ends early when
// the embedded server is replaced: the request would get no answer.
func (b *Buffer) do(ctx context.Context, request func(context.Context) error) error {
	if b.server == nil {
		// The requests of a server that dies get no answer.
		ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
		defer cancel()
		return storeError(request(ctx))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer b.server.track(cancel)()
	err := request(ctx)
	if err != nil && context.Cause(ctx) == errRestarted { //nolint:errorlint // it is ours
		return errRestarted
	}
	return storeError(err)
}

// checkRoom returns an error that wraps ErrFull if n more bytes may not be appended.
func (b *Buffer) checkRoom(n int64) error {
	if b.server == nil {
		return nil // the cluster counts for itself
	}
	if b.used.Load()+n > b.maxBytes {
		return fmt.Errorf("%w: the quota of %d bytes is reached; delivery frees it as it goes on", record.ErrFull, b.maxBytes)
	}
	free, err := b.dir.free()
	if err != nil {
		return fmt.Errorf("ask for free disk space: %w", err)
	}
	if free < n+minFreeBytes {
		return fmt.Errorf("%w: %d bytes are free on the disk of %s; make room, %d are needed to go on",
			record.ErrFull, free, b.dir.path, n+minFreeBytes)
	}
	return nil
}

// checkURL rejects what is not a URL before other code does, whose error would hold the password.
// It returns the URLs, joined by commas, without passwords.
func checkURL(raw string) (redacted string, err error) {
	var parts []string
	for part := range strings.SplitSeq(raw, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Host == "" {
			return "", errors.New("the NATS URL is not one: expected nats://user:password@host:4222")
		}
		parts = append(parts, u.Redacted())
	}
	return strings.Join(parts, ","), nil
}
