package sim

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A SweepConfig says which seeds are run, and how.
type SweepConfig struct {
	// Driver carries the scenarios out. It is used by Workers goroutines at a time.
	Driver Driver
	// Scenario makes the scenario of a seed; nil means scenario.Generate with scenario.DefaultSize. It is called by several goroutines.
	Scenario func(seed uint64) (*scenario.Scenario, error)
	// First is the first seed, Seeds is how many there are.
	First uint64
	Seeds int
	// Workers is how many runs go on side by side; less than 1 means 1.
	Workers int
	// FailuresMax ends the sweep after so many seeds have failed; 0 means that none ends it.
	FailuresMax int
	// Twice is the period of the self-test: every such seed runs twice, and the traces must be equal. 0 means never, as for a driver whose
	// runs are not equal.
	Twice int
	// Done, if not nil, gets each run as it ends, and how far the sweep is; calls do not overlap. The runs come in the order of their ends,
	// which is not that of the seeds.
	Done func(r Run, p Progress)
}

// A Run is one seed of a sweep.
type Run struct {
	Scenario *scenario.Scenario
	Report   *oracle.Report
	// Took is real time. Equal is false if the seed ran twice and the traces differ.
	Took  time.Duration
	Equal bool
}

// Progress is how far a sweep is.
type Progress struct {
	// Seeds ran of Of; Failed of them broke a claim.
	Seeds, Of, Failed int
	// Virtual is the time that passed in all runs together, Took the time that passed outside.
	Virtual, Took time.Duration
}

// PerMinute is the number of seeds that run in a minute.
func (p Progress) PerMinute() float64 { return perTime(float64(p.Seeds), p.Took.Minutes()) }

// YearsPerDay is the number of simulated years that pass in a day.
func (p Progress) YearsPerDay() float64 {
	return perTime(p.Virtual.Hours()/24/365, p.Took.Hours()/24)
}

func perTime(n, time float64) float64 {
	if time <= 0 {
		return 0
	}
	return n / time
}

// A SweepResult is what came of many seeds.
type SweepResult struct {
	Progress
	// Failures are the reports of the seeds that broke a claim, by seed; Checks counts for each check the seeds that broke it.
	Failures []*oracle.Report
	Checks   map[oracle.Check]int
	// Coverage counts what happened in all runs. Never lists what must happen sometimes and did not, if there were so many seeds that it
	// should have: a sweep without it proves little.
	Coverage oracle.Coverage
	Never    []string
	// Unequal are the seeds whose two runs had different traces.
	Unequal []uint64
	// Undecided is the number of seeds of whose end nothing could be said.
	Undecided int
	// agreed holds, for each seed whose devices agreed, how long after the last fault they did.
	agreed []time.Duration
}

// SometimesSeeds is from how many seeds on a sweep in which something of Sometimes never happened has failed.
const SometimesSeeds = 1000

// Sometimes lists what must happen in a sweep over scenarios of scenario.Generate.
var Sometimes = []string{"disconnect", "reorder", "conflict", "conflict of three", "conflict settled by time", "delete/update conflict", "transaction", "crash before the sync",
	"crash that loses something", "overlapping sessions", "write during a session", "session below the floor", "kills", "sketch of a vector", "sketch of live values", "sketch that did not suffice", "gossip lost", "gossip twice",
	"gossip held back", "partition", "stall", "stream broken", "restore", "clone", "orderly restart", "replica id continued", "disk full",
	"sync that failed", "several operations in a frame", "several inputs in a step", "step that failed", "clock jump", "resolve in a partition", "session refused for another",
	"filled range by range", "transaction seen in one range", "path left out", "decision on what was left out", "poll that brings something", "damaged record", "read of a damaged record", "repair", "view of a policy", "merge by a policy", "merge given up", "merge of what changed meanwhile", "policy changed over a conflict", "write that waits for a poll"}

// OK reports whether every seed passed, the runs were repeatable, and all happened that must.
func (r *SweepResult) OK() bool {
	return len(r.Failures) == 0 && len(r.Unequal) == 0 && len(r.Never) == 0
}

// Agreed is the number of seeds whose devices agreed in the end.
func (r *SweepResult) Agreed() int { return len(r.agreed) }

// Percentile returns the time after which p of 100 of the runs that agreed did so, from the end of the last fault; 0 if none agreed.
func (r *SweepResult) Percentile(p int) time.Duration {
	if len(r.agreed) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(r.agreed))
	return sorted[(len(sorted)-1)*p/100]
}

// String sums the sweep up in one line.
func (r *SweepResult) String() string {
	return fmt.Sprintf("%d of %d seeds, %d failed; %.0f a minute, %.1f simulated years a day; %d agreed, after %v in the median, %v at the 99th percentile",
		r.Seeds, r.Of, r.Failed, r.PerMinute(), r.YearsPerDay(), r.Agreed(), r.Percentile(50).Round(time.Millisecond), r.Percentile(99).Round(time.Millisecond))
}

