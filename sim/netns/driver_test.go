//go:build linux

package netns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"syncline/sim"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

var _ sim.Driver = (*Driver)(nil)

// runMax bounds a run that hangs.
const runMax = 10 * time.Minute

// newDriver returns a driver of the binary under test.
func newDriver(t *testing.T) *Driver {
	t.Helper()
	needLab(t)
	self, err := os.Executable()
	must(t, err)
	return &Driver{Binary: os.Getenv(binaryVariable), Clocked: self}
}

// A script builds a scenario.
type script struct{ *scenario.Scenario }

func newScript(name string, end time.Duration, devices ...string) script {
	s := &scenario.Scenario{Name: name, Seed: 1, End: end, ConvergeMax: meetMax, AntiEntropy: 30 * time.Second}
	for _, d := range devices {
		s.Devices = append(s.Devices, scenario.Device{Name: d})
	}
	return script{s}
}

// at adds an operation at a number of milliseconds.
func (s script) at(millis int, o scenario.Op) {
	o.At = time.Duration(millis) * time.Millisecond
	s.Ops = append(s.Ops, o)
	for _, p := range o.Parts {
		s.mention(p.Path)
	}
}

func (s script) mention(path string) {
	for _, p := range s.Paths {
		if p == path {
			return
		}
	}
	s.Paths = append(s.Paths, path)
}

func (s script) write(millis, device int, verb scenario.Verb, paths ...string) {
	o := scenario.Op{Do: scenario.DoWrite, Device: device}
	for _, p := range paths {
		o.Parts = append(o.Parts, scenario.Part{Path: p, Verb: verb, LWW: p == "lww"})
	}
	s.at(millis, o)
}

// busy lets every device write and delete at the paths that all share, one every so many milliseconds.
func (s script) busy(from, to, every int, paths ...string) {
	verbs := []scenario.Verb{scenario.Put, scenario.Put, scenario.Put, scenario.Delete, scenario.Resolve, scenario.Keep, scenario.PutIf, scenario.PutAll}
	for n, at := 0, from; at < to; n, at = n+1, at+every {
		s.write(at, n%len(s.Devices), verbs[(n*5+n/len(s.Devices))%len(verbs)], paths[(n*3+n/7)%len(paths)])
	}
}

// scenariosAtOnce is how many scenarios run beside each other. Their devices do little but wait, and nothing about them is measured.
const scenariosAtOnce = 5

// A scene is a scenario of this package, and what must have happened when it was carried out.
type scene struct {
	*scenario.Scenario
	weather map[int]Weather
	wants   []string
}

// TestScenarios: whatever happens on the LAN and to the devices, the witness finds nothing wrong.
func TestScenarios(t *testing.T) {
	slow(t, "120 s", false)
	needLab(t)
	scenes := []scene{
		concurrentEdits(12 * time.Second), concurrentEdits(time.Minute), crashLoop(), badLink(), longPartition(), newcomer(), reordered(), disksAndClocks(),
		builtin(t, "two-laptops", "partition", "resolution"), builtin(t, "crash-loop", "crash", "diskfull"),
		builtin(t, "newcomer", "clone", "conflict"), builtin(t, "everyone-edits-one", "conflict", "resolution"),
	}
	slices.SortStableFunc(scenes, func(a, b scene) int { return cmp.Compare(b.End, a.End) }) // the long ones first
	free := make(chan struct{}, scenariosAtOnce)
	var runs []*played
	for _, s := range scenes {
		runs = append(runs, s.play(newDriver(t), free))
	}
	for _, p := range runs {
		t.Run(p.Name, func(t *testing.T) { p.judge(t) })
	}
}

// TestTwoLaptopsApart is the quick one of the scenarios.
func TestTwoLaptopsApart(t *testing.T) {
	slow(t, "15 s", true)
	needLab(t)
	t.Parallel()
	s := concurrentEdits(5 * time.Second)
	s.play(newDriver(t), make(chan struct{}, 1)).judge(t)
}

// played is a scene that is carried out in the background.
type played struct {
	scene
	done   chan struct{}
	story  strings.Builder
	logs   strings.Builder
	report *oracle.Report
	err    error
}

