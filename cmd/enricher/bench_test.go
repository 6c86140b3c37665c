package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/localaws/lambda/host"
)

// BenchmarkEvent measures an invocation in AWS except for the Runtime API: an event of 500 records in the classic format, with
// 10,000 keys in 20 plans.
func BenchmarkEvent(b *testing.B) {
	f := newFakeAWS(b, 20, 500)
	e, err := newEnricher(lookup(f.environment("STAGELOG_REFRESH", "24h")), discard())
	if err != nil {
		b.Fatal(err)
	}
	e.warmUp(context.Background())
	ev := event(benchRecords(500)...)
	b.ReportAllocs()
	for b.Loop() {
		out, err := e.Invoke(context.Background(), ev)
		if err != nil || len(out) < len(ev) {
			b.Fatal(len(out), err)
		}
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "records/s")
}

func benchRecords(n int) []string {
	records := make([]string, n)
	for i := range records {
		records[i] = line(fmt.Sprintf("%s-key%04d", planID(i%20), i))
	}
	return records
}

// BenchmarkStart measures a cold start up to the first enriched record: process start, index of 10,000 keys in 20 plans, one
// event of one record. "snapshot" reads the index from the shared object, "api" from a local API Gateway.
func BenchmarkStart(b *testing.B) {
	f := newFakeAWS(b, 20, 500)
	code := unpacked(b)
	z, _ := zipped()
	for _, bench := range []struct {
		name string
		env  map[string]string
	}{
		{"snapshot", f.environment("STAGELOG_SNAPSHOT", "s3://bucket/snapshot")},
		{"api", f.environment()},
	} {
		b.Run(bench.name, func(b *testing.B) {
			prime := hosted(b, code, bench.env)
			transform(b, prime, line("plan19-key0499"))
			transform(b, prime, benchRecords(500)...)
			resident := residentMB(code)
			for b.Loop() {
				start(b, code, bench.env)
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/start")
			b.ReportMetric(float64(len(z)), "zip-bytes")
			b.ReportMetric(resident, "MB-resident")
		})
	}
}

// start runs one new process, and measures only its start.
func start(b *testing.B, code string, env map[string]string) {
	b.StopTimer()
	fresh := hosted(b, code, env)
	defer stop(b, fresh)
	b.StartTimer()
	if got := transform(b, fresh, line("plan19-key0499")); !strings.Contains(got[0], "Customer plan19-key0499") {
		b.Fatalf("got %s", got[0])
	}
}

func stop(b *testing.B, f *host.Function) {
	b.StopTimer()
	if err := f.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}

// residentMB returns the peak resident memory of processes running the code, in MB, or 0 if the system does not report it.
func residentMB(code string) (most float64) {
	programs, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range programs {
		if target, err := os.Readlink(link); err != nil || target != filepath.Join(code, function.BootstrapName) {
			continue
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(link), "status"))
		if err != nil {
			continue
		}
		for _, line := range bytes.Split(status, []byte("\n")) {
			if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == "VmHWM:" {
				kb, _ := strconv.ParseFloat(string(fields[1]), 64)
				most = max(most, kb/1024)
			}
		}
	}
	return most
}
