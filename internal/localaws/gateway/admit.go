package gateway

import (
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	anyMethod    = "ANY"
	apiKeyHeader = "X-Api-Key"
)

// admit reports whether a request may call its integration. It checks resource, API key, size, throttle of
// the plan, throttle of the stage and quota, in that order. A refused request does not use the quota.
func (x *exchange) admit() (failure, bool) {
	if !x.find() {
		return missingToken, false
	}
	var plan apigateway.PlanView
	if x.method.APIKeyRequired {
		var ok bool
		if plan, ok = x.identifyKey(); !ok {
			return forbidden, false
		}
	}
	if x.r.ContentLength > x.g.cfg.MaxBodyBytes {
		return tooLong, false
	}
	if !x.throttle(plan) {
		x.st.metrics.throttled.Inc()
		return tooManyRequests, false
	}
	if plan.ID != "" && !x.g.runtime.Take(plan.ID, x.key.ID, x.start) {
		x.st.metrics.overQuota.Inc()
		return limitExceeded, false
	}
	return failure{}, true
}

// find looks up the resource and its method. As in API Gateway only the path selects the resource: if it
// lacks the method, find does not try a less specific resource.
func (x *exchange) find() bool {
	if hasDotSegment(x.at.rest) {
		return false
	}
	var rt *route
	rt, x.params = x.st.root.match(x.at.rest, x.params[:0])
	if rt == nil {
		return false
	}
	m := rt.methods[x.r.Method]
	if m == nil && isStandard(x.r.Method) {
		m = rt.methods[anyMethod]
	}
	if m == nil {
		return false
	}
	x.route, x.method = rt, m
	return true
}

// isStandard reports whether ANY includes a method.
func isStandard(method string) bool {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}

// identifyKey finds the caller's key and its plan on this stage.
func (x *exchange) identifyKey() (apigateway.PlanView, bool) {
	if x.st.view.KeySource == apigateway.KeyFromAuthorizer {
		return apigateway.PlanView{}, false
	}
	value := x.r.Header.Get(apiKeyHeader)
	if value == "" {
		return apigateway.PlanView{}, false
	}
	key, ok := x.g.runtime.Key(value)
	if !ok || !key.Enabled {
		return apigateway.PlanView{}, false
	}
	plan, ok := x.g.runtime.PlanFor(key.ID, x.st.view.APIID, x.st.view.Stage)
	if ok {
		x.key, x.keyValue = key, value
	}
	return plan, ok
}

// throttle takes a token from the key's bucket, then from the stage's bucket for this method.
func (x *exchange) throttle(plan apigateway.PlanView) bool {
	stage := x.at.ref
	if plan.ID != "" {
		name, t := plan.ThrottleFor(x.route.path, x.r.Method)
		if t != nil && !x.g.buckets.take(bucketName{plan.ID, x.key.ID, stage, name}, *t, x.start) {
			return false
		}
	}
	if t := x.method.Throttle; t != nil {
		return x.g.buckets.take(bucketName{stage: stage, method: x.route.path + "/" + x.method.HTTPMethod}, *t, x.start)
	}
	return true
}

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
