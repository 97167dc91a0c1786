package scenario

import (
	"hash/fnv"
	"slices"
	"time"
)

// Shrink is [Shrinker.Shrink] without limits.
func Shrink(s *Scenario, fails func(*Scenario) bool) *Scenario {
	return (&Shrinker{Fails: fails}).Shrink(s)
}

// A Shrinker cuts scenarios down to what a failure needs.
type Shrinker struct {
	// Fails runs a scenario and reports whether it still shows what it is to show: the same failing check, say. It gets only
	// scenarios that pass their own check, and must answer the same whenever it is asked the same.
	Fails func(*Scenario) bool
	// RunsMax bounds the calls of Fails; 0 means that nothing does.
	RunsMax int
	// Stop, if it is not nil, is asked before each of them whether to come to an end.
	Stop func() bool
	// Runs counts the calls of Fails.
	Runs int

	best    *Scenario
	tried   map[uint64]bool
	stopped bool
}

// roundsMax bounds how often everything is tried again because something else became simpler.
const roundsMax = 4

// Shrink returns the simplest scenario that it found for which Fails holds, s itself at worst: fewer operations, devices and paths, a
// network that does less, plainer operations, round times. If it is stopped, or has made all its runs, that is the best so far. It
// leaves s alone. The same scenario and the same answers give the same result.
//
// What costs few runs comes first: single steps and blocks of them, devices, settings. Where that finds nothing any more and more is left
// than a person wants to read, writes of one device become one, two steps go at once, and a step goes with another luck of all messages.
//
// Operations are taken away in blocks of half the list, a quarter and so on (Zeller, Hildebrandt, "Simplifying and Isolating
// Failure-Inducing Input", IEEE TSE 2002). That the fate of a message depends on nothing but the message keeps what is left alike.
func (x *Shrinker) Shrink(s *Scenario) *Scenario {
	x.best, x.tried, x.stopped = s.clone(), map[uint64]bool{hashOf(s): true}, false
	for range roundsMax {
		before := x.best
		x.settle(x.kinds, x.blocks, x.devices, x.parts, x.settings, x.plain, x.times)
		x.settle(x.unite, x.pairs, x.luck)
		if x.best == before || x.stopped {
			break
		}
	}
	return x.best
}

// settle makes passes until none finds anything.
func (x *Shrinker) settle(passes ...func()) {
	for range roundsMax {
		before := x.best
		for _, pass := range passes {
			pass()
		}
		if x.best == before {
			return
		}
	}
}

// try makes an edit of the best scenario the best if it still fails.
func (x *Shrinker) try(edit func(*Scenario)) bool {
	c := x.best.clone()
	edit(c)
	key := hashOf(c)
	if x.tried[key] || c.Check() != nil {
		return false
	}
	if x.stopped = x.stopped || x.RunsMax > 0 && x.Runs >= x.RunsMax || x.Stop != nil && x.Stop(); x.stopped {
		return false
	}
	x.tried[key] = true
	x.Runs++
	if !x.Fails(c) {
		return false
	}
	x.best = c
	return true
}

func hashOf(s *Scenario) uint64 {
	h := fnv.New64a()
	h.Write(s.TOML())
	return h.Sum64()
}

// kinds takes all operations of one kind away at once, and what happens after the last operation.
func (x *Shrinker) kinds() {
	for _, f := range forms {
		if f.do != DoWrite {
			x.try(func(c *Scenario) { c.Ops = slices.DeleteFunc(c.Ops, func(o Op) bool { return o.Do == f.do }) })
		}
	}
}

// blocks takes operations away, half of the list at first.
func (x *Shrinker) blocks() {
	for size := (len(x.best.Ops) + 1) / 2; size > 0; size /= 2 {
		for i := 0; i < len(x.best.Ops); {
			if !x.try(func(c *Scenario) { c.Ops = slices.Delete(c.Ops, i, min(i+size, len(c.Ops))) }) {
				i += size
			}
		}
	}
	x.try(func(c *Scenario) { c.End = roundUp(c.lastMoment() + restDefault) })
}

// unite makes one write of two by the same device, if they write different paths.
func (x *Shrinker) unite() {
	for i := 0; i < len(x.best.Ops); i++ {
		for k := i + 1; k < len(x.best.Ops); {
			if !x.best.canUnite(i, k) || !x.try(func(c *Scenario) { c.unite(i, k) }) && !x.try(func(c *Scenario) { c.unite(k, i) }) {
				k++
			}
		}
	}
}

func (s *Scenario) canUnite(i, k int) bool {
	a, b := &s.Ops[i], &s.Ops[k]
	return a.Do == DoWrite && b.Do == DoWrite && a.Device == b.Device && !slices.ContainsFunc(a.Parts, func(p Part) bool {
		return slices.ContainsFunc(b.Parts, func(q Part) bool { return p.Path == q.Path })
	})
}

