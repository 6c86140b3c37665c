package stagelog_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// forbidden are words and phrases that make a text hard to read at first sight: personification
// and private metaphors. CONTRIBUTING.md says how to write instead.
var forbidden = regexp.MustCompile(`(?i)\b(nobody|somebody|everybody|whoever|anew|mend|mends|mended|mending|patience|patient|patiently|told|tells|wish|wishes|` +
	`trouble|troubles|company|rooms?|come again|comes again|come anew|takes? in|took in|taken in|takes? away|taken away|in the middle of|by now|the talk|how manieth)\b`)

// allowed are uses of a forbidden word in its ordinary meaning.
var allowed = regexp.MustCompile(`(?i)\broom for\b`)

func TestTextsHaveNoForbiddenWords(t *testing.T) {
	walkTexts(t, func(path string, text []byte) {
		if filepath.Base(path) == "language_test.go" {
			return
		}
		for n, line := range strings.Split(string(text), "\n") {
			if word := forbidden.FindString(allowed.ReplaceAllString(line, "")); word != "" {
				t.Errorf("%s:%d: forbidden word %q: %s", path, n+1, word, strings.TrimSpace(line))
			}
		}
	})
}

// A function's doc comment says what the function does: "Append stores …", not "Append is …".
var notAVerb = map[string]bool{"is": true, "are": true, "says": true, "has": true, "have": true, "knows": true, "answers": true, "wants": true, "was": true, "may": true, "means": true}

func TestDocCommentsDescribeActions(t *testing.T) {
	walkTexts(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Doc == nil {
				continue
			}
			words := strings.Fields(f.Doc.Text())
			if len(words) > 1 && words[0] == f.Name.Name && notAVerb[words[1]] {
				t.Errorf("%s: comment of %s says what it is (%q); say what it does", set.Position(f.Pos()), f.Name.Name, strings.Join(words[:min(6, len(words))], " "))
			}
		}
	})
}

// walkTexts calls fn with each source file, template, script and document of the repository.
func walkTexts(t *testing.T, fn func(path string, text []byte)) {
	t.Helper()
	kinds := map[string]bool{".go": true, ".html": true, ".js": true, ".css": true, ".md": true, ".yaml": true, ".sql": true, ".py": true}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "dist" || d.Name() == ".stagelog"):
			return filepath.SkipDir
		case d.IsDir() || !kinds[filepath.Ext(path)]:
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			fn(path, text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
