package gateway

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record"
)

// bucketName identifies a bucket. The method throttling of a stage has no plan and no key.
type bucketName struct {
	plan, key string
	stage     record.StageRef
	method    string // of an override or of the stage; "" for the plan's own limits
}

// buckets holds the token buckets of all callers. As in API Gateway they fill steadily with Rate tokens a
// second, up to Burst.
type buckets struct {
	seed   maphash.Seed
	shards [64]bucketShard
}

type bucketShard struct {
	mu      sync.Mutex // guards the following, including the buckets' contents
	all     map[bucketName]*bucket
	sweepAt int // number of buckets at which full ones are removed
}

// minSweep prevents small shards from being swept too often.
const minSweep = 1024

// bucket counts in nano-tokens, so that integer rates over whole nanoseconds are exact.
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

// take removes one token, or returns false if there is none. A new bucket is full. If the limits change, the
// remaining tokens are kept, up to the new burst.
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

// sweep removes the full buckets, which equal new ones.
func (s *bucketShard) sweep(now time.Time) {
	for name, tokens := range s.all {
		tokens.fill(now)
		if tokens.level >= float64(tokens.throttle.Burst)*nanoTokens {
			delete(s.all, name)
		}
	}
	s.sweepAt = max(minSweep, 2*len(s.all))
}
