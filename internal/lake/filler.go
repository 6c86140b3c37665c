package lake

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// Filler imports into a lake while it is read: a read starts an import if the last one started long enough ago. It is safe
// for parallel use.
type Filler struct {
	Open   func(context.Context) (*Lake, error) // called on the first read
	Fill   func(context.Context, *Lake) error   // imports new objects
	Every  time.Duration                        // minimum time between the starts of two imports
	Wait   time.Duration                        // how long Lake waits for an import in progress
	Failed func(error)                          // called when Fill fails, never in parallel
	// SetAside renames the lake's file, which is closed then. It is called when the file is damaged, before Open.
	SetAside func() error

	mu      sync.Mutex // guards the following
	lake    *Lake
	filling chan struct{}      // closed when the current import ends; nil if none
	stop    context.CancelFunc // of that import
	began   time.Time          // when the last import started
	damaged bool               // the lake's file
	closed  bool
}

// ErrClosed is returned by a closed Filler.
var ErrClosed = errors.New("the lake is closed: stagelog is stopping")

// Lake returns the lake. It waits for an import in progress, but no longer than Wait.
func (f *Filler) Lake(ctx context.Context) (*Lake, error) {
	l, filling, err := f.start(ctx)
	if err != nil {
		return nil, err
	}
	if filling != nil {
		wait := time.NewTimer(f.Wait)
		defer wait.Stop()
		select {
		case <-filling:
		case <-wait.C:
		case <-ctx.Done():
		}
	}
	return l, nil
}

// start opens the lake and starts an import if one is due. It returns the current import.
func (f *Filler) start(ctx context.Context) (*Lake, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.ready(ctx)
	if err != nil {
		return nil, nil, err
	}
	if f.filling == nil && time.Since(f.began) > f.Every {
		fillCtx, done := f.begin(context.WithoutCancel(ctx)) // the import outlives the page that started it
		f.began = time.Now()
		go func() {
			err := f.Fill(fillCtx, l)
			if err != nil && fillCtx.Err() == nil {
				f.Failed(err)
			}
			done(err)
		}()
	}
	return l, f.filling, nil
}

// Import opens the lake and calls fill when no other import is in progress; no other one starts until fill returns.
func (f *Filler) Import(ctx context.Context, fill func(context.Context, *Lake) error) error {
	for {
		f.mu.Lock()
		l, err := f.ready(ctx)
		if err != nil {
			f.mu.Unlock()
			return err
		}
		filling := f.filling
		if filling == nil {
			fillCtx, done := f.begin(ctx)
			f.mu.Unlock()
			err := fill(fillCtx, l)
			done(err)
			return err
		}
		f.mu.Unlock()
		select {
		case <-filling:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ready returns the lake. It opens it if necessary, and replaces one whose file is damaged. f.mu is held.
func (f *Filler) ready(ctx context.Context) (*Lake, error) {
	if f.closed {
		return nil, ErrClosed
	}
	if f.damaged && f.filling == nil {
		old := f.lake
		f.lake, f.damaged, f.began = nil, false, time.Time{}
		if err := errors.Join(old.Close(), f.SetAside()); err != nil {
			return nil, err
		}
	}
	if f.lake == nil {
		l, err := f.Open(ctx)
		if err != nil {
			return nil, err
		}
		f.lake = l
	}
	return f.lake, nil
}

// begin makes an import the one in progress until done is called with its error. f.mu is held.
func (f *Filler) begin(ctx context.Context) (fillCtx context.Context, done func(error)) {
	fillCtx, stop := context.WithCancel(ctx)
	filling := make(chan struct{})
	f.filling, f.stop = filling, stop
	return fillCtx, func(err error) {
		f.mu.Lock()
		stop()
		f.filling = nil
		f.damaged = f.damaged || Damaged(err)
		f.mu.Unlock()
		close(filling)
	}
}

// Report takes an error of a read. If it shows that the file of the lake db is damaged, the next read starts with a new file.
func (f *Filler) Report(db *sql.DB, err error) {
	if !Damaged(err) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damaged = f.damaged || f.lake != nil && f.lake.DB() == db
}

// Damage takes the report of another process that the lake's file is damaged. The next read starts with a new file.
func (f *Filler) Damage() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damaged = f.damaged || f.lake != nil
}

// Close cancels the current import, waits for it, and closes the lake.
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
