package des_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"syncline/sim/des"
	"syncline/sim/scenario"
)

// large draws a group of many devices on a sparse graph: each has about six links. 32 of them write 100 times in 30 seconds, while
// two partitions cut the group in half and one device in fifty loses power.
func large(seed uint64, devices int) *scenario.Scenario {
	r := rand.New(rand.NewPCG(seed, uint64(devices)))
	moment := func() time.Duration { return time.Second + time.Duration(r.Int64N(int64(28*time.Second))) }
	s := &scenario.Scenario{Name: "large", Seed: seed, Devices: make([]scenario.Device, devices), Paths: []string{"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"},
		Network: scenario.Network{LatencyMin: 5 * time.Millisecond, LatencyMax: 80 * time.Millisecond, Loss: 0.02, Duplicate: 0.01, Break: 0.001,
			SyncMin: time.Millisecond, SyncMax: 10 * time.Millisecond},
		AntiEntropy: time.Minute, DeleteLog: 1 << 16, End: 35 * time.Second, ConvergeMax: 10 * time.Minute}
	linked := map[[2]int]bool{}
	link := func(a, b int) {
		if l := [2]int{min(a, b), max(a, b)}; a != b && !linked[l] {
			linked[l] = true
			s.Network.Links = append(s.Network.Links, l)
		}
	}
	for i := 1; i < devices; i++ {
		link(r.IntN(i), i)
		for range 2 {
			link(r.IntN(devices), i)
		}
	}
	for range 100 {
		verb := []scenario.Verb{scenario.Put, scenario.Put, scenario.Put, scenario.Put, scenario.Delete, scenario.Resolve}[r.IntN(6)]
		s.Ops = append(s.Ops, scenario.Op{At: moment(), Do: scenario.DoWrite, Device: r.IntN(min(32, devices)) * max(1, devices/32),
			Parts: []scenario.Part{{Path: s.Paths[r.IntN(len(s.Paths))], Verb: verb}}})
	}
	for range 2 {
		groups := make([][]int, 2)
		for i := range devices {
			k := r.IntN(2)
			groups[k] = append(groups[k], i)
		}
		s.Ops = append(s.Ops, scenario.Op{At: moment(), Do: scenario.DoPartition, Groups: groups, For: 5 * time.Second})
	}
	for range devices / 50 {
		s.Ops = append(s.Ops, scenario.Op{At: moment(), Do: scenario.DoCrash, Device: r.IntN(devices), For: 2 * time.Second, Amount: 500})
	}
	slices.SortStableFunc(s.Ops, func(a, b scenario.Op) int { return cmp.Compare(a.At, b.At) })
	return s
}

// TestTwoHundredDevices runs a group that is larger than any seed's, twice, with one processor and with all.
func TestTwoHundredDevices(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	once := des.Run(large(1, 200), des.Options{})
	for _, v := range once.Violations {
		t.Error(v)
	}
	runtime.GOMAXPROCS(runtime.NumCPU())
	if twice := des.Run(large(1, 200), des.Options{}); twice.Trace != once.Trace {
		t.Errorf("trace %x, want %x", twice.Trace, once.Trace)
	}
	if conflicts := once.Coverage["conflict"]; conflicts == 0 {
		t.Errorf("no conflict came up: %v", once.Coverage)
	}
	t.Logf("%d events, agreed after %v", once.Events, once.Converged)
}

// TestAYearPasses lets one device be away for a year, in which the others meet twice a day and have little to say.
func TestAYearPasses(t *testing.T) {
	const year = 365 * 24 * time.Hour
	s := scenario.Generate(8, scenario.Size{Devices: 6, Writes: 20, Reads: 10, Chaos: 20 * time.Second})
	s.Ops = append(s.Ops, scenario.Op{At: 21 * time.Second, Do: scenario.DoDisconnect, Device: 2, For: year})
	for i := range 12 {
		s.Ops = append(s.Ops, scenario.Op{At: time.Duration(i+1) * 30 * 24 * time.Hour, Do: scenario.DoWrite, Device: i % 6,
			Parts: []scenario.Part{{Path: s.Paths[0], Verb: scenario.Put}}})
	}
	s.AntiEntropy, s.End, s.ConvergeMax = 12*time.Hour, 22*time.Second+year, 3*24*time.Hour
	r := des.Run(s, des.Options{})
	for _, v := range r.Violations {
		t.Error(v)
	}
	if r.Elapsed < year {
		t.Errorf("%v have passed, want a year", r.Elapsed)
	}
	t.Logf("%d events in %v, agreed after %v: %s", r.Events, r.Elapsed, r.Converged, fmt.Sprint(r.Final))
}
