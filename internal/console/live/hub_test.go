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
			go h.Subscribe(ctx, func(line []byte, missed int64) { got[i] = append(got[i], fmt.Sprintf("%s %d", line, missed)) })
		}
		synctest.Wait()
		buf := []byte("one\ntwo\n\nthree")
		h.Publish(buf)
		clear(buf) // the publisher may reuse its buffer
		synctest.Wait()
		for i := range got {
			if !slices.Equal(got[i], []string{"one 0", "two 0", "three 0"}) {
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

// A slow subscriber does not block the publisher and gets the number of missed lines.
func TestSlowSubscriberMissesLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h live.Hub
		ctx, cancel := context.WithCancel(t.Context())
		release, lines, missed := make(chan struct{}), 0, int64(0)
		go h.Subscribe(ctx, func(_ []byte, m int64) {
			<-release
			lines++
			missed += m
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
		if missed == 0 || lines+int(missed) != sent+1 {
			t.Errorf("%d lines and %d missed, want a sum of %d", lines, missed, sent+1)
		}
		cancel()
	})
}
