package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestZipArchitectureIsThePipelines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stagelog.yaml")
	pipeline := "name: shop\naccount: \"111122223333\"\nregion: eu-west-1\nbucket: shop-logs\nstages: [abc123/prod]\n"
	for _, tt := range []struct{ name, yaml, flag, want, fault string }{
		{"no file", "", "", "arm64", ""},
		{"not set", pipeline, "", "arm64", ""},
		{"set", pipeline + "aws:\n  architecture: x86_64\n", "", "x86_64", ""},
		{"flag", pipeline + "aws:\n  architecture: x86_64\n", "arm64", "arm64", ""},
		{"wrong flag", "", "amd64", "", "--arch amd64: expected arm64 or x86_64"},
		{"wrong file", "nmae: shop\n", "", "", "nmae"},
	} {
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if tt.yaml != "" {
			if err := os.WriteFile(file, []byte(tt.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := zipArchitecture(&env{getenv: func(string) string { return "" }, file: file}, tt.flag)
		if got != tt.want || (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s: zipArchitecture = %q, %v, want %q, %q", tt.name, got, err, tt.want, tt.fault)
		}
	}
}
