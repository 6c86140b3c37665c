package host

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	// the test binary is its own bootstrap
	self, _ := os.Executable()
	code := filepath.Join(dir, "code")
	os.MkdirAll(code, 0o700)
	os.WriteFile(filepath.Join(code, "bootstrap"), []byte("#!/bin/sh\nexec "+self+" bootstrap\n"), 0o700)
	f, err := New(Config{Name: "x", ARN: "arn", CodeDir: code, StateDir: filepath.Join(dir, "state"), Region: "us-east-1", Environment: map[string]string{"BEHAVE": "echo"}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(context.Background())
	start := time.Now()
	for range 3 {
		r, err := f.Invoke(context.Background(), []byte(`{"a":1}`))
		t.Log(string(r.Payload), r.FunctionError, err, time.Since(start))
	}
}
