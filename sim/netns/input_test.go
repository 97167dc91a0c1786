//go:build linux

package netns

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"syncline/node"
)

// TestRealInput: the package list of this machine and the files of this repository, imported on one device, changed on both
// while they are apart, and made equal again.
func TestRealInput(t *testing.T) {
	slow(t, "30 s", false)
	t.Parallel()
	l := labFor(t)
	a, b := newDevice(t, l, "laptop"), newDevice(t, l, "desktop")
	a.up()
	b.up()
	a.admit(b)
	input := packages(t) + repository(t)
	lines := strings.Count(input, "\n")
	start := time.Now()
	a.feed(0, input, "import")
	imported := time.Since(start)
	a.caughtUp()
	t.Logf("%d entries, %d KiB: imported in %v, on the other device after %v", lines, len(input)>>10,
		imported.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	first := same(t, a, b)
	if n := strings.Count(first, "\n"); n != lines {
		t.Fatalf("%d entries were exported, %d imported", n, lines)
	}
	if again := a.feed(0, first, "import").Stdout; !strings.Contains(again, "0 entries changed") {
		t.Errorf("importing an export again says %q", again)
	}

	must(t, l.Split([]*Host{a.Host}, []*Host{b.Host}))
	a.run("put", "repo/go.mod", "changed on the laptop")
	b.run("put", "repo/go.mod", "changed on the desktop")
	a.run("del", "repo/LICENSE")
	b.run("put", "repo/LICENSE", "kept by the desktop")
	a.run("del", "-r", "-y", "repo/crdt/")
	b.run("put", "repo/new", "@"+filepath.Join(a.Home, ".local/state/peer/peer.log"))
	must(t, l.Heal())
	a.await(30*time.Second, "both list the conflicts", func() bool {
		return a.status().Conflicts == 2 && b.status().Conflicts == 2
	})
	same(t, a, b)
	b.run("resolve", "repo/go.mod", "--keep", "laptop")
	b.run("resolve", "repo/LICENSE", "--keep", "1")
	b.caughtUp()
	last := same(t, a, b)
	if a.status().Conflicts != 0 || strings.Contains(last, `"path":"repo/crdt/`) {
		t.Errorf("%d conflicts; deleted files are back: %v", a.status().Conflicts, strings.Contains(last, `"path":"repo/crdt/`))
	}
	if got := a.run("get", "repo/go.mod"); got != "changed on the laptop" {
		t.Errorf("repo/go.mod is %q", got)
	}
	a.calm()
	b.calm()
}

// packages lists the packages of this machine as lines of an import.
func packages(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("dpkg-query", "-W", "-f", `{"path":"pkg/${Package}","value":"${Version}"}\n`).Output()
	if err != nil {
		t.Logf("no list of packages: %v", err)
		return ""
	}
	unique := map[string]bool{} // one name may be installed for two architectures
	var b strings.Builder
	for line := range strings.Lines(string(out)) {
		path, _, _ := strings.Cut(line, `","`)
		if !unique[path] {
			unique[path] = true
			b.WriteString(line)
		}
	}
	return b.String()
}

// repository returns every file of this module as a line of an import.
func repository(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	root := "../.."
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil || len(data) > node.ValueBytesMax {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		line := map[string]any{"path": "repo/" + filepath.ToSlash(rel)}
		if utf8.Valid(data) {
			line["value"] = string(data)
		} else {
			line["value_base64"] = data
		}
		text, err := json.Marshal(line)
		b.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
