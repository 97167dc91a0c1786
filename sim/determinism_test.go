package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"syncline/sim/des"
	"syncline/sim/oracle"
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

// TestTellingChangesNothing says that a run that is told, in words or as events, has the same trace as one that is not.
func TestTellingChangesNothing(t *testing.T) {
	lines := 0
	told := des.Run(scenario.Generate(5, scenario.DefaultSize), des.Options{Trace: func(string) { lines++ }})
	silent := des.Run(scenario.Generate(5, scenario.DefaultSize), des.Options{})
	if told.Trace != silent.Trace || lines == 0 {
		t.Errorf("trace %x with %d lines, %x without", told.Trace, lines, silent.Trace)
	}
	for seed := range uint64(12) {
		events := 0
		told := des.Run(scenario.Generate(seed, scenario.DefaultSize), des.Options{Events: func(oracle.Event) { events++ }})
		silent := des.Run(scenario.Generate(seed, scenario.DefaultSize), des.Options{})
		if told.Trace != silent.Trace || told.Events != silent.Events || events == 0 {
			t.Errorf("seed %d: trace %x with %d events, %x without", seed, told.Trace, events, silent.Trace)
		}
	}
}

// TestEventsTellTheRun follows runs by their events alone: they come in the order of time, every kind comes, and what they say of the
// devices in the end is what the devices hold.
func TestEventsTellTheRun(t *testing.T) {
	kinds := map[oracle.Kind]int{}
	for seed := range uint64(24) {
		s := scenario.Generate(seed, scenario.DefaultSize)
		maps := make([]map[string][]string, len(s.Devices))
		names := make([]string, len(s.Devices))
		last := time.Duration(0)
		r, err := des.Driver{}.Run(context.Background(), s, func(e oracle.Event) {
			kinds[e.Kind]++
			if e.At < last || e.Until != 0 && e.Until < e.At {
				t.Fatalf("seed %d: %+v after %v", seed, e, last)
			}
			last = e.At
			switch e.Kind {
			case oracle.EventStart:
				maps[e.Device], names[e.Device] = map[string][]string{}, e.State
			case oracle.EventState:
				maps[e.Device][e.Path], names[e.Device] = slices.Sorted(slices.Values(e.Values)), e.State
			}
		})
		if err != nil || len(r.Violations) > 0 {
			t.Fatalf("seed %d: %v, %v", seed, err, r.Violations)
		}
		for i, m := range maps {
			for _, path := range s.Paths {
				if want := slices.Compact(slices.Clone(r.Final[path])); !slices.Equal(m[path], want) {
					t.Errorf("seed %d: by its events device %d holds %q at %s, it holds %q", seed, i, m[path], path, want)
				}
			}
			if names[i] != names[0] {
				t.Errorf("seed %d: device %d holds %s, device 0 %s", seed, i, names[i], names[0])
			}
		}
	}
	for _, k := range []oracle.Kind{oracle.EventStart, oracle.EventStop, oracle.EventCrash, oracle.EventWrite, oracle.EventRefused, oracle.EventRead, oracle.EventGossip, oracle.EventMessage,
		oracle.EventLost, oracle.EventConnect, oracle.EventLose, oracle.EventFault, oracle.EventHeal, oracle.EventConflict, oracle.EventState, oracle.EventAgree} {
		if kinds[k] == 0 {
			t.Errorf("no event %q in %v", k, kinds)
		}
	}
}

// TestABrokenClaimIsAnEvent wants each violation to be told once.
func TestABrokenClaimIsAnEvent(t *testing.T) {
	s, broken := scenario.Generate(2, scenario.DefaultSize), 0
	r, err := des.Driver{Taps: earlyReply(s)}.Run(context.Background(), s, func(e oracle.Event) {
		if e.Kind == oracle.EventBroken {
			broken++
		}
	})
	if err != nil || broken != len(r.Violations) || broken == 0 {
		t.Errorf("%d events, %d violations, %v", broken, len(r.Violations), err)
	}
}

// TestARunEndsWithItsContext wants what was found until then.
func TestARunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	events := 0
	r, err := des.Driver{}.Run(ctx, scenario.Generate(3, scenario.DefaultSize), func(oracle.Event) {
		if events++; events == 100 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || r == nil || r.Elapsed == 0 || r.Final != nil {
		t.Errorf("%+v, %v", r, err)
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
