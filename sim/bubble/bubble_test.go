package bubble_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"syncline/sim"
	"syncline/sim/bubble"
	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

var _ sim.Driver = bubble.Driver{}

// calm is a scenario in which nothing happens: a good network, disks that take a few milliseconds, and right clocks.
func calm(devices int, paths ...string) *scenario.Scenario {
	return &scenario.Scenario{Seed: 1, Devices: make([]scenario.Device, devices), Paths: paths, AntiEntropy: 5 * time.Second, DeleteLog: 1 << 16,
		Network:     scenario.Network{LatencyMin: 2 * time.Millisecond, LatencyMax: 20 * time.Millisecond, SyncMin: time.Millisecond, SyncMax: 4 * time.Millisecond},
		ConvergeMax: 2 * time.Minute}
}

// write returns an operation by which a device does one thing at one path.
func write(at time.Duration, device int, verb scenario.Verb, path string) scenario.Op {
	return scenario.Op{At: at, Do: scenario.DoWrite, Device: device, Parts: []scenario.Part{{Path: path, Verb: verb}}}
}

// mustAgree runs a scenario and wants nothing to be wrong.
func mustAgree(t *testing.T, s *scenario.Scenario) (*oracle.Report, []oracle.Event) {
	t.Helper()
	var events []oracle.Event
	r, err := bubble.Driver{}.Run(t.Context(), s, func(e oracle.Event) { events = append(events, e) })
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Violations {
		t.Error(v)
	}
	return r, events
}

// split returns a scenario of many devices, each with links to a few others, that are together for 30 s, in two halves for 60 s, and
// together again. Somebody writes all the time.
func split(devices, degree int) *scenario.Scenario {
	s := calm(devices, "a", "b", "c", "d")
	s.End = 120 * time.Second
	r := rand.New(rand.NewPCG(1, uint64(devices)))
	for i := range devices {
		s.Network.Links = append(s.Network.Links, [2]int{i, (i + 1) % devices})
		for range degree/2 - 1 {
			if j := r.IntN(devices); j != i {
				s.Network.Links = append(s.Network.Links, [2]int{i, j})
			}
		}
	}
	half := [][]int{nil, nil}
	for i := range devices {
		half[i%2] = append(half[i%2], i)
	}
	for i := range 30 {
		s.Ops = append(s.Ops, write(time.Duration(5+4*i)*time.Second, r.IntN(devices), scenario.Put, s.Paths[i%len(s.Paths)]))
	}
	s.Ops = append(s.Ops, scenario.Op{At: 30 * time.Second, Do: scenario.DoPartition, Groups: half, For: 60 * time.Second})
	slices.SortStableFunc(s.Ops, func(a, b scenario.Op) int { return int(a.At - b.At) })
	return s
}

// TestFiftyDevices: real stacks of fifty devices are connected, split in two halves and healed, and agree.
func TestFiftyDevices(t *testing.T) {
	devices := 50
	if testing.Short() {
		devices = 12
	}
	s := split(devices, 6)
	begun := time.Now()
	r, events := mustAgree(t, s)
	t.Logf("%d devices, %d steps, %v of virtual time in %v; agreed %v after the end", devices, r.Events, r.Elapsed, time.Since(begun).Round(time.Millisecond), r.Converged)
	if n := count(events, oracle.EventLose); n < devices {
		t.Errorf("connections were lost %d times in the partition; it did nothing", n)
	}
}

