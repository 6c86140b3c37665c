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
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/testenv"
)

// killEnv makes the test binary a process that imports into the folder it names.
const killEnv = "STAGELOG_LAKE_TEST_KILL"

// An import that is killed at any moment, again and again, has each row once in the end.
func TestAnImportThatIsKilledGoesOn(t *testing.T) {
	const each = 200
	kills := killCount()
	objects := 20 * kills
	b := made{bucket: &bucket{name: "b"}, each: each}
	for i := range objects {
		b.objects = append(b.objects, record.Object{Key: fmt.Sprintf("logs/o%03d.gz", i), ETag: "e", Modified: time.Unix(1_795_000_000, 0)})
	}
	if dir := os.Getenv(killEnv); dir != "" {
		l, err := lake.Open(t.Context(), filepath.Join(dir, "lake.duckdb"), lake.Options{})
		if err != nil {
			t.Fatal(err)
		}
		// Objects that came while it was away are there, too: more with each life.
		life, err := strconv.Atoi(os.Getenv(killEnv + "_LIFE"))
		if err != nil {
			t.Fatal(err)
		}
		b.objects = b.objects[:min(objects, 40+life*objects/kills)]
		if _, err := l.Import(t.Context(), b, lake.ImportOptions{Prefix: "logs/", BatchRows: 1000}); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	killed := 0
	// The kills come within the time of a short import, which differs by machine and with the race detector.
	begin := time.Now()
	if out, err := importing(t.Context(), t.TempDir(), 0).CombinedOutput(); err != nil {
		t.Fatalf("an import that is not killed: %v\n%s", err, out)
	}
	whole := time.Since(begin)
	for life := range kills + 1 {
		if life == kills {
			l, err := lake.Open(t.Context(), filepath.Join(dir, "lake.duckdb"), lake.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s of %d objects survived %d kills", ask(t, l, "SELECT count(*) FROM objects"), objects, killed)
			if ask(t, l, "SELECT count(*) FROM objects")[0] == "0" && kills > 10 {
				t.Error("no transaction was ever finished")
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cmd := importing(ctx, dir, life)
		var kill *time.Timer
		if life < kills {
			kill = time.AfterFunc(time.Duration(random.Int64N(int64(2*whole))), cancel)
		}
		out, err := cmd.CombinedOutput()
		if kill != nil {
			kill.Stop()
		}
		cancel()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
			killed++
		} else if err != nil && !errors.Is(err, context.Canceled) { // it had ended by itself before the kill
			t.Fatalf("life %d (seed %d): %v\n%s", life, seed, err, out)
		}
	}
	l := open(t, filepath.Join(dir, "lake.duckdb"))
	want(t, "rows", ask(t, l, "SELECT count(*), count(DISTINCT request_id), count(DISTINCT (object, line)) FROM requests"),
		fmt.Sprintf("%[1]d|%[1]d|%[1]d", objects*each))
	want(t, "objects", ask(t, l, "SELECT count(*), CAST(sum(lines) AS BIGINT) FROM objects"), fmt.Sprintf("%d|%d", objects, objects*each))
	want(t, "rows of no object", ask(t, l, "SELECT count(*) FROM request_rows ANTI JOIN objects ON object = id"), "0")
	t.Logf("killed %d times of %d", killed, kills)
	if killed < kills/3 {
		t.Errorf("it was killed %d times only", killed)
	}
}

// importing returns the command that runs this test binary as a process that imports into dir.
func importing(ctx context.Context, dir string, life int) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestAnImportThatIsKilledGoesOn$")
	cmd.Env = append(os.Environ(), killEnv+"="+dir, fmt.Sprintf("%s_LIFE=%d", killEnv, life), "TMPDIR="+dir)
	return cmd
}

// killCount returns how often the test kills: often with make kill, and a few times in every go test.
func killCount() int {
	if testenv.Asked(testenv.Kill) {
		return 50
	}
	return 4
}

// made is a bucket whose objects are made when they are read.
type made struct {
	*bucket
	each int
}

func (m made) Get(_ context.Context, key string) (io.ReadCloser, error) {
	var i int
	if _, err := fmt.Sscanf(key, "logs/o%d.gz", &i); err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(usual(i*m.each, m.each))), nil
}
