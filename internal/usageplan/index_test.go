package usageplan_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/usageplan"
)

// run runs d until the test ends.
func run(t *testing.T, d *usageplan.Index) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func smallGateway() *fakeGateway {
	g := &fakeGateway{}
	g.plan("p1", "Gold", "shop/prod")
	g.plan("p2", "Silver", "shop/beta", "other/prod")
	g.key("k1", "Acme Corp", "p1")
	g.key("k2", "Both Ltd", "p1", "p2")
	g.key("k3", "", "p2")
	return g
}

func TestTenThousandKeys(t *testing.T) {
	g := &fakeGateway{maxPage: 100}
	for p := range 60 {
		g.plan(fmt.Sprintf("p%02d", p), fmt.Sprintf("Plan %d", p), fmt.Sprintf("shop/s%d", p))
	}
	for k := range 10_000 {
		plans := []string{fmt.Sprintf("p%02d", k%60)}
		if k%10 == 0 {
			plans = append(plans, fmt.Sprintf("p%02d", (k+7)%60))
		}
		g.key(fmt.Sprintf("k%05d", k), fmt.Sprintf("Customer %d", k), plans...)
	}
	server := httptest.NewServer(g)
	defer server.Close()
	d := newIndex(t, newSource(t, g, func(c *usageplan.APIConfig) { c.Endpoint, c.HTTPClient = server.URL, nil }), nil)
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatalf("Refresh: %v", err)
	}
	for k := range 10_000 {
		id, customer := fmt.Sprintf("k%05d", k), fmt.Sprintf("Customer %d", k)
		wantWho(t, d, id, fmt.Sprintf("s%d", k%60), fmt.Sprintf("Plan %d/%s", k%60, customer))
		if k%10 == 0 {
			wantWho(t, d, id, fmt.Sprintf("s%d", (k+7)%60), fmt.Sprintf("Plan %d/%s", (k+7)%60, customer))
		}
		wantWho(t, d, id, "elsewhere", "/"+customer)
	}
	if st := d.Stats(); st.Keys != 10_000 || st.Plans != 60 || st.Refreshes != 1 || st.Failures != 0 {
		t.Errorf("Stats() = %+v, want 10000 keys in 60 plans after one refresh", st)
	}
	if data := d.Snapshot().Encode(); bytes.Contains(data, []byte(secret)) {
		t.Error("snapshot contains the value of a key")
	}
}

func TestRefreshReadsSecondPage(t *testing.T) {
	g := &fakeGateway{}
	for p := range 26 {
		g.plan(fmt.Sprint("p", p), fmt.Sprint("Plan ", p), fmt.Sprint("shop/s", p))
	}
	for k := range 26 {
		g.key(fmt.Sprint("k", k), fmt.Sprint("Customer ", k), "p25")
	}
	for name, pageSize := range map[string]int{"default": 0, "of 25": 25, "of 1": 1} {
		t.Run(name, func(t *testing.T) {
			d := newIndex(t, newSource(t, g, func(c *usageplan.APIConfig) { c.PageSize = pageSize }), nil)
			if err := d.Refresh(t.Context()); err != nil {
				t.Fatalf("Refresh: %v", err)
			}
			wantWho(t, d, "k25", "s25", "Plan 25/Customer 25")
		})
	}
}

func TestIndexFollowsAccountChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := smallGateway()
		d := newIndex(t, newSource(t, g, nil), nil)
		if d.Ready() {
			t.Error("Ready() before the first refresh")
		}
		wantWho(t, d, "k1", "prod", "unknown")
		run(t, d)
		if err := d.Wait(t.Context()); err != nil {
			t.Fatalf("Wait: %v", err)
		}
		wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
		wantWho(t, d, "k2", "prod", "Gold/Both Ltd")
		wantWho(t, d, "k2", "beta", "Silver/Both Ltd")
		wantWho(t, d, "k3", "beta", "Silver/k3") // a key without a name

		pass(time.Second)
		g.key("k4", "New Inc", "p2")
		wantWho(t, d, "k4", "beta", "unknown")
		synctest.Wait()
		wantWho(t, d, "k4", "beta", "Silver/New Inc")

		g.key("k5", "Newer Inc", "p2")
		wantWho(t, d, "k5", "beta", "unknown")
		synctest.Wait()
		wantWho(t, d, "k5", "beta", "unknown") // refreshed every 30 s at most
		pass(30 * time.Second)
		wantWho(t, d, "k5", "beta", "Silver/Newer Inc")

		g.deleteKey("k1")
		g.change(func() { g.keys[0].Name = "Renamed Ltd" }) // k2
		pass(70 * time.Second)
		wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
		wantWho(t, d, "k2", "prod", "Gold/Renamed Ltd")
		pass(time.Hour)
		wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
		g.change(func() { g.plans = g.plans[1:] }) // Gold is deleted too
		pass(2 * time.Minute)
		wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
		wantWho(t, d, "k2", "beta", "Silver/Renamed Ltd")
		if st := d.Stats(); st.Gone != 1 || st.Failures != 0 {
			t.Errorf("Stats() = %+v, want one deleted key and no failure", st)
		}
	})
}

func TestKeyJoinsSecondPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := smallGateway()
		d := newIndex(t, newSource(t, g, nil), nil)
		run(t, d)
		synctest.Wait()
		g.change(func() { g.keys[0].plans = []string{"p1", "p2"} })
		wantWho(t, d, "k1", "beta", "/Acme Corp") // no plan of it covers the stage so far
		synctest.Wait()
		wantWho(t, d, "k1", "beta", "Silver/Acme Corp")
		wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
	})
}

func TestUnknownKeyIsLookedUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := smallGateway()
		d := newIndex(t, newSource(t, g, nil), func(c *usageplan.Config) { c.Every = time.Hour })
		run(t, d)
		synctest.Wait()
		g.count()
		for range 100 {
			wantWho(t, d, "missing", "prod", "unknown")
			pass(time.Second)
		}
		if n := g.count(); n != 1 {
			t.Errorf("100 lookups of an unknown key within 100 s made %d calls, want 1", n)
		}
		pass(5 * time.Minute)
		g.key("missing", "Late Ltd", "p1")
		wantWho(t, d, "missing", "prod", "unknown")
		synctest.Wait()
		wantWho(t, d, "missing", "prod", "Gold/Late Ltd")
	})
}

func TestUnknownKeysAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := smallGateway()
		d := newIndex(t, newSource(t, g, nil), func(c *usageplan.Config) { c.Every = time.Hour })
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatalf("Refresh: %v", err)
		}
		g.count()
		for i := range 5_000 {
			wantWho(t, d, fmt.Sprint("junk", i), "prod", "unknown")
		}
		if n := d.Pending(); n != 1_000 {
			t.Errorf("Pending() = %d, want 1000", n)
		}
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatalf("Refresh: %v", err)
		}
		if n := g.count(); n != 20 {
			t.Errorf("%d calls, want 20 in one refresh", n)
		}
	})
}

func TestThrottlingHonorsRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := smallGateway()
		var early atomic.Int64
		until := time.Now().Add(17 * time.Second)
		g.intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if !time.Now().Before(until) {
				return true
			}
			if time.Now().After(until.Add(-17 * time.Second)) {
				early.Add(1)
			}
			w.Header().Set("Retry-After", "17")
			w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
			http.Error(w, `{"message":"Too Many Requests"}`, http.StatusTooManyRequests)
			return false
		})
		d := newIndex(t, newSource(t, g, nil), nil)
		began := time.Now()
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatalf("Refresh: %v", err)
		}
		if took := time.Since(began); took < 17*time.Second || took > 22*time.Second {
			t.Errorf("listing with a Retry-After of 17 s took %v", took)
		}
		if n := early.Load(); n != 0 {
			t.Errorf("%d calls before Retry-After had passed", n)
		}
		wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
	})
}

func TestOccasionalThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &fakeGateway{}
		for p := range 100 {
			g.plan(fmt.Sprint("p", p), fmt.Sprint("Plan ", p), "shop/prod")
			g.key(fmt.Sprint("k", p), fmt.Sprint("Customer ", p), fmt.Sprint("p", p))
		}
		var n atomic.Int64
		g.intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if n.Add(1)%3 == 0 {
				http.Error(w, `{"__type":"TooManyRequestsException"}`, http.StatusTooManyRequests)
				return false
			}
			return true
		})
		d := newIndex(t, newSource(t, g, nil), nil)
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatalf("Refresh: %v", err)
		}
		wantWho(t, d, "k99", "prod", "Plan 99/Customer 99")
	})
}

func TestCallRateInAWS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &fakeGateway{}
		for p := range 119 {
			g.plan(fmt.Sprint("p", p), fmt.Sprint("Plan ", p), "shop/prod")
		}
		source := newSource(t, g, func(c *usageplan.APIConfig) { c.Endpoint, c.Region = "", "us-east-1" })
		began := time.Now()
		if _, err := source.List(t.Context()); err != nil {
			t.Fatalf("List: %v", err)
		}
		if took := time.Since(began); took < 19*time.Second || took > 21*time.Second {
			t.Errorf("120 calls took %v, want a burst of 20 and then 5 per second", took)
		}
	})
}

