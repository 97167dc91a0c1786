package bubble_test

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"syncline/sim/bubble"
	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// tooLarge says of the built-in scenarios that this driver cannot carry out what its error names.
var tooLarge = map[string]string{"long-offline": "up to 24 hours", "thousand-devices": "1 to 256 devices"}

// happens names, for each of the others, something that must happen in it.
var happens = map[string]string{"clock-wrong": "clock jump", "crash-loop": "crash before the sync", "everyone-edits-one": "conflict of three",
	"flaky-wifi": "gossip lost", "newcomer": "clone", "poll-only": "stream broken", "restored-backup": "restore", "two-laptops": "conflict"}

func builtin(t *testing.T, name string, seed uint64) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Builtin(name, seed, scenario.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBuiltinsHold runs the built-in scenarios with a seed each: no check fails, and what the scenario is about happens. Those that are
// too large are refused, with the reason.
func TestBuiltinsHold(t *testing.T) {
	for _, name := range scenario.Names() {
		t.Run(name, func(t *testing.T) {
			s := builtin(t, name, 1)
			if reason := tooLarge[name]; reason != "" {
				if _, err := (bubble.Driver{}).Run(t.Context(), s, nil); err == nil || !strings.Contains(err.Error(), reason) {
					t.Errorf("error %v, want one that names %q", err, reason)
				}
				return
			}
			begun := time.Now()
			r, events := mustAgree(t, s)
			t.Logf("agreed %v after the end, %v for %v: %v", r.Converged, time.Since(begun).Round(time.Millisecond), r.Elapsed, r.Coverage)
			if r.Coverage["acknowledged"] == 0 || r.Coverage[happens[name]] == 0 {
				t.Errorf("nothing was acknowledged, or there was no %s", happens[name])
			}
			if s.NoGossip && count(events, oracle.EventWrite) > 0 && (r.Coverage["gossip lost"] > 0 || r.Coverage["gossip twice"] > 0) {
				t.Error("somebody gossiped")
			}
		})
	}
}

// small returns a built-in scenario as this driver can carry it out: with forty devices instead of a thousand, and with a year in a
// quarter of an hour.
func small(t *testing.T, name string, seed uint64) *scenario.Scenario {
	t.Helper()
	var o scenario.Overrides
	if name == "thousand-devices" {
		o.Devices = 40
	}
	s, err := scenario.Builtin(name, seed, o)
	if err != nil {
		t.Fatal(err)
	}
	if name == "long-offline" {
		shorten(s)
	}
	return s
}

// shorten lets what happens after the first ten seconds happen forty thousand times as fast, in the same order.
func shorten(s *scenario.Scenario) {
	short := func(at time.Duration) time.Duration { return min(at, 10*time.Second+at/40_000) }
	for i := range s.Ops {
		o := &s.Ops[i]
		o.At, o.For = short(o.At), short(o.At+o.For)-short(o.At)
	}
	s.End, s.AntiEntropy = short(s.End), short(s.AntiEntropy)
}

// luckMax is how many runs with other luck must end alike in des before a scenario is said not to depend on luck; seedsMax is how many
// seeds of a built-in scenario are tried for one that does not.
const (
	luckMax  = 100
	seedsMax = 10
)

// variants are what is made of built-in scenarios that end differently with other luck, whatever the seed: which of two writes knows of
// the other depends on it, and so does what a device still holds that is set back. The others are compared as they are.
var variants = map[string]func(*scenario.Scenario){
	"poll-only":        slow,
	"restored-backup":  slow,
	"flaky-wifi":       apartPaths,
	"thousand-devices": apartPaths,
}

// slow lets everything happen thirty times as slow: what is apart is apart for both drivers then.
func slow(s *scenario.Scenario) { stretch(s, 30) }

// apartPaths gives each device paths of its own in the place of those that all write, so that nobody is faster than somebody else.
func apartPaths(s *scenario.Scenario) {
	paths := map[string]bool{}
	own := func(device int, path string) string {
		path = fmt.Sprintf("%s.%d", path, device)
		paths[path] = true
		return path
	}
	for i := range s.Ops {
		o := &s.Ops[i]
		for k := range o.Parts {
			o.Parts[k].Path = own(o.Device, o.Parts[k].Path)
		}
		if o.Do == scenario.DoRead {
			o.Path = own(o.Device, o.Path)
		}
	}
	s.Paths = slices.Sorted(maps.Keys(paths))
}

// steady returns a seed of a built-in scenario that ends in one way, and what des makes of it. Its values have names that are
// the same in all runs.
func steady(t *testing.T, name string) (*scenario.Scenario, *oracle.Report) {
	t.Helper()
	for seed := uint64(1); seed <= seedsMax; seed++ {
		s := small(t, name, seed)
		plain(s)
		if variant := variants[name]; variant != nil {
			variant(s)
		}
		if r := alike(t, s); r != nil {
			return s, r
		}
	}
	t.Fatalf("with each of %d seeds it depends on luck in what it ends", seedsMax)
	return nil, nil
}

// plain gives every value that somebody writes a name of its own, and lets nobody write beside other values: the import by which that is
// done here writes those anew.
func plain(s *scenario.Scenario) {
	for i := range s.Ops {
		for k := range s.Ops[i].Parts {
			p := &s.Ops[i].Parts[k]
			if p.Verb == scenario.Sibling {
				p.Verb = scenario.Put
			}
			switch p.Verb {
			case scenario.Delete, scenario.DeleteAll, scenario.Keep:
			default:
				p.Value = cmp.Or(p.Value, fmt.Sprintf("w%d.%d", i, k))
			}
		}
	}
}

// alike returns the report of des if all luck ends in the same state, else nil. In every other run messages take four times as long: real
// stacks need several of them for one.
func alike(t *testing.T, s *scenario.Scenario) *oracle.Report {
	t.Helper()
	var first *oracle.Report
	for luck := range uint64(luckMax) {
		c := *s
		c.Seed += 1000 * luck
		if luck%2 == 1 {
			c.Network.LatencyMin, c.Network.LatencyMax = 4*c.Network.LatencyMin, 4*c.Network.LatencyMax
		}
		r := des.Run(&c, des.Options{})
		if len(r.Violations) > 0 {
			t.Fatalf("des: %v", r.Violations)
		}
		if first == nil {
			first = r
		} else if !reflect.DeepEqual(first.Final, r.Final) {
			return nil
		}
	}
	return first
}

// TestBuiltinsAreCalibrated: what a built-in scenario comes to does not depend on the driver, where it does not depend on luck.
func TestBuiltinsAreCalibrated(t *testing.T) {
	for _, name := range scenario.Names() {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && tooLarge[name] != "" {
				t.Skip("takes some ten seconds: run it without -short")
			}
			s, simulated := steady(t, name)
			begun := time.Now()
			real, _ := mustAgree(t, s)
			if !reflect.DeepEqual(simulated.Final, real.Final) {
				t.Errorf("seed %d: des ends with %v, real stacks with %v", s.Seed, simulated.Final, real.Final)
			}
			if len(real.Final) == 0 {
				t.Error("nothing is left to compare")
			}
			t.Logf("seed %d, %d paths: the devices agree %v after the end in des, %v on real stacks; %v", s.Seed, len(real.Final),
				simulated.Converged, real.Converged, time.Since(begun).Round(time.Millisecond))
		})
	}
}
