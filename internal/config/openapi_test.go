package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// loadWithDocument loads a pipeline whose API names a document, in a folder with the files.
func loadWithDocument(t *testing.T, name string, files map[string]string) (*Pipeline, error) {
	t.Helper()
	dir := t.TempDir()
	files["stagelog.yaml"] = fmt.Sprintf("name: acme\nbucket: acme-logs\nlocal:\n  apis:\n    - id: shop\n      upstream: http://127.0.0.1:9000\n      openapi: %q\n      stages: [prod]\n", name)
	for file, text := range files {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(filepath.Join(dir, "stagelog.yaml"), env)
}

func TestOpenAPIDocumentIsRead(t *testing.T) {
	p, err := loadWithDocument(t, "api/openapi.yaml", map[string]string{"api/openapi.yaml": "openapi: 3.0.3\npaths: {/orders: {get: {}}}\nx-amazon-apigateway-policy: {}\n"})
	if err != nil {
		t.Fatal(err)
	}
	if doc := p.Local.APIs[0].Document; doc == nil || len(doc.Paths) != 1 || doc.Paths[0].Path != "/orders" {
		t.Errorf("document %+v, want the path /orders", doc)
	}
	if w := p.Warnings().Error(); !strings.HasSuffix(w, "stagelog.yaml:7:16: local.apis[0].openapi: api/openapi.yaml: x-amazon-apigateway-policy is not supported; it has no effect on this machine") {
		t.Errorf("warnings: %s", w)
	}
}

func TestOpenAPIDocumentProblems(t *testing.T) {
	for _, tt := range []struct{ name, file, text, want string }{
		{"missing", "opnapi.yaml", "", "opnapi.yaml not found; did you mean openapi.yaml?"},
		{"missing, nothing near", "shop.json", "", "shop.json not found; give the path relative to the directory of this file"},
		{"a folder", "sub", "", "read sub: is a directory"},
		{"not YAML", "openapi.yaml", "openapi: 3.0.1\npaths: {[", "openapi.yaml: the document is not valid YAML: line "},
		{"another version", "openapi.yaml", "openapi: 3.1.0", `openapi.yaml: version "3.1.0" is not supported; use 2.0 or 3.0.x`},
		{"no operations", "openapi.yaml", "openapi: 3.0.1\npaths: {}", "openapi.yaml: the document has no path with an operation"},
		{"unknown scheme", "openapi.yaml", "openapi: 3.0.1\nsecurity: [{key: []}]\npaths: {/a: {get: {}}}", `openapi.yaml: path "/a": get: security scheme "key" is not defined`},
		{"from the environment", "env:FILE", "", "env:NAME is only allowed for"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadWithDocument(t, tt.file, map[string]string{"openapi.yaml": tt.text, "sub/other.yaml": ""})
			var problems Problems
			if !errors.As(err, &problems) || len(problems) != 1 {
				t.Fatalf("Load: %v, want one problem", err)
			}
			m := problems[0]
			if m.Line != 7 || m.Column != 16 || m.Path != "local.apis[0].openapi" || !strings.Contains(m.String(), m.Path+": "+tt.want) {
				t.Errorf("Load: %v, want %q at 7:16", m, tt.want)
			}
		})
	}
}
