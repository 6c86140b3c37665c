//go:build cgo

package lake_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/tools/txtar"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/lake"
)

var update = flag.Bool("update", false, "rewrite the files of testdata")

// corpusFile is a file of testdata/corpus, which its README.md describes.
type corpusFile struct {
	path    string
	archive *txtar.Archive
	format  string
	object  []byte
	want    int // index of the section
}

func readCorpus(t *testing.T) map[string]corpusFile {
	t.Helper()
	paths, err := filepath.Glob("testdata/corpus/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	files := map[string]corpusFile{}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f := corpusFile{path: path, archive: archive, want: -1}
		if len(bytes.TrimSpace(archive.Comment)) == 0 {
			t.Errorf("%s: the line on which tool writes it so is missing", path)
		}
		for i, section := range archive.Files {
			switch words := strings.Fields(section.Name); words[0] {
			case "format":
				f.format = string(bytes.TrimSpace(section.Data))
			case "object":
				f.object = append(f.object, encoded(t, section.Data, words[1:])...)
			case "want":
				f.want = i
			default:
				t.Fatalf("%s: unknown section %s", path, section.Name)
			}
		}
		if f.want < 0 {
			f.want = len(archive.Files)
			archive.Files = append(archive.Files, txtar.File{Name: "want"})
		}
		files[strings.TrimSuffix(filepath.Base(path), ".txt")] = f
	}
	return files
}

// encoded returns the bytes of a section of an object.
func encoded(t *testing.T, data []byte, words []string) []byte {
	t.Helper()
	for _, word := range words {
		switch word {
		case "joined": // no newline anywhere
			data = bytes.ReplaceAll(data, []byte("\n"), nil)
		case "quoted": // in Go's syntax
			var all []byte
			for line := range strings.Lines(string(data)) {
				text, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.TrimSuffix(line, "\n"), `"`, `\"`) + `"`)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				all = append(append(all, text...), '\n')
			}
			data = all
		case "gzip":
			data = gzipped(t, string(data))
		case "file":
			var err error
			if data, err = os.ReadFile(filepath.Join("testdata/corpus", strings.TrimSpace(string(data)))); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("unknown encoding %s", word)
		}
	}
	return data
}

// Each shape of testdata/corpus becomes the rows and counts that its file has.
func TestCorpusBecomesRows(t *testing.T) {
	files := readCorpus(t)
	byFormat := map[string]map[string][]byte{}
	for name, f := range files {
		if byFormat[f.format] == nil {
			byFormat[f.format] = map[string][]byte{}
		}
		byFormat[f.format][name] = f.object
	}
	for format, bodies := range byFormat {
		var opts lake.ImportOptions
		if format != "" {
			opts.Mapping = lake.MappingOf(accesslog.Parse(format), "", "", "")
		}
		l := open(t, "")
		importAll(t, l, &bucket{name: "b", bodies: bodies}, opts)
		for name := range bodies {
			f := files[name]
			got := corpusResult(t, l, name)
			if *update {
				f.archive.Files[f.want].Data = []byte(got)
				if err := os.WriteFile(f.path, txtar.Format(f.archive), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if want := string(f.archive.Files[f.want].Data); got != want {
				t.Errorf("%s:\n got %s\nwant %s", f.path, got, want)
			}
		}
	}
}

// corpusResult describes what became of an object: its counts, and the values of each row.
func corpusResult(t *testing.T, l *lake.Lake, name string) string {
	t.Helper()
	var out strings.Builder
	counts := ask(t, l, `SELECT lines || ' rows, ' || bad || ' bad, ' || other || ' other, ' || repaired || ' repaired'
		|| coalesce(chr(10) || 'repair ' || repair, '') || coalesce(chr(10) || 'problem ' || problem, '') FROM objects WHERE key = ?`, name)
	fmt.Fprintln(&out, counts[0])
	columns := []string{"time", "request_id", "extended_request_id", "api_id", "stage", "key_id", "customer", "usage_plan", "usage_plan_id", "method", "route", "path",
		"status", "latency", "integration_latency", "bytes", "ip", "user_agent", "error", "extra::VARCHAR"}
	rows := ask(t, l, "SELECT r."+strings.Join(columns, ", r.")+" FROM request_rows r JOIN objects o ON o.id = object WHERE key = ? ORDER BY line", name)
	for _, row := range rows {
		fmt.Fprint(&out, "row")
		for i, value := range strings.Split(row, "|") {
			if column, _, _ := strings.Cut(columns[i], ":"); value != "NULL" {
				if strings.ContainsFunc(value, unicode.IsControl) {
					value = strconv.Quote(value)
				}
				fmt.Fprintf(&out, "  %s=%s", column, value)
			}
		}
		fmt.Fprintln(&out)
	}
	return out.String()
}