func count(events []oracle.Event, kind oracle.Kind) int {
	n := 0
	for _, e := range events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// TestGoneForAnHour: real stacks whose network is gone for an hour, and which all write meanwhile, find each other again without help, after all
// time-outs and at the longest back-off.
func TestGoneForAnHour(t *testing.T) {
	s := calm(3, "a", "b", "c", "d")
	s.AntiEntropy, s.End = 30*time.Second, time.Hour+time.Minute
	s.Ops = []scenario.Op{
		write(5*time.Second, 0, scenario.Put, "a"), write(6*time.Second, 1, scenario.Put, "b"),
		{At: time.Minute, Do: scenario.DoPartition, Groups: [][]int{{0}, {1}, {2}}, For: time.Hour},
		write(20*time.Minute, 0, scenario.Put, "a"), write(30*time.Minute, 1, scenario.Put, "a"), write(40*time.Minute, 2, scenario.Delete, "b"),
		write(50*time.Minute, 2, scenario.Put, "c"), write(55*time.Minute, 1, scenario.Put, "d"),
	}
	r, _ := mustAgree(t, s)
	if len(r.Final["a"]) != 2 || r.Final["b"] != nil || len(r.Final["c"]) != 1 || len(r.Final["d"]) != 1 {
		t.Errorf("in the end there is %v", r.Final)
	}
	t.Logf("all agree %v after an hour apart", r.Converged)
}

// TestEventsTellTheStory: whoever listens is told of everything that people need to see, in the order of time.
func TestEventsTellTheStory(t *testing.T) {
	s := calm(3, "a")
	s.End = 40 * time.Second
	s.Ops = []scenario.Op{
		write(time.Second, 0, scenario.Put, "a"),
		{At: 2 * time.Second, Do: scenario.DoRead, Device: 1, Path: "a"},
		{At: 3 * time.Second, Do: scenario.DoPartition, Groups: [][]int{{0}, {1, 2}}, For: 20 * time.Second},
		write(4*time.Second, 0, scenario.Put, "a"),
		write(4*time.Second, 1, scenario.Put, "a"),
		{At: 5 * time.Second, Do: scenario.DoCrash, Device: 2, For: time.Second},
		{At: 30 * time.Second, Do: scenario.DoRestart, Device: 1, For: time.Second},
	}
	_, events := mustAgree(t, s)
	for _, kind := range []oracle.Kind{oracle.EventStart, oracle.EventStop, oracle.EventCrash, oracle.EventWrite, oracle.EventRead, oracle.EventConnect,
		oracle.EventLose, oracle.EventFault, oracle.EventHeal, oracle.EventConflict, oracle.EventState, oracle.EventAgree} {
		if count(events, kind) == 0 {
			t.Errorf("no event %q", kind)
		}
	}
	if !slices.IsSortedFunc(events, func(a, b oracle.Event) int { return int(a.At - b.At) }) {
		t.Error("events are not in the order of time")
	}
	if i := slices.IndexFunc(events, func(e oracle.Event) bool { return e.Kind == oracle.EventRead }); i >= 0 && !slices.Equal(events[i].Values, []string{"v0.0"}) {
		t.Errorf("device 1 reads %v a second after device 0 wrote v0.0", events[i].Values)
	}
}

// TestWhatCannotBeCarriedOutIsSaid: a scenario with an action that the driver does not know has no verdict.
func TestWhatCannotBeCarriedOutIsSaid(t *testing.T) {
	for name, edit := range map[string]func(*scenario.Scenario){
		"earthquake": func(s *scenario.Scenario) { s.Ops = []scenario.Op{{At: time.Second, Do: "earthquake"}} },
		"doodle":     func(s *scenario.Scenario) { s.Ops = []scenario.Op{write(time.Second, 0, "doodle", "a")} },
		"beginning": func(s *scenario.Scenario) {
			s.Ops = []scenario.Op{{Do: scenario.DoJoin, Device: 0}, {Do: scenario.DoJoin, Device: 1}}
		},
		"24 hours":    func(s *scenario.Scenario) { s.End = 365 * 24 * time.Hour },
		"not 0":       func(s *scenario.Scenario) { s.Devices = nil },
		"has no link": func(s *scenario.Scenario) { s.Network.Links = [][2]int{} },
	} {
		s := calm(2, "a")
		edit(s)
		r, err := bubble.Driver{}.Run(t.Context(), s, nil)
		if err == nil || r != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("report %v, error %v; want one that names %q", r, err, name)
		}
	}
}

// TestRunEndsWithItsContext: a run that nobody waits for any more ends early, cleans up and has no verdict.
func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := calm(2, "a")
	s.End = time.Hour
	s.Ops = []scenario.Op{write(time.Second, 0, scenario.Put, "a"), write(time.Minute, 0, scenario.Put, "a")}
	writes := 0
	r, err := bubble.Driver{}.Run(ctx, s, func(e oracle.Event) {
		if e.Kind == oracle.EventWrite {
			writes++
			cancel()
		}
	})
	if r != nil || !errors.Is(err, context.Canceled) || writes != 1 {
		t.Errorf("after %d writes: report %v, error %v", writes, r, err)
	}
}

