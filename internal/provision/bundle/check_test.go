package bundle

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"
)

func TestCheckKnowsADeploymentPackage(t *testing.T) {
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
		says string
	}{
		{"a package", with("bootstrap"), ""},
		{"another function's", with("lambda_function.py"), "no bootstrap"},
		{"a text", []byte("x"), "no zip"},
	} {
		err := Check(tt.data)
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}
