package des

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// TestMessageNamesAreThoseOfGossip: each type of message that package gossip has is called as it is there.
func TestMessageNamesAreThoseOfGossip(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../gossip/message.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{""} // types count from 1
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			if name, ok := strings.CutPrefix(spec.(*ast.ValueSpec).Names[0].Name, "msg"); ok {
				want = append(want, strings.ToLower(name))
			}
		}
	}
	if len(want) < 10 || !slices.Equal(messageNames, want) {
		t.Errorf("got  %q\nwant %q", messageNames, want)
	}
}
