package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/gateway/sample"
)

// sampleServer serves the API behind the demo's stage.
type sampleServer struct {
	url    string
	server *http.Server
	done   chan error
}

func serveSample(log *slog.Logger) (*sampleServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the sample API: %w", err)
	}
	s := &sampleServer{
		url: "http://" + ln.Addr().String(),
		server: &http.Server{
			Handler: sample.Handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
		done: make(chan error, 1),
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

// caller represents one kind of caller in the demo's traffic.
type caller struct {
	name, env, key string // env: the variable in demo.yaml that holds the key
	share          int    // of 100 requests
	sendsKey       bool
}

type callers []caller

func newCallers() callers {
	cs := callers{
		{name: "Acme Corp", env: "KEY_ACME", share: 45, sendsKey: true},
		{name: "Globex", env: "KEY_GLOBEX", share: 25, sendsKey: true},
		{name: "Initech, above its throttle", env: "KEY_INITECH", share: 20, sendsKey: true},
		{name: "invalid key", share: 5, sendsKey: true},
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

// pick returns the index of the caller of request n. It interleaves the shares of each hundred requests.
func (cs callers) pick(n int) int {
	at := n * 37 % 100
	for i, c := range cs {
		if at < c.share {
			return i
		}
		at -= c.share
	}
	panic("BUG: the shares of the demo's callers do not add up to 100")
}

// send calls the stage as all the callers until ctx ends.
func (d *demo) send(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	for _, c := range d.callers {
		d.result.Callers = append(d.result.Callers, CallerResult{c.name, map[int]int{}})
	}
	tick := time.NewTicker(time.Second / time.Duration(d.cfg.Rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		i := d.callers.pick(n)
		req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/shop/prod/orders/%d", d.server.Endpoints().Stages, n%sample.Orders+1), nil)
		if err != nil {
			panic("BUG: the demo's request is invalid: " + err.Error())
		}
		if d.callers[i].sendsKey {
			req.Header.Set("x-api-key", d.callers[i].key)
		}
		resp, err := client.Do(req)
		if err != nil {
			continue // no response, so not counted; Result.Check reports a difference
		}
		d.result.Requests++
		d.result.Callers[i].Statuses[resp.StatusCode]++
		if err := drain(resp); err != nil {
			d.cfg.Logger.Debug("read response failed", "error", err)
		}
	}
}

// drain reads a response to its end, so that the connection can be reused.
func drain(resp *http.Response) error {
	_, err := io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}
