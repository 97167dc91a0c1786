//go:build linux

package netns

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Variables of the environment that steer the tests.
const (
	scopeVariable   = "SYNCLINE_LAN"     // "full": run all, and fail where it cannot be run
	measureVariable = "SYNCLINE_MEASURE" // not empty: run what only measures, too
	binaryVariable  = "SYNCLINE_PEER"    // the binary to test; default: built from cmd/peer
	scopeFull       = "full"
)

// parallelLabs is how many labs wait at a time. They do little but wait.
const parallelLabs = 5

// unable says why no namespaces can be made here; nil if they can.
var unable error

// TestMain runs the tests in namespaces of their own, with a binary built outside.
func TestMain(m *testing.M) {
	if os.Getenv(ClockVariable) != "" {
		os.Exit(runWrongClock())
	}
	if os.Getenv(shoutVariable) != "" {
		os.Exit(runShouter())
	}
	flag.Parse()
	if os.Getenv(containedVariable) == "" {
		os.Exit(testOutside(m))
	}
	if _, _, err := Contain(); err != nil {
		unable = err
	}
	if flag.Lookup("test.parallel").Value.String() == flag.Lookup("test.parallel").DefValue {
		flag.Set("test.parallel", fmt.Sprint(parallelLabs))
	}
	readSources()
	os.Exit(m.Run())
}

// testOutside builds the binary and hands over to a contained run. Where that is impossible the tests run here, to be skipped.
func testOutside(m *testing.M) int {
	dir, err := os.MkdirTemp("", "netns")
	if err != nil {
		return complain(err)
	}
	defer os.RemoveAll(dir)
	binary := os.Getenv(binaryVariable)
	if unable = able(); unable == nil && binary == "" {
		binary = filepath.Join(dir, "peer")
		if out, err := exec.Command("go", "build", "-o", binary, "syncline/cmd/peer").CombinedOutput(); err != nil {
			return complain(fmt.Errorf("go build: %w\n%s", err, out))
		}
	}
	if unable == nil {
		_, code, err := Contain(binaryVariable+"="+binary, "TMPDIR="+dir)
		if err == nil {
			return code
		}
		unable = err
	}
	return m.Run()
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// readSources lists the folders of the module. The go command caches the result of a test until a file changes that the test
// looked at, and these tests are about a binary that it does not know of.
func readSources() {
	filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		return nil
	})
}

// needLab skips a test where namespaces cannot be made, or fails it if that was asked for.
func needLab(t *testing.T) {
	t.Helper()
	switch {
	case unable == nil:
	case os.Getenv(scopeVariable) == scopeFull:
		t.Fatalf("%s=%s, but %v", scopeVariable, scopeFull, unable)
	default:
		t.Skipf("%v%s", unable, adviceFor(unable))
	}
}

func adviceFor(err error) string {
	if errors.Is(err, ErrUnable) && os.Geteuid() != 0 {
		return " (root may)"
	}
	return ""
}

// slow marks a test that belongs to the full scope, or to the default one but not to -short.
func slow(t *testing.T, takes string, always bool) {
	t.Helper()
	full := os.Getenv(scopeVariable) == scopeFull
	switch {
	case testing.Short():
		t.Skipf("takes %s; run it without -short", takes)
	case !full && !always:
		t.Skipf("takes %s; run it with %s=%s", takes, scopeVariable, scopeFull)
	}
}