// play carries a scene out when there is room.
func (s scene) play(d *Driver, free chan struct{}) *played {
	p := &played{scene: s, done: make(chan struct{})}
	d.Weather = s.weather
	d.Log = func(device string, end []byte) { fmt.Fprintf(&p.logs, "log of %s:\n%s\n", device, end) }
	go func() {
		defer close(p.done)
		free <- struct{}{}
		defer func() { <-free }()
		ctx, cancel := context.WithTimeout(context.Background(), runMax)
		defer cancel()
		p.report, p.err = d.Run(ctx, s.Scenario, func(e oracle.Event) {
			fmt.Fprintf(&p.story, "%8.3f %d %s %s %q %s\n", e.At.Seconds(), e.Device, e.Kind, e.Path, e.Values, e.Text)
		})
	}()
	return p
}

// judge waits for the end, and wants no violation and all that was to happen.
func (p *played) judge(t *testing.T) {
	t.Helper()
	<-p.done
	if errors.Is(p.err, ErrNoSwitch) && os.Getenv(scopeVariable) != scopeFull {
		t.Skip(p.err)
	}
	if p.err != nil {
		t.Fatalf("%v\n%s%s", p.err, p.story.String(), p.logs.String())
	}
	for _, v := range p.report.Violations {
		t.Error(v)
	}
	for _, what := range p.wants {
		if p.report.Coverage[what] == 0 {
			t.Errorf("this never happened: %s", what)
		}
	}
	if t.Failed() {
		t.Logf("%s%s", p.story.String(), p.logs.String())
	}
	t.Logf("agreed %v after the last fault, %v in all; %v", p.report.Converged.Round(time.Millisecond), p.report.Elapsed.Round(time.Millisecond), p.report.Coverage)
}

// builtin is a scenario that comes with the program, without the operations that cannot be carried out here.
func builtin(t *testing.T, name string, wants ...string) scene {
	t.Helper()
	s, err := scenario.Builtin(name, 1, scenario.Overrides{})
	must(t, err)
	d := newDriver(t)
	s.Ops = slices.DeleteFunc(s.Ops, func(o scenario.Op) bool {
		why := d.undecided(&o)
		if why != "" {
			t.Logf("%s: left out: %s: %s", name, s.Tell(&o), why)
		}
		return why != ""
	})
	s.Name = "builtin-" + name
	return scene{Scenario: s, wants: wants}
}

// concurrentEdits is two laptops that both edit while the cable between them is cut: what both wrote is there on both, or replaced by
// somebody who saw it.
func concurrentEdits(cut time.Duration) scene {
	s := newScript(fmt.Sprintf("cut-%v", cut), cut+8*time.Second, "laptop", "desktop")
	healed := 2000 + int(cut.Milliseconds())
	s.busy(100, 2000, 90, "a", "b", "c")
	s.at(2000, scenario.Op{Do: scenario.DoPartition, Groups: [][]int{{0}, {1}}, For: cut})
	for i, path := range []string{"a", "b", "lww", "d"} {
		s.write(2200+50*i, 0, scenario.Put, path)
		s.write(2225+50*i, 1, scenario.Put, path)
	}
	s.write(2500, 0, scenario.DeleteAll, "a")
	s.write(2550, 1, scenario.Put, "x", "y")
	s.write(2600, 0, scenario.Put, "y", "x")
	s.at(2700, scenario.Op{Do: scenario.DoWrite, Device: 1, Parts: []scenario.Part{{Path: "x", Verb: scenario.Delete}, {Path: "z", Verb: scenario.Put}}})
	s.busy(3000, healed, 400, "a", "c")
	s.write(healed+4000, 0, scenario.Resolve, "b")
	s.write(healed+4000, 1, scenario.Keep, "d")
	s.busy(healed+4200, healed+5500, 100, "a", "b", "c", "d")
	s.sort()
	return scene{s.Scenario, nil, []string{"partition", "conflict", "transaction", "resolution", "refused"}}
}

