package sim_test

import (
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// failing returns a predicate that wants one check to fail while a mistake is planted, and the first seed for which it holds.
func failing(t *testing.T, check oracle.Check, taps func(*scenario.Scenario) des.Taps) (func(*scenario.Scenario) bool, *scenario.Scenario) {
	t.Helper()
	fails := func(s *scenario.Scenario) bool {
		return des.Run(s, des.Options{Taps: taps(s), First: true}).Failed(check)
	}
	for seed := uint64(1); seed <= controlSeeds; seed++ {
		if s := scenario.Generate(seed, scenario.DefaultSize); fails(s) {
			return fails, s
		}
	}
	t.Fatalf("no seed up to %d breaks %s", controlSeeds, check)
	return nil, nil
}

// TestShrinkKeepsTheFailure cuts runs with planted mistakes down to a few operations on a few devices, the same each time.
func TestShrinkKeepsTheFailure(t *testing.T) {
	for _, x := range []struct {
		check       oracle.Check
		taps        func(*scenario.Scenario) des.Taps
		ops, device int // at most
	}{
		{oracle.Durability, lyingDisk, 2, 5}, // of devices nothing happens on, but with fewer the messages have another luck
		{oracle.DotReuse, idContinued, 4, 2},
		{oracle.Atomic, transactionTorn, 2, 3},
		{oracle.FalseConflict, blindWrite, 4, 3},
	} {
		t.Run(string(x.check), func(t *testing.T) {
			fails, s := failing(t, x.check, x.taps)
			shrinker := &scenario.Shrinker{Fails: fails}
			start := time.Now()
			small := shrinker.Shrink(s)
			t.Logf("seed %d: %d operations, %d runs in %v\n%s\n%s", s.Seed, len(s.Ops), shrinker.Runs, time.Since(start).Round(time.Millisecond), strings.Join(scenario.Story(small), "\n"), small.TOML())
			if len(small.Ops) > x.ops || len(small.Devices) > x.device || !fails(small) {
				t.Errorf("%d operations on %d devices are left, want at most %d on %d", len(small.Ops), len(small.Devices), x.ops, x.device)
			}
			if n := len(scenario.Story(small)); n == 0 || n > 10 {
				t.Errorf("the story has %d steps", n)
			}
			again := &scenario.Shrinker{Fails: fails}
			if !reflect.DeepEqual(again.Shrink(s), small) || again.Runs != shrinker.Runs {
				t.Errorf("another time it took %d runs, or came to something else", again.Runs)
			}
		})
	}
}

// TestShrinkCanBeStopped by a number of runs and by its caller, and returns what it has then.
func TestShrinkCanBeStopped(t *testing.T) {
	fails, s := failing(t, oracle.Durability, lyingDisk)
	limited := &scenario.Shrinker{Fails: fails, RunsMax: 7}
	if small := limited.Shrink(s); limited.Runs != 7 || len(small.Ops) >= len(s.Ops) || !fails(small) {
		t.Errorf("%d runs, want 7; %d operations of %d are left", limited.Runs, len(small.Ops), len(s.Ops))
	}
	stopped := &scenario.Shrinker{Fails: fails}
	stopped.Stop = func() bool { return stopped.Runs == 3 }
	if small := stopped.Shrink(s); stopped.Runs != 3 || !fails(small) {
		t.Errorf("%d runs, want 3", stopped.Runs)
	}
	never := &scenario.Shrinker{Fails: fails, Stop: func() bool { return true }}
	if small := never.Shrink(s); never.Runs != 0 || !reflect.DeepEqual(small, s) {
		t.Errorf("%d runs, want none", never.Runs)
	}
}

// TestGeneratedTestsRun writes the test of a scenario into a package of its own and runs it: it passes, and it fails if the devices
// get no time to agree.
func TestGeneratedTestsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it calls the compiler")
	}
	s, err := scenario.Builtin("two-laptops", 7, scenario.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	s.Ops[0].Parts[0].Value = "a `quoted` word"
	hurried, err := scenario.Parse("hurried.toml", []byte("seed = 2\ndevices = 2\nend = \"10ms\"\nconverge = \"1ms\"\n[[at]]\nt = \"10ms\"\nwrite = \"a\"\non = 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("testdata", "generated-") // imports resolve inside the module only
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for file, source := range map[string]string{"holds": scenario.GoTest(s, "lost-update"), "breaks": scenario.GoTest(hurried, "convergence")} {
		if formatted, err := format.Source([]byte(source)); err != nil || string(formatted) != source {
			t.Errorf("the source is not formatted (%v):\n%s", err, source)
		}
		if err := os.WriteFile(filepath.Join(dir, file+"_test.go"), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("go", "test", "-v", "-timeout=60s", "./"+filepath.ToSlash(dir)).CombinedOutput()
	for _, want := range []string{"--- PASS: TestLostUpdateTwoLaptopsSeed7", "--- FAIL: TestConvergenceSeed2", "convergence at"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%v\n%s\nwant %q", err, out, want)
		}
	}
	t.Log(scenario.GoTest(hurried, "convergence"))
}
