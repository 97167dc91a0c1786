//go:build unix

package des_test

import (
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"syncline/sim/des"
	"syncline/sim/scenario"
)

// used returns the processor time that this process has taken so far, which says more than the clock where others work beside it.
func used(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSeed runs the seeds of a sweep one after the other. cpu-ns/seed includes the collection of garbage, wherever it runs; like
// a sweep it lets more gather than programs usually do.
func BenchmarkSeed(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	b.ReportAllocs()
	start, seed := used(b), uint64(0)
	for b.Loop() {
		seed++
		if r := des.Run(scenario.Generate(seed, scenario.DefaultSize), des.Options{}); len(r.Violations) > 0 {
			b.Fatalf("seed %d: %v", seed, r.Violations[0])
		}
	}
	b.ReportMetric(float64(used(b)-start)/float64(seed), "cpu-ns/seed")
}
