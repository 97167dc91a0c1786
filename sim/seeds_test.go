package sim_test

import (
	"flag"
	"strings"
	"testing"

	"syncline/sim"
	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

var (
	seedFlag  = flag.Int64("seed", -1, "run one seed only, and tell what happened")
	seedsFlag = flag.Int("seeds", 300, "seeds of the sweep")
	firstFlag = flag.Uint64("first", 1, "the first seed of the sweep")
)

// storyLines is how much of a failing run is printed.
const storyLines = 60

// story runs a scenario again and returns the last lines of what happened, up to the first violation.
func story(s *scenario.Scenario, o des.Options, max int) string {
	var lines []string
	o.First = true
	o.Trace = func(line string) { lines = append(lines, line) }
	des.Run(s, o)
	if len(lines) > max {
		lines = lines[len(lines)-max:]
	}
	return strings.Join(lines, "\n")
}

// fail reports a run that broke a claim: what, how to repeat it, and what happened before.
func fail(t testing.TB, r *oracle.Report, s *scenario.Scenario, o des.Options) {
	t.Helper()
	var text strings.Builder
	for i, v := range r.Violations {
		if i == 8 {
			break
		}
		text.WriteString(v.String() + "\n")
	}
	t.Errorf("seed %d breaks %v\n%sreproduce: go test ./sim -run TestSeeds -seed=%d\nwhat happened last:\n%s", r.Seed, r.Checks(), text.String(), r.Seed, story(s, o, storyLines))
}

// TestSeeds runs scenarios drawn from seeds, with every fault there is, and lets the oracle judge them.
func TestSeeds(t *testing.T) {
	if *seedFlag >= 0 {
		s := scenario.Generate(uint64(*seedFlag), scenario.DefaultSize)
		r := des.Run(s, des.Options{})
		t.Logf("%d events in %v, agreed after %v: %v", r.Events, r.Elapsed, r.Converged, r.Coverage)
		if len(r.Violations) > 0 {
			fail(t, r, s, des.Options{})
		}
		return
	}
	w := sweep(*firstFlag, seedCount(), 0, func(s *scenario.Scenario) des.Options { return des.Options{} })
	for i, r := range w.failed {
		if i < 3 {
			fail(t, r, scenario.Generate(r.Seed, scenario.DefaultSize), des.Options{})
		}
	}
	t.Logf("%v\n%d failed %v\n%v", w.SweepResult, len(w.failed), w.checks, w.coverage)
	if len(w.Unequal) > 0 {
		t.Errorf("the runs of the seeds %v are not repeatable", w.Unequal)
	}
	for _, what := range sim.Sometimes {
		if w.seeds >= 100 && w.coverage[what] == 0 {
			t.Errorf("in %d seeds there was no %s: a sweep without it proves little", w.seeds, what)
		}
	}
}
