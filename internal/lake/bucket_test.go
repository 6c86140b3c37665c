//go:build cgo

package lake_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// sort updates the listing from the bodies.
func (b *bucket) sort() {
	b.objects = nil
	for _, key := range slices.Sorted(maps.Keys(b.bodies)) {
		body := b.bodies[key]
		b.objects = append(b.objects, record.Object{
			Key: key, Size: int64(len(body)), ETag: fmt.Sprintf("%x", sha256.Sum256(body)), Modified: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC),
		})
	}
}
