package server

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
)

// accepts is a listener with fixed results.
type accepts struct {
	net.Listener
	errs []error
}

func (a *accepts) Accept() (net.Conn, error) {
	err := a.errs[0]
	a.errs = a.errs[1:]
	return nil, err
}

func (a *accepts) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptRetriesShortages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ECONNABORTED, nil, net.ErrClosed}
		l := retrying{&accepts{errs: slices.Clone(results)}, failurelog.New(slog.New(slog.DiscardHandler), slog.LevelError, "accepting")}
		if _, err := l.Accept(); err != nil {
			t.Errorf("Accept after shortages: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept of a closed listener: %v, want ErrClosed", err)
		}
	})
}
