package sim_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"syncline/sim/des"
	"syncline/sim/scenario"
)

// TestRegressions runs the scenarios that found mistakes in the product, each cut down to what is needed. The name of the file says
// what was wrong. It is the first test of the package, by the name of this file: what was wrong before is looked at before anything else.
func TestRegressions(t *testing.T) {
	files, err := filepath.Glob("testdata/regress/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s scenario.Scenario
			if err := json.Unmarshal(b, &s); err != nil {
				t.Fatal(err)
			}
			if r := des.Run(&s, des.Options{}); len(r.Violations) > 0 {
				t.Errorf("%v\nwhat happened last:\n%s", r.Violations, story(&s, des.Options{}, storyLines))
			}
		})
	}
}

// TestRegressionsComeFirst: go test runs the tests of a package in the order of their files, those of package sim itself before.
func TestRegressionsComeFirst(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files { // sorted
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "\npackage sim_test\n") && !strings.HasPrefix(string(b), "package sim_test\n") {
			continue
		}
		if !strings.Contains(string(b), "\nfunc TestRegressions(") {
			t.Errorf("the tests of %s run before TestRegressions", file)
		}
		return
	}
}
