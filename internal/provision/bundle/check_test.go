package bundle

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/delivery/function"
)

func TestCheckFindsWrongZips(t *testing.T) {
	with := func(name string, mode fs.FileMode, content []byte) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		h := &zip.FileHeader{Name: name}
		h.SetMode(mode)
		f, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	own, other := "x86_64", "arm64"
	if runtime.GOARCH == "arm64" {
		own, other = other, own
	}
	program := []byte("#!/bin/sh\n")
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"script", with("bootstrap", 0o755, program), ""},
		{"another function", with("lambda_function.py", 0o644, program), "no file bootstrap, which Lambda runs; run"},
		{"in a directory", with("bin/bootstrap", 0o755, program), `but "bin/bootstrap"`},
		{"not executable", with("bootstrap", 0o644, program), "not executable (its mode is -rw-r--r--)"},
		{"for another system", with("bootstrap", 0o755, []byte("MZ\x90\x00")), "not a program for Linux"},
		{"empty", with("bootstrap", 0o755, nil), "not a program for Linux"},
		{"text", []byte("x"), "not a zip"},
	} {
		err := Check(tt.data, own)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if err := function.Bundle(&b, f); err != nil {
		t.Fatal(err)
	}
	if err := Check(b.Bytes(), own); err != nil {
		t.Errorf("program for %s: %v", own, err)
	}
	if err := Check(b.Bytes(), other); err == nil || !strings.Contains(err.Error(), "is for "+own+", but the function's architecture is "+other) {
		t.Errorf("program for %s on %s: %v", own, other, err)
	}
}
