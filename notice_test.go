package stagelog_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The Mozilla Public License requires a note on where the source code of its modules is.
func TestNoticeListsMPLModules(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}} {{.Dir}}{{end}}", "./cmd/stagelog").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var want []string
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	for _, line := range slices.Compact(lines) {
		part := strings.SplitN(line, " ", 3)
		if len(part) < 3 || part[1] == "" {
			continue
		}
		files, err := filepath.Glob(filepath.Join(part[2], "LICENSE*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(bytes.ToLower(text[:min(200, len(text))]), []byte("mozilla public license")) {
				want = append(want, part[0]+" "+part[1])
			}
		}
	}
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(notice)) {
		if strings.HasPrefix(line, "github.com/") || strings.HasPrefix(line, "golang.org/") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("NOTICE lists %v; the binary contains %v under the MPL", got, want)
	}
}
