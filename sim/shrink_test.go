package sim_test

import (
	"testing"

	"syncline/sim"
	"syncline/sim/des"
)

// TestShrinkKeepsTheFailure cuts a run in which a write is acknowledged too early down to a write and a loss of power, or less.
func TestShrinkKeepsTheFailure(t *testing.T) {
	fails := func(s *sim.Scenario) bool {
		return des.Run(s, des.Options{Taps: lyingDisk(s), First: true}).Failed(sim.Durability)
	}
	seed := uint64(1)
	for !fails(sim.Generate(seed, sim.DefaultSize)) {
		seed++
	}
	s := sim.Generate(seed, sim.DefaultSize)
	small := sim.Shrink(s, fails)
	t.Logf("seed %d: from %d operations to %v", seed, len(s.Ops), small.Ops)
	if len(small.Ops) > 4 || !fails(small) {
		t.Errorf("%d operations are left: %v", len(small.Ops), small.Ops)
	}
}
