// Package docs holds the tests that keep the documents true: the map of imports, the purity of the core, names, links and bytes.
package docs

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const (
	module = "syncline"
	root   = ".."
)

// A source is one parsed Go file.
type source struct {
	file string // slash-separated, from the root of the module
	dir  string
	test bool
	ast  *ast.File
	fset *token.FileSet
}

// imports returns the paths that the file imports, by the name under which it uses them.
func (s *source) imports() map[string]string {
	out := map[string]string{}
	for _, i := range s.ast.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(p)
		if name == "v2" {
			name = path.Base(path.Dir(p))
		}
		if i.Name != nil {
			name = i.Name.Name
		}
		out[name] = p
	}
	return out
}

func (s *source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.file, s.fset.Position(n.Pos()).Line)
}

// sources parses every Go file of the module. It reads the files themselves: a test that asks the go command is cached past a
// violation.
func sources(t *testing.T) []*source {
	t.Helper()
	var out []*source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		out = append(out, &source{rel, path.Dir(rel), strings.HasSuffix(rel, "_test.go"), file, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("no Go files were found")
	}
	return out
}

// depsBlock reads the fenced block "deps" of ARCHITECTURE.md: package, colon, the packages that it imports.
func depsBlock(t *testing.T) map[string][]string {
	t.Helper()
	blocks := fenced(t, "ARCHITECTURE.md", "deps")
	if len(blocks) != 1 {
		t.Fatalf("ARCHITECTURE.md has %d blocks of imports, want 1", len(blocks))
	}
	deps := map[string][]string{}
	for _, line := range blocks[0].lines {
		pkg, list, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("ARCHITECTURE.md: %q is no line of the block of imports", line)
		}
		if _, twice := deps[pkg]; twice {
			t.Errorf("ARCHITECTURE.md: %s occurs twice", pkg)
		}
		deps[pkg] = slices.Sorted(slices.Values(strings.Fields(list)))
	}
	return deps
}

// TestImportsAreThoseOfTheMap: ARCHITECTURE.md, "Who may import whom". Imports of tests are free.
func TestImportsAreThoseOfTheMap(t *testing.T) {
	got := map[string]map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if got[s.dir] == nil {
			got[s.dir] = map[string]bool{}
		}
		for _, p := range s.imports() {
			if to, ok := strings.CutPrefix(p, module+"/"); ok {
				got[s.dir][to] = true
			}
		}
	}
	want := depsBlock(t)
	for _, pkg := range slices.Sorted(maps.Keys(got)) {
		list, listed := want[pkg]
		if !listed {
			t.Errorf("package %s is not in the map; its line is\n%s: %s", pkg, pkg, strings.Join(slices.Sorted(maps.Keys(got[pkg])), " "))
			continue
		}
		if have := slices.Sorted(maps.Keys(got[pkg])); !slices.Equal(have, list) {
			t.Errorf("package %s imports %v, the map says %v: an arrow is a decision, so change the map first", pkg, have, list)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(want)) {
		if got[pkg] == nil {
			t.Errorf("the map has package %s, which does not exist", pkg)
		}
	}
}

// networkDirs are the packages that may name libp2p.
var networkDirs = []string{"gossip/p2p", "sim/bubble", "cmd/peer"}

// TestLibp2pStaysInItsPackages: ARCHITECTURE.md, "Who may import whom". It holds for tests, too.
func TestLibp2pStaysInItsPackages(t *testing.T) {
	for _, s := range sources(t) {
		if slices.Contains(networkDirs, s.dir) {
			continue
		}
		for _, p := range s.imports() {
			if strings.HasPrefix(p, "github.com/libp2p/") || strings.HasPrefix(p, "github.com/multiformats/") {
				t.Errorf("%s imports %s", s.file, p)
			}
		}
	}
}

// What is never found in a pure file. Types of package time and generators that are passed in are fine.
var (
	impureImports = []string{"os", "os/exec", "os/signal", "net", "net/http", "crypto/rand", "math/rand", "log", "log/slog", "sync", "sync/atomic", "io/ioutil", "testing/synctest"}
	impureTime    = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}
	givenRandom   = []string{"Rand", "Source", "PCG", "ChaCha8", "Zipf", "New", "NewPCG", "NewChaCha8", "NewZipf"}
	// purest must not even be handed a generator or a context.
	purest        = []string{"crdt"}
	purestImports = []string{"context", "math/rand/v2"}
)

