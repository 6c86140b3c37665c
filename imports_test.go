// Package stagelog_test holds the rules that no single package can hold for itself.
package stagelog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/stagelog/stagelog/"

// mayImport states, for each part of the product, which parts it may import beside itself and
// the packages of "everywhere". A part covers the packages in its folder; the longest match counts.
var mayImport = map[string]string{
	"everywhere":         "internal/record internal/accesslog internal/encoding internal/durable",
	"cmd/stagelog":       "internal/cli",
	"cmd/enricher":       "internal/delivery/enrich internal/delivery/function internal/usageplan",
	"internal/cli":       "internal",
	"internal/server":    "internal/config internal/usageplan internal/delivery internal/localaws internal/provision internal/lake internal/console",
	"internal/config":    "internal/delivery/objectkey",
	"internal/accesslog": "",
	"internal/record":    "",
	"internal/usageplan": "",
	"internal/delivery":  "",
	"internal/localaws":  "internal/delivery",
	"internal/provision": "internal/config internal/usageplan internal/delivery internal/testenv",
	"internal/lake":      "internal/config",
	"internal/console":   "internal/lake",
	"internal/encoding":  "",
	"internal/durable":   "",
	"internal/testenv":   "", // of tests, like internal/provision/moto
	"e2e":                "internal/testenv internal/provision/moto",
}

type pkg struct {
	ImportPath, Doc                    string
	Imports, TestImports, XTestImports []string
}

func TestImportsFollowTheTable(t *testing.T) {
	for _, p := range packages(t) {
		path, _ := strings.CutPrefix(p.ImportPath, module)
		if path+"/" == module {
			continue
		}
		part := partOf(path)
		if part == "" {
			t.Errorf("%s is in no part of the table: add it to mayImport, or move it", path)
			continue
		}
		imports := p.Imports
		if part == "e2e" {
			imports = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		}
		allowed := append(strings.Fields(mayImport[part]), part)
		if part != "e2e" {
			allowed = append(allowed, strings.Fields(mayImport["everywhere"])...)
		}
		for _, imported := range imports {
			other, ours := strings.CutPrefix(imported, module)
			if ours && !slices.ContainsFunc(allowed, func(folder string) bool { return within(other, folder) }) {
				t.Errorf("%s imports %s; %s may import %v", path, other, part, allowed)
			}
		}
	}
}

func TestPackagesHaveDocComments(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.Imports) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// within reports whether path is folder or lies below it.
func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// partOf returns the longest part of the table that holds path; "" if none does.
func partOf(path string) string {
	longest := ""
	for part := range mayImport {
		if within(path, part) && len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}

func packages(t *testing.T) []pkg {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,TestImports,XTestImports", "./...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		all = append(all, p)
	}
}
