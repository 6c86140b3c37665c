package buffer_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
)

// childEnv makes the test binary run as a child process that works on the given directory until
// it is killed.
const childEnv = "STAGELOG_BUFFER_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		fmt.Fprintln(os.Stderr, child(context.Background(), dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child appends, trims and stores forever, and prints each write once it is acknowledged:
// "frame <seq> <frame>" and "value <rev> <n>".
func child(ctx context.Context, dir string) error {
	b, err := buffer.Open(ctx, buffer.Config{Dir: dir})
	if err != nil {
		return err
	}
	l, err := b.Log(ctx, "s", 0)
	if err != nil {
		return err
	}
	s, err := b.Store(ctx, "delivery")
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				frame := fmt.Sprintf("%d-%d-%s", w, i, strings.Repeat("x", i*997%20_000))
				seq, err := l.Append(ctx, []byte(frame))
				if err != nil {
					failed <- err
					return
				}
				os.Stdout.WriteString(fmt.Sprintf("frame %d %s\n", seq, frame))
			}
		}()
	}
	go func() {
		for i := 0; ; i++ {
			rev, err := s.Set(ctx, "k", fmt.Append(nil, i))
			if err != nil {
				failed <- err
				return
			}
			os.Stdout.WriteString(fmt.Sprintf("value %d %d\n", rev, i))
		}
	}()
	return <-failed
}

// killed runs a child on dir, kills it after n acknowledgements, and returns what it printed.
func killed(t *testing.T, dir string, n int) (frames map[uint64]string, rev uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	frames = map[uint64]string{}
	lines := bufio.NewReader(out)
	for acked := 0; ; acked++ {
		if acked == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // an incomplete line does not count
		}
		if err != nil {
			t.Fatal(err)
		}
		var seq uint64
		var rest string
		if _, err := fmt.Sscanf(line, "frame %d %s\n", &seq, &rest); err == nil {
			frames[seq] = rest
		} else if _, err := fmt.Sscanf(line, "value %d %s\n", &seq, &rest); err == nil {
			rev = max(rev, seq)
		} else {
			t.Fatalf("child printed %q", line)
		}
	}
	_ = cmd.Wait() // it was killed
	return frames, rev
}

func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	all := map[uint64]string{}
	var trimmed, lastRev uint64
	for round := range 4 {
		frames, rev := killed(t, dir, 200+100*round)
		if rev <= lastRev {
			t.Fatalf("round %d: revisions ended at %d, in the previous round at %d", round, rev, lastRev)
		}
		lastRev = rev
		for seq, f := range frames {
			if before, ok := all[seq]; ok {
				t.Fatalf("round %d: sequence %d acknowledged for %.20q and for %.20q", round, seq, before, f)
			}
			all[seq] = f
		}

		b, err := buffer.Open(t.Context(), buffer.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		l := openLog(t, b, "s", 0)
		stats, err := l.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found := map[uint64]string{}
		if err := l.Read(t.Context(), 1, 0, func(seq uint64, frame []byte) error {
			found[seq] = string(frame)
			if seq == stats.Last {
				return errEnough
			}
			return nil
		}); err != errEnough { //nolint:errorlint // Read returns fn's error unchanged
			t.Fatal(err)
		}
		for seq, f := range all {
			if seq > trimmed && found[seq] != f {
				t.Errorf("round %d: frame %d = %.20q, acknowledged as %.20q", round, seq, found[seq], f)
			}
		}
		if _, rev, err := openStore(t, b, "delivery").Get(t.Context(), "k"); err != nil || rev < lastRev {
			t.Errorf("round %d: store at revision %d, %v; %d was acknowledged", round, rev, err, lastRev)
		}
		// The next round's child starts with a trimmed log.
		if err := l.Trim(t.Context(), stats.Last); err != nil {
			t.Fatal(err)
		}
		trimmed = stats.Last
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Two processes would destroy the data directory.
func TestDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	open(t, buffer.Config{Dir: dir})
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is in use by another process; stop it or choose another directory") {
		t.Errorf("second process: %v\n%s", err, out)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // the same process cannot open it twice either
		if b, err := buffer.Open(t.Context(), buffer.Config{Dir: dir}); err == nil {
			t.Errorf("second Open in this process = nil, want an error; Close: %v", b.Close())
		}
	})
	wg.Wait()
}