// TestDriverSaysWhatItCannotDo: an operation that a process cannot be made to do is an error that names it.
func TestDriverSaysWhatItCannotDo(t *testing.T) {
	for _, c := range []struct {
		edit func(s script)
		want string
	}{
		{func(s script) { s.at(1, scenario.Op{Do: scenario.DoReset}) }, "reset, at 1ms: a single stream"},
		{func(s script) { s.at(1, scenario.Op{Do: scenario.DoClock}) }, "clock, at 1ms: the program takes the time"},
		{func(s script) { s.write(1, 0, scenario.Sibling, "a") }, "write, at 1ms: the local API has no write that"},
		{func(s script) { s.at(1, scenario.Op{Do: scenario.DoPolicy, Path: "*", Policy: "newest"}) }, "policy, at 1ms: what devices answer"},
		{func(s script) { s.at(1, scenario.Op{Do: scenario.DoDamage, Path: "a"}) }, "damage, at 1ms: the records"},
		{func(s script) { s.at(1, scenario.Op{Do: scenario.DoRepair}) }, "repair, at 1ms: the records"},
		{func(s script) { s.at(1, scenario.Op{Do: scenario.DoSyncFail}) }, "syncfail, at 1ms: no disk"},
		{func(s script) { s.at(1, scenario.Op{Do: "earthquake"}) }, "earthquake, at 1ms: not known"},
		{func(s script) { s.AnswerRows = 1 }, "answerRows"},
		{func(s script) { s.AnswerMemory = 1000 }, "answerMemory"},
		{func(s script) { s.Scenario.Devices[1].Poll = time.Second }, "device 1 polls"},
		{func(s script) { s.NoGossip = true }, "noGossip"},
		{func(s script) { s.Network.Break = 0.1 }, "network.break"},
		{func(s script) { s.Network.Loss = 1 }, "network.loss"},
		{func(s script) { s.Scenario.Devices[0].Skew = 1 }, "the wrong clock of device 0"},
	} {
		s := newScript("cannot", time.Second, "laptop", "desktop")
		c.edit(s)
		_, err := (&Driver{}).Run(context.Background(), s.Scenario, nil)
		if !errors.Is(err, ErrUndecided) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %v with %q", err, ErrUndecided, c.want)
		}
	}
}

// crashLoop: a device is killed again and again while it writes in a burst. What it acknowledged is there after each start.
func crashLoop() scene {
	s := newScript("crash-loop", 20*time.Second, "laptop", "desktop")
	for at := 500; at < 16_000; at += 2000 {
		for n := range 80 {
			s.write(at+3*n, 1, []scenario.Verb{scenario.Put, scenario.Put, scenario.Delete, scenario.PutAll}[n%4], fmt.Sprintf("crash/%d", n%7))
		}
		s.write(at+100, 0, scenario.Put, "crash/1")
		s.write(at+110, 1, scenario.Put, "crash/8", "crash/9")
		s.at(at+150+at/200, scenario.Op{Do: scenario.DoCrash, Device: 1, For: 200 * time.Millisecond})
	}
	s.sort()
	return scene{s.Scenario, nil, []string{"crash", "write"}}
}

// sort puts the operations into the order of their times.
func (s script) sort() {
	slices.SortStableFunc(s.Ops, func(a, b scenario.Op) int { return cmp.Compare(a.At, b.At) })
}

// badLink: one of three devices is on a link that loses 30 % of all frames.
func badLink() scene {
	s := newScript("bad-link", 15*time.Second, "laptop", "desktop", "phone")
	s.busy(200, 12_000, 150, "a", "b", "c", "d")
	return scene{s.Scenario, map[int]Weather{2: {Loss: 0.3}}, []string{"write", "read"}}
}