// TestEveryActionIsCarriedOut: each kind of action leaves its mark in a run without a failure.
func TestEveryActionIsCarriedOut(t *testing.T) {
	s := calm(5, "a", "b")
	at := time.Duration(0)
	next := func(o scenario.Op) {
		at += time.Second
		o.At = at
		s.Ops = append(s.Ops, o)
	}
	for i, verb := range []scenario.Verb{scenario.Put, scenario.PutIf, scenario.Sibling, scenario.Resolve, scenario.Sibling, scenario.Keep, scenario.PutAll, scenario.Delete,
		scenario.Put, scenario.DeleteAll} {
		next(write(0, i%3, verb, "a"))
	}
	for i, o := range []scenario.Op{{Do: scenario.DoJoin, Device: 3}, {Do: scenario.DoClone, Device: 4, Of: 1}, {Do: scenario.DoSync, Device: 1},
		{Do: scenario.DoLoss, Amount: 1000, For: 1500 * time.Millisecond}, {Do: scenario.DoDuplicate, Amount: 1000, For: 1500 * time.Millisecond}, {Do: scenario.DoReorder, Amount: 100, For: 2 * time.Second},
		{Do: scenario.DoSlow, Amount: 100, For: 2 * time.Second}, {Do: scenario.DoReset, Device: 1}, {Do: scenario.DoBackup, Device: 2},
		{Do: scenario.DoDisconnect, Device: 0, For: 20 * time.Second}, {Do: scenario.DoStall, Groups: [][]int{{0, 1}, {2, 3, 4}}, For: 2 * time.Second},
		{Do: scenario.DoHeal}, {Do: scenario.DoRestore, Device: 2, For: time.Second}, {Do: scenario.DoDiskFull, Device: 1, For: 3 * time.Second},
		{Do: scenario.DoClock, Device: 0, Amount: -90_000}, {Do: scenario.DoSyncFail, Device: 0, For: 1500 * time.Millisecond}} {
		next(o)
		next(write(0, i%3, scenario.Put, "b"))
	}
	s.Paths = append(s.Paths, "least", "merged", "stuck", "whole")
	next(scenario.Op{Do: scenario.DoPolicy, Device: 0, Path: "least", Policy: "min"})
	next(scenario.Op{Do: scenario.DoPolicy, Device: 1, Path: "merged", Policy: "merge:join"})
	next(scenario.Op{Do: scenario.DoPolicy, Device: 2, Path: "stuck", Policy: "merge:hang"})
	for _, path := range []string{"least", "merged", "stuck"} {
		next(write(0, 1, scenario.Put, path))
		next(write(0, 2, scenario.Sibling, path))
	}
	next(scenario.Op{Do: scenario.DoRead, Device: 2, Path: "least"})
	next(write(0, 2, scenario.Put, "whole"))
	next(scenario.Op{Do: scenario.DoDamage, Device: 1, Path: "whole"})
	next(scenario.Op{Do: scenario.DoRead, Device: 1, Path: "whole"})
	next(scenario.Op{Do: scenario.DoRepair, Device: 1})
	next(scenario.Op{Do: scenario.DoRead, Device: 1, Path: "whole"})
	s.End = at + 20*time.Second
	r, events := mustAgree(t, s)
	if len(r.Final["merged"]) != 1 || len(r.Final["stuck"]) != 2 || len(r.Final["whole"]) != 1 {
		t.Errorf("in the end there is %v", r.Final)
	}
	for _, what := range []string{"view of a policy", "merge by a policy", "merge given up", "damaged record", "read of a damaged record", "repair", "clone", "disconnect", "stall", "reorder", "restore", "disk full", "clock jump", "sync that failed", "gossip lost", "gossip twice", "conflict", "write"} {
		if r.Coverage[what] == 0 {
			t.Errorf("there was no %s: %v", what, r.Coverage)
		}
	}
	full := slices.ContainsFunc(events, func(e oracle.Event) bool { return e.Kind == oracle.EventRefused && e.Device == 1 })
	if !full {
		t.Error("device 1 wrote to a full disk")
	}
	if got, want := fmt.Sprint(r.Final["a"]), "[]"; got != want {
		t.Errorf("a holds %v in the end, want %v", got, want)
	}
}

