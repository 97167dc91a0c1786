package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Size says how large a generated scenario is.
type Size struct {
	Devices, Writes, Reads int
	// Chaos is how long things happen before the devices are left in peace.
	Chaos time.Duration
}

// DefaultSize is what a seed stands for unless something else is said.
var DefaultSize = Size{Devices: 8, Writes: 40, Reads: 40, Chaos: 20 * time.Second}

// century is in milliseconds.
const century = 100 * 365 * 24 * 3600 * 1000

// Generate draws a scenario from a seed.
func Generate(seed uint64, size Size) *Scenario {
	g := &generator{size: size, from: 300 * time.Millisecond, until: size.Chaos * 9 / 10, last: size.Chaos,
		whole: true, rand: rand.New(rand.NewPCG(seed, 0x5ce9a210))}
	g.s = &Scenario{Seed: seed, End: size.Chaos, ConvergeMax: convergeDefault}
	g.environment()
	g.devices()
	g.writers = len(g.s.Devices)
	g.work()
	g.faults()
	g.extremes(seed)
	g.polls(seed)
	g.ranges(seed)
	g.crowds(seed)
	g.policies(seed)
	g.damages(seed)
	g.s.sortOps()
	return g.s
}

// A generator adds to a scenario.
type generator struct {
	s    *Scenario
	size Size
	// from and until bound the moments at which something begins; what follows on something else happens before last.
	from, until, last time.Duration
	// writers is how many devices write, from the first.
	writers int
	// whole says that nothing of the scenario is given.
	whole bool
	rand  *rand.Rand
}

func pick[T any](g *generator, choices ...T) T { return choices[g.rand.IntN(len(choices))] }

func (g *generator) chance(p float64) bool { return g.rand.Float64() < p }

// between draws a duration from [lo, hi).
func (g *generator) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(g.rand.Int64N(int64(hi-lo)))
}

// moment draws a time at which something begins.
func (g *generator) moment() time.Duration { return g.between(g.from, g.until) }

func (g *generator) device() int { return g.rand.IntN(len(g.s.Devices)) }

func (g *generator) writer() int { return g.rand.IntN(g.writers) }

func (g *generator) add(o Op) {
	o.At = min(o.At, g.s.End)
	if o.For > 0 && o.At+o.For > g.s.End {
		o.For = g.s.End - o.At
	}
	g.s.Ops = append(g.s.Ops, o)
}

func (g *generator) environment() {
	g.s.AntiEntropy = pick(g, 5*time.Second, 10*time.Second, 20*time.Second)
	g.s.DeleteLog = pick(g, 0, 1, 2, 5, 1<<16)
	n := &g.s.Network
	n.LatencyMin = pick(g, time.Millisecond, 10*time.Millisecond)
	n.LatencyMax = n.LatencyMin + pick(g, 2*time.Millisecond, 40*time.Millisecond, 300*time.Millisecond)
	n.Loss = pick(g, 0, 0.02, 0.1, 0.4, 1)
	n.Duplicate = pick(g, 0, 0.02, 0.1)
	n.Break = pick(g, 0, 0.005, 0.05)
	n.SyncMin, n.SyncMax = 500*time.Microsecond, pick(g, 4*time.Millisecond, 10*time.Millisecond, 60*time.Millisecond)
	for i := range pick(g, 2, 4, 6) {
		g.s.Paths = append(g.s.Paths, fmt.Sprintf("p%d", i))
	}
	g.s.Paths = append(g.s.Paths, "lww")
}

func (g *generator) devices() {
	n := g.size.Devices
	skewed := g.chance(0.5)
	for range n {
		d := Device{}
		if skewed {
			d.Skew = pick[int64](g, 0, 0, 700, -300_000, 300_000, -century, century)
		}
		g.s.Devices = append(g.s.Devices, d)
	}
	if n > 2 && g.chance(0.5) {
		o := Op{At: g.moment(), Do: DoJoin, Device: n - 1}
		if g.chance(0.5) {
			o.Do, o.Of = DoClone, g.rand.IntN(n-1)
		}
		g.add(o)
	}
	if n > 2 && g.chance(0.3) {
		g.sparse(n, n/2)
	}
}

