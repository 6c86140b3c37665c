package live_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stagelog/stagelog/internal/console/live"
)

func TestEverySubscriberGetsEveryLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h live.Hub
		if h.Active() {
			t.Error("active without a subscriber")
		}
		h.Publish([]byte("no subscriber\n"))
		ctx, cancel := context.WithCancel(t.Context())
		got := make([][]string, 2)
		for i := range got {
			go h.Subscribe(ctx, func(line []byte) { got[i] = append(got[i], string(line)) })
		}
		synctest.Wait()
		buf := []byte("one\ntwo\n\nthree")
		h.Publish(buf)
		clear(buf) // the publisher may reuse its buffer
		synctest.Wait()
		for i := range got {
			if !slices.Equal(got[i], []string{"one", "two", "three"}) {
				t.Errorf("subscriber %d: %q", i, got[i])
			}
		}
		cancel()
		synctest.Wait()
		if h.Active() {
			t.Error("active after the last subscriber")
		}
	})
}

// A slow subscriber does not block the publisher.
func TestSlowSubscriberMissesLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h live.Hub
		ctx, cancel := context.WithCancel(t.Context())
		release, lines := make(chan struct{}), 0
		go h.Subscribe(ctx, func([]byte) {
			<-release
			lines++
		})
		synctest.Wait()
		const sent = 5000
		for i := range sent {
			h.Publish(fmt.Appendf(nil, "%d\n", i))
		}
		close(release)
		synctest.Wait()
		h.Publish([]byte("last\n"))
		synctest.Wait()
		if lines < 2 || lines >= sent {
			t.Errorf("got %d lines of %d, want some to be missed", lines, sent+1)
		}
		cancel()
	})
}
