package gateway

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record"
)

// bucketName identifies whose tokens a bucket holds. A stage's own method throttling has no plan and no key.
type bucketName struct {
	plan, key string
	stage     record.StageRef
	method    string // which override, or which method of the stage; "" for the plan's own limits
}

// buckets are the token buckets of all callers, as API Gateway fills them: steadily with Rate
// tokens a second, up to Burst.
type buckets struct {
	seed   maphash.Seed
	shards [64]bucketShard
}

type bucketShard struct {
	mu      sync.Mutex // guards all below, the buckets' contents too
	all     map[bucketName]*bucket
	sweepAt int // the number of buckets at which those that are full again are forgotten
}

// minSweep keeps a small shard from being swept all the time.
const minSweep = 1024

// bucket counts in nano-tokens, so that a whole rate over whole nanoseconds stays exact.
type bucket struct {
	level    float64
	filledAt time.Time
	throttle apigateway.Throttle // as of the last take, for the sweep
}

const nanoTokens = 1e9

func newBuckets() *buckets {
	b := &buckets{seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].all = map[bucketName]*bucket{}
		b.shards[i].sweepAt = minSweep
	}
	return b
}

// take removes one token, or returns false if there is none. A new bucket is full. When the limits change, the
// tokens that were left stay, up to the new burst.
func (b *buckets) take(name bucketName, t apigateway.Throttle, now time.Time) bool {
	s := &b.shards[maphash.Comparable(b.seed, name)%uint64(len(b.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	tokens := s.all[name]
	if tokens == nil {
		if len(s.all) >= s.sweepAt {
			s.sweep(now)
		}
		tokens = &bucket{level: float64(t.Burst) * nanoTokens, filledAt: now}
		s.all[name] = tokens
	}
	tokens.throttle = t
	tokens.fill(now)
	if tokens.level < nanoTokens {
		return false
	}
	tokens.level -= nanoTokens
	return true
}

func (b *bucket) fill(now time.Time) {
	if elapsed := now.Sub(b.filledAt); elapsed > 0 {
		b.level += float64(elapsed) * b.throttle.Rate
		b.filledAt = now
	}
	b.level = min(b.level, float64(b.throttle.Burst)*nanoTokens)
}

// sweep forgets the buckets that are full: a new one would be the same.
func (s *bucketShard) sweep(now time.Time) {
	for name, tokens := range s.all {
		tokens.fill(now)
		if tokens.level >= float64(tokens.throttle.Burst)*nanoTokens {
			delete(s.all, name)
		}
	}
	s.sweepAt = max(minSweep, 2*len(s.all))
}
