package lend

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/coverage"
)

// Lender lends the lake of a Filler.
type Lender struct {
	Path   string // of the lake's file
	Filler *lake.Filler
	// Import imports into the lake.
	Import func(context.Context, *lake.Lake, Import, func(lake.Summary)) (lake.Summary, error)
	// Customers returns what is known of keys that have no customer in the lake.
	Customers func(context.Context) (coverage.History, error)
	// Limit is how long imports wait for a command that reads. After that, they fail until the command ends. By default a minute.
	Limit time.Duration
}

const defaultLimit = time.Minute

const retryAccept = 100 * time.Millisecond

// Listen opens the socket beside the lake's file, in place of one that a killed process left.
func (l *Lender) Listen(ctx context.Context) (net.Listener, error) {
	at, err := socket(l.Path)
	if err != nil {
		return nil, err
	}
	if Lent(ctx, l.Path) {
		return nil, fmt.Errorf("another process has the lake %s open", l.Path)
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := net.Listen("unix", at)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(at, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// Serve lends the lake until ctx ends. It closes ln, which removes the socket.
func (l *Lender) Serve(ctx context.Context, ln net.Listener) {
	var users sync.WaitGroup
	defer users.Wait()
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })() // ends Accept
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			return
		}
		if err != nil { // such as a lack of file descriptors
			_ = retry.Sleep(ctx, retryAccept)
			continue
		}
		users.Go(func() {
			defer conn.Close()
			l.serve(ctx, conn)
		})
	}
}

// serve reads one request and does what it asks for.
func (l *Lender) serve(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	requests := make(chan Request)
	go func() {
		defer cancel() // the command has ended
		in := json.NewDecoder(conn)
		for {
			var r Request
			if in.Decode(&r) != nil {
				return
			}
			select {
			case requests <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	select {
	case r := <-requests:
		a := &answer{out: json.NewEncoder(conn)}
		if err := l.answer(ctx, r, a); err != nil {
			a.send(message{Error: err.Error(), Damaged: lake.Damaged(err), InUse: errors.Is(err, lake.ErrInUse)})
		}
	case <-ctx.Done():
	}
}

// answer sends the messages of an answer.
type answer struct {
	mu  sync.Mutex // guards out
	out *json.Encoder
}

func (a *answer) send(m message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.out.Encode(m) // if the command has ended, ctx ends too
}

// answer does what the request asks for. No import starts between that of the request and the moment when the lake is lent.
func (l *Lender) answer(ctx context.Context, r Request, a *answer) error {
	if r.Damaged {
		l.Filler.Damage()
	}
	late := time.AfterFunc(time.Second, func() { a.send(message{Waiting: true}) })
	defer late.Stop()
	var reader sync.WaitGroup
	defer reader.Wait()
	return l.Filler.Import(ctx, func(importing context.Context, open *lake.Lake) (err error) {
		late.Stop()
		done := message{Done: true}
		if r.Import != nil {
			progress := func(s lake.Summary) { a.send(message{Progress: &s}) }
			if done.Summary, err = l.Import(importing, open, *r.Import, progress); err != nil {
				return err
			}
		}
		if r.Reattribute {
			if done.Reattributed, err = l.reattribute(importing, open); err != nil {
				return err
			}
		}
		if !r.Read {
			a.send(done)
			return nil
		}
		lent := make(chan error, 2) // nil once the lake is lent; the second value is not read
		reader.Go(func() {
			lent <- open.Lend(ctx, func(string) error {
				a.send(done)
				lent <- nil
				limited, cancel := context.WithTimeout(ctx, cmp.Or(l.Limit, defaultLimit))
				defer cancel()
				<-limited.Done()
				return nil
			})
		})
		return <-lent
	})
}

func (l *Lender) reattribute(ctx context.Context, open *lake.Lake) (done []coverage.Reattribution, err error) {
	known, err := l.Customers(ctx)
	if err != nil {
		return nil, err
	}
	err = open.Write(ctx, func() error {
		done, err = coverage.Reattribute(ctx, open.DB(), coverage.LakeHistory{DB: open.DB(), Else: known})
		return err
	})
	return done, err
}
