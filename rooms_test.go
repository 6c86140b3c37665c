// Package stagelog_test holds the rules that no single room can hold for itself.
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

// rooms says which rooms each room may import. Word rooms (accesslog, record, layout,
// durable, base64, parquet) and the wire are shared; a stage room imports no other stage room; what
// joins them is cmd/stagelog. A folder below a room belongs to the room.
var rooms = map[string][]string{
	"cmd/stagelog": {"*"},
	"cmd/enricher": {"internal/accesslog", "internal/enrich", "internal/function", "internal/usageplan"},

	"internal/accesslog": {},
	"internal/record":    {},
	"internal/layout":    {},
	"internal/durable":   {},
	"internal/base64":    {},
	"internal/fault":     {},
	"internal/content":   {"internal/parquet"},
	"internal/jsonscan":  {},
	"internal/parquet":   {"internal/jsonscan"},
	"internal/lease":     {"internal/record"},

	"internal/gateway":  {"internal/accesslog", "internal/apigateway", "internal/record"},
	"internal/firehose": {"internal/awswire", "internal/base64", "internal/fault", "internal/layout", "internal/record"},
	"internal/buffer":   {"internal/durable", "internal/fault", "internal/record"},
	"internal/enrich":   {"internal/accesslog", "internal/jsonscan", "internal/record"},
	"internal/deliver":  {"internal/fault", "internal/layout", "internal/lease", "internal/parquet", "internal/record"},

	"internal/replay": {"internal/content", "internal/layout"},
	"internal/lake":   {"internal/accesslog", "internal/content", "internal/jsonscan"},
	"internal/live":   {},

	"internal/apigateway": {"internal/accesslog", "internal/awswire", "internal/record"},
	"internal/usageplan":  {},
	"internal/function":   {"internal/awswire", "internal/base64", "internal/durable", "internal/record"},
	"internal/bucket":     {"internal/durable"},
	"internal/identity":   {"internal/durable"},
	"internal/awswire":    {},
	"internal/pipeline":   {"internal/accesslog", "internal/layout"},
	"internal/provision":  {"internal/accesslog", "internal/content", "internal/layout", "internal/pipeline"},
	"internal/glue":       {"internal/awswire"},
	"internal/logs":       {"internal/awswire"},
	"internal/iam":        {"internal/awswire"},
	"internal/console":    {},

	"e2e": {},
}

type pkg struct {
	ImportPath, Doc                    string
	Imports, TestImports, XTestImports []string
}

func TestRoomsImportOnlyWhatTheTableAllows(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if path+"/" == module {
			continue
		}
		room := roomOf(path)
		allowed, ok := rooms[room]
		if !ok {
			t.Errorf("%s is in no room of the table: add it to rooms, or move it", path)
			continue
		}
		imports := p.Imports
		if room == "e2e" {
			imports = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		}
		for _, imported := range imports {
			other, ours := strings.CutPrefix(imported, module)
			if !ours || roomOf(other) == room || slices.Contains(allowed, "*") {
				continue
			}
			if !slices.Contains(allowed, roomOf(other)) {
				t.Errorf("%s imports %s: room %s may import %v", path, other, room, allowed)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.Imports) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// roomOf is the longest room that holds path, or path itself.
func roomOf(path string) string {
	for room := path; room != "."; {
		if _, ok := rooms[room]; ok {
			return room
		}
		cut := strings.LastIndexByte(room, '/')
		if cut < 0 {
			break
		}
		room = room[:cut]
	}
	return path
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
