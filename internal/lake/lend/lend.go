// Package lend lets commands read a lake that a console has open: DuckDB lets one process at a time write to a file.
//
// The process that has the lake open listens on a Unix socket beside the lake's file. A command asks it there to import new
// objects, and then opens the file itself, read-only, while the lake does not change. On other systems than Linux and macOS,
// where DuckDB's lock cannot be shared, nothing is lent, and a command waits until the lake is closed.
package lend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/coverage"
)

// Request is what a command asks for. The parts are done in the order of the fields.
type Request struct {
	Damaged     bool    // the file proved to be damaged: replace it
	Import      *Import // nil imports nothing
	Reattribute bool    // see coverage.Reattribute
	Read        bool    // lend the lake until the connection is closed
}

// Import selects the objects to import, like lake.ImportOptions.
type Import struct {
	Prefix   string
	From, To time.Time
	Forget   bool
}

// Of returns opts for the selected objects.
func (i Import) Of(opts lake.ImportOptions, progress func(lake.Summary)) lake.ImportOptions {
	opts.Prefix, opts.From, opts.To, opts.Forget, opts.Progress = i.Prefix, i.From, i.To, i.Forget, progress
	return opts
}

// message is one part of the answer to a Request. The last one has Done or Error.
type message struct {
	Waiting  bool          // another import is in progress
	Progress *lake.Summary // of the import

	Done         bool
	Summary      lake.Summary // of the whole import
	Reattributed []coverage.Reattribution

	Error   string
	Damaged bool // the error is lake.ErrDamaged
	InUse   bool // the error is lake.ErrInUse
}

// errNone is returned if no process lends the lake.
var errNone = errors.New("the process that had the lake open has stopped; run the command again")

// maxSocketPath is the shortest limit of a supported system for the path of a socket.
const maxSocketPath = 103

// socket returns the path of the socket for a lake's file, absolute unless that is too long.
func socket(path string) (string, error) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		return "", errors.New("not supported on this operating system")
	}
	name := fmt.Sprintf("%08x.sock", crc32.ChecksumIEEE([]byte(filepath.Base(path)))) // short
	full, err := filepath.Abs(filepath.Join(filepath.Dir(path), name))
	if err != nil {
		return "", err
	}
	if len(full) <= maxSocketPath {
		return full, nil
	}
	// The embedded S3 server changes the working directory once, so a relative path is only for when there is no other way.
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	if short, err := filepath.Rel(wd, full); err == nil && len(short) <= maxSocketPath {
		return short, nil
	}
	return "", fmt.Errorf("the path of the lake %s is too long for a socket beside it", path)
}

// dial connects to the process that lends a lake.
func dial(ctx context.Context, path string) (net.Conn, error) {
	at, err := socket(path)
	if err != nil {
		return nil, errNone
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", at)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED): // of a process that was killed
		return nil, errNone
	case err != nil:
		return nil, fmt.Errorf("ask the process that has the lake %s open: %w", path, err)
	}
	return conn, nil
}

// Lent reports whether a process lends the lake.
func Lent(ctx context.Context, path string) bool {
	conn, err := dial(ctx, path)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Reply is the answer to a Request. With Request.Read, the lake's file can be opened for reading until Close.
type Reply struct {
	Summary      lake.Summary
	Reattributed []coverage.Reattribution

	conn net.Conn
}

// Ask sends a request to the process that lends the lake. It calls progress after each transaction of the import, and waiting if
// the import has to wait for another one.
func Ask(ctx context.Context, path string, r Request, waiting func(), progress func(lake.Summary)) (*Reply, error) {
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // ends Decode
	reply, err := ask(conn, r, waiting, progress)
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return reply, nil
}

func ask(conn net.Conn, r Request, waiting func(), progress func(lake.Summary)) (*Reply, error) {
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return nil, stopped(err)
	}
	for in := json.NewDecoder(conn); ; {
		var m message
		if err := in.Decode(&m); err != nil {
			return nil, stopped(err)
		}
		switch {
		case m.Damaged:
			return nil, fmt.Errorf("%w: %s", lake.ErrDamaged, m.Error)
		case m.InUse:
			return nil, fmt.Errorf("%w: %s", lake.ErrInUse, m.Error)
		case m.Error != "":
			return nil, errors.New(m.Error)
		case m.Done:
			return &Reply{m.Summary, m.Reattributed, conn}, nil
		case m.Waiting:
			waiting()
		case m.Progress != nil:
			progress(*m.Progress)
		}
	}
}

func stopped(err error) error {
	return fmt.Errorf("the process that has the lake open has stopped: %w", err)
}

// Close ends the use of the lake.
func (r *Reply) Close() error { return r.conn.Close() }
