package buffer

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/stagelog/stagelog/internal/record"
)

// Writable checks that the buffer is healthy and has space for another large frame: on the embedded server in all,
// on a cluster in each open log.
func (b *Buffer) Writable(ctx context.Context) error {
	if err := b.Healthy(ctx); err != nil {
		return err
	}
	n := min(record.MaxFrameBytes, b.maxBytes/16)
	if b.server != nil {
		return b.checkSpace(n)
	}
	b.mu.Lock()
	logs := slices.Collect(maps.Values(b.logs))
	b.mu.Unlock()
	for _, l := range logs {
		stats, err := l.Stats(ctx)
		if err != nil {
			return err
		}
		if stats.Bytes+n > b.maxBytes {
			return fmt.Errorf("log of %s: %w: the quota of %d bytes is used up; delivery frees space as it progresses", l.name, record.ErrFull, b.maxBytes)
		}
	}
	return nil
}