// sparse draws a connected graph with few links: a tree over all devices and more links beside it.
func (g *generator) sparse(n, more int) {
	have := map[[2]int]bool{}
	link := func(a, b int) {
		l := [2]int{min(a, b), max(a, b)}
		if a != b && !have[l] {
			have[l] = true
			g.s.Network.Links = append(g.s.Network.Links, l)
		}
	}
	for i := 1; i < n; i++ {
		link(i, g.rand.IntN(i))
	}
	for range more {
		link(g.rand.IntN(n), g.rand.IntN(n))
	}
}

// work draws what people do.
func (g *generator) work() {
	writes := g.size.Writes - g.habits()
	burst, writer := g.moment(), g.writer()
	for range writes {
		switch g.rand.IntN(4) {
		case 0:
			burst, writer = g.moment(), g.writer()
		case 1:
			burst += g.between(0, 30*time.Millisecond)
			writer = g.writer()
		case 2:
			burst += g.between(0, 500*time.Millisecond)
			writer = g.writer()
		default:
			burst += g.between(0, 5*time.Millisecond)
		}
		if burst >= g.last {
			burst = g.moment()
		}
		g.add(Op{At: burst, Do: DoWrite, Device: writer, Parts: g.parts()})
	}
	for range g.size.Reads {
		g.add(Op{At: g.moment(), Do: DoRead, Device: g.device(), Path: g.path()})
	}
	for range g.rand.IntN(4) {
		g.add(Op{At: g.moment(), Do: DoSync, Device: g.device()})
	}
}

// habitMax is how long what people do together takes.
const habitMax = 5 * time.Second

// habits draws what people do together, of which chance would bring too little, and returns the number of writes that it took. Only a
// whole scenario that is long enough has room for it.
func (g *generator) habits() (writes int) {
	if !g.whole || g.size.Writes < 30 || g.size.Devices < 3 || len(g.s.Paths) < 2 || g.last-g.from < 2*habitMax {
		return 0
	}
	before := len(g.s.Ops)
	if g.chance(0.4) {
		g.quarrel()
	}
	if g.chance(0.4) {
		g.tidyUp()
	}
	for _, o := range g.s.Ops[before:] {
		if o.Do == DoWrite {
			writes++
		}
	}
	return writes
}

func (g *generator) write(at time.Duration, device int, path string, v Verb) {
	g.add(Op{At: at, Do: DoWrite, Device: device, Parts: []Part{{Path: path, Verb: v, LWW: path == "lww"}}})
}

// quarrel lets three devices write one path at once and go on, each over what it is shown while others stand; then two of them settle it.
func (g *generator) quarrel() {
	who, path, at := g.rand.Perm(g.size.Devices)[:3], g.path(), g.between(g.from, g.last-habitMax)
	for _, d := range who {
		g.write(at+g.between(0, 10*time.Millisecond), d, path, pick(g, Put, Sibling))
	}
	for range 3 + g.rand.IntN(3) {
		at += g.between(20*time.Millisecond, 400*time.Millisecond)
		g.write(at, pick(g, who...), path, Put)
	}
	at += g.between(20*time.Millisecond, 400*time.Millisecond)
	for _, d := range who[:2] {
		g.write(at+g.between(0, 10*time.Millisecond), d, path, Keep)
	}
}

