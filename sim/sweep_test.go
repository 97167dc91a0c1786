package sim_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"syncline/sim"
	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

var _ sim.Driver = des.Driver{}

// sweepWorkers run side by side; each run is on its own.
const sweepWorkers = 2

// A sweepResult is what came of many seeds, in the words of the tests.
type sweepResult struct {
	*sim.SweepResult
	seeds    int
	failed   []*oracle.Report // by seed
	checks   map[oracle.Check]int
	coverage oracle.Coverage
}

// A tapped is a driver with mistakes that depend on the scenario.
type tapped func(*scenario.Scenario) des.Options

func (f tapped) Run(ctx context.Context, s *scenario.Scenario, events func(oracle.Event)) (*oracle.Report, error) {
	return des.Driver{Taps: f(s).Taps}.Run(ctx, s, events)
}

// sweep runs seeds from first on, until failedMax of them have failed if that is not 0.
func sweep(first uint64, seeds, failedMax int, options func(*scenario.Scenario) des.Options) *sweepResult {
	r, err := sim.Sweep(context.Background(), sim.SweepConfig{Driver: tapped(options), First: first, Seeds: seeds, FailuresMax: failedMax, Workers: sweepWorkers, Twice: 100})
	if err != nil {
		panic(err) // des carries everything out, and nobody ends the context
	}
	return &sweepResult{r, r.Seeds, r.Failures, r.Checks, r.Coverage}
}

// seedCount is the number of seeds that a sweep of this package runs.
func seedCount() int {
	if testing.Short() {
		return min(*seedsFlag, 40)
	}
	return *seedsFlag
}

// TestSweepRunsEachSeedOnce wants every seed to be reported once, with the outcome that it has by itself.
func TestSweepRunsEachSeedOnce(t *testing.T) {
	seen := map[uint64]uint64{}
	r, err := sim.Sweep(context.Background(), sim.SweepConfig{Driver: des.Driver{}, First: 40, Seeds: 9, Workers: 3, Done: func(r sim.Run, p sim.Progress) {
		seen[r.Scenario.Seed] = r.Report.Trace
		if p.Seeds != len(seen) || p.Of != 9 {
			t.Errorf("%d reports, progress %+v", len(seen), p)
		}
	}})
	if err != nil || r.Seeds != 9 || !r.OK() || len(seen) != 9 || r.Virtual == 0 || r.Percentile(99) < r.Percentile(50) {
		t.Errorf("%v, %v, reports of %d seeds", r, err, len(seen))
	}
	if own := des.Run(scenario.Generate(43, scenario.DefaultSize), des.Options{}); seen[43] != own.Trace {
		t.Errorf("seed 43 has trace %x, alone %x", seen[43], own.Trace)
	}
}

// TestSweepStopsAtFailures wants no more seeds once enough have failed, and the failures in the order of seeds.
func TestSweepStopsAtFailures(t *testing.T) {
	w := sweep(1, 1000, 3, func(s *scenario.Scenario) des.Options { return des.Options{Taps: earlyReply(s)} })
	if len(w.failed) < 3 || w.seeds > 100 || w.OK() || w.Failed != len(w.failed) {
		t.Errorf("%d seeds, %d failed", w.seeds, len(w.failed))
	}
	if !slices.IsSortedFunc(w.failed, func(a, b *oracle.Report) int { return int(a.Seed) - int(b.Seed) }) {
		t.Error("the failures are not in the order of seeds")
	}
}

// An unlike is a driver that runs another seed every other time.
type unlike struct{ runs atomic.Uint64 }

func (u *unlike) Run(ctx context.Context, s *scenario.Scenario, events func(oracle.Event)) (*oracle.Report, error) {
	return des.Driver{}.Run(ctx, scenario.Generate(s.Seed+u.runs.Add(1), scenario.DefaultSize), events)
}

// TestSweepNoticesRunsThatDiffer wants seeds whose two runs differ to be named.
func TestSweepNoticesRunsThatDiffer(t *testing.T) {
	r, err := sim.Sweep(context.Background(), sim.SweepConfig{Driver: &unlike{}, First: 5, Seeds: 4, Twice: 3})
	if err != nil || len(r.Unequal) != 2 || r.OK() {
		t.Errorf("%v, unequal %v, %v", r, r.Unequal, err)
	}
}

// A still is a driver under which nothing happens.
type still struct{}

func (still) Run(_ context.Context, s *scenario.Scenario, _ func(oracle.Event)) (*oracle.Report, error) {
	return &oracle.Report{Seed: s.Seed}, nil
}

// An estranged is a driver under which devices agree with the seeds 3 and 4 alone, after so many seconds.
type estranged struct{}

func (estranged) Run(_ context.Context, s *scenario.Scenario, _ func(oracle.Event)) (*oracle.Report, error) {
	r := &oracle.Report{Seed: s.Seed}
	if s.Seed == 3 || s.Seed == 4 {
		r.Converged, r.Final = time.Duration(s.Seed)*time.Second, map[string][]string{}
	}
	return r, nil
}

// TestSweepCountsWhoAgreed wants the median to be of those seeds whose devices agreed.
func TestSweepCountsWhoAgreed(t *testing.T) {
	for seeds, want := range map[int]struct {
		agreed int
		median time.Duration
	}{2: {0, 0}, 3: {1, 3 * time.Second}, 8: {2, 3 * time.Second}} {
		r, err := sim.Sweep(context.Background(), sim.SweepConfig{Driver: estranged{}, First: 1, Seeds: seeds})
		if err != nil || r.Agreed() != want.agreed || r.Percentile(50) != want.median {
			t.Errorf("%d seeds: %v, %v", seeds, r, err)
		}
	}
}

// TestSweepInWhichNothingHappensFails wants it named what never happened, if there were enough seeds.
func TestSweepInWhichNothingHappensFails(t *testing.T) {
	for seeds, want := range map[int]int{sim.SometimesSeeds - 1: 0, sim.SometimesSeeds: len(sim.Sometimes)} {
		r, err := sim.Sweep(context.Background(), sim.SweepConfig{Driver: still{}, Seeds: seeds})
		if err != nil || len(r.Never) != want || r.OK() != (want == 0) {
			t.Errorf("%d seeds: never %v, %v", seeds, r.Never, err)
		}
	}
}

// TestSweepEndsWithItsContext wants what ran until then.
func TestSweepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r, err := sim.Sweep(ctx, sim.SweepConfig{Driver: des.Driver{}, First: 1, Seeds: 1000, Workers: 2, Done: func(_ sim.Run, p sim.Progress) {
		if p.Seeds == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || r.Seeds < 3 || r.Seeds > 5 || r.Of != 1000 {
		t.Errorf("%v, %v", r, err)
	}
}

// TestSweepSaysWhichSeedCouldNotRun wants the error of a driver with the seed.
func TestSweepSaysWhichSeedCouldNotRun(t *testing.T) {
	bad := errors.New("no such thing")
	_, err := sim.Sweep(context.Background(), sim.SweepConfig{Driver: des.Driver{}, First: 7, Seeds: 3, Scenario: func(seed uint64) (*scenario.Scenario, error) {
		if seed == 8 {
			return nil, bad
		}
		return scenario.Generate(seed, scenario.DefaultSize), nil
	}})
	if !errors.Is(err, bad) || !strings.Contains(err.Error(), "seed 8") {
		t.Errorf("%v", err)
	}
}
