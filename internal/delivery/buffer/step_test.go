package buffer

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// A repair that is interrupted after any step loses nothing, and the next start completes it.
func TestInterruptedSalvageLosesNothing(t *testing.T) {
	errStop := errors.New("stopped")
	base := t.TempDir()
	b, err := Open(t.Context(), Config{Dir: base})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"a", "b"}
	for _, name := range names {
		l, err := b.Log(t.Context(), name, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			frame := record.Batch{Arrived: time.UnixMilli(int64(i + 1)), Records: [][]byte{[]byte("record")}}.AppendFrame(nil)
			if _, err := l.Append(t.Context(), frame); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for stopAt := 1; ; stopAt++ {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			path := filepath.Join(dir, "jetstream/$G/streams", streamName(name, 0), "msgs", "1.blk")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data[60] ^= 1 // in the first frame
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, steps := newSalvager(dir, slog.New(slog.DiscardHandler)), 0
		s.stop = func(string) error {
			if steps++; steps == stopAt {
				return errStop
			}
			return nil
		}
		if _, err := s.run(); err == nil {
			if stopAt < 9 {
				t.Errorf("the repair has only %d steps", stopAt-1)
			}
			return
		} else if !errors.Is(err, errStop) {
			t.Fatal(err)
		}
		b, err := Open(t.Context(), Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		reported := map[string]bool{}
		for _, r := range b.Salvaged() {
			reported[r.Log] = true
			if _, err := os.Stat(r.Path); err != nil || r.LostFrames != 1 {
				t.Errorf("after %d steps: %v, %+v, want one lost frame", stopAt, err, r)
			}
		}
		if n := len(b.Salvaged()); n != len(names) {
			t.Errorf("after %d steps: %d reports, want %d", stopAt, n, len(names))
		}
		for _, name := range names {
			if !reported[name+"/0"] {
				t.Errorf("after %d steps: no report about %s", stopAt, name)
			}
			l, err := b.Log(t.Context(), name, 0)
			if err != nil {
				t.Fatal(err)
			}
			stats, err := l.Stats(t.Context())
			if err != nil || stats.First != 1 || stats.Last != 3 {
				t.Errorf("after %d steps: %+v, %v, want the frames 1 to 3", stopAt, stats, err)
			}
			var got string
			if err := l.Read(t.Context(), 1, time.Minute, func(seq uint64, frame []byte) error {
				got += fmt.Sprint(seq, record.IsLostFrame(frame), " ")
				if seq == 3 {
					return errStop
				}
				return nil
			}); !errors.Is(err, errStop) {
				t.Fatal(err)
			}
			if want := "1 true 2 false 3 false "; got != want {
				t.Errorf("after %d steps: frames %s, want %s", stopAt, got, want)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
