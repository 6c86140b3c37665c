package buffer_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/record"
)

// change rewrites a file of a buffer's directory.
func change(t *testing.T, path string, edit func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, edit(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSalvage damages one file of a log in every way, and checks exactly which frames are lost.
func TestSalvage(t *testing.T) {
	f := fill(t, rand.New(rand.NewPCG(1, 1)), 1000, true)
	const log, folder = "a/0", "jetstream/$G/streams/FRAMES_a_0/"
	first, last := f.first[log], uint64(len(f.frames[log]))
	all := func(from, to uint64) (seqs []uint64) {
		for seq := from; seq <= to; seq++ {
			seqs = append(seqs, seq)
		}
		return seqs
	}
	// in returns the frames of a block, and the offset of the n-th.
	in := func(t *testing.T, data []byte, n int) (seqs []uint64, offset int) {
		for seq := first; seq <= last; seq++ {
			if i := strings.Index(string(data), f.frames[log][seq]); i >= 0 {
				if seqs = append(seqs, seq); len(seqs) == n+1 {
					offset = i
				}
			}
		}
		if len(seqs) < n+2 {
			t.Fatalf("the block has only %d frames", len(seqs))
		}
		return seqs, offset
	}
	blocks, err := filepath.Glob(filepath.Join(f.dir, folder, "msgs/*.blk"))
	if err != nil || len(blocks) < 3 {
		t.Fatalf("the log has the blocks %v, %v, want three", blocks, err)
	}
	middle, end := filepath.Base(blocks[len(blocks)-2]), filepath.Base(blocks[len(blocks)-1])
	tests := map[string]func(t *testing.T, dir string) (lost []uint64){
		"BlockFlipped": func(t *testing.T, dir string) (lost []uint64) {
			change(t, dir+folder+"msgs/"+middle, func(data []byte) []byte {
				seqs, at := in(t, data, 1)
				data[at+30] ^= 1
				lost = seqs[1:2]
				return data
			})
			return lost
		},
		"FirstByteFlippedAndIndexRemoved": func(t *testing.T, dir string) []uint64 {
			change(t, dir+folder+"msgs/"+middle, func(data []byte) []byte { data[0] ^= 1; return data })
			if err := os.Remove(dir + folder + "msgs/index.db"); err != nil {
				t.Fatal(err)
			}
			return nil // the frame itself is whole
		},
		"SequenceFlipped": func(t *testing.T, dir string) []uint64 {
			change(t, dir+folder+"msgs/"+middle, func(data []byte) []byte {
				_, at := in(t, data, 1)
				data[at-len("frames.a.0")-18] ^= 1
				return data
			})
			return nil
		},
		"BlockTruncated": func(t *testing.T, dir string) (lost []uint64) {
			change(t, dir+folder+"msgs/"+middle, func(data []byte) []byte {
				seqs, at := in(t, data, 1)
				lost = seqs[1:]
				return data[:at]
			})
			return lost
		},
		"LastBlockTruncated": func(t *testing.T, dir string) (lost []uint64) {
			change(t, dir+folder+"msgs/"+end, func(data []byte) []byte {
				seqs, at := in(t, data, 0)
				lost = seqs
				return data[:at-len("frames.a.0")-22] // between two entries
			})
			return lost
		},
		"BlockRemoved": func(t *testing.T, dir string) (lost []uint64) {
			change(t, dir+folder+"msgs/"+middle, func(data []byte) []byte { lost, _ = in(t, data, 0); return nil })
			if err := os.Remove(dir + folder + "msgs/" + middle); err != nil {
				t.Fatal(err)
			}
			return lost
		},
		"BlocksSwapped": func(t *testing.T, dir string) []uint64 {
			for _, names := range [][2]string{{middle, "x"}, {end, middle}, {"x", end}} {
				if err := os.Rename(dir+folder+"msgs/"+names[0], dir+folder+"msgs/"+names[1]); err != nil {
					t.Fatal(err)
				}
			}
			return nil
		},
		"MessagesRemoved": func(t *testing.T, dir string) []uint64 {
			if err := os.RemoveAll(dir + folder + "msgs"); err != nil {
				t.Fatal(err)
			}
			return all(first, last)
		},
		"FolderRemoved": func(t *testing.T, dir string) []uint64 {
			if err := os.RemoveAll(dir + folder); err != nil {
				t.Fatal(err)
			}
			return all(first, last)
		},
		"MetaDamaged": func(t *testing.T, dir string) []uint64 {
			change(t, dir+folder+"meta.inf", func(data []byte) []byte { data[len(data)/2] ^= 4; return data })
			return nil
		},
		"MetaRemoved": func(t *testing.T, dir string) []uint64 {
			if err := os.Remove(dir + folder + "meta.inf"); err != nil {
				t.Fatal(err)
			}
			return nil
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			damaged := f
			damaged.dir = t.TempDir()
			copyDir(t, damaged.dir, f.dir)
			lost := test(t, damaged.dir+"/")
			var out logged
			b := open(t, buffer.Config{Dir: damaged.dir, MaxBytes: smallBlocks, Logger: out.logger()})
			l := openLog(t, b, "a", 0)
			got, _ := readAll(t, l)
			want, records := map[uint64]string{}, int64(0)
			for seq := first; seq <= last; seq++ {
				want[seq] = f.frames[log][seq]
			}
			for _, seq := range lost {
				records += int64(record.FrameRecords([]byte(want[seq])))
				want[seq] = string(record.LostFrame())
				if n, known := l.Records(seq, seq); !known || n != int64(record.FrameRecords([]byte(f.frames[log][seq]))) {
					t.Errorf("Records of the lost frame %d = %d, %v", seq, n, known)
				}
			}
			for seq := range got {
				if seq < first { // the block of a trimmed frame may come back
					delete(got, seq)
				}
			}
			diff(t, "frames", want, got)
			salvaged := b.Salvaged()
			if len(salvaged) != 1 {
				t.Fatalf("Salvaged = %+v, want one report; the log is\n%s", salvaged, out.String())
			}
			s := salvaged[0]
			if s.Log != log || s.LostFrames != int64(len(lost)) || s.LostRecords != records || !s.RecordsKnown || len(s.Faults) == 0 {
				t.Errorf("Salvaged = %+v, want %d lost frames with %d records", s, len(lost), records)
			}
			if line := fmt.Sprintf("lost_frames=%d lost_records=%d", len(lost), records); !strings.Contains(out.String(), "level=ERROR") || !strings.Contains(out.String(), line) {
				t.Errorf("the log has no line with %s:\n%s", line, out.String())
			}
			if seq, err := l.Append(t.Context(), []byte(frame(1))); err != nil || seq != last+1 {
				t.Errorf("Append = %d, %v, want %d", seq, err, last+1)
			}
		})
	}
}

// A write that was never acknowledged may be incomplete.
func TestTornTailIsNoDamage(t *testing.T) {
	f := fill(t, rand.New(rand.NewPCG(1, 1)), 1000, true)
	for _, stream := range []string{"FRAMES_a_0", "FRAMES_a_1", "FRAMES_b_2Ec_0", "KV_delivery"} {
		blocks, err := filepath.Glob(filepath.Join(f.dir, "jetstream/$G/streams", stream, "msgs/*.blk"))
		if err != nil || len(blocks) == 0 {
			continue // nothing was appended
		}
		change(t, blocks[len(blocks)-1], func(data []byte) []byte { return append(data, data[:min(len(data), 40)]...) })
	}
	checkDamaged(t, f, nil, new(counts))
	if _, err := os.Stat(filepath.Join(f.dir, "damaged")); err == nil {
		t.Error("the log was repaired")
	}
}

func TestStoreIsRestoredFromCopy(t *testing.T) {
	f := fill(t, rand.New(rand.NewPCG(1, 1)), 1000, true)
	if err := os.RemoveAll(filepath.Join(f.dir, "jetstream/$G/streams/KV_delivery")); err != nil {
		t.Fatal(err)
	}
	checkDamaged(t, f, nil, new(counts))
	b := open(t, buffer.Config{Dir: f.dir})
	diff(t, "values", f.values, readStore(t, b))
	if s := b.Salvaged(); len(s) != 1 || s[0].Store != "delivery" || s[0].Incomplete || s[0].Restored == 0 {
		t.Errorf("Salvaged = %+v, want a complete repair of the store", s)
	}
	s := openStore(t, b, "delivery")
	if _, err := s.Put(t.Context(), "new", []byte("v"), 0); err != nil {
		t.Errorf("Put: %v", err)
	}
}

// The copy is rewritten as it grows, and a store without one gets a new one.
func TestCopyHoldsNewestValues(t *testing.T) {
	dir := t.TempDir()
	b, err := buffer.Open(t.Context(), buffer.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s, path := openStore(t, b, "delivery"), filepath.Join(dir, "acked", "KV_delivery")
	for i := range 12 {
		for _, key := range []string{"a", "b"} {
			if _, err := s.Set(t.Context(), key, []byte(strings.Repeat(fmt.Sprint(i%10), 100_000))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Delete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 1_500_000 {
		t.Errorf("the copy has %d bytes, %v, after 2,400,000 were written", info.Size(), err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a": strings.Repeat("1", 100_000)}
	remove := func(path string) {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, damage := range []func(){
		func() { remove(filepath.Join(dir, "jetstream")) },
		func() { remove(path) },
		func() { remove(filepath.Join(dir, "jetstream")) },
	} {
		damage()
		b, err := buffer.Open(t.Context(), buffer.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "values", want, readStore(t, b))
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Earlier versions kept no journals and copies.
func TestUpgradeIsSilentAndKeepsAll(t *testing.T) {
	f := fill(t, rand.New(rand.NewPCG(1, 1)), 12, true)
	if err := os.RemoveAll(filepath.Join(f.dir, "acked")); err != nil {
		t.Fatal(err)
	}
	var out logged
	b, err := buffer.Open(t.Context(), buffer.Config{Dir: f.dir, MaxBytes: smallBlocks, Logger: out.logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 {
		t.Errorf("the first start of this version logs\n%s", out.String())
	}
	checkDamaged(t, f, nil, new(counts))
	if err := os.RemoveAll(filepath.Join(f.dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	checkDamaged(t, f, nil, new(counts)) // the journals know all frames, and the copies all values
}
