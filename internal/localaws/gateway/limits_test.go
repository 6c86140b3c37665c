package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/localaws/wire"
)

func TestBucketsAreExact(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type step struct {
		after time.Duration // since the step before
		takes int
		got   int
	}
	for _, c := range []struct {
		name  string
		limit apigateway.Throttle
		steps []step
	}{
		{"burst, then rate", apigateway.Throttle{Rate: 2, Burst: 3}, []step{{0, 5, 3}, {499999999, 1, 0}, {1, 2, 1}, {time.Second, 5, 2}, {time.Hour, 9, 3}}},
		{"a rate that divides no second", apigateway.Throttle{Rate: 3, Burst: 3}, []step{{0, 4, 3}, {time.Second, 4, 3}, {333333333, 1, 0}, {1, 1, 1}, {666666666, 4, 2}}},
		{"one every 100 s", apigateway.Throttle{Rate: 0.01, Burst: 1}, []step{{0, 2, 1}, {99 * time.Second, 1, 0}, {time.Second, 2, 1}}},
		{"rate without burst", apigateway.Throttle{Rate: 100, Burst: 0}, []step{{0, 1, 0}, {time.Hour, 1, 0}}},
		{"burst without rate", apigateway.Throttle{Rate: 0, Burst: 2}, []step{{0, 3, 2}, {time.Hour, 1, 0}}},
		{"a clock that goes back", apigateway.Throttle{Rate: 1, Burst: 1}, []step{{0, 2, 1}, {-time.Hour, 1, 0}, {time.Hour, 1, 0}, {time.Second, 2, 1}}},
		{"AWS's account limit", apigateway.Throttle{Rate: 10000, Burst: 5000}, []step{{0, 6000, 5000}, {100 * time.Millisecond, 6000, 1000}, {time.Microsecond * 50, 2, 0}, {time.Microsecond * 50, 2, 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, now := newBuckets(), start
			for i, s := range c.steps {
				now = now.Add(s.after)
				got := 0
				for range s.takes {
					if b.take(bucketName{plan: "p", key: "k"}, c.limit, now) {
						got++
					}
				}
				if got != s.got {
					t.Errorf("step %d: %d of %d tokens, want %d", i, got, s.takes, s.got)
				}
			}
		})
	}
}

func TestBucketFollowsChangedLimits(t *testing.T) {
	b, now, name := newBuckets(), time.Unix(0, 0), bucketName{plan: "p", key: "k"}
	count := func(burst int) (n int) {
		for b.take(name, apigateway.Throttle{Rate: 1, Burst: burst}, now) {
			n++
		}
		return n
	}
	if got := count(5); got != 5 {
		t.Errorf("%d tokens of 5", got)
	}
	if got := count(50); got != 0 {
		t.Errorf("a higher burst gave %d tokens at once: it is filled at the rate", got)
	}
	now = now.Add(time.Hour)
	if got := count(2); got != 2 {
		t.Errorf("%d tokens after the burst was lowered to 2", got)
	}
}

func TestFullBucketsAreRemoved(t *testing.T) {
	b, now := newBuckets(), time.Unix(0, 0)
	name := func(i int) bucketName { return bucketName{key: string(rune(i))} }
	s := &b.shards[0]
	s.all[name(1)] = &bucket{level: 1 * nanoTokens, filledAt: now, throttle: apigateway.Throttle{Rate: 1, Burst: 2}}
	s.all[name(2)] = &bucket{level: 0, filledAt: now, throttle: apigateway.Throttle{Rate: 1, Burst: 2}}
	s.sweep(now.Add(time.Second))
	if _, full := s.all[name(1)]; full || len(s.all) != 1 {
		t.Errorf("%d buckets left, want the one that is not full", len(s.all))
	}
}

// manual is a clock that a test moves.
type manual struct {
	mu  sync.Mutex
	now time.Time
}

func (m *manual) Now() time.Time { m.mu.Lock(); defer m.mu.Unlock(); return m.now }

func (m *manual) Add(d time.Duration) { m.mu.Lock(); defer m.mu.Unlock(); m.now = m.now.Add(d) }

// codes does n requests and returns how each ended: the status, and for 429 what refused it.
func (b *bench) codes(t *testing.T, n int, method, path, key string) string {
	t.Helper()
	var out []string
	for range n {
		got := b.do(t, method, "/shop/prod"+path, nil, "X-Api-Key", key)
		code := got.Status[:3]
		if got.StatusCode == 429 {
			code = map[string]string{`{"message":"Too Many Requests"}`: "throttle", `{"message":"Limit Exceeded"}`: "quota"}[got.body]
		}
		out = append(out, code)
	}
	return strings.Join(out, " ")
}

func TestThrottling(t *testing.T) {
	clock := &manual{now: time.Unix(1e9, 0)}
	b := newBench(t, Config{Clock: clock.Now}, http.HandlerFunc(echo))
	b.requireKeys()
	b.keys["other-key-other-key-other"] = apigateway.KeyView{ID: "k2", Name: "Globex", Enabled: true}
	plan := apigateway.PlanView{
		ID: "p1", Throttle: &apigateway.Throttle{Rate: 2, Burst: 2},
		Methods: map[string]apigateway.Throttle{"/orders/{id}/GET": {Rate: 1, Burst: 1}},
	}
	b.setPlan("k1", plan)
	b.setPlan("k2", plan)
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	check("burst", b.codes(t, 3, "GET", "/x", goodKey), "200 200 throttle")
	check("another key has its own tokens", b.codes(t, 3, "GET", "/x", "other-key-other-key-other"), "200 200 throttle")
	check("a method with limits of its own", b.codes(t, 2, "GET", "/orders/1", goodKey), "200 throttle")
	check("the other methods of that resource share the plan's", b.codes(t, 1, "POST", "/orders/1", goodKey), "throttle")
	clock.Add(500 * time.Millisecond)
	check("after half a second", b.codes(t, 2, "GET", "/x", goodKey), "200 throttle")
	check("the method after half a second", b.codes(t, 1, "GET", "/orders/2", goodKey), "throttle")
	clock.Add(500 * time.Millisecond)
	check("the method after a second", b.codes(t, 2, "GET", "/orders/2", goodKey), "200 throttle")
	if used := b.Used("p1", "k1", clock.Now(), clock.Now()); used != 5 {
		t.Errorf("usage %d, want 5: what was throttled does not count", used)
	}
	if line := b.line(t, 3); line["status"] != "429" || line["identity.apiKeyId"] != "k1" || line["resourcePath"] != "/{proxy+}" {
		t.Errorf("the line of a throttled request: %v", line)
	}
}

func TestStageThrottleIsShared(t *testing.T) {
	clock := &manual{now: time.Unix(1e9, 0)}
	b := newBench(t, Config{Clock: clock.Now}, http.HandlerFunc(echo))
	b.setView(func(v *apigateway.StageView) {
		eachMethod(v, func(m *apigateway.Method) { m.Throttle = &apigateway.Throttle{Rate: 1, Burst: 2} })
	})
	got := b.codes(t, 2, "GET", "/x", "") + " " + b.codes(t, 1, "GET", "/y", goodKey) + " " + b.codes(t, 1, "GET", "/orders/1", "")
	if want := "200 200 throttle 200"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestQuotas(t *testing.T) {
	wednesday := time.Date(2026, 12, 30, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		period apigateway.Period
		offset int
		want   []string // for each of the hours below
	}{
		{apigateway.Day, 0, []string{"200 200 200 quota", "quota", "200 200 200 quota", "200 200 200 quota", "200 200 200 quota", "200 200 200 quota"}},
		{apigateway.Week, 0, []string{"200 200 200 quota", "quota", "quota", "quota", "200 200 200 quota", "quota"}},
		{apigateway.Month, 0, []string{"200 200 200 quota", "quota", "quota", "200 200 200 quota", "quota", "quota"}},
		{apigateway.Day, 2, []string{"200 quota quota quota", "quota"}},
	} {
		t.Run(string(c.period), func(t *testing.T) {
			clock := &manual{now: wednesday}
			b := newBench(t, Config{Clock: clock.Now}, http.HandlerFunc(echo))
			b.requireKeys()
			b.setPlan("k1", apigateway.PlanView{ID: "p1", Quota: &apigateway.Quota{Limit: 3, Period: c.period, Offset: c.offset}})
			// Wednesday noon, its last second, Thursday (still December), Friday (the new year), Sunday, Monday.
			hours := []time.Duration{0, 12*time.Hour - time.Second, 12 * time.Hour, 36 * time.Hour, 84 * time.Hour, 108 * time.Hour}
			for i, want := range c.want {
				clock.mu.Lock()
				clock.now = wednesday.Add(hours[i])
				clock.mu.Unlock()
				if got := b.codes(t, len(strings.Fields(want)), "GET", "/x", goodKey); got != want {
					t.Errorf("%s: %s, want %s", clock.Now().Format(time.RFC3339), got, want)
				}
			}
		})
	}
}

func TestOpenMethodsCountNoUsage(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	b.do(t, "GET", "/shop/prod/x", nil, "X-Api-Key", goodKey)
	line := b.line(t, 1)
	if line["identity.apiKey"] != "-" || line["identity.apiKeyId"] != "-" {
		t.Errorf("a key is logged where none is required: %v", line)
	}
	if diff := cmp.Diff(map[string]int64{}, b.used); diff != "" {
		t.Errorf("usage: %s", diff)
	}
}

// slowBody is a request body whose client is too slow after its first byte.
type slowBody struct{ sent bool }

func (b *slowBody) Read(p []byte) (int, error) {
	if b.sent {
		return 0, wire.ErrSlowBody
	}
	b.sent = true
	return copy(p, "x"), nil
}

func TestSlowBodyIsAnsweredWith408(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // ends when the gateway gives up
	}))
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "http://localhost/shop/prod/orders", &slowBody{})
	r.ContentLength = 100
	r.Header.Set("X-Api-Key", goodKey)
	b.gateway.ServeHTTP(w, r)
	if want := `{"message":"Request Timeout"}`; w.Code != 408 || w.Body.String() != want {
		t.Errorf("response %d %s, want 408 %s", w.Code, w.Body, want)
	}
}
