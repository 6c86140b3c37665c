package buffer

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// whenReady waits while a cluster's servers are connecting and returns all other errors immediately.
func TestWhenReadyWaitsForCluster(t *testing.T) {
	answer := func(code jetstream.ErrorCode) error { return &jetstream.APIError{Code: 400, ErrorCode: code} }
	for name, tt := range map[string]struct {
		answers []error // the last one repeats
		asked   int
		fails   bool
	}{
		"servers still connecting":    {[]error{answer(codeNoPeers), answer(codeUnavailable), answer(codeNotLeader), nil}, 4, false},
		"no leader yet":               {[]error{context.DeadlineExceeded, context.DeadlineExceeded, nil}, 3, false},
		"replicas without a cluster":  {[]error{answer(10074)}, 1, true},
		"too few servers permanently": {[]error{answer(codeNoPeers)}, int(clusterWait/clusterPause) + 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, asked := &Buffer{logger: slog.New(slog.DiscardHandler)}, 0
				began := time.Now()
				err := b.whenReady(t.Context(), func(context.Context) error {
					asked++
					return tt.answers[min(asked, len(tt.answers))-1]
				})
				if (err != nil) != tt.fails || asked != tt.asked {
					t.Errorf("%d requests, then %v after %v; want %d requests and an error: %v", asked, err, time.Since(began), tt.asked, tt.fails)
				}
			})
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := &Buffer{logger: slog.New(slog.DiscardHandler)}
	err := b.whenReady(ctx, func(context.Context) error { cancel(); return answer(codeNoPeers) })
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != codeNoPeers {
		t.Errorf("whenReady after cancel: %v, want the cluster's error", err)
	}
}
