//go:build linux

package netns

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// oldCommit is an older commit whose program speaks the same versions of all formats. Whoever raises one moves this on.
const oldCommit = "c250be4"

// module is the root of the module, as seen from this package.
const module = "../.."

// oldBinary builds the program as it was at oldCommit. In a clone without that commit the test is skipped.
func oldBinary(t *testing.T) string {
	t.Helper()
	if out, err := exec.Command("git", "-C", module, "cat-file", "-e", oldCommit+"^{commit}").CombinedOutput(); err != nil {
		t.Skipf("commit %s is not in this clone (git fetch --unshallow brings it): %s", oldCommit, bytes.TrimSpace(out))
	}
	dir := t.TempDir()
	if out, err := exec.Command("sh", "-c", `git -C "$0" archive "$1" | tar -x -C "$2"`, module, oldCommit, dir).CombinedOutput(); err != nil {
		t.Fatalf("git archive: %v: %s", err, out)
	}
	return build(t, dir)
}

// build builds the program of a module, with more flags.
func build(t *testing.T, dir string, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "peer")
	cmd := exec.Command("go", append(append([]string{"build", "-o", binary}, flags...), "./cmd/peer")...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %q: %v: %s", cmd.Args[1:], err, out)
	}
	return binary
}

// otherProtocol builds the program with the next version of the session protocol.
func otherProtocol(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(module)
	must(t, err)
	file := filepath.Join(root, "gossip/message.go")
	source, err := os.ReadFile(file)
	must(t, err)
	const have, want = "const ProtocolVersion = 4\n", "const ProtocolVersion = 5\n"
	if strings.Count(string(source), have) != 1 {
		t.Fatalf("%s does not say %q once", file, have)
	}
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, "message.go"), filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(changed, []byte(strings.Replace(string(source), have, want, 1)), 0o600))
	doc, err := json.Marshal(map[string]any{"Replace": map[string]string{file: changed}})
	must(t, err)
	must(t, os.WriteFile(overlay, doc, 0o600))
	return build(t, root, "-overlay", overlay)
}

// install lets the device's owner put another version of the program in the place of the one that runs.
func (d *device) install(binary string) {
	d.t.Helper()
	d.run("down")
	d.Binary = binary
	link := filepath.Join(d.bin(), "peer")
	must(d.t, os.Remove(link))
	must(d.t, os.Symlink(binary, link))
	d.up()
}

// TestRollingUpgrade: two devices get a newer program one after the other, and one of them the older one again, while programs on
// both go on writing. Nothing that was acknowledged is lost, and after each change both hold the same.
func TestRollingUpgrade(t *testing.T) {
	slow(t, "30 s", false)
	t.Parallel()
	now, old := os.Getenv(binaryVariable), oldBinary(t)
	l := labFor(t)
	a, b := newDevice(t, l, "laptop"), newDevice(t, l, "desktop")
	a.Binary, b.Binary = old, old
	a.up()
	b.up()
	a.admit(b)
	atA, atB := newWriter("laptop"), newWriter("desktop")
	for _, step := range []struct {
		what   string
		change func()
	}{
		{"both old", func() {}},
		{"desktop upgraded", func() { b.install(now) }},
		{"both new", func() { a.install(now) }},
		{"desktop downgraded", func() { b.install(old) }},
		{"desktop upgraded again", func() { b.install(now) }},
	} {
		writing(t, map[*device]*writer{a: atA, b: atB}, step.change)
		took := b.await(meetMax, "they are connected: "+step.what, func() bool { return a.sees(b) && b.sees(a) })
		writing(t, map[*device]*writer{a: atA, b: atB}, func() { time.Sleep(300 * time.Millisecond) })
		a.caughtUp()
		b.caughtUp()
		for _, d := range []*device{a, b} {
			atA.check(t, d)
			atB.check(t, d)
			d.calm()
		}
		same(t, a, b)
		t.Logf("%s: connected after %v; %d and %d writes acknowledged so far, all there on both", step.what, took.Round(time.Millisecond), atA.count, atB.count)
	}
}

func newWriter(under string) *writer {
	return &writer{under: under, acked: map[string]int{}, tried: map[string]int{}}
}

// writing lets programs write on devices while something changes there. One whose daemon goes away ends.
func writing(t *testing.T, writers map[*device]*writer, change func()) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, len(writers))
	for d, w := range writers {
		go func() { done <- w.run(ctx, d) }()
	}
	time.Sleep(200 * time.Millisecond)
	change()
	stop()
	for range writers {
		must(t, <-done)
	}
}

// TestAnotherProtocolIsRefusedInWords: devices whose programs speak different versions of the protocol say so, both of them, and keep
// what they have. When both are upgraded they go on as if nothing had been.
func TestAnotherProtocolIsRefusedInWords(t *testing.T) {
	slow(t, "30 s", false)
	t.Parallel()
	now, next := os.Getenv(binaryVariable), otherProtocol(t)
	_, a, b := pair(t)
	a.put("before", "1")
	a.caughtUp()
	refused := func(newer, older *device, path string) {
		t.Helper()
		newer.install(next)
		newer.put(path+"/newer", "1")
		older.put(path+"/older", "1")
		took := older.await(2*meetMax, "both warn", func() bool { return newer.warns("version_differ") && older.warns("version_differ") })
		for _, d := range []*device{newer, older} {
			if d.value("before") != "1" {
				t.Errorf("%s has lost what both had", d.Name())
			}
			for _, w := range d.status().Warnings {
				t.Logf("%s, %v after the upgrade of %s: %s %s", d.Name(), took.Round(time.Millisecond), newer.Name(), w.Text, w.Hint)
			}
		}
	}
	together := func(path string) {
		t.Helper()
		a.await(2*meetMax, "what was written meanwhile arrives", func() bool {
			return a.value(path+"/newer") == "1" && b.value(path+"/newer") == "1" && a.value(path+"/older") == "1" && b.value(path+"/older") == "1"
		})
		a.caughtUp()
		b.caughtUp()
		same(t, a, b)
		a.calm()
		b.calm()
	}
	refused(a, b, "first")
	b.install(next)
	together("first")
	b.install(now)
	a.install(now)
	refused(b, a, "second")
	b.install(now) // a downgrade heals as well
	together("second")
}
