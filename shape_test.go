package stagelog_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxParameters is the most that a function may have, its context counted.
const maxParameters = 5

func TestShapes(t *testing.T) {
	files := token.NewFileSet()
	for _, root := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, d := range file.Decls {
				for name, problem := range shapeProblems(d) {
					t.Errorf("%s: %s %s", files.Position(d.Pos()), name, problem)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// shapeProblems returns what is wrong with a declaration, by the name of the function or type, function literals
// and structs inside it included.
func shapeProblems(d ast.Decl) map[string]string {
	problems := map[string]string{}
	look := func(name string, n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncType:
				if n.Params.NumFields() > maxParameters {
					problems[name] = "has more than five parameters: give some of them a type together"
				}
			case *ast.StructType:
				if slices.ContainsFunc(n.Fields.List, func(f *ast.Field) bool { return isContext(f.Type) }) {
					problems[name] = "holds a context: hand it to the methods"
				}
			}
			return true
		})
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		look(d.Name.Name, d)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				look(s.Name.Name, s)
			case *ast.ValueSpec:
				look(s.Names[0].Name, s)
			}
		}
	}
	return problems
}

func isContext(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "context" && s.Sel.Name == "Context"
}
