package docs

import (
	"go/ast"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMistakesArePlantedByTestsOnly: docs/TESTING.md, "Negative controls". The taps of package des are set in tests and nowhere else: no
// other file makes a value of their type or fills one in.
func TestMistakesArePlantedByTestsOnly(t *testing.T) {
	fields := map[string]bool{}
	for _, s := range sources(t) {
		if s.file != "sim/des/taps.go" {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.Name == "Taps" {
				for _, f := range spec.Type.(*ast.StructType).Fields.List {
					for _, name := range f.Names {
						fields[name.Name] = true
					}
				}
			}
			return true
		})
	}
	if len(fields) < 10 {
		t.Fatalf("des.Taps has the fields %v: where are the others?", fields)
	}
	planted := 0
	for _, s := range sources(t) {
		for _, n := range tapsSet(s, fields) {
			if !s.test {
				t.Errorf("%s sets a tap: mistakes are planted by tests only", s.at(n))
			}
			planted++
		}
	}
	if planted < 10 {
		t.Errorf("taps are set in %d places, those of the tests included: this test looks past them", planted)
	}
}

// tapsSet returns the places of a file where a tap is set: literals of the type, options that carry one, and assignments to a field.
func tapsSet(s *source, fields map[string]bool) (places []ast.Node) {
	ofTaps := func(x ast.Expr) bool {
		sel, ok := x.(*ast.SelectorExpr)
		return ok && strings.EqualFold(sel.Sel.Name, "taps")
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if id, ok := n.Type.(*ast.Ident); ok && id.Name == "Taps" || ofTaps(n.Type) {
				places = append(places, n)
			}
		case *ast.KeyValueExpr:
			if id, ok := n.Key.(*ast.Ident); ok && id.Name == "Taps" && !ofTaps(n.Value) { // handing them on is not setting them
				places = append(places, n)
			}
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				sel, ok := left.(*ast.SelectorExpr)
				if !ok {
					continue
				}
				id, ok := sel.X.(*ast.Ident)
				if sel.Sel.Name == "Taps" || ofTaps(sel.X) && fields[sel.Sel.Name] || ok && id.Name == "taps" && fields[sel.Sel.Name] {
					places = append(places, n)
				}
			}
		}
		return true
	})
	return places
}

// TestTheProgramHoldsNoTests asks the go command what the program is made of: no package whose name says that it is for tests.
func TestTheProgramHoldsNoTests(t *testing.T) {
	list := exec.Command("go", "list", "-deps", module+"/cmd/peer")
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	own := 0
	for _, pkg := range strings.Fields(string(out)) {
		if !strings.HasPrefix(pkg, module+"/") {
			continue
		}
		own++
		if strings.HasSuffix(pkg, "test") || strings.HasSuffix(pkg, "netns") {
			t.Errorf("the program holds %s, which is for tests", pkg)
		}
	}
	if own < 8 {
		t.Errorf("the program is made of %d packages of this module: the list is cut short", own)
	}
}
