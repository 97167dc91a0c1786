package sim_test

import (
	"testing"

	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// TestShrinkKeepsTheFailure cuts a run in which a write is acknowledged too early down to a write and a loss of power, or less.
func TestShrinkKeepsTheFailure(t *testing.T) {
	fails := func(s *scenario.Scenario) bool {
		return des.Run(s, des.Options{Taps: lyingDisk(s), First: true}).Failed(oracle.Durability)
	}
	seed := uint64(1)
	for !fails(scenario.Generate(seed, scenario.DefaultSize)) {
		seed++
	}
	s := scenario.Generate(seed, scenario.DefaultSize)
	small := scenario.Shrink(s, fails)
	t.Logf("seed %d: from %d operations to %v", seed, len(s.Ops), small.Ops)
	if len(small.Ops) > 4 || !fails(small) {
		t.Errorf("%d operations are left: %v", len(small.Ops), small.Ops)
	}
}