// tidyUp lets devices delete what one that is away still has, and lose power when it is back.
func (g *generator) tidyUp() {
	away, at := g.device(), g.between(g.from, g.last-habitMax)
	length := g.between(time.Second, 4*time.Second)
	for _, path := range g.s.Paths[:2] {
		g.write(at, g.device(), path, Put)
	}
	g.add(Op{At: at + 600*time.Millisecond, Do: DoDisconnect, Device: away, For: length})
	for _, path := range g.s.Paths[:2] {
		d := (away + 1 + g.rand.IntN(g.size.Devices-1)) % g.size.Devices
		deleted := at + g.between(700*time.Millisecond, time.Second)
		g.write(deleted, d, path, DeleteAll)
		if g.chance(0.5) {
			g.write(deleted+g.between(0, 100*time.Millisecond), away, path, Put)
		}
		if g.chance(0.5) {
			g.add(Op{At: deleted + g.between(50*time.Millisecond, length), Do: DoCrash, Device: d, For: g.between(10*time.Millisecond, time.Second), Amount: 1000})
		}
	}
}

func (g *generator) path() string { return pick(g, g.s.Paths...) }

func (g *generator) parts() []Part {
	n := 1
	if g.chance(0.15) {
		n = 2 + g.rand.IntN(2)
	}
	var parts []Part
	for _, i := range g.rand.Perm(len(g.s.Paths))[:min(n, len(g.s.Paths))] {
		p := Part{Path: g.s.Paths[i], Verb: g.verb()}
		p.LWW = p.Path == "lww"
		if n > 1 && p.Verb != Delete && p.Verb != Sibling {
			p.Verb = Put
		}
		parts = append(parts, p)
	}
	return parts
}

func (g *generator) verb() Verb {
	switch k := g.rand.IntN(100); {
	case k < 57:
		return Put
	case k < 72:
		return Delete
	case k < 79:
		return Resolve
	case k < 84:
		return Keep
	case k < 88:
		return PutAll
	case k < 91:
		return Sibling
	case k < 94:
		return DeleteAll
	}
	return PutIf
}

func (g *generator) faults() {
	for range g.rand.IntN(4) {
		o := Op{At: g.moment(), Do: pick(g, DoPartition, DoPartition, DoStall), Groups: g.groups(), For: g.between(500*time.Millisecond, 15*time.Second)}
		if len(o.Groups) > 1 {
			g.add(o)
		}
	}
	for range g.rand.IntN(3) {
		g.add(Op{At: g.moment(), Do: DoLoss, Amount: pick[int64](g, 300, 1000), For: g.between(time.Second, 5*time.Second)})
	}
	for range g.rand.IntN(2) {
		g.add(Op{At: g.moment(), Do: DoDisconnect, Device: g.device(), For: g.between(100*time.Millisecond, 8*time.Second)})
	}
	if g.chance(0.3) {
		g.add(Op{At: g.moment(), Do: DoReorder, Amount: pick[int64](g, 300, 3000), For: g.between(time.Second, 5*time.Second)})
	}
	if g.chance(0.2) {
		g.add(Op{At: g.moment(), Do: pick(g, DoSlow, DoDuplicate), Amount: pick[int64](g, 300, 1000), For: g.between(time.Second, 5*time.Second)})
	}
	for range g.rand.IntN(3) {
		g.add(Op{At: g.moment(), Do: DoReset, Device: g.device()})
	}
	for range g.rand.IntN(5) {
		g.crash()
	}
	for range g.rand.IntN(3) {
		g.add(Op{At: g.moment(), Do: DoRestart, Device: g.device(), For: g.between(time.Millisecond, 3*time.Second)})
	}
	if g.chance(0.35) {
		d, at := g.device(), g.between(g.from, max(g.from+1, g.last/2))
		g.add(Op{At: at, Do: DoBackup, Device: d})
		g.add(Op{At: g.between(at, g.last), Do: DoRestore, Device: d, For: g.between(time.Millisecond, 2*time.Second)})
	}
	if g.chance(0.2) {
		g.add(Op{At: g.moment(), Do: DoDiskFull, Device: g.device(), For: g.between(100*time.Millisecond, 6*time.Second)})
	}
	if g.chance(0.3) {
		g.add(Op{At: g.moment(), Do: DoSyncFail, Device: g.device(), For: g.between(100*time.Millisecond, 4*time.Second), Amount: pick[int64](g, 0, 0, 500)})
	}
	for range g.rand.IntN(3) {
		g.add(Op{At: g.moment(), Do: DoClock, Device: g.device(), Amount: pick[int64](g, 5_000, -5_000, 90_000, -3_600_000, century, -century)})
	}
}

