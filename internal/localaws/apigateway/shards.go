package apigateway

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
)

const shardCount = 256

// shards is a map with lock-free reads. A change copies one shard: forty entries of ten thousand.
type shards[K comparable, V any] struct {
	seed   maphash.Seed
	mu     sync.Mutex // held by writers
	shards [shardCount]atomic.Pointer[map[K]V]
}

func (s *shards[K, V]) init() { s.seed = maphash.MakeSeed() }

func (s *shards[K, V]) shard(k K) *atomic.Pointer[map[K]V] {
	return &s.shards[maphash.Comparable(s.seed, k)%shardCount]
}

func (s *shards[K, V]) get(k K) (v V, ok bool) {
	if m := s.shard(k).Load(); m != nil {
		v, ok = (*m)[k]
	}
	return v, ok
}

// update replaces the value under k with the one that change returns, or removes it if keep is false.
func (s *shards[K, V]) update(k K, change func(old V) (v V, keep bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.shard(k)
	next := map[K]V{}
	if m := at.Load(); m != nil {
		next = maps.Clone(*m)
	}
	if v, keep := change(next[k]); keep {
		next[k] = v
	} else {
		delete(next, k)
	}
	at.Store(&next)
}

func (s *shards[K, V]) set(k K, v V) { s.update(k, func(V) (V, bool) { return v, true }) }
func (s *shards[K, V]) remove(k K)   { s.update(k, func(old V) (V, bool) { return old, false }) }
