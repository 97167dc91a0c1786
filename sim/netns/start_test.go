//go:build linux

package netns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStartingWhereSomethingIsInTheWay: a port or a data folder in use is a refusal in words; what a killed daemon left is not
// in the way.
func TestStartingWhereSomethingIsInTheWay(t *testing.T) {
	slow(t, "10 s", false)
	t.Parallel()
	l := labFor(t)
	a := newDevice(t, l, "laptop")
	const listen = "/ip4/0.0.0.0/tcp/4001"
	a.up("--listen", listen)
	a.put("kept", "1")

	r := a.exits(1, "up", "-d")
	if !strings.Contains(r.Stderr, "another peer uses this data directory") || !strings.Contains(r.Stderr, "pid ") {
		t.Errorf("a second daemon on one folder: %s", r.Stderr)
	}
	a.exits(1, "up")

	second := filepath.Join(a.Home, "second")
	for _, args := range [][]string{{"up", "-d"}, {"up"}} {
		r = a.exits(1, append(args, "--dir", second, "--listen", listen)...)
		if !strings.Contains(r.Stderr, "port") || strings.Count(r.Stderr, "\n") != 3 {
			t.Errorf("a port in use: %s", r.Stderr)
		}
	}
	a.run("up", "-d", "--dir", second)
	a.run("down", "--dir", second)

	for range 3 {
		must(t, a.Kill())
		for _, left := range []string{a.Socket(), filepath.Join(a.Data(), "peer.lock")} {
			if _, err := os.Stat(left); err != nil {
				t.Errorf("SIGKILL should leave it: %v", err)
			}
		}
		a.exits(6, "status")
		a.up("--listen", listen)
		if got := a.value("kept"); got != "1" {
			t.Fatalf("after SIGKILL and a start kept is %q", got)
		}
	}
	a.calm()
	a.run("down")
	a.run("down")
}
