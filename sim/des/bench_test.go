//go:build linux

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
	u := rusage(t)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func rusage(t testing.TB) (u syscall.Rusage) {
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u
}

// maxrssPerMiB is how many of the units of Rusage.Maxrss make one MiB: kilobytes on Linux.
const maxrssPerMiB = 1 << 10

// BenchmarkSeed runs the seeds of a sweep one after the other. cpu-ns/seed includes the collection of garbage, wherever it runs; like
// a sweep it lets more gather than programs usually do.
func BenchmarkSeed(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(1600))
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

// BenchmarkThousandDevices and BenchmarkTenThousandDevices run one large group until it agrees. Run them one at a time with
// -benchtime 1x: peak-MiB is the most that the process has held so far.
func BenchmarkThousandDevices(b *testing.B)    { benchmarkLarge(b, 1000) }
func BenchmarkTenThousandDevices(b *testing.B) { benchmarkLarge(b, 10_000) }

func benchmarkLarge(b *testing.B, devices int) {
	start, runs, virtual, events := used(b), 0, time.Duration(0), 0
	for b.Loop() {
		r := des.Run(large(1, devices), des.Options{})
		for _, v := range r.Violations {
			b.Fatal(v)
		}
		runs, virtual, events = runs+1, virtual+r.Elapsed, events+r.Events
	}
	b.ReportMetric((used(b)-start).Seconds()/float64(runs), "cpu-s/run")
	b.ReportMetric(virtual.Seconds()/float64(runs), "virtual-s/run")
	b.ReportMetric(float64(events)/float64(runs), "events/run")
	b.ReportMetric(float64(rusage(b).Maxrss)/maxrssPerMiB, "peak-MiB")
}
