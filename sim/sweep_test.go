package sim_test

import (
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A sweepResult is what came of many seeds.
type sweepResult struct {
	seeds    int
	failed   []*oracle.Report // by seed
	checks   map[oracle.Check]int
	coverage oracle.Coverage
	agreed   []time.Duration
	virtual  time.Duration
	took     time.Duration
}

// sweepWorkers run side by side; each run is on its own.
const sweepWorkers = 2

// relaxCollector lets more garbage gather than programs usually do: a run lives for milliseconds, and most of what it leaves behind
// dies with it. Call the result to undo it.
func relaxCollector() (undo func()) {
	percent := debug.SetGCPercent(800)
	limit := debug.SetMemoryLimit(1 << 30)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// sweep runs seeds from first on, until failedMax of them have failed if that is not 0.
func sweep(first uint64, seeds, failedMax int, options func(*scenario.Scenario) des.Options) *sweepResult {
	defer relaxCollector()()
	out := &sweepResult{checks: map[oracle.Check]int{}, coverage: oracle.Coverage{}}
	start := time.Now()
	var mu sync.Mutex
	var wait sync.WaitGroup
	next := first
	for range sweepWorkers {
		wait.Go(func() {
			for {
				mu.Lock()
				if next == first+uint64(seeds) || failedMax > 0 && len(out.failed) >= failedMax {
					mu.Unlock()
					return
				}
				seed := next
				next++
				mu.Unlock()
				s := scenario.Generate(seed, scenario.DefaultSize)
				r := des.Run(s, options(s))
				mu.Lock()
				out.add(r)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	out.took = time.Since(start)
	slices.SortFunc(out.failed, func(a, b *oracle.Report) int { return int(a.Seed) - int(b.Seed) })
	return out
}

func (w *sweepResult) add(r *oracle.Report) {
	w.seeds++
	w.coverage.Join(r.Coverage)
	w.agreed = append(w.agreed, r.Converged)
	w.virtual += r.Elapsed
	for _, c := range r.Checks() {
		w.checks[c]++
	}
	if len(r.Violations) > 0 {
		w.failed = append(w.failed, r)
	}
}

func (w *sweepResult) perMinute() float64 { return float64(w.seeds) / w.took.Minutes() }

func (w *sweepResult) yearsPerDay() float64 { return w.virtual.Hours() / w.took.Hours() / 365 }

// percentile returns the time after which p of 100 runs agreed.
func (w *sweepResult) percentile(p int) time.Duration {
	sorted := slices.Clone(w.agreed)
	slices.Sort(sorted)
	return sorted[(len(sorted)-1)*p/100]
}

// seedCount is the number of seeds that a sweep of this package runs.
func seedCount() int {
	if testing.Short() {
		return min(*seedsFlag, 40)
	}
	return *seedsFlag
}