// crash lets a device lose power: two times of three just after it wrote, when something is not durable yet.
func (g *generator) crash() {
	o := Op{At: g.moment(), Do: DoCrash, Device: g.device(), For: g.between(10*time.Millisecond, 4*time.Second), Amount: pick[int64](g, 0, 0, 500, 1000)}
	if g.chance(0.67) {
		for range 20 {
			if w := g.s.Ops[g.rand.IntN(len(g.s.Ops))]; w.Do == DoWrite {
				o.Device, o.At = w.Device, w.At+g.between(0, 8*time.Millisecond)
				break
			}
		}
	}
	g.add(o)
}

// groups divides the devices into two groups, or three; fewer if chance leaves some empty.
func (g *generator) groups() [][]int {
	groups := make([][]int, 2+g.rand.IntN(2))
	for i := range g.s.Devices {
		k := g.rand.IntN(len(groups))
		groups[k] = append(groups[k], i)
	}
	return slices.DeleteFunc(groups, func(g []int) bool { return len(g) == 0 })
}

// Sizes of the contents that extremes writes, in bytes.
const (
	largeMin, largeMax = 1 << 10, 16 << 10
	ungossiped         = 70_000 // such an operation travels by sessions only
)

// extremes gives some of the scenarios values of some kilobytes, equal values, and devices that write several times within one
// millisecond. It has a source of its own, so that all else is drawn as without it.
func (g *generator) extremes(seed uint64) {
	g.rand = rand.New(rand.NewPCG(seed, 0xe87e3e))
	large, equal := g.chance(0.2), g.chance(0.15)
	var writes []*Op
	for i := range g.s.Ops {
		o := &g.s.Ops[i]
		if o.Do != DoWrite {
			continue
		}
		writes = append(writes, o)
		for k := range o.Parts {
			p := &o.Parts[k]
			switch {
			case p.Verb.deletes() || p.Verb == Keep:
			case large && g.chance(0.1):
				p.Size = largeMin + g.rand.IntN(largeMax-largeMin)
			case g.chance(1. / 400):
				p.Size = ungossiped
			case equal && g.chance(0.2):
				p.Value = "the same"
			}
		}
	}
	for ; len(writes) > 1 && g.chance(0.3); writes = writes[min(len(writes), 5):] {
		for _, o := range writes[1:min(len(writes), 5)] {
			o.Device, o.At = writes[0].Device, min(writes[0].At+g.between(0, time.Millisecond), g.s.End)
		}
	}
}

// polls lets the devices of a few scenarios poll in place of gossip: all of them, or some. It has a source of its own, as extremes has.
func (g *generator) polls(seed uint64) {
	g.rand = rand.New(rand.NewPCG(seed, 0x9011))
	share := 0.0
	switch {
	case g.chance(0.05):
		share = 1
	case g.chance(0.18):
		share = 0.4
	}
	for i := range g.s.Devices {
		if g.chance(share) {
			g.s.Devices[i].Poll = pick(g, time.Second, 2*time.Second, 5*time.Second)
		}
	}
}

// ranges cuts the answers of a few scenarios, so that devices fill range by range, and lets some start anew while they do. It has a
// source of its own, as extremes has.
func (g *generator) ranges(seed uint64) {
	g.rand = rand.New(rand.NewPCG(seed, 0x4a9e5))
	if !g.chance(0.1) {
		return
	}
	g.s.AnswerRows = pick(g, 1, 1, 2, 3)
	if g.chance(0.5) {
		g.s.DeleteLog = pick(g, 0, 1)
	}
	for _, o := range slices.Clone(g.s.Ops) {
		switch o.Do {
		case DoJoin, DoClone, DoCrash, DoRestart, DoRestore, DoDisconnect:
			if back := o.At + o.For; back < g.s.End && g.chance(0.5) {
				g.add(Op{At: back + g.between(20*time.Millisecond, time.Second), Do: DoRestart, Device: o.Device, For: g.between(time.Millisecond, 200*time.Millisecond)})
			}
		}
	}
}