// Sweep runs many seeds. It returns an error if a run could not be carried out or ctx ended; the result then holds the runs that ended
// before. What the devices did wrong is no error, it stands in the result.
func Sweep(ctx context.Context, c SweepConfig) (*SweepResult, error) {
	// Clock and goroutines are those of the sweep, which tells its rate; no run sees them.
	w := &sweep{SweepConfig: c, start: time.Now(), next: c.First,
		out: &SweepResult{Progress: Progress{Of: c.Seeds}, Checks: map[oracle.Check]int{}, Coverage: oracle.Coverage{}}}
	if w.Scenario == nil {
		w.Scenario = func(seed uint64) (*scenario.Scenario, error) {
			return scenario.Generate(seed, scenario.DefaultSize), nil
		}
	}
	defer relaxCollector()()
	var wait sync.WaitGroup
	for range max(1, c.Workers) {
		wait.Go(func() { w.work(ctx) })
	}
	wait.Wait()
	w.out.Took = time.Since(w.start)
	bySeed := func(a, b *oracle.Report) int { return cmp.Compare(a.Seed, b.Seed) }
	slices.SortFunc(w.out.Failures, bySeed)
	slices.Sort(w.out.Unequal)
	w.out.Never = never(c, w.out)
	return w.out, w.err
}

// never returns what must happen sometimes and did not. A sweep over other scenarios than the generated ones need not show it all.
func never(c SweepConfig, r *SweepResult) []string {
	var out []string
	for _, what := range Sometimes {
		if c.Scenario == nil && r.Seeds >= SometimesSeeds && r.Coverage[what] == 0 {
			out = append(out, what)
		}
	}
	return out
}

// A sweep is a Sweep under way.
type sweep struct {
	SweepConfig
	start time.Time

	mu   sync.Mutex // guards what follows
	next uint64
	out  *SweepResult
	err  error
}

// work runs one seed after the other.
func (w *sweep) work(ctx context.Context) {
	for {
		seed, ok := w.take(ctx)
		if !ok {
			return
		}
		r, err := w.run(ctx, seed)
		w.mu.Lock()
		if err != nil {
			w.err = cmp.Or(w.err, fmt.Errorf("seed %d: %w", seed, err))
		} else {
			w.add(r)
		}
		w.mu.Unlock()
	}
}

// take returns the next seed to run, if there is one.
func (w *sweep) take(ctx context.Context) (uint64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && ctx.Err() != nil && w.next-w.First < uint64(w.Seeds) {
		w.err = ctx.Err()
	}
	if w.err != nil || w.next-w.First >= uint64(w.Seeds) || w.FailuresMax > 0 && len(w.out.Failures) >= w.FailuresMax {
		return 0, false
	}
	w.next++
	return w.next - 1, true
}

// run runs a seed, or runs it twice and compares.
func (w *sweep) run(ctx context.Context, seed uint64) (Run, error) {
	r, err := w.once(ctx, seed)
	if err == nil && w.Twice > 0 && (seed-w.First)%uint64(w.Twice) == 0 {
		var again Run
		again, err = w.once(ctx, seed)
		r.Equal = err == nil && again.Report.Trace == r.Report.Trace
	}
	return r, err
}

func (w *sweep) once(ctx context.Context, seed uint64) (Run, error) {
	start := time.Now()
	s, err := w.Scenario(seed)
	if err != nil {
		return Run{}, err
	}
	r, err := w.Driver.Run(ctx, s, nil)
	return Run{Scenario: s, Report: r, Took: time.Since(start), Equal: true}, err
}

// add makes a run part of the result. The caller holds mu.
func (w *sweep) add(run Run) {
	out, r := w.out, run.Report
	out.Seeds++
	out.Coverage.Join(r.Coverage)
	if r.Final != nil {
		out.agreed = append(out.agreed, r.Converged)
	}
	out.Virtual += r.Elapsed
	out.Took = time.Since(w.start)
	for _, c := range r.Checks() {
		out.Checks[c]++
	}
	switch {
	case len(r.Violations) > 0:
		out.Failed++
		out.Failures = append(out.Failures, r)
	case r.Undecided != "":
		out.Undecided++
	}
	if !run.Equal {
		out.Unequal = append(out.Unequal, r.Seed)
	}
	if w.Done != nil {
		w.Done(run, out.Progress)
	}
}

// relaxCollector lets more garbage gather than programs usually do: a run lives for milliseconds, and most of what it leaves behind
// dies with it. Call the result to undo it.
func relaxCollector() (undo func()) {
	percent := debug.SetGCPercent(1600)
	limit := debug.SetMemoryLimit(1 << 30)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}