// TestWhatLastsIsHealed: without a length, faults last until they are healed, or until the end.
func TestWhatLastsIsHealed(t *testing.T) {
	s := calm(3, "a", "b", "c")
	s.End = 60 * time.Second
	s.Ops = []scenario.Op{
		{At: time.Second, Do: scenario.DoPartition, Groups: [][]int{{0}, {1, 2}}},
		{At: time.Second, Do: scenario.DoStall, Groups: [][]int{{1}, {2}}},
		{At: time.Second, Do: scenario.DoDiskFull, Device: 2},
		write(2*time.Second, 0, scenario.Put, "a"),
		write(2*time.Second, 2, scenario.Put, "c"),
		{At: 3 * time.Second, Do: scenario.DoPartition, Groups: [][]int{{0}, {1, 2}}, For: 20 * time.Second}, // ends earlier
		{At: 10 * time.Second, Do: scenario.DoHeal},
		{At: 20 * time.Second, Do: scenario.DoRead, Device: 1, Path: "a"},
		{At: 30 * time.Second, Do: scenario.DoDisconnect, Device: 0},
		{At: 30 * time.Second, Do: scenario.DoSlow, Amount: 100},
		write(31*time.Second, 0, scenario.Put, "b"),
	}
	r, events := mustAgree(t, s)
	if got, want := fmt.Sprint(r.Final), "map[a:[v0.0] b:[v2.0]]"; got != want {
		t.Errorf("in the end the devices hold %s, want %s: the disk of device 2 was full", got, want)
	}
	for _, e := range events {
		if e.Kind == oracle.EventState && e.Device != 0 && (e.Path == "a" && e.At < 10*time.Second || e.Path == "b" && e.At < s.End) {
			t.Errorf("device %d holds %s at %v", e.Device, e.Path, e.At)
		}
		if e.Kind == oracle.EventRead && len(e.Values) == 0 {
			t.Errorf("device %d does not hold a ten seconds after all was healed", e.Device)
		}
	}
}

// TestASyncThatFails: what a disk did not confirm is acknowledged by nobody, nothing more is written, and the device goes on after a
// start.
func TestASyncThatFails(t *testing.T) {
	s := calm(2, "a", "b")
	s.End = 30 * time.Second
	s.Ops = []scenario.Op{
		{At: time.Second, Do: scenario.DoSyncFail, Device: 0, For: 9 * time.Second},
		write(2*time.Second, 0, scenario.Put, "a"), // is not confirmed
		write(3*time.Second, 0, scenario.Put, "b"), // is refused
		write(4*time.Second, 1, scenario.Put, "b"),
		write(15*time.Second, 0, scenario.Put, "a"),
		{At: 20 * time.Second, Do: scenario.DoSyncFail, Device: 1, For: 5 * time.Second},
		write(21*time.Second, 1, scenario.Put, "b"),
		{At: 22 * time.Second, Do: scenario.DoRestart, Device: 1, For: time.Second}, // which loses what the disk did not take
	}
	r, events := mustAgree(t, s)
	if n := count(events, oracle.EventRefused); n != 3 {
		t.Errorf("%d writes were refused, want 3", n)
	}
	if n := count(events, oracle.EventCrash); n != 2 {
		t.Errorf("%d devices lost power, want 2", n)
	}
	if got := fmt.Sprint(r.Final["a"]); got != "[v3.0]" {
		t.Errorf("a holds %s", got)
	}
}

// TestContents: a value is what the scenario says, or as long as it says; whoever keeps one keeps the same; a transaction settles
// conflicts.
func TestContents(t *testing.T) {
	s := calm(2, "a", "b", "large")
	s.End = 60 * time.Second
	put := func(at time.Duration, device int, verb scenario.Verb, value string, paths ...string) scenario.Op {
		o := scenario.Op{At: at, Do: scenario.DoWrite, Device: device}
		for _, p := range paths {
			o.Parts = append(o.Parts, scenario.Part{Path: p, Verb: verb, Value: value})
		}
		return o
	}
	s.Ops = []scenario.Op{
		{At: time.Second, Do: scenario.DoWrite, Parts: []scenario.Part{{Path: "large", Verb: scenario.Put, Size: 200_000}}},
		{At: 2 * time.Second, Do: scenario.DoPartition, Groups: [][]int{{0}, {1}}, For: 20 * time.Second},
		put(3*time.Second, 0, scenario.Put, "one", "a", "b"), put(3*time.Second, 1, scenario.Put, "two", "a", "b"),
		put(40*time.Second, 0, scenario.Keep, "", "a"), put(40*time.Second, 1, scenario.Keep, "", "a"),
		put(41*time.Second, 0, scenario.Resolve, "settled", "b", "large"), // large has nothing to settle, so that nothing happens
		put(42*time.Second, 0, scenario.Put, "last", "large"),
	}
	r, _ := mustAgree(t, s)
	if got := fmt.Sprint(r.Final["b"]); got != "[one two]" {
		t.Errorf("b holds %s, which half a transaction settled", got)
	}
	if a := r.Final["a"]; len(slices.Compact(slices.Clone(a))) != 1 {
		t.Errorf("a holds %v; both kept the same", a)
	}
	s.Ops = append(s.Ops[:len(s.Ops)-1], put(43*time.Second, 1, scenario.Resolve, "settled", "b"), put(44*time.Second, 1, scenario.Resolve, "again", "b"))
	r, _ = mustAgree(t, s)
	if got := fmt.Sprint(r.Final["b"], len(r.Final["large"][0])); got != "[settled] 200000" {
		t.Errorf("b and the length of large are %s", got)
	}
}