// pure reports whether a file belongs to the deterministic core.
func pure(s *source) bool {
	if s.test {
		return false
	}
	switch s.dir {
	case "crdt", "gossip", "gossip/sketch", "sim/scenario", "sim/oracle", "sim/des":
		return true
	case "node":
		name := path.Base(s.file)
		return name == "step.go" || name == "binding.go" || name == "version.go" || name == "policy.go" || name == "policy_view.go" || strings.HasPrefix(name, "replica")
	}
	return false
}

// TestTheCoreIsPure: ARCHITECTURE.md, "What is deterministic".
func TestTheCoreIsPure(t *testing.T) {
	checked := map[string]bool{}
	for _, s := range sources(t) {
		if pure(s) {
			checked[s.dir] = true
			checkPure(t, s)
		}
	}
	if want := []string{"crdt", "gossip", "gossip/sketch", "node", "sim/des", "sim/oracle", "sim/scenario"}; !slices.Equal(slices.Sorted(maps.Keys(checked)), want) {
		t.Errorf("checked %v, want %v", slices.Sorted(maps.Keys(checked)), want)
	}
}

func checkPure(t *testing.T, s *source) {
	imports := s.imports()
	for _, p := range imports {
		if slices.Contains(impureImports, p) || slices.Contains(purest, s.dir) && slices.Contains(purestImports, p) {
			t.Errorf("%s imports %s", s.file, p)
		}
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: a goroutine", s.at(n))
		case *ast.SelectStmt, *ast.ChanType:
			t.Errorf("%s: a channel", s.at(n))
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch imports[x.Name] {
			case "time":
				if slices.Contains(impureTime, n.Sel.Name) {
					t.Errorf("%s: time.%s", s.at(n), n.Sel.Name)
				}
			case "math/rand/v2":
				if !slices.Contains(givenRandom, n.Sel.Name) {
					t.Errorf("%s: the global generator, rand.%s", s.at(n), n.Sel.Name)
				}
			}
		}
		return true
	})
}

// A block is a fenced block of a document.
type block struct {
	file  string
	info  []string // the words after the fence
	lines []string
}

// documents returns the Markdown files that the tests read: the README and everything below docs.
func documents(t *testing.T) []string {
	t.Helper()
	files := []string{filepath.Join(root, "README.md")}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(name, ".md") {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// fenced returns the blocks of a document whose first word after the fence is lang.
func fenced(t *testing.T, file, lang string) []block {
	t.Helper()
	var out []block
	open, take := false, false
	for _, line := range readLines(t, file) {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !open:
			words := strings.Fields(info)
			open, take = true, len(words) > 0 && words[0] == lang
			if take {
				out = append(out, block{file: file, info: words[1:]})
			}
		case fence:
			open, take = false, false
		case take:
			out[len(out)-1].lines = append(out[len(out)-1].lines, line)
		}
	}
	return out
}

func readLines(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

// prose returns the lines of a document outside fenced blocks.
func prose(t *testing.T, file string) []string {
	t.Helper()
	var out []string
	open := false
	for _, line := range readLines(t, file) {
		if strings.HasPrefix(line, "```") {
			open = !open
		} else if !open {
			out = append(out, line)
		}
	}
	return out
}

var linkForm = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinksResolve: every relative link of the documents names a file, and its fragment a heading of that file.
func TestLinksResolve(t *testing.T) {
	for _, file := range documents(t) {
		for to, fragments := range links(t, file) {
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: link %s leads nowhere", file, to)
				continue
			}
			for _, fragment := range fragments {
				if fragment != "" && !slices.Contains(anchors(t, to), fragment) {
					t.Errorf("%s: link %s#%s: there is no such heading", file, to, fragment)
				}
			}
		}
	}
}

// TestEveryPageIsLinked: whoever begins at the README gets to every page by following links. A link to a folder is one to each page there.
func TestEveryPageIsLinked(t *testing.T) {
	seen := map[string]bool{}
	var follow func(page string)
	follow = func(page string) {
		page = strings.TrimPrefix(page, filepath.Join(root, "docs")+string(filepath.Separator)) // as documents names it
		if seen[page] || !strings.HasSuffix(page, ".md") {
			return
		}
		seen[page] = true
		for to := range links(t, page) {
			follow(to)
			below, _ := filepath.Glob(filepath.Join(to, "*.md"))
			for _, page := range below {
				follow(page)
			}
		}
	}
	all := documents(t)
	follow(all[0])
	for _, file := range all {
		if !seen[file] {
			t.Errorf("no way leads from the README to %s", file)
		}
	}
}

// links returns the files that a document links to, and with which fragments; those of its own headings under its own name.
func links(t *testing.T, file string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, line := range prose(t, file) {
		for _, m := range linkForm.FindAllStringSubmatch(line, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			name, fragment, _ := strings.Cut(m[1], "#")
			to := file
			if name != "" {
				to = filepath.Join(filepath.Dir(file), filepath.FromSlash(name))
			}
			out[to] = append(out[to], fragment)
		}
	}
	return out
}

// anchors returns the names under which the headings of a document can be linked to.
func anchors(t *testing.T, file string) []string {
	var out []string
	for _, line := range prose(t, file) {
		heading := strings.TrimLeft(line, "#")
		if heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		out = append(out, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading)))
	}
	return out
}

