package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command and topic has a manual page that names it, says what it does, and has each of its flags; where groff is
// installed, it has nothing to complain about.
func TestEveryCommandHasAManualPage(t *testing.T) {
	dir := t.TempDir()
	a := newApp(nil)
	a.quiet = true
	root := newRoot(a)
	root.SetArgs([]string{"man", dir, "-q"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	pages, err := os.ReadDir(filepath.Join(dir, "man1"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			check(sub)
		}
		count++
		name := manName(c)
		b, err := os.ReadFile(filepath.Join(dir, "man1", name+".1"))
		if err != nil {
			t.Errorf("peer %s has no page: %v", c.Name(), err)
			return
		}
		page := strings.ReplaceAll(string(b), `\-`, "-")
		if !strings.HasPrefix(page, ".TH ") || !strings.Contains(page, "\n"+name+" - ") || c.Short == "" {
			t.Errorf("the page of %s begins %.100q", name, page)
		}
		for line := range strings.Lines(flags(c.LocalNonPersistentFlags())) {
			_, rest, _ := strings.Cut(line, "--")
			if flag, _, _ := strings.Cut(rest, " "); flag != "" && !strings.Contains(page, "--"+flag) {
				t.Errorf("the page of %s lacks --%s", name, flag)
			}
		}
		if groff, err := exec.LookPath("groff"); err == nil {
			cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z", "-K", "utf8", filepath.Join(dir, "man1", name+".1"))
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("groff: %v %s", err, out)
			}
		}
	}
	check(root)
	if count != len(pages) {
		t.Errorf("%d pages for %d commands", len(pages), count)
	}
}
