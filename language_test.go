package stagelog_test

import (
	"go/ast"
	"go/token"
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
	walk(t, func(path string, text []byte) {
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
	walkGo(t, func(path string, set *token.FileSet, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
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
