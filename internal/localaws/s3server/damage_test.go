package s3server

import (
	"bytes"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"
)

func TestDamagedSettingsAreSetAside(t *testing.T) {
	const days = `<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Expiration><Days>90</Days></Expiration></Rule></LifecycleConfiguration>`
	good := map[string]string{"encryption": sseS3, "lifecycle": days}
	for name, damage := range map[string]func(string) string{
		"none":      func(s string) string { return s },
		"empty":     func(string) string { return "" },
		"truncated": func(s string) string { return s[:len(s)/2] },
		"number":    func(s string) string { return strings.Replace(s, "90", "10", 1) },
		"earlier version": func(s string) string {
			return s[:strings.Index(s, `"checksum"`)] + s[strings.Index(s, `"encryption"`):]
		},
	} {
		var out bytes.Buffer
		st := &settings{dir: t.TempDir(), log: slog.New(slog.NewTextHandler(&out, nil))}
		if err := st.write("b", maps.Clone(good)); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(st.file("b"))
		if err == nil {
			err = os.WriteFile(st.file("b"), []byte(damage(string(data))), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		whole := name == "none" || name == "earlier version"
		for range 2 {
			have, err := st.read("b")
			if err != nil || maps.Equal(have, good) != whole || !whole && len(have) > 0 {
				t.Errorf("%s: read = %v, %v", name, have, err)
			}
		}
		if n := strings.Count(out.String(), "level=ERROR"); whole && n != 0 || !whole && n != 1 {
			t.Errorf("%s: %d errors are logged:\n%s", name, n, out.String())
		}
		if _, err := os.Stat(st.file("b") + ".damaged"); (err == nil) == whole {
			t.Errorf("%s: damaged file: %v", name, err)
		}
	}
}
