package bubble_test

import (
	"reflect"
	"testing"
	"time"

	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// apart says that two devices of four are cut off from the others from second 10 to second 70.
var apart = scenario.Op{At: 10 * time.Second, Do: scenario.DoPartition, Groups: [][]int{{0, 1}, {2, 3}}, For: 60 * time.Second}

// calibrations are scenarios whose final state does not depend on who is faster. Each ends when its fault does, so that the time until
// the devices agree counts from there.
var calibrations = map[string][]scenario.Op{
	"partition": {
		write(5*time.Second, 0, scenario.Put, "a"), apart,
		write(30*time.Second, 1, scenario.Put, "b"), write(40*time.Second, 2, scenario.Put, "c"), write(50*time.Second, 0, scenario.Put, "a"),
	},
	"edits apart": {
		write(5*time.Second, 0, scenario.Put, "a"), write(6*time.Second, 1, scenario.Put, "b"), apart,
		write(30*time.Second, 1, scenario.Put, "a"), write(40*time.Second, 2, scenario.Put, "a"), write(50*time.Second, 3, scenario.PutAll, "a"),
		write(55*time.Second, 0, scenario.Put, "b"), write(56*time.Second, 3, scenario.Put, "b"),
	},
	"deletes": {
		write(5*time.Second, 0, scenario.Put, "a"), write(6*time.Second, 1, scenario.Put, "b"), write(7*time.Second, 2, scenario.Put, "c"), apart,
		write(30*time.Second, 1, scenario.Delete, "a"), write(40*time.Second, 2, scenario.Delete, "b"), write(45*time.Second, 1, scenario.Put, "b"),
		write(50*time.Second, 3, scenario.Delete, "c"), write(55*time.Second, 0, scenario.Delete, "c"),
	},
	"crash": {
		write(5*time.Second, 0, scenario.Put, "a"), {At: 10 * time.Second, Do: scenario.DoCrash, Device: 0, For: 60 * time.Second},
		write(30*time.Second, 1, scenario.Put, "a"), write(40*time.Second, 2, scenario.Put, "b"),
	},
	"polling": {
		write(5*time.Second, 0, scenario.Put, "a"), write(6*time.Second, 1, scenario.Put, "b"), apart,
		write(30*time.Second, 1, scenario.Put, "a"), write(40*time.Second, 2, scenario.Put, "a"), write(50*time.Second, 3, scenario.Delete, "b"),
		write(55*time.Second, 2, scenario.Put, "c"),
	},
	"newcomer": {
		write(5*time.Second, 0, scenario.Put, "a"), write(10*time.Second, 1, scenario.Put, "b"), write(20*time.Second, 2, scenario.Delete, "a"),
		{At: 70 * time.Second, Do: scenario.DoJoin, Device: 3},
	},
}

// TestCalibration: the same scenarios end in the same state on real stacks and in the simulation by discrete events. How long the
// devices take to agree is logged; docs/TESTING.md keeps the figures.
func TestCalibration(t *testing.T) {
	for name, ops := range calibrations {
		t.Run(name, func(t *testing.T) {
			s := calm(4, "a", "b", "c")
			s.Ops, s.End = ops, 70*time.Second
			for i := range s.Devices {
				if name == "polling" {
					s.Devices[i].Poll = 2 * time.Second
				}
			}
			simulated := des.Run(s, des.Options{})
			for _, v := range simulated.Violations {
				t.Errorf("des: %v", v)
			}
			real, events := mustAgree(t, s)
			for _, e := range events {
				if name == "partition" && e.Kind == oracle.EventState && e.Path == "c" && e.Device < 2 && e.At < s.End {
					t.Errorf("device %d holds c at %v, which was written beyond the partition", e.Device, e.At)
				}
			}
			if !reflect.DeepEqual(simulated.Final, real.Final) {
				t.Errorf("des ends with %v, real stacks with %v", simulated.Final, real.Final)
			}
			if len(real.Final) == 0 {
				t.Error("nothing is left to compare")
			}
			t.Logf("the devices agree %v after the end in des, %v on real stacks", simulated.Converged, real.Converged)
		})
	}
}
