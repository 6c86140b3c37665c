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

var (
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	folderName = regexp.MustCompile(`^(internal|cmd)/[a-z0-9/]+$`)
	identifier = regexp.MustCompile(`^([a-z0-9]+)\.([A-Z]\w*)(?:\.([A-Z]\w*))?$`)
	testName   = regexp.MustCompile(`^(Test|Fuzz|Benchmark)[A-Z]\w*$`)
)

// ARCHITECTURE.md and docs/ name folders, identifiers (package.Type.Method) and tests: each must exist.
func TestDocsNameWhatExists(t *testing.T) {
	declared := declarations(t)
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "ARCHITECTURE.md", "README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, span := range codeSpan.FindAllStringSubmatch(string(text), -1) {
			name := strings.TrimSuffix(span[1], "()")
			switch {
			case folderName.MatchString(name):
				if info, err := os.Stat(name); err != nil || !info.IsDir() {
					t.Errorf("%s names the folder %s, which does not exist", page, name)
				}
			case identifier.MatchString(name), testName.MatchString(name):
				if !declared[name] {
					t.Errorf("%s names %s, which does not exist", page, name)
				}
			}
		}
	}
}

// declarations returns each package.Name and package.Type.Method of the repository, and each test's name.
func declarations(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	walkGo(t, func(path string, _ *token.FileSet, file *ast.File) {
		name := file.Name.Name
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				all[name+"."+receiver(decl)+decl.Name.Name] = true
				if testName.MatchString(decl.Name.Name) {
					all[decl.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						all[name+"."+spec.Name.Name] = true
						if i, ok := spec.Type.(*ast.InterfaceType); ok {
							for _, m := range i.Methods.List {
								for _, n := range m.Names {
									all[name+"."+spec.Name.Name+"."+n.Name] = true
								}
							}
						}
					case *ast.ValueSpec:
						for _, n := range spec.Names {
							all[name+"."+n.Name] = true
						}
					}
				}
			}
		}
	})
	return all
}

// receiver returns the receiver's type name and a dot; "" for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	typ := f.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name + "."
		default:
			return ""
		}
	}
}

// walk calls fn with each source file, template, script and document of the repository.
func walk(t *testing.T, fn func(path string, text []byte)) {
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

// walkGo calls fn with each Go file of the repository, parsed.
func walkGo(t *testing.T, fn func(path string, set *token.FileSet, file *ast.File)) {
	t.Helper()
	set := token.NewFileSet()
	walk(t, func(path string, text []byte) {
		if filepath.Ext(path) != ".go" {
			return
		}
		file, err := parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		fn(path, set, file)
	})
}