// named maps the name of a package, as documents write it, to its directory.
var named = map[string]string{
	"crdt": "crdt", "store": "store", "mem": "store/mem", "pebbledb": "store/pebbledb", "leveldb": "store/leveldb",
	"reserve": "store/reserve", "gossip": "gossip", "p2p": "gossip/p2p",
	"node": "node", "nodetest": "node/nodetest", "api": "node/api", "wire": "node/api/wire", "client": "node/api/client",
	"sim": "sim", "scenario": "sim/scenario", "oracle": "sim/oracle", "des": "sim/des",
}

var (
	codeForm = regexp.MustCompile("`([^`]+)`")
	nameForm = regexp.MustCompile(`^([a-z0-9]+)\.([A-Za-z]\w*)(?:\.([A-Za-z]\w*))?(?:\(\))?$`)
	testForm = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark|Example)[A-Z]\w*$`)
	fileName = regexp.MustCompile(`\.(?:go|md|json|key|lock|golden)$`)
)

// TestNamesExist: a name in code quotes, as pkg.Name, pkg.Type.Member or TestName, exists.
func TestNamesExist(t *testing.T) {
	declared, tests := declarations(sources(t))
	for _, file := range documents(t) {
		for _, line := range prose(t, file) {
			for _, quoted := range codeForm.FindAllStringSubmatch(line, -1) {
				text := quoted[1]
				if testForm.MatchString(text) && !tests[text] {
					t.Errorf("%s: there is no test %s", file, text)
				}
				m := nameForm.FindStringSubmatch(text)
				if m == nil || fileName.MatchString(text) || named[m[1]] == "" {
					continue
				}
				name := m[2]
				if m[3] != "" {
					name += "." + m[3]
				}
				if !declared[named[m[1]]+"."+name] {
					t.Errorf("%s: there is no %s in package %s", file, name, named[m[1]])
				}
			}
		}
	}
}

// declarations returns "dir.Name" and "dir.Type.Member" of everything declared outside tests, and the names of all tests.
func declarations(files []*source) (declared, tests map[string]bool) {
	declared, tests = map[string]bool{}, map[string]bool{}
	for _, s := range files {
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if s.test {
					tests[d.Name.Name] = true
				}
				name := d.Name.Name
				if d.Recv != nil {
					name = receiver(d.Recv.List[0].Type) + "." + name
				}
				declared[s.dir+"."+name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					declare(declared, s.dir, spec)
				}
			}
		}
	}
	return declared, tests
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func declare(declared map[string]bool, dir string, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			declared[dir+"."+n.Name] = true
		}
	case *ast.TypeSpec:
		declared[dir+"."+spec.Name.Name] = true
		var members *ast.FieldList
		switch x := spec.Type.(type) {
		case *ast.StructType:
			members = x.Fields
		case *ast.InterfaceType:
			members = x.Methods
		default:
			return
		}
		for _, f := range members.List {
			for _, n := range f.Names {
				declared[dir+"."+spec.Name.Name+"."+n.Name] = true
			}
		}
	}
}
