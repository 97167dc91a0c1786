package crdt

import "slices"

// Ancestry says what is known of the value that others were made from. What is greater is further from an answer.
type Ancestry uint8

const (
	// AncestorFound: one value, the nearest that all descend from.
	AncestorFound Ancestry = iota
	// AncestorNothing: each of them is the first write of its run, begun where there was nothing.
	AncestorNothing
	// AncestorSeveral: there are several, and none of them is the nearest.
	AncestorSeveral
	// AncestorNone: there is none, though not each of them was written where there was nothing.
	AncestorNone
	// AncestorMissing: that value, or one in between that might be nearer, is not at hand.
	AncestorMissing
	// AncestorUntold: one of them does not say what it replaced.
	AncestorUntold
	// AncestorMany: there are more values than are compared, [AncestorLiveMax].
	AncestorMany
)

// AncestorLiveMax bounds the live values whose common ancestor is looked for: each is compared with each.
const AncestorLiveMax = 128

// CommonAncestor returns the value that all live values of a register were made from: the base of a three-way merge. past holds what
// else is at hand of the values that were once live there. With more than two contents, every two of them must have the same ancestor.
//
// The answer is certain or not given: as long as a nearer common ancestor may be among the values that are not at hand, it is
// AncestorMissing. So it is equal on all replicas that give one, and does not depend on the order of live or past.
func CommonAncestor(live, past []Value) (Value, Ancestry) {
	switch {
	case different(live) < 2:
		return Value{}, AncestorNone
	case slices.ContainsFunc(live, func(v Value) bool { return !v.Descent.IsKnown() }):
		return Value{}, AncestorUntold
	case len(live) > AncestorLiveMax:
		return Value{}, AncestorMany
	}
	f := family{map[Dot]Value{}, map[Dot]line{}}
	for _, v := range past {
		f.values[v.Dot] = v
	}
	for _, v := range live {
		f.values[v.Dot] = v
	}
	var found Value
	how, pairs, same := AncestorFound, 0, true
	for i, v := range live {
		for _, w := range live[:i] {
			if v.SameContent(w) {
				continue
			}
			a, pair := f.nearest(v, w)
			same = same && (pairs == 0 || pair == how && a.Dot == found.Dot)
			found, how, pairs = a, max(how, pair), pairs+1
		}
	}
	switch {
	case how <= AncestorNothing && !same:
		return Value{}, AncestorSeveral
	case how > AncestorFound:
		return Value{}, how
	}
	return found, how
}

// A family holds values of one path by their dots, and the lines of live ones that were asked for.
type family struct {
	values map[Dot]Value
	lines  map[Dot]line
}

// A run names a run of writes. A value of unknown descent is a run of its own, with the counter lone.
type run struct {
	replica     ReplicaID
	since, lone uint64
}

func runOf(v Value) run {
	if v.Descent.IsKnown() {
		return run{replica: v.Dot.Replica, since: v.Descent.Since}
	}
	return run{replica: v.Dot.Replica, lone: v.Dot.Counter}
}

// A line is a value with all that is known to be before it.
type line struct {
	// tops holds for each run the counter of the last value of it that belongs to the line; all before it in the run do, too.
	tops map[run]uint64
	// open names the values of the line below which nothing is known. Those that are not at hand may belong to any run.
	open map[Dot]bool
}

func (l line) has(v Value) bool { return l.tops[runOf(v)] >= v.Dot.Counter }

// line returns the line of v, one of the live values, and keeps it.
func (f family) line(v Value) line {
	l, ok := f.lines[v.Dot]
	if !ok {
		l = f.trace(v)
		f.lines[v.Dot] = l
	}
	return l
}

// trace returns the line of v, one of the values.
func (f family) trace(v Value) line {
	l := line{map[run]uint64{}, map[Dot]bool{}}
	f.follow(v, l)
	return l
}

func (f family) follow(v Value, l line) {
	top, known := l.tops[runOf(v)]
	l.tops[runOf(v)] = max(top, v.Dot.Counter)
	if known {
		return
	}
	if !v.Descent.IsKnown() {
		l.open[v.Dot] = true
	}
	for _, d := range v.Descent.From {
		if w, ok := f.values[d]; ok {
			f.follow(w, l)
		} else {
			l.open[d] = true
		}
	}
}

// nearest returns the nearest common ancestor of two values of known descent neither of which descends from the other.
func (f family) nearest(v, w Value) (Value, Ancestry) {
	if len(v.Descent.From)+len(w.Descent.From) == 0 {
		if v.Descent.Since < v.Dot.Counter || w.Descent.Since < w.Dot.Counter {
			return Value{}, AncestorNone // what one side put first and took out again is not what nobody ever had
		}
		return Value{}, AncestorNothing
	}
	lv, lw := f.line(v), f.line(w)
	// Two lines that meet in a run share it up to the lower of the two values by which they enter it. These values are at hand.
	var meet []Value
	for r, top := range lv.tops {
		if other, ok := lw.tops[r]; ok {
			meet = append(meet, f.values[Dot{r.replica, min(top, other)}])
		}
	}
	// The nearest has all others in its line. Mostly it is the youngest, so that one line tells; what a line lacks may be above its value.
	slices.SortFunc(meet, func(u, x Value) int { return compareNewest(x, u) })
	var u Value
	var lu line
	for i, x := range meet {
		if i == 0 || !lu.has(x) {
			u, lu = x, f.trace(x)
		}
	}
	found := len(meet) > 0 && !slices.ContainsFunc(meet, func(x Value) bool { return !lu.has(x) })
	// What is not known of v and w must be below u.
	for _, l := range [...]line{lv, lw} {
		for d := range l.open {
			found = found && lu.open[d]
		}
	}
	switch {
	case found:
		return u, AncestorFound
	case len(lv.open)+len(lw.open) > 0:
		return Value{}, AncestorMissing
	case len(meet) > 0:
		return Value{}, AncestorSeveral
	}
	return Value{}, AncestorNone
}