func TestFailureKeepsLastSnapshot(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"500":      func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, http.StatusInternalServerError) },
		"403":      func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, http.StatusForbidden) },
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"item":[{"id":"`+secret+`"`) },
		"HTML":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>"+secret) },
		"repeats":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"item":[],"position":"same"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := smallGateway()
				var log bytes.Buffer
				d := newIndex(t, newSource(t, g, nil), func(c *usageplan.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				run(t, d)
				synctest.Wait()
				g.intercept(func(w http.ResponseWriter, r *http.Request) bool { answer(w, r); return false })
				pass(10 * time.Minute)
				wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
				wantWho(t, d, "k2", "beta", "Silver/Both Ltd")
				if st := d.Stats(); st.Failures < 5 || st.Refreshes != 1 || st.Age != 10*time.Minute {
					t.Errorf("Stats() = %+v, want failures, one refresh and an age of 10 minutes", st)
				}
				g.intercept(nil)
				g.change(func() { g.keys[0].Name = "Renamed" })
				pass(2 * time.Minute)
				wantWho(t, d, "k1", "prod", "Gold/Renamed")
				if n := strings.Count(log.String(), "index is failing"); n != 1 || !strings.Contains(log.String(), "recovered") {
					t.Errorf("%d failures in the log, want 1, and a recovery:\n%s", n, &log)
				}
				if strings.Contains(log.String(), secret) {
					t.Error("log contains a response")
				}
			})
		})
	}
}

func TestInterruptedListingContinues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &fakeGateway{}
		for p := range 40 {
			g.plan(fmt.Sprint("p", p), fmt.Sprint("Plan ", p), "shop/prod")
			g.key(fmt.Sprint("k", p), fmt.Sprint("Customer ", p), fmt.Sprint("p", p))
		}
		g.intercept(func(w http.ResponseWriter, r *http.Request) bool {
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
			}
			return true
		})
		d := newIndex(t, newSource(t, g, nil), nil)
		for try := 1; ; try++ {
			ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
			began := time.Now()
			err := d.Refresh(ctx)
			cancel()
			if took := time.Since(began); took > 3500*time.Millisecond {
				t.Fatalf("Refresh limited to 3.5 s took %v", took)
			}
			if err == nil && d.Ready() {
				break
			}
			if try == 10 {
				t.Fatalf("not ready after %d limited refreshes: %v", try, err)
			}
			pass(time.Minute / 4)
		}
		wantWho(t, d, "k39", "prod", "Plan 39/Customer 39")
		// 41 calls; those in progress at an interruption are repeated.
		if n := g.count(); n > 41+3*4 {
			t.Errorf("%d calls for 40 plans; an interrupted listing started over", n)
		}
	})
}

func TestRefreshesUseFractionOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := smallGateway()
		g.intercept(func(http.ResponseWriter, *http.Request) bool { pause(20 * time.Second); return true })
		d := newIndex(t, newSource(t, g, nil), nil)
		run(t, d)
		pass(40 * time.Second) // one call for the plans, two parallel calls for their keys
		g.count()
		pass(150 * time.Second)
		if n := g.count(); n != 0 {
			t.Errorf("%d calls within 150 s after a listing that took 40 s, want none", n)
		}
		pass(20 * time.Second)
		if n := g.count(); n == 0 {
			t.Error("no call within 170 s after a listing that took 40 s")
		}
	})
}

func TestPoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := smallGateway()
		d := newIndex(t, newSource(t, g, nil), nil)
		run(t, d)
		synctest.Wait()
		g.change(func() { g.keys[0].Name = "Renamed" })
		d.Poke()
		synctest.Wait()
		wantWho(t, d, "k1", "prod", "Gold/Renamed")
	})
}

// listing is a source that cannot look up single keys.
type listing func() usageplan.Listing

func (l listing) List(context.Context) (usageplan.Listing, error) { return l(), nil }

func TestSourceWithoutKeyLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l usageplan.Listing
		d := newIndex(t, listing(func() usageplan.Listing { return l }), nil)
		run(t, d)
		synctest.Wait()
		l = usageplan.Listing{
			Plans: []usageplan.Plan{{ID: "p", Name: "Gold", Stages: []record.StageRef{{API: "shop", Stage: "prod"}}}},
			Keys:  []usageplan.Key{{ID: "k", Name: "Acme", Plans: []string{"p", "gone"}}},
		}
		wantWho(t, d, "k", "prod", "unknown")
		wantWho(t, d, "missing", "prod", "unknown")
		synctest.Wait()
		wantWho(t, d, "k", "prod", "Gold/Acme")
		if n := d.Pending(); n != 0 {
			t.Errorf("Pending() = %d after a listing, want 0", n)
		}
	})
}

func TestLookupDuringRefresh(t *testing.T) {
	g := smallGateway()
	d := newIndex(t, newSource(t, g, nil), func(c *usageplan.Config) { c.Every, c.UnknownEvery = time.Nanosecond, time.Nanosecond })
	run(t, d)
	if err := d.Wait(t.Context()); err != nil {
		t.Fatalf("Wait: %v", err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2_000 {
				wantWho(t, d, "k2", "beta", "Silver/Both Ltd")
				wantWho(t, d, fmt.Sprint("junk", i), "beta", "unknown")
				d.Poke()
			}
		})
	}
	wg.Wait()
	if st := d.Stats(); st.Failures != 0 || st.Unknown != 8_000 {
		t.Errorf("Stats() = %+v, want no failure and 8000 unknown", st)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	g := smallGateway()
	d := newIndex(t, newSource(t, g, nil), nil)
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatalf("Refresh: %v", err)
	}
	known, fallback, unknown := []byte("k2"), []byte("k1"), []byte("missing")
	shop, beta := []byte("shop"), []byte("beta")
	d.Lookup(unknown, shop, beta)
	d.Lookup(fallback, shop, beta)
	allocs := testing.AllocsPerRun(1000, func() {
		d.Lookup(known, shop, beta)
		d.Lookup(fallback, shop, beta)
		d.Lookup(unknown, shop, beta)
	})
	if allocs != 0 {
		t.Errorf("three lookups allocate %v times, want 0", allocs)
	}
}
