//go:build unix

package gateway

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record"
)

// BenchmarkProxy compares a bare ReverseProxy, and one with the gateway's transport and buffers,
// with the gateway, keys, plan and logging on, under parallel clients over kept connections:
// requests/s, the 99th percentile of the latency, and processor time, which says more than the
// others on a machine that has something else to do. Clients and upstream are in the same
// process and share its cores.
func BenchmarkProxy(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":7,"customer":"c1","item":"lamp","quantity":4,"cents":2000,"status":"paid"}`)
	}))
	b.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("bare", func(b *testing.B) {
		load(b, &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }})
	})
	b.Run("bare,tuned", func(b *testing.B) {
		load(b, &httputil.ReverseProxy{Transport: newTransport(), BufferPool: &copyBuffers{}, ErrorLog: log.New(io.Discard, "", 0),
			Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); p.SetXForwarded() }})
	})
	b.Run("gateway", func(b *testing.B) {
		lines := NewLogger(LoggerConfig{Put: func(context.Context, string, [][]byte) ([]int, error) { return nil, nil }})
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- lines.Run(ctx) }()
		c := openService(b, time.Now, apigateway.Local{
			APIs: []apigateway.LocalAPI{{ID: "shop", Upstream: upstream.URL, Stages: []string{"prod"}, APIKeyRequired: true}},
			Plans: []apigateway.LocalPlan{{
				Name: "Gold", Stages: []record.StageRef{shopProd}, Throttle: &apigateway.Throttle{Rate: 1e6, Burst: 1e6},
				Quota: &apigateway.Quota{Limit: 1e9, Period: apigateway.Month}, Customers: []apigateway.LocalCustomer{{Name: "Acme Corp", Value: goodKey}},
			}},
		}, accesslog.Classic)
		g, err := New(Config{}, c, lines)
		if err != nil {
			b.Fatal(err)
		}
		load(b, g)
		if b.Failed() {
			b.FailNow()
		}
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		if s := lines.Stats(); s.Lost != 0 || s.Delivered != g.Stats().Requests {
			b.Fatalf("%d requests, %+v", g.Stats().Requests, s)
		}
	})
}

// load measures handler under many clients, and under as many as there are cores.
func load(b *testing.B, handler http.Handler) {
	b.Run("clients=16", func(b *testing.B) { loadFrom(b, handler, 16) })
	b.Run("clients=2", func(b *testing.B) { loadFrom(b, handler, 2) })
}

// loadFrom sends b.N requests.
func loadFrom(b *testing.B, handler http.Handler, clients int) {
	server := httptest.NewServer(handler)
	defer server.Close()
	client := &http.Client{Transport: newTransport()}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	all := make([]time.Duration, 0, b.N)
	todo := make(chan struct{}, b.N)
	for range b.N {
		todo <- struct{}{}
	}
	close(todo)
	b.ReportAllocs()
	before := processorTime(b)
	b.ResetTimer()
	var wait sync.WaitGroup
	for range clients {
		wait.Go(func() {
			var mine []time.Duration
			for range todo {
				start := time.Now()
				if err := get(client, server.URL+"/shop/prod/orders/7"); err != nil {
					b.Error(err)
					return
				}
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wait.Wait()
	b.StopTimer()
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N)/1e3, "cpu-us/op")
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-us")
	}
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "requests/s")
}

func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func get(client *http.Client, address string) error {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-Api-Key", goodKey)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

func BenchmarkLog(b *testing.B) {
	lines := NewLogger(LoggerConfig{Put: func(context.Context, string, [][]byte) ([]int, error) { return nil, nil }})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- lines.Run(ctx) }()
	line := make([]byte, 374)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			lines.Log(testStream, line)
		}
	})
	cancel()
	<-done
	b.ReportMetric(float64(lines.Stats().Lost), "lost")
}

func BenchmarkTake(b *testing.B) {
	all, now := newBuckets(), time.Now()
	name := bucketName{plan: "p1", key: "k1", stage: shopProd}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			all.take(name, apigateway.Throttle{Rate: 1e9, Burst: 1e9}, now)
		}
	})
}
