package buffer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/testenv"
)

// smallBlocks is a quota with which blocks have 32,000 bytes.
const smallBlocks = 127_000

// filled is a buffer's directory and what was acknowledged.
type filled struct {
	dir    string
	frames map[string]map[uint64]string // by log, like "a/0"
	first  map[string]uint64            // of the frames that were not trimmed
	values map[string]string            // of the store, by key
}

var logNames = []string{"a/0", "a/1", "b.c/0"}

func splitName(name string) (stream string, shard int) {
	stream, digit, _ := strings.Cut(name, "/")
	return stream, int(digit[0] - '0')
}

// fill fills a new buffer, and trims its logs now and then, on average after that many frames. If clean is false, the
// directory is a copy of an open buffer's.
func fill(t *testing.T, rng *rand.Rand, trimAfter int, clean bool) filled {
	t.Helper()
	f := filled{dir: t.TempDir(), frames: map[string]map[uint64]string{}, first: map[string]uint64{}, values: map[string]string{}}
	b, err := buffer.Open(t.Context(), buffer.Config{Dir: f.dir, MaxBytes: smallBlocks})
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, b, "delivery")
	number, total := 0, 0
	for _, name := range logNames {
		f.frames[name], f.first[name] = map[uint64]string{}, 1
	}
	for total < 105_000 {
		name := logNames[rng.IntN(2)*rng.IntN(len(logNames))] // most in the first
		stream, shard := splitName(name)
		l := openLog(t, b, stream, shard)
		records := make([][]byte, 1+rng.IntN(20))
		for i := range records {
			number++
			records[i] = fmt.Appendf(nil, "%d-%s", number, strings.Repeat("x", rng.IntN(400)))
		}
		frame := record.Batch{Arrived: time.UnixMilli(1_800_000_000_000 + int64(number)), Records: records}.AppendFrame(nil)
		seq, err := l.Append(t.Context(), frame)
		if err != nil {
			t.Fatal(err)
		}
		f.frames[name][seq] = string(frame)
		total += len(frame)
		if rng.IntN(trimAfter) == 0 {
			upTo := f.first[name] + rng.Uint64N(seq-f.first[name]+1)
			if err := l.Trim(t.Context(), upTo); err != nil {
				t.Fatal(err)
			}
			f.first[name] = min(upTo+1, seq)
		}
		key, value := fmt.Sprint("key ", rng.IntN(8)), fmt.Sprint("value ", number)
		if rng.IntN(10) == 0 {
			delete(f.values, key)
			err = s.Delete(t.Context(), key)
		} else {
			f.values[key] = value
			_, err = s.Set(t.Context(), key, []byte(value))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !clean {
		open := f.dir
		f.dir = t.TempDir()
		copyDir(t, f.dir, open)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return f
}

func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// damage changes one file or folder of dir, and returns what it did.
func damage(t *testing.T, rng *rand.Rand, dir string) string {
	t.Helper()
	var files, folders []string
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != dir:
			folders = append(folders, path)
		case e.Type().IsRegular() && e.Name() != "LOCK":
			files = append(files, path)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	path := files[rng.IntN(len(files))]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	did := ""
	rel := func(path string) string { return strings.TrimPrefix(path, dir+"/") }
	switch kind := rng.IntN(8); {
	case kind == 0:
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return "removed " + rel(path)
	case kind == 1:
		other := files[rng.IntN(len(files))]
		theirs, err := os.ReadFile(other)
		if err == nil {
			err = os.WriteFile(other, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		data, did = theirs, fmt.Sprintf("swapped %s and %s", rel(other), rel(path))
	case kind == 2 && rng.IntN(3) == 0:
		folder := folders[rng.IntN(len(folders))]
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		return "removed " + rel(folder)
	case kind == 3 || len(data) == 0:
		data = append(data, make([]byte, rng.IntN(600))...)
		did = "appended zeros to " + rel(path)
	case kind == 4:
		n := rng.IntN(len(data))
		data = data[:n]
		did = fmt.Sprintf("truncated %s to %d", rel(path), n)
	case kind == 5:
		from := rng.IntN(len(data))
		n := min(len(data)-from, 1+rng.IntN(5000))
		clear(data[from:][:n])
		did = fmt.Sprintf("zeroed %d at %d of %s", n, from, rel(path))
	default:
		at := rng.IntN(len(data))
		data[at] ^= byte(1 << rng.IntN(8))
		did = fmt.Sprintf("flipped a bit at %d of %s", at, rel(path))
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return did
}

// counts are totals of frames over all rounds.
type counts struct{ acked, found, reported, journal int }

// logged collects a buffer's log.
type logged struct{ bytes.Buffer }

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// readAll returns the frames of the log from its first one.
func readAll(t *testing.T, l *buffer.Log) (frames map[uint64]string, last uint64) {
	t.Helper()
	stats, err := l.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	frames = map[uint64]string{}
	if stats.Last == 0 {
		return frames, 0
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.Read(ctx, 1, time.Minute, func(seq uint64, frame []byte) error {
		if _, twice := frames[seq]; twice {
			t.Errorf("frame %d was read twice", seq)
		}
		frames[seq] = string(frame)
		if seq >= stats.Last {
			return errEnough
		}
		return nil
	}); !errors.Is(err, errEnough) {
		t.Fatalf("Read after %d frames of %+v: %v", len(frames), stats, err)
	}
	return frames, stats.Last
}

func readStore(t *testing.T, b *buffer.Buffer) map[string]string {
	t.Helper()
	values := map[string]string{}
	if err := openStore(t, b, "delivery").All(t.Context(), "", func(key string, value []byte, _ uint64) error {
		values[key] = string(value)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return values
}

// checkDamaged opens the directory, and checks that every acknowledged frame and value is there or is reported lost.
func checkDamaged(t *testing.T, f filled, did []string, sum *counts) {
	t.Helper()
	var out logged
	b, err := buffer.Open(t.Context(), buffer.Config{Dir: f.dir, MaxBytes: 2 * smallBlocks, Logger: out.logger()})
	if err != nil && strings.Contains(err.Error(), "write 1 into it") {
		if err := os.WriteFile(filepath.Join(f.dir, "VERSION"), []byte("1"), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err = buffer.Open(t.Context(), buffer.Config{Dir: f.dir, MaxBytes: 2 * smallBlocks, Logger: out.logger()})
	}
	if err != nil {
		t.Fatalf("Open: %v\n%s", err, out.String())
	}
	defer func() {
		if t.Failed() {
			t.Logf("log:\n%s\nsalvaged: %+v", out.String(), b.Salvaged())
			b.Close() //nolint:errcheck // the test has failed already
		}
	}()
	salvaged := b.Salvaged()
	if (len(salvaged) > 0) != strings.Contains(out.String(), "level=ERROR") {
		t.Errorf("Salvaged = %+v, but the log is:\n%s", salvaged, out.String())
	}
	for _, s := range salvaged {
		if _, err := os.Stat(s.Path); err != nil && !strings.Contains(strings.Join(s.Faults, " "), "unreadable") {
			t.Errorf("damaged files are not kept: %v", err)
		}
	}
	found := map[string]map[uint64]string{}
	for _, name := range logNames {
		stream, shard := splitName(name)
		l := openLog(t, b, stream, shard)
		if len(f.frames[name]) == 0 {
			continue
		}
		var last uint64
		found[name], last = readAll(t, l)
		reported := slices.ContainsFunc(salvaged, func(s buffer.Salvage) bool { return s.Log == name && s.LostFrames > 0 })
		acked := slices.ContainsFunc(did, func(d string) bool {
			return strings.Contains(d, "acked/FRAMES_"+strings.NewReplacer("/", "_", ".", "_2E").Replace(name)) || strings.HasSuffix(d, "acked")
		})
		for seq, want := range f.frames[name] {
			got, ok := found[name][seq]
			if seq < f.first[name] {
				continue
			}
			sum.acked++
			switch {
			case got == want:
				sum.found++
			case ok && !record.IsLostFrame([]byte(got)):
				t.Errorf("%s: frame %d = %.60q, want %.60q", name, seq, got, want)
			case !ok && seq > last && !acked:
				t.Errorf("%s: frame %d is gone, and the log ends at %d", name, seq, last)
			case !reported && !acked:
				t.Errorf("%s: frame %d is lost without a report", name, seq)
			default:
				if reported {
					sum.reported++
				} else {
					sum.journal++
				}
				if n, known := l.Records(seq, seq); known && n != int64(record.FrameRecords([]byte(want))) || !known && !acked {
					t.Errorf("%s: Records(%d) of a lost frame = %d, %v", name, seq, n, known)
				}
			}
		}
		for seq, got := range found[name] {
			if f.frames[name][seq] == "" && !record.IsLostFrame([]byte(got)) {
				t.Errorf("%s: frame %d appeared: %.60q", name, seq, got)
			}
		}
		added := string(record.Batch{Arrived: time.UnixMilli(1), Records: [][]byte{[]byte(name)}}.AppendFrame(nil))
		seq, err := l.Append(t.Context(), []byte(added))
		if err != nil || seq != last+1 {
			t.Fatalf("%s: Append = %d, %v, want %d", name, seq, err, last+1)
		}
		found[name][seq] = added
	}
	values := readStore(t, b)
	reported := slices.ContainsFunc(salvaged, func(s buffer.Salvage) bool { return s.Store == "delivery" && s.Incomplete })
	copied := slices.ContainsFunc(did, func(d string) bool { return strings.Contains(d, "acked/KV_") || strings.HasSuffix(d, "acked") })
	if d := cmp.Diff(f.values, values); d != "" && !reported && !copied {
		t.Errorf("values (-want +got):\n%s", d)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		return
	}

	// What was repaired stays so.
	out.Reset()
	again, err := buffer.Open(t.Context(), buffer.Config{Dir: f.dir, MaxBytes: 2 * smallBlocks, Logger: out.logger()})
	if err != nil {
		t.Fatal(err)
	}
	b = again
	if n := len(b.Salvaged()); n != len(salvaged) || out.Len() > 0 {
		t.Errorf("the second start logged:\n%s\nand has %d reports after %d", out.String(), n, len(salvaged))
	}
	diff(t, "values after the second start", values, readStore(t, b))
	for name, want := range found {
		stream, shard := splitName(name)
		got, _ := readAll(t, openLog(t, b, stream, shard))
		diff(t, "frames of "+name+" after the second start", want, got)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// damageRounds damages random copies of filled buffers.
func damageRounds(t *testing.T, fills, rounds int) {
	var sum counts
	for seed := range fills {
		rng := rand.New(rand.NewPCG(uint64(seed), 12))
		f := fill(t, rng, 12, seed%2 == 0)
		for round := range rounds {
			t.Run(fmt.Sprintf("%d-%d", seed, round), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(seed), uint64(round)))
				damaged := f
				damaged.dir = t.TempDir()
				copyDir(t, damaged.dir, f.dir)
				var did []string
				for range 1 + rng.IntN(3) {
					did = append(did, damage(t, rng, damaged.dir))
				}
				t.Log(strings.Join(did, "; "))
				checkDamaged(t, damaged, did, &sum)
			})
		}
	}
	t.Logf("%d frames acknowledged, %d found, %d reported lost, %d lost together with their journal", sum.acked, sum.found, sum.reported, sum.journal)
}

func TestDamageIsNeverSilent(t *testing.T) { damageRounds(t, 3, 8) }

func TestDamageIsNeverSilentLong(t *testing.T) {
	testenv.Need(t, testenv.Kill)
	damageRounds(t, 20, 50)
}
