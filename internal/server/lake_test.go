package server

import (
	"os"
	"path/filepath"
	"testing"
)

// The console's lake of an earlier version becomes the common one, or is removed if there is one already.
func TestEarlierConsoleLakeIsUsed(t *testing.T) {
	for name, common := range map[string]string{"no common lake": "", "a common lake": "common"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "acme@local.duckdb")
		files := map[string]string{"console.duckdb": "console", "console.duckdb.wal": "log"}
		want := "console"
		if common != "" {
			files["acme@local.duckdb"], want = common, common
		}
		for file, content := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := adoptLake(path); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: the lake is %q (%v), want %q", name, got, err, want)
		}
		wal, err := os.ReadFile(path + ".wal")
		if common == "" && (err != nil || string(wal) != "log") || common != "" && err == nil {
			t.Errorf("%s: the write-ahead log is %q (%v)", name, wal, err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "console*")); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left (%v)", name, left, err)
		}
	}
}
