//go:build cgo && unix

package lake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/testenv"
)

// killEnv makes the test binary a process that imports into the folder it names.
const killEnv = "STAGELOG_LAKE_TEST_KILL"

// An import that is killed again and again has each row once in the end. Each life stops reading at an object that it
// draws and is killed a drawn time later, while the objects before that one are stored.
func TestKilledImportStoresRowsOnce(t *testing.T) {
	const each = 200
	kills := 4
	if testenv.Asked(testenv.Kill) {
		kills = 30
	}
	objects := 20 * kills
	b := made{bucket: &bucket{name: "b"}, each: each}
	for i := range objects {
		b.objects = append(b.objects, record.Object{Key: fmt.Sprintf("logs/o%03d.gz", i), ETag: "e", Modified: time.Unix(1_795_000_000, 0)})
	}
	if dir := os.Getenv(killEnv); dir != "" {
		importAndDie(t, dir, b, kills)
		return
	}
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	for life := range kills {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), killEnv+"="+dir, fmt.Sprintf("%s_LIFE=%d", killEnv, life), fmt.Sprintf("%s_SEED=%d", killEnv, seed), "TMPDIR="+dir)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("life %d (seed %d) ended with %v, want a kill\n%s", life, seed, err, out)
		}
	}
	l := open(t, filepath.Join(dir, "lake.duckdb"))
	survived := ask(t, l, "SELECT count(*) FROM objects")[0]
	t.Logf("%s of %d objects survived %d kills (seed %d)", survived, objects, kills, seed)
	if survived == "0" && kills > 10 {
		t.Error("no transaction was ever finished")
	}
	if _, err := l.Import(t.Context(), b, lake.ImportOptions{Prefix: "logs/", BatchRows: 1000}); err != nil {
		t.Fatal(err)
	}
	want(t, "rows", ask(t, l, "SELECT count(*), count(DISTINCT request_id), count(DISTINCT (object, line)) FROM requests"),
		fmt.Sprintf("%[1]d|%[1]d|%[1]d", objects*each))
	want(t, "objects", ask(t, l, "SELECT count(*), CAST(sum(lines) AS BIGINT) FROM objects"), fmt.Sprintf("%d|%d", objects, objects*each))
	want(t, "rows of no object", ask(t, l, "SELECT count(*) FROM request_rows ANTI JOIN objects ON object = id"), "0")
}

// importAndDie imports into the lake in dir, with more objects in each life, until it is killed.
func importAndDie(t *testing.T, dir string, b made, kills int) {
	var life int
	var seed uint64
	if _, err := fmt.Sscan(os.Getenv(killEnv+"_LIFE")+" "+os.Getenv(killEnv+"_SEED"), &life, &seed); err != nil {
		t.Fatal(err)
	}
	l, err := lake.Open(t.Context(), filepath.Join(dir, "lake.duckdb"), lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var stored int
	if _, err := fmt.Sscan(ask(t, l, "SELECT count(*) FROM objects")[0], &stored); err != nil {
		t.Fatal(err)
	}
	b.objects = b.objects[:min(len(b.objects), 40+life*len(b.objects)/kills)]
	random := rand.New(rand.NewPCG(seed, uint64(life)))
	b.last = 1 + random.Int64N(int64(len(b.objects)-stored))
	b.delay = time.Duration(random.Int64N(int64(200 * time.Millisecond)))
	b.reads = new(atomic.Int64)
	_, err = l.Import(t.Context(), b, lake.ImportOptions{Prefix: "logs/", BatchRows: 1000})
	t.Fatalf("the import ended before it was killed: %v", err)
}

// made is a bucket whose objects are made when they are read. It kills the process at its last read.
type made struct {
	*bucket
	each  int
	reads *atomic.Int64 // nil if it kills nothing
	last  int64         // the read that never returns
	delay time.Duration // from that read to the kill
}

func (m made) Get(_ context.Context, key string) (io.ReadCloser, error) {
	var i int
	if _, err := fmt.Sscanf(key, "logs/o%d.gz", &i); err != nil {
		return nil, err
	}
	if m.reads != nil && m.reads.Add(1) == m.last {
		time.Sleep(m.delay)
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			return nil, err
		}
		select {}
	}
	return io.NopCloser(bytes.NewReader(usual(i*m.each, m.each))), nil
}