// TestRestartsInAStorm: devices that stop, or lose power, again and again while packets are slow, stalled and out of order are never
// taken for two devices with one key, and find each other again.
func TestRestartsInAStorm(t *testing.T) {
	s := calm(4, "a", "b")
	s.End = 3 * time.Minute
	r := rand.New(rand.NewPCG(7, 7))
	for at := 2 * time.Second; at < 170*time.Second; at += time.Duration(500+r.IntN(2500)) * time.Millisecond {
		o := scenario.Op{At: at, Device: r.IntN(4), For: time.Duration(10+r.IntN(3000)) * time.Millisecond}
		switch r.IntN(6) {
		case 0, 1:
			o.Do, o.Amount = scenario.DoCrash, 500
		case 2, 3:
			o.Do = scenario.DoRestart
		case 4:
			o.Do, o.Groups, o.For = scenario.DoStall, [][]int{{r.IntN(2)}, {2, 3}}, 3*o.For
		case 5:
			o.Do, o.Amount = scenario.DoReorder, 1500
		}
		s.Ops = append(s.Ops, o, write(at+time.Millisecond, r.IntN(4), scenario.Put, s.Paths[r.IntN(2)]))
	}
	rep, events := mustAgree(t, s)
	t.Logf("%d stops, %d crashes; agreed after %v", count(events, oracle.EventStop), count(events, oracle.EventCrash), rep.Converged)
}

// TestDriversTellTheSame: what people do, and what a scenario does to devices, is told as package des tells it, to the word.
func TestDriversTellTheSame(t *testing.T) {
	s := calm(3, "a", "b", "lww")
	at := time.Duration(0)
	next := func(o scenario.Op) {
		at += 10 * time.Second
		o.At = at
		s.Ops = append(s.Ops, o)
	}
	both := scenario.Op{Do: scenario.DoWrite, Device: 1, Parts: []scenario.Part{{Path: "a", Verb: scenario.Put}, {Path: "b", Verb: scenario.PutAll, Value: "x"}}}
	next(both)
	for _, verb := range []scenario.Verb{scenario.Sibling, scenario.Keep, scenario.Sibling, scenario.Resolve, scenario.DeleteAll} {
		next(write(0, 1, verb, "a"))
	}
	for _, o := range []scenario.Op{{Do: scenario.DoPolicy, Device: 0, Path: "b", Policy: "newest"}, {Do: scenario.DoDisconnect, Device: 2, For: time.Second},
		{Do: scenario.DoStall, Groups: [][]int{{0}, {1, 2}}}, {Do: scenario.DoHeal}, {Do: scenario.DoLoss, Amount: 500, For: time.Second},
		{Do: scenario.DoDiskFull, Device: 2, For: 3 * time.Second}, {Do: scenario.DoCrash, Device: 2, For: time.Second}, {Do: scenario.DoRestart, Device: 0},
		{Do: scenario.DoClock, Device: 1, Amount: -2000}, {Do: scenario.DoReset, Device: 1}, {Do: scenario.DoBackup, Device: 1},
		{Do: scenario.DoRestore, Device: 1, For: time.Second}, {Do: scenario.DoSyncFail, Device: 0, For: time.Second}, {Do: scenario.DoDamage, Device: 1, Path: "b"},
		{Do: scenario.DoRepair, Device: 1}} {
		next(o)
	}
	s.End = at + 10*time.Second
	_, real := mustAgree(t, s)
	var simulated []oracle.Event
	des.Run(s, des.Options{Events: func(e oracle.Event) { simulated = append(simulated, e) }})
	got, want := said(real), said(simulated)
	if len(want) < len(s.Ops) {
		t.Errorf("of %d operations %d events are told", len(s.Ops), len(want))
	}
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("event %d\n got %s\nwant %s", i, g, w)
		}
	}
}

// said returns what events say of what was done to devices: all but when it was, to the second.
func said(events []oracle.Event) []string {
	var out []string
	for _, e := range events {
		if e.Kind == oracle.EventWrite && e.Text == string(scenario.PutIf) {
			continue // real devices write beside a value by an import, which writes that value once more
		}
		switch e.Kind {
		case oracle.EventWrite, oracle.EventFault, oracle.EventHeal, oracle.EventStop, oracle.EventCrash, oracle.EventRefused:
			e.At, e.Until = e.At.Round(time.Second), e.Until.Round(time.Second)
			line, _ := json.Marshal(e)
			out = append(out, string(line))
		}
	}
	return out
}