// unite moves what one write writes into another.
func (s *Scenario) unite(to, from int) {
	s.Ops[to].Parts = append(s.Ops[to].Parts, s.Ops[from].Parts...)
	s.Ops = slices.Delete(s.Ops, from, from+1)
}

// opsMax bounds the operations for which passes are made that take a run for each two of them.
const opsMax = 32

// pairs takes away two operations at once, of which each is needed as long as the other is there: a backup and what restores it, say.
func (x *Shrinker) pairs() {
	for i := 0; i < len(x.best.Ops) && len(x.best.Ops) <= opsMax; i++ {
		for k := i + 1; k < len(x.best.Ops); {
			if !x.try(func(c *Scenario) { c.Ops = slices.Delete(slices.Delete(c.Ops, k, k+1), i, i+1) }) {
				k++
			}
		}
	}
}

// luck takes an operation, or what is unusual about the network and the clocks, away with all luck that there was: another seed may do
// without. It is for scenarios that are too long for a story.
func (x *Shrinker) luck() {
	other := func(edit func(*Scenario)) (gone bool) {
		for seed := uint64(1); !gone && seed <= seedsTried; seed++ {
			gone = x.try(func(c *Scenario) {
				edit(c)
				c.Seed = seed
			})
		}
		return gone
	}
	for i := 0; i < len(x.best.Ops) && len(x.best.Ops) > fewOps && len(x.best.Ops) <= opsMax; {
		if !other(func(c *Scenario) { c.Ops = slices.Delete(c.Ops, i, i+1) }) {
			i++
		}
	}
	if len(x.best.Ops) <= opsMax {
		other(calm)
	}
}

// calm makes the world as simple as it can be.
func calm(c *Scenario) {
	for _, edit := range simpler {
		edit(c)
	}
}

func roundUp(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }

// seedsTried is how many other seeds are tried where all luck changes anyway, fewOps up to how many operations.
const (
	seedsTried = 16
	fewOps     = 8
)

// devices takes devices away with all that happens on them. The others get new numbers, and all messages another luck.
func (x *Shrinker) devices() {
	for i := len(x.best.Devices) - 1; i >= 0 && len(x.best.Devices) > 1; i-- {
		gone := x.try(func(c *Scenario) { c.removeDevice(i) })
		for seed := uint64(1); !gone && seed <= seedsTried && len(x.best.Ops) <= fewOps && !x.best.names(i); seed++ {
			gone = x.try(func(c *Scenario) {
				c.removeDevice(i)
				c.Seed = seed
			})
		}
	}
}

// names reports whether an operation happens on a device, or copies its data.
func (s *Scenario) names(device int) bool {
	return slices.ContainsFunc(s.Ops, func(o Op) bool {
		f := formOf(o.Do)
		return f.onDevice() && o.Device == device || f.is == isSource && o.Of == device
	})
}

// removeDevice takes a device out of everything; those behind it move up.
func (s *Scenario) removeDevice(device int) {
	up := func(i int) int {
		if i > device {
			return i - 1
		}
		return i
	}
	s.Devices = slices.Delete(s.Devices, device, device+1)
	var ops []Op
	for _, o := range s.Ops {
		f := formOf(o.Do)
		if f.onDevice() && o.Device == device || f.is == isSource && o.Of == device {
			continue
		}
		var groups [][]int
		for _, g := range o.Groups {
			g = slices.DeleteFunc(g, func(i int) bool { return i == device })
			for k := range g {
				g[k] = up(g[k])
			}
			if len(g) > 0 {
				groups = append(groups, g)
			}
		}
		if f.is == isGroups && len(groups) < 2 {
			continue
		}
		o.Groups, o.Device, o.Of = groups, up(o.Device), up(o.Of)
		ops = append(ops, o)
	}
	s.Ops = ops
	if s.Network.Links == nil {
		return
	}
	links := [][2]int{}
	for _, l := range s.Network.Links {
		if l[0] != device && l[1] != device {
			links = append(links, [2]int{up(l[0]), up(l[1])})
		}
	}
	s.Network.Links = links
}

// parts takes parts of transactions away, and paths that nobody names.
func (x *Shrinker) parts() {
	for i := range x.best.Ops {
		for k := len(x.best.Ops[i].Parts) - 1; k >= 0 && len(x.best.Ops[i].Parts) > 1; k-- {
			x.try(func(c *Scenario) { c.Ops[i].Parts = slices.Delete(c.Ops[i].Parts, k, k+1) })
		}
	}
	x.try(func(c *Scenario) { c.Paths = c.named() })
}

