package yamlfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/config/yamlfile"
)

func TestRequiredAndFilledReportEachProblemOnce(t *testing.T) {
	const file = "a: 1\nb:\nc: ''\nx: 1\n"
	_, err := yamlfile.Read("f.yaml", []byte(file), yamlfile.Options{MaxBytes: 100}, func(top yamlfile.Value) {
		m := top.Filled("a", "b", "c", "d")
		for _, key := range []string{"a", "b", "c", "d"} {
			if v := top.Required(m, key); v.Given() != (key == "a") {
				t.Errorf("Required(%s).Given() = %v", key, v.Given())
			}
		}
	})
	want := "f.yaml:1:1: d: required key is missing\nf.yaml:2:1: b: value is missing\nf.yaml:3:4: c: value is missing\nf.yaml:4:1: x: unknown key; expected one of: a, b, c, d"
	if err == nil {
		t.Fatal("Read of a file with problems: no error")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("Read (-want +got):\n%s", diff)
	}
}

func TestVariablesAreResolvedOnlyWithGetenv(t *testing.T) {
	read := func(getenv func(string) string) (text, literal string, err error) {
		_, err = yamlfile.Read("f.yaml", []byte("a: env:NAME"), yamlfile.Options{MaxBytes: 100, Getenv: getenv}, func(top yamlfile.Value) {
			m := top.Mapping("a")
			text, _ = m["a"].Text()
			literal, _ = m["a"].Literal()
		})
		return text, literal, err
	}
	if text, literal, err := read(nil); text != "env:NAME" || literal != text || err != nil {
		t.Errorf("without Getenv: %q, %q, %v", text, literal, err)
	}
	text, literal, err := read(func(name string) string { return "value of " + name })
	if text != "value of NAME" || literal != "" || err == nil || strings.Contains(err.Error(), "value of") {
		t.Errorf("with Getenv: %q, %q, %v", text, literal, err)
	}
}

func TestOversizedFileIsReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(path, []byte(strings.Repeat("#", 50)), 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := yamlfile.Load(path, 10)
	if err != nil || len(data) != 11 {
		t.Fatalf("Load = %d bytes, %v; want one more than allowed", len(data), err)
	}
	_, err = yamlfile.Read(path, data, yamlfile.Options{MaxBytes: 10}, func(yamlfile.Value) { t.Error("decode was called") })
	var problems yamlfile.Problems
	if !errors.As(err, &problems) || len(problems) != 1 || !strings.Contains(err.Error(), "larger than 10 bytes") {
		t.Errorf("Read = %v", err)
	}
}
