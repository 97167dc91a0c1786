package sim_test

import (
	"flag"
	"testing"

	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

var thousandFlag = flag.Bool("thousand", false, "run the scenario thousand-devices with all its devices")

// happens names, for each built-in scenario, something that must happen in it.
var happens = map[string]string{"clock-wrong": "clock jump", "crash-loop": "crash that loses something", "everyone-edits-one": "conflict of three",
	"flaky-wifi": "gossip lost", "long-offline": "session below the floor", "newcomer": "clone", "poll-only": "stream broken",
	"restored-backup": "restore", "thousand-devices": "partition", "two-laptops": "conflict"}

// TestBuiltinsHold runs the built-in scenarios with some seeds each: no check fails, and what the scenario is about happens. The
// thousand devices are a hundred here; -thousand runs them all.
func TestBuiltinsHold(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 3
	}
	for _, name := range scenario.Names() {
		t.Run(name, func(t *testing.T) {
			o, seeds := scenario.Overrides{}, seeds
			if name == "thousand-devices" {
				o.Devices, seeds = 100, 1
				if *thousandFlag {
					o.Devices = 0
				}
			}
			events, coverage := 0, oracle.Coverage{}
			for seed := uint64(1); seed <= seeds; seed++ {
				s, err := scenario.Builtin(name, seed, o)
				if err != nil {
					t.Fatal(err)
				}
				r := des.Run(s, des.Options{})
				if len(r.Violations) > 0 {
					fail(t, r, s, des.Options{})
				}
				if r.Coverage["acknowledged"] == 0 {
					t.Errorf("seed %d: nothing was written", seed)
				}
				events += r.Events
				coverage.Join(r.Coverage)
			}
			t.Logf("%d events a seed: %v", events/int(seeds), coverage)
			if coverage[happens[name]] == 0 {
				t.Errorf("there was no %s", happens[name])
			}
		})
	}
}

// TestMoreDevicesTakeSides: the devices that are added to a scenario are set apart like the others, so what it is about still happens.
func TestMoreDevicesTakeSides(t *testing.T) {
	for _, name := range []string{"two-laptops", "everyone-edits-one"} {
		coverage := oracle.Coverage{}
		for seed := uint64(1); seed <= 3; seed++ {
			s, err := scenario.Builtin(name, seed, scenario.Overrides{Devices: 9})
			if err != nil {
				t.Fatal(err)
			}
			r := des.Run(s, des.Options{})
			if len(r.Violations) > 0 {
				fail(t, r, s, des.Options{})
			}
			coverage.Join(r.Coverage)
		}
		if coverage[happens[name]] == 0 {
			t.Errorf("%s: there was no %s", name, happens[name])
		}
	}
}