// simpler are edits that each make the world simpler.
var simpler = []func(*Scenario){
	func(c *Scenario) { c.Network.Break, c.Network.Duplicate = 0, 0 },
	func(c *Scenario) { c.Network.Links = nil },
	func(c *Scenario) {
		c.Network.LatencyMin, c.Network.LatencyMax = networkDefault.LatencyMin, networkDefault.LatencyMax
	},
	func(c *Scenario) {
		c.Network.SyncMin, c.Network.SyncMax = networkDefault.SyncMin, networkDefault.SyncMax
	},
	func(c *Scenario) { c.AntiEntropy = antiEntropyDefault },
	func(c *Scenario) { c.DeleteLog = deleteLogDefault },
	func(c *Scenario) { c.AnswerRows = 0 },
	func(c *Scenario) { c.AnswerMemory = 0 },
	func(c *Scenario) { c.NoGossip = false },
	func(c *Scenario) {
		for i := range c.Devices {
			c.Devices[i].Poll = 0
		}
	},
	func(c *Scenario) {
		for i := range c.Devices {
			c.Devices[i].Skew = 0
		}
	},
	func(c *Scenario) { c.Network.Loss = 0 },
}

// settings makes the world simpler: all at once, else one thing after the other.
func (x *Shrinker) settings() {
	if x.try(calm) {
		return
	}
	for _, edit := range simpler {
		x.try(edit)
	}
	for i := range x.best.Devices {
		x.try(func(c *Scenario) { c.Devices[i].Skew = 0 })
		x.try(func(c *Scenario) { c.Devices[i].Poll = 0 })
	}
	if x.best.Network.Loss > 0 {
		x.try(func(c *Scenario) { c.Network.Loss = 1 }) // simpler than now and then
	}
}

// plain makes operations say less.
func (x *Shrinker) plain() {
	for i := range x.best.Ops {
		edit := func(change func(*Op)) { x.try(func(c *Scenario) { change(&c.Ops[i]) }) }
		o := x.best.Ops[i]
		f := formOf(o.Do)
		for len(x.best.Ops[i].Groups) > 2 && x.try(func(c *Scenario) { c.Ops[i].mergeGroups() }) {
		}
		for k := range o.Parts {
			edit(func(o *Op) { o.Parts[k] = Part{Path: o.Parts[k].Path, Verb: Put} })
			edit(func(o *Op) { o.Parts[k].Value, o.Parts[k].Size, o.Parts[k].LWW = "", 0, false })
		}
		switch {
		case f.takes("for") && o.For > 0 && !f.goesAway():
			edit(func(o *Op) { o.For = 0 })
		case f.takes("for") && o.For > 0:
			edit(func(o *Op) { o.For = time.Second })
			edit(func(o *Op) { o.For = max(o.For.Round(time.Second), time.Second) })
			edit(func(o *Op) { o.For = max(o.For.Round(time.Millisecond), time.Millisecond) })
		}
		if f.is == isPattern {
			edit(func(o *Op) { o.Path = "**" })
		}
		switch {
		case f.takes("keep"):
			edit(func(o *Op) { o.Amount = 0 })
		case f.is == isShare:
			edit(func(o *Op) { o.Amount = 1000 })
		}
	}
}

// mergeGroups makes the last two groups one.
func (o *Op) mergeGroups() {
	n := len(o.Groups)
	o.Groups = append(slices.Clone(o.Groups[:n-2]), slices.Concat(o.Groups[n-2], o.Groups[n-1]))
}

// times makes the time from each operation to the next round, and moves what follows along.
func (x *Shrinker) times() {
	move := func(c *Scenario, i int, by time.Duration) {
		for k := i; k < len(c.Ops); k++ {
			c.Ops[k].At += by
		}
		c.End += by
	}
	round := func(c *Scenario, i int, unit time.Duration) {
		gap := c.Ops[i].At
		if i > 0 {
			gap -= c.Ops[i-1].At
		}
		move(c, i, gap.Round(unit)-gap)
	}
	if len(x.best.Ops) > 0 {
		x.try(func(c *Scenario) { move(c, 0, time.Second-c.Ops[0].At) })
	}
	x.try(func(c *Scenario) {
		for i := range c.Ops {
			round(c, i, time.Millisecond)
		}
	})
	for i := range x.best.Ops {
		for _, unit := range []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond, time.Millisecond} {
			if x.try(func(c *Scenario) { round(c, i, unit) }) {
				break
			}
		}
	}
	x.try(func(c *Scenario) { c.End = roundUp(c.lastMoment() + restDefault) })
}

// clone returns a copy that shares nothing with s.
func (s *Scenario) clone() *Scenario {
	c := *s
	c.Devices, c.Paths, c.Ops, c.Network.Links = slices.Clone(s.Devices), slices.Clone(s.Paths), slices.Clone(s.Ops), slices.Clone(s.Network.Links)
	for i := range c.Ops {
		o := &c.Ops[i]
		o.Parts, o.Groups = slices.Clone(o.Parts), slices.Clone(o.Groups)
		for k := range o.Groups {
			o.Groups[k] = slices.Clone(o.Groups[k])
		}
	}
	return &c
}
