//go:build unix

package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/record"
)

// healEnv makes the test binary run as a child process whose files cannot grow for a while, like
// on a full disk.
const healEnv = "STAGELOG_BUFFER_TEST_HEAL"

func TestWriteErrorHealsWithoutRestart(t *testing.T) {
	dir := os.Getenv(healEnv)
	if dir == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriteErrorHealsWithoutRestart$")
		cmd.Env = append(os.Environ(), healEnv+"="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b := open(t, buffer.Config{Dir: dir})
	l, s := openLog(t, b, "s", 0), openStore(t, b, "delivery")
	acked := map[uint64]string{}
	add := func(n int) error {
		f := fmt.Sprintf("%d-%s", n, strings.Repeat("x", 10_000))
		seq, err := l.Append(ctx, []byte(f))
		if err == nil {
			acked[seq] = f
		}
		return err
	}
	for n := range 20 {
		if err := add(n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Set(ctx, "k", []byte("before")); err != nil {
		t.Fatal(err)
	}
	// This reader runs during the whole test.
	found, ended := map[uint64]string{}, make(chan error, 1)
	go func() {
		ended <- l.Read(ctx, 1, time.Minute, func(seq uint64, frame []byte) error {
			found[seq] = string(frame)
			if strings.HasPrefix(string(frame), "last") {
				return errEnough
			}
			return nil
		})
	}()

	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	full := limit
	full.Cur = 250_000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	n := 20
	for ; ; n++ {
		if err := add(n); err != nil {
			if errors.Is(err, record.ErrFull) || ctx.Err() != nil {
				t.Fatalf("Append on a full disk = %v, want another error before the timeout", err)
			}
			t.Logf("Append on a full disk: %v", err)
			break
		}
		if n > 100 {
			t.Fatal("writes still succeed, want the file size limit to stop them")
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for add(n) != nil {
		n++
		select {
		case <-ctx.Done():
			t.Fatal("Append still fails after the disk has recovered")
		case <-again.C:
		}
	}
	if value, rev, err := s.Get(ctx, "k"); err != nil || string(value) != "before" {
		t.Errorf("Get = %q, %d, %v, want before", value, rev, err)
	}
	if _, err := s.Set(ctx, "k", []byte("after")); err != nil {
		t.Error(err)
	}
	if err := b.Healthy(ctx); err != nil {
		t.Error(err)
	}
	if _, err := l.Append(ctx, []byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != errEnough { //nolint:errorlint // Read returns fn's error unchanged
		t.Fatal(err)
	}
	for seq, f := range acked {
		if found[seq] != f {
			t.Errorf("frame %d = %.10q, acknowledged as %.10q", seq, found[seq], f)
		}
	}
}