// longPartition: three devices are apart for 45 s, delete and write the same paths, and agree on all of it.
func longPartition() scene {
	s := newScript("long-partition", 55*time.Second, "laptop", "desktop", "phone")
	paths := []string{"a", "b", "c", "d", "e", "f"}
	s.busy(200, 3000, 60, paths...)
	s.at(3500, scenario.Op{Do: scenario.DoPartition, Groups: [][]int{{0}, {1}, {2}}, For: 45 * time.Second})
	for i, path := range paths {
		s.write(4000+100*i, i%3, scenario.DeleteAll, path)
		s.write(4050+100*i, (i+1)%3, scenario.Put, path)
		s.write(4100+100*i, (i+2)%3, []scenario.Verb{scenario.Put, scenario.Delete}[i%2], path)
	}
	s.sort()
	s.busy(5000, 48_000, 700, paths...)
	s.busy(52_500, 54_000, 100, paths...)
	return scene{s.Scenario, nil, []string{"partition", "conflict", "write"}}
}

// newcomer: a device joins a space that has been written to for a while, during a cut between two others, and a fourth
// begins as a copy of it.
func newcomer() scene {
	s := newScript("newcomer", 18*time.Second, "laptop", "desktop", "phone", "tablet")
	work := script{&scenario.Scenario{Devices: s.Devices[:2]}}
	work.busy(200, 12_000, 120, "a", "b", "c")
	s.Ops, s.Paths = work.Ops, work.Paths
	s.at(3000, scenario.Op{Do: scenario.DoPartition, Groups: [][]int{{0, 2, 3}, {1}}, For: 6 * time.Second})
	s.at(5000, scenario.Op{Do: scenario.DoJoin, Device: 2})
	s.at(8000, scenario.Op{Do: scenario.DoClone, Device: 3, Of: 2})
	s.sort()
	all := script{&scenario.Scenario{Devices: s.Devices}}
	all.busy(13_000, 17_000, 100, "a", "b", "c")
	s.Ops = append(s.Ops, all.Ops...)
	return scene{s.Scenario, nil, []string{"partition", "clone", "write"}}
}

// reordered: frames arrive twice and out of order, some late by a stall, others slowly.
func reordered() scene {
	s := newScript("reordered", 15*time.Second, "laptop", "desktop", "phone")
	s.Network.Duplicate = 0.2
	s.at(100, scenario.Op{Do: scenario.DoReorder, Amount: 60, For: 10 * time.Second})
	s.at(4000, scenario.Op{Do: scenario.DoStall, Groups: [][]int{{0}, {1, 2}}, For: 3 * time.Second})
	s.at(8000, scenario.Op{Do: scenario.DoSlow, Amount: 150, For: 3 * time.Second})
	s.at(11_000, scenario.Op{Do: scenario.DoDuplicate, Amount: 700, For: 2 * time.Second})
	s.busy(200, 13_000, 100, "a", "b", "c")
	s.sort()
	return scene{s.Scenario, nil, []string{"reorder", "stall", "slow", "duplicate", "conflict"}}
}

// disksAndClocks: a disk fills up, a backup is put back, devices restart, and clocks are wrong and jump.
func disksAndClocks() scene {
	s := newScript("disks", 18*time.Second, "laptop", "desktop", "phone")
	s.Scenario.Devices[0].Skew = -300_000
	s.busy(200, 16_000, 110, "a", "b", "c", "d")
	s.at(2000, scenario.Op{Do: scenario.DoDiskFull, Device: 1, For: 2 * time.Second})
	s.at(3000, scenario.Op{Do: scenario.DoBackup, Device: 2})
	s.at(5000, scenario.Op{Do: scenario.DoClock, Device: 0, Amount: 3_600_000})
	s.at(6000, scenario.Op{Do: scenario.DoRestart, Device: 1, For: 500 * time.Millisecond})
	s.at(8000, scenario.Op{Do: scenario.DoDisconnect, Device: 2, For: 2 * time.Second})
	s.at(9500, scenario.Op{Do: scenario.DoRestore, Device: 2, For: 300 * time.Millisecond})
	s.at(11_000, scenario.Op{Do: scenario.DoCrash, Device: 0, For: 300 * time.Millisecond})
	s.at(13_000, scenario.Op{Do: scenario.DoSync, Device: 1})
	s.sort()
	return scene{s.Scenario, nil, []string{"diskfull", "restore", "crash", "disconnect", "refused"}}
}
