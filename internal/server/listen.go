package server

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/durable/retry"
)

// Listen holds the server's listen addresses as host:port. Port 0 selects a free port.
type Listen struct {
	AWS     string // the AWS endpoint: Firehose, API Gateway, Lambda, STS and S3
	Stages  string // the API stages
	Console string // metrics and health
}

// Loopback holds the default addresses of `up`.
var Loopback = Listen{AWS: "127.0.0.1:4580", Stages: "127.0.0.1:8080", Console: "127.0.0.1:8081"}

type listeners struct{ aws, stages, console net.Listener }

// listen opens all three addresses before anything else is started, so that a port in use is
// reported first. With anyPort, a port in use is replaced by a free one.
func listen(at Listen, anyPort bool) (l listeners, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.aws, err = listenOn("AWS endpoint", "listen-aws", at.AWS, anyPort); err == nil {
		l.stages, err = listenOn("API stages", "listen-stages", at.Stages, anyPort)
	}
	if err == nil {
		l.console, err = listenOn("metrics and health", "listen-console", at.Console, anyPort)
	}
	return l, err
}

func listenOn(what, flag, addr string, anyPort bool) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) && anyPort {
		host, _, splitErr := net.SplitHostPort(addr)
		if splitErr != nil {
			return nil, splitErr
		}
		ln, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s is in use by another program; stop it or choose another address with --%s (port 0 selects a free port)", what, addr, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: no permission to listen on %s; choose a port above 1023 with --%s", what, addr, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s: %s is not an address of this machine; choose another address with --%s", what, addr, flag)
	default:
		return nil, fmt.Errorf("%s: listen on %s: %w; --%s takes HOST:PORT", what, addr, err, flag)
	}
}

// close closes the listeners that no server has closed.
func (l listeners) close() error {
	var errs []error
	for _, ln := range []net.Listener{l.aws, l.stages, l.console} {
		if ln == nil {
			continue
		}
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// retrying is a listener whose Accept fails only when it is closed. Shortages of file descriptors or of memory
// end by themselves, and must not end the server.
type retrying struct {
	net.Listener
	failures *failurelog.Log
}

// Accept waits for the next connection.
func (l retrying) Accept() (net.Conn, error) {
	waits := retry.Policy{First: 5 * time.Millisecond, Max: time.Second}
	for n := 1; ; n++ {
		conn, err := l.Listener.Accept()
		if err == nil {
			l.failures.Worked()
			return conn, nil
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		l.failures.Failed(err, "address", l.Addr().String())
		time.Sleep(waits.Wait(n))
	}
}
