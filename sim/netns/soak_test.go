//go:build linux

package netns

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

const (
	soakVariable = "SYNCLINE_SOAK" // how long to soak, as "2h"
	soakMin      = time.Minute

	soakRound    = 4 * time.Minute // of faults, between two looks
	soakRest     = 8 * time.Second // before a look, by when devices that were away for less than a round run again
	soakWrites   = 2.5             // a second, of all devices
	soakReads    = 0.5
	soakPaths    = 7               // of each kind, fresh in each round
	aloneMargin  = 3 * time.Second // between what happens to one device
	soakAgree    = 3 * time.Minute
	soakResident = 256 << 20 // bytes that a process may hold at most
	soakDisk     = 100 << 20 // bytes of files that a device may hold at most
)

var soakSeed = flag.Uint64("seed", 1, "seed of TestSoak")

// Devices of the soak.
const (
	clocked   = 0 // its clock jumps
	smallDisk = 1 // its disk fills up
	saved     = 2 // it gets its backup back
	traveller = 3 // it is away for several looks
	latecomer = 4 // it joins late
)

// TestSoak lets five devices live for hours with people who write, delete and decide, while the network is cut, loses, repeats and delays,
// processes are killed, clocks jump, a disk fills up, a backup is put back, a device is away for long and another one joins. Every some
// minutes the faults end, and all who are there must hold the same, by their exports too; nothing that was acknowledged may be lost.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(soakVariable))
	if err != nil || length < soakMin {
		t.Skipf("takes as long as %s says, %v or more; run it with %s=2h and -timeout 4h", soakVariable, soakMin, soakVariable)
	}
	d := newDriver(t)
	g := newSoak(*soakSeed, length)
	must(t, g.Check())
	say := func(at time.Duration, format string, args ...any) {
		fmt.Printf("%s %9.3fs %s\n", time.Now().UTC().Format(time.TimeOnly), at.Seconds(), fmt.Sprintf(format, args...))
	}
	d.Looks = g.looks
	d.Log = func(device string, end []byte) { fmt.Printf("log of %s:\n%s\n", device, end) }
	var total soaked
	d.Looked = func(l Look) {
		total.add(l)
		say(l.At, "look %d: %d writes, %d kills; agreed after %v; %d entries, %d conflicts, %d KiB exported; %s", len(total.agreed), l.Coverage["write"], l.Coverage["crash"], l.Agreed.Round(time.Millisecond),
			l.Entries, l.Conflicts, l.Export>>10, usageOf(g.Scenario, l))
	}
	say(0, "soak of %v, seed %d: %d operations on %d devices, %d looks", length, *soakSeed, len(g.Ops), len(g.Scenario.Devices), len(d.Looks)+1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*length+10*time.Minute)
	defer cancel()
	report, err := d.Run(ctx, g.Scenario, func(e oracle.Event) {
		switch e.Kind {
		case oracle.EventRead, oracle.EventWrite, oracle.EventRefused:
			return
		}
		who := "all"
		if e.Device >= 0 {
			who = g.DeviceName(e.Device)
		}
		say(e.At, "%s %s %s", who, e.Kind, strings.TrimSpace(fmt.Sprint(e.Text, groupsOf(g.Scenario, e.Groups), untilOf(e))))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range report.Violations {
		t.Error(v)
	}
	say(report.Elapsed, "all in all: %d violations; agreed after %s; at most %d MiB resident, %d MiB on disk; %d entries, %d conflicts, exports of %d KiB equal; %v",
		len(report.Violations), spread(total.agreed), total.resident>>20, total.disk>>20, total.last.Entries, total.last.Conflicts, total.last.Export>>10, report.Coverage)
	if total.resident > soakResident || total.disk > soakDisk {
		t.Errorf("a device held %d MiB of memory and %d MiB of files, want %d and %d at most", total.resident>>20, total.disk>>20, soakResident>>20, soakDisk>>20)
	}
	wants := []string{"write", "transaction", "partition", "crash"}
	if length >= soakRound {
		wants = append(wants, "conflict", "resolution")
	}
	for _, what := range wants {
		if report.Coverage[what] == 0 {
			t.Errorf("this never happened: %s", what)
		}
	}
}

// soaked is what all looks found.
type soaked struct {
	agreed         []time.Duration
	resident, disk int64
	last           Look
}

func (s *soaked) add(l Look) {
	s.agreed, s.last = append(s.agreed, l.Agreed), l
	for _, u := range l.Devices {
		s.resident, s.disk = max(s.resident, u.ResidentMax), max(s.disk, u.Disk)
	}
}

func usageOf(s *scenario.Scenario, l Look) string {
	var parts []string
	for i, u := range l.Devices {
		if u.Resident == 0 {
			parts = append(parts, s.DeviceName(i)+" away")
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %d MiB (%d at most), %.1f MiB on disk", s.DeviceName(i), u.Resident>>20, u.ResidentMax>>20, float64(u.Disk)/(1<<20)))
	}
	return strings.Join(parts, "; ")
}

func groupsOf(s *scenario.Scenario, groups [][]int) string {
	var parts []string
	for _, g := range groups {
		var names []string
		for _, d := range g {
			names = append(names, s.DeviceName(d))
		}
		parts = append(parts, strings.Join(names, "+"))
	}
	return " " + strings.Join(parts, " | ")
}

func untilOf(e oracle.Event) string {
	if e.Until == 0 {
		return ""
	}
	return fmt.Sprintf(" until %.1fs", e.Until.Seconds())
}

// A soak draws what happens.
type soak struct {
	script
	rand   *rand.Rand
	looks  []time.Duration
	absent [][]absence // by device
	count  int
	round  int
	saved  bool // there is a backup
	joined bool // the latecomer has
}

func newSoak(seed uint64, length time.Duration) *soak {
	s := newScript("soak", length, "laptop", "desktop", "phone", "tablet", "nas")
	s.Seed, s.ConvergeMax = seed, soakAgree
	s.Network.LatencyMin, s.Network.LatencyMax = time.Millisecond, 4*time.Millisecond
	g := &soak{script: s, rand: rand.New(rand.NewPCG(seed, 0x50a4)), absent: make([][]absence, len(s.Scenario.Devices))}
	rounds := max(int(length/soakRound), 2)
	each := length / time.Duration(rounds)
	for g.round = range rounds {
		from, to := time.Duration(g.round)*each, time.Duration(g.round+1)*each-soakRest
		if g.round > 0 {
			g.looks = append(g.looks, from)
		}
		if g.round == rounds/4 {
			g.op(from+g.within(to-from)/2, scenario.Op{Do: scenario.DoJoin, Device: latecomer})
		}
		if g.round == rounds/2 && rounds > 8 {
			g.away(traveller, from+g.within(to-from), each*time.Duration(rounds/6)) // it misses looks
		}
		g.chaos(from, to)
		g.work(from, to)
		g.joined = g.joined || g.round == rounds/4
	}
	g.sort()
	return g
}

// within draws a duration below d.
func (g *soak) within(d time.Duration) time.Duration { return time.Duration(g.rand.Int64N(int64(d))) }

func choose[T any](g *soak, choices ...T) T { return choices[g.rand.IntN(len(choices))] }

func (g *soak) op(at time.Duration, o scenario.Op) { g.at(int(at.Milliseconds()), o) }

// away lets a device restart, and not come back for a while.
func (g *soak) away(device int, at, length time.Duration) {
	g.op(at, scenario.Op{Do: scenario.DoRestart, Device: device, For: length})
	g.absent[device] = append(g.absent[device], absence{at - aloneMargin, at + length + aloneMargin})
}

// device draws one that takes part.
func (g *soak) device() int {
	n := len(g.absent)
	if !g.joined {
		n--
	}
	return g.rand.IntN(n)
}

// chaos draws the faults of a round.
func (g *soak) chaos(from, to time.Duration) {
	rate := func(each time.Duration) int { return int((to-from)/each) + g.rand.IntN(2) }
	span := func(max time.Duration) (at, length time.Duration) {
		at = from + g.within(to-from)
		return at, min(time.Second+g.within(min(max, (to-from)/3)), to-at)
	}
	for i := range max(rate(50*time.Second), 1) {
		at, length := span(time.Minute)
		groups := make([][]int, 2+g.rand.IntN(2))
		for d := range g.absent {
			k := g.rand.IntN(len(groups))
			groups[k] = append(groups[k], d)
		}
		do := choose(g, scenario.DoPartition, scenario.DoPartition, scenario.DoStall)
		if groups = withoutEmpty(groups); i == 0 || len(groups) < 2 { // at least one
			do, groups = scenario.DoPartition, [][]int{{0, 1}, {2, 3, 4}}
		}
		g.op(at, scenario.Op{Do: do, Groups: groups, For: length})
	}
	for range rate(50 * time.Second) {
		at, length := span(30 * time.Second)
		o := choose(g, scenario.Op{Do: scenario.DoLoss, Amount: 50 + g.rand.Int64N(150)}, scenario.Op{Do: scenario.DoDuplicate, Amount: 300},
			scenario.Op{Do: scenario.DoReorder, Amount: 20 + g.rand.Int64N(200)}, scenario.Op{Do: scenario.DoSlow, Amount: 50 + g.rand.Int64N(300)},
			scenario.Op{Do: scenario.DoDisconnect, Device: g.device()})
		o.For = length
		g.op(at, o)
	}
	switch {
	case g.round%4 == 0:
		g.saved = g.alone(from, to, scenario.Op{Do: scenario.DoBackup, Device: saved}) || g.saved
	case g.round%4 == 2 && g.saved:
		g.alone(from, to, scenario.Op{Do: scenario.DoRestore, Device: saved, For: g.within(3 * time.Second)})
	}
	for range max(rate(25*time.Second), 1) {
		g.alone(from, to, scenario.Op{Do: scenario.DoCrash, Device: g.device(), For: 100*time.Millisecond + g.within(8*time.Second)})
	}
	for range rate(100 * time.Second) {
		g.alone(from, to, scenario.Op{Do: scenario.DoRestart, Device: g.device(), For: 100*time.Millisecond + g.within(8*time.Second)})
	}
	for at := from + g.within(time.Minute); at < to; at += g.within(2 * time.Minute) {
		off := choose(g, 0, 700, -5_000, 90_000, -300_000, 3_600_000, -86_400_000, 86_400_000, 100*365*86_400_000, -50*365*86_400_000)
		g.op(at, scenario.Op{Do: scenario.DoClock, Device: clocked, Amount: int64(off)})
		at = min(at+g.within(time.Minute), to)
		g.op(at, scenario.Op{Do: scenario.DoClock, Device: clocked, Amount: -int64(off)})
	}
	if g.round%3 == 1 {
		at, length := span(20 * time.Second)
		g.op(at, scenario.Op{Do: scenario.DoDiskFull, Device: smallDisk, For: length})
	}
}

// alone lets a device do or suffer something when nothing else of that kind happens to it, and reports whether there was room for it.
func (g *soak) alone(from, to time.Duration, o scenario.Op) bool {
	for range 10 {
		at := from + g.within(max(to-from-o.For, 1))
		s := absence{at - aloneMargin, at + o.For + aloneMargin}
		if slices.ContainsFunc(g.absent[o.Device], func(r absence) bool { return s.from < r.to && r.from < s.to }) {
			continue
		}
		g.op(at, o)
		g.absent[o.Device] = append(g.absent[o.Device], s)
		return true
	}
	return false
}

// An absence is a time in which a device is away, or may be.
type absence struct{ from, to time.Duration }

func withoutEmpty(groups [][]int) (out [][]int) {
	for _, g := range groups {
		if len(g) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// work draws what people do in a round: half of it in bursts.
func (g *soak) work(from, to time.Duration) {
	at, device := from, 0
	for range int((to - from).Seconds() * soakWrites) {
		if g.rand.IntN(2) == 0 || at >= to {
			at, device = from+g.within(to-from), g.device()
		}
		g.op(at, scenario.Op{Do: scenario.DoWrite, Device: device, Parts: g.parts(device)})
		at += g.within(200 * time.Millisecond)
		if g.rand.IntN(3) == 0 {
			device = g.device()
		}
	}
	for range int((to - from).Seconds() * soakReads) {
		path := g.path(g.device())
		g.mention(path)
		g.op(from+g.within(to-from), scenario.Op{Do: scenario.DoRead, Device: g.device(), Path: path})
	}
	for range 3 {
		g.op(from+g.within(to-from), scenario.Op{Do: scenario.DoSync, Device: g.device()})
	}
}

// path draws one of this round or, now and then, of an older one: the device's own, or one that all share.
func (g *soak) path(device int) string {
	round := g.round
	if g.rand.IntN(5) == 0 {
		round = g.rand.IntN(round + 1)
	}
	n := g.rand.IntN(soakPaths)
	return choose(g, fmt.Sprintf("r%02d/own-%d/%d", round, device, n%3), fmt.Sprintf("r%02d/shared/%d", round, n), fmt.Sprintf("r%02d/shared/%d", round, n),
		fmt.Sprintf("r%02d/lww/%d", round, n%2))
}

var soakVerbs = []scenario.Verb{scenario.Put, scenario.Put, scenario.Put, scenario.Put, scenario.Put, scenario.Put, scenario.PutAll, scenario.PutIf,
	scenario.Delete, scenario.Delete, scenario.DeleteAll, scenario.Resolve, scenario.Resolve, scenario.Keep}

func (g *soak) parts(device int) (parts []scenario.Part) {
	n := choose(g, 1, 1, 1, 1, 1, 1, 1, 2, 3)
	seen := map[string]bool{}
	for range n {
		p := scenario.Part{Path: g.path(device), Verb: scenario.Put}
		if seen[p.Path] {
			continue
		}
		seen[p.Path] = true
		if p.Verb = choose(g, soakVerbs...); n > 1 {
			p.Verb = choose(g, scenario.Put, scenario.Put, scenario.Delete)
		}
		p.LWW = strings.Contains(p.Path, "/lww/")
		if g.count++; p.Verb == scenario.Put && g.rand.IntN(40) == 0 {
			p.Value = fmt.Sprintf("large %d ", g.count) + strings.Repeat("x", choose(g, 1000, 5000, 20_000, 70_000))
		}
		parts = append(parts, p)
	}
	return parts
}

// spread tells the least, the middle and the most of some times.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "nothing"
	}
	sorted := append([]time.Duration(nil), all...)
	slices.Sort(sorted)
	r := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	return fmt.Sprintf("%v to %v, median %v", r(sorted[0]), r(sorted[len(sorted)-1]), r(sorted[len(sorted)/2]))
}

// TestSoakIsAScenario: what a seed stands for can be carried out.
func TestSoakIsAScenario(t *testing.T) {
	for seed := range uint64(5) {
		for _, length := range []time.Duration{soakMin, 2 * time.Hour} {
			g := newSoak(seed, length)
			d := &Driver{Clocked: "a program"}
			if err := errors.Join(g.Check(), d.Decides(g.Scenario)); err != nil {
				t.Errorf("seed %d, %v: %v", seed, length, err)
			}
		}
	}
}
