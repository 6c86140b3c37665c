package lake

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// FillerConfig configures a Filler.
type FillerConfig struct {
	Open   func(context.Context) (*Lake, error) // called when the lake is first read
	Fill   func(context.Context, *Lake) error   // imports what is new
	Every  time.Duration                        // how old what is read may be
	Wait   time.Duration                        // how long DB waits for what is new; the next call may have it
	Failed func(error)                          // called when Fill fails, never in parallel
}

// Filler fills a lake while it is read: an import begins when the lake is read and the last one began long enough ago.
// It is safe for parallel use.
type Filler struct {
	cfg FillerConfig

	mu      sync.Mutex // guards the following
	lake    *Lake
	filling chan struct{}      // closed when the import under way ends; nil is none
	stop    context.CancelFunc // of that import
	began   time.Time          // when the last import began
	closed  bool
}

// ErrClosed reports that the Filler was closed.
var ErrClosed = errors.New("the lake is closed: stagelog is stopping")

// NewFiller returns a Filler, which opens nothing yet.
func NewFiller(cfg FillerConfig) *Filler { return &Filler{cfg: cfg} }

// DB returns the lake's database, with what is new imported as far as that is quick.
func (f *Filler) DB(ctx context.Context) (*sql.DB, error) {
	l, filling, err := f.start(ctx)
	if err != nil {
		return nil, err
	}
	if filling != nil {
		wait := time.NewTimer(f.cfg.Wait)
		defer wait.Stop()
		select {
		case <-filling:
		case <-wait.C:
		case <-ctx.Done():
		}
	}
	return l.DB(), nil
}

// start opens the lake and begins an import if one is due. It returns the import under way.
func (f *Filler) start(ctx context.Context) (*Lake, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, nil, ErrClosed
	}
	if f.lake == nil {
		l, err := f.cfg.Open(ctx)
		if err != nil {
			return nil, nil, err
		}
		f.lake = l
	}
	if f.filling == nil && time.Since(f.began) > f.cfg.Every {
		fillCtx, stop := context.WithCancel(context.WithoutCancel(ctx)) // the import outlives the page that began it
		f.began, f.filling, f.stop = time.Now(), make(chan struct{}), stop
		go f.fill(fillCtx, f.lake, f.filling)
	}
	return f.lake, f.filling, nil
}

func (f *Filler) fill(ctx context.Context, l *Lake, done chan<- struct{}) {
	if err := f.cfg.Fill(ctx, l); err != nil && ctx.Err() == nil {
		f.cfg.Failed(err)
	}
	f.mu.Lock()
	f.stop()
	f.filling = nil
	f.mu.Unlock()
	close(done)
}

// Close stops an import under way, waits for its end, and closes the lake.
func (f *Filler) Close() error {
	f.mu.Lock()
	f.closed = true
	filling := f.filling
	if filling != nil {
		f.stop()
	}
	f.mu.Unlock()
	if filling != nil {
		<-filling
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lake == nil {
		return nil
	}
	l := f.lake
	f.lake = nil
	return l.Close()
}
