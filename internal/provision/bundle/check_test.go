package bundle

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	with := func(name string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		if _, err := z.Create(name); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"deployment package", with("bootstrap"), ""},
		{"another function", with("lambda_function.py"), "no file bootstrap"},
		{"text", []byte("x"), "not a zip"},
	} {
		err := Check(tt.data)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
