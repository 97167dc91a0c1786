package bubble_test

import (
	"flag"
	"log/slog"
	"slices"
	"testing"
	"time"

	"syncline/sim/bubble"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

var (
	seedFlag    = flag.Int64("seed", -1, "run one seed only, and tell what happened")
	seedsFlag   = flag.Int("seeds", 30, "seeds of the sweep")
	firstFlag   = flag.Uint64("first", 1, "the first seed of the sweep")
	devicesFlag = flag.Int("devices", 6, "devices in each scenario of the sweep")
	logFlag     = flag.Bool("log", false, "with -seed, log what the devices say")
)

// errorMax cuts an error that holds the stacks of all goroutines.
const errorMax = 64 << 10

// generate draws a scenario. In every other one all takes four times as long, so that faults outlast connections.
func generate(seed uint64) *scenario.Scenario {
	s := scenario.Generate(seed, scenario.Size{Devices: *devicesFlag, Writes: 40, Reads: 40, Chaos: 20 * time.Second})
	if seed%2 == 0 {
		stretch(s, 4)
	}
	return s
}

func stretch(s *scenario.Scenario, by time.Duration) {
	for i := range s.Ops {
		s.Ops[i].At *= by
		s.Ops[i].For *= by
	}
	s.End *= by
}

// TestSeeds runs scenarios drawn from seeds, with every fault there is, on real stacks, and lets the oracle judge them.
func TestSeeds(t *testing.T) {
	if *seedFlag >= 0 {
		tellSeed(t, uint64(*seedFlag))
		return
	}
	seeds := *seedsFlag
	if testing.Short() {
		seeds = min(seeds, 6)
	}
	coverage := oracle.Coverage{}
	var agreed []time.Duration
	var virtual time.Duration
	begun := time.Now()
	for seed := *firstFlag; seed < *firstFlag+uint64(seeds); seed++ {
		r, err := bubble.Driver{}.Run(t.Context(), generate(seed), nil)
		if err != nil {
			t.Errorf("%.*s", errorMax, err)
			continue
		}
		for _, v := range r.Violations[:min(3, len(r.Violations))] {
			t.Errorf("seed %d: %v\nreproduce: go test ./sim/bubble -run TestSeeds -seed=%d -v", seed, v, seed)
		}
		coverage.Join(r.Coverage)
		agreed = append(agreed, r.Converged)
		virtual += r.Elapsed
	}
	slices.Sort(agreed)
	took := time.Since(begun)
	if n := len(agreed); n > 0 {
		t.Logf("%d seeds, %.0f a minute, %.0f times real time; agreed after %v in the median, %v at the latest\n%v",
			n, float64(n)/took.Minutes(), virtual.Seconds()/took.Seconds(), agreed[n/2], agreed[n-1], coverage)
	}
	for _, what := range sometimes {
		if seeds >= 30 && coverage[what] == 0 {
			t.Errorf("in %d seeds there was no %s: a sweep without it proves little", seeds, what)
		}
	}
}

// sometimes lists what must happen in a sweep.
var sometimes = []string{"acknowledged", "read", "conflict", "conflict of three", "delete/update conflict", "transaction", "crash before the sync",
	"crash that loses something", "session", "session between equals", "gossip lost", "gossip twice", "partition", "stall", "disconnect", "reorder", "stream broken",
	"restore", "clone", "orderly restart", "disk full", "step that failed", "sync that failed",
	"clock jump", "view of a policy", "damaged record", "repair", "filled range by range"}

// tellSeed runs one seed and tells what happened.
func tellSeed(t *testing.T, seed uint64) {
	var d bubble.Driver
	if *logFlag {
		d.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s := generate(seed)
	for _, op := range s.Ops {
		t.Log(op)
	}
	r, err := d.Run(t.Context(), s, func(e oracle.Event) {
		t.Logf("%10.6f  %-8s device %d %s %v %s", e.At.Seconds(), e.Kind, e.Device, e.Path, e.Values, e.Text)
	})
	if err != nil {
		t.Fatalf("%.*s", errorMax, err)
	}
	t.Logf("%d steps in %v, agreed after %v: %v", r.Events, r.Elapsed, r.Converged, r.Coverage)
	for _, v := range r.Violations {
		t.Error(v)
	}
}