// crowds lets few values fit into an answer of a few scenarios, and the devices, apart from each other, write more at one path: it is left
// out until somebody decides. It has a source of its own, as extremes has.
func (g *generator) crowds(seed uint64) {
	g.rand = rand.New(rand.NewPCG(seed, 0xc20fd5))
	if !g.chance(0.06) || len(g.s.Devices) < 2 {
		return
	}
	g.s.AnswerMemory = pick(g, AnswerMemoryMin, AnswerMemoryMin, 1000)
	var apart [][]int
	for i := range g.s.Devices {
		apart = append(apart, []int{i})
	}
	for range 1 + g.rand.IntN(2) {
		path, o := g.path(), Op{At: g.moment(), Do: DoPartition, Groups: apart, For: g.between(time.Second, 4*time.Second)}
		g.add(o)
		for i := range g.s.Devices {
			for range g.rand.IntN(3) {
				g.write(o.At+g.between(50*time.Millisecond, o.For), i, path, pick(g, Put, Put, Sibling))
			}
		}
	}
}

// policies puts paths of a few scenarios under policies, which change, and writes contents there that the policies tell apart. It has a
// source of its own, as extremes has.
func (g *generator) policies(seed uint64) {
	g.rand = rand.New(rand.NewPCG(seed, 0x9011c1e5))
	if !g.chance(0.15) || g.s.AnswerMemory > 0 { // the record of a policy is at a path, too, and nobody decides there
		return
	}
	contents := pick(g, []string{"7", "12", "1e1", "10.0", " -3 "}, []string{"7", "12", "a", "b"}, []string{"milk\n", "milk\nbread\n", "tea\r\nmilk", "\n"})
	for i := range g.s.Ops {
		for k := range g.s.Ops[i].Parts {
			if p := &g.s.Ops[i].Parts[k]; !p.Verb.deletes() && p.Verb != Keep && p.Size == 0 && g.chance(0.4) {
				p.Value = pick(g, contents...)
			}
		}
	}
	for range 1 + g.rand.IntN(5) {
		o := Op{At: g.between(0, g.last), Do: DoPolicy, Device: g.device(), Path: pick(g, "**", "*", "p*", "p0", "p1", "l*", "**/p0"), Policy: pick(g, append(Policies[:len(Policies):len(Policies)], "merge:join", "merge:join", "merge:join")...)}
		if g.chance(0.5) {
			o.At = g.between(0, 2*g.from)
		}
		g.add(o)
	}
}

// damages spoils a few records, and lets the devices repair them, at the end at the latest. It has a source of its own, as extremes has.
func (g *generator) damages(seed uint64) {
	g.rand = rand.New(rand.NewPCG(seed, 0xda3a9e))
	if !g.chance(0.08) {
		return
	}
	for range 1 + g.rand.IntN(4) {
		o := Op{At: g.moment(), Do: DoDamage, Device: g.device(), Path: g.path()}
		g.add(o)
		if g.chance(0.5) { // and another device, about now
			other := Op{At: o.At + g.between(0, 50*time.Millisecond), Do: DoDamage, Device: g.device(), Path: o.Path}
			if g.chance(0.7) {
				other.Path = g.path()
			}
			g.add(other)
		}
		g.add(Op{At: o.At + g.between(0, time.Second), Do: DoRead, Device: o.Device, Path: o.Path})
		if g.chance(0.6) {
			g.add(Op{At: o.At + g.between(10*time.Millisecond, 3*time.Second), Do: DoRepair, Device: o.Device})
		}
	}
}
