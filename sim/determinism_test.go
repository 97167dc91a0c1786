package sim_test

import (
	"encoding/json"
	"runtime"
	"testing"

	"syncline/sim/des"
	"syncline/sim/scenario"
)

// TestRunsAreDeterministic runs seeds several times, with one processor and with two, and wants the same trace: everything that
// arrived anywhere, and when.
func TestRunsAreDeterministic(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for seed := range uint64(12) {
		var want uint64
		for i, procs := range []int{1, 2, 2} {
			runtime.GOMAXPROCS(procs)
			r := des.Run(scenario.Generate(seed, scenario.DefaultSize), des.Options{})
			if i == 0 {
				want = r.Trace
			}
			if r.Trace != want {
				t.Fatalf("seed %d: trace %x with %d processors, %x with one", seed, r.Trace, procs, want)
			}
		}
	}
}

// TestTracesTellRunsApart says that the trace depends on what happens.
func TestTracesTellRunsApart(t *testing.T) {
	seen := map[uint64]uint64{}
	for seed := range uint64(12) {
		r := des.Run(scenario.Generate(seed, scenario.DefaultSize), des.Options{})
		if other, ok := seen[r.Trace]; ok {
			t.Errorf("seeds %d and %d have the same trace", seed, other)
		}
		seen[r.Trace] = seed
	}
}

// TestTellingChangesNothing says that a run that is told has the same trace as one that is not.
func TestTellingChangesNothing(t *testing.T) {
	lines := 0
	told := des.Run(scenario.Generate(5, scenario.DefaultSize), des.Options{Trace: func(string) { lines++ }})
	silent := des.Run(scenario.Generate(5, scenario.DefaultSize), des.Options{})
	if told.Trace != silent.Trace || lines == 0 {
		t.Errorf("trace %x with %d lines, %x without", told.Trace, lines, silent.Trace)
	}
}

// TestScenariosSurviveJSON says that a scenario that was written down and read again runs the same.
func TestScenariosSurviveJSON(t *testing.T) {
	s := scenario.Generate(3, scenario.DefaultSize)
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var again scenario.Scenario
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if got, want := des.Run(&again, des.Options{}).Trace, des.Run(s, des.Options{}).Trace; got != want {
		t.Errorf("trace %x, want %x", got, want)
	}
}

// TestFatesDoNotDependOnOtherOperations takes one read out of a scenario: reads change nothing, so everything else must happen as
// before.
func TestFatesDoNotDependOnOtherOperations(t *testing.T) {
	s := scenario.Generate(7, scenario.DefaultSize)
	before := des.Run(s, des.Options{})
	for i, op := range s.Ops {
		if op.Do == scenario.DoRead {
			s.Ops = append(s.Ops[:i:i], s.Ops[i+1:]...)
			break
		}
	}
	after := des.Run(s, des.Options{})
	if after.Events != before.Events-1 || after.Converged != before.Converged {
		t.Errorf("%d events and agreement after %v, want %d and %v", after.Events, after.Converged, before.Events-1, before.Converged)
	}
}
