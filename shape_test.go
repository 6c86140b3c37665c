package stagelog_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// maxParameters is the most that a function may have, its context counted.
const maxParameters = 5

func TestShapes(t *testing.T) {
	walkGo(t, func(path string, set *token.FileSet, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, d := range file.Decls {
			for name, problem := range shapeProblems(d) {
				t.Errorf("%s: %s %s", set.Position(d.Pos()), name, problem)
			}
		}
	})
}

// .ci/level finds the tests of a level by their calls of testenv, which have to stand in the tests themselves.
func TestLevelsAreNamedInTests(t *testing.T) {
	walkGo(t, func(path string, set *token.FileSet, file *ast.File) {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := call.X.(*ast.Ident); ok && x.Name == "testenv" && slices.Contains([]string{"Need", "NeedPlain", "Asked"}, call.Sel.Name) {
					t.Errorf("%s: %s calls testenv.%s: call it in the test", set.Position(n.Pos()), f.Name.Name, call.Sel.Name)
				}
				return true
			})
		}
	})
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
