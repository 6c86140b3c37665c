//go:build cgo

package lake_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/lake"
)

// A file that DuckDB cannot open is set aside, and the next import fills a new one.
func TestOpenRebuildsDamagedLake(t *testing.T) {
	b := &bucket{name: "b", bodies: map[string][]byte{}}
	for i := range 20 {
		b.bodies[fmt.Sprintf("o%02d", i)] = fmt.Appendf(nil, `{"request_id":"r%d","status":"200"}`, i)
	}
	b.sort()
	whole := filepath.Join(t.TempDir(), "whole")
	l, err := lake.Open(t.Context(), whole, lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Import(t.Context(), b, lake.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 5))
	damages := map[string][]byte{"other": []byte(strings.Repeat("not a database, ", 2000)), "short": []byte("x"), "empty": {}}
	for i := range 10 {
		damages[fmt.Sprintf("truncated %d", i)] = data[:random.IntN(3*4096)]
		flipped := bytes.Clone(data)
		flipped[random.IntN(3*4096)] ^= byte(1 + random.IntN(255))
		damages[fmt.Sprintf("header flipped %d", i)] = flipped
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			path, rebuilt := filepath.Join(t.TempDir(), "lake"), 0
			if err := os.WriteFile(path, damage, 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := lake.Open(t.Context(), path, lake.Options{Rebuilt: func(aside string) {
				rebuilt++
				if kept, err := os.ReadFile(aside); err != nil || !bytes.Equal(kept, damage) {
					t.Errorf("the damaged file was changed (%v)", err)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if _, err := l.Import(t.Context(), b, lake.ImportOptions{}); err != nil || rebuilt > 1 {
				t.Errorf("rebuilt %d times, then %v", rebuilt, err)
			}
			want(t, "rows", ask(t, l, "SELECT count(*) FROM requests"), "20")
		})
	}
}
