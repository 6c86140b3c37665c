package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/config"
)

// A held-back customer appears even if its delay is shorter than the start.
func TestHeldBackCustomerAppears(t *testing.T) {
	restoreDir(t)
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	cfg := testConfig(t, upstream.URL)
	cfg.Pipeline.Local.Faults = &config.Faults{NewKeyAfter: time.Nanosecond}
	err := Run(t.Context(), cfg, func(ctx context.Context, c *Server) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for len(c.KeyIDs()) == 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Error("held-back customer has no key after 10 seconds")
				return nil
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
